"""The spool in one process: what goes in comes out, once and in order, or the call fails."""

import errno
import fcntl
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from spool_support import NOW, a_record, drained, number, numbered, segments

from tracker.store.spool import Spool, SpoolError, SpoolRecord, SpoolState
from tracker.store.spool_format import MAGIC, encode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "spool"


@pytest.fixture
def spool(folder: Path) -> Iterator[Spool]:
    spool = Spool(folder)
    yield spool
    spool.close()


def keep(spool: Spool, numbers: Sequence[int]) -> None:
    for each in numbers:
        spool.append([numbered(each)])


def numbers(records: Sequence[SpoolRecord]) -> list[int]:
    return [number(record) for record in records]


def after_one_batch() -> Callable[[], bool]:
    """Let a drain open its first file and take one batch of it."""
    answers = iter([False, False])
    return lambda: next(answers, True)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in segments(folder)}


# --- what goes in comes out


@pytest.mark.parametrize(
    "record",
    [
        a_record(b""),
        a_record(bytes(range(256))),
        a_record(b"\r\n\x00\xff" * 5),
        a_record(MAGIC * 3),
        a_record(encode(a_record(b"a record in a record"))),
        a_record(b"x" * 3_000_000),
        a_record(content_type=None),
        a_record(content_type=""),
        a_record(content_type="text/xml; charset=\u00fc\u20ac\U0001f39f \udcff\ud800"),
        a_record(headers=""),
        a_record(headers="host: tracker.example\nvia: é"),
        a_record(content_type=None, headers="host: tracker.example"),
        a_record(received_at=datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        a_record(received_at=datetime.max.replace(tzinfo=UTC)),
        a_record(received_at=datetime.min.replace(tzinfo=UTC)),
    ],
)
def test_a_record_comes_out_as_it_went_in(spool: Spool, folder: Path, record: SpoolRecord) -> None:
    spool.append([numbered(1), record, numbered(2)])
    assert drained(folder) == [numbered(1), record, numbered(2)]


# As the version before the headers wrote them: a mark, then two records, one without content type.
VERSION_1 = (
    "89554e54494c0d0a000000000000001498a0de4a"
    "8953504f4f4c0d0a0100064c2bc71942cb000000080000000b1dfb874ec854596d746578742f786d6c"
    "3c706f73746261636b2f3e"
    "8953504f4f4c0d0a0100064c2bc71942cbffffffff00000004b8d07f6bac3aaaf03c782f3e"
)


def test_a_file_of_an_older_version_is_counted_and_drained_with_ours(
    spool: Spool, folder: Path
) -> None:
    keep(spool, [1])
    older = folder / "20260101T000000.000000Z-1-00000000.spool"
    older.write_bytes(bytes.fromhex(VERSION_1))
    assert spool.state().records == 3
    old = [a_record(), a_record(b"<x/>", content_type=None)]
    assert drained(folder) == [*old, numbered(1)]
    assert not segments(folder)


def test_a_torn_record_of_an_older_version_is_cut(folder: Path) -> None:
    folder.mkdir(parents=True)
    older = folder / "20260101T000000.000000Z-1-00000000.spool"
    for cut in (1, 10, 36):
        older.write_bytes(bytes.fromhex(VERSION_1)[:-cut])
        assert drained(folder) == [a_record()]
        assert not any(folder.iterdir())


def test_older_versions_leave_our_files_alone(spool: Spool, folder: Path) -> None:
    keep(spool, [1])
    assert [path.suffix for path in segments(folder)] == [".spool2"]


def test_a_time_of_another_zone_comes_out_in_utc(spool: Spool, folder: Path) -> None:
    spool.append([a_record(received_at=NOW.astimezone(timezone(timedelta(hours=-5, minutes=30))))])
    (record,) = drained(folder)
    assert record.received_at == NOW
    assert record.received_at.tzinfo is UTC


def test_a_time_without_a_zone_is_refused_and_nothing_is_kept(spool: Spool, folder: Path) -> None:
    naive = NOW.replace(tzinfo=None)
    with pytest.raises(ValueError, match="zone"):
        spool.append([numbered(1), a_record(received_at=naive)])
    assert not folder.exists()


def test_nothing_to_append_makes_no_file(spool: Spool, folder: Path) -> None:
    spool.append([])
    assert not folder.exists()


def test_a_folder_that_is_not_there_is_an_empty_spool(spool: Spool) -> None:
    assert spool.state() == SpoolState(records=0, bytes=0, oldest_at=None, set_aside=0)
    assert spool.drain(lambda _: None) == 0


def test_records_come_out_in_order_across_files(folder: Path) -> None:
    spool = Spool(folder, segment_bytes=1000)
    keep(spool, range(40))
    assert len(segments(folder)) > 5
    assert numbers(drained(folder)) == list(range(40))
    assert not segments(folder)


def test_take_gets_no_more_than_the_limit_at_once(spool: Spool) -> None:
    keep(spool, range(10))
    batches: list[list[int]] = []
    assert spool.drain(lambda records: batches.append(numbers(records)), limit=4) == 10
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_take_gets_no_more_than_some_megabytes_at_once(spool: Spool) -> None:
    spool.append([a_record(b"x" * 7_000_000)] * 5)
    batches: list[int] = []
    spool.drain(lambda records: batches.append(len(records)))
    assert batches == [3, 2]


def test_others_can_neither_read_the_files_nor_list_the_folder(spool: Spool, folder: Path) -> None:
    before = os.umask(0)
    try:
        keep(spool, [1])
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(segments(folder)[0].stat().st_mode) == 0o600


def test_a_closed_spool_opens_another_file(spool: Spool, folder: Path) -> None:
    keep(spool, [1])
    spool.close()
    spool.close()
    keep(spool, [2])
    assert len(segments(folder)) == 2
    assert numbers(drained(folder)) == [1, 2]


# --- durable when it returns


def test_file_and_new_names_are_fsynced_before_append_returns(
    spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, int]] = []

    def fsync(file: int) -> None:
        found = os.fstat(file)
        synced.append((found.st_ino, found.st_size if stat.S_ISREG(found.st_mode) else 0))
        real(file)

    real = os.fsync
    monkeypatch.setattr(os, "fsync", fsync)
    keep(spool, [1])
    file = segments(folder)[0].stat()
    in_folder, above, top = (path.stat().st_ino for path in (folder, *folder.parents[:2]))
    assert synced == [(top, 0), (above, 0), (file.st_ino, file.st_size), (in_folder, 0)]
    synced.clear()
    keep(spool, [2])
    file = segments(folder)[0].stat()
    assert synced == [(file.st_ino, file.st_size)]


