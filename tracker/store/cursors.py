"""Where a page of a list ends that is ordered by time and id, written for an address."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# Microseconds since 1970 and the id; no more digits than every database can compare.
CURSOR: Final = {"pattern": "^[0-9]{1,17}-[0-9]{1,18}$"}


class BadCursorError(ValueError):
    """A cursor that no page gave out."""


def write(at: datetime, row_id: int) -> str:
    """Return the cursor after a row."""
    return f"{(at - _EPOCH) // _MICROSECOND}-{row_id}"


def read(cursor: str) -> tuple[datetime, int]:
    """Return time and id of the row that a cursor stands after.

    Raises:
        BadCursorError: no page gave it out.
    """
    if not re.fullmatch(CURSOR["pattern"], cursor):
        raise BadCursorError("not a cursor of an earlier page")
    moment, _, number = cursor.partition("-")
    return _EPOCH + int(moment) * _MICROSECOND, int(number)
