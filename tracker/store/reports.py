"""Counts of messages by the hour in which they were queued, for reports.

They come from the rollups; hours that are out of date, the newest of them at least, are counted in
the messages themselves, so that a report is right at any minute.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, String, cast, func, or_, select
from sqlalchemy.orm import Session

from tracker.domain.report import Count, GroupBy
from tracker.domain.status import Status

from . import rollups
from .db import dialect_of
from .models import Rollup, RollupMark

MOST_LIVE: Final = 6  # hours that one report counts itself
_LENGTHS: Final = {GroupBy.HOUR: 13, GroupBy.DAY: 10}  # of `2026-11-27T17`


def stale_hours(session: Session, begin: datetime, end: datetime) -> list[datetime]:
    """Return the hours of a period that are out of date, the newest first."""
    found = select(RollupMark.hour).where(RollupMark.hour >= begin, RollupMark.hour < end)
    return list(session.scalars(found.distinct().order_by(RollupMark.hour.desc())))


def counts(
    session: Session, begin: datetime, end: datetime, by: GroupBy, live: Collection[datetime]
) -> Iterator[Count]:
    """Yield the counts of a period of whole hours; those in `live` are counted now."""
    group = _group(session, by)
    alike = (group, Rollup.status, Rollup.sent_as)
    found = (
        select(*alike, func.sum(Rollup.messages))
        .where(Rollup.hour >= begin, Rollup.hour < end)
        .where(or_(Rollup.hour.not_in(live), Rollup.is_purged))
        .group_by(*alike)
    )
    for name, status, sent_as, messages in session.execute(found):
        yield Count(name, Status(status), sent_as, int(messages))
    for hour in live:
        for alike_ones, messages in rollups.counted(session, hour).items():
            row = dict(zip(rollups.GROUP, alike_ones, strict=True))
            yield Count(_name(row, hour, by), Status(row["status"]), row["sent_as"], messages)


def _group(session: Session, by: GroupBy) -> ColumnElement[Any]:
    if by not in _LENGTHS:
        return cast(getattr(Rollup, by.value), String)
    if dialect_of(session) == "sqlite":
        return func.replace(func.substr(cast(Rollup.hour, String), 1, _LENGTHS[by]), " ", "T")
    shape = 'YYYY-MM-DD"T"HH24' if by is GroupBy.HOUR else "YYYY-MM-DD"
    return func.to_char(func.timezone("UTC", Rollup.hour), shape)


def _name(row: dict[str, Any], hour: datetime, by: GroupBy) -> str | None:
    if by in _LENGTHS:
        return hour.isoformat()[: _LENGTHS[by]]
    value = row[by.value]
    return None if value is None else str(value)
