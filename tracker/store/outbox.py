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

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from tracker.domain.message import PassMessage
from tracker.domain.status import Status

from . import ingest
from .models import IS_IN_OUTBOX, Message, MessageContent, SendAttempt

LEASE: Final = timedelta(seconds=60)
VANISHED: Final = {"error_code": None, "error_info": "the sender stopped during the call"}


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


def expire_leases(session: Session, now: datetime) -> list[int]:
    """Settle messages whose sender vanished; returns the ids of those that are unknown by it.

    Before the call began they are queued again, after it they are `unknown`.
    """
    is_late = (IS_IN_OUTBOX, Message.status == Status.SENDING, Message.lease_until <= now)
    called = exists().where(SendAttempt.claim_id == Message.claim_id)
    moved: list[tuple[int, Status, datetime]] = []
    ends = (
        (called, {"status": Status.UNKNOWN, "due_at": None, **VANISHED}),
        (~called, {"status": Status.QUEUED}),
    )
    for condition, values in ends:
        found = session.execute(
            update(Message)
            .where(*is_late, condition)
            .values(updated_at=now, **values)
            .returning(Message.id, Message.status, Message.created_at)
            .execution_options(synchronize_session=False)
        )
        moved += [(id_, status, created_at) for id_, status, created_at in found]
    ingest.mark_hours(session, {created_at for _, _, created_at in moved})
    return [id_ for id_, status, _ in moved if status is Status.UNKNOWN]


def _settle(
    session: Session,
    claim: Claim,
    now: datetime,
    values: Mapping[str, Any],
) -> bool:
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
