"""Batches: their files in pieces, how far the work on them is, their messages and their problems.

    draft -> checking -> checked | refused | queueing -> queued
                   any of them -> cancelling -> cancelled

Whoever works on a batch holds a claim with a lease, and writes what a step did together with how
far it came, under a lock of the batch's row: a step is done once or not at all.

A message that is queued and has no `due_at` is held back, because its batch is paused: the queue's
index does not have it, so it costs the senders nothing.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from tracker.domain.message import PassMessage
from tracker.domain.status import Status
from tracker.domain.windows import SendWindow, due_from

from . import bulk
from .db import dialect_of
from .models import Batch, BatchChunk, BatchError, BatchKept, Message, MessageContent
from .rows import MessageRow, Page

LEASE: Final = timedelta(seconds=15)


class Stage(StrEnum):
    """What is being done with a batch; the value of `status`."""

    RECEIVING = "receiving"
    DRAFT = "draft"
    CHECKING = "checking"
    CHECKED = "checked"
    REFUSED = "refused"
    QUEUEING = "queueing"
    QUEUED = "queued"
    FAILED = "failed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


class Hold(StrEnum):
    """How a batch is held back, beside its stage."""

    PAUSING = "pausing"
    PAUSED = "paused"
    RESUMING = "resuming"


HELD: Final = (Hold.PAUSING, Hold.PAUSED)
ENDING: Final = (Stage.CANCELLING, Stage.CANCELLED)
WORKED_ON: Final = (Stage.CHECKING, Stage.QUEUEING, Stage.CANCELLING)
IS_DUE: Final = or_(
    Batch.hold.in_((Hold.PAUSING, Hold.RESUMING)),
    and_(Batch.hold.is_(None), Batch.status.in_(WORKED_ON)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRow:
    """One batch without its file."""

    id: int
    public_id: UUID
    name: str
    status: str
    hold: str | None
    is_dry_run: bool
    skips_wrong_rows: bool
    actor: str
    defaults: dict[str, Any]
    columns: list[Any]
    format: dict[str, Any]
    size: int
    digest: bytes | None
    token_id: int | None  # whose file it is, when it came by the API
    position: int
    position_row: int
    rows: int
    wrong_rows: int
    warnings: int
    queued_rows: int
    detail: str | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    claim_id: UUID | None
    lease_until: datetime | None


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """What is wrong with one cell, or worth a warning; `column` is the header."""

    row: int
    column: str | None
    value: str | None
    reason: str


_COLUMNS = tuple(getattr(Batch, field.name) for field in fields(BatchRow))

# The file comes.


def add(session: Session, values: Mapping[str, Any]) -> int:
    """Store a batch whose file is still to come, and return its internal id."""
    row = Batch(**values)
    session.add(row)
    session.flush()
    return row.id


def add_chunk(session: Session, batch_id: int, position: int, data: bytes) -> None:
    """Store a piece of a batch's file."""
    session.execute(insert(BatchChunk).values(batch_id=batch_id, position=position, data=data))


def chunk(session: Session, batch_id: int, position: int) -> bytes:
    """Return the file from a byte on, as far as its piece goes; empty at the end."""
    found = session.execute(
        select(BatchChunk.position, BatchChunk.data)
        .where(BatchChunk.batch_id == batch_id, BatchChunk.position <= position)
        .order_by(BatchChunk.position.desc())
        .limit(1)
    ).first()
    return found.data[position - found.position :] if found else b""


def drop_file(session: Session, batch_id: int) -> None:
    """Forget the file of a batch that was read to its end: it is full of numbers."""
    session.execute(delete(BatchChunk).where(BatchChunk.batch_id == batch_id))


def drop_old(session: Session, before: datetime) -> None:
    """Forget the rows of batches that were checked and that nobody has started since."""
    over = (Stage.CHECKED, Stage.REFUSED, Stage.FAILED)
    old = select(Batch.id).where(Batch.status.in_(over), Batch.updated_at < before)
    session.execute(delete(BatchChunk).where(BatchChunk.batch_id.in_(old)))
    session.execute(delete(BatchKept).where(BatchKept.batch_id.in_(old)))


