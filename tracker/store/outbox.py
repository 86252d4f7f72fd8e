"""The queue of messages to send, in the `messages` table itself.

    queued --claim--> sending --begin_call--> (the call) --record_*--> accepted, refused, unknown

`claim` takes the message for one sender until the lease ends; `begin_call` writes down that a call
is about to be made. A lease that ends without that line goes back to queued; with it, the call may
have gone through, and the message is `unknown`. Every step is conditional on the claim.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, case, exists, literal, null, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from tracker.domain.message import PassMessage
from tracker.domain.status import Status

from . import batches, ingest
from .models import IS_IN_OUTBOX, IdempotencyKey, Message, MessageContent, SendAttempt

LEASE: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Claim:
    """One message taken by one sender."""

    message_id: int
    public_id: UUID
    claim_id: UUID


def add(session: Session, message: PassMessage, public_id: UUID, now: datetime) -> int:
    """Queue a message and return its internal id."""
    row = Message(
        public_id=public_id,
        status=Status.QUEUED,
        recipient=message.to,
        sender=message.from_,
        mms_id=message.mms_id,
        campaign_ref=message.campaign_ref,
        reference=message.reference,
        custom_pass_id=message.pass_data["CUSTOMPASSID"],
        created_at=now,
        updated_at=now,
        send_at=message.send_at,
        due_at=max(now, message.send_at) if message.send_at else now,
    )
    session.add(row)
    session.flush()
    session.add(
        MessageContent(
            message_id=row.id,
            custom_subject=message.custom_subject,
            custom_text=[asdict(text) for text in message.custom_text],
            ddm=asdict(message.ddm) if message.ddm else None,
            data=dict(message.data),
            pass_data=dict(message.pass_data),
        )
    )
    return row.id


@dataclass(frozen=True, slots=True)
class Known:
    """What was queued under an idempotency key, and the digest of the request."""

    digest: bytes
    public_id: UUID


def add_key(session: Session, token_id: int, key: str, digest: bytes, message_id: int) -> None:
    """Remember under which key a token queued a message; a second one violates the table's key."""
    session.add(IdempotencyKey(token_id=token_id, key=key, digest=digest, message_id=message_id))


def by_key(session: Session, token_id: int, key: str) -> Known | None:
    """Return what a token has queued under a key."""
    found = session.execute(
        select(IdempotencyKey.digest, Message.public_id)
        .join(Message, Message.id == IdempotencyKey.message_id)
        .where(IdempotencyKey.token_id == token_id, IdempotencyKey.key == key)
    ).first()
    return Known(*found) if found else None


def claim(session: Session, limit: int, now: datetime) -> list[Claim]:
    """Take up to `limit` due messages; two senders never get the same one."""
    due = (
        select(Message)
        .where(IS_IN_OUTBOX, Message.status == Status.QUEUED, Message.due_at <= now)
        .order_by(Message.due_at, Message.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    claims = []
    found = session.scalars(due).all()
    for message in found:
        message.status = Status.SENDING
        message.claim_id = uuid4()
        message.lease_until = now + LEASE
        message.updated_at = now
        claims.append(Claim(message.id, message.public_id, message.claim_id))
    ingest.mark_hours(session, {message.created_at for message in found})
    return claims


def begin_call(session: Session, claim: Claim, now: datetime) -> bool:
    """Write down that the call is about to be made; False when the lease is lost."""
    held = (
        update(Message)
        .where(
            Message.id == claim.message_id,
            Message.claim_id == claim.claim_id,
            Message.status == Status.SENDING,
            Message.lease_until > now,
        )
        .values(attempts=Message.attempts + 1, lease_until=now + LEASE, updated_at=now)
        .returning(Message.id)
    )
    if session.scalar(held) is None:
        return False
    session.add(SendAttempt(message_id=claim.message_id, claim_id=claim.claim_id, started_at=now))
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReport:
    """What is kept of one call: `answer` is the body word for word."""

    outcome: str
    detail: str | None
    answer: str | None


def finish(
    session: Session, claim: Claim, now: datetime, report: CallReport, values: Mapping[str, Any]
) -> bool:
    """Record how a call ended, and move the message; False when somebody else has settled it.

    A message whose lease ran out during the call is `unknown` by then; the answer that came after
    all is the truth about it and still counts. It leaves the queue unless `values` say when it is
    due again.
    """
    session.execute(
        update(SendAttempt)
        .where(SendAttempt.claim_id == claim.claim_id)
        .values(finished_at=now, outcome=report.outcome, detail=report.detail, answer=report.answer)
    )
    return _settle(session, claim, now, values)


def expire_leases(session: Session, now: datetime) -> int:
    """Settle messages whose sender vanished; returns how many.

    Before the call began they are queued again, after it they are `unknown`.
    """
    is_late = (IS_IN_OUTBOX, Message.status == Status.SENDING, Message.lease_until <= now)
    called = exists().where(SendAttempt.claim_id == Message.claim_id)
    moved: list[datetime] = []
    ends: tuple[tuple[ColumnElement[bool], dict[str, Any]], ...] = (
        (called, {"status": Status.UNKNOWN, "due_at": None}),
        (~called, {"status": Status.QUEUED, "due_at": _unless_held(Message.due_at)}),
    )
    for condition, values in ends:
        moved += session.scalars(
            update(Message)
            .where(*is_late, condition)
            .values(updated_at=now, **values)
            .returning(Message.created_at)
            .execution_options(synchronize_session=False)
        )
    ingest.mark_hours(session, moved)
    return len(moved)


def _unless_held(due_at: ColumnElement[Any] | InstrumentedAttribute[Any]) -> ColumnElement[Any]:
    """Return when a message is due again: not at all while its batch is paused."""
    is_held = and_(Message.batch_id.is_not(None), batches.is_held(Message.batch_id))
    return case((is_held, null()), else_=due_at)


def _settle(
    session: Session,
    claim: Claim,
    now: datetime,
    values: Mapping[str, Any],
) -> bool:
    if (due_at := values.get("due_at")) is not None:
        values = {**values, "due_at": _unless_held(literal(due_at, Message.due_at.type))}
    statement = (
        update(Message)
        .where(
            Message.id == claim.message_id,
            Message.claim_id == claim.claim_id,
            Message.status.in_((Status.SENDING, Status.UNKNOWN)),
        )
        .values(**{"updated_at": now, "due_at": None, **values})
        .returning(Message.id)
        .execution_options(synchronize_session=False)
    )
    return session.scalar(statement) is not None
