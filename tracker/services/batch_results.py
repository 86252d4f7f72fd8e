"""What came of batches: as JSON, and as CSV files that spreadsheets open safely."""

from collections.abc import Iterator, Sequence
from heapq import merge
from operator import itemgetter
from typing import Any, Final

from sqlalchemy.orm import Session

from tracker.domain.reasons import status_reason
from tracker.domain.status import LABELS
from tracker.store import batches
from tracker.store.batches import BatchRow, Hold, Stage
from tracker.store.db import Sessions
from tracker.store.rows import MessageRow

from .csv_files import csv_lines
from .describe import iso

PAGE: Final = 1000  # rows a query
STAGE_LABELS: Final = {
    Stage.RECEIVING: "Coming in",
    Stage.DRAFT: "Draft",
    Stage.CHECKING: "Being checked",
    Stage.CHECKED: "Checked",
    Stage.REFUSED: "Refused",
    Stage.QUEUEING: "Being queued",
    Stage.QUEUED: "Queued",
    Stage.FAILED: "Failed",
    Stage.CANCELLING: "Being cancelled",
    Stage.CANCELLED: "Cancelled",
}
HOLD_LABELS: Final = {
    Hold.PAUSING: "Being paused",
    Hold.PAUSED: "Paused",
    Hold.RESUMING: "Being resumed",
}
_REASONS: Final = {
    Stage.RECEIVING: "The file is coming in.",
    Stage.DRAFT: "Its columns wait for somebody to look at them.",
    Stage.CHECKING: "Every row is checked before the first one is queued.",
    Stage.CHECKED: "Every row was checked and none was queued.",
    Stage.REFUSED: "Nothing was queued.",
    Stage.QUEUEING: "All rows were checked; they are being put into the queue.",
    Stage.QUEUED: "Every good row is in the queue or on its way.",
    Stage.FAILED: "It could not be finished.",
    Stage.CANCELLING: "What is still queued is being cancelled.",
    Stage.CANCELLED: "What was still queued was cancelled.",
}
_HOLD_REASONS: Final = {
    Hold.PAUSING: "What is still queued is being held back.",
    Hold.PAUSED: "What is still queued waits until the batch is resumed.",
    Hold.RESUMING: "What was held back is being put into the queue again.",
}
_SEPARATORS: Final = {",": "comma", ";": "semicolon", "\t": "tab"}

RESULT_COLUMNS: Final = (
    "row", "id", "to", "reference", "status", "status_label", "status_reason", "tracking_id",
    "sent_as", "error_code", "error_info", "created_at", "accepted_at", "sent_at", "finished_at",
)  # fmt: skip
ERROR_COLUMNS: Final = ("row", "column", "value", "reason")
NOT_QUEUED: Final = "not_queued"


def state(batch: BatchRow) -> str:
    """Return where a batch is in one word: its stage, or how it is held."""
    return batch.hold or batch.status


def label(batch: BatchRow) -> str:
    """Return the same for people."""
    return HOLD_LABELS[Hold(batch.hold)] if batch.hold else STAGE_LABELS[Stage(batch.status)]


def reason(batch: BatchRow) -> str:
    """Return why a batch is where it is, in one sentence."""
    if batch.hold:
        return _HOLD_REASONS[Hold(batch.hold)]
    return batch.detail or _REASONS[Stage(batch.status)]


def progress(batch: BatchRow) -> float:
    """Return how much of the work is done, from 0 to 1: half of it is checking."""
    part = min(batch.position / batch.size, 1.0) if batch.size else 0.0
    match batch.status:
        case Stage.RECEIVING | Stage.DRAFT:
            return 0.0
        case Stage.CHECKING:
            return part if batch.is_dry_run else part / 2
        case Stage.QUEUEING:
            return 0.5 + part / 2
    return 1.0


