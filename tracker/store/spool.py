"""The spool: files that keep postbacks while the database is away.

The format is our own because what stands in for the database must be no more than a few fsynced
bytes, written and read back when everything else fails; queues built on SQLite or pickle answer
before the disk has it, and stop at the first bytes they cannot read.

    <folder>/<time>-<pid>-<random>.spool2   postbacks, in order; see `spool_format`
    <folder>/damaged/<file>.<offset>        bytes that are no record, kept for people

Every file has one process that writes it. A lock (`flock`) is held on it during an append, and
during a drain from the first record to its removal; nobody waits for one: whoever appends takes
another file, whoever drains comes back later. So any process may drain what any other has written,
living or dead. The folder must be on a local disk; locks and fsync of a network share promise less.

    OSError
      SpoolError    full or failing: nothing of the call may be acknowledged
"""

import errno
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from .spool_files import Claim, Segment, count, file_size, make_folder, plain_files
from .spool_format import SpoolRecord, Tally, encode

__all__ = ["MAX_BYTES", "Spool", "SpoolError", "SpoolRecord", "SpoolState"]

log = logging.getLogger(__name__)

MAX_BYTES: Final = 1024**3
SEGMENT_BYTES: Final = 8 * 1024**2  # then the next file, so that a drain gives room back
MEASURE_SECONDS: Final = 1.0
APPEND_TRIES: Final = 10  # a drain may catch even a file just made, in the moment before its lock

_NAME: Final = re.compile(r"\d{8}T\d{6}\.\d{6}Z-\d+-[0-9a-f]{8}\.spool2?")
_SENTENCES: Final = {
    errno.ENOSPC: "the disk of the spool is full",
    errno.EDQUOT: "the disk quota of the spool is used up",
    errno.EFBIG: "the spool may not write a file of this size",
    errno.EIO: "the disk of the spool fails",
    errno.EROFS: "the disk of the spool is read-only",
    errno.EACCES: "the folder of the spool may not be written",
}
_T = TypeVar("_T")


class SpoolError(OSError):
    """The spool is full or failing: nothing of the call may be acknowledged."""


@dataclass(frozen=True, slots=True)
class SpoolState:
    """What waits: records, bytes of their files, the oldest; `set_aside` counts damaged pieces."""

    records: int
    bytes: int
    oldest_at: datetime | None
    set_aside: int


