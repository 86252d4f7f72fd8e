"""What the rows of a file have said so far: finds the same number or reference in an earlier row.

It is kept in a temporary database of SQLite's own, which goes to a nameless file when it grows: the
memory stays flat whatever the file, and nothing of it is left on the disk, even after a kill.
"""

import sqlite3
from collections.abc import Iterable


class Marks:
    """The values of rows up to `row`; whoever goes on with a batch reads them anew."""

    def __init__(self) -> None:
        self.row = 0
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA cache_size = -8192")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(
            "CREATE TABLE seen (value TEXT PRIMARY KEY, row INTEGER) WITHOUT ROWID"
        )

    def firsts(self, kind: str, values: Iterable[tuple[str | None, int]]) -> dict[int, int]:
        """Note values of rows; returns the earlier row that has the same one, by row."""
        rows = [(f"{kind} {value}", row) for value, row in values if value]
        before = self._database.total_changes
        self._database.execute("BEGIN")
        self._database.executemany("INSERT INTO seen VALUES (?, ?) ON CONFLICT DO NOTHING", rows)
        self._database.execute("COMMIT")
        if self._database.total_changes - before == len(rows):
            return {}
        firsts = {row: self._first(key) for key, row in rows}
        return {row: first for row, first in firsts.items() if first < row}

    def _first(self, key: str) -> int:
        found = self._database.execute("SELECT row FROM seen WHERE value = ?", (key,))
        return int(found.fetchone()[0])

    def close(self) -> None:
        """Forget everything."""
        self._database.close()
