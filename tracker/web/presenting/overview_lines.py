"""What the parts of the overview share: lines of charts, shares and bounded numbers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tracker.store.overview import Bounded

PERCENT: Final = "\u00a0%"  # no line is to break before it


@dataclass(frozen=True, slots=True)
class HourLine:
    """One hour of a chart, which is drawn from its table."""

    hour: datetime
    shown: str
    values: list[str]


def hour_text(hour: datetime) -> str:
    """Return an hour as the axis of a chart says it."""
    return f"{hour.day} {hour:%b, %H:%M}"


def bounded(count: Bounded) -> str:
    """Return a number that was counted no further than to its bound."""
    return f"more than {count.count:,}" if count.is_more else f"{count.count:,}"


def percent(share: float) -> str:
    """Return a part of one, with the sign on the same line."""
    return f"{100 * share:.1f}{PERCENT}"
