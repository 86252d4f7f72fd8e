"""Running numbers, the ids made of them, and what a telephone number tells."""

import base64
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import phonenumbers

_EPOCH: Final = datetime(2020, 1, 1, tzinfo=UTC)


def first_tracking_number(now: datetime) -> int:
    """Return where a run that starts now begins to count.

    Milliseconds: a later run collides only with one that took a thousand calls every second.
    """
    return int((now - _EPOCH).total_seconds() * 1000)


def first_history_number(now: datetime) -> int:
    """Return where the history of a run begins to count, apart from the tracking numbers.

    Source: PROTOCOL 8; history numbers are shared by SMS and MMS.
    """
    return int((now - _EPOCH).total_seconds()) + 455_000


def encoded_id(plain: str) -> str:
    """Return a TRACKINGID as sent: base64 of type and number, padding kept. PROTOCOL 6.7."""
    return base64.b64encode(plain.encode("ascii")).decode("ascii")


def country_code(number: str) -> int | None:
    """Return the country calling code of an international number; None when there is none."""
    try:
        return phonenumbers.parse(f"+{number}").country_code
    except phonenumbers.NumberParseException:
        return None


def pick(number: str, among: Sequence[str]) -> str:
    """Return one of several, always the same for one number."""
    return among[zlib.crc32(number.encode("ascii")) % len(among)]
