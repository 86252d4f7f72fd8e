"""What is kept of a request's headers: enough to understand it, never a secret, never much."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.domain.headers import LEFT_OUT, MOST, MOST_CHARACTERS, Fields, kept, pairs

TOKEN = "s3cret-Token_of.ours"
ROOM_TO_SAY_SO = 64

NAMES = st.text("abcxyz-", min_size=1, max_size=90).map(str.encode)
VALUES = st.one_of(st.binary(max_size=60), st.integers(0, 9000).map(lambda size: b"v" * size))


def test_headers_are_kept_in_their_order_and_equal_names_twice() -> None:
    fields = [(b"host", b"tracker.example"), (b"via", b"1.1 a: b"), (b"via", b"\xe9"), (b"x", b"")]
    told = [("host", "tracker.example"), ("via", "1.1 a: b"), ("via", "é"), ("x", "")]
    assert pairs(kept(fields, TOKEN)) == told


@pytest.mark.parametrize(
    "name",
    [b"authorization", b"proxy-authorization", b"cookie", b"x-api-key", b"x-auth-token",
     b"x-client-secret", b"x-password", b"x-session-id", b"Cookie", b"x" * 90 + b"-token"],
)  # fmt: skip
def test_no_header_that_carries_a_secret_is_kept(name: bytes) -> None:
    assert pairs(kept([(name, b"of somebody"), (b"date", b"now")], TOKEN)) == [("date", "now")]


@pytest.mark.parametrize(
    "value",
    [
        TOKEN,
        f"https://old.example/postbacks/{TOKEN}?x",
        "/postbacks/another-of-our-tokens",
        "/%70ostbacks/another-of-our-tokens",
        TOKEN.replace("s", "%73"),
    ],
)
def test_no_header_that_tells_our_token_is_kept(value: str) -> None:
    fields = [(b"x-original-uri", value.encode()), (b"referer", b"%20 of another address")]
    assert pairs(kept(fields, TOKEN)) == [("referer", "%20 of another address")]


def test_of_many_headers_the_first_are_kept_and_the_rest_counted() -> None:
    found = pairs(kept([(b"h-%d" % number, b"v") for number in range(40)], TOKEN))
    assert found[:MOST] == [(f"h-{number}", "v") for number in range(MOST)]
    assert found[MOST:] == [(LEFT_OUT, "8 more came and were not kept")]


def test_of_large_headers_the_longest_are_cut_and_say_how_long_they_were() -> None:
    fields = [(b"short", b"a" * 500), (b"long", b"b" * 8000), (b"longer", b"c" * 8100)]
    text = kept(fields, TOKEN)
    told = dict(pairs(text))
    assert MOST_CHARACTERS - 9 <= len(text) <= MOST_CHARACTERS
    assert told["short"] == "a" * 500
    assert told["long"].endswith("b… (8,006 characters)")
    assert told["longer"].endswith("c… (8,108 characters)")
    assert abs(len(told["long"]) - len(told["longer"])) < 5


def test_a_line_end_or_another_control_in_a_value_makes_no_header_of_its_own() -> None:
    fields = [(b"a", b"1\r\n b: 2"), (b"c", b"\x00\x7f\tend")]
    assert pairs(kept(fields, TOKEN)) == [("a", "1�� b: 2"), ("c", "��\tend")]


@given(st.lists(st.tuples(NAMES, VALUES), max_size=80))
def test_whatever_comes_is_bounded_and_without_the_token(fields: Fields) -> None:
    at = len(fields) // 2
    text = kept([*fields[:at], (b"x", b"-" + TOKEN.encode()), *fields[at:]], TOKEN)
    assert TOKEN not in text
    assert len(text) <= MOST_CHARACTERS + ROOM_TO_SAY_SO
    assert len(pairs(text)) <= MOST + 1
    assert not {*map(chr, range(32)), "\x7f"} - {"\n", "\t"} & set(text)
