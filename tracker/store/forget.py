"""Erasing one person: her messages, and what else is kept by her number.

Messages keep what counts: when, which MMS, how it ended. What is erased of them is the recipient
and all that somebody wrote, here, at the gateway or by a carrier. Where else the number is written,
see `forget_rows`.
"""

import secrets
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.orm import Session

from tracker.domain.numbers import ERASED
from tracker.domain.spellings import Spellings
from tracker.domain.status import Status

from . import bulk, suppressions
from .base import Base
from .batches import HELD, Stage
from .db import dialect_of
from .models import (
    Batch,
    BatchChunk,
    BatchKept,
    Checkpoint,
    Handset,
    IdempotencyKey,
    Message,
    MessageContent,
    Postback,
    PostbackBody,
    ReferenceKey,
    SendAttempt,
    Settlement,
    Suppression,
)
from .repeats import Names, column_of

BEING_SENT: Final = (Status.QUEUED, Status.SENDING)
_OVER: Final = (Stage.CHECKED, Stage.REFUSED, Stage.FAILED, Stage.QUEUED, Stage.CANCELLED)
_OVERLAP: Final = 128  # bytes of a piece of a file that the next one may go on with

Gone = Counter[str]


@dataclass(frozen=True, slots=True)
class File:
    """A batch whose file, or what is kept of it, names the person."""

    id: int
    public_id: UUID
    is_over: bool


def being_sent(session: Session, number: str, limit: int) -> list[tuple[UUID, Status]]:
    """Return messages to a number that are still to be sent, or just being sent."""
    found = session.execute(
        select(Message.public_id, Message.status)
        .where(Message.recipient == number, Message.status.in_(BEING_SENT))
        .order_by(Message.created_at)
        .limit(limit)
    )
    return [(row.public_id, row.status) for row in found]


def files_with(session: Session, spellings: Spellings) -> list[File]:
    """Return the batches whose files have a number; only those have one that are not queued yet."""
    ids: set[int] = set()
    before: tuple[int | None, bytes] = (None, b"")
    pieces = select(BatchChunk.batch_id, BatchChunk.data)
    pieces = pieces.order_by(BatchChunk.batch_id, BatchChunk.position)
    for batch_id, data in session.execute(pieces.execution_options(yield_per=4)):
        last, tail = before
        if spellings.is_in((tail if last == batch_id else b"") + data):
            ids.add(batch_id)
        before = (batch_id, data[-_OVERLAP:])
    kept = select(BatchKept.batch_id, BatchKept.data).execution_options(yield_per=4)
    ids |= {batch_id for batch_id, data in session.execute(kept) if spellings.is_in(data)}
    found = session.execute(
        select(Batch.id, Batch.public_id, Batch.status, Batch.hold).where(Batch.id.in_(ids))
    )
    return [
        File(row.id, row.public_id, row.status in _OVER and row.hold not in HELD) for row in found
    ]


def erase_files(session: Session, batch_ids: Collection[int]) -> Gone:
    """Forget the files of batches that are over."""
    return _delete(session, BatchChunk, BatchChunk.batch_id.in_(batch_ids)) + _delete(
        session, BatchKept, BatchKept.batch_id.in_(batch_ids)
    )


def erase_messages(session: Session, number: str, spellings: Spellings, limit: int) -> Gone:
    """Erase the next messages to a number, with all that hangs on them; nothing when none is left.

    Their postbacks lose their bytes, and what was read out of them.
    """
    locked = (
        select(Message.id)
        .where(Message.recipient == number, Message.status.not_in(BEING_SENT))
        .order_by(Message.id.desc())
        .limit(limit)
        .with_for_update()
    )
    ids = list(session.scalars(locked))
    if not ids:
        return Counter()
    among = bulk.among
    postbacks = list(
        session.scalars(select(Postback.id).where(among(session, Postback.message_id, ids)))
    )
    gone = erase_postbacks(session, postbacks)
    gone["messages"] = _set(
        session, Message, among(session, Message.id, ids),
        recipient=ERASED, custom_pass_id=ERASED, reference=None, tracking_id=None,
        tracking_key=None, error_info=None, aggregator_id=None, status_details=None,
    )  # fmt: skip
    gone["message_contents"] = _set(
        session, MessageContent, among(session, MessageContent.message_id, ids),
        custom_subject=None, custom_text=[], ddm=None, data={}, pass_data={},
    )  # fmt: skip
    gone["send_attempts"] = _set(
        session, SendAttempt, among(session, SendAttempt.message_id, ids),
        detail=None, answer=None, note=None,
    )  # fmt: skip
    gone["settlements"] = _set(
        session, Settlement, among(session, Settlement.message_id, ids), reason=ERASED
    )
    for names in (IdempotencyKey, ReferenceKey):
        gone[names.__tablename__] = _unlink(session, names, ids, spellings)
    return +gone