# --- a drain that does not get to its end


def test_what_take_raises_comes_out_and_leaves_its_records(spool: Spool, folder: Path) -> None:
    keep(spool, range(10))
    taken: list[int] = []

    def take(records: list[SpoolRecord]) -> None:
        if 4 in numbers(records):
            raise ConnectionRefusedError("no database")
        taken.extend(numbers(records))

    with pytest.raises(ConnectionRefusedError, match="no database"):
        spool.drain(take, limit=3)
    assert taken == [0, 1, 2]
    assert spool.state().records == 7
    assert numbers(drained(folder)) == [3, 4, 5, 6, 7, 8, 9]


def test_a_drain_stops_between_batches_when_told(spool: Spool, folder: Path) -> None:
    keep(spool, range(6))
    taken: list[int] = []
    stop = threading.Event()

    def take(records: list[SpoolRecord]) -> None:
        taken.extend(numbers(records))
        stop.set()

    assert spool.drain(take, limit=2, should_stop=stop.is_set) == 2
    assert spool.drain(take, limit=2, should_stop=stop.is_set) == 0
    assert taken == [0, 1]
    assert numbers(drained(folder)) == [2, 3, 4, 5]


def test_what_is_appended_during_a_drain_comes_with_the_next(spool: Spool, folder: Path) -> None:
    keep(spool, [1])
    assert spool.drain(lambda _: keep(spool, [2])) == 1
    assert numbers(drained(folder)) == [2]


def test_a_file_that_is_being_drained_is_not_taken_twice(spool: Spool, folder: Path) -> None:
    keep(spool, [1])
    others: list[SpoolRecord] = []
    assert spool.drain(lambda _: others.extend(drained(folder))) == 1
    assert others == []


def test_a_file_that_is_locked_is_left_for_next_time(spool: Spool, folder: Path) -> None:
    keep(spool, [1])
    with segments(folder)[0].open("rb") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        assert drained(folder) == []
    assert numbers(drained(folder)) == [1]


def test_another_spool_drains_the_file_of_one_that_lives(spool: Spool, folder: Path) -> None:
    keep(spool, [1, 2])
    backup = folder / "backup"
    backup.hardlink_to(segments(folder)[0])
    assert numbers(drained(folder)) == [1, 2]
    keep(spool, [3])
    assert numbers(drained(folder)) == [3]
    assert backup.exists()


