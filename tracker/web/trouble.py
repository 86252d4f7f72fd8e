"""What is wrong right now, for every page: its tab says how much, its frame what.

One look for each page: the count of alerts in the frame and the banner of a pause come from it too.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, cast

from flask import Blueprint, g, render_template, request
from flask.typing import ResponseReturnValue

from tracker.store import alerts, gateway_state
from tracker.store.gateway_state import StateRow
from tracker.store.spool import SpoolError

from . import auth
from .context import extension, sessions
from .receiver import RECEIVER, Receiver

REFRESH_SECONDS: Final = 60

bp = Blueprint("trouble", __name__)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong: open alerts, a paused gateway, postbacks in the spool."""

    alerts: int
    paused: StateRow | None
    is_spool_bad: bool

    @property
    def count(self) -> int:
        """How many things a person should look at."""
        return self.alerts + (self.paused is not None) + self.is_spool_bad


@bp.app_context_processor
def _frame() -> dict[str, object]:
    """What the frame around every page asks for; called only when a page uses it."""
    return {"trouble": of_page, "trouble_seconds": REFRESH_SECONDS}


@bp.get("/trouble")
def refresh() -> ResponseReturnValue:
    """Give the count anew when it changed; 204 when it did not, or nobody is logged in any more.

    It is asked for from every page: one with a half-filled form must not be taken to the login.
    """
    if auth.viewer() is None or request.args.get("seen") == str(of_page().count):
        return "", HTTPStatus.NO_CONTENT
    return render_template("_trouble.html")


def of_page() -> Trouble:
    """Return what is wrong, as of the first time that this page asked."""
    if "trouble" not in g:
        g.trouble = _look()
    return cast("Trouble", g.trouble)


def _look() -> Trouble:
    with sessions()() as session:
        is_open = alerts.open_count(session)
        state = gateway_state.read(session)
    return Trouble(is_open, state if state.is_paused else None, _is_spool_bad())


def _is_spool_bad() -> bool:
    """Say whether postbacks wait on disk, or were damaged there, or the folder cannot be read."""
    receiver: Receiver = extension(RECEIVER)
    try:
        state = receiver.spool.state()
    except SpoolError:
        return True
    return bool(state.records or state.set_aside)
