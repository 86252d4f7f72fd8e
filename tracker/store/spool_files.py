"""One file of the spool: to append to, to drain, to count. See `spool` for what they make up.

A `Segment` holds its lock during an append only, a `Claim` until it is closed.
"""

import fcntl
import logging
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from .spool_format import FIRST_RECORD, Piece, SpoolRecord, Tally, done_until, mark, pieces, tally

log = logging.getLogger(__name__)

BATCH_BYTES: Final = 16 * 1024**2
COPY_BYTES: Final = 1024**2


class Segment:
    """The file that this process appends to."""

    def __init__(self, folder: Path) -> None:
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{os.getpid()}-{secrets.token_hex(4)}.spool2"
        self.path = folder / name
        self.owner = os.getpid()
        self.size = 0  # up to here all is acknowledged
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        self._file = os.open(self.path, flags, 0o600)

    def append(self, data: bytes) -> bool:
        """Write and fsync; False when a drain has the file, or has removed it."""
        if not _lock(self._file, self.path):
            return False
        try:
            return self._append(data)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _append(self, data: bytes) -> bool:
        if os.fstat(self._file).st_size != self.size:
            return False  # somebody mended it by hand; what is there stays there
        try:
            self._write(data if self.size else mark(FIRST_RECORD) + data)
        except BaseException:
            self._undo()
            raise
        return True

    def _write(self, data: bytes) -> None:
        _write_all(self._file, data)
        os.fsync(self._file)
        if not self.size:
            _sync_folder(self.path.parent)
        self.size += len(data)

    def _undo(self) -> None:
        """Take back a failed write, as far as the disk lets us: a reader copes with the rest."""
        with suppress(OSError):
            os.ftruncate(self._file, self.size)
            if not self.size:
                self.path.unlink()


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in a row, or else the one piece that is none."""

    records: list[SpoolRecord]
    stop: int
    broken: Piece | None = None


class Claim:
    """A file that is ours to drain: nobody appends to it or drains it until `close`."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file = file
        self._at = done_until(file)
        self._end = os.fstat(file).st_size

    @classmethod
    def of(cls, path: Path) -> "Claim | None":
        """Claim a file; None when somebody else has it."""
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        claim = None
        try:
            claim = cls(path, file) if _lock(file, path) else None
        finally:
            if claim is None:
                os.close(file)
        return claim

    def close(self) -> None:
        """Let others have the file, or what is left of it."""
        # In so many words, since a child forked meanwhile would keep the lock with its copy.
        fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)

    def read(self, limit: int) -> Batch:
        """Read the next batch; an empty one is the end of the file."""
        records: list[SpoolRecord] = []
        stop = self._at
        try:
            for piece in pieces(self._file, stop, self._end):
                if piece.record is None and not records:
                    return Batch([], piece.stop, piece)
                if piece.record is None:
                    break  # the records before it shall not wait for it to be set aside
                records.append(piece.record)
                stop = piece.stop
                if len(records) >= limit or stop - self._at >= BATCH_BYTES:
                    break
        except OSError:
            if not records:  # what lies before the bad place on the disk goes first
                raise
        return Batch(records, stop)

    def finish(self, batch: Batch, damaged: Path) -> bool:
        """Remember that a batch is done; False when it was the last, and the file is gone."""
        if batch.broken:
            self._set_aside(batch.broken, damaged)
        if batch.stop > FIRST_RECORD:
            # In place, in bytes the file has had from the start: a full disk is no obstacle.
            os.pwrite(self._file, mark(batch.stop), 0)
            os.fdatasync(self._file)
        self._at = batch.stop
        if self._at < self._end:
            return True
        self.path.unlink()
        _sync_folder(self.path.parent)
        return False

    def _set_aside(self, piece: Piece, damaged: Path) -> None:
        told = {"file": self.path.name, "offset": piece.start, "bytes": piece.stop - piece.start}
        if piece.is_torn:
            log.warning("spool file ends in half a record, which is cut", extra=told)
            return
        make_folder(damaged)
        # The same piece gets the same name, should a crash make us come here twice.
        copy = damaged / f"{self.path.name}.{piece.start}"
        target = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _copy(self._file, piece, target)
            os.fsync(target)
        finally:
            os.close(target)
        _sync_folder(damaged)
        log.warning("damaged bytes of a spool file set aside", extra=told)


def count(path: Path, known: dict[str, Tally]) -> Tally:
    """Count one file, from where the last count ended if nothing was drained since."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        start, end = done_until(file), os.fstat(file).st_size
        last = known.get(path.name)
        if last is None or last.start != start or last.stop > end:
            last = Tally(start, start)
        return tally(file, last, end)
    finally:
        os.close(file)


def _lock(file: int, path: Path) -> bool:
    """Lock a file without waiting; False when it is locked, or no longer the file of this name."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had the lock before us may have drained and removed the file.
        return os.path.samestat(os.fstat(file), path.lstat())
    except (BlockingIOError, FileNotFoundError):
        return False


def plain_files(folder: Path) -> list[Path]:
    """Return the plain files of a folder, sorted by name; a folder that is not there has none."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(names)]


def file_size(path: Path) -> int:
    """Return the bytes of a file, 0 when it has gone meanwhile."""
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def make_folder(folder: Path) -> None:
    """Make a folder for its owner alone, if it is not there, and make that last."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder last; without it a new file can be gone after a power cut."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _copy(source: int, piece: Piece, target: int) -> None:
    for at in range(piece.start, piece.stop, COPY_BYTES):
        _write_all(target, os.pread(source, min(COPY_BYTES, piece.stop - at), at))
