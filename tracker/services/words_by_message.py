"""The words of a statistics file in groups that one message may be found in, whatever its size.

They are put in order in a temporary database of SQLite's own, which goes to a nameless file when it
grows: the memory stays flat, and nothing is left on the disk, even after a kill.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields
from datetime import datetime
from itertools import groupby

from tracker.domain.reconciling import Word
from tracker.domain.status import Status

_COLUMNS = [field.name for field in fields(Word)]


class WordsByMessage:
    """All words of a file; `groups` gives those about one number and one MMS id together."""

    def __init__(self) -> None:
        self.count = 0
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA cache_size = -8192")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("PRAGMA journal_mode = OFF")
        columns = ", ".join(f'"{name}"' for name in _COLUMNS)
        self._database.execute(f"CREATE TABLE words ({columns})")

    def add(self, words: Sequence[Word]) -> None:
        """Keep words."""
        marks = ", ".join("?" * len(_COLUMNS))
        self._database.execute("BEGIN")
        self._database.executemany(
            f"INSERT INTO words VALUES ({marks})",  # noqa: S608
            map(_row, words),
        )
        self._database.execute("COMMIT")
        self.count += len(words)

    def groups(self) -> Iterator[list[Word]]:
        """Yield what was kept, by number and MMS id."""
        rows = self._database.execute('SELECT * FROM words ORDER BY "to", mms_id, queued_at')
        for _, group in groupby(map(_word, rows), key=lambda one: (one.to, one.mms_id)):
            yield list(group)

    def close(self) -> None:
        """Forget everything."""
        self._database.close()


def _row(one: Word) -> tuple[object, ...]:
    return tuple(
        value.isoformat() if isinstance(value, datetime) else value and str(value)
        for value in astuple(one)
    )


def _word(row: tuple[str, ...]) -> Word:
    told = dict(zip(_COLUMNS, row, strict=True))
    status = Status(told["status"]) if told["status"] else None
    queued_at = datetime.fromisoformat(told["queued_at"])
    return Word(**{**told, "status": status, "queued_at": queued_at})  # type: ignore[arg-type]
