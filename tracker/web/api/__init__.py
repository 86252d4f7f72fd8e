"""The JSON API under /api/v1. Source: DESIGN 3.4; names and answers are a contract.

reading     what every view reads out of a request: JSON, filters, limit, cursor
describing  how a view says what it takes, gives and needs; read this before adding one
schemas     the objects of the API, out of the tables that the code reads; shapes are their pieces
document    OpenAPI, out of the routes and their descriptions
messages    send, list, look at, cancel, send again
gateway     whether it is called, how fast, what waits; pause and resume
batches     files of messages: hand in, follow, pause, resume, cancel
postbacks   the journal, the exact bytes, judging anew
settle      what became of a message whose answer was lost
templates   what operators say of the passes behind stored MMS
handsets    what receipts told of the handset behind a number
reports     what became of the messages of a period
"""

from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from tracker.services import accounts, allowance
from tracker.services.allowance import WINDOW_SECONDS, Allowance
from tracker.store.models import Scope
from tracker.store.rows import TokenRow

from .. import context, problems
from ..problems import ApiError
from .describing import operation_of

MAX_JSON_BYTES: Final = 1024 * 1024

bp = Blueprint("api", __name__, url_prefix="/api/v1")
bp.register_error_handler(ApiError, problems.from_api_error)
bp.register_error_handler(HTTPException, problems.from_http_error)
bp.register_error_handler(Exception, problems.from_fault)


@bp.before_request
def authenticate() -> None:
    """Let in whoever has an active bearer token that may do this, and this often."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    found = None
    if scheme.lower() == "bearer" and token.strip():
        found = accounts.use_token(context.sessions(), token.strip(), context.now())
    if found is None:
        detail = "Give an active API token in the header: Authorization: Bearer <token>."
        raise ApiError(HTTPStatus.UNAUTHORIZED, detail, WWW_Authenticate="Bearer")
    g.actor = f"token:{found.name}"
    g.token_id = found.id
    g.allowance = allowance.take(context.sessions(), found, context.now())
    _check_allowance(g.allowance)
    _check_scope(found)


@bp.after_request
def say_what_is_left(response: Response) -> Response:
    """Tell a token with a limit how much of it is left. Source: draft-ietf-httpapi-ratelimit."""
    left: Allowance | None = g.get("allowance")
    if left is not None:
        response.headers["RateLimit-Policy"] = f'"minute";q={left.limit};w={WINDOW_SECONDS}'
        response.headers["RateLimit"] = f'"minute";r={left.left};t={left.reset_seconds}'
    return response


def _check_allowance(left: Allowance | None) -> None:
    if left is not None and left.is_spent:
        detail = f"This token may make {left.limit} requests a minute."
        retry = str(left.reset_seconds)
        raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, detail, Retry_After=retry)


def _check_scope(token: TokenRow) -> None:
    """Ask the view's own description; one without would be open to all, so it is the admins'."""
    operation = operation_of(current_app.view_functions[request.endpoint or ""])
    needed = operation.scope if operation else Scope.ADMIN
    if needed not in token.scopes:
        detail = f"This needs the scope {needed}; the token has {', '.join(token.scopes)}."
        raise ApiError(HTTPStatus.FORBIDDEN, detail)


# The views put themselves on `bp`.
from . import (  # noqa: E402
    batches,  # noqa: F401
    gateway,  # noqa: F401
    handsets,  # noqa: F401
    messages,  # noqa: F401
    postbacks,  # noqa: F401
    reports,  # noqa: F401
    settle,  # noqa: F401
    templates,  # noqa: F401
)
