"""What is known of the handset behind a number; no address has the number: a form carries it."""

from http import HTTPStatus

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from tracker.domain import numbers
from tracker.services import handsets, lookups

from . import auth
from .context import now, sessions, settings
from .pages import actor
from .presenting import texts
from .presenting.handsets import handset_facts

bp = Blueprint("handsets", __name__)
auth.guard(bp)


@bp.get("/handsets")
def show() -> ResponseReturnValue:
    """Show the form."""
    return _page()


@bp.post("/handsets")
def look_up() -> ResponseReturnValue:
    """Show what is known of one number; the page of a viewer has no more of it than the end."""
    text = texts.printable(request.form.get("number", "").strip()[:64])
    number = numbers.clean(text)
    if number is None:
        problem = f"This is not a phone number; it needs {numbers.EXPECTED}."
        return _page(text=text, problem=problem), HTTPStatus.BAD_REQUEST
    row = handsets.known(sessions(), number)
    is_known = row is not None
    lookups.note_handset(sessions(), number, is_known=is_known, actor=actor(), now=now())
    return _page(
        text=text if auth.sight().is_whole else "",
        shown=auth.sight().number(number),
        facts=row and handset_facts(row),
    )


def _page(**more: object) -> str:
    return render_template("handsets.html", is_used=not settings().discover_known, **more)
