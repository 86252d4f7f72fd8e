"""What became of the messages of a period, by one of their properties."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy.orm import Session

from tracker.domain.overview import HOUR, Measure
from tracker.domain.report import (
    LONGEST,
    LONGEST_OF_ALL,
    MEASURES,
    GroupBy,
    Line,
    lines,
    total,
)
from tracker.domain.status import Status
from tracker.store import reports as store
from tracker.store.rollups import hour_of

from .csv_files import csv_lines
from .describe import iso

DEFAULT_PERIOD: Final = timedelta(days=7)
# Of ends: with room around them for what is reckoned with.
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
NAMES: Final = {Measure.LINK: "delivered_as_link"}
COLUMNS: Final = (
    "group", "messages", *(NAMES.get(m, m.value) for m in MEASURES), "delivery_share",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Report:
    """The lines of a period of whole hours; `end` is not in it."""

    begin: datetime
    end: datetime
    by: GroupBy
    as_of: datetime
    is_behind: bool  # some of its hours have changed since they were counted
    lines: list[Line]


def summary(
    session: Session, begin: datetime | None, end: datetime | None, by: GroupBy, now: datetime
) -> Report:
    """Return the report of a period, widened to whole hours; the last seven days by default.

    One that is too long to be read begins later, and one that ends before it begins is empty.
    """
    end = min(max(end or now, _EARLIEST), _LATEST)
    longest = LONGEST.get(by, LONGEST_OF_ALL)
    begin = max(begin or end - DEFAULT_PERIOD, end - longest)
    begin, whole = hour_of(min(begin, end)), hour_of(end)
    end = whole if whole == end else whole + HOUR
    stale = store.stale_hours(session, begin, end)
    live = stale[: store.MOST_LIVE]
    found = lines(store.counts(session, begin, end, by, live))
    return Report(begin, end, by, now, len(stale) > len(live), found)


def describe(report: Report) -> dict[str, Any]:
    """Return a report as the API gives it."""
    return {
        "from": iso(report.begin),
        "to": iso(report.end),
        "group_by": report.by.value,
        "as_of": iso(report.as_of),
        "is_behind": report.is_behind,
        "items": [_line(line) for line in report.lines],
        "total": _line(total(report.lines)),
    }


def report_csv(report: Report) -> Iterator[str]:
    """Yield the lines of a report as a CSV file."""
    yield csv_lines([COLUMNS])
    yield csv_lines([[_line(line)[name] for name in COLUMNS] for line in report.lines])


def _line(line: Line) -> dict[str, Any]:
    measures = {NAMES.get(m, m.value): line.measure(m) for m in MEASURES}
    return {
        "group": line.group,
        "messages": line.messages,
        **measures,
        "delivery_share": line.delivery_share,
        "statuses": {status.value: line.statuses.get(status, 0) for status in Status},
    }
