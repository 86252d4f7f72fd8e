"""When a recipient may be sent to: a time of day, by the clock where the recipient is.

A number may belong to several zones, as a toll-free one does. Then the window has to be open in all
of them, or in as many as it can be at one time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from phonenumbers.timezone import time_zones_for_geographical_number, time_zones_for_number

from .message import PassMessage

_UNKNOWN: Final = "Etc/Unknown"
_DAYS_AHEAD: Final = 2  # whatever two zones have in common comes again within this time
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SendWindow:
    """From `first` on, and before `last`, which may be of the next day; else by `fallback`."""

    first: time
    last: time
    fallback: ZoneInfo  # the zone of numbers that name none

    def is_open(self, zone: ZoneInfo, moment: datetime) -> bool:
        """Say whether the window is open at a moment in a zone."""
        local = moment.astimezone(zone).time()
        if self.first < self.last:
            return self.first <= local < self.last
        return local >= self.first or local < self.last

    def next_open(self, number: str, moment: datetime) -> datetime:
        """Return `moment`, or the first one after it at which the recipient may be sent to."""
        zones = zones_of(number) or (self.fallback,)
        if self._open_zones(zones, moment) == len(zones):
            return moment
        openings = {at for zone in zones for at in self._openings(zone, moment)}
        candidates = sorted({moment, *openings})
        return max(candidates, key=lambda at: self._open_zones(zones, at))  # the first of equals

    def _open_zones(self, zones: Sequence[ZoneInfo], moment: datetime) -> int:
        return sum(self.is_open(zone, moment) for zone in zones)

    def _openings(self, zone: ZoneInfo, moment: datetime) -> Iterator[datetime]:
        today = moment.astimezone(zone).date()
        for days in range(_DAYS_AHEAD + 1):
            at = self._opening(zone, today + timedelta(days=days))
            if at > moment:
                yield at

    def _opening(self, zone: ZoneInfo, day: date) -> datetime:
        """Return when the window opens on a day; a time that a clock skips opens after the gap."""
        local = datetime.combine(day, self.first, zone)
        early, late = sorted(local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
        if late.astimezone(zone).time() == self.first or early == late:
            return early  # an hour that comes twice opens the first time
        at = early
        while at < late and not self.is_open(zone, at):
            at += _MINUTE
        return at


def due_from(message: PassMessage, now: datetime, window: SendWindow | None) -> datetime:
    """Return when a message that is queued now may be sent."""
    wanted = max(now, message.send_at) if message.send_at else now
    return window.next_open(message.to, wanted) if window else wanted


@lru_cache(maxsize=4096)
def zones_of(number: str) -> tuple[ZoneInfo, ...]:
    """Return the zones that a number on the wire may be in; none when nobody knows."""
    try:
        parsed = phonenumbers.parse(f"+{number}")
    except phonenumbers.NumberParseException:
        return ()
    names = time_zones_for_number(parsed)
    if _UNKNOWN in names:  # not assignable, as the document's own example; its area code may tell
        names = time_zones_for_geographical_number(parsed)
    return tuple(zone for name in names if (zone := _zone(name)))


def _zone(name: str) -> ZoneInfo | None:
    try:
        return None if name == _UNKNOWN else ZoneInfo(name)
    except ZoneInfoNotFoundError:
        return None