def drop(session: Session, batch_id: int) -> None:
    """Forget a batch that came to nothing."""
    drop_file(session, batch_id)
    drop_rows(session, batch_id)
    session.execute(delete(BatchError).where(BatchError.batch_id == batch_id))
    session.execute(delete(Batch).where(Batch.id == batch_id))


@dataclass(frozen=True, slots=True)
class KeptRows:
    """Right rows of a batch up to `row`; `position` is where they end in the file."""

    row: int
    position: int
    data: bytes


def keep_rows(session: Session, batch_id: int, row: int, position: int, data: bytes) -> None:
    """Keep rows that were found right until they are queued."""
    values = {"batch_id": batch_id, "row": row, "position": position, "data": data}
    session.execute(insert(BatchKept).values(**values))


def kept_rows(session: Session, batch_id: int, after_row: int) -> KeptRows | None:
    """Return the next kept rows after one; None when there are no more."""
    found = session.execute(
        select(BatchKept.row, BatchKept.position, BatchKept.data)
        .where(BatchKept.batch_id == batch_id, BatchKept.row > after_row)
        .order_by(BatchKept.row)
        .limit(1)
    ).first()
    return KeptRows(*found) if found else None


def drop_rows(session: Session, batch_id: int) -> None:
    """Forget the rows of a batch that are queued, or never will be."""
    session.execute(delete(BatchKept).where(BatchKept.batch_id == batch_id))


def has_due(session: Session) -> bool:
    """Say whether some batch has work."""
    return bool(session.scalar(select(exists().where(IS_DUE))))


def abandoned(session: Session, stage: Stage, before: datetime) -> list[int]:
    """Return the batches of a stage that nobody has touched since."""
    wanted = (Batch.status == stage, Batch.updated_at < before)
    return list(session.scalars(select(Batch.id).where(*wanted).limit(100)))


# Looking.


def by_public_id(session: Session, public_id: UUID, *, lock: bool = False) -> BatchRow | None:
    """Return one batch by the id that URLs and the API use; locked until the end when asked."""
    return _first(session, Batch.public_id == public_id, lock=lock)


def by_key(session: Session, token_id: int, key: str) -> BatchRow | None:
    """Return the batch that a token has made under an idempotency key."""
    return _first(session, Batch.token_id == token_id, Batch.idempotency_key == key)


def by_id(session: Session, batch_id: int) -> BatchRow | None:
    """Return one batch by the internal id."""
    return _first(session, Batch.id == batch_id)


def page(session: Session, *, limit: int, before_id: int | None = None) -> Page[BatchRow]:
    """Return one page of batches, newest first; one whose file is coming is not there yet."""
    statement = select(*_COLUMNS).where(Batch.status != Stage.RECEIVING)
    if before_id is not None:
        statement = statement.where(Batch.id < before_id)
    found = [
        BatchRow(**row)
        for row in session.execute(statement.order_by(Batch.id.desc()).limit(limit + 1)).mappings()
    ]
    more = len(found) > limit
    return Page(found[:limit], str(found[limit - 1].id) if more else None)


def same_file(session: Session, batch: BatchRow) -> BatchRow | None:
    """Return the newest earlier batch with the same file, unless it came to nothing."""
    statement = (
        select(*_COLUMNS)
        .where(Batch.digest == batch.digest, Batch.id < batch.id, Batch.queued_rows > 0)
        .order_by(Batch.id.desc())
        .limit(1)
    )
    found = session.execute(statement).mappings().first()
    return BatchRow(**found) if found else None


def public_ids(session: Session, batch_ids: Iterable[int]) -> dict[int, UUID]:
    """Return the ids that the API uses, by internal id."""
    wanted = set(batch_ids)
    if not wanted:
        return {}
    found = session.execute(select(Batch.id, Batch.public_id).where(Batch.id.in_(wanted)))
    return {row.id: row.public_id for row in found}


