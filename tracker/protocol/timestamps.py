"""The gateway's timestamps, in all the forms its editions print. Source: PROTOCOL 6.6."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

# The shape is ours: datetime.fromisoformat takes less before Python 3.11, and 24:00 since 3.13.
_SHAPE: Final = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt]|\s+)(?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:[.,](?P<fraction>[0-9]+))?"
    r"(?:\s*(?:(?P<utc>[Zz])|(?P<sign>[+-])(?P<hours>[0-9]{2}):?(?P<minutes>[0-9]{2})?))?"
)
# Nearly all: edition 1.3 prints them so, and datetime.fromisoformat reads all of them alike.
_USUAL: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}[+-][0-9]{2}:[0-5][0-9]"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a timestamp says: the instant in UTC, or None; and whether its zone was our guess."""

    instant: datetime | None = None
    is_zone_assumed: bool = False


def utc_timestamp(text: str | None, zone: tzinfo) -> Reading:
    """Read a timestamp; without an offset it is local time of `zone`, the gateway's.

    What is unreadable, impossible (month 13, second 60, hour 24) or too near the ends of the
    calendar for its offset has no instant.
    """
    trimmed = (text or "").strip()
    try:
        if _USUAL.fullmatch(trimmed):
            return Reading(datetime.fromisoformat(trimmed).astimezone(UTC))
        return _reading(trimmed, zone)
    except (ValueError, OverflowError):
        return Reading()


def _reading(text: str, zone: tzinfo) -> Reading:
    found = _SHAPE.fullmatch(text)
    if found is None:
        return Reading()
    offset = _offset(found)
    local = _local(found).replace(tzinfo=offset or zone)
    return Reading(local.astimezone(UTC), is_zone_assumed=offset is None)


def _local(found: re.Match[str]) -> datetime:
    year, month, day = map(int, found["date"].split("-"))
    hour, minute, second = map(int, found["time"].split(":"))
    microsecond = int((found["fraction"] or "")[:6].ljust(6, "0"))
    return datetime(year, month, day, hour, minute, second, microsecond)  # noqa: DTZ001


def _offset(found: re.Match[str]) -> timezone | None:
    if found["utc"]:
        return UTC
    if not found["sign"]:
        return None
    if (minutes := int(found["minutes"] or 0)) > 59:
        raise ValueError("an offset has at most 59 minutes")
    offset = timedelta(hours=int(found["hours"]), minutes=minutes)
    return timezone(-offset if found["sign"] == "-" else offset)
