"""The gateway's page, and the banner that every page has while the queue is paused."""

from http import HTTPStatus

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from tracker.services import gateway
from tracker.services.gateway import NoReasonError, NotPausedError
from tracker.store.models import Role

from . import auth, trouble
from .context import now, sessions, settings
from .pages import actor
from .presenting.gateway import Banner, banner_of, gateway_view

bp = Blueprint("gateway_page", __name__)
auth.guard(bp)


@bp.app_context_processor
def _frame() -> dict[str, object]:
    """What the frame around every page asks for; called only when a page uses it."""
    return {"pause_banner": _banner}


def _banner() -> Banner | None:
    state = trouble.of_page().paused
    return banner_of(state, auth.sight()) if state else None


@bp.get("/gateway")
def show() -> ResponseReturnValue:
    """Show whether messages are sent, how fast, and how many wait."""
    with sessions()() as session:
        found = gateway.view(session, settings().send_rate, now())
    return render_template("gateway.html", gateway=gateway_view(found, auth.sight()))


@bp.post("/gateway/pause")
@auth.requires_role(Role.OPERATOR)
def pause() -> ResponseReturnValue:
    """Let nobody send anything until somebody resumes."""
    try:
        gateway.pause(sessions(), actor(), request.form.get("reason", ""), now())
    except NoReasonError as error:
        flash(f"Nothing was changed: the reason {error}.", "bad")
    else:
        flash("Paused. Calls that are under way end as usual; nothing else is sent.", "good")
    return redirect(url_for("gateway_page.show"), HTTPStatus.SEE_OTHER)


@bp.post("/gateway/resume")
@auth.requires_role(Role.OPERATOR)
def resume() -> ResponseReturnValue:
    """Let messages be sent again."""
    try:
        gateway.resume(sessions(), actor(), request.form.get("reason", ""), now())
    except NoReasonError as error:
        flash(f"Nothing was changed: the reason {error}.", "bad")
    except NotPausedError:
        flash("It was not paused any more.", "odd")
    else:
        flash("Resumed. What waits is sent now.", "good")
    return redirect(url_for("gateway_page.show"), HTTPStatus.SEE_OTHER)
