"""The sandbox's pages as one application, and who may use them.

The sandbox listens on loopback, where any page of any site that a person visits can send forms to.
So a form that changes something carries a token, and the browser must say that it is our own
page's; and nothing is shown to a name that is not this machine's.
"""

import hmac
import secrets
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, abort, request

from tracker.protocol.transport import MAX_BODY_BYTES

from . import actions, pages
from .gateway import Gateway
from .here import GATEWAY, TOKEN, token_here

_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


def create_pages(gateway: Gateway) -> Flask:
    """Make the pages of a gateway."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["MAX_FORM_MEMORY_SIZE"] = MAX_BODY_BYTES
    app.extensions[GATEWAY] = gateway
    app.extensions[TOKEN] = secrets.token_urlsafe(32)
    app.before_request(_guard)
    app.after_request(_secured)
    app.register_blueprint(pages.bp)
    app.register_blueprint(actions.bp)
    return app


def _guard() -> None:
    """Turn away who speaks to another name, and forms that are not our own pages'."""
    try:
        name = urlsplit(f"//{request.headers.get('Host', '')}").hostname
    except ValueError:
        name = None
    if name not in _HOSTS:
        abort(403)
    if request.method not in ("GET", "HEAD") and not _is_ours():
        abort(403)


def _is_ours() -> bool:
    """Say whether a form comes from our own page: the browser says so, and it has the token."""
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{request.headers.get('Host', '')}":
        return False
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return False
    token = request.form.get("token", "")
    return hmac.compare_digest(token.encode(), token_here().encode())


def _secured(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"  # with none, a browser hides the origin
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    return response
