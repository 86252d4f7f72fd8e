"""The page on which a person says what became of a message whose answer was lost."""

from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from flask import (
    Blueprint,
    Response,
    abort,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue

from tracker.domain.message import InvalidMessageError
from tracker.services import answers, manage, settle
from tracker.services.settle import MAX_REASON, Decision, Verdict
from tracker.store import messages
from tracker.store.models import Role

from . import auth
from .context import now, sessions, settings
from .pages import actor
from .presenting.settling import is_number, settle_view

ANSWER: Final = "answer-"  # and the id of the postback that is the answer
_DONE: Final = {
    Verdict.SENT: "Settled. Postbacks find the message as soon as its tracking id is known.",
    Verdict.NOT_SENT: "Marked as not sent. It can be sent again.",
    Verdict.RESEND: "Queued again. This is the new message.",
}
_TAKEN: Final = "Settled. The message has its tracking id, and all that waited for it is applied."

bp = Blueprint("settle", __name__, url_prefix="/messages/<uuid:public_id>/settle")
auth.guard(bp)


@bp.get("")
@auth.requires_role(Role.OPERATOR)
def ask(public_id: UUID) -> ResponseReturnValue:
    """Show what can be said of it, and which postbacks may be its answer."""
    chosen = request.args.get("answer", "")
    return _page(public_id, {"outcome": f"{ANSWER}{chosen}"} if chosen else {})


@bp.post("")
@auth.requires_role(Role.OPERATOR)
def decide(public_id: UUID) -> ResponseReturnValue:
    """Keep what was said, and show the message; or the form again with what is wrong."""
    form = request.form.to_dict()
    try:
        decision = settle.decision_from(_fields(form))
        settled = settle.decide(
            sessions(),
            public_id,
            decision,
            actor=actor(),
            zone=settings().gateway_zone,
            now=now(),
        )
    except manage.NoSuchMessageError:
        abort(HTTPStatus.NOT_FOUND)
    except InvalidMessageError as error:
        problems = {problem.field: f"It {problem.detail}." for problem in error.problems}
        return _page(public_id, form, problems)
    except manage.NotPossibleError as error:
        flash(f"Nothing was changed. {error}", "bad")
        return redirect(_message_url(public_id), HTTPStatus.SEE_OTHER)
    flash(_said(decision), "good")
    return redirect(_message_url(settled), HTTPStatus.SEE_OTHER)


def _fields(form: dict[str, str]) -> dict[str, Any]:
    """Return what was filled in as the API would be told; an id goes only with what was sent."""
    outcome, reason = form.get("outcome", ""), form.get("reason", "")
    if outcome.startswith(ANSWER):
        number = outcome.removeprefix(ANSWER)
        postback_id = int(number) if is_number(number) else number
        return {"outcome": Verdict.SENT, "postback_id": postback_id, "reason": reason}
    fields = {"outcome": outcome, "reason": reason}
    if outcome == Verdict.SENT and form.get("tracking_id", "").strip():
        fields["tracking_id"] = form["tracking_id"]
    return fields


def _page(
    public_id: UUID, form: dict[str, str], problems: dict[str, str] | None = None
) -> Response:
    with sessions()() as session:
        row = messages.by_public_id(session, public_id) or abort(HTTPStatus.NOT_FOUND)
        offers = answers.offers(session, row)
    if not answers.is_open(row):
        flash(f"There is nothing to settle: it is {row.status_label.lower()}.", "odd")
        return make_response(redirect(_message_url(public_id), HTTPStatus.SEE_OTHER))
    asked = form.get("outcome", "").removeprefix(ANSWER)
    page = render_template(
        "settle.html",
        message=settle_view(row, offers, asked),
        form=form,
        problems=problems or {},
        longest_reason=MAX_REASON,
    )
    return make_response(page, HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK)


def _said(decision: Decision) -> str:
    has_id = decision.tracking_id or decision.postback_id
    return _TAKEN if has_id else _DONE[decision.verdict]


def _message_url(public_id: UUID) -> str:
    return url_for("pages.show_message", public_id=public_id)
