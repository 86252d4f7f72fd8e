"""What reports count: messages by what they are grouped by. Nothing is read here."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from .overview import LINK, STATUSES, Measure
from .status import Status


class GroupBy(StrEnum):
    """What the lines of a report stand for; times are hours and days of UTC."""

    HOUR = "hour"
    DAY = "day"
    STATUS = "status"
    MMS_ID = "mms_id"
    CAMPAIGN_REF = "campaign_ref"
    SPID = "spid"
    SENT_AS = "sent_as"
    CODE = "code"  # of the gateway's refusal


# Of one report, so that its lines stay a number that somebody can read.
LONGEST: Final = {GroupBy.HOUR: timedelta(days=31)}
LONGEST_OF_ALL: Final = timedelta(days=3660)
MEASURES: Final = (
    Measure.SENT, Measure.DELIVERED, Measure.LINK, Measure.WAITING, Measure.FAILED, Measure.UNKNOWN,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Count:
    """So many messages of one group have this status now; `group` is None where it has no value."""

    group: str | None
    status: Status
    sent_as: str | None
    messages: int


@dataclass(frozen=True, slots=True)
class Line:
    """What became of the messages of one group."""

    group: str | None
    statuses: Mapping[Status, int]
    link: int  # delivered ones that went out as a link

    @property
    def messages(self) -> int:
        """All of them, cancelled ones too."""
        return sum(self.statuses.values())

    def measure(self, measure: Measure) -> int:
        """Return how many count as this."""
        if measure is Measure.LINK:
            return self.link
        return sum(self.statuses.get(status, 0) for status in STATUSES[measure])

    @property
    def delivery_share(self) -> float | None:
        """The part of those that the gateway took that a receipt confirms, from 0 to 1."""
        sent = self.measure(Measure.SENT)
        return round(self.measure(Measure.DELIVERED) / sent, 4) if sent else None


def lines(counts: Iterable[Count]) -> list[Line]:
    """Return a line for each group, in the order of their names, and those without one last."""
    statuses: dict[str | None, Counter[Status]] = {}
    links: Counter[str | None] = Counter()
    for count in counts:
        statuses.setdefault(count.group, Counter())[count.status] += count.messages
        if count.status is Status.DELIVERED and count.sent_as == LINK:
            links[count.group] += count.messages
    names = sorted(statuses, key=lambda name: (name is None, name or ""))
    return [Line(name, statuses[name], links[name]) for name in names]


def total(found: Iterable[Line]) -> Line:
    """Return all lines in one."""
    statuses: Counter[Status] = Counter()
    link = 0
    for line in found:
        statuses.update(line.statuses)
        link += line.link
    return Line(None, statuses, link)
