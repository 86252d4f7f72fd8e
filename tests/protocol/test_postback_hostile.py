"""Bodies that attack, from bytes to notifications. Source: PROTOCOL 6.10; all are ours."""

from pathlib import Path
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.protocol import postback_fields, transport
from tracker.protocol.postback import (
    NotAPostbackError,
    Notification,
    UnreadablePostbackError,
    parse_postback,
)
from tracker.protocol.transport import document_of

MEBIBYTE = 1024 * 1024
NEW_YORK = ZoneInfo("America/New_York")
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
GOOD = """<?xml version='1.0'?>
<POSTBACK xmlns:xsi="http://x" xsi:noNamespaceSchemaLocation ="http://x/y.xsd">
<ORIGIN>MMS_MT</ORIGIN><CODE>N102</CODE><STATUS>Message Sent/Delivered</STATUS>
<TO>12025550143</TO><FROM_MASK></FROM_MASK><TRACKINGID>TU1TXzc3</TRACKINGID>
<TIMESTAMP>2012-06-07T07:27:34-05:00</TIMESTAMP><TEXT><![CDATA[a & b]]> café</TEXT>
</POSTBACK>"""
LEGACY = """<POSTBACK><NOTIFICATION id="1" created="2012-06-07 07:27:34.398593-04">
<CODE>N102</CODE><BODY><SPID>000157</SPID><STATUS celly="20" text="Retrieved" /></BODY>
</NOTIFICATION></POSTBACK>"""
SINCH = "<postback><code>N101</code><tracking-id>TU1TXzc3</tracking-id></postback>"
JSON = '{"postback": {"code": "N101", "tracking-id": "TU1TXzc3", "content": [{"file": "x"}]}}'


def read_all(body: bytes, content_type: str | None = "text/xml") -> list[Notification]:
    return parse_postback(document_of(body, content_type), zone=NEW_YORK)


def read_or_refused(body: bytes, content_type: str | None) -> list[Notification]:
    """Read a body; nothing but the two errors may come out of it."""
    try:
        found = read_all(body, content_type)
    except (UnreadablePostbackError, NotAPostbackError):
        return []
    for one in found:
        assert (one.code is None) <= (one.defect is not None)
        assert one.fingerprint_text
        assert one.fields()["kind"]
        assert "\x00" not in str(one.fields())
    return found


def test_every_encoding_gives_the_same_fields() -> None:
    [expected] = read_all(GOOD.encode())
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"):
        [found] = read_all(GOOD.encode(encoding))
        assert found == expected, encoding
    [latin] = read_all(GOOD.encode("iso-8859-1"), "text/xml; charset=ISO-8859-1")
    assert latin == expected
    declared = GOOD.replace("?>", " encoding='ISO-8859-1'?>", 1).encode("iso-8859-1")
    assert read_all(declared, "text/xml") == [expected]


def test_every_way_of_posting_gives_the_same_fields() -> None:
    expected = read_all(GOOD.encode())
    part = b'--b\r\nContent-Disposition: form-data; name="XML"\r\n\r\n%b\r\n--b--\r\n'
    assert read_all(GOOD.encode(), None) == expected
    assert read_all(GOOD.encode(), FORM) == expected
    assert read_all(GOOD.encode(), MULTIPART) == expected
    assert read_all(urlencode({"xml": GOOD}).encode(), FORM) == expected
    assert read_all(urlencode({"XML": GOOD}).encode(), None) == expected
    assert read_all(part % GOOD.encode(), MULTIPART) == expected


ENTITIES = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
ROOT = "<POSTBACK><CODE>N102</CODE><TEXT>{}</TEXT></POSTBACK>"


@pytest.mark.parametrize(
    "body",
    [
        f'<!DOCTYPE POSTBACK [<!ENTITY l0 "lol">{ENTITIES}]>' + ROOT.format("&l9;"),
        f'<!DOCTYPE POSTBACK [<!ENTITY x "{"x" * 50_000}">]>' + ROOT.format("&x;" * 50_000),
        '<!DOCTYPE POSTBACK [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + ROOT.format("&x;"),
        '<!DOCTYPE POSTBACK SYSTEM "http://127.0.0.1:9/x.dtd">' + ROOT.format(""),
        "<!-- x --><?y?>\n<!doctype postback>" + ROOT.format(""),
        ROOT.format("<a>" * 10_000 + "</a>" * 10_000),
        ROOT.format("<a>" * 32 + "</a>" * 32),
        ROOT.format("<a/>" * 100_000),
        "<POSTBACK>" + "<CODE>N102</CODE>" * 50_000 + "</POSTBACK>",
        "<POSTBACK>" * 100_000,
        "<POSTBACK>" + "</POSTBACK>" * 90_000,
    ],
)
def test_an_attack_is_kept_for_the_operator(body: str) -> None:
    with pytest.raises(UnreadablePostbackError):
        read_all(body.encode())