class Spool:
    """The spool in one folder; threads may share it, and other processes the folder."""

    def __init__(
        self, folder: Path, max_bytes: int = MAX_BYTES, *, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self._folder = folder
        self._damaged = folder / "damaged"
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._lock = threading.Lock()  # over the segment and the measure
        self._segment: Segment | None = None
        self._used = 0
        self._measured_at = float("-inf")
        self._tallies: dict[str, Tally] = {}
        self._told: set[str] = set()

    def append(self, records: Sequence[SpoolRecord]) -> None:
        """Keep records; they are on the disk when it returns.

        Raises:
            SpoolError: they are not, none of them. Some may still come out of a later drain.
            ValueError: a time has no zone.
        """
        data = b"".join(map(encode, records))
        if not data:
            return
        with self._lock, _plainly():
            self._require_room(len(data))
            self._write(data)
            self._used += len(data)

    def state(self) -> SpoolState:
        """Count what waits in the files of all processes, by the headers of new records only.

        Raises:
            SpoolError: the folder cannot be read.
        """
        with _plainly():
            segments = self._segments()
            size = sum(map(file_size, segments))
            set_aside = len(plain_files(self._damaged))
        tallies = {path.name: self._attempt(path, count, path, self._tallies) for path in segments}
        known = {name: found for name, found in tallies.items() if found is not None}
        self._tallies = known
        times = [found.oldest_at for found in known.values() if found.oldest_at is not None]
        return SpoolState(
            records=sum(found.records for found in known.values()),
            bytes=size,
            oldest_at=min(times, default=None),
            set_aside=set_aside,
        )

    def check(self) -> None:
        """Look whether an append would find a place.

        Raises:
            SpoolError: it would not.
        """
        with self._lock, _plainly():
            make_folder(self._folder)
            self._require_room(1)
            if not os.access(self._folder, os.W_OK):
                raise PermissionError(errno.EACCES, "not writable")
            if os.statvfs(self._folder).f_bavail == 0:
                raise OSError(errno.ENOSPC, "full")

    def drain(
        self,
        take: Callable[[list[SpoolRecord]], None],
        *,
        limit: int = 256,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> int:
        """Hand over what waits, oldest first, and return how many records `take` has taken.

        `take` gets up to `limit` records, which are done when it returns. What it raises comes out
        here, and its records stay. A file that another process is busy with is left for next time.

        Raises:
            SpoolError: the folder cannot be read.
        """
        with _plainly():
            waiting = self._segments()
        taken = 0
        for path in waiting:
            if should_stop():
                break
            taken += self._drain_file(path, take, limit, should_stop)
        return taken

    def set_aside(self, records: Sequence[SpoolRecord]) -> None:
        """Keep for people what the database cannot take, in a file of the same format.

        Raises:
            SpoolError: it is not kept.
        """
        aside = Spool(self._damaged)
        try:
            aside.append(records)
        finally:
            aside.close()

    def erase_set_aside(self, is_meant: Callable[[bytes], bool], *, only_counts: bool) -> int:
        """Remove files of what was set aside, those that `is_meant` says; returns how many.

        Raises:
            SpoolError: the folder cannot be read or written.
        """
        with _plainly():
            meant = [path for path in plain_files(self._damaged) if is_meant(path.read_bytes())]
            for path in [] if only_counts else meant:
                path.unlink(missing_ok=True)
        return len(meant)

    def close(self) -> None:
        """Close the file that is open for writing; a later append opens another."""
        with self._lock:
            self._seal()

    def _segments(self) -> list[Path]:
        return [path for path in plain_files(self._folder) if _NAME.fullmatch(path.name)]

    def _require_room(self, wanted: int) -> None:
        """Raise when the files would outgrow their bound; others write too, so look now and then.

        Nobody is refused on an old measure, since a drain may have made room meanwhile.
        """
        is_old = time.monotonic() - self._measured_at > MEASURE_SECONDS
        if is_old or self._used + wanted > self._max_bytes:
            everything = [*plain_files(self._folder), *plain_files(self._damaged)]
            self._used = sum(map(file_size, everything))
            self._measured_at = time.monotonic()
        if self._used + wanted > self._max_bytes:
            raise SpoolError(f"the spool is full: it may hold {self._max_bytes} bytes")

    def _write(self, data: bytes) -> None:
        # After a fork this is the parent's file: both would share its lock.
        if self._segment and self._segment.owner != os.getpid():
            self._seal()
        try:
            size = self._append(data)
        except BaseException:
            # A file that failed once is written no more. Above all, a second fsync may succeed
            # although the bytes of the first are lost.
            self._seal()
            raise
        if size >= self._segment_bytes:
            self._seal()

    def _append(self, data: bytes) -> int:
        """Write to the file at hand, or else to a new one; return the size it then has."""
        for _ in range(APPEND_TRIES):
            if self._segment and self._segment.append(data):
                return self._segment.size
            self._seal()
            make_folder(self._folder)
            self._segment = Segment(self._folder)
        raise SpoolError("the disk of the spool does not give locks on files")

    def _seal(self) -> None:
        if self._segment:
            self._segment.close()
        self._segment = None

    def _drain_file(
        self,
        path: Path,
        take: Callable[[list[SpoolRecord]], None],
        limit: int,
        should_stop: Callable[[], bool],
    ) -> int:
        with self._lock:
            if self._segment and self._segment.path == path:
                self._seal()
        claim = self._attempt(path, Claim.of, path)
        if claim is None:
            return 0
        try:
            return self._drain_claim(claim, take, limit, should_stop)
        finally:
            claim.close()

    def _drain_claim(
        self,
        claim: Claim,
        take: Callable[[list[SpoolRecord]], None],
        limit: int,
        should_stop: Callable[[], bool],
    ) -> int:
        """Drain one file; `take` stands outside of `_attempt`, as its errors are not the file's."""
        taken = 0
        while not should_stop():
            batch = self._attempt(claim.path, claim.read, limit)
            if batch is None:
                break
            if batch.records:
                take(batch.records)
                taken += len(batch.records)
            if not self._attempt(claim.path, claim.finish, batch, self._damaged):
                break
        return taken

    def _attempt(self, path: Path, do: Callable[..., _T | None], *arguments: object) -> _T | None:
        """Return what `do` returns, or None when the file cannot be used, which is logged once."""
        try:
            return do(*arguments)
        except FileNotFoundError:
            return None  # drained and removed by somebody else
        except OSError as error:
            if path.name not in self._told:
                self._told.add(path.name)
                log.warning(
                    "spool file skipped", extra={"file": path.name, "reason": error.strerror}
                )
            return None


@contextmanager
def _plainly() -> Iterator[None]:
    """Raise every error of the disk as `SpoolError`, in a plain sentence."""
    try:
        yield
    except SpoolError:
        raise
    except OSError as error:
        raise SpoolError(_sentence(error)) from error


def _sentence(error: OSError) -> str:
    fallback = f"the spool cannot be used: {error.strerror or error}"
    return _SENTENCES.get(error.errno or 0, fallback)
