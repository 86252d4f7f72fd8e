"""What became of the newest messages to one carrier: the stuff that habits are read from."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Subquery, select
from sqlalchemy.orm import Session

from tracker.domain.status import Status

from .models import Message


@dataclass(frozen=True, slots=True)
class Told:
    """What one message has heard; times are ours."""

    status: Status
    accepted_at: datetime | None
    finished_at: datetime | None


_TOLD = (Message.status, Message.accepted_at, Message.finished_at)


def newest_to(
    session: Session,
    spid: str,
    statuses: Collection[Status],
    *,
    since: datetime,
    until: datetime,
    looked_at: int,
    limit: int,
) -> list[Told]:
    """Return what the newest messages to a carrier have heard, at most `limit` of them.

    The newest `looked_at` messages of that time are gone through, by the index of the list: no
    index knows a carrier. One that postbacks had to keep would cost the receiver more than this
    costs a page.
    """
    sample = _sample(since, until, looked_at)
    found = session.execute(
        select(*_told(sample))
        .where(sample.c.spid == spid, sample.c.status.in_(list(statuses)))
        .order_by(sample.c.created_at.desc(), sample.c.id.desc())
        .limit(limit)
    )
    return [Told(*row) for row in found]


def newest(
    session: Session, *, since: datetime, until: datetime, looked_at: int
) -> Iterator[tuple[str, Told]]:
    """Yield SPID and what was heard of the newest messages that have one, newest first."""
    sample = _sample(since, until, looked_at)
    found = session.execute(
        select(sample.c.spid, *_told(sample))
        .where(sample.c.spid.is_not(None))
        .order_by(sample.c.created_at.desc(), sample.c.id.desc())
    )
    for spid, *told in found:
        yield spid, Told(*told)


def _sample(since: datetime, until: datetime, looked_at: int) -> Subquery:
    return (
        select(Message.id, Message.created_at, Message.spid, *_TOLD)
        .where(Message.created_at >= since, Message.created_at < until)
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(looked_at)
        .subquery()
    )


def _told(sample: Subquery) -> list[ColumnElement[Any]]:
    return [sample.c[column.key] for column in _TOLD]
