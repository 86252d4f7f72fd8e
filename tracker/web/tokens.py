"""The page of the API tokens: made, shown once, and revoked. Admins only."""

from http import HTTPStatus
from typing import Final

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from tracker.services import accounts
from tracker.services.accounts import AccountError
from tracker.store.models import Role, Scope
from tracker.store.rows import TokenRow

from . import auth
from .context import now, sessions
from .pages import actor
from .presenting.people import SCOPES, token_line

ID: Final = "<int(max=9223372036854775807):token_id>"

bp = Blueprint("tokens", __name__, url_prefix="/settings/tokens")
auth.guard(bp)


@bp.get("")
@auth.requires_role(Role.ADMIN)
def show() -> ResponseReturnValue:
    """List the tokens without their secrets."""
    return _page()


@bp.post("")
@auth.requires_role(Role.ADMIN)
def create() -> ResponseReturnValue:
    """Make a token, and show it this once."""
    asked = request.form.getlist("scope")
    chosen = [scope for scope in Scope if scope.value in asked]
    name, rate = request.form.get("name", ""), request.form.get("rate", "").strip()
    try:
        made = accounts.create_token(
            sessions(), name, scopes=chosen, rate_per_minute=_rate(rate), actor=actor(), now=now()
        )
    except AccountError as error:
        page = _page(problem=error, name=name, rate=rate, chosen=chosen)
        return page, HTTPStatus.BAD_REQUEST
    # No redirect: the secret would have to be kept somewhere on the way.
    return _page(made=made)


@bp.get(f"/{ID}/revoke")
@auth.requires_role(Role.ADMIN)
def ask(token_id: int) -> ResponseReturnValue:
    """Ask whether it is meant."""
    token = _token(token_id)
    if token.revoked_at:
        abort(HTTPStatus.NOT_FOUND)
    return render_template("token_revoke.html", token=token_line(token))


@bp.post(f"/{ID}/revoke")
@auth.requires_role(Role.ADMIN)
def revoke(token_id: int) -> ResponseReturnValue:
    """End a token for ever."""
    token = _token(token_id)
    if accounts.revoke_one_token(sessions(), token.id, actor=actor(), now=now()):
        flash(f"Revoked: {token.name}. It is refused from now on.", "good")
    else:
        flash("Somebody revoked it already.", "odd")
    return redirect(url_for("tokens.show"), HTTPStatus.SEE_OTHER)


def _page(**more: object) -> str:
    rows = sorted(accounts.tokens(sessions()), key=lambda row: row.revoked_at is not None)
    lines = [token_line(row) for row in rows]
    asked = {"chosen": list(Scope), "scopes": SCOPES, **more}
    most = accounts.MAX_RATE_PER_MINUTE
    return render_template("tokens.html", lines=lines, most=most, **asked)


def _token(token_id: int) -> TokenRow:
    found = (row for row in accounts.tokens(sessions()) if row.id == token_id)
    return next(found, None) or abort(HTTPStatus.NOT_FOUND)


def _rate(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise AccountError(f"{text[:20]} is not a number of requests a minute", "rate")
    return int(text)
