"""Headers of every answer, and the addresses under which browsers may keep our files."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from flask import Flask, Response, current_app, request, url_for

# No script or style but our own files: text that slips through as markup stays without effect.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
_ONE_YEAR: Final = 31_536_000


def register(app: Flask) -> None:
    """Add the headers to every answer, and `asset` to the templates."""
    app.after_request(_add_headers)
    app.add_template_global(asset)


def asset(name: str) -> str | None:
    """Return the address of a static file, with its fingerprint; None when it was not built."""
    print_of_file = _fingerprint(Path(current_app.static_folder or "") / name)
    return url_for("static", filename=name, v=print_of_file) if print_of_file else None


@cache
def _fingerprint(path: Path) -> str | None:
    if not path.is_file():
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _add_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)  # a view may have said something narrower
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", f"max-age={_ONE_YEAR}")
    if request.endpoint == "static":
        _let_keep(response)
    else:
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _let_keep(response: Response) -> None:
    if "v" in request.args and response.status_code < 400:
        response.headers["Cache-Control"] = f"public, max-age={_ONE_YEAR}, immutable"
    else:
        response.headers["Cache-Control"] = "no-cache"  # keep it, but ask each time
