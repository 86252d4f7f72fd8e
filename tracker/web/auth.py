"""Who may see the pages: login, logout, and the guard of every dashboard blueprint."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from http import HTTPStatus
from typing import Final, ParamSpec
from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.sessions import SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user, login_user
from flask_wtf.csrf import CSRFProtect

from tracker.services import accounts, logins
from tracker.store.models import Role
from tracker.store.rows import UserRow

from . import session_life
from .context import SETTINGS, now, secret_key, sessions, settings
from .presenting.sight import Sight
from .presenting.texts import next_minute, printable

P = ParamSpec("P")

SECOND_STEP_SECONDS: Final = 300  # between the password and the code
_LONGEST_USERNAME: Final = 64
_LOGINS: Final = ("auth.log_in", "auth.take_code")
_FIRST_STEP: Final = "first_step"  # session key and end of who has given the password

bp = Blueprint("auth", __name__)
csrf = CSRFProtect()


@dataclass(frozen=True, slots=True)
class Viewer:
    """The person who is logged in; the four members at the end are what Flask-Login asks for."""

    user: UserRow

    @property
    def username(self) -> str:
        """The name that was typed at login."""
        return self.user.username

    @property
    def role(self) -> Role:
        """What this person may do."""
        return Role(self.user.role)

    @property
    def may_act(self) -> bool:
        """This person may send, cancel and resend."""
        return self.may(Role.OPERATOR)

    def may(self, role: Role) -> bool:
        """Say whether this person has `role` or one that includes it."""
        order = list(Role)
        return order.index(self.role) >= order.index(role)

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        """Return what the cookie keeps: a new session key ends all sessions of a user."""
        return self.user.session_key


class CookieSessions(SecureCookieSessionInterface):
    """Session cookies that are `Secure` exactly when the request came by https."""

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002
        """Follow the request: the same app serves http on this machine and https behind a proxy."""
        return request.is_secure


def register(app: Flask) -> None:
    """Add login and logout, and what `guard` needs."""
    app.session_interface = CookieSessions()
    app.config.update(
        PERMANENT_SESSION_LIFETIME=session_life.longest(app.extensions[SETTINGS]),
        # A live part that answers late would bring an older cookie back.
        SESSION_REFRESH_EACH_REQUEST=False,
        SESSION_COOKIE_NAME="tracker_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        # Tokens live as long as the session. `guard` checks them: the receiver and the API know
        # no cookie, and a check there would read the body before they can.
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_CHECK_DEFAULT=False,
    )
    csrf.init_app(app)
    # No context processor: it would ask the database for the user on error pages too.
    LoginManager(app, add_context_processor=False).user_loader(_load)
    app.register_blueprint(bp)


def guard(blueprint: Blueprint) -> None:
    """Show the pages of `blueprint` only to people logged in, and take only our own forms."""
    blueprint.before_request(_require_login)
    blueprint.before_request(csrf.protect)


@bp.before_request
def _lead_in() -> ResponseReturnValue | None:
    """Take who is logged in from a form of the login, left open elsewhere, to where it leads."""
    someone = viewer() if request.method == "POST" and request.endpoint in _LOGINS else None
    if someone is None:
        return None
    flash(f"You are logged in as {someone.username} already.", "odd")
    return redirect(_next_path(), HTTPStatus.SEE_OTHER)


bp.before_request(csrf.protect)  # after `_lead_in`: a login makes the token of such a form old


def viewer() -> Viewer | None:
    """Return the person who is logged in, if there is one."""
    return current_user if isinstance(current_user, Viewer) else None


def actor() -> str:
    """Return who is logged in, for the audit trail."""
    person = viewer()
    return f"user:{person.username}" if person else "user:?"


def person() -> UserRow:
    """Return who is logged in, on a page of a guarded blueprint."""
    found = viewer()
    return found.user if found else abort(HTTPStatus.FORBIDDEN)


def sight() -> Sight:
    """Return what the person who is logged in sees of numbers."""
    someone = viewer()
    return Sight(is_whole=someone is not None and someone.may_act)


def requires_role(
    role: Role,
) -> Callable[[Callable[P, ResponseReturnValue]], Callable[P, ResponseReturnValue]]:
    """Answer 403 to everyone below `role`; the blueprint must be guarded."""

    def decorate(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
        @wraps(view)
        def checked(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            someone = viewer()
            if someone is None or not someone.may(role):
                abort(HTTPStatus.FORBIDDEN)
            return view(*args, **kwargs)

        return checked

    return decorate


@bp.get("/login")
def show_login() -> ResponseReturnValue:
    """Show the form, or go on when there is nothing to ask."""
    if viewer():
        return redirect(_next_path())
    return _login_page("", None)


@bp.post("/login")
def log_in() -> ResponseReturnValue:
    """Start a session, or say why not."""
    username = printable(request.form.get("username", "").strip())
    password = request.form.get("password", "")
    if len(username) > _LONGEST_USERNAME:
        return refusal(username, "Wrong user name or password.", HTTPStatus.UNAUTHORIZED)
    try:
        user = logins.log_in(sessions(), username, password, now())
    except logins.LoginLockedError as error:
        return _locked(username, error.until)
    except logins.LoginRefusedError:
        return refusal(username, "Wrong user name or password.", HTTPStatus.UNAUTHORIZED)
    return go_on(user, asked_path())


@bp.get("/login/code")
def show_code() -> ResponseReturnValue:
    """Ask who has given the right password for a code."""
    if _first_step() is None:
        return redirect(url_for("auth.show_login", next=asked_path()))
    return render_template("login_code.html", next_path=_next_path(), problem=None)


@bp.post("/login/code")
def take_code() -> ResponseReturnValue:
    """Start a session by the second step, or say why not."""
    session_key = _first_step()
    if session_key is None:
        flash("That took too long. Give your password again.", "odd")
        return redirect(url_for("auth.show_login", next=asked_path()), HTTPStatus.SEE_OTHER)
    code = request.form.get("code", "")
    try:
        user = logins.second_step(sessions(), session_key, code, secret_key(), now())
    except logins.LoginLockedError as error:
        return _code_refusal(_too_many(error.until), HTTPStatus.TOO_MANY_REQUESTS, error.until)
    except logins.LoginRefusedError:
        problem = "Wrong code. Each one works once; wait for the next one."
        return _code_refusal(problem, HTTPStatus.UNAUTHORIZED)
    begin_session(user)
    return redirect(_next_path(), HTTPStatus.SEE_OTHER)


@bp.post("/logout")
def log_out() -> ResponseReturnValue:
    """End the sessions of this person, here and on every other device."""
    if someone := viewer():
        logins.log_out(sessions(), someone.get_id(), now())
    session.clear()
    flash("You are logged out, here and everywhere else.", "good")
    return redirect(url_for("auth.show_login"), HTTPStatus.SEE_OTHER)


def local_path(text: str) -> str | None:
    """Return `text` when it is a path on this site; None when it might lead elsewhere."""
    # Browsers read a backslash as a slash, and drop tabs and line ends before they look.
    if "\\" in text or not text.isprintable() or not text.startswith("/"):
        return None
    parts = urlsplit(text)
    return None if text.startswith("//") or parts.scheme or parts.netloc else text


def begin_session(user: UserRow) -> None:
    """Let the person at this browser in, in a session of its own."""
    session_life.begin()
    login_user(Viewer(user))


def asked_path() -> str | None:
    """Return the page of ours that was asked for before the login; None when it was none."""
    path = local_path(request.values.get("next", ""))
    # Who logs in after a logout that was too late does not want to go on with it.
    is_logout = path is not None and urlsplit(path).path == url_for("auth.log_out")
    return None if is_logout else path


def refusal(username: str, problem: str, status: HTTPStatus) -> Response:
    """Show the form of the login again, with what was wrong."""
    return make_response(_login_page(username, problem), status)


def go_on(user: UserRow, path: str | None) -> ResponseReturnValue:
    """Lead to the second step of the login, or in where there is none."""
    if user.has_two_factor:
        _keep_first_step(user)
        return redirect(url_for("auth.show_code", next=path), HTTPStatus.SEE_OTHER)
    begin_session(user)
    return redirect(path or url_for("overview.show"), HTTPStatus.SEE_OTHER)


def _login_page(username: str, problem: str | None) -> str:
    return render_template(
        "login.html",
        next_path=_next_path(),
        username=username,
        problem=problem,
        has_provider=settings().open_id is not None,
    )


def _load(session_key: str) -> Viewer | None:
    if session_life.is_over(now()):
        return None
    user = accounts.by_session_key(sessions(), session_key)
    return Viewer(user) if user else None


def _keep_first_step(user: UserRow) -> None:
    session.clear()
    session[_FIRST_STEP] = [user.session_key, int(now().timestamp()) + SECOND_STEP_SECONDS]


def _first_step() -> str | None:
    """Return the session key of who gave the right password in this browser minutes ago."""
    session_key, until = session.get(_FIRST_STEP, (None, 0))
    return session_key if now().timestamp() < until else None


def _require_login() -> ResponseReturnValue | None:
    if viewer():
        session_life.note_activity(now())
        return None
    if "HX-Request" in request.headers:  # a live part: the page itself must ask for the login
        return "", HTTPStatus.NO_CONTENT, {"HX-Refresh": "true"}
    if session_life.is_idle(now()):
        session.clear()
        minutes = settings().idle_minutes
        flash(f"You were logged out: nothing was done here for {minutes} minutes.", "odd")
    asked = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("auth.show_login", next=None if asked == "/" else asked))


def _next_path() -> str:
    return asked_path() or url_for("overview.show")


def _locked(username: str, until: datetime) -> Response:
    response = refusal(username, _too_many(until), HTTPStatus.TOO_MANY_REQUESTS)
    return _retry_after(response, until)


def _too_many(until: datetime) -> str:
    return (
        "Too many wrong passwords or codes, so this account is locked for a while."
        f" Try again after {next_minute(until)}."
    )


def _code_refusal(problem: str, status: HTTPStatus, until: datetime | None = None) -> Response:
    page = render_template("login_code.html", next_path=_next_path(), problem=problem)
    response = make_response(page, status)
    return _retry_after(response, until) if until else response


def _retry_after(response: Response, until: datetime) -> Response:
    response.headers["Retry-After"] = str(max(1, round((until - now()).total_seconds())))
    return response
