"""How fast the gateway may be called: at the rate that was set, or slower where it asked for that.

A throttle answer slows all senders down; each step back takes a while without another one. All of
it is one value, changed by pure functions, so that any number of senders can share it.

Source: PROTOCOL 5, class throttle.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

NONE: Final = timedelta(0)
FLOOR: Final = timedelta(milliseconds=50)  # where slowing begins, and below which it has ended
CEILING: Final = timedelta(seconds=30)
TOO_FAST: Final = "E106"  # its text names the shortest interval
USED_UP: Final = "E120"  # an allowance of a minute or of a day: quick tries are pointless
USED_UP_FLOOR: Final = timedelta(minutes=1)
LONGEST: Final = timedelta(minutes=15)
SHORTEST_HOLD: Final = timedelta(seconds=30)
BURST: Final = timedelta(milliseconds=100)  # of the set rate: a sender that was busy catches up

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LENGTH: Final = re.compile(
    r"(?<![\w.,])(\d{1,7}(?:[.,]\d{1,6})?)\s*-?\s*"
    r"(ms|msecs?|millis?|milli-?seconds?|s|secs?|seconds?|m|mins?|minutes?)\b",
    re.IGNORECASE,
)
_RATE: Final = re.compile(
    r"(?<![\w.,])(\d{1,6})\s*(?:[a-z]+\s+)?(?:per|/|an?|every)\s*(second|sec|minute|min|hour)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Pace:
    """The shortest time between two calls that the gateway asked for; nothing asked by default."""

    interval: timedelta = NONE
    until: datetime | None = None  # then it takes one step back
    since: datetime | None = None  # the last time it was made slower
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Slots:
    """How many calls may begin now, and how to reserve some of them."""

    count: int
    first: datetime
    interval: timedelta

    def after(self, taken: int) -> datetime:
        """Return when the next call may begin once so many of these have."""
        return self.first + taken * self.interval


def slots(next_at: datetime | None, rate: float | None, pace: Pace, now: datetime) -> Slots:
    """Return the calls that may begin now. A slowed gateway gets them one by one."""
    asked = timedelta(seconds=1 / rate) if rate else NONE
    interval = max(asked, pace.interval)
    if pace.interval >= asked:
        is_due = next_at is None or next_at <= now
        return Slots(int(is_due), now if is_due or next_at is None else next_at, interval)
    first = max(next_at or now, now - BURST)
    count = (now - first) // interval + 1 if first <= now else 0
    return Slots(count, first, interval)


def slowed(pace: Pace, code: str, info: str | None, began_at: datetime, now: datetime) -> Pace:
    """Return the pace after a throttle answer to a call that began at `began_at`.

    A call that was under way when the pace was slowed last says nothing about the new one.
    """
    if pace.since is not None and began_at < pace.since:
        return pace
    interval = _slower(pace.interval, code, named_interval(info or ""))
    return Pace(interval, now + _hold(interval), now, code)


def relaxed(pace: Pace, now: datetime) -> Pace:
    """Return the pace with the steps back that are due by now: each halves the interval."""
    while pace.until is not None and pace.until <= now:
        interval = pace.interval / 2
        if interval < FLOOR:
            return Pace(since=pace.since)
        pace = Pace(interval, pace.until + _hold(interval), pace.since, pace.code)
    return pace


def named_interval(text: str) -> timedelta | None:
    """Return the shortest time between calls that a text names, 15 minutes at most; else None."""
    if found := _LENGTH.search(text):
        seconds = float(found[1].replace(",", ".")) * _unit(found[2])
    elif found := _RATE.search(text):
        seconds = _unit(found[2]) / max(1, int(found[1]))
    else:
        return None
    return min(timedelta(seconds=seconds), LONGEST) or None


def _slower(interval: timedelta, code: str, named: timedelta | None) -> timedelta:
    doubled = max(2 * interval, FLOOR)
    if code == USED_UP:
        return min(max(doubled, USED_UP_FLOOR), LONGEST)
    if code == TOO_FAST and named is not None:
        # Refused at the very pace it named: then it wants more than it says.
        return named if named > interval else max(interval, min(doubled, max(CEILING, named)))
    return max(interval, min(doubled, CEILING))


def _hold(interval: timedelta) -> timedelta:
    """Return how long a pace is kept: long enough for some calls to say whether it will do."""
    return max(SHORTEST_HOLD, 4 * interval)


def _unit(word: str) -> float:
    word = word.lower()
    name = "ms" if word.startswith(("ms", "milli")) else word[0]
    return _UNITS[name]