def test_a_file_drained_in_part_is_appended_to(spool: Spool, folder: Path) -> None:
    keep(spool, [1, 2, 3])
    other = Spool(folder)
    assert other.drain(lambda _: None, limit=1, should_stop=after_one_batch()) == 1
    keep(spool, [4])
    assert len(segments(folder)) == 1
    assert numbers(drained(folder)) == [2, 3, 4]


def test_after_a_drain_of_its_own_file_a_spool_takes_another(spool: Spool, folder: Path) -> None:
    keep(spool, [1, 2])
    spool.drain(lambda _: None, limit=1, should_stop=after_one_batch())
    keep(spool, [3])
    assert len(segments(folder)) == 2
    assert numbers(drained(folder)) == [2, 3]


def test_a_file_cut_by_hand_is_not_written_any_more(spool: Spool, folder: Path) -> None:
    keep(spool, [1, 2])
    os.truncate(segments(folder)[0], len(encode(numbered(1))) + 20)
    keep(spool, [3])
    assert len(segments(folder)) == 2
    assert numbers(drained(folder)) == [1, 3]


def test_a_folder_removed_by_hand_is_made_again(spool: Spool, folder: Path) -> None:
    keep(spool, [1])
    segments(folder)[0].unlink()
    folder.rmdir()
    keep(spool, [2])
    assert numbers(drained(folder)) == [2]


# --- names that are not ours


def test_what_else_lies_in_the_folder_is_left_alone(spool: Spool, folder: Path) -> None:
    keep(spool, [1])
    name = segments(folder)[0].name
    (folder / "README").write_text("hands off")
    (folder / "notes.spool").write_bytes(encode(numbered(7)))
    (folder / f"{name}2").write_bytes(b"a later format")
    (folder / name.replace("-", "-1", 1)).mkdir()
    (folder / name.replace("-", "-2", 1)).symlink_to(folder / "README")
    os.mkfifo(folder / name.replace("-", "-3", 1))
    left = {path.name for path in folder.iterdir()} - {name}
    assert spool.state().records == 1
    assert numbers(drained(folder)) == [1]
    assert {path.name for path in folder.iterdir()} == left


# --- bounds


def test_the_spool_is_full_at_its_bound_and_a_drain_makes_room(folder: Path) -> None:
    spool = Spool(folder, max_bytes=5000)
    record = a_record(b"x" * 1000)
    with pytest.raises(SpoolError, match="full"):  # noqa: PT012
        for _ in range(9):
            spool.append([record])
    assert spool.state().records == 4
    assert spool.state().bytes < 5000
    with pytest.raises(SpoolError, match="full"):
        spool.append([record])
    assert drained(folder) == [record] * 4
    spool.append([record])
    assert drained(folder) == [record]


def test_the_files_of_others_and_damaged_pieces_count_towards_the_bound(folder: Path) -> None:
    other = Spool(folder)
    other.append([a_record(b"x" * 3000)])
    (folder / "damaged").mkdir()
    (folder / "damaged" / "piece").write_bytes(b"x" * 1000)
    spool = Spool(folder, max_bytes=5000)
    spool.append([a_record(b"x" * 500)])
    with pytest.raises(SpoolError, match="full"):
        spool.append([a_record(b"x" * 500)])


# --- state


def test_state_counts_what_waits_in_all_files(spool: Spool, folder: Path) -> None:
    other = Spool(folder)
    spool.append([a_record(received_at=NOW), a_record(received_at=NOW - timedelta(minutes=2))])
    other.append([a_record(received_at=NOW - timedelta(minutes=1))])
    size = sum(path.stat().st_size for path in segments(folder))
    expected = SpoolState(3, size, NOW - timedelta(minutes=2), 0)
    assert spool.state() == other.state() == Spool(folder).state() == expected


def test_state_follows_appends_and_drains(folder: Path) -> None:
    spool, watch = Spool(folder, segment_bytes=3000), Spool(folder)
    for each in range(60):
        spool.append([a_record(b"x" * 200, received_at=NOW + timedelta(seconds=each))])
        state = watch.state()
        assert (state.records, state.oldest_at) == (each + 1, NOW)
    left = 60
    while left:
        left -= spool.drain(lambda _: None, limit=7, should_stop=after_one_batch())
        state = watch.state()
        assert state.records == left
        assert state.oldest_at == (NOW + timedelta(seconds=60 - left) if left else None)
    assert watch.state().bytes == 0


