"""What leaves by retention, a few rows at a time: each function is one short step of a walk by key.

A step deletes what it finds old among the next rows, unless it only counts, and says where the next
one begins. Nothing has to be remembered between runs: what a run that was stopped has deleted is
gone, and the next one begins with what is oldest then.

The newest row of a table stays, however old it is: SQLite would give its id to the next row, and
what still names it would name that one.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from tracker.domain.status import Status

from . import bulk, rollups
from .base import Base
from .models import (
    Alert,
    Batch,
    BatchChunk,
    BatchError,
    BatchKept,
    BulkAction,
    BulkActionItem,
    Checkpoint,
    Handset,
    Message,
    MessageContent,
    Postback,
    PostbackBody,
    SendAttempt,
    Settlement,
)

IN_PLAY: Final = (Status.QUEUED, Status.SENDING, Status.UNKNOWN)
MOST_POSTBACKS: Final = 2_000  # of the messages of one step
TURN: Final = "purge"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a step may do: what was last heard of before a moment, so many rows, or only count."""

    before: datetime
    limit: int
    only_counts: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What a step came to: where the next one begins, None after the last; rows by table.

    `at` is how old the last row was that it looked at, `stale` says that hours have to be counted.
    """

    position: Any
    gone: Counter[str] = field(default_factory=Counter)
    at: datetime | None = None
    is_stale: bool = False


def bodies(session: Session, after_id: int | None, asked: Asked) -> Step:
    """Delete the bytes of postbacks; their rows in the journal stay."""
    rows = _next(session, PostbackBody.id, PostbackBody.received_at, after_id, asked)
    ids = [row.id for row in rows if row.at < asked.before and not row.is_newest]
    gone = _delete(session, PostbackBody, bulk.among(session, PostbackBody.id, ids), asked)
    return _walked(rows, asked, gone)


def messages(session: Session, after: tuple[datetime, int] | None, asked: Asked) -> Step:
    """Delete messages that are over, with all that hangs on them; their counts stay."""
    next_ones = select(Message.created_at, Message.id).where(Message.created_at < asked.before)
    if after is not None:
        next_ones = next_ones.where(tuple_(Message.created_at, Message.id) > after)
    found = session.execute(next_ones.order_by(Message.created_at, Message.id).limit(asked.limit))
    places = [(row.created_at, row.id) for row in found]
    if not places:
        return Step(None)
    if not asked.only_counts:
        rollups.lock(session)
    over = _over(session, [id_ for _, id_ in places], asked)
    is_theirs = bulk.among(session, Postback.message_id, [row.id for row in over])
    if not asked.only_counts and (many := _many(session, is_theirs)):
        gone = _delete(session, Postback, bulk.among(session, Postback.id, many), asked)
        return Step(after or (places[0][0] - timedelta(days=1), 0), gone, places[0][0])
    gone, is_stale = _delete_messages(session, over, asked)
    return Step(places[-1], gone, places[-1][0], is_stale)


def postbacks(session: Session, after_id: int | None, asked: Asked) -> Step:
    """Delete what the journal has of no message: unmatched, quarantined and noted ones."""
    rows = _next(session, Postback.id, Postback.received_at, after_id, asked)
    ids = [row.id for row in rows if row.at < asked.before and not row.is_newest]
    is_over = (
        bulk.among(session, Postback.id, ids)
        & Postback.message_id.is_(None)
        & (Postback.last_received_at < asked.before)
    )
    return _walked(rows, asked, _delete(session, Postback, is_over, asked))


def batches(session: Session, after_id: int | None, asked: Asked) -> Step:
    """Delete what was wrong with the rows of batches, and what was given for all of them.

    The batch stays with its counts and its key: under that it is not handed in a second time.
    """
    batch_id = session.scalar(
        select(Batch.id)
        .where(Batch.id > (after_id or 0), Batch.finished_at < asked.before)
        .order_by(Batch.id)
        .limit(1)
    )
    if batch_id is None:
        return Step(None)
    errors = _few(session, BatchError.id, BatchError.batch_id == batch_id, asked)
    gone = _delete(session, BatchError, errors, asked)
    if gone["batch_errors"] >= asked.limit and not asked.only_counts:
        return Step(after_id or 0, gone)
    gone += _delete(session, BatchChunk, BatchChunk.batch_id == batch_id, asked)
    gone += _delete(session, BatchKept, BatchKept.batch_id == batch_id, asked)
    if not asked.only_counts:
        session.execute(update(Batch).where(Batch.id == batch_id).values(defaults={}))
    return Step(batch_id, gone)


def bulk_actions(session: Session, after_id: int | None, asked: Asked) -> Step:
    """Delete actions on many messages that are finished, with what became of each message."""
    action_id = session.scalar(
        select(BulkAction.id)
        .where(BulkAction.id > (after_id or 0), BulkAction.finished_at < asked.before)
        .order_by(BulkAction.id)
        .limit(1)
    )
    if action_id is None:
        return Step(None)
    of_action = BulkActionItem.bulk_action_id == action_id
    few = _few(session, BulkActionItem.message_id, of_action, asked)
    gone = _delete(session, BulkActionItem, of_action & few, asked)
    if gone["bulk_action_items"] >= asked.limit and not asked.only_counts:
        return Step(after_id or 0, gone)
    return Step(action_id, gone + _delete(session, BulkAction, BulkAction.id == action_id, asked))


def alerts(session: Session, after_id: int | None, asked: Asked) -> Step:
    """Delete alerts that somebody has closed."""
    closed = select(Alert.id).where(Alert.id > (after_id or 0), Alert.closed_at < asked.before)
    ids = list(session.scalars(closed.order_by(Alert.id).limit(asked.limit)))
    gone = _delete(session, Alert, bulk.among(session, Alert.id, ids), asked)
    return Step(ids[-1] if len(ids) == asked.limit else None, gone)


def take_turn(session: Session, now: datetime, every: timedelta) -> bool:
    """Say whether it is time for another run, and nobody else has begun one."""
    taken = session.scalars(
        update(Checkpoint)
        .where(Checkpoint.name == TURN, Checkpoint.at <= now - every)
        .values(at=now)
        .returning(Checkpoint.name)
        .execution_options(synchronize_session=False)
    ).all()
    if taken:
        return True
    if session.scalar(select(exists().where(Checkpoint.name == TURN))):
        return False
    session.execute(insert(Checkpoint).values(name=TURN, position=0, at=now))
    return True


def give_turn_back(session: Session) -> None:
    """Let the next one who asks begin at once."""
    session.execute(delete(Checkpoint).where(Checkpoint.name == TURN))


# Pieces


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    at: datetime
    is_newest: bool


def _next(
    session: Session,
    id_: InstrumentedAttribute[int],
    at: InstrumentedAttribute[datetime],
    after_id: int | None,
    asked: Asked,
) -> list[_Row]:
    newest = session.scalar(select(func.max(id_)))
    found = session.execute(
        select(id_, at).where(id_ > (after_id or 0)).order_by(id_).limit(asked.limit)
    )
    return [_Row(row[0], row[1], row[0] == newest) for row in found]


def _walked(rows: Sequence[_Row], asked: Asked, gone: Counter[str]) -> Step:
    """Return a step of a walk by id, in which rows that were older than others may come later.

    What waited in the spool came before what stands above it, never long after: a step in which
    nothing is old is the last one.
    """
    is_over = len(rows) < asked.limit or all(row.at >= asked.before for row in rows)
    return Step(None if is_over else rows[-1].id, gone, rows[-1].at if rows else None)


def _over(session: Session, ids: Sequence[int], asked: Asked) -> Sequence[Any]:
    """Return those of the messages that are over, locked: what somebody changes now is not."""
    is_in_batch = exists().where(Batch.id == Message.batch_id, Batch.finished_at.is_(None))
    over = select(Message.id, Message.recipient, Message.created_at, *rollups.ALIKE).where(
        bulk.among(session, Message.id, ids),
        Message.status.not_in(IN_PLAY),
        Message.updated_at < asked.before,
        Message.id < select(func.max(Message.id)).scalar_subquery(),
        or_(Message.batch_id.is_(None), ~is_in_batch),
    )
    if not asked.only_counts:
        over = over.order_by(Message.id.desc()).with_for_update(of=Message, skip_locked=True)
    return session.execute(over).all()


def _many(session: Session, is_theirs: ColumnElement[bool]) -> list[int]:
    """Return so many postbacks, if there are more than go with their messages in one step."""
    found = list(session.scalars(select(Postback.id).where(is_theirs).limit(MOST_POSTBACKS)))
    return found if len(found) == MOST_POSTBACKS else []


def _delete_messages(
    session: Session, over: Sequence[Any], asked: Asked
) -> tuple[Counter[str], bool]:
    gone: Counter[str] = Counter()
    ids = [row.id for row in over]
    for model, column in (
        (Postback, Postback.message_id),
        (MessageContent, MessageContent.message_id),
        (SendAttempt, SendAttempt.message_id),
        (Settlement, Settlement.message_id),
        (Message, Message.id),
    ):
        gone += _delete(session, model, bulk.among(session, column, ids), asked)
    is_old = (
        bulk.among(session, Handset.number, {row.recipient for row in over})
        & (Handset.seen_at < asked.before)
        & or_(Handset.used_at.is_(None), Handset.used_at < asked.before)
    )
    gone += _delete(session, Handset, is_old, asked)
    if asked.only_counts or not over:
        return gone, False
    counts = Counter((rollups.hour_of(row.created_at), *row[3:]) for row in over)
    return gone, bool(rollups.purge(session, counts))


def _few(
    session: Session, key: InstrumentedAttribute[int], condition: ColumnElement[bool], asked: Asked
) -> ColumnElement[bool]:
    """Return the condition that a row is one of the next few; of all when they are only counted."""
    if asked.only_counts:
        return condition
    few = select(key).where(condition).limit(asked.limit)
    return bulk.among(session, key, session.scalars(few))


def _delete(
    session: Session, model: type[Base], condition: ColumnElement[bool], asked: Asked
) -> Counter[str]:
    """Delete rows, or count those that there are to delete."""
    if asked.only_counts:
        count = session.scalar(select(func.count()).select_from(model).where(condition)) or 0
    else:
        deleted = delete(model).where(condition).execution_options(synchronize_session=False)
        count = session.connection().execute(deleted).rowcount
    return Counter({model.__tablename__: count}) if count else Counter()
