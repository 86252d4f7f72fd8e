"""The overview's questions. Each reads a bounded part of the database by an index, however full.

Counts come from the rollups, which grow with the hours and not with the messages. What is only in
the messages themselves is asked of so many of each of the last hours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, case, exists, func, select, union_all
from sqlalchemy.orm import Session

from tracker.domain.fold import Outcome
from tracker.domain.overview import HOUR, STATUSES, HourCount, Measure
from tracker.domain.status import Status

from .models import IS_IN_OUTBOX, Message, Postback, Rollup, RollupMark
from .postbacks import is_not_applied

MOST_COUNTED: Final = 10_000  # of the queue and of the shelf; beyond that nobody needs the number


@dataclass(frozen=True, slots=True)
class Bounded:
    """A number that was counted no further than to its bound."""

    count: int
    is_more: bool

    @classmethod
    def of(cls, counted: int, most: int) -> "Bounded":
        """Return what was counted with one more than the bound allowed for."""
        return cls(min(counted, most), counted > most)


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits to be sent; `held` belongs to paused batches or is for later."""

    due: Bounded
    later: int
    sending: int
    oldest_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class FailureRow:
    """How many messages ended in one way; `code` is that of the gateway's refusal."""

    status: Status
    code: str | None
    messages: int


@dataclass(frozen=True, slots=True)
class CarrierRow:
    """What became of the messages of one carrier."""

    spid: str
    messages: int
    ended: int
    delivered: int


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One of the messages of the last hours."""

    created_at: datetime
    status: Status
    accepted_at: datetime | None
    finished_at: datetime | None
    sent_as: str | None
    spid: str | None
    handset: str | None


def hourly(session: Session, since: datetime) -> list[HourCount]:
    """Return how many messages of each hour have which status."""
    alike = (Rollup.hour, Rollup.status, Rollup.sent_as)
    found = select(*alike, func.sum(Rollup.messages)).where(Rollup.hour >= since).group_by(*alike)
    return [
        HourCount(hour, status, sent_as, int(n))
        for hour, status, sent_as, n in _all(session, found)
    ]


def first_hour(session: Session) -> datetime | None:
    """Return the first hour that was counted; None when none was."""
    return session.scalar(select(func.min(Rollup.hour)))


def is_behind(session: Session) -> bool:
    """Say whether some change is not in the counts yet."""
    return bool(session.scalar(select(exists(select(RollupMark.id)))))


def failures(session: Session, since: datetime, limit: int) -> list[FailureRow]:
    """Return in which ways messages failed, the most frequent first."""
    alike, messages = (Rollup.status, Rollup.code), func.sum(Rollup.messages)
    found = (
        select(*alike, messages)
        .where(Rollup.hour >= since, Rollup.status.in_(STATUSES[Measure.FAILED]))
        .group_by(*alike)
        .order_by(messages.desc(), *alike)
        .limit(limit)
    )
    return [FailureRow(status, code, int(n)) for status, code, n in _all(session, found)]


def carriers(session: Session, since: datetime, limit: int) -> list[CarrierRow]:
    """Return what became of messages by carrier, the largest first."""
    messages = func.sum(Rollup.messages)
    failed = (Rollup.status.in_(STATUSES[Measure.FAILED]), Rollup.messages)
    delivered = (Rollup.status == Status.DELIVERED, Rollup.messages)
    found = (
        select(
            Rollup.spid, messages,
            func.sum(case(failed, delivered, else_=0)), func.sum(case(delivered, else_=0)),
        )
        .where(Rollup.hour >= since, Rollup.spid.is_not(None))
        .group_by(Rollup.spid)
        .order_by(messages.desc(), Rollup.spid)
        .limit(limit)
    )  # fmt: skip
    return [CarrierRow(spid, int(n), int(e), int(d)) for spid, n, e, d in _all(session, found)]


def sample(session: Session, hours: Sequence[datetime], most: int) -> list[SampleRow]:
    """Return the newest messages of each hour, at most so many of one."""
    wanted = [getattr(Message, name) for name in SampleRow.__dataclass_fields__]
    parts = [
        select(*wanted)
        .where(Message.created_at >= hour, Message.created_at < hour + HOUR)
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(most)
        .subquery()
        for hour in hours
    ]
    found = union_all(*(select(part) for part in parts))
    return [SampleRow(*row) for row in session.execute(found)]


def queue(session: Session, now: datetime, most: int = MOST_COUNTED) -> Queue:
    """Count what is in the outbox, the oldest first and no further than to the bound."""
    front = (
        select(Message.status, Message.due_at)
        .where(IS_IN_OUTBOX)
        .order_by(Message.due_at)
        .limit(most + 1)
        .subquery()
    )
    is_queued = front.c.status == Status.QUEUED
    is_due = is_queued & (front.c.due_at <= now)
    due, later, sending, oldest = session.execute(
        select(
            _count(is_due), _count(is_queued & (front.c.due_at > now)),
            _count(front.c.status == Status.SENDING), func.min(case((is_due, front.c.due_at))),
        )
    ).one()  # fmt: skip
    return Queue(Bounded.of(due, most), later, sending, oldest)


def on_shelf(session: Session, outcome: Outcome, most: int = MOST_COUNTED) -> Bounded:
    """Count the postbacks that wait with an outcome, no further than to the bound."""
    found = (
        select(Postback.id)
        .where(Postback.outcome == outcome.value, is_not_applied())
        .limit(most + 1)
        .subquery()
    )
    return Bounded.of(session.scalar(select(func.count()).select_from(found)) or 0, most)


def last_postback_at(session: Session) -> datetime | None:
    """Return when the newest postback came."""
    return session.scalar(select(Postback.received_at).order_by(Postback.id.desc()).limit(1))


def _count(condition: ColumnElement[bool]) -> Any:  # noqa: ANN401  # a function of SQL
    return func.count(case((condition, 1)))


def _all(session: Session, statement: Select[*tuple[Any, ...]]) -> Sequence[Any]:
    return session.execute(statement).all()
