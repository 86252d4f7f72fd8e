"""The journal of postbacks: append-only, one row an event, its bytes apart."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Insert, Select, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from tracker.domain.fold import FACTS, Delivery, Outcome
from tracker.protocol.notification import Notification
from tracker.protocol.tracking import MAX_KEY, tracking_key

from .db import dialect_of
from .models import Handset, Message, Postback, PostbackBody
from .rows import BodyRow, Page, PostbackRow

_DELIVERY = ("status", "told_at", "sender_used", "ddm_status", "sent_at", "finished_at", *FACTS)


@dataclass(frozen=True, slots=True)
class Entry:
    """A journal row just written; `is_repeat` when the event had been written before."""

    id: int
    is_repeat: bool
    message_id: int | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A postback that belongs to no message yet."""

    id: int
    body_id: int
    position: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Target:
    """A locked message, as far as postbacks concern it."""

    id: int
    recipient: str
    mms_id: str
    delivery: Delivery


def lock_keys(session: Session, keys: Iterable[str]) -> None:
    """Let one transaction at a time ask and answer whose a tracking id is.

    Without it, on PostgreSQL, a postback that finds no message and the send that finds no postback
    could miss each other. SQLite has one writer anyway.
    """
    if dialect_of(session) == "postgresql":
        for key in sorted(set(keys)):
            session.execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": key}
            )


def keep_body(session: Session, body: bytes, content_type: str | None, now: datetime) -> int:
    """Store the bytes of one request, once however often they come, and return their id."""
    digest = hashlib.sha256((content_type or "").encode() + b"\0" + body).digest()
    statement = _insert(session, PostbackBody).values(
        digest=digest, received_at=now, content_type=content_type, body=body
    )
    statement = statement.on_conflict_do_update(index_elements=["digest"], set_={"digest": digest})
    return int(session.execute(statement.returning(PostbackBody.id)).scalar_one())


def append(
    session: Session,
    notification: Notification,
    *,
    body_id: int,
    position: int,
    now: datetime,
) -> Entry:
    """Write one event to the journal, or count it as a repeat of itself.

    It is `unmatched` until `judge` says otherwise in the same transaction.
    """
    key = notification.tracking_key
    statement = _insert(session, Postback).values(
        fingerprint=hashlib.sha256(notification.fingerprint_text.encode()).digest(),
        body_id=body_id,
        position=position,
        received_at=now,
        last_received_at=now,
        repeats=0,
        outcome=Outcome.UNMATCHED,
        outcome_reason="",
        code=notification.code and notification.code[:32],
        kind=notification.kind,
        tracking_key=key if key and len(key) <= MAX_KEY else None,
        sms_key=_sms_key(notification),
        occurred_at=notification.timestamp,
        fields=notification.fields(),
        remarks=list(notification.remarks),
    )
    return _upsert(session, statement, now)


def append_unreadable(session: Session, *, body_id: int, reason: str, now: datetime) -> Entry:
    """Quarantine a body out of which nothing could be read."""
    digest = session.scalars(select(PostbackBody.digest).where(PostbackBody.id == body_id)).one()
    statement = _insert(session, Postback).values(
        fingerprint=hashlib.sha256(b"unreadable\0" + digest).digest(),
        body_id=body_id,
        position=0,
        received_at=now,
        last_received_at=now,
        repeats=0,
        outcome=Outcome.QUARANTINED,
        outcome_reason=reason[:1000],
        kind="unknown",
        fields={},
        remarks=[],
    )
    return _upsert(session, statement, now)


def judge(
    session: Session, postback_id: int, outcome: Outcome, reason: str, message_id: int | None
) -> None:
    """Write down what became of a postback."""
    session.execute(
        update(Postback)
        .where(Postback.id == postback_id)
        .values(outcome=outcome, outcome_reason=reason[:1000], message_id=message_id)
    )


def touch(session: Session, message_id: int, now: datetime) -> None:
    """Note on a message that a repeated postback came."""
    session.execute(update(Message).where(Message.id == message_id).values(updated_at=now))


def targets(session: Session, key: str) -> list[Target]:
    """Lock and return the messages with this tracking key, the newest first; nearly always one."""
    return _targets(session, select(Message).where(Message.tracking_key == key))


def target_of_sms(session: Session, key: str) -> list[Target]:
    """Lock and return the message whose N102 named this id as that of its link SMS.

    Source: PROTOCOL 6.8, legacy dialect.
    """
    linked = select(Postback.message_id).where(
        Postback.sms_key == key, Postback.message_id.is_not(None)
    )
    return _targets(session, select(Message).where(Message.id.in_(linked)))


def target_of_pass(session: Session, custom_pass_id: str) -> list[Target]:
    """Return the messages that were sent with this custom pass id, the newest first."""
    return _targets(session, select(Message).where(Message.custom_pass_id == custom_pass_id))


def target_of_number(session: Session, number: str) -> list[Target]:
    """Return the messages to this number, the newest first."""
    return _targets(session, select(Message).where(Message.recipient == number))


