"""The sandbox's own pages: what happened, for people and as JSON."""

from dataclasses import asdict
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, jsonify, render_template
from flask.typing import ResponseReturnValue

from tracker.protocol.transport import MAX_BODY_BYTES

from .fixture import TRIALS
from .gateway import Gateway
from .records import Call, Posted

_SHOWN: Final = 200


def create_pages(gateway: Gateway) -> Flask:
    """Make the pages of a gateway."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.add_url_rule("/", "log", lambda: _page(gateway))
    app.add_url_rule("/healthz", "healthz", lambda: ("ok\n", {"Content-Type": "text/plain"}))
    app.add_url_rule("/_sandbox/calls", "calls", lambda: _calls(gateway))
    app.add_url_rule("/_sandbox/postbacks", "postbacks", lambda: _postbacks(gateway))
    app.after_request(_secured)
    return app


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
