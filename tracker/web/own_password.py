"""The page on which each person gives herself a new password."""

from http import HTTPStatus

from flask import (
    Blueprint,
    Response,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue

from tracker.services import accounts, logins
from tracker.services.accounts import AccountError

from . import auth
from .context import now, sessions
from .pages import actor
from .presenting.texts import next_minute

bp = Blueprint("own_password", __name__, url_prefix="/settings/password")
auth.guard(bp)


@bp.get("")
def show() -> ResponseReturnValue:
    """Show the form."""
    return _page()


@bp.post("")
def change() -> ResponseReturnValue:
    """Take the new password of who knows the old one; all other sessions end."""
    user = auth.person()
    old, new = request.form.get("old", ""), request.form.get("new", "")
    try:
        logins.prove(sessions(), user.username, old, now())
        accounts.set_password(sessions(), user.username, new, actor=actor(), now=now())
    except logins.LoginLockedError as error:
        problem = f"Too many wrong passwords. Try again after {next_minute(error.until)}."
        return _refusal(HTTPStatus.TOO_MANY_REQUESTS, old_problem=problem)
    except logins.LoginRefusedError:
        return _refusal(HTTPStatus.BAD_REQUEST, old_problem="This is not your password.")
    except AccountError as error:
        said = str(error)
        return _refusal(HTTPStatus.BAD_REQUEST, new_problem=f"{said[0].upper()}{said[1:]}.")
    if renewed := accounts.user_by_id(sessions(), user.id):
        auth.begin_session(renewed)
    flash("You have a new password, and are logged out everywhere else.", "good")
    return redirect(url_for("settings.show"), HTTPStatus.SEE_OTHER)


def _page(**problems: str) -> str:
    is_external = auth.person().is_external
    return render_template("own_password.html", is_external=is_external, **problems)


def _refusal(status: HTTPStatus, **problems: str) -> Response:
    return make_response(_page(**problems), status)