def apply(session: Session, target: Target, delivery: Delivery, now: datetime) -> None:
    """Write the folded state back to the locked message."""
    values = {name: getattr(delivery, name) for name in _DELIVERY}
    for name, value in values.items():
        limit = getattr(Message.__table__.c[name].type, "length", None)
        if isinstance(value, str) and name != "status" and limit:
            values[name] = value[:limit]  # cut for display; the journal has the whole
    session.execute(update(Message).where(Message.id == target.id).values(updated_at=now, **values))


def waiting_for(session: Session, key: str) -> list[Waiting]:
    """Return the postbacks on the shelf for a tracking key, in order of arrival."""
    found = session.execute(
        select(Postback.id, Postback.body_id, Postback.position, Postback.received_at)
        .where(
            Postback.tracking_key == key,
            Postback.message_id.is_(None),
            Postback.outcome.in_((Outcome.UNMATCHED, Outcome.NOTED)),
        )
        .order_by(Postback.id)
    )
    return [Waiting(*row) for row in found]


def remember_handset(
    session: Session, number: str, notification: Notification, seen_at: datetime
) -> None:
    """Keep the handset that a receipt named for a number; the newest word wins."""
    values = {
        "handset": (notification.handset or "")[:256],
        "os": notification.os and notification.os[:128],
        "source": (notification.code or "")[:32],
        "seen_at": seen_at,
    }
    statement = _insert(session, Handset).values(number=number, **values)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["number"], set_=values, where=Handset.seen_at <= seen_at
        )
    )


def of_message(session: Session, message_id: int) -> list[PostbackRow]:
    """Return the postbacks of one message in order of arrival."""
    return _rows(session, _select().where(Postback.message_id == message_id).order_by(Postback.id))


def by_id(session: Session, postback_id: int) -> PostbackRow | None:
    """Return one postback."""
    found = _rows(session, _select().where(Postback.id == postback_id))
    return found[0] if found else None


def body(session: Session, body_id: int) -> BodyRow:
    """Return the exact bytes that a postback came in."""
    return bodies(session, [body_id])[body_id]


def bodies(session: Session, body_ids: Iterable[int]) -> dict[int, BodyRow]:
    """Return the exact bytes of several requests by their ids."""
    found = session.scalars(select(PostbackBody).where(PostbackBody.id.in_(list(body_ids))))
    return {
        row.id: BodyRow(received_at=row.received_at, content_type=row.content_type, body=row.body)
        for row in found
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class PostbackFilter:
    """Conditions that all hold; None asks nothing."""

    outcome: str | None = None
    code: str | None = None
    kind: str | None = None
    tracking_id: str | None = None
    message_id: int | None = None


def search(
    session: Session, wanted: PostbackFilter, *, limit: int, before_id: int | None = None
) -> Page[PostbackRow]:
    """Return one page of the journal, newest first; the cursor is the last id shown."""
    statement = _select().order_by(Postback.id.desc()).limit(limit + 1)
    conditions = {
        Postback.outcome: wanted.outcome,
        Postback.code: wanted.code and wanted.code.upper(),
        Postback.kind: wanted.kind,
        Postback.tracking_key: wanted.tracking_id and tracking_key(wanted.tracking_id),
        Postback.message_id: wanted.message_id,
    }
    statement = statement.where(*(c == v for c, v in conditions.items() if v is not None))
    if before_id is not None:
        statement = statement.where(Postback.id < before_id)
    found = _rows(session, statement)
    more = len(found) > limit
    return Page(found[:limit], str(found[limit - 1].id) if more else None)


def _insert(session: Session, table: type[Any]) -> Any:  # noqa: ANN401  # two dialects, one shape
    dialect = sqlite if dialect_of(session) == "sqlite" else postgresql
    statement: Insert = dialect.insert(table)
    return statement


def _upsert(session: Session, statement: Any, now: datetime) -> Entry:  # noqa: ANN401
    counted = statement.on_conflict_do_update(
        index_elements=["fingerprint"],
        set_={"repeats": Postback.repeats + 1, "last_received_at": now},
    ).returning(Postback.id, Postback.repeats, Postback.message_id)
    postback_id, repeats, message_id = session.execute(counted).one()
    return Entry(postback_id, repeats > 0, message_id)


def _sms_key(notification: Notification) -> str | None:
    key = tracking_key(notification.sms_id) if notification.sms_id else None
    return key if key and len(key) <= MAX_KEY else None


def _targets(session: Session, found: Select[Message]) -> list[Target]:
    locked = found.order_by(Message.id.desc()).limit(20).with_for_update()
    return [
        Target(
            id=row.id,
            recipient=row.recipient,
            mms_id=row.mms_id,
            delivery=Delivery(**{name: getattr(row, name) for name in _DELIVERY}),
        )
        for row in session.scalars(locked.execution_options(populate_existing=True))
    ]


def _select() -> Select[*tuple[Any, ...]]:
    columns = (
        getattr(Postback, name)
        for name in PostbackRow.__dataclass_fields__
        if name != "message_public_id"
    )
    return select(*columns, Message.public_id.label("message_public_id")).outerjoin(
        Message, Message.id == Postback.message_id
    )


def _rows(session: Session, statement: Select[*tuple[Any, ...]]) -> list[PostbackRow]:
    return [PostbackRow(**row) for row in session.execute(statement).mappings()]
