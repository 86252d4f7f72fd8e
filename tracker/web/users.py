"""The pages of the users: who may log in, and what an administrator does for each. Admins only."""

from http import HTTPStatus
from typing import Final

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from tracker.services import accounts, passwords, two_factor
from tracker.services.accounts import AccountError
from tracker.store.models import Role
from tracker.store.rows import UserRow

from . import auth
from .context import now, sessions
from .pages import actor
from .presenting.people import ROLES, user_line

# By the session alone nobody takes the second step or the password of whose session it is away.
_OWN_STEP: Final = AccountError(
    "you turn your own two-factor login off in the settings, by password and code"
)
_OWN_PASSWORD: Final = AccountError(
    "you give yourself a new password in the settings, by the old one"
)

ID: Final = "<int(max=9223372036854775807):user_id>"

bp = Blueprint("users", __name__, url_prefix="/settings/users")
auth.guard(bp)


@bp.get("")
@auth.requires_role(Role.ADMIN)
def show() -> ResponseReturnValue:
    """List the users."""
    return _list()


@bp.post("")
@auth.requires_role(Role.ADMIN)
def add() -> ResponseReturnValue:
    """Make a user; a password that nobody typed is made, and shown this once."""
    username = request.form.get("username", "").strip()
    role, password, made = _role(), *_password()
    try:
        accounts.add_user(sessions(), username, password, role, actor=actor(), now=now())
    except AccountError as error:
        typed = {"username": username, "role": role.value}
        return _list(problem=error, typed=typed), HTTPStatus.BAD_REQUEST
    if made:  # no redirect: the password would have to be kept somewhere on the way
        return _list(made=made, made_for=username)
    flash(f"{username} can log in now.", "good")
    return redirect(url_for("users.show"), HTTPStatus.SEE_OTHER)


@bp.get(f"/{ID}")
@auth.requires_role(Role.ADMIN)
def show_one(user_id: int) -> ResponseReturnValue:
    """Show one user."""
    return _one(_user(user_id))


@bp.post(f"/{ID}/role")
@auth.requires_role(Role.ADMIN)
def set_role(user_id: int) -> ResponseReturnValue:
    """Give a user another role."""
    user, role = _user(user_id), _role()
    try:
        accounts.set_role(sessions(), user.username, role, actor=actor(), now=now())
    except AccountError as error:
        return _one(user, problem=error), HTTPStatus.CONFLICT
    flash(f"{user.username} is {ROLES[role].article} {role.value} now.", "good")
    may_return = role is Role.ADMIN or not _is_self(user)
    where = _url(user) if may_return else url_for("overview.show")
    return redirect(where, HTTPStatus.SEE_OTHER)


@bp.post(f"/{ID}/password")
@auth.requires_role(Role.ADMIN)
def set_password(user_id: int) -> ResponseReturnValue:
    """Give a user a new password; one that nobody typed is made, and shown this once."""
    user = _user(user_id)
    if _is_self(user):
        return _one(user, problem=_OWN_PASSWORD), HTTPStatus.CONFLICT
    password, made = _password()
    try:
        accounts.set_password(sessions(), user.username, password, actor=actor(), now=now())
    except AccountError as error:
        return _one(user, problem=error), HTTPStatus.BAD_REQUEST
    if made:
        return _one(_user(user_id), made=made)
    flash(f"{user.username} has a new password, and is logged out everywhere.", "good")
    return redirect(_url(user), HTTPStatus.SEE_OTHER)


@bp.post(f"/{ID}/disable")
@auth.requires_role(Role.ADMIN)
def disable(user_id: int) -> ResponseReturnValue:
    """Keep a user out."""
    user = _user(user_id)
    try:
        accounts.disable_user(sessions(), user.username, actor=actor(), now=now())
    except AccountError as error:
        return _one(user, problem=error), HTTPStatus.CONFLICT
    flash(f"{user.username} is disabled, and logged out everywhere.", "good")
    return redirect(_url(user), HTTPStatus.SEE_OTHER)


@bp.post(f"/{ID}/enable")
@auth.requires_role(Role.ADMIN)
def enable(user_id: int) -> ResponseReturnValue:
    """Let a user in again."""
    user = _user(user_id)
    accounts.enable_user(sessions(), user.username, actor=actor(), now=now())
    flash(f"{user.username} can log in again.", "good")
    return redirect(_url(user), HTTPStatus.SEE_OTHER)


@bp.post(f"/{ID}/reset-two-factor")
@auth.requires_role(Role.ADMIN)
def reset_two_factor(user_id: int) -> ResponseReturnValue:
    """Turn the second step of a user off who has lost her phone."""
    user = _user(user_id)
    if _is_self(user):
        return _one(user, problem=_OWN_STEP), HTTPStatus.CONFLICT
    try:
        two_factor.reset(sessions(), user.username, actor=actor(), now=now())
    except AccountError as error:
        flash(f"Nothing was done: {error}.", "odd")
    else:
        flash(f"{user.username} logs in with the password alone now.", "good")
    return redirect(_url(user), HTTPStatus.SEE_OTHER)


def _list(**more: object) -> str:
    lines = [user_line(row, now()) for row in accounts.users(sessions())]
    return render_template("users.html", lines=lines, roles=ROLES, **more)


def _one(user: UserRow, **more: object) -> str:
    line = user_line(user, now())
    return render_template("user.html", user=line, roles=ROLES, is_self=_is_self(user), **more)


def _user(user_id: int) -> UserRow:
    return accounts.user_by_id(sessions(), user_id) or abort(HTTPStatus.NOT_FOUND)


def _url(user: UserRow) -> str:
    return url_for("users.show_one", user_id=user.id)


def _is_self(user: UserRow) -> bool:
    return user.id == auth.person().id


def _role() -> Role:
    word = request.form.get("role", "")
    return next((role for role in Role if role.value == word), None) or abort(
        HTTPStatus.BAD_REQUEST
    )


def _password() -> tuple[str, str | None]:
    """Return the password, and once more when it was made here because none was typed."""
    typed = request.form.get("password", "")
    made = None if typed else passwords.made()
    return made or typed, made
