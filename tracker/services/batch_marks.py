"""What the rows of a file have said so far: finds the same number or reference in an earlier row.

It is kept in a temporary database of SQLite's own, which goes to a nameless file when it grows: the
memory stays flat whatever the file, and nothing of it is left on the disk, even after a kill.
"""

import sqlite3


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

    def first(self, kind: str, value: str | None, row: int) -> int | None:
        """Note a value of a row; returns the earlier row that has it too."""
        if not value:
            return None
        key = f"{kind} {value}"
        added = self._database.execute(
            "INSERT INTO seen VALUES (?, ?) ON CONFLICT DO NOTHING", (key, row)
        )
        if added.rowcount:
            return None
        (found,) = self._database.execute("SELECT row FROM seen WHERE value = ?", (key,)).fetchone()
        return int(found) if found < row else None

    def close(self) -> None:
        """Forget everything."""
        self._database.close()
