"""The list of carriers out of a file: read by rows, compared, put in place of the old one."""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tracker.domain import carriers
from tracker.domain.carriers import COLUMNS, Difference, Entry
from tracker.domain.message import Problem
from tracker.store import accounts
from tracker.store import carriers as store
from tracker.store.db import Sessions

from . import batch_file
from .batch_file import FileError, Format, Row
from .csv_files import csv_lines

# A form that brings the rows back may take three times as much; see PAGE_BODY_BYTES of the worker.
MAX_BYTES: Final = 512 * 1024
MOST_ROWS: Final = 20_000
MOST_PROBLEMS: Final = 1_000
_QUOTED: Final = re.compile(r"'[=+\-@0-9\t\r]")


@dataclass(frozen=True, slots=True)
class WrongCell:
    """What is wrong with one cell; row 1 is the first below the header, 0 the header itself."""

    row: int
    column: str
    value: str
    reason: str


class WrongListError(ValueError):
    """Rows of the file are wrong; `problems` names them, the first thousand."""

    def __init__(self, problems: Sequence[WrongCell]) -> None:
        super().__init__(f"{len(problems)} cells are wrong")
        self.problems = tuple(problems)


def read(
    content: bytes, *, encoding: str | None = None, separator: str | None = None
) -> list[Entry]:
    """Return the carriers of a CSV file as spreadsheets write it.

    Raises:
        FileError: it cannot be read as rows.
        WrongListError: a row is wrong; nothing of the file is to be used then.
    """
    if len(content) > MAX_BYTES:
        raise FileError(f"it is larger than {MAX_BYTES // 1024} KiB")
    found = batch_file.detect(
        content[: batch_file.SAMPLE_BYTES],
        is_utf8=_is_utf8(content),
        encoding=encoding,
        separator=separator,
    )
    places, wrong = carriers.columns_of(found.headers)
    problems = [WrongCell(0, p.field, "", p.detail) for p in wrong]
    if problems:
        raise WrongListError(problems)
    return _entries(content, found, places)


def compare(sessions: Sessions, wanted: Sequence[Entry]) -> Difference:
    """Return what the list would come to; nothing is changed."""
    with sessions() as session:
        return carriers.compare(map(_entry, store.everything(session)), wanted)


def replace(sessions: Sessions, wanted: Sequence[Entry], actor: str, now: datetime) -> Difference:
    """Put a list in place of the one that is there, and say what that changed."""
    with sessions.begin() as session:
        store.lock(session)
        known = store.everything(session)
        found = carriers.compare(map(_entry, known), wanted)
        gone = {*found.gone, *(before for before, _ in found.changed)}
        ids = [row.id for row in known if _entry(row) in gone]
        store.change(session, ids, [*found.new, *(after for _, after in found.changed)])
        accounts.audit(session, actor, "carriers.import", detail=found.words, now=now)
    return found


def written(entries: Sequence[Entry]) -> str:
    """Return carriers as a file that `read` takes."""
    return csv_lines([COLUMNS, *((one.spid, one.country, one.name) for one in entries)])


def _entries(content: bytes, found: Format, places: dict[str, int]) -> list[Entry]:
    entries: dict[Entry, int] = {}
    problems: list[WrongCell] = []
    for row in _rows(content, found):
        entry, wrong = _entry_of(row, found, places)
        problems += [WrongCell(row.number, p.field, _shown(p.value), p.detail) for p in wrong]
        if entry in entries:
            said = f"stands in row {entries[entry]:,} already, with the same country and name"
            problems.append(WrongCell(row.number, "spid", entry.spid, said))
        elif entry:
            entries[entry] = row.number
        if len(problems) >= MOST_PROBLEMS:
            break
    if problems:
        raise WrongListError(problems[:MOST_PROBLEMS])
    if not entries:
        raise FileError("it has no row below its header, and so would leave no carrier")
    return list(entries)


def _rows(content: bytes, found: Format) -> Iterator[Row]:
    below = batch_file.rows(
        io.BytesIO(content).read, found.encoding, found.separator, begin=0, skip=found.begin
    )
    for row in below:
        if row.number > MOST_ROWS:
            raise FileError(f"it has more than {MOST_ROWS:,} rows")
        if not row.is_blank:
            yield row


def _entry_of(
    row: Row, found: Format, places: dict[str, int]
) -> tuple[Entry | None, list[Problem]]:
    if broken := batch_file.broken_cell(row.cells, found.encoding):
        return None, [broken]
    if len(row.cells) > len(found.headers):
        detail = (
            f"has {len(row.cells)} cells, and the header {len(found.headers)};"
            " a name with the separator in it must stand in quotation marks"
        )
        return None, [Problem("", row.cells[len(found.headers)], detail)]
    cells = dict(enumerate(row.cells))
    return carriers.entry_of({name: _text(cells.get(place, "")) for name, place in places.items()})


def _text(cell: str) -> str:
    """Return a cell without the mark that keeps spreadsheets from reading it as a formula."""
    return cell[1:] if _QUOTED.match(cell) else cell


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _shown(value: object) -> str:
    text = str(value or "")
    return text if len(text) <= 60 else f"{text[:59]}…"


def _entry(row: store.CarrierRow) -> Entry:
    return Entry(row.spid, row.country, row.name)
