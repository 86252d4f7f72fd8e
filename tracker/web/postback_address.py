"""The page of the postback address: its secrets, and from where they may be used. Admins only."""

from http import HTTPStatus
from typing import Final

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from tracker.config import AllowMode
from tracker.services import postback_tokens
from tracker.services.postback_tokens import LastTokenError, PostbackTokenError
from tracker.store.models import Role

from . import auth
from .context import now, sessions, settings
from .pages import actor

MODES: Final = {
    AllowMode.OFF: "Off: whoever has an address may post, from anywhere.",
    AllowMode.REPORT: "Report: what comes from elsewhere is taken, counted and logged.",
    AllowMode.ENFORCE: "Enforce: what comes from elsewhere is refused.",
}

bp = Blueprint("postback_address", __name__, url_prefix="/settings/postback-address")
auth.guard(bp)


@bp.get("")
@auth.requires_role(Role.ADMIN)
def show() -> ResponseReturnValue:
    """List the tokens without their secrets, and show the settings around them."""
    return _page()


@bp.post("")
@auth.requires_role(Role.ADMIN)
def create() -> ResponseReturnValue:
    """Make a token, and show the URL with it this once."""
    name = request.form.get("name", "")
    try:
        made = postback_tokens.create(sessions(), name, actor=actor(), now=now())
    except PostbackTokenError as error:
        return _page(name=name, problem=str(error)), HTTPStatus.BAD_REQUEST
    # No redirect: the secret would have to be kept somewhere on the way.
    url = url_for("postbacks.receive_postback", token=made.token, _external=True)
    return _page(made_name=made.name, made_url=url)


@bp.get("/revoke")
@auth.requires_role(Role.ADMIN)
def ask() -> ResponseReturnValue:
    """Ask whether it is meant."""
    return _question(request.args.get("token", ""))


@bp.post("/revoke")
@auth.requires_role(Role.ADMIN)
def revoke() -> ResponseReturnValue:
    """End a token for ever."""
    handle = request.form.get("token", "")
    is_forced = request.form.get("force") == "yes"
    own = settings().own_postback_tokens()
    try:
        was = postback_tokens.revoke(
            sessions(), own, handle, actor=actor(), now=now(), is_forced=is_forced
        )
    except LastTokenError:
        return _question(handle, is_unsure=True), HTTPStatus.CONFLICT
    except PostbackTokenError as error:
        flash(f"Nothing was done: {error}.", "bad")
    else:
        flash(f"Revoked: {was.name}. The receiver refuses it within 2 seconds.", "good")
    return redirect(url_for("postback_address.show"), HTTPStatus.SEE_OTHER)


def _page(**more: str) -> str:
    chosen = settings()
    return render_template(
        "postback_address.html",
        tokens=postback_tokens.rows(sessions(), chosen.own_postback_tokens()),
        mode=MODES[chosen.postback_allow_mode],
        networks=chosen.postback_allow_from,
        proxies=chosen.trusted_proxies,
        **more,
    )


def _question(handle: str, *, is_unsure: bool = False) -> str:
    own = settings().own_postback_tokens()
    try:
        token, is_last = postback_tokens.to_revoke(sessions(), own, handle)
    except PostbackTokenError:
        abort(HTTPStatus.NOT_FOUND)
    return render_template(
        "postback_address_revoke.html", token=token, is_last=is_last, is_unsure=is_unsure
    )