def batch_object(session: Session, batch: BatchRow, *, with_counts: bool = True) -> dict[str, Any]:
    """Return a batch as a JSON object; a list goes without what takes time to count."""
    answer = {
        "id": str(batch.public_id),
        "name": batch.name,
        "status": state(batch),
        "status_label": label(batch),
        "status_reason": reason(batch),
        "stage": batch.status,
        "dry_run": batch.is_dry_run,
        "skip_wrong_rows": batch.skips_wrong_rows,
        "progress": round(progress(batch), 4),
        "rows": batch.rows,
        "wrong_rows": batch.wrong_rows,
        "warnings": batch.warnings,
        "queued_rows": batch.queued_rows,
        "size": batch.size,
        "format": {
            "encoding": batch.format.get("encoding"),
            "separator": separator_name(batch),
            "has_bom": batch.format.get("has_bom"),
        },
        "columns": batch.columns,
        "defaults": batch.defaults,
        "created_at": iso(batch.created_at),
        "updated_at": iso(batch.updated_at),
        "finished_at": iso(batch.finished_at),
    }
    if with_counts:
        counts = batches.counts(session, batch.id) if batch.queued_rows else {}
        answer["counts"] = {status.value: counts[status] for status in LABELS if status in counts}
        earlier = batches.same_file(session, batch) if batch.digest else None
        answer["same_file_as"] = str(earlier.public_id) if earlier else None
    return answer


def separator_name(batch: BatchRow) -> str | None:
    """Return the separator of a batch's file in words."""
    mark = batch.format.get("separator")
    return _SEPARATORS.get(mark, mark) if mark else None


def errors_csv(sessions: Sessions, batch: BatchRow, *, are_warnings: bool) -> Iterator[str]:
    """Yield the lines of the file of what is wrong, or worth a warning."""
    yield csv_lines([ERROR_COLUMNS])
    for page in _problem_pages(sessions, batch, are_warnings=are_warnings):
        yield csv_lines([(p.row, p.column, p.value, p.reason) for _, p in page])


def result_csv(sessions: Sessions, batch: BatchRow) -> Iterator[str]:
    """Yield the lines of the file with what became of every row, in the file's order."""
    yield csv_lines([RESULT_COLUMNS])
    some: list[Sequence[object]] = []
    for _, line in merge(_sent(sessions, batch), _wrong(sessions, batch), key=itemgetter(0)):
        some.append(line)
        if len(some) == PAGE:
            yield csv_lines(some)
            some = []
    yield csv_lines(some)


def _sent(sessions: Sessions, batch: BatchRow) -> Iterator[tuple[int, Sequence[object]]]:
    after = 0
    while True:
        with sessions() as session:
            page = batches.rows_of(session, batch.id, after_row=after, limit=PAGE)
        for row, message in page:
            yield row, _result(row, message)
        if len(page) < PAGE:
            return
        after = page[-1][0]


def _wrong(sessions: Sessions, batch: BatchRow) -> Iterator[tuple[int, Sequence[object]]]:
    """Yield one line for each row that was not queued since it is wrong."""
    last, said = 0, ""
    for page in _problem_pages(sessions, batch, are_warnings=False):
        for _, problem in page:
            if problem.row != last and last:
                yield last, _not_queued(last, said)
                said = ""
            last = problem.row
            said = f"{said}; {problem.reason}" if said else problem.reason
    if last:
        yield last, _not_queued(last, said)


def _problem_pages(
    sessions: Sessions, batch: BatchRow, *, are_warnings: bool
) -> Iterator[list[tuple[int, batches.ProblemRow]]]:
    after = (0, 0)
    while True:
        with sessions() as session:
            page = batches.problems(
                session, batch.id, are_warnings=are_warnings, limit=PAGE, after=after
            )
        if page:
            yield page
        if len(page) < PAGE:
            return
        after = (page[-1][1].row, page[-1][0])


def _result(row: int, message: MessageRow) -> Sequence[object]:
    return (
        row,
        message.public_id,
        message.recipient,
        message.reference,
        message.status.value,
        message.status_label,
        status_reason(message),
        message.tracking_id,
        message.sent_as,
        message.error_code,
        message.error_info,
        iso(message.created_at),
        iso(message.accepted_at),
        iso(message.sent_at),
        iso(message.finished_at),
    )


def _not_queued(row: int, said: str) -> Sequence[object]:
    rest = len(RESULT_COLUMNS) - 7
    return (row, None, None, None, NOT_QUEUED, "Not queued", said, *([None] * rest))