def test_an_external_file_never_gets_into_a_value(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("hunter2", encoding="utf-8")
    uri = secret.as_uri()
    included = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" parse="text" href="{uri}"/>'
    [notification] = read_all(ROOT.format(included).encode())
    assert notification.text is None
    styled = f'<?xml-stylesheet type="text/xsl" href="{uri}"?>' + ROOT.format("x")
    [notification] = read_all(styled.encode())
    assert notification.text == "x"


def test_many_attributes_and_long_names_are_read() -> None:
    attributes = " ".join(f'a{number}="{number}"' for number in range(50_000))
    [notification] = read_all(f"<POSTBACK {attributes}><CODE>N101</CODE></POSTBACK>".encode())
    assert notification.code == "N101"
    name = "X" * 40_000
    [notification] = read_all(f"<POSTBACK><{name}/><CODE>N101</CODE></POSTBACK>".encode())
    assert notification.code == "N101"


def test_many_namespaces_are_read() -> None:
    spaces = " ".join(f'xmlns:n{number}="urn:{number}"' for number in range(5_000))
    body = f"<n9:postback {spaces}><n8:code>N101</n8:code></n9:postback>"
    [notification] = read_all(body.encode())
    assert notification.code == "N101"


def test_little_is_remembered_of_what_strangers_name() -> None:
    names = "".join(f"<n{number}/><{'n' * 100}{number}/>" for number in range(2_000))
    for number in range(1_000):
        read_all(b"<POSTBACK><CODE>N101</CODE></POSTBACK>", f"text/xml; a={number}")
    read_all(f"<POSTBACK><CODE>N101</CODE>{names}</POSTBACK>".encode(), "text/xml; a=" + "x" * 200)
    for remembered in (postback_fields._remembered, transport._short_type):
        kept = remembered.cache_info()
        assert kept.currsize <= (kept.maxsize or 0) <= 512
    misses = postback_fields._remembered.cache_info().misses
    read_all(f"<POSTBACK><CODE>N101</CODE><{'n' * 100}/></POSTBACK>".encode())
    assert postback_fields._remembered.cache_info().misses <= misses + 2  # POSTBACK and CODE


def test_a_value_of_a_mebibyte_is_kept_whole() -> None:
    [notification] = read_all(ROOT.format("x" * MEBIBYTE).encode())
    assert notification.text == "x" * MEBIBYTE


def test_thousands_of_notifications_are_read() -> None:
    one = "<NOTIFICATION><CODE>N101</CODE></NOTIFICATION>"
    assert len(read_all(f"<POSTBACK>{one * 2_000}</POSTBACK>".encode())) == 2_000


@pytest.mark.parametrize(
    "body",
    [
        "[" * 200_000,
        "[" * 900 + "]" * 900,
        '{"postback":' * 100_000,
        '{"postback":' * 500 + "{}" + "}" * 500,
        '{"code":"N101","to":' + "1" * 500_000 + "}",
        '{"code":"N101","to":' + "[" * 500 + "]" * 500 + "}",
        '{"code":"N101",' + ",".join(f'"k{number}":1' for number in range(50_000)) + "}",
        "[" + ",".join(["{}"] * 100_000) + "]",
        '{"code":"N101","content":' + '{"file":' * 300 + '"x"' + "}" * 301,
    ],
)
def test_hostile_json_raises_nothing_else(body: str) -> None:
    read_or_refused(body.encode(), "application/json")


@settings(deadline=None)
@given(st.binary(), st.none() | st.sampled_from([FORM, MULTIPART, "text/xml; charset=utf-16"]))
def test_any_bytes_are_read_or_refused(body: bytes, content_type: str | None) -> None:
    read_or_refused(body, content_type)


@settings(deadline=None)
@given(st.text(), st.sampled_from(["<POSTBACK>{}", "<POSTBACK><CODE>{}</CODE></POSTBACK>", "[{}"]))
def test_any_text_is_read_or_refused(text: str, frame: str) -> None:
    read_or_refused(frame.replace("{}", text).encode(), "text/xml")


MARKUP = r"""
    <POSTBACK> </POSTBACK> <NOTIFICATION> </NOTIFICATION> <BODY> </BODY> <CODE> </CODE> N101
    <TO> </TO> <FROM_MASK> <FROM_MASK/> <CONTENT> </CONTENT> <FILE> </FILE> <X> </X> & &amp; &#0;
    < > ]]> <![CDATA[ <!-- --> <? ?> <a:b> id='1' " {} [ ] :
"""
PIECES = st.lists(st.sampled_from([*MARKUP.split(), " ", "\x00", "\u201c"]), max_size=30).map(
    "".join
)


@settings(deadline=None, max_examples=500)
@given(PIECES)
def test_any_sequence_of_markup_is_read_or_refused(text: str) -> None:
    read_or_refused(text.encode(), "text/xml")
    read_or_refused(f"<POSTBACK>{text}</POSTBACK>".encode(), "text/xml")


@settings(deadline=None, max_examples=500)
@given(
    st.sampled_from([GOOD, LEGACY, SINCH, JSON]),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 20), st.binary(max_size=6)), max_size=6),
    st.sampled_from(["utf-8", "utf-16", "utf-16-le", "iso-8859-1"]),
)
def test_a_mutated_postback_is_read_or_refused(
    text: str, edits: list[tuple[int, int, bytes]], encoding: str
) -> None:
    body = text.encode(encoding)
    for position, length, replacement in edits:
        body = body[:position] + replacement + body[position + length :]
    read_or_refused(body, "text/xml")
    read_or_refused(body, FORM)


@settings(deadline=None)
@given(st.integers(1, len(GOOD) - 1))
def test_a_cut_off_postback_is_never_read(length: int) -> None:
    assert read_or_refused(GOOD[:length].encode(), "text/xml") == []
