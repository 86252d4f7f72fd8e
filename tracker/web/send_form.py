"""The form that sends one pass: it checks and previews while it is filled in, and sends once."""

from http import HTTPStatus
from typing import Final
from uuid import UUID, uuid4

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from tracker.domain.message import InvalidMessageError, Problem
from tracker.services import send_by_hand
from tracker.services.send_by_hand import SentBeforeError, Tried
from tracker.store import templates
from tracker.store.models import Role

from . import auth
from .context import now, send_window, sessions, settings
from .presenting import send_form
from .presenting.pass_view import pass_view
from .presenting.send_form import Filled

MOST_TEMPLATES: Final = 200  # offered by name; any other MMS id can be typed
_MISSING: Final = "is missing"

bp = Blueprint("send_form", __name__, url_prefix="/send")
auth.guard(bp)


@bp.get("")
@auth.requires_role(Role.OPERATOR)
def show() -> ResponseReturnValue:
    """Show an empty form, or one for a template."""
    mms_id = request.args.get("mms_id", "")[:18]
    filled = Filled({"mms_id": mms_id})
    tried = _tried(filled)
    if tried.template:
        filled = filled.with_fields_of(tried.template)
    return _page(filled, tried, uuid4(), is_checked=False)


@bp.post("")
@auth.requires_role(Role.OPERATOR)
def take() -> ResponseReturnValue:
    """Send what was filled in, or show the form again: checked, or with more rows."""
    filled, key = send_form.read(request.form), _key()
    if request.form.get("do") == "send":
        return _send(filled, key)
    tried = _tried(filled)
    if request.form.get("do") == "fields" and tried.template:
        filled = filled.with_fields_of(tried.template)
    return _page(filled, tried, key, is_checked=request.form.get("do") == "preview")


@bp.post("/preview")
@auth.requires_role(Role.OPERATOR)
def preview() -> ResponseReturnValue:
    """Give the pass and what is wrong, while somebody types."""
    filled = send_form.read(request.form)
    return render_template("_send_preview.html", **_preview(filled, _tried(filled)))


def _send(filled: Filled, key: UUID) -> ResponseReturnValue:
    if filled.unclear():
        return _refused(filled, key)
    try:
        is_new = send_by_hand.send(
            sessions(), filled.request(), key,
            default_from=settings().default_from, actor=auth.actor(), now=now(),
            window=send_window(),
        )  # fmt: skip
    except InvalidMessageError:
        return _refused(filled, key)
    except SentBeforeError as error:
        # Another key: whoever looks at both and sends again means a second message.
        page = _page(filled, _tried(filled), uuid4(), is_checked=True, sent_as=error.public_id)
        return page, HTTPStatus.CONFLICT
    flash("Queued." if is_new else "It was sent before; nothing is sent twice.", "good")
    return redirect(url_for("pages.show_message", public_id=key), HTTPStatus.SEE_OTHER)


def _refused(filled: Filled, key: UUID) -> ResponseReturnValue:
    page = _page(filled, _tried(filled), key, is_checked=True)
    return page, HTTPStatus.UNPROCESSABLE_ENTITY


def _key() -> UUID:
    try:
        return UUID(request.form.get("key", ""))
    except ValueError:
        abort(HTTPStatus.BAD_REQUEST)


def _tried(filled: Filled) -> Tried:
    default_from = settings().default_from
    return send_by_hand.try_out(sessions(), filled.request(), default_from=default_from)


def _page(
    filled: Filled,
    tried: Tried,
    key: UUID,
    *,
    is_checked: bool,
    sent_as: UUID | None = None,
) -> str:
    """Return the form; what is wrong stands beside the fields once somebody asked for it."""
    problems: tuple[Problem, ...] = filled.unclear() + tried.problems if is_checked else ()
    with sessions()() as session:
        offered = templates.page(session, limit=MOST_TEMPLATES)
    return render_template(
        "send.html",
        key=key,
        form=filled.texts,
        rows=send_form.rows_view(filled, problems),
        problems=send_form.beside(problems),
        is_checked=is_checked,
        sent_as=sent_as,
        groups=send_form.PASS_GROUPS,
        offered=offered.items,
        default_from=settings().default_from,
        trials=settings().sandbox_numbers,
        **_preview(filled, tried),
    )


def _preview(filled: Filled, tried: Tried) -> dict[str, object]:
    problems = filled.unclear() + tried.problems
    missing = [p for p in problems if p.detail == _MISSING]
    return {
        "shown_pass": pass_view(tried.face, filled.texts.get("mms_id", ""), queued_at=now()),
        "template": tried.template,
        "missing": [send_form.label_of(p, filled) for p in missing],
        "wrong": send_form.sentences([p for p in problems if p not in missing], filled),
        "warnings": send_form.sentences(tried.warnings, filled),
    }
