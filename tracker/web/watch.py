"""Alerts and suppressed numbers. A number stands in no address: forms carry it."""

from http import HTTPStatus
from typing import Final

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from tracker.domain import numbers
from tracker.services import watch
from tracker.store.models import Role

from . import auth
from .context import now, sessions
from .pages import actor
from .presenting.watch import alert_lines, suppressed_lines

PAGE_SIZE: Final = 50

bp = Blueprint("watch", __name__)
auth.guard(bp)


@bp.get("/alerts")
def list_alerts() -> ResponseReturnValue:
    """Show the alerts that are open, then one page of those that are closed."""
    cursor = _cursor()
    with sessions()() as session:
        found = watch.alerts_page(session, limit=PAGE_SIZE, before_id=cursor)
    next_ = found.closed.next_cursor
    return render_template(
        "alerts.html",
        open=alert_lines(found.open, auth.sight()),
        more=found.open_count - len(found.open),
        closed=alert_lines(found.closed.items, auth.sight()),
        older_url=url_for("watch.list_alerts", cursor=next_) if next_ else None,
        newest_url=url_for("watch.list_alerts") if cursor else None,
    )


@bp.post("/alerts/<int(max=9223372036854775807):alert_id>/close")
@auth.requires_role(Role.OPERATOR)
def close_alert(alert_id: int) -> ResponseReturnValue:
    """Close an alert; when its trouble comes again, a new one is opened."""
    try:
        is_closed = watch.close_alert(sessions(), alert_id, actor(), now())
    except watch.NoSuchAlertError:
        abort(HTTPStatus.NOT_FOUND)
    if is_closed:
        flash("Closed. If it comes again, there is a new alert.", "good")
    else:
        flash("Somebody closed it already.", "odd")
    return redirect(url_for("watch.list_alerts"), HTTPStatus.SEE_OTHER)


@bp.get("/suppressed")
def list_suppressed() -> ResponseReturnValue:
    """Show the first page of the numbers that must not be sent to."""
    return _suppressed(None)


@bp.post("/suppressed")
@auth.requires_role(Role.OPERATOR)
def more_suppressed() -> ResponseReturnValue:
    """Show the page after a number, which a form carries and no address."""
    return _suppressed(_number("after"))


@bp.post("/suppressed/lift")
@auth.requires_role(Role.OPERATOR)
def lift_suppression() -> ResponseReturnValue:
    """Let a number be sent to again."""
    number = _number("number")
    shown = numbers.masked(number)  # the notice travels in a cookie
    if watch.lift(sessions(), number, actor(), now()):
        flash(f"The number {shown} may be sent to again.", "good")
    else:
        flash(f"The number {shown} was not suppressed any more.", "odd")
    return redirect(url_for("watch.list_suppressed"), HTTPStatus.SEE_OTHER)


def _suppressed(after: str | None) -> str:
    with sessions()() as session:
        page = watch.suppressed(session, limit=PAGE_SIZE, after_number=after)
    return render_template(
        "suppressed.html",
        lines=suppressed_lines(page.items, auth.sight()),
        next_after=page.next_cursor,
        is_first=after is None,
    )


def _number(name: str) -> str:
    text = request.form.get(name, "")
    if not numbers.WIRE.fullmatch(text):
        abort(HTTPStatus.BAD_REQUEST)
    return text


def _cursor() -> int | None:
    text = request.args.get("cursor")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        abort(HTTPStatus.BAD_REQUEST)
    return int(text)
