"""Hourly counts of messages that are alike, and the marks that say which hours are out of date.

Whoever changes a message adds a mark for its hour in the same transaction. `refresh` deletes the
marks it can see and then counts those hours anew, in one transaction of READ COMMITTED, where every
statement sees what was committed before it. No change is missed: a change is committed together
with its mark, so that the count, which comes after the deletion, sees every change whose mark the
deletion saw; a mark that came too late for the deletion stays, and the hour is counted once more.
One transaction at a time counts: two could each put down what they saw, the older one last. On
SQLite there is one writer anyway.

Messages that leave by retention go on counting: whoever deletes them moves them, in the same
transaction and under the same lock, from the counts of the living to those that are never counted
anew. So an hour may be counted again at any time, whatever of its messages is gone.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, exists, func, insert, literal, select, text, update
from sqlalchemy.orm import Session

from .db import dialect_of
from .models import Message, Rollup, RollupMark

HOUR: Final = timedelta(hours=1)
GROUP: Final = ("status", "mms_id", "campaign_ref", "spid", "sent_as", "code")
ALIKE: Final = (
    Message.status, Message.mms_id, Message.campaign_ref, Message.spid, Message.sent_as,
    Message.error_code,
)  # fmt: skip
# Two numbers: a key apart from those that stand for tracking ids.
_TRY_LOCK: Final = text("SELECT pg_try_advisory_xact_lock(7467, 1)")
_LOCK: Final = text("SELECT pg_advisory_xact_lock(7467, 1)")

Counts = Counter[tuple[Any, ...]]


def hour_of(moment: datetime) -> datetime:
    """Return the hour that a time is counted in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def marked(session: Session) -> list[datetime]:
    """Return the hours that are out of date, the newest first."""
    hours = select(RollupMark.hour).distinct().order_by(RollupMark.hour.desc())
    return list(session.scalars(hours))


def refresh(session: Session, hours: Sequence[datetime]) -> int:
    """Count those of the hours anew that are marked; returns how many, 0 when another is at it."""
    if dialect_of(session) == "postgresql" and not session.scalar(_TRY_LOCK):
        return 0
    taken = session.scalars(
        delete(RollupMark)
        .where(RollupMark.hour.in_(hours))
        .returning(RollupMark.hour)
        .execution_options(synchronize_session=False)
    )
    return _count_anew(session, set(taken))


def repair(session: Session, hours: Collection[datetime]) -> int:
    """Count hours anew, marked or not, after whoever else is counting; returns how many."""
    lock(session)
    return _count_anew(session, hours)


def lock(session: Session) -> None:
    """Let nobody count until the transaction ends."""
    if dialect_of(session) == "postgresql":
        session.execute(_LOCK)


def purge(session: Session, gone: Counts) -> set[datetime]:
    """Count messages as gone that this transaction has deleted; it holds the `lock`.

    `gone` counts them by hour and group. Returns those of their hours that were out of date: what
    is left of these has yet to be counted anew.
    """
    hours = {hour for hour, *_ in gone}
    marked_ones = set(
        session.scalars(select(RollupMark.hour).where(RollupMark.hour.in_(hours)).distinct())
    )
    there = _there(session, hours)
    changes = {(key, True): messages for key, messages in gone.items()}
    changes |= {(k, False): -n for k, n in gone.items() if k[0] not in marked_ones}
    known = [
        {"id": there[place][0], "messages": there[place][1] + messages}
        for place, messages in changes.items()
        if place in there
    ]
    new = [
        dict(zip(("hour", *GROUP), key, strict=True), messages=messages, is_purged=True)
        for (key, is_purged), messages in changes.items()
        if is_purged and (key, is_purged) not in there
    ]
    if known:
        session.execute(update(Rollup), known)
    if new:
        session.execute(insert(Rollup), new)
    wrong = {key[0] for key, is_purged in changes if not is_purged and (key, False) not in there}
    session.add_all(RollupMark(hour=hour) for hour in wrong)  # nobody knows why; counted anew
    empty = (Rollup.hour.in_(hours), Rollup.messages <= 0, of_living())
    session.execute(delete(Rollup).where(*empty).execution_options(synchronize_session=False))
    return marked_ones


def _there(
    session: Session, hours: Collection[datetime]
) -> dict[tuple[tuple[Any, ...], bool], tuple[int, int]]:
    """Return id and count of each rollup of some hours, by hour and group and what it counts."""
    columns = (getattr(Rollup, name) for name in ("hour", *GROUP))
    found = session.execute(
        select(Rollup.id, Rollup.messages, Rollup.is_purged, *columns).where(Rollup.hour.in_(hours))
    )
    return {(tuple(key), is_purged): (id_, n) for id_, n, is_purged, *key in found}


def of_living() -> ColumnElement[bool]:
    """Return the condition that a rollup counts messages that are still there."""
    return Rollup.is_purged.is_(False)


def next_hours(session: Session, after: datetime, limit: int) -> list[datetime]:
    """Return the next hours in which messages were queued or counted, in their order."""
    hours: list[datetime] = []
    while len(hours) < limit and (found := _next_hour(session, after)):
        hours.append(found)
        after = found
    return hours


def last_hour(session: Session) -> datetime | None:
    """Return the hour of the newest message; None when there is none."""
    newest = session.scalar(select(func.max(Message.created_at)))
    return newest and hour_of(newest)


def is_marked(session: Session, hour: datetime) -> bool:
    """Say whether an hour is known to be out of date."""
    return bool(session.scalar(select(exists().where(RollupMark.hour == hour))))


def counted(session: Session, hour: datetime) -> Counts:
    """Return what the messages of an hour come to."""
    alike = select(*ALIKE, func.count()).where(*_within(Message.created_at, hour))
    return _counts(session.execute(alike.group_by(*ALIKE)).all())


def stored(session: Session, hour: datetime) -> Counts:
    """Return what the rollups of an hour say of the messages that are still there."""
    columns = (getattr(Rollup, name) for name in GROUP)
    said = select(*columns, Rollup.messages).where(*_within(Rollup.hour, hour), of_living())
    return _counts(session.execute(said).all())


def _next_hour(session: Session, after: datetime) -> datetime | None:
    first = after + HOUR
    candidates = (
        session.scalar(select(func.min(column)).where(column >= first))
        for column in (Message.created_at, Rollup.hour)
    )
    return min((hour_of(found) for found in candidates if found), default=None)


def _count_anew(session: Session, hours: Collection[datetime]) -> int:
    columns = [Rollup.hour, *(getattr(Rollup, name) for name in GROUP), Rollup.messages]
    for hour in sorted(hours):
        session.execute(
            delete(Rollup)
            .where(*_within(Rollup.hour, hour), of_living())
            .execution_options(synchronize_session=False)
        )
        alike = select(literal(hour, Rollup.hour.type), *ALIKE, func.count())
        of_hour = alike.where(*_within(Message.created_at, hour)).group_by(*ALIKE)
        session.execute(insert(Rollup).from_select(columns, of_hour))
    return len(hours)


def _within(column: Any, hour: datetime) -> tuple[ColumnElement[bool], ...]:  # noqa: ANN401
    return column >= hour, column < hour + HOUR


def _counts(rows: Sequence[Any]) -> Counts:
    counts: Counts = Counter()
    for *group, messages in rows:
        counts[tuple(group)] += messages
    return counts