def counts(session: Session, batch_id: int) -> dict[Status, int]:
    """Return how many messages of a batch have each status."""
    statement = (
        select(Message.status, func.count().label("count_"))
        .where(Message.batch_id == batch_id)
        .group_by(Message.status)
    )
    return {row.status: row.count_ for row in session.execute(statement)}


def has_moving(session: Session, batch_id: int) -> bool:
    """Say whether a message of a batch is still queued or being sent."""
    moving = Message.status.in_((Status.QUEUED, Status.SENDING))
    return bool(session.scalar(select(exists().where(Message.batch_id == batch_id, moving))))


def problems(
    session: Session,
    batch_id: int,
    *,
    are_warnings: bool,
    limit: int,
    after: tuple[int, int] = (0, 0),
) -> list[tuple[int, ProblemRow]]:
    """Return problems with their ids, by row; `after` is row and id of the last one seen."""
    statement = (
        select(
            BatchError.id, BatchError.row, BatchError.column, BatchError.value, BatchError.reason
        )
        .where(
            BatchError.batch_id == batch_id,
            BatchError.is_warning.is_(are_warnings),
            tuple_(BatchError.row, BatchError.id) > after,
        )
        .order_by(BatchError.row, BatchError.id)
        .limit(limit)
    )
    return [
        (id_, ProblemRow(row, column, value, reason))
        for id_, row, column, value, reason in session.execute(statement)
    ]


def rows_of(
    session: Session, batch_id: int, *, after_row: int, limit: int
) -> list[tuple[int, MessageRow]]:
    """Return messages of a batch with their rows in the file, in its order."""
    names = [field.name for field in fields(MessageRow)]
    statement = (
        select(Message.batch_row, *(getattr(Message, name) for name in names))
        .where(Message.batch_id == batch_id, Message.batch_row > after_row)
        .order_by(Message.batch_row)
        .limit(limit)
    )
    return [
        (row, MessageRow(**dict(zip(names, rest, strict=True))))
        for row, *rest in session.execute(statement)
    ]


# Work.


