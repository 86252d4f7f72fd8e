"""Damaged spool files: whatever happened to some bytes, all other records come out."""

import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spool_support import NOW, a_record, drained, number, numbered, segments

from tracker.store import spool_format
from tracker.store.spool import Spool, SpoolRecord
from tracker.store.spool_format import FIRST_RECORD, MAGIC, VERSION, encode

RECORDS = [a_record(b"<postback>%d</postback>" % each, "text/xml") for each in range(5)]
SIZE = len(encode(RECORDS[0]))


def a_file(folder: Path, records: list[SpoolRecord]) -> Path:
    """Write records to a new file of the spool, and return its path."""
    before = set(segments(folder))
    spool = Spool(folder)
    spool.append(records)
    spool.close()
    (path,) = set(segments(folder)) - before
    return path


def set_aside(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "damaged").glob("*")}


def flip(path: Path, at: int, mask: int) -> bytes:
    data = bytearray(path.read_bytes())
    data[at] ^= mask
    path.write_bytes(data)
    return bytes(data)


def offset(index: int) -> int:
    return FIRST_RECORD + index * SIZE


@pytest.mark.parametrize("length", range(SIZE))
def test_a_last_record_torn_anywhere_is_cut_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, length: int
) -> None:
    path = a_file(tmp_path, RECORDS)
    with path.open("r+b") as file:
        file.truncate(offset(4) + length)
    assert Spool(tmp_path).state().records == 4
    assert drained(tmp_path) == RECORDS[:4]
    said = [
        (told.message, told.__dict__["file"], told.__dict__["bytes"]) for told in caplog.records
    ]
    cut = ("spool file ends in half a record, which is cut", path.name, length)
    assert said == ([cut] if length else [])
    assert not segments(tmp_path)
    assert set_aside(tmp_path) == {}


@pytest.mark.parametrize("length", range(FIRST_RECORD + 1))
def test_a_file_torn_before_its_first_record_is_empty(tmp_path: Path, length: int) -> None:
    path = a_file(tmp_path, RECORDS)
    with path.open("r+b") as file:
        file.truncate(length)
    assert Spool(tmp_path).state().records == 0
    assert drained(tmp_path) == []
    assert not segments(tmp_path)


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
@pytest.mark.parametrize("index", [0, 2, 4])
def test_a_byte_flipped_anywhere_in_a_record_loses_no_other_and_no_byte(
    tmp_path: Path, index: int, mask: int
) -> None:
    for at in range(offset(index), offset(index + 1)):
        path = a_file(tmp_path, RECORDS)
        data = flip(path, at, mask)
        assert drained(tmp_path, limit=2) == RECORDS[:index] + RECORDS[index + 1 :]
        piece = tmp_path / "damaged" / f"{path.name}.{offset(index)}"
        assert piece.read_bytes() == data[offset(index) : offset(index + 1)]
        piece.unlink()
        assert set_aside(tmp_path) == {}
        assert not segments(tmp_path)


@pytest.mark.parametrize("at", range(FIRST_RECORD))
def test_a_byte_flipped_in_the_mark_loses_nothing(tmp_path: Path, at: int) -> None:
    path = a_file(tmp_path, RECORDS)
    flip(path, at, 0xFF)
    assert Spool(tmp_path).state().records == 5
    assert drained(tmp_path) == RECORDS
    assert set_aside(tmp_path) == {}


def test_damage_is_counted_said_and_kept_from_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = a_file(tmp_path, RECORDS)
    flip(path, offset(1), 0xFF)
    assert Spool(tmp_path).state().records == 4
    assert drained(tmp_path) == [RECORDS[0], *RECORDS[2:]]
    (piece,) = (tmp_path / "damaged").iterdir()
    assert stat.S_IMODE(piece.stat().st_mode) == 0o600
    assert stat.S_IMODE(piece.parent.stat().st_mode) == 0o700
    assert Spool(tmp_path).state().set_aside == 1
    (told,) = caplog.records
    assert told.message == "damaged bytes of a spool file set aside"
    values = {name: told.__dict__[name] for name in ("file", "offset", "bytes")}
    assert values == {"file": path.name, "offset": offset(1), "bytes": SIZE}


def test_damage_that_cannot_be_set_aside_holds_up_only_what_lies_behind_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flip(a_file(tmp_path, RECORDS), offset(1), 0xFF)
    a_file(tmp_path, [numbered(7)])
    (tmp_path / "damaged").write_text("not a folder")
    assert drained(tmp_path) == [RECORDS[0], numbered(7)]
    spool = Spool(tmp_path)
    caplog.clear()
    for _ in range(3):
        assert spool.drain(lambda _: None) == 0
    assert [told.message for told in caplog.records] == ["spool file skipped"]
    (tmp_path / "damaged").unlink()
    assert drained(tmp_path) == RECORDS[2:]
    assert len(set_aside(tmp_path)) == 1


