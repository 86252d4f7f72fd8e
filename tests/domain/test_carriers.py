"""The list of carriers: what a row must be, and what a new list changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.domain.carriers import Entry, columns_of, compare, entry_of

VERIZON = Entry("0001890", "United States", "Verizon Wireless")
ENTRIES = st.builds(
    Entry,
    spid=st.sampled_from(["0000001", "0000002", "0000003"]),
    country=st.sampled_from(["A", "B"]),
    name=st.sampled_from(["x", "y"]),
)


def cells(**changes: str) -> dict[str, str]:
    return {"spid": "0001890", "country": "United States", "carrier": "Verizon Wireless", **changes}


def test_a_row_makes_an_entry_with_its_blanks_put_right() -> None:
    assert entry_of(cells(spid=" 0001890 ", carrier="Verizon \u00a0 Wireless")) == (VERIZON, [])


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("spid", "", "is empty"),
        ("spid", "1890", "has 4 digits and needs 7; a spreadsheet may have dropped"),
        ("spid", "000189", "has 6 digits and needs 7"),
        ("spid", "00018901", "is no SPID; it has 7 digits, such as 0001890"),
        ("spid", "0001e90", "is no SPID"),
        ("spid", "\u0660001890", "is no SPID"),
        ("country", " ", "is empty"),
        ("country", "x" * 65, "has 65 characters; at most 64"),
        ("carrier", "x" * 129, "has 129 characters; at most 128"),
        ("carrier", "Veri\u202ezon", "has a character that cannot be seen"),
    ],
)
def test_a_wrong_cell_is_named_with_what_would_be_right(column: str, value: str, says: str) -> None:
    entry, (problem,) = entry_of(cells(**{column: value}))
    assert entry is None
    assert problem.field == column
    assert problem.value == value.strip()
    assert says in problem.detail


def test_every_wrong_cell_of_a_row_is_named() -> None:
    _, problems = entry_of(cells(spid="x", country="", carrier=""))
    assert [problem.field for problem in problems] == ["spid", "country", "carrier"]


@pytest.mark.parametrize(
    "headers", [("spid", "country", "carrier"), (" SPID", "x", "Name", "Country ")]
)
def test_columns_are_found_by_name_in_any_order(headers: tuple[str, ...]) -> None:
    places, problems = columns_of(headers)
    assert set(places) == {"spid", "country", "carrier"}
    assert problems == []


def test_a_header_that_lacks_or_repeats_a_column_is_refused() -> None:
    _, problems = columns_of(("spid", "spid", "carrier"))
    assert [(p.field, p.detail.partition(";")[0]) for p in problems] == [
        ("country", "is missing"), ("spid", "is there twice"),
    ]  # fmt: skip


def test_one_spid_may_stand_for_two_and_one_of_them_may_change() -> None:
    att = Entry("0001100", "United States", "AT&T")
    old, new = Entry("0001100", "Canada", "Rogers"), Entry("0001100", "Canada", "Rogers Wireless")
    found = compare([att, old, VERIZON], [att, new, Entry("0007000", "Russia", "MTS")])
    assert found.changed == ((old, new),)
    assert found.new == (Entry("0007000", "Russia", "MTS"),)
    assert found.gone == (VERIZON,)
    assert found.words == "1 new, 1 changed, 1 gone, 1 as before"


@given(st.sets(ENTRIES), st.sets(ENTRIES))
def test_what_is_told_makes_the_one_list_out_of_the_other(
    before: set[Entry], after: set[Entry]
) -> None:
    found = compare(before, after)
    made = before - set(found.gone) - {old for old, _ in found.changed}
    assert made | set(found.new) | {new for _, new in found.changed} == after
    assert found.is_none == (before == after)
    assert found.same == len(before & after)
    assert all(old.spid == new.spid for old, new in found.changed)
