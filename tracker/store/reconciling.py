"""The messages that a sending of the gateway's statistics may be about."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from tracker.domain.settling import Settled
from tracker.domain.status import Status

from . import bulk
from .models import Message, SendAttempt
from .settling import LONG_AGO

MOST: Final = 50_000  # messages to the numbers that are asked for at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A message with a tracking id, or one whose answer was lost; `taken_at` is when it left us.

    `status` is unknown as long as nobody has settled a lost answer.
    """

    id: int
    public_id: UUID
    recipient: str
    mms_id: str
    sender: str
    status: Status
    tracking_id: str | None
    taken_at: datetime


def candidates(
    session: Session, numbers: Collection[str], since: datetime, until: datetime
) -> list[Candidate] | None:
    """Return the messages to these numbers that the gateway took in a period, oldest first.

    None when there are more than anybody could tell apart.
    """
    called = (
        select(func.max(SendAttempt.started_at))
        .where(SendAttempt.message_id == Message.id)
        .scalar_subquery()
    )
    found = (
        select(
            Message.id, Message.public_id, Message.recipient, Message.mms_id, Message.status,
            func.coalesce(Message.sender_used, Message.sender).label("sender"),
            Message.tracking_id, func.coalesce(called, Message.accepted_at).label("taken_at"),
        )
        .where(
            bulk.among(session, Message.recipient, sorted(numbers)),
            Message.created_at.between(since - LONG_AGO, until),
            or_(
                Message.tracking_key.is_not(None),
                Message.status == Status.UNKNOWN,
                Message.settled_as == Settled.SENT,
            ),
        )
        .order_by(Message.id)
        .limit(MOST + 1)
    )  # fmt: skip
    rows = session.execute(found).mappings().all()
    if len(rows) > MOST:
        return None
    taken = [Candidate(**row) for row in rows if row["taken_at"]]
    return [one for one in taken if since <= one.taken_at <= until]
