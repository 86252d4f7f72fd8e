"""Times, durations and foreign text, as people read them."""

import hashlib
import unicodedata
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final

from tracker.domain import numbers

_CONTROLS: Final = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
_C0: Final = (
    "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "TAB", "LF", "VT", "FF", "CR",
    "SO", "SI", "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB", "ESC",
    "FS", "GS", "RS", "US",
)  # fmt: skip
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_LAYOUT: Final = {ord(mark): ord(mark) for mark in "\t\n"}


def utc(at: datetime) -> str:
    """Return a time as people read it: `22 Nov 2026, 17:40:52 UTC`."""
    at = at.astimezone(UTC)
    return f"{at.day} {at:%b %Y, %H:%M:%S} UTC"


def short_utc(at: datetime, now: datetime) -> str:
    """Return a time for a column that says itself that it is UTC: `22 Nov, 17:40:52`.

    The year is told when it is not this one.
    """
    at = at.astimezone(UTC)
    year = "" if at.year == now.astimezone(UTC).year else f" {at.year}"
    return f"{at.day} {at:%b}{year}, {at:%H:%M:%S}"


def next_minute(at: datetime) -> str:
    """Return hour and minute after which `at` is over: `17:41 UTC`."""
    return f"{(at.astimezone(UTC) + timedelta(seconds=59)):%H:%M} UTC"


def iso(at: datetime) -> str:
    """Return a time for machines: `2026-11-22T17:40:52.120Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def gap(between: timedelta) -> str:
    """Return the time between two steps in two units at most: `+2.1 s`, `+3 min 5 s`."""
    seconds = max(between.total_seconds(), 0.0)
    if seconds < 59.95:
        return f"+{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, part, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return f"+{whole // size} {unit} {whole % size // part} {small}"
    return f"+{whole // 60} min {whole % 60} s"


def age(passed: timedelta) -> str:
    """Return how long ago something was, in one unit: `3 h ago`."""
    seconds = int(passed.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now"


def printable(text: str) -> str:
    """Return one line of foreign text: pictures for control characters, no half surrogates."""
    return _encodable(text).translate(_CONTROLS)


def document(text: str) -> str:
    """Return a foreign document: like `printable`, but with its tabs and line ends."""
    return _encodable(text.replace("\r\n", "\n")).translate(_CONTROLS | _LAYOUT)


def visible(text: str) -> list[tuple[str, bool]]:
    """Return foreign text letter for letter, in pieces: as it is, or named since nobody sees it.

    Only line ends stay what they are; a carriage return, a tab or a turn of direction is named.
    """
    return [
        ("".join(map(_name, some)) if is_unseen else "".join(some), is_unseen)
        for is_unseen, some in groupby(text, key=_is_unseen)
    ]


def _is_unseen(character: str) -> bool:
    return character != "\n" and unicodedata.category(character) in _UNSEEN


def _name(character: str) -> str:
    code = ord(character)
    return f"[{_C0[code]}]" if code < len(_C0) else f"[U+{code:04X}]"


def masked(text: str) -> str:
    """Return what somebody looked for, of a number only the last digits."""
    number = numbers.clean(text)
    return numbers.masked(number) if number else printable(text[:60])


def digest(shown: object) -> str:
    """Return a short name for exactly this content, so that a live part knows when it is old."""
    return hashlib.sha256(repr(shown).encode("utf-8", "replace")).hexdigest()[:16]


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
