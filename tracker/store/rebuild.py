"""What a rebuild reads, what it writes back, and how far it has come."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, delete, func, insert, select, text, union, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from tracker.domain.fold import Outcome
from tracker.domain.numbers import ERASED

from . import bulk
from .db import dialect_of
from .ingest import DELIVERY, Values, mark_hours
from .models import Checkpoint, Handset, Message, Postback, SendAttempt

ROWS_AT_ONCE: Final = 500  # of the journal, while it is read through
HANDSET: Final = ("handset", "os", "source", "seen_at")
_COLUMNS: Final = (
    Message.id, Message.public_id, Message.recipient, Message.mms_id, Message.created_at,
    Message.accepted_at, Message.settled_as, *(getattr(Message, name) for name in DELIVERY),
)  # fmt: skip
_ENTRY: Final = (
    Postback.id, Postback.message_id, Message.public_id, Message.recipient, Message.mms_id,
    Postback.body_id, Postback.position, Postback.received_at, Postback.outcome,
)  # fmt: skip
# When it was judged under the lock of its message. When it came says nothing of the order: it may
# have waited on the shelf, or in the spool.
_JUDGED_AT: Final = func.coalesce(Postback.judged_at, Postback.received_at)


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it is stored; `values` are those that postbacks may change."""

    id: int
    public_id: UUID
    recipient: str
    mms_id: str
    created_at: datetime
    accepted_at: datetime | None
    settled_as: str | None
    values: Values


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the journal that belongs to a message."""

    id: int
    message_id: int
    public_id: UUID
    recipient: str
    mms_id: str
    body_id: int
    position: int
    received_at: datetime
    outcome: str


def look_only(session: Session) -> None:
    """Let everything this transaction reads be of one moment; nothing is locked."""
    if dialect_of(session) == "postgresql":
        session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))


def messages_after(session: Session, after_id: int, last_id: int, limit: int) -> list[Stored]:
    """Return the next messages by id, up to `last_id`."""
    next_ones = select(*_COLUMNS).where(Message.id > after_id, Message.id <= last_id)
    return _stored(session, next_ones.order_by(Message.id).limit(limit))


def locked(session: Session, ids: Collection[int]) -> list[Stored]:
    """Lock messages against postbacks, in the order in which these lock them, and return them.

    What is read after this holds every postback that was judged: each was, under the same lock.
    """
    wanted = select(*_COLUMNS).where(bulk.among(session, Message.id, ids))
    return _stored(session, wanted.order_by(Message.id.desc()).with_for_update(of=Message))


def answers(session: Session, ids: Collection[int]) -> dict[int, str]:
    """Return the answers, word for word, with which the gateway took these messages."""
    taken = (
        select(SendAttempt.message_id, SendAttempt.answer)
        .where(bulk.among(session, SendAttempt.message_id, ids), SendAttempt.outcome == "accepted")
        .order_by(SendAttempt.id)
    )
    return {id_: answer for id_, answer in session.execute(taken) if answer}


def judged(session: Session, ids: Collection[int]) -> Iterator[Entry]:
    """Read through the journal of these messages, one after the other, in the order of the fold."""
    of_these = _of_messages(bulk.among(session, Postback.message_id, ids))
    return _entries(session, of_these.order_by(Postback.message_id, _JUDGED_AT, Postback.id))


def heard(session: Session, numbers: Collection[str]) -> Iterator[Entry]:
    """Read through the journal of all messages to these numbers, the newest of each number first.

    One number after the other, in no order.
    """
    newest = (Postback.received_at.desc(), Postback.id.desc())
    of_numbers = _of_messages(bulk.among(session, Message.recipient, numbers))
    return _entries(session, of_numbers.order_by(Message.recipient, *newest))


def last_message(session: Session) -> int:
    """Return the id of the newest message; 0 when there is none."""
    return session.scalar(select(func.max(Message.id))) or 0


def count_numbers(session: Session) -> int:
    """Return how many numbers were sent to, to show how far one has come."""
    numbers = select(func.count(Message.recipient.distinct()))
    return session.scalar(numbers.where(Message.recipient != ERASED)) or 0


def numbers_after(session: Session, after: str, limit: int) -> list[str]:
    """Return the next numbers that were sent to or have a handset, in their order."""
    sent_to = select(Message.recipient.label("number")).distinct()
    sent_to = sent_to.where(Message.recipient > after, Message.recipient != ERASED)
    sent_to = sent_to.order_by(Message.recipient).limit(limit)
    named = select(Handset.number).where(Handset.number > after).order_by(Handset.number)
    both = union(
        select(sent_to.subquery().c.number), select(named.limit(limit).subquery().c.number)
    ).subquery()
    return list(session.scalars(select(both.c.number).order_by(both.c.number).limit(limit)))


def handsets(
    session: Session, numbers: Collection[str], *, is_locked: bool = False
) -> dict[str, Values]:
    """Return the handset of each of these numbers that has one."""
    columns = (getattr(Handset, name) for name in HANDSET)
    found = select(Handset.number, *columns).where(bulk.among(session, Handset.number, numbers))
    if is_locked:
        found = found.order_by(Handset.number).with_for_update()
    return {
        number: dict(zip(HANDSET, values, strict=True))
        for number, *values in session.execute(found)
    }


def write_messages(
    session: Session, changed: Sequence[tuple[Stored, Values]], now: datetime
) -> None:
    """Give locked messages their values, and mark their hours for the rollups."""
    for stored, values in changed:
        session.execute(
            update(Message)
            .where(Message.id == stored.id)
            .values(updated_at=now, **values)
            .execution_options(synchronize_session=False)
        )
    mark_hours(session, {stored.created_at for stored, _ in changed})


def write_outcome(session: Session, postback_id: int, outcome: Outcome, reason: str) -> None:
    """Say what became of a postback; when it was judged stays as it is."""
    session.execute(
        update(Postback)
        .where(Postback.id == postback_id)
        .values(outcome=outcome.value, outcome_reason=reason[:1000])
        .execution_options(synchronize_session=False)
    )


def write_handset(session: Session, number: str, values: Values, *, is_new: bool) -> None:
    """Put a handset down in place of a locked one; where there was none, a newer one stays."""
    if not is_new:
        session.execute(update(Handset).where(Handset.number == number).values(**values))
        return
    made = (postgresql if dialect_of(session) == "postgresql" else sqlite).insert(Handset)
    session.execute(
        made.values(number=number, **values).on_conflict_do_update(
            index_elements=[Handset.number],
            set_={name: made.excluded[name] for name in HANDSET},
            where=Handset.seen_at <= made.excluded.seen_at,
        )
    )


def checkpoints(session: Session, names: Collection[str]) -> dict[str, int]:
    """Return the positions that were kept under these names."""
    kept = select(Checkpoint.name, Checkpoint.position).where(Checkpoint.name.in_(names))
    return {row.name: row.position for row in session.execute(kept)}


def keep(session: Session, positions: Mapping[str, int], now: datetime) -> None:
    """Keep positions under their names, in place of earlier ones."""
    forget(session, list(positions))
    rows = [{"name": name, "position": at, "at": now} for name, at in positions.items()]
    session.execute(insert(Checkpoint), rows)


def forget(session: Session, names: Collection[str]) -> None:
    """Delete what is kept under these names."""
    session.execute(delete(Checkpoint).where(Checkpoint.name.in_(names)))


def _stored(session: Session, statement: Select[*tuple[Any, ...]]) -> list[Stored]:
    known = len(_COLUMNS) - len(DELIVERY)
    return [
        Stored(*row[:known], values=dict(zip(DELIVERY, row[known:], strict=True)))  # type: ignore[misc]
        for row in session.execute(statement)
    ]


def _of_messages(condition: Any) -> Select[*tuple[Any, ...]]:  # noqa: ANN401
    return select(*_ENTRY).join(Message, Message.id == Postback.message_id).where(condition)


def _entries(session: Session, statement: Select[*tuple[Any, ...]]) -> Iterator[Entry]:
    rows = session.execute(statement.execution_options(yield_per=ROWS_AT_ONCE))
    return (Entry(*row) for row in rows)