def test_state_reads_no_bodies_and_nothing_twice(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.append([a_record(b"x" * 100_000)] * 20)
    read = 0

    def pread(file: int, size: int, at: int) -> bytes:
        nonlocal read
        found = real(file, size, at)
        read += len(found)
        return found

    real = os.pread
    monkeypatch.setattr(os, "pread", pread)
    assert spool.state().records == 20
    assert read < 1000
    read = 0
    assert spool.state().records == 20
    assert read < 50


# --- disks that fail


def failing(code: int, after: int = 0) -> object:
    """Stand in for `os.write` on a disk that takes some bytes and then no more."""
    real, left = os.write, after

    def write(file: int, data: bytes) -> int:
        nonlocal left
        if not left:
            raise OSError(code, os.strerror(code))
        taken, left = real(file, data[:left]), 0
        return taken

    return write


@pytest.mark.parametrize("after", [0, 1, 25, 60])
@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.ENOSPC, "the disk of the spool is full"),
        (errno.EDQUOT, "the disk quota of the spool is used up"),
        (errno.EIO, "the disk of the spool fails"),
        (errno.EROFS, "the disk of the spool is read-only"),
        (errno.ENODEV, "the spool cannot be used: No such device"),
    ],
)
def test_a_write_that_fails_is_said_plainly_and_taken_back(
    spool: Spool, folder: Path, code: int, sentence: str, after: int
) -> None:
    keep(spool, [1])
    before = contents(folder)
    with pytest.MonkeyPatch.context() as patch:
        for _ in range(2):  # into the file at hand, then into a new one
            patch.setattr(os, "write", failing(code, after))
            with pytest.raises(SpoolError) as caught:
                spool.append([numbered(2), numbered(3)])
            assert str(caught.value) == sentence
            patch.undo()
            assert contents(folder) == before
    keep(spool, [4])
    assert numbers(drained(folder)) == [1, 4]


def test_after_a_failed_fsync_the_file_is_not_trusted_again(
    spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    keep(spool, [1])
    before = contents(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(SpoolError, match="fails"):
            keep(spool, [2])
    assert contents(folder) == before
    keep(spool, [3])
    assert len(segments(folder)) == 2
    assert numbers(drained(folder)) == [1, 3]


def test_half_a_record_that_cannot_be_taken_back_is_cut_by_the_drain(
    spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def ftruncate(file: int, size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    keep(spool, [1])
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", failing(errno.EIO, after=50))
        patch.setattr(os, "ftruncate", ftruncate)
        with pytest.raises(SpoolError):
            keep(spool, [2])
    keep(spool, [3])
    name = segments(folder)[0].name
    assert numbers(drained(folder)) == [1, 3]
    (told,) = caplog.records
    assert told.message == "spool file ends in half a record, which is cut"
    assert (told.__dict__["file"], told.__dict__["bytes"]) == (name, 50)


def test_an_interrupted_append_is_taken_back(
    spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(file: int) -> None:
        raise SystemExit(1)  # as a worker that is told to go

    keep(spool, [1])
    before = contents(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(SystemExit):
            keep(spool, [2])
    assert contents(folder) == before
    keep(spool, [3])
    assert numbers(drained(folder)) == [1, 3]


def test_a_disk_without_locks_is_an_error_and_not_a_loop(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: int, operation: int) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(SpoolError, match="locks"):
        keep(spool, [1])


def test_a_file_where_the_folder_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("")
    spool = Spool(tmp_path / "spool")
    for call in (lambda: keep(spool, [1]), lambda: spool.drain(lambda _: None), spool.state):
        with pytest.raises(SpoolError, match="cannot be used"):
            call()


def test_a_bad_place_on_the_disk_holds_up_only_what_lies_behind_it(
    spool: Spool,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def pread(file: int, size: int, at: int) -> bytes:
        if os.fstat(file).st_ino == bad and at >= 2 * len(encode(numbered(1))):
            raise OSError(errno.EIO, "Input/output error")
        return real(file, size, at)

    spool.append([numbered(1)] * 4)
    spool.close()
    keep(spool, [2])
    bad, real = segments(folder)[0].stat().st_ino, os.pread
    taken: list[SpoolRecord] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", pread)
        for _ in range(3):
            spool.drain(taken.extend)
    assert numbers(taken) == [1, 1, 2]
    (told,) = caplog.records
    assert told.message == "spool file skipped"
    assert told.__dict__["reason"] == "Input/output error"
    assert numbers(drained(folder)) == [1, 1]


def test_a_mark_that_cannot_be_written_repeats_the_batch_and_raises_nothing(
    spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def pwrite(file: int, data: bytes, at: int) -> int:
        raise OSError(errno.EIO, "Input/output error")

    keep(spool, range(4))
    taken: list[SpoolRecord] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        assert spool.drain(taken.extend, limit=2) == 2
    assert numbers(drained(folder)) == [0, 1, 2, 3]
    assert [told.levelno for told in caplog.records] == [logging.WARNING]
