"""The receiver as Flask views, under any WSGI server. 200 means durable, anything else resend.

Source: PROTOCOL 6.1 and 6.10.
"""

import queue
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, request

from tracker.domain.headers import kept

from . import bodies, context
from .receiver import RECEIVER, Answer, Receiver

ANSWER_SECONDS: Final = 8.0  # the committer answers within 3, the disk may take its time

bp = Blueprint("postbacks", __name__)


@bp.route("/postbacks/<token>", methods=["GET", "HEAD"], strict_slashes=False)
def probe(token: str) -> Response:
    """Answer the gateway's check that the URL works, with no effect."""
    refused = the_receiver().refusal(token, _source())
    return _response(refused or Answer(HTTPStatus.OK, "Postbacks are received here; POST them."))


@bp.post("/postbacks/<token>", strict_slashes=False)
def receive_postback(token: str) -> Response:
    """Keep one postback; the answer says in one line what was done."""
    receiver, source = the_receiver(), _source()
    if refused := receiver.refusal(token, source):
        return _response(refused)
    try:
        body = bodies.whole()
    except bodies.TooLargeError:
        return _response(receiver.too_large(source))
    except bodies.BrokenOffError:
        return _response(receiver.broken_off(source))
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    content_type, headers = request.headers.get("Content-Type"), kept(_fields(), token)
    receiver.take(body, content_type, headers, source, answers.put)
    try:
        return _response(answers.get(timeout=ANSWER_SECONDS))
    except queue.Empty:
        return _response(Answer(HTTPStatus.SERVICE_UNAVAILABLE, "not stored in time; send again"))


def the_receiver() -> Receiver:
    """Return the receiver of this process, at work: any WSGI server may have made the process."""
    receiver: Receiver = context.extension(RECEIVER)
    receiver.start()
    return receiver


def _source() -> str:
    """Return who speaks, found in the same way as by the worker of ours."""
    before = request.environ.get("werkzeug.proxy_fix.orig", request.environ)
    peer = before.get("REMOTE_ADDR") or ""
    return the_receiver().source(peer, request.headers.get("X-Forwarded-For"))


def _fields() -> list[tuple[bytes, bytes]]:
    """Return the header fields as the worker of ours reads them: bytes, names in lower case."""
    return [
        (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        for name, value in request.headers
    ]


def _response(answer: Answer) -> Response:
    return Response(answer.line + "\n", answer.status, mimetype="text/plain")
