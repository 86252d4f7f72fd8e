"""What every view of the sandbox needs: its gateway, the token of its forms, a call by number."""

from typing import Final

from flask import abort, current_app

from .gateway import Gateway
from .records import Call

TOKEN: Final = "sandbox.token"  # noqa: S105  # where it is kept
GATEWAY: Final = "sandbox.gateway"


def gateway_here() -> Gateway:
    """Return the gateway whose pages these are."""
    found: Gateway = current_app.extensions[GATEWAY]
    return found


def token_here() -> str:
    """Return what every form carries."""
    return str(current_app.extensions[TOKEN])


def call_of(gateway: Gateway, call_id: int) -> Call:
    """Return a call by its number; 404 when it is forgotten."""
    return next((each for each in gateway.calls if each.id == call_id), None) or abort(404)
