"""The overview: the first page after the login.

The page itself asks the database for next to nothing. Its parts come after it, by htmx, and renew
themselves; without script they stand in the page. Each question may fail by itself: then a dash
stands where its answer would.
"""

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from tracker.domain import pace
from tracker.services import overview
from tracker.store import alerts, gateway_state
from tracker.store import overview as store
from tracker.store.spool import SpoolError, SpoolState

from . import auth
from .context import now, sessions, settings
from .postbacks import the_receiver
from .presenting.overview import today_view
from .presenting.overview_detail import detail_view
from .presenting.overview_health import alerts_view, health_view
from .security import asset

T = TypeVar("T")

MOST_ALERTS: Final = 5
HTMX: Final = "vendor/htmx.min.js"

log = logging.getLogger(__name__)
bp = Blueprint("overview", __name__)
auth.guard(bp)


@bp.get("/")
def show() -> ResponseReturnValue:
    """Show the frame at once; the parts follow, or stand in it where no script can fetch them."""
    is_whole = request.args.get("numbers") == "now" or asset(HTMX) is None
    return render_template("overview.html", parts=PARTS if is_whole else {})


@bp.get("/overview/today")
def today() -> str:
    """Give how today goes, and the last hours."""
    moment = now()
    return render_template(
        "_overview_today.html",
        today=today_view(
            traffic=_asked(lambda session: overview.traffic(session, moment)),
            unmatched=_asked(overview.unmatched),
            quarantined=_asked(overview.quarantined),
            red_from=settings().failure_share,
            now=moment,
        ),
    )


@bp.get("/overview/health")
def health() -> str:
    """Give how the gateway, the queue and the spool do, and what needs a person."""
    moment = now()
    state = _asked(gateway_state.read)
    return render_template(
        "_overview_health.html",
        health=health_view(
            state=state,
            pace=pace.relaxed(state.pace, moment) if state else None,
            rate=settings().send_rate,
            queue=_asked(lambda session: store.queue(session, moment)),
            last_postback=_asked(lambda session: (store.last_postback_at(session),)),
            spool=_spool(),
            now=moment,
            sight=auth.sight(),
        ),
        alerts=alerts_view(
            _asked(alerts.open_count),
            _asked(lambda session: alerts.open_ones(session, MOST_ALERTS)),
            auth.sight(),
        ),
    )


@bp.get("/overview/detail")
def detail() -> str:
    """Give why messages failed, how long they take, and carriers and handsets."""
    moment = now()
    recent = _asked(lambda session: overview.recent(session, moment))
    usual = recent.usual if recent else {}
    return render_template(
        "_overview_detail.html",
        detail=detail_view(
            recent=recent,
            failures=_asked(lambda session: overview.failures(session, moment)),
            carriers=_asked(lambda session: overview.carriers(session, moment, usual)),
            now=moment,
        ),
    )


PARTS: Final[dict[str, Callable[[], str]]] = {"today": today, "health": health, "detail": detail}


def _asked(question: Callable[[Session], T]) -> T | None:
    """Return the answer to one question, in a transaction of its own; None when it failed."""
    try:
        with sessions()() as session:
            return question(session)
    except SQLAlchemyError:
        log.exception("a question of the overview failed")
        return None


def _spool() -> SpoolState | None:
    try:
        return the_receiver().spool.state()
    except SpoolError:
        return None