def test_a_large_damaged_piece_is_set_aside_whole(tmp_path: Path) -> None:
    large = a_record(bytes(range(256)) * 10_000)
    path = a_file(tmp_path, [numbered(1), large, numbered(2)])
    at = FIRST_RECORD + len(encode(numbered(1)))
    data = flip(path, at + 20, 0x10)
    assert drained(tmp_path) == [numbered(1), numbered(2)]
    assert set_aside(tmp_path) == {f"{path.name}.{at}": data[at : at + len(encode(large))]}


def test_reading_finds_the_next_record_wherever_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_format, "_SEARCH_BYTES", 64)
    for length in range(1, 200):
        path = a_file(tmp_path, RECORDS[:1])
        path.write_bytes(path.read_bytes() + b"?" * length + encode(RECORDS[1]))
        assert Spool(tmp_path).state().records == 2
        assert drained(tmp_path) == RECORDS[:2]


@pytest.mark.parametrize("length", [50, 5000])
def test_half_a_record_in_the_middle_does_not_swallow_the_next(tmp_path: Path, length: int) -> None:
    path = a_file(tmp_path, RECORDS[:1])
    half = encode(a_record(b"x" * length))[:70]
    path.write_bytes(path.read_bytes() + half + encode(RECORDS[2]) + encode(RECORDS[3]))
    assert drained(tmp_path) == [RECORDS[0], RECORDS[2], RECORDS[3]]
    assert list(set_aside(tmp_path).values()) == [half]


def forged(microseconds: int, content_type: bytes, version: int = VERSION) -> bytes:
    """Make a record whose checksums fit and whose content makes no sense."""
    layout, lengths = spool_format._FIELDS[VERSION], (len(content_type), 0, 0)
    fields = layout.pack(MAGIC, version, microseconds, *lengths)
    fields += spool_format._checksum(fields, content_type)
    return fields + spool_format._checksum(fields) + content_type


@pytest.mark.parametrize(
    "content",
    [
        forged(2**63 - 1, b""),
        forged(-(2**63), b""),
        forged(0, b"\xff\xfe"),
        forged(0, b"text/xml", version=VERSION + 1),
        b"\x00" * 300,
        MAGIC * 30,
    ],
)
def test_bytes_that_only_look_like_a_record_are_set_aside(tmp_path: Path, content: bytes) -> None:
    path = a_file(tmp_path, RECORDS[:1])
    path.write_bytes(path.read_bytes() + content + encode(RECORDS[1]))
    assert Spool(tmp_path).state().records in (2, 3)  # a header may be sound, and the rest not
    assert drained(tmp_path) == RECORDS[:2]
    assert list(set_aside(tmp_path).values()) == [content]


LENGTH = offset(5)


@settings(max_examples=200, deadline=None)
@given(
    first=st.integers(FIRST_RECORD, LENGTH),
    second=st.integers(FIRST_RECORD, LENGTH),
    garbage=st.one_of(
        st.binary(max_size=300), st.just(MAGIC), st.just(encode(a_record(b"and no end"))[:-9])
    ),
)
def test_any_stretch_may_be_overwritten_and_all_other_records_come_out(
    first: int, second: int, garbage: bytes
) -> None:
    start, stop = sorted((first, second))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = a_file(folder, RECORDS)
        data = path.read_bytes()
        path.write_bytes(data[:start] + garbage + data[stop:])
        taken = drained(folder, limit=2)
        before, after = (start - FIRST_RECORD) // SIZE, -(-(stop - FIRST_RECORD) // SIZE)
        whole = RECORDS[:before] + RECORDS[max(before, after) :]
        assert [record for record in taken if record in whole] == whole
        assert all(record in RECORDS for record in taken)
        assert not segments(folder)


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=1000))
def test_a_file_of_anything_raises_nothing_and_is_kept_for_people(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = a_file(folder, RECORDS[:1])
        path.write_bytes(content)
        Spool(folder).state()
        assert drained(folder) == []
        rest = content[FIRST_RECORD:]
        kept = b"".join(set_aside(folder).values())
        assert kept == rest or MAGIC.startswith(rest[:8])


def test_what_was_drained_before_the_damage_stays_done(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append([numbered(each) for each in range(6)])
    (path,) = segments(tmp_path)
    seen: list[int] = []

    def take(records: list[SpoolRecord]) -> None:
        if len(seen) == 4:
            raise ConnectionError
        seen.extend(number(record) for record in records)

    with pytest.raises(ConnectionError):
        spool.drain(take, limit=2)
    flip(path, FIRST_RECORD + 3, 0xFF)
    assert [number(record) for record in drained(tmp_path)] == [4, 5]


def test_times_survive_to_the_microsecond(tmp_path: Path) -> None:
    a_file(tmp_path, [a_record()])
    assert drained(tmp_path)[0].received_at.isoformat() == NOW.isoformat()
