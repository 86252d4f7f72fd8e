"""Bulk actions: counted first, confirmed, then done in steps that anybody may go on with.

A page goes on by itself only where the press of the person who began it led to: to look at an
action later does nothing.
"""

from http import HTTPStatus
from typing import Final
from uuid import UUID

from flask import (
    Blueprint,
    Response,
    abort,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue

from tracker.domain.message import InvalidMessageError
from tracker.services import bulk_actions, csv_files
from tracker.services.bulk_actions import NoSuchActionError, Wanted
from tracker.services.bulk_judging import Action
from tracker.services.settle import MAX_REASON
from tracker.store import accounts, messages
from tracker.store import bulk_actions as store
from tracker.store.bulk_actions import BulkActionRow
from tracker.store.models import Role

from . import auth
from .context import now, sessions
from .downloads import csv_answer
from .presenting.bulk_actions import TICKED, BulkView, bulk_view
from .presenting.question import Question
from .whole_question import question_kept, question_of

MOST_TICKED: Final = 200  # the list has 50 a page
MOST_REASONS: Final = 10
MOST_SKIPPED: Final = 20  # shown one by one
EXPORT: Final = "export"
_PRESSED: Final = "bulk_pressed"  # session key: the action whose page goes on by itself, once

bp = Blueprint("bulk_actions", __name__, url_prefix="/messages/bulk")
auth.guard(bp)


@bp.post("")
@auth.requires_role(Role.OPERATOR)
def propose() -> ResponseReturnValue:
    """Look at what an action would do to the ticked messages, or to all of the list."""
    question, what = question_of(request.form), request.form.get("do", "")
    ticked = _ticked()
    if what == EXPORT:
        return _export(ticked, question)
    if what not in list(Action):
        abort(HTTPStatus.BAD_REQUEST)
    return _propose(
        Wanted(
            action=Action(what),
            named=ticked,
            question=question.filter(),
            asked=question.asked() | ({TICKED: ["yes"]} if ticked else {}),
        )
    )


@bp.get("/<uuid:public_id>")
@auth.requires_role(Role.OPERATOR)
def show(public_id: UUID) -> ResponseReturnValue:
    """Show what would be done, how far it is, or what came of it."""
    row = _row(public_id)
    goes_on = session.get(_PRESSED) == str(public_id) and _is_own(row)
    if goes_on:
        del session[_PRESSED]
    return render_template("bulk_action.html", **_page(row), goes_on=goes_on)


@bp.post("/<uuid:public_id>")
@auth.requires_role(Role.OPERATOR)
def confirm(public_id: UUID) -> ResponseReturnValue:
    """Do it, as far as one request goes; what is sent twice is done once."""
    row = _row(public_id)
    reason = request.form.get("reason", "")
    try:
        bulk_actions.confirm(
            sessions(), public_id,
            reason=reason, said=bulk_view(row).said, actor=auth.actor(), now=now(),
        )  # fmt: skip
        bulk_actions.go_on(sessions(), public_id, now)
    except NoSuchActionError:
        abort(HTTPStatus.NOT_FOUND)
    except InvalidMessageError as error:
        problem = f"It {error.problems[0].detail}."
        page = render_template("bulk_action.html", **_page(row), reason=reason, problem=problem)
        return make_response(page, HTTPStatus.UNPROCESSABLE_ENTITY)
    session[_PRESSED] = str(public_id)
    return redirect(_url(public_id), HTTPStatus.SEE_OTHER)


@bp.post("/<uuid:public_id>/go-on")
@auth.requires_role(Role.OPERATOR)
def go_on(public_id: UUID) -> ResponseReturnValue:
    """Go on with it, as far as one request goes."""
    try:
        row = bulk_actions.go_on(sessions(), public_id, now)
    except NoSuchActionError:
        abort(HTTPStatus.NOT_FOUND)
    if "HX-Request" in request.headers:
        return render_template("_bulk_action_live.html", **_page(row), goes_on=_is_own(row))
    session[_PRESSED] = str(public_id)
    return redirect(_url(public_id), HTTPStatus.SEE_OTHER)


@bp.post("/<uuid:public_id>/stop")
@auth.requires_role(Role.OPERATOR)
def stop(public_id: UUID) -> ResponseReturnValue:
    """End it where it is."""
    try:
        bulk_actions.stop(sessions(), public_id, actor=auth.actor(), now=now())
    except NoSuchActionError:
        abort(HTTPStatus.NOT_FOUND)
    return redirect(_url(public_id), HTTPStatus.SEE_OTHER)


@bp.post("/<uuid:public_id>/older")
@auth.requires_role(Role.OPERATOR)
def propose_older(public_id: UUID) -> ResponseReturnValue:
    """Look at what the same action would do to the messages behind those."""
    row = _row(public_id)
    if row.next_cursor is None:
        return redirect(_url(public_id), HTTPStatus.SEE_OTHER)
    return _propose(
        Wanted(
            action=Action(row.action),
            question=question_kept(row.asked).filter(),
            asked=row.asked,
            cursor=row.next_cursor,
        )
    )


def _propose(wanted: Wanted) -> ResponseReturnValue:
    public_id = bulk_actions.propose(sessions(), wanted, actor=auth.actor(), now=now())
    return redirect(_url(public_id), HTTPStatus.SEE_OTHER)


def _ticked() -> list[UUID]:
    texts = request.form.getlist("id")
    if len(texts) > MOST_TICKED:
        abort(HTTPStatus.BAD_REQUEST)
    try:
        return [UUID(text) for text in texts]
    except ValueError:
        abort(HTTPStatus.BAD_REQUEST)


def _export(ticked: list[UUID], question: Question) -> Response:
    if not ticked:
        address = question.url("pages.download_messages")
        return make_response(redirect(address, HTTPStatus.SEE_OTHER))
    at = now()
    with sessions().begin() as session:
        detail = f"{len(ticked)} ticked messages"
        accounts.audit(session, auth.actor(), "messages.export", detail=detail, now=at)
        rows = messages.by_public_ids(session, ticked)
    return csv_answer(csv_files.rows_csv(rows), f"messages-{at:%Y-%m-%d-%H%M}.csv")


def _row(public_id: UUID) -> BulkActionRow:
    with sessions()() as session:
        return store.by_public_id(session, public_id) or abort(HTTPStatus.NOT_FOUND)


def _is_own(row: BulkActionRow) -> bool:
    return row.actor == auth.actor()


def _page(row: BulkActionRow) -> dict[str, object]:
    return {"bulk": _view(row), "longest_reason": MAX_REASON}


def _view(row: BulkActionRow) -> BulkView:
    if not row.skipped:
        return bulk_view(row)
    with sessions()() as session:
        reasons = store.reasons(session, row.id, MOST_REASONS)
        return bulk_view(row, reasons, store.skipped(session, row.id, MOST_SKIPPED))


def _url(public_id: UUID) -> str:
    return url_for("bulk_actions.show", public_id=public_id)
