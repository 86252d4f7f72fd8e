"""What the overview counts, what a normal day is, and what times come to. Nothing is read here."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import Final

from .status import FAILURES, Status

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
DAYS_BEFORE: Final = 7
FEWEST_DAYS: Final = 3  # with fewer, nobody can say what is normal
LINK: Final = "SMS"  # `sent_as` of a message that went out as a link


class Measure(StrEnum):
    """What is counted; a message may be in several."""

    SENT = "sent"  # the gateway took it
    DELIVERED = "delivered"
    LINK = "link"  # of these, as a text message with a link
    WAITING = "waiting"
    FAILED = "failed"
    UNKNOWN = "unknown"
    ASKED = "asked"  # the gateway was asked for it, whatever it answered


class Part(StrEnum):
    """What a message is part of in a stack; each is in one, and a cancelled one in none."""

    DELIVERED = "delivered"
    LINK = "link"
    WAITING = "waiting"
    UNKNOWN = "unknown"
    FAILED = "failed"


STATUSES: Final[Mapping[Measure, tuple[Status, ...]]] = {
    Measure.SENT: (
        Status.ACCEPTED, Status.SENT, Status.NO_RECEIPT, Status.DELIVERED, *sorted(FAILURES),
    ),
    Measure.DELIVERED: (Status.DELIVERED,),
    Measure.LINK: (Status.DELIVERED,),
    Measure.WAITING: (Status.QUEUED, Status.SENDING, Status.ACCEPTED, Status.SENT),
    Measure.FAILED: (Status.REFUSED, *sorted(FAILURES)),
    Measure.UNKNOWN: (Status.UNKNOWN, Status.NO_RECEIPT),
    Measure.ASKED: tuple(
        status
        for status in Status
        if status not in (Status.QUEUED, Status.SENDING, Status.CANCELLED)
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class HourCount:
    """How many messages that were queued in an hour have this status now."""

    hour: datetime
    status: Status
    sent_as: str | None
    messages: int


@dataclass(frozen=True, slots=True)
class Normal:
    """The mean of the same part of the day over `days` preceding days."""

    days: int
    counts: Mapping[Measure, float]


def midnight(now: datetime) -> datetime:
    """Return the beginning of the day in UTC."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def measures(status: Status, sent_as: str | None) -> list[Measure]:
    """Return what a message counts as."""
    found = [measure for measure, statuses in STATUSES.items() if status in statuses]
    return [measure for measure in found if measure is not Measure.LINK or sent_as == LINK]


def part_of(status: Status, sent_as: str | None) -> Part | None:
    """Return what a message is part of in a stack."""
    if status is Status.DELIVERED:
        return Part.LINK if sent_as == LINK else Part.DELIVERED
    for part in (Part.WAITING, Part.UNKNOWN, Part.FAILED):
        if status in STATUSES[Measure(part.value)]:
            return part
    return None


def today(counts: Iterable[HourCount], now: datetime) -> dict[Measure, int]:
    """Return what the messages of this day come to so far."""
    begin = midnight(now)
    total = _summed(counts, begin, begin + DAY)
    return {measure: round(total[measure]) for measure in Measure}


def normal(
    counts: Sequence[HourCount], now: datetime, first_hour: datetime | None
) -> Normal | None:
    """Return what the day usually comes to by now; None when too few days are known.

    A day is known when counting had begun before it. Of the hour that is under way, each day gives
    the share that has passed today.
    """
    begin, passed = midnight(now), now - midnight(now)
    days = [
        day
        for day in (begin - number * DAY for number in range(1, DAYS_BEFORE + 1))
        if first_hour is not None and first_hour <= day
    ]
    if len(days) < FEWEST_DAYS:
        return None
    totals = [_summed(counts, day, day + passed) for day in days]
    return Normal(len(days), {m: sum(total[m] for total in totals) / len(days) for m in Measure})


def stacked(counts: Iterable[HourCount], hours: Sequence[datetime]) -> list[Counter[Part]]:
    """Return for each hour how many messages are in each part."""
    stacks: dict[datetime, Counter[Part]] = {hour: Counter() for hour in hours}
    for one in counts:
        part = part_of(one.status, one.sent_as)
        if part and one.hour in stacks:
            stacks[one.hour][part] += one.messages
    return [stacks[hour] for hour in hours]


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the value that this share of all values does not exceed; None when there is none."""
    if not values:
        return None
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]


def _summed(counts: Iterable[HourCount], begin: datetime, end: datetime) -> dict[Measure, float]:
    """Sum up hours from `begin` on, and of the one in which `end` falls its share."""
    total = dict.fromkeys(Measure, 0.0)
    for one in counts:
        if begin <= one.hour < end:
            share = min(1.0, (end - one.hour) / HOUR)
            for measure in measures(one.status, one.sent_as):
                total[measure] += one.messages * share
    return total
