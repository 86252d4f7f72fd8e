"""The receiver: `POST /postbacks/<token>`. 200 means committed; anything else asks for a resend.

Source: PROTOCOL 6.1 and 6.10.
"""

import hashlib
import hmac
import logging
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, request
from sqlalchemy.exc import SQLAlchemyError

from tracker.protocol.postback import NotAPostbackError
from tracker.protocol.transport import MAX_BODY_BYTES
from tracker.services import receive

from . import context

POSTBACK_TOKENS: Final = "tracker.postback_tokens"

bp = Blueprint("postbacks", __name__)
log = logging.getLogger(__name__)


class TokenRing:
    """The tokens that may stand in the URL; several while one is being replaced."""

    def __init__(self, tokens: tuple[str, ...]) -> None:
        self._digests = [_digest(token) for token in tokens]

    def has(self, token: str) -> bool:
        """Compare with all of them, in the same time whichever matches."""
        given = _digest(token)
        return sum(hmac.compare_digest(given, known) for known in self._digests) > 0


@bp.route("/postbacks/<token>", methods=["GET", "HEAD"], strict_slashes=False)
def probe(token: str) -> Response:
    """Answer the gateway's check that the URL works, with no effect."""
    if not _is_known(token):
        return _answer(HTTPStatus.NOT_FOUND, "not found")
    return _answer(HTTPStatus.OK, "This is where postbacks are received; POST them.")


@bp.post("/postbacks/<token>", strict_slashes=False)
def receive_postback(token: str) -> Response:
    """Keep one postback; the answer says in one line what was done."""
    if not _is_known(token):
        log.warning("postback refused: wrong token", extra={"source": request.remote_addr})
        return _answer(HTTPStatus.NOT_FOUND, "not found")
    try:
        body = _body()
    except Exception as error:  # noqa: BLE001  # every server has its own for a broken chunk
        log.warning("postback refused: cannot be read", extra={"reason": str(error)})
        return _answer(HTTPStatus.BAD_REQUEST, "the body broke off or its chunks are broken")
    if body is None:
        log.warning("postback refused: too large", extra={"source": request.remote_addr})
        return _answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "larger than 1 MiB")
    if len(body) < (request.content_length or 0):
        # Half a postback is never applied, and its sender is gone or will try again.
        return _answer(HTTPStatus.BAD_REQUEST, "the body is shorter than its Content-Length")
    return _record(body)


def _record(body: bytes) -> Response:
    try:
        recorded = receive.record(
            context.sessions(),
            body,
            request.headers.get("Content-Type"),
            zone=context.settings().gateway_zone,
            now=context.now(),
        )
    except NotAPostbackError as error:
        log.warning("postback rejected", extra={"reason": str(error), "bytes": len(body)})
        return _answer(HTTPStatus.BAD_REQUEST, f"not a postback: {error}")
    except SQLAlchemyError:
        log.exception("postback not stored: database failure")
        return _answer(HTTPStatus.SERVICE_UNAVAILABLE, "not stored; send it again")
    lines = (f"{'repeat' if r.is_repeat else r.outcome}: {r.reason}" for r in recorded)
    return _answer(HTTPStatus.OK, " | ".join(lines))


def _body() -> bytes | None:
    """Return the bytes as they came, before anything looks at their type; None when too many."""
    length = request.content_length
    if length is not None and length > MAX_BODY_BYTES:
        return None
    is_chunked = request.environ.get("wsgi.input_terminated")
    if length is None and not is_chunked:
        return b""
    stream = request.environ["wsgi.input"]
    wanted = MAX_BODY_BYTES + 1 if length is None else length
    body = b""
    while len(body) < wanted and (chunk := stream.read(wanted - len(body))):
        body += chunk
    return None if len(body) > MAX_BODY_BYTES else body


def _is_known(token: str) -> bool:
    ring: TokenRing = context.extension(POSTBACK_TOKENS)
    return ring.has(token)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _answer(status: HTTPStatus, line: str) -> Response:
    return Response(line[:500] + "\n", status, mimetype="text/plain")
