"""What the tests of batches share: files, orders, and looking at what came of them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from tracker.services import batches
from tracker.services.batch_work import BatchWorker
from tracker.services.batches import Order
from tracker.store import batches as stored
from tracker.store.batches import BatchRow, ProblemRow
from tracker.store.db import Sessions
from tracker.store.models import Message

HEADER = "to,mms_id,reference,pass.BARCODEVALUE,data.FIRST_NAME"


def clock() -> datetime:
    return datetime.now(UTC)


def later() -> datetime:
    """A clock by which every lease of now has run out."""
    return datetime.now(UTC) + timedelta(hours=2)


def a_row(number: int, **changes: str) -> str:
    cells = {
        "to": f"1202555{number:04d}", "mms_id": "45633", "reference": f"r-{number}",
        "barcode": f"A-{number}", "name": "Zoë", **changes,
    }  # fmt: skip
    return ",".join(cells.values())


def a_file(rows: Iterable[str] | int = 3, header: str = HEADER) -> bytes:
    """Return a file of these rows, or of so many good ones."""
    lines = [a_row(n) for n in range(1, rows + 1)] if isinstance(rows, int) else list(rows)
    return "\n".join([header, *lines, ""]).encode()


def received(sessions: Sessions, content: bytes | None = None, **order: Any) -> BatchRow:
    """Hand a file in and return the batch, not worked on yet."""
    public_id = batches.receive(
        sessions,
        [a_file() if content is None else content],
        Order(**order),
        actor="tests",
        default_from="60856",
        clock=clock,
    )
    return reread(sessions, public_id)


def done(sessions: Sessions, content: bytes | None = None, **order: Any) -> BatchRow:
    """Hand a file in and work on it to the end."""
    batch = received(sessions, content, **order)
    finish(sessions, batch.id)
    return reread(sessions, batch.public_id)


def finish(sessions: Sessions, batch_id: int, step: int = 1000) -> None:
    BatchWorker(sessions, clock, step=step).finish(batch_id)


def reread(sessions: Sessions, public_id: UUID) -> BatchRow:
    with sessions() as session:
        return batches.found(session, public_id)


def problems(sessions: Sessions, batch: BatchRow, *, warnings: bool = False) -> list[ProblemRow]:
    with sessions() as session:
        found = stored.problems(session, batch.id, are_warnings=warnings, limit=10_000)
    return [problem for _, problem in found]


def reasons(sessions: Sessions, batch: BatchRow, *, warnings: bool = False) -> dict[int, str]:
    found: dict[int, str] = {}
    for problem in problems(sessions, batch, warnings=warnings):
        found[problem.row] = " | ".join(filter(None, (found.get(problem.row), problem.reason)))
    return found


def queued(sessions: Sessions, batch: BatchRow) -> Sequence[Message]:
    """Return the messages of a batch by row."""
    wanted = select(Message).where(Message.batch_id == batch.id).order_by(Message.batch_row)
    with sessions() as session:
        return session.scalars(wanted).all()


def rows_of(sessions: Sessions, batch: BatchRow) -> list[int | None]:
    return [message.batch_row for message in queued(sessions, batch)]


def field_values(found: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(found[name] for name in names)