def claim(session: Session, now: datetime, batch_id: int | None = None) -> BatchRow | None:
    """Take a batch that has work, or this one, until the lease ends; None when there is none.

    What a person waits for comes first, then whatever was left alone for longest.
    """
    statement = (
        select(Batch)
        .where(IS_DUE, or_(Batch.lease_until.is_(None), Batch.lease_until <= now))
        .order_by(
            case((or_(Batch.hold.is_not(None), Batch.status == Stage.CANCELLING), 0), else_=1),
            Batch.updated_at,
        )
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if batch_id is not None:
        statement = statement.where(Batch.id == batch_id)
    found = session.scalar(statement)
    if found is None:
        return None
    found.claim_id, found.lease_until, found.updated_at = uuid4(), now + LEASE, now
    session.flush()
    return by_id(session, found.id)


def held(session: Session, claimed: BatchRow) -> BatchRow | None:
    """Return the batch as it is now, locked until the end; None when the claim is lost."""
    found = _first(session, Batch.id == claimed.id, lock=True)
    return found if found and found.claim_id == claimed.claim_id else None


def release(session: Session, claimed: BatchRow) -> None:
    """Let others work on a batch."""
    session.execute(
        update(Batch)
        .where(Batch.id == claimed.id, Batch.claim_id == claimed.claim_id)
        .values(claim_id=None, lease_until=None)
    )


def change(session: Session, batch_id: int, now: datetime, **values: object) -> None:
    """Give a batch other values."""
    session.execute(
        update(Batch)
        .where(Batch.id == batch_id)
        .values(updated_at=now, **values)
        .execution_options(synchronize_session=False)
    )


def keep_held(session: Session, message_ids: Sequence[int]) -> None:
    """Take messages out of the queue again that came back to it while their batch is held.

    Their batches cannot be paused or resumed before the transaction has ended.
    """
    if not message_ids:
        return
    wanted = bulk.among(session, Message.id, sorted(message_ids))
    concerned = select(Message.batch_id).where(wanted, Message.batch_id.is_not(None))
    found = session.execute(
        select(Batch.id, Batch.hold, Batch.status)
        .where(Batch.id.in_(concerned))
        .order_by(Batch.id)
        .with_for_update(read=True)
    ).all()
    held = [row.id for row in found if row.hold in HELD or row.status in ENDING]
    if held:
        is_theirs = (wanted, Message.batch_id.in_(held), Message.status == Status.QUEUED)
        session.execute(
            update(Message)
            .where(*is_theirs)
            .values(due_at=None)
            .execution_options(synchronize_session=False)
        )


def hold_back(session: Session, batch_id: int, now: datetime, first: int, last: int) -> None:
    """Take rows of the file out of the senders' reach."""
    _move(session, _queued(batch_id, first, last), now, due_at=None)


def let_go(session: Session, batch_id: int, now: datetime, first: int, last: int) -> None:
    """Put rows of the file that were held back into the queue again."""
    when = case((Message.send_at > now, Message.send_at), else_=literal(now, Message.due_at.type))
    rows = (*_queued(batch_id, first, last), Message.due_at.is_(None))
    _move(session, rows, now, due_at=when)


def cancel(session: Session, batch_id: int, now: datetime, first: int, last: int) -> set[datetime]:
    """Cancel what is still queued of these rows; returns when the messages were made."""
    rows = _queued(batch_id, first, last)
    return _move(session, rows, now, status=Status.CANCELLED, due_at=None, finished_at=now)


def add_problems(
    session: Session, batch_id: int, found: Sequence[ProblemRow], *, are_warnings: bool
) -> None:
    """Write down what is wrong, or worth a warning; long texts are cut."""
    if not found:
        return
    rows = [
        {
            "batch_id": batch_id,
            "row": problem.row,
            "column": problem.column and problem.column[:128],
            "value": problem.value and problem.value[:256],
            "reason": problem.reason[:1000],
            "is_warning": are_warnings,
        }
        for problem in found
    ]
    if dialect_of(session) == "sqlite":
        session.execute(insert(bulk.table_of(BatchError)), rows)
        return
    # Not by `bulk`: `row` and `column` are words of SQL.
    names = ", ".join(f'"{name}"' for name in rows[0])
    types = ", ".join(f'"{name}" {bulk.type_of(BatchError, name)}' for name in rows[0])
    session.connection().exec_driver_sql(
        f"INSERT INTO batch_errors ({names}) SELECT {names}"  # noqa: S608
        f" FROM json_to_recordset(%s::json) AS new ({types})",
        (bulk.without_types(rows),),
    )


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to queue: its row in the file, its public id, and what it says."""

    row: int
    public_id: UUID
    message: PassMessage
    digest: bytes | None = None  # of its request, for a token that may make it again


def add_messages(
    session: Session,
    batch: BatchRow,
    added: Sequence[NewMessage],
    now: datetime,
    window: SendWindow | None = None,
) -> None:
    """Queue messages for their time, within the window, without a round trip for each.

    A row that was queued before is an error, and so is a reference that its token has used.
    """
    if not added:
        return
    heads = [_head(new, batch.id, now, window) for new in added]
    contents = [_content(new.message) for new in added]
    if dialect_of(session) == "sqlite":
        _add_sqlite(session, batch.id, heads, contents)
    else:
        _add_postgresql(session, heads, contents)
    if batch.token_id is not None:
        _add_references(session, batch.id, batch.token_id, added)


def _head(
    new: NewMessage, batch_id: int, now: datetime, window: SendWindow | None
) -> dict[str, Any]:
    message = new.message
    return {
        "public_id": new.public_id,
        "status": Status.QUEUED,
        "recipient": message.to,
        "sender": message.from_,
        "mms_id": message.mms_id,
        "campaign_ref": message.campaign_ref,
        "reference": message.reference,
        "custom_pass_id": message.pass_data["CUSTOMPASSID"],
        "created_at": now,
        "updated_at": now,
        "send_at": message.send_at,
        "due_at": due_from(message, now, window),
        "attempts": 0,
        "batch_id": batch_id,
        "batch_row": new.row,
    }


def _content(message: PassMessage) -> dict[str, Any]:
    return {
        "custom_subject": message.custom_subject,
        "custom_text": [asdict(text) for text in message.custom_text],
        "ddm": asdict(message.ddm) if message.ddm else None,
        "data": dict(message.data),
        "pass_data": dict(message.pass_data),
    }


def _add_sqlite(
    session: Session,
    batch_id: int,
    heads: Sequence[dict[str, Any]],
    contents: Sequence[dict[str, Any]],
) -> None:
    bulk.write(session, bulk.add(Message, heads))
    rows = [
        (
            content["custom_subject"],
            *(_json(content[name]) for name in ("custom_text", "ddm", "data", "pass_data")),
            batch_id,
            head["batch_row"],
        )
        for head, content in zip(heads, contents, strict=True)
    ]
    session.connection().exec_driver_sql(
        "INSERT INTO message_contents"
        " (message_id, custom_subject, custom_text, ddm, data, pass_data)"
        " SELECT id, ?, ?, ?, ?, ? FROM messages WHERE batch_id = ? AND batch_row = ?",
        rows,
    )


def _add_references(
    session: Session, batch_id: int, token_id: int, added: Sequence[NewMessage]
) -> None:
    """Remember under which references of its token these messages were asked for."""
    rows = [
        (token_id, new.message.reference, new.digest, batch_id, new.row)
        for new in added
        if new.message.reference
    ]
    if not rows:
        return
    connection = session.connection()
    into = "INSERT INTO reference_keys (token_id, reference, digest, message_id)"
    if dialect_of(session) == "sqlite":
        connection.exec_driver_sql(
            f"{into} SELECT ?, ?, ?, id FROM messages WHERE batch_id = ? AND batch_row = ?",  # noqa: S608
            rows,
        )
        return
    named = [
        {"reference": reference, "digest": digest, "new_row": row}
        for _, reference, digest, _, row in rows
    ]
    connection.exec_driver_sql(
        f"{into} SELECT %s, new.reference, new.digest, id"  # noqa: S608
        " FROM json_to_recordset(%s::json) AS new (reference text, digest bytea, new_row integer)"
        " JOIN messages ON batch_id = %s AND batch_row = new_row",
        (token_id, bulk.without_types(named), batch_id),
    )


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value)


def _add_postgresql(
    session: Session, heads: Sequence[dict[str, Any]], contents: Sequence[dict[str, Any]]
) -> None:
    rows = [{**head, **content} for head, content in zip(heads, contents, strict=True)]
    names = {**dict.fromkeys(heads[0], Message), **dict.fromkeys(contents[0], MessageContent)}
    types = ", ".join(f"{name} {bulk.type_of(model, name)}" for name, model in names.items())
    head, content = ", ".join(heads[0]), ", ".join(contents[0])
    session.connection().exec_driver_sql(
        f"WITH new AS (SELECT * FROM json_to_recordset(%s::json) AS new ({types})),"  # noqa: S608
        f" made AS (INSERT INTO messages ({head}) SELECT {head} FROM new ORDER BY batch_row"
        " RETURNING id, batch_row AS made_row)"
        f" INSERT INTO message_contents (message_id, {content})"
        f" SELECT made.id, {content} FROM new JOIN made ON made_row = batch_row",
        (bulk.without_types(rows),),
    )


def _queued(batch_id: int, first: int, last: int) -> tuple[ColumnElement[bool], ...]:
    return (
        Message.batch_id == batch_id,
        Message.batch_row.between(first, last),
        Message.status == Status.QUEUED,
    )


def _move(
    session: Session, which: Sequence[ColumnElement[bool]], now: datetime, **values: object
) -> set[datetime]:
    return set(
        session.scalars(
            update(Message)
            .where(*which)
            .values(updated_at=now, **values)
            .returning(Message.created_at)
            .execution_options(synchronize_session=False)
        )
    )


def _first(
    session: Session, *conditions: ColumnElement[bool], lock: bool = False
) -> BatchRow | None:
    statement = select(*_COLUMNS).where(*conditions)
    if lock:
        statement = statement.with_for_update()
    found = session.execute(statement).mappings().first()
    return BatchRow(**found) if found else None
