"""What became of the newest messages, carrier by carrier: the stuff that habits are read from."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from tracker.domain.status import Status

from .models import Message


@dataclass(frozen=True, slots=True)
class Told:
    """What one message has heard; times are ours."""

    spid: str | None
    status: Status
    accepted_at: datetime | None
    finished_at: datetime | None


def newest(session: Session, *, since: datetime, until: datetime, limit: int) -> list[Told]:
    """Return what the newest messages of a time have heard, at most `limit` of them.

    It walks the index of the list, and no index knows a carrier: one that postbacks had to keep
    would cost the receiver more than this costs a page.
    """
    found = session.execute(
        select(Message.spid, Message.status, Message.accepted_at, Message.finished_at)
        .where(Message.created_at >= since, Message.created_at < until)
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(limit)
    )
    return [Told(*row) for row in found]
