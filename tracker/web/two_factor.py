"""The page on which each person turns the second step of her own logins on and off."""

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

from tracker.domain.templates import Symbology
from tracker.services import codes, logins, two_factor
from tracker.services.two_factor import NotBegunError, WrongCodeError
from tracker.store.rows import UserRow

from . import auth
from .context import now, secret_key, sessions
from .presenting import barcodes
from .presenting.texts import next_minute

WRONG_PASSWORD = "This is not your password."  # noqa: S105
WRONG_CODE = "Wrong code. Each works once: wait for the next, and look at the phone's clock."

bp = Blueprint("two_factor", __name__, url_prefix="/settings/two-factor")
auth.guard(bp)


@bp.get("")
def show() -> ResponseReturnValue:
    """Say whether it is on, and offer the other."""
    return _page()


@bp.post("/begin")
def begin() -> ResponseReturnValue:
    """Make a secret and show it, as QR code and as text."""
    user, password = auth.person(), request.form.get("password", "")
    try:
        secret = two_factor.begin(sessions(), user.username, password, secret_key(), now())
    except logins.LoginLockedError as error:
        return _locked(error)
    except logins.LoginRefusedError:
        return _refusal(password_problem=WRONG_PASSWORD)
    return _secret_page(user, secret)


@bp.post("/confirm")
def confirm() -> ResponseReturnValue:
    """Turn it on by the first code, and show the recovery codes this once."""
    user, code = auth.person(), request.form.get("code", "")
    try:
        done = two_factor.confirm(sessions(), user.username, code, secret_key(), now())
    except WrongCodeError:
        secret = two_factor.begun(sessions(), user.username, secret_key())
        page = _secret_page(user, secret or "", problem=WRONG_CODE)
        return page, HTTPStatus.BAD_REQUEST
    except NotBegunError:
        return redirect(url_for("two_factor.show"), HTTPStatus.SEE_OTHER)
    auth.begin_session(done.user)
    return render_template("two_factor_codes.html", codes=done.recovery_codes, is_new=True)


@bp.post("/recovery-codes")
def renew_recovery_codes() -> ResponseReturnValue:
    """Make new recovery codes, and show them this once."""
    user, password = auth.person(), request.form.get("password", "")
    try:
        made = two_factor.new_recovery_codes(sessions(), user.username, password, now())
    except logins.LoginLockedError as error:
        return _locked(error)
    except logins.LoginRefusedError:
        return _refusal(renew_problem=WRONG_PASSWORD)
    except NotBegunError:
        return redirect(url_for("two_factor.show"), HTTPStatus.SEE_OTHER)
    return render_template("two_factor_codes.html", codes=made, is_new=False)


@bp.post("/off")
def turn_off() -> ResponseReturnValue:
    """Turn it off by password and code."""
    user = auth.person()
    password, code = request.form.get("password", ""), request.form.get("code", "")
    try:
        two_factor.turn_off(sessions(), user.username, password, code, secret_key(), now())
    except logins.LoginLockedError as error:
        return _locked(error)
    except logins.LoginRefusedError:
        return _refusal(password_problem=WRONG_PASSWORD)
    except WrongCodeError:
        return _refusal(code_problem=WRONG_CODE)
    except NotBegunError:
        flash("It was off already.", "odd")
    else:
        flash("Two-factor login is off. Your password alone lets you in.", "good")
    return redirect(url_for("two_factor.show"), HTTPStatus.SEE_OTHER)


def _page(**more: object) -> str:
    user = auth.person()
    left = two_factor.recovery_codes_left(sessions(), user.id) if user.has_two_factor else 0
    return render_template(
        "two_factor.html",
        since=user.two_factor_since,
        is_external=user.is_external,
        left=left,
        made=codes.RECOVERY_CODES,
        **more,
    )


def _secret_page(user: UserRow, secret: str, problem: str | None = None) -> str:
    address = codes.address_of(secret, user.username)
    return render_template(
        "two_factor_on.html",
        drawing=barcodes.draw(address, Symbology.QR),
        secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        username=user.username,
        problem=problem,
    )


def _refusal(**problems: str) -> Response:
    return make_response(_page(**problems), HTTPStatus.BAD_REQUEST)


def _locked(error: logins.LoginLockedError) -> Response:
    problem = f"Too many wrong passwords or codes. Try again after {next_minute(error.until)}."
    response = make_response(_page(problem=problem), HTTPStatus.TOO_MANY_REQUESTS)
    response.headers["Retry-After"] = str(max(1, round((error.until - now()).total_seconds())))
    return response
