"""Phone numbers: what people type, what goes over the wire, what pages show.

Source: PROTOCOL 2.5.
"""

import re
from typing import Final

import phonenumbers

from . import numbering

WIRE: Final = re.compile(r"[1-9][0-9]{6,14}")
EXPECTED: Final = "7 to 15 digits with the country code first, such as +1 650-123-4123"
ERASED: Final = "erased"  # stands where the number of a forgotten person was
_AMERICAN: Final = 10  # digits of a number there without its country code
# Printed for callers at home, `+44 (0)7700 900123`; not part of the number from abroad.
_TRUNK_ZERO: Final = re.compile(r"(?<=[0-9])\s*\(0\)")
_PUNCTUATION: Final = re.compile(r"[\s.\-‐‑‒–()\[\]/\u00a0\u202a-\u202e\u2066-\u2069]+")  # noqa: RUF001


def clean(text: str) -> str | None:
    """Return the digits as on the wire of a number as people type it; None when it is none.

    Blanks, dots, dashes, brackets and one leading `+` or `00` are forgiven.
    """
    text = _TRUNK_ZERO.sub("", text)
    digits = _PUNCTUATION.sub("", text)
    digits = digits.removeprefix("+") if digits.startswith("+") else digits.removeprefix("00")
    return digits if WIRE.fullmatch(digits) else None


def doubt(number: str) -> str | None:
    """Say what a numbering plan has against a number on the wire; never a reason to refuse it."""
    if numbering.has_plan(number):
        return None
    try:
        parsed = phonenumbers.parse(f"+{number}")
    except phonenumbers.NumberParseException:
        return "no country has this calling code"
    return None if phonenumbers.is_valid_number(parsed) else "the numbering plan has no such number"


def is_dialled(digits: str) -> bool:
    """Say whether somebody may have this number, dialled with its country code or in America."""
    american = f"1{digits}" if len(digits) == _AMERICAN else ""
    return any(WIRE.fullmatch(one) and doubt(one) is None for one in (digits, american))


def display(number: str) -> str:
    """Return a number as people read it, `+1 650-123-4123`; odd text comes back as it is."""
    if not WIRE.fullmatch(number):
        return number
    try:
        parsed = phonenumbers.parse(f"+{number}")
    except phonenumbers.NumberParseException:
        return f"+{number}"
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def masked(number: str) -> str:
    """Return a number for logs: its last three digits."""
    return number if number == ERASED else "•••" + number[-3:]
