"""Messages of which nobody has said anything for long."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from tracker.domain.status import Status

from . import ingest
from .models import Message, Rollup
from .rollups import HOUR, hour_of, of_living

AWAITED: Final = (Status.ACCEPTED, Status.SENT)


def hours(session: Session, before: datetime, limit: int) -> list[datetime]:
    """Return the newest hours that have messages without a receipt, made before a moment."""
    is_waiting = (Rollup.status.in_(AWAITED), Rollup.hour <= hour_of(before), of_living())
    waiting = select(Rollup.hour).where(*is_waiting)
    newest = waiting.distinct().order_by(Rollup.hour.desc()).limit(limit)
    return list(session.scalars(newest))


def give_up(session: Session, hour: datetime, before: datetime, now: datetime, limit: int) -> int:
    """Mark messages of an hour that had their last word before a moment; returns how many.

    What somebody else is about to change is left out: it has just been heard of.
    """
    last_word = func.coalesce(Message.sent_at, Message.accepted_at, Message.created_at)
    silent = (
        select(Message.id)
        .where(
            Message.created_at >= hour,
            Message.created_at < hour + HOUR,
            Message.status.in_(AWAITED),
            last_word < before,
        )
        .order_by(Message.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = list(session.scalars(silent))
    _mark(session, ids, now)
    if ids:
        ingest.mark_hours(session, {hour})
    return len(ids)


def _mark(session: Session, ids: Sequence[int], now: datetime) -> None:
    session.execute(
        update(Message)
        .where(Message.id.in_(ids), Message.status.in_(AWAITED))
        .values(status=Status.NO_RECEIPT, updated_at=now)
        .execution_options(synchronize_session=False)
    )
