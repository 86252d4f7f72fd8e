"""The drop-in endpoint: the gateway's own sendPassInMMS, under our address and our keys.

An existing client of the gateway changes its URL and its key, and is tracked. Failures too are
answered with HTTP 200, in the gateway's XML; only a body that cannot be taken is an HTTP error.

Source: PROTOCOL 2.1 and 3.
"""

import logging
from http import HTTPStatus
from typing import Final, cast

from flask import Blueprint, Response, request
from sqlalchemy.exc import SQLAlchemyError

from tracker.domain.reasons import OUR_REFUSAL
from tracker.services.dropin import DropIn
from tracker.services.dropin_checks import Call, CallRefusedError, read_body, read_query

from . import bodies, context

DROP_IN: Final = "tracker.drop_in"

bp = Blueprint("dropin", __name__, url_prefix="/gateway/1.3")
log = logging.getLogger(__name__)


@bp.route("/index.php", methods=["GET", "POST"])
@bp.route("/", methods=["GET", "POST"])
def send_pass() -> Response:
    """Pass one call on to the gateway and answer as it does."""
    if request.method == "HEAD":  # Flask takes it for a GET, and that would send
        return Response()
    call = _call()
    try:
        return _xml(the_drop_in().answer(call))
    except CallRefusedError:
        raise
    except SQLAlchemyError as error:
        log.warning("drop-in call refused: no database", extra={"error": type(error).__name__})
        why = "the database cannot be used right now"
    except Exception:
        log.exception("drop-in call failed")
        why = "something went wrong here; it is logged"
    # Both befall us before the call alone: what comes later has words of its own.
    raise CallRefusedError("E503", f"{OUR_REFUSAL}{why}", call.request.to)


@bp.errorhandler(CallRefusedError)
def refuse(error: CallRefusedError) -> Response:
    """Answer Failure, as the gateway does it: with HTTP 200."""
    return _xml(error.document())


@bp.errorhandler(bodies.TooLargeError)
def refuse_large(_error: bodies.TooLargeError) -> Response:
    """Answer a body over the limit."""
    return _plain("larger than 1 MiB", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


@bp.errorhandler(bodies.BrokenOffError)
def refuse_half(_error: bodies.BrokenOffError) -> Response:
    """Answer half a call."""
    return _plain("the body broke off; nothing was sent", HTTPStatus.BAD_REQUEST)


def the_drop_in() -> DropIn:
    """Return the drop-in of this process."""
    return cast("DropIn", context.extension(DROP_IN))


def _call() -> Call:
    if request.method == "GET":
        return read_query(request.query_string)
    return read_body(bodies.whole(), request.headers.get("Content-Type"))


def _xml(document: bytes) -> Response:
    """Answer with a document as it is; a charset is named only where it is known."""
    try:
        document.decode("utf-8")
    except UnicodeDecodeError:
        return Response(document, content_type="text/xml")
    return Response(document, content_type="text/xml; charset=utf-8")


def _plain(line: str, status: HTTPStatus) -> Response:
    return Response(line + "\n", status, mimetype="text/plain")
