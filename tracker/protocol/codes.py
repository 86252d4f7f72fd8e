"""The two code tables: API error codes (answers) and postback codes.

They are two namespaces that share spellings: E101, E102, E201 and E999 mean different things.

Source: PROTOCOL 5 and 6.4; the tables beside this module are the dossier's own.
"""

import csv
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Final


class ErrorClass(StrEnum):
    """What an API error asks of the sender. Source: PROTOCOL 5."""

    PERMANENT_REQUEST = "permanent-request"
    PERMANENT_ACCOUNT = "permanent-account"
    TRANSIENT = "transient"
    THROTTLE = "throttle"
    NUMBER_SPECIFIC = "number-specific"


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One API error code: `scope` says which edition or method lists it."""

    code: str
    meaning: str
    error_class: ErrorClass
    scope: str


@dataclass(frozen=True, slots=True)
class PostbackCode:
    """One postback code under one ORIGIN; the same code may mean two things under two origins."""

    code: str
    origin: str
    meaning: str
    resulting_status: str
    source: str


def _rows(name: str) -> list[dict[str, str]]:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


ERROR_CODES: Final = {
    row["code"]: ErrorCode(row["code"], row["meaning"], ErrorClass(row["class"]), row["scope"])
    for row in _rows("error_codes.csv")
}
POSTBACK_CODES: Final = {
    (row["code"], row["origin"]): PostbackCode(**row) for row in _rows("postback_codes.csv")
}


def error_class(code: str) -> ErrorClass:
    """Return the class of an API error code; an unknown code is never retried by itself."""
    known = ERROR_CODES.get(code.strip().upper())
    return known.error_class if known else ErrorClass.PERMANENT_REQUEST


def error_meaning(code: str) -> str | None:
    """Return what an API error code means, in one sentence; None for a code nobody documented."""
    known = ERROR_CODES.get(code.strip().upper())
    return known.meaning if known else None


def postback_meaning(code: str, origin: str | None) -> str | None:
    """Return what a postback code means under its ORIGIN; None for a code nobody documented."""
    known = POSTBACK_CODES.get((code, origin or ""))
    if known is None:
        known = next((row for row in POSTBACK_CODES.values() if row.code == code), None)
    return known.meaning if known else None
