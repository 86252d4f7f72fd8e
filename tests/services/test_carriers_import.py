"""A list of carriers out of a file, in place of the one that is there."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from conftest import SHARED
from sqlalchemy import select

from tracker.domain.carriers import Entry
from tracker.services import carriers
from tracker.services.batch_file import FileError
from tracker.services.carriers import MAX_BYTES, MOST_PROBLEMS, MOST_ROWS, WrongListError
from tracker.store import carriers as store
from tracker.store import messages
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HEADER = b"spid,country,carrier\n"
TEXT = "spid,country,carrier\n0001890,United States,Verizon Wireless\n0034010,España,Telefónica\n"
FOUND = [
    Entry("0001890", "United States", "Verizon Wireless"), Entry("0034010", "España", "Telefónica"),
]  # fmt: skip


def listed(sessions: Sessions) -> list[Entry]:
    with sessions() as session:
        return [Entry(row.spid, row.country, row.name) for row in store.everything(session)]


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.encode("windows-1252"),
        TEXT.replace(",", ";").replace("\n", "\r\n").encode("windows-1252"),
        ("sep=;\n" + TEXT.replace(",", ";")).encode(),
        TEXT.replace(",", "\t").encode("utf-16"),
        ("\n\n" + TEXT + ",,\n").encode(),
        b"carrier,note,spid,country\nVerizon Wireless,x,0001890,United States\n"
        + "Telefónica,,0034010,España\n".encode(),
    ],
)
def test_a_file_is_read_as_spreadsheets_write_it(content: bytes) -> None:
    assert carriers.read(content) == FOUND


def test_what_is_written_is_read_again() -> None:
    odd = [Entry("0000001", "-x", '=1+1 "a", b'), Entry("0000002", "'Eua", "@x")]
    assert carriers.read(carriers.written(odd).encode()) == odd


def test_every_wrong_row_is_named_by_row_column_and_value() -> None:
    with pytest.raises(WrongListError) as caught:
        carriers.read(HEADER + b"0001890,A,B\n189,A,B\n0001891,,B\n0001890,A,B\n1,2,3,4\n")
    assert [(p.row, p.column, p.value) for p in caught.value.problems] == [
        (2, "spid", "189"), (3, "country", ""), (4, "spid", "0001890"), (5, "", "4"),
    ]  # fmt: skip
    assert caught.value.problems[2].reason.startswith("stands in row 1 already")


def test_bytes_that_are_no_text_are_named() -> None:
    with pytest.raises(WrongListError) as caught:
        carriers.read(HEADER + b"0001890,A,B\xff\n", encoding="utf-8")
    assert "is the encoding right?" in caught.value.problems[0].reason


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (HEADER, "has no row below its header"),
        (b"x" * (MAX_BYTES + 1), "is larger than 512 KiB"),
        (HEADER + b'0001890,A,"' + b"x" * 200_000, "a quotation mark may lack its second"),
    ],
)
def test_a_file_that_is_no_list_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(FileError, match=says):
        carriers.read(content)


def test_rows_and_problems_are_bounded() -> None:
    rows = b"".join(b"%07d,A,B\n" % number for number in range(MOST_ROWS + 1))
    with pytest.raises(FileError, match="more than 20,000 rows"):
        carriers.read(HEADER + rows)
    with pytest.raises(WrongListError) as caught:
        carriers.read(HEADER + b"x,,\n" * 5000)
    assert len(caught.value.problems) == MOST_PROBLEMS


def test_a_list_takes_the_place_of_the_one_before(sessions: Sessions) -> None:
    first = carriers.replace(sessions, FOUND, "tests", NOW)
    assert first.words == "2 new, 0 changed, 0 gone, 0 as before"
    wanted = [FOUND[0], Entry("0034010", "Spain", "Telefónica"), Entry("0001890", "Canada", "Bell")]
    looked = carriers.compare(sessions, wanted)
    assert listed(sessions) == FOUND
    assert carriers.replace(sessions, wanted, "tests", NOW) == looked
    assert looked.words == "1 new, 1 changed, 0 gone, 1 as before"
    assert sorted(listed(sessions)) == sorted(wanted)
    with sessions() as session:
        assert messages.carrier_name(session, "0001890") == "Verizon Wireless / Bell"
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [(one.action, one.detail) for one in entries] == [
        ("carriers.import", first.words), ("carriers.import", looked.words),
    ]  # fmt: skip


def test_two_imports_at_once_leave_one_list(sessions: Sessions) -> None:
    def put(_number: int) -> str:
        return carriers.replace(sessions, FOUND, "tests", NOW).words

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(put, range(4)))
    assert sorted(listed(sessions)) == sorted(FOUND)
    assert sorted(said) == [
        *["0 new, 0 changed, 0 gone, 2 as before"] * 3, "2 new, 0 changed, 0 gone, 0 as before",
    ]  # fmt: skip


@pytest.mark.skipif(not SHARED.is_dir(), reason="the protocol's companion files are not here")
def test_the_gateways_own_list_is_taken(sessions: Sessions) -> None:
    found = carriers.read((SHARED / "carriers.csv").read_bytes())
    assert len(found) > 500
    assert carriers.replace(sessions, found, "tests", NOW).new
    assert sorted(listed(sessions)) == sorted(found)
