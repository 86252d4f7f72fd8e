"""The JSON API under /api/v1. Source: DESIGN 3.4; names and answers are a contract.

reading     what every view reads out of a request: JSON, filters, limit, cursor
messages    send, list, look at, cancel, send again
gateway     whether it is called, how fast, what waits; pause and resume
postbacks   the journal, the exact bytes, judging anew
settle      what became of a message whose answer was lost
templates   what operators say of the passes behind stored MMS
handsets    what receipts told of the handset behind a number
"""

from http import HTTPStatus
from typing import Final

from flask import Blueprint, g, request
from werkzeug.exceptions import HTTPException

from tracker.services import accounts

from .. import context, problems
from ..problems import ApiError

MAX_JSON_BYTES: Final = 1024 * 1024

bp = Blueprint("api", __name__, url_prefix="/api/v1")
bp.register_error_handler(ApiError, problems.from_api_error)
bp.register_error_handler(HTTPException, problems.from_http_error)
bp.register_error_handler(Exception, problems.from_fault)


@bp.before_request
def authenticate() -> None:
    """Let in whoever has an active bearer token."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    found = None
    if scheme.lower() == "bearer" and token.strip():
        found = accounts.use_token(context.sessions(), token.strip(), context.now())
    if found is None:
        detail = "Give an active API token in the header: Authorization: Bearer <token>."
        raise ApiError(HTTPStatus.UNAUTHORIZED, detail, WWW_Authenticate="Bearer")
    g.actor = f"token:{found.name}"
    g.token_id = found.id


# The views put themselves on `bp`.
from . import gateway, handsets, messages, postbacks, settle, templates  # noqa: E402, F401