def _unlink(session: Session, names: Names, ids: Sequence[int], spellings: Spellings) -> int:
    """Let names of requests stand for no message; one that has the number in it goes.

    The digest of a short request can be found by trying every number there is.
    """
    name = column_of(names)
    found = session.execute(
        select(names.token_id, name).where(bulk.among(session, names.message_id, ids))
    ).all()
    for token_id, text in found:
        is_it = (names.token_id == token_id, name == text)
        if spellings.is_in(text):
            session.execute(delete(names).where(*is_it))
        else:
            values = {"message_id": None, "digest": secrets.token_bytes(32)}
            session.execute(update(names).where(*is_it).values(values))
    return len(found)


def erase_postbacks(session: Session, ids: Sequence[int]) -> Gone:
    """Erase what postbacks say, and their bytes; that they came, and their codes, stays."""
    if not ids:
        return Counter()
    is_theirs = bulk.among(session, Postback.id, ids)
    bodies = set(session.scalars(select(Postback.body_id).where(is_theirs)))
    session.execute(
        update(Postback),
        [
            {
                "id": id_, "fingerprint": secrets.token_bytes(32), "fields": {}, "remarks": [],
                "tracking_key": None, "sms_key": None, "outcome_reason": "It was erased.",
            }
            for id_ in ids
        ],
    )  # fmt: skip
    return Counter(postbacks=len(ids)) + erase_bodies(session, bodies)


def erase_bodies(session: Session, ids: Collection[int]) -> Gone:
    """Erase bytes of postbacks, whole, whoever else they tell of.

    The newest row stays, without them: SQLite would give its id to the next one.
    """
    newest = session.scalar(select(func.max(PostbackBody.id)))
    is_meant = bulk.among(session, PostbackBody.id, ids)
    gone = _delete(session, PostbackBody, is_meant & (PostbackBody.id != newest))
    gone["postback_bodies"] += _set(
        session, PostbackBody,
        is_meant & ((PostbackBody.body != b"") | PostbackBody.headers.is_not(None)),
        body=b"", content_type=None, headers=None, digest=secrets.token_bytes(32),
    )  # fmt: skip
    return +gone


def erase_number(session: Session, number: str, spared: str) -> Gone:
    """Erase what is kept by number: the handset, and a suppression, but one that is `spared`."""
    gone = _delete(session, Handset, Handset.number == number)
    return gone + _delete(session, Suppression, _suppression(number, spared))


def _suppression(number: str, spared: str) -> ColumnElement[bool]:
    is_meant = Suppression.number == number
    return is_meant & Suppression.lifted_at.is_not(None) if spared else is_meant


def own_rows(
    session: Session, number: str, spared: str, batch_ids: Collection[int]
) -> dict[str, set[tuple[Any, ...]]]:
    """Return the keys of all that is erased by number and in files, by table."""
    messages = select(Message.id).where(Message.recipient == number)
    bodies = select(Postback.body_id).where(Postback.message_id.in_(messages))
    wanted: list[tuple[type[Base], ColumnElement[bool]]] = [
        (Message, Message.recipient == number),
        *(
            (model, model.message_id.in_(messages))
            for model in (
                MessageContent, SendAttempt, Settlement, Postback, IdempotencyKey, ReferenceKey,
            )
        ),
        (PostbackBody, PostbackBody.id.in_(bodies) & (PostbackBody.body != b"")),
        (Handset, Handset.number == number),
        (Suppression, _suppression(number, spared)),
        (BatchChunk, BatchChunk.batch_id.in_(batch_ids)),
        (BatchKept, BatchKept.batch_id.in_(batch_ids)),
    ]  # fmt: skip
    return {
        model.__tablename__: {
            tuple(row)
            for row in session.execute(select(*bulk.table_of(model).primary_key).where(condition))
        }
        for model, condition in wanted
    }


def is_suppressed(session: Session, number: str) -> bool:
    """Say whether a number must not be sent to."""
    return suppressions.find(session, number) is not None


# How far it is


def kept(session: Session, prefix: str) -> dict[str, int]:
    """Return what a run that was stopped has kept under names with a prefix."""
    found = select(Checkpoint.name, Checkpoint.position).where(Checkpoint.name.startswith(prefix))
    return {name.removeprefix(prefix): position for name, position in session.execute(found)}


def drop_kept(session: Session, prefix: str) -> None:
    """Forget what a run has kept."""
    dropped = delete(Checkpoint).where(Checkpoint.name.startswith(prefix))
    session.execute(dropped.execution_options(synchronize_session=False))


def leave_no_trace(session: Session) -> None:
    """Let SQLite write over what this transaction deletes, and not only give its room away."""
    if dialect_of(session) == "sqlite":
        session.connection().exec_driver_sql("PRAGMA secure_delete = ON")


def empty_log(session: Session) -> None:
    """Let SQLite empty the log beside its file, as far as nobody reads in it."""
    if dialect_of(session) == "sqlite":
        session.connection().exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _set(session: Session, model: type[Base], condition: Any, **values: Any) -> int:  # noqa: ANN401
    changed = update(model).where(condition).values(**values)
    return session.connection().execute(changed).rowcount


def _delete(session: Session, model: type[Base], condition: Any) -> Gone:  # noqa: ANN401
    count = session.connection().execute(delete(model).where(condition)).rowcount
    return Counter({model.__tablename__: count}) if count else Counter()
