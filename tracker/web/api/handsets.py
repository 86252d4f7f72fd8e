"""What is known of the handset behind a number."""

from http import HTTPStatus
from typing import Any

from tracker.services import describe, handsets

from .. import context
from ..problems import ApiError, bad_request
from . import bp, reading


@bp.get("/handsets/<number>")
def get_handset(number: str) -> dict[str, Any]:
    """Return the handset that a receipt named for a number, as people type it."""
    reading.filters({})
    try:
        wanted = reading.number(number)
    except ValueError as error:
        raise bad_request("number", number[:40], str(error)) from error
    row = handsets.known(context.sessions(), wanted)
    if row is None:
        detail = "No receipt has named a handset for this number yet."
        raise ApiError(HTTPStatus.NOT_FOUND, detail)
    return {
        "number": row.number,
        "handset": row.handset,
        "os": row.os,
        "source": row.source,
        "seen_at": describe.iso(row.seen_at),
        "used_at": describe.iso(row.used_at),
    }
