"""What the overview says: how today goes, how the gateway does, and what the last hours tell.

Each function is one question that may fail by itself.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from tracker.domain import overview
from tracker.domain.fold import Outcome
from tracker.domain.overview import DAY, DAYS_BEFORE, HOUR, Measure, Normal, Part, quantile
from tracker.domain.status import Status
from tracker.store import messages
from tracker.store import overview as store
from tracker.store.overview import Bounded, CarrierRow, FailureRow, SampleRow
from tracker.store.rollups import hour_of

HOURS_SHOWN: Final = 48
HOURS_SAMPLED: Final = 24
SAMPLED_AN_HOUR: Final = 200
FEWEST_TIMES: Final = 5  # with fewer, a usual time says nothing
MOST_LINES: Final = 8


@dataclass(frozen=True, slots=True)
class Traffic:
    """Today against a normal day, and the stacks of the last hours, oldest first."""

    today: Mapping[Measure, int]
    normal: Normal | None
    hours: Sequence[datetime]
    stacks: Sequence[Mapping[Part, int]]
    is_behind: bool

    @property
    def failed_share(self) -> float | None:
        """The part of the messages asked for that failed, from 0 to 1; None without any."""
        asked = self.today[Measure.ASKED]
        return self.today[Measure.FAILED] / asked if asked else None


@dataclass(frozen=True, slots=True)
class HourTimes:
    """Seconds from accepted to delivered, of the messages of one hour."""

    hour: datetime
    count: int
    median: float | None
    slow: float | None  # the 95th percentile


@dataclass(frozen=True, slots=True)
class Carrier:
    """A carrier with what became of its messages; `usual` is a median of seconds."""

    row: CarrierRow
    name: str | None
    usual: float | None


@dataclass(frozen=True, slots=True)
class Recent:
    """What a sample of the last hours tells; `is_cut` when hours had more messages than it took."""

    times: Sequence[HourTimes]
    usual: Mapping[str, float]  # by SPID
    handsets: Sequence[tuple[str, int]]
    named: int  # how many messages named a handset
    is_cut: bool


def week_begin(now: datetime) -> datetime:
    """Return the midnight seven days before this one."""
    return overview.midnight(now) - DAYS_BEFORE * DAY


def traffic(session: Session, now: datetime) -> Traffic:
    """Return how today goes, and what the last hours were."""
    counts = store.hourly(session, week_begin(now))
    hours = _last_hours(now, HOURS_SHOWN)
    return Traffic(
        today=overview.today(counts, now),
        normal=overview.normal(counts, now, store.first_hour(session)),
        hours=hours,
        stacks=overview.stacked(counts, hours),
        is_behind=store.is_behind(session),
    )


def unmatched(session: Session) -> Bounded:
    """Return how many postbacks wait for their message."""
    return store.on_shelf(session, Outcome.UNMATCHED)


def quarantined(session: Session) -> Bounded:
    """Return how many postbacks are kept aside."""
    return store.on_shelf(session, Outcome.QUARANTINED)


def failures(session: Session, now: datetime) -> list[FailureRow]:
    """Return in which ways messages of the last days failed."""
    return store.failures(session, week_begin(now), MOST_LINES)


def carriers(session: Session, now: datetime, usual: Mapping[str, float]) -> list[Carrier]:
    """Return the carriers of the last days, with their usual receipt times."""
    rows = store.carriers(session, week_begin(now), MOST_LINES)
    names = messages.carrier_names(session, {row.spid for row in rows})
    return [Carrier(row, names.get(row.spid), usual.get(row.spid)) for row in rows]


def recent(session: Session, now: datetime) -> Recent:
    """Return what a sample of the last hours tells."""
    hours = _last_hours(now, HOURS_SAMPLED)
    rows = store.sample(session, hours, SAMPLED_AN_HOUR)
    of_hour: dict[datetime, list[float]] = {hour: [] for hour in hours}
    of_carrier: dict[str, list[float]] = defaultdict(list)
    sizes: Counter[datetime] = Counter()
    for row in rows:
        hour = hour_of(row.created_at)
        sizes[hour] += 1
        if (seconds := _seconds(row)) is not None:
            of_hour[hour].append(seconds)
            of_carrier[row.spid or ""].append(seconds)
    handsets = Counter(row.handset for row in rows if row.handset)
    return Recent(
        times=[_times(hour, of_hour[hour]) for hour in hours],
        usual={
            spid: median
            for spid, times in of_carrier.items()
            if len(times) >= FEWEST_TIMES and (median := quantile(times, 0.5)) is not None
        },
        handsets=handsets.most_common(MOST_LINES),
        named=handsets.total(),
        is_cut=any(size >= SAMPLED_AN_HOUR for size in sizes.values()),
    )


def _last_hours(now: datetime, count: int) -> list[datetime]:
    newest = hour_of(now)
    return [newest - number * HOUR for number in reversed(range(count))]


def _seconds(row: SampleRow) -> float | None:
    if row.status is not Status.DELIVERED or not (row.accepted_at and row.finished_at):
        return None
    return max(0.0, (row.finished_at - row.accepted_at).total_seconds())


def _times(hour: datetime, seconds: Sequence[float]) -> HourTimes:
    return HourTimes(hour, len(seconds), quantile(seconds, 0.5), quantile(seconds, 0.95))
