"""The spool among processes: killed, beside each other, without rights, on disks that are full."""

import collections
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from spool_support import a_record, drained, number, numbered, output, program, segments

from tracker.store.spool import Spool, SpoolError, SpoolRecord

SECONDS = 20


def numbers(records: list[SpoolRecord]) -> list[int]:
    return [number(record) for record in records]


@pytest.mark.parametrize("round_", range(10))
def test_every_record_kept_by_a_process_killed_later_comes_out_once(
    tmp_path: Path, round_: int
) -> None:
    spread = random.Random(round_)  # the same moments in every run, as far as the machine lets us
    acknowledged: list[int] = []
    for process_number in range(2):
        process = program("append", tmp_path, process_number * 100_000, 100_000)
        assert process.stdout
        acknowledged.append(int(process.stdout.readline()))
        time.sleep(spread.uniform(0, 0.05))
        process.kill()
        # Not `communicate`, which would pass over what `readline` has read ahead.
        acknowledged += map(int, process.stdout.read().split("\n")[:-1])
        process.communicate(timeout=SECONDS)
    came = numbers(drained(tmp_path))
    assert came == sorted(set(came))
    # One more of each process may have been written before its number was printed whole.
    missing, more = set(acknowledged) - set(came), set(came) - set(acknowledged)
    assert not missing
    assert len(more) <= 2


@pytest.mark.parametrize("round_", range(6))
def test_a_drain_killed_in_the_middle_loses_nothing_and_repeats_one_batch_at_most(
    tmp_path: Path, round_: int
) -> None:
    spread = random.Random(round_)
    folder, ledger = tmp_path / "spool", tmp_path / "ledger"
    spool = Spool(folder, segment_bytes=20_000)
    spool.append([numbered(each) for each in range(60)])
    spool.append([numbered(each) for each in range(60, 400)])
    spool.close()
    for _ in range(2):
        process = program("drain", folder, ledger)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        time.sleep(spread.uniform(0, 0.06))
        process.kill()
        process.communicate(timeout=SECONDS)
    taken = list(map(int, ledger.read_text().split("\n")[:-1]))
    counts = collections.Counter(taken + numbers(drained(folder)))
    assert sorted(counts) == list(range(400))
    assert sum(counts.values()) <= 400 + 2 * 5


def test_two_append_and_two_drain_and_the_ledger_is_complete(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    ledgers = [tmp_path / "ledger1", tmp_path / "ledger2"]
    drains = [program("drain", folder, ledger) for ledger in ledgers]
    appends = [program("append", folder, first, 500) for first in (0, 1000)]
    for process in appends:
        said, _ = process.communicate(timeout=SECONDS)
        assert said.count("\n") == 500
    for process in drains:
        process.communicate("stop", timeout=SECONDS)
        assert process.returncode == 0
    taken = [int(line) for ledger in ledgers for line in ledger.read_text().split()]
    assert taken  # they drained beside the appends, not only afterwards
    taken += numbers(drained(folder))
    assert sorted(taken) == [*range(500), *range(1000, 1500)]


def test_threads_append_while_others_drain_and_count(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=5000)
    taken: list[int] = []
    is_over = threading.Event()

    def append(first: int) -> None:
        for each in range(first, first + 150):
            spool.append([numbered(each)])

    def drain() -> None:
        while not is_over.is_set():
            spool.drain(lambda records: taken.extend(numbers(records)), limit=7)
            spool.state()

    writers = [threading.Thread(target=append, args=(first,)) for first in (0, 1000, 2000)]
    readers = [threading.Thread(target=drain) for _ in range(2)]
    for thread in writers + readers:
        thread.start()
    for thread in writers:
        thread.join(SECONDS)
    is_over.set()
    for thread in readers:
        thread.join(SECONDS)
    spool.drain(lambda records: taken.extend(numbers(records)))
    assert sorted(taken) == [*range(150), *range(1000, 1150), *range(2000, 2150)]
    assert spool.state().records == 0


def test_a_forked_process_takes_a_file_of_its_own(tmp_path: Path) -> None:
    output("fork", tmp_path)
    assert len(segments(tmp_path)) == 2
    assert numbers(drained(tmp_path)) == [0, 2, 1]


def test_a_file_that_may_not_grow_is_an_error_and_what_was_kept_stays(tmp_path: Path) -> None:
    *kept, error, last = output("limit", tmp_path, 3000)
    assert error == "the spool may not write a file of this size"
    assert len(kept) > 5
    assert numbers(drained(tmp_path)) == [*map(int, kept), int(last)]


def test_without_rights_appends_fail_and_unreadable_files_are_skipped() -> None:
    # Not below pytest's own folder, which nobody else may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in (1, 2):
            spool = Spool(folder)
            spool.append([numbered(each)])
            spool.close()
        closed, readable = segments(folder)
        closed.chmod(0)
        readable.chmod(0o666)
        folder.chmod(0o555)
        said = output("nobody", folder)
        folder.chmod(0o700)
    if said == ["nobody is not to be had"]:
        pytest.skip("root cannot become another user here")
    assert said[0] == "the folder of the spool may not be written"
    assert said[1] == f"spool file skipped: {closed.name}, Permission denied"
    # It is done when it was taken, even if the file cannot be removed.
    assert said[2:] == ["[2]", f"spool file skipped: {readable.name}, Permission denied"]


@contextmanager
def a_small_disk(folder: Path) -> Iterator[Path]:
    """Mount a disk of 256 KiB; skip the test where that is not allowed."""
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root can mount a small disk")
    command = [mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_an_error_and_the_spool_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with a_small_disk(tmp_path / "disk") as disk:
        spool = Spool(disk / "spool")
        (disk / "other").write_bytes(b"x" * 100_000)
        kept: list[int] = []
        with pytest.raises(SpoolError, match="the disk of the spool is full"):  # noqa: PT012
            for each in range(10_000):
                spool.append([numbered(each)])
                kept.append(each)
        assert len(kept) > 100
        for _ in range(3):
            with pytest.raises(SpoolError, match="full"):
                spool.append([a_record(b"x" * 100_000)])
        assert spool.state().records == len(kept)
        (disk / "other").unlink()
        spool.append([numbered(20_000)])
        (disk / "other").write_bytes(b"x" * 10_000)
        assert numbers(drained(disk / "spool", limit=50)) == [*kept, 20_000]
        spool.close()


def test_a_full_disk_can_be_drained(tmp_path: Path) -> None:
    with a_small_disk(tmp_path / "disk") as disk:
        spool = Spool(disk / "spool")
        spool.append([numbered(each) for each in range(100)])
        spool.close()
        # A file whose process died before its first write needs no room either.
        (disk / "spool" / "20260304T050607.890123Z-1-00000000.spool").touch()
        with pytest.raises(OSError, match="No space"):
            (disk / "other").write_bytes(b"x" * 1_000_000)
        assert numbers(drained(disk / "spool", limit=9)) == list(range(100))
        assert not segments(disk / "spool")


def test_a_read_only_disk_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    with a_small_disk(tmp_path / "disk") as disk:
        spool = Spool(disk / "spool")
        spool.append([numbered(1)])
        spool.close()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(SpoolError, match="the disk of the spool is read-only"):
            spool.append([numbered(2)])
        assert spool.drain(lambda _: None) == 0
        assert spool.state().records == 1
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        assert numbers(drained(disk / "spool")) == [1]
