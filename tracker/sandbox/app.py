"""The sandbox as a web application: the gateway's address, and a page that shows what happened."""

import socket
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, abort, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from tracker.protocol.request import PassRequest
from tracker.protocol.transport import MAX_BODY_BYTES

from .checks import Refused, read_body, read_query, refused
from .fixture import TRIALS
from .gateway import Answer, Gateway
from .options import SandboxOptions
from .records import Call, Posted

PATHS: Final = ("/API/wxml/1.3/index.php", "/API/wxml/1.3/")
_SHOWN: Final = 200
_GARBAGE: Final = b"<html><body><b>Fatal error</b>: out of memory<br></html>"


def create_sandbox(options: SandboxOptions, *, now: datetime | None = None) -> Flask:
    """Make the sandbox; its gateway is `app.extensions["gateway"]`.

    Tracking numbers begin where `now`, the present when left out, puts them: no two runs share one.
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    gateway = Gateway(options, now or datetime.now(UTC))
    app.extensions["gateway"] = gateway
    for path in PATHS:
        app.add_url_rule(path, path, lambda: _answered(gateway), methods=["GET", "POST"])
    app.add_url_rule("/", "log", lambda: _page(gateway))
    app.add_url_rule("/healthz", "healthz", lambda: ("ok\n", {"Content-Type": "text/plain"}))
    app.add_url_rule("/_sandbox/calls", "calls", lambda: _calls(gateway))
    app.add_url_rule("/_sandbox/postbacks", "postbacks", lambda: _postbacks(gateway))
    app.after_request(_secured)
    return app


def _answered(gateway: Gateway) -> ResponseReturnValue:
    answer = gateway.answer(_call())
    if answer.fault in ("normal", "no_tracking_id"):
        response = Response(answer.xml, mimetype="text/xml")
        if answer.follow_up:
            response.call_on_close(answer.follow_up)  # once the answer is on its way
        return response
    if answer.follow_up:
        answer.follow_up()
    return _faulty(gateway, answer)


def _call() -> PassRequest | Refused:
    if request.method != "POST":
        return read_query(request.query_string)
    try:
        return read_body(request.get_data(cache=False), request.content_type)
    except RequestEntityTooLarge:
        return refused("E100", "too large")


def _faulty(gateway: Gateway, answer: Answer) -> ResponseReturnValue:
    match answer.fault:
        case "http500":
            abort(500)
        case "close":
            _close_connection()
        case "slow":
            gateway.is_stopping.wait(gateway.options.slow_seconds)
            return Response(answer.xml, mimetype="text/xml")
        case "garbage":
            return Response(_GARBAGE, mimetype="text/html")
    return Response(b"")


def _close_connection() -> None:
    """Close without an answer, as a gateway does that dies with the call in its hands."""
    connection = request.environ.get("werkzeug.socket")
    if isinstance(connection, socket.socket):
        connection.shutdown(socket.SHUT_RDWR)


def _page(gateway: Gateway) -> str:
    url = gateway.postman.url
    return render_template(
        "sandbox.html",
        options=gateway.options,
        receiver=urlsplit(url).netloc.rpartition("@")[2] if url else None,  # the path is secret
        trials=TRIALS,
        calls=gateway.calls[:-_SHOWN:-1],
        postbacks=gateway.postbacks[:-_SHOWN:-1],
    )


def _calls(gateway: Gateway) -> ResponseReturnValue:
    return jsonify([_call_json(call) for call in gateway.calls])


def _postbacks(gateway: Gateway) -> ResponseReturnValue:
    return jsonify([_posted_json(posted) for posted in gateway.postbacks])


def _call_json(call: Call) -> dict[str, object]:
    return {
        "number": call.number,
        "mms_id": call.mms_id,
        "tracking_id": call.tracking_id,
        "error_code": call.error_code,
        "received_at": call.received_at.isoformat(),
    }


def _posted_json(posted: Posted) -> dict[str, object]:
    return {
        "code": posted.code,
        "number": posted.number,
        "tracking_id": posted.tracking_id,
        "state": posted.state,
        "body": posted.body.decode("utf-8"),
        "attempts": [
            asdict(attempt) | {"started_at": attempt.started_at.isoformat()}
            for attempt in list(posted.attempts)
        ],
    }


def _secured(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'self'"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
