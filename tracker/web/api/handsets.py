"""What is known of the handset behind a number."""

from http import HTTPStatus
from typing import Any, Final

from flask import g

from tracker.services import describe, handsets, lookups
from tracker.store.models import Scope

from .. import context
from ..problems import ApiError, bad_request
from . import bp, reading
from .describing import answer, component, described, in_path
from .shapes import MAYBE, MAYBE_TIME, TEXT, TIME, WIRE, Json, answered, said

_EXAMPLE: Final[Json] = {
    "number": "12025550143",
    "handset": "motol7c",
    "os": None,
    "source": "N102",
    "seen_at": "2026-11-27T17:00:22Z",
    "used_at": None,
}
HANDSET: Final = component(
    "Handset",
    answered(
        {
            "number": said(WIRE, "Digits as on the wire."),
            "handset": said(TEXT, "As the receipt named it."),
            "os": MAYBE,
            "source": said(TEXT, "The code of the receipt that named it."),
            "seen_at": said(TIME, "When that receipt came."),
            "used_at": said(
                MAYBE_TIME, "When a discovery message was last left out because of it."
            ),
        }
    ),
    _EXAMPLE,
)


@bp.get("/handsets/<number>")
@described(
    "Look a handset up",
    scope=Scope.READ,
    parameters=in_path(
        "number",
        reading.NUMBER,
        "The number, as people type it. It then stands in the address: keep it out of logs.",
    ),
    answers={200: answer("The handset.", HANDSET, _EXAMPLE)},
    errors=(400, 404),
)
def get_handset(number: str) -> dict[str, Any]:
    """Return the handset that a receipt named for a number, as people type it."""
    reading.filters({})
    try:
        wanted = reading.number(number)
    except ValueError as error:
        raise bad_request("number", number[:40], str(error)) from error
    row = handsets.known(context.sessions(), wanted)
    lookups.note_handset(
        context.sessions(), wanted, is_known=row is not None, actor=g.actor, now=context.now()
    )
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
