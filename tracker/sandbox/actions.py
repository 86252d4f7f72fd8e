"""What a person can do on the sandbox's pages; the guard in app.py has let the form in."""

import re
from typing import Final, cast, get_args
from urllib.parse import urlencode

from flask import Blueprint, abort, redirect, request
from flask.typing import ResponseReturnValue

from .account import STATE_WORDS
from .behaviour import Dialect
from .here import call_of, gateway_here

bp = Blueprint("actions", __name__, url_prefix="/do")

_CODE: Final = re.compile(r"[A-Z][0-9]{3}")
_LABELS: Final = (
    "text/xml; charset=utf-8",
    "application/x-www-form-urlencoded",
    "application/json",
)
_LONGEST: Final = 200_000  # characters of a body typed in


@bp.post("/state")
def state() -> ResponseReturnValue:
    """Switch a state of the account on or off."""
    name = _known("state", tuple(STATE_WORDS))
    on = _known("on", ("yes", "no")) == "yes"
    gateway_here().account.switch(name, on=on)
    return _back("on" if on else "off")


@bp.post("/allowance")
def allowance() -> ResponseReturnValue:
    """Begin with the whole allowance again."""
    gateway_here().account.refill()
    return _back("allowance")


@bp.post("/handsets")
def handsets() -> ResponseReturnValue:
    """Clear the handset cache."""
    gateway_here().forget_handsets()
    return _back("handsets")


@bp.post("/postman")
def postman() -> ResponseReturnValue:
    """Pause or resume posting."""
    there = gateway_here().postman
    if _known("to", ("pause", "resume")) == "pause":
        there.pause()
        return _back("paused")
    there.resume()
    return _back("resumed")


@bp.post("/post/<int:call_id>")
def post(call_id: int) -> ResponseReturnValue:
    """Post any code in any dialect about a message."""
    gateway = gateway_here()
    code = request.form.get("code", "").strip().upper()
    if not _CODE.fullmatch(code):
        abort(400, "code: a letter and three digits, such as N102")
    dialect = cast("Dialect", _known("dialect", get_args(Dialect)))
    phrase = request.form.get("phrase", "").strip()[:100] or None
    call = call_of(gateway, call_id)
    if call.message is None:
        abort(400, "the call was refused, so there is no message")
    gateway.post_by_hand(
        call, code, dialect, phrase=phrase, is_form=request.form.get("form") == "yes"
    )
    return _back("posted", f"/calls/{call_id}")


@bp.post("/again/<int:posted_id>")
def again(posted_id: int) -> ResponseReturnValue:
    """Post the very bytes of a postback once more."""
    gateway = gateway_here()
    posted = next((each for each in gateway.postbacks if each.id == posted_id), None) or abort(404)
    if not posted.body:
        abort(400, "this postback has not been written yet")
    gateway.post_again(posted)
    return _back("again")


@bp.post("/body")
def body() -> ResponseReturnValue:
    """Post a body typed in."""
    text = request.form.get("body", "")
    if not text.strip() or len(text) > _LONGEST:
        abort(400, f"body: 1 to {_LONGEST} characters")
    gateway_here().post_body(text.encode("utf-8", "replace"), _known("content_type", _LABELS))
    return _back("body")


def _known(name: str, known: tuple[str, ...]) -> str:
    value = request.form.get(name, "")
    if value not in known:
        abort(400, f"{name}: one of {', '.join(known)}")
    return value


def _back(done: str, to: str = "/") -> ResponseReturnValue:
    return redirect(f"{to}?{urlencode({'done': done})}", 303)
