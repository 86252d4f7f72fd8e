"""The dashboard: a message, a postback, the frame of every page; and what to say in an error.

The overview at `/` is in `overview`, the list of messages in `message_list`.
"""

from http import HTTPStatus
from typing import Final
from uuid import UUID

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
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

from tracker.domain.message import InvalidMessageError
from tracker.domain.pass_face import face
from tracker.services import answers, manage, templates, timeline
from tracker.services.sent_request import sent_request
from tracker.store import batches, handsets, messages, postbacks
from tracker.store import templates as pass_templates
from tracker.store.models import Role
from tracker.store.rows import BodyRow, ContentRow, MessageRow, PostbackRow

from . import auth, message_list, security, trouble
from .context import habits, now, sessions
from .message_list import MOST_FOUND, lines_of
from .presenting import texts
from .presenting.batch import BatchLine, batch_line
from .presenting.content import content_view
from .presenting.message import MessageView, Surroundings, message_view
from .presenting.pass_view import PassView, pass_view
from .presenting.postback import postback_view
from .query import strange_names
from .whole_question import UnreadableError

MOST_OTHERS: Final = 5  # messages to the same number, on the page of one

SECTIONS: Final = (
    ("Overview", "overview.show", "overview"),
    ("Messages", "pages.list_messages", "messages"),
    ("Send", "send_form.show", "send"),
    ("Batches", "batches.list_batches", "batches"),
    ("Postbacks", "journal.list_postbacks", "postbacks"),
    ("Alerts", "watch.list_alerts", "alert"),
    ("Suppressed", "watch.list_suppressed", "suppressed"),
    ("Gateway", "gateway_page.show", "sending"),
    ("Templates", "pass_templates.list_templates", "templates"),
    ("Handsets", "handsets.show", "handset"),
    ("Carriers", "carriers.list_carriers", "carrier"),
    ("Settings", "settings.show", "settings"),
)
FOR_OPERATORS: Final = frozenset({"send_form.show"})  # of the sections
ERRORS: Final = {
    400: ("This cannot be read", "The address or the form is not complete. Go back and try again."),
    403: ("You may not do this", "It needs another role, which an administrator gives."),
    404: ("There is no such page", "The address may be mistyped, or what stood here was erased."),
    405: ("This address does not take that", "Go back and use the links and buttons of the page."),
    410: ("It is kept no more", "Old data leaves after a while; what was read out of it is there."),
    413: ("This is too much at once", "Go back and send less."),
    429: ("Too many tries", "Wait a few minutes, then try again."),
    500: ("Something broke on our side", "It is in our log. Try again in a minute."),
    503: ("The database cannot be reached", "Nothing is lost. Try again in a minute."),
}
OLD_FORM: Final = (
    "Nothing was done. Go back, reload the page and try again."
    " If that does not help, let your browser keep cookies for this site."
)

bp = Blueprint("pages", __name__)
auth.guard(bp)
message_list.add_to(bp)


def register(app: Flask) -> None:
    """Add the dashboard, its login and its headers; `error_page` is for who answers errors."""
    security.register(app)
    auth.register(app)
    app.register_blueprint(bp)
    app.context_processor(_frame)
    for show in (texts.utc, texts.iso, texts.printable, texts.document):
        app.add_template_filter(show)


def error_page(error: HTTPException) -> Response:
    """Return the page for an error; it asks the database nothing, which may be what is broken."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    if isinstance(getattr(error, "original_exception", None), OperationalError):
        status = HTTPStatus.SERVICE_UNAVAILABLE
    title, advice = ERRORS.get(status, ERRORS[500 if status >= 500 else 400])
    if isinstance(error, CSRFError):
        title, advice = "This page was open too long", OLD_FORM
    if isinstance(error, UnreadableError):
        title, advice = "A filter cannot be read", str(error.description)
    page = render_template("error.html", title=title, advice=advice, status=status)
    response = make_response(page, status)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


@bp.get("/messages/<uuid:public_id>")
def show_message(public_id: UUID) -> ResponseReturnValue:
    """Show one message."""
    with sessions()() as session:
        row = _message(session, public_id)
        view = _view(session, row)
        rest = _rest(session, row)
    return render_template("message.html", message=view, digest=texts.digest(view), **rest)


@bp.get("/messages/<uuid:public_id>/others")
def list_others(public_id: UUID) -> ResponseReturnValue:
    """Show what else was sent to the number of a message; the number stands in no address."""
    with sessions()() as session:
        row = _message(session, public_id)
        rows = messages.find(session, row.recipient, MOST_FOUND)
        found = lines_of(session, rows)
    return render_template(
        "search.html",
        q="",
        masked=auth.sight().number(row.recipient),
        lines=found,
        columns=message_list.columns_of_viewer(),
        is_cut=len(found) == MOST_FOUND,
        back_to=str(public_id),
    )


@bp.get("/messages/<uuid:public_id>/live")
def refresh_message(public_id: UUID) -> ResponseReturnValue:
    """Give the changing part of a message anew when it changed; 204 when it did not."""
    with sessions()() as session:
        view = _view(session, _message(session, public_id))
    if texts.digest(view) == request.args.get("seen"):
        return "", HTTPStatus.NO_CONTENT
    return render_template("_message_live.html", message=view, digest=texts.digest(view))


@bp.post("/messages/<uuid:public_id>/cancel")
@auth.requires_role(Role.OPERATOR)
def cancel_message(public_id: UUID) -> ResponseReturnValue:
    """Take a message out of the queue."""
    try:
        manage.cancel(sessions(), public_id, actor(), now())
    except manage.NoSuchMessageError:
        abort(HTTPStatus.NOT_FOUND)
    except manage.NotPossibleError as error:
        flash(str(error), "bad")
    else:
        flash("Cancelled. The pass is not sent.", "good")
    return redirect(_url(public_id), HTTPStatus.SEE_OTHER)


@bp.post("/messages/<uuid:public_id>/resend")
@auth.requires_role(Role.OPERATOR)
def resend_message(public_id: UUID) -> ResponseReturnValue:
    """Queue the pass again and show the new message."""
    try:
        new_id = manage.resend(sessions(), public_id, actor(), now())
    except manage.NoSuchMessageError:
        abort(HTTPStatus.NOT_FOUND)
    except (manage.NotPossibleError, InvalidMessageError) as error:
        flash(str(error), "bad")
        return redirect(_url(public_id), HTTPStatus.SEE_OTHER)
    flash("Queued again. This is the new message.", "good")
    return redirect(_url(new_id), HTTPStatus.SEE_OTHER)


@bp.get("/messages/<uuid:public_id>/postbacks/<int(max=9223372036854775807):postback_id>")
def show_postback(public_id: UUID, postback_id: int) -> ResponseReturnValue:
    """Show one postback in full."""
    row, body = _postback(public_id, postback_id)
    return render_template(
        "postback.html", postback=postback_view(row, body, auth.sight()), public_id=str(public_id)
    )


@bp.get("/messages/<uuid:public_id>/postbacks/<int(max=9223372036854775807):postback_id>/raw")
@auth.requires_role(Role.OPERATOR)
def download_postback(public_id: UUID, postback_id: int) -> ResponseReturnValue:
    """Give the exact bytes, as a file that no browser opens by itself."""
    _, body = _postback(public_id, postback_id)
    response = Response(kept_bytes(body).body, content_type="application/octet-stream")
    response.headers.set(
        "Content-Disposition", "attachment", filename=f"postback-{postback_id}.txt"
    )
    return response


def _frame() -> dict[str, object]:
    """What the frame around every page asks for; called only when a page uses it."""
    return {"viewer": auth.viewer, "sections": _sections, "strange_names": strange_names}


def _sections() -> list[tuple[str, str, str, bool]]:
    """Return label, address, icon and whether it is shown of every section of the dashboard.

    Alerts are counted for each page: who looks at anything is to know of them.
    """
    is_open = trouble.of_page().alerts
    counts = {"watch.list_alerts": f" ({is_open:,})" if is_open else ""}
    person = auth.viewer()
    return [
        (label + counts.get(endpoint, ""), url, symbol, _is_below(url))
        for label, endpoint, symbol in SECTIONS
        if endpoint not in FOR_OPERATORS or (person and person.may_act)
        for url in (url_for(endpoint),)
    ]


def _is_below(url: str) -> bool:
    """Say whether the page that is shown is this one, or below it; all pages are below `/`."""
    if request.blueprint == "audit":  # one of the settings, at an address of its own
        return url == url_for("settings.show")
    return request.path == url or (url != "/" and request.path.startswith(url))


def _message(session: Session, public_id: UUID) -> MessageRow:
    return messages.by_public_id(session, public_id) or abort(HTTPStatus.NOT_FOUND)


def _view(session: Session, row: MessageRow) -> MessageView:
    around = Surroundings(
        carrier=messages.carrier_name(session, row.spid),
        handset=handsets.by_number(session, row.recipient),
        habit=habits().of(session, row.spid, now()) if row.spid else None,
        offers=len(answers.offers(session, row)),
        sight=auth.sight(),
    )
    return message_view(row, timeline.of_message(session, row), around, now())


def _rest(session: Session, row: MessageRow) -> dict[str, object]:
    """Return what does not change while the page of a message is open."""
    content = auth.sight().content(messages.content(session, row.id), row.recipient)
    others = messages.others_to(session, row, MOST_OTHERS + 1)
    calls = messages.attempts(session, row.id)
    return {
        "content": content_view(content),
        "batch": _batch(session, row),
        "shown_pass": _pass(session, row, content),
        "sent": sent_request(auth.sight().message(row), content, calls, to=_shown_to(row)),
        "others": lines_of(session, others[:MOST_OTHERS]),
        "has_more_others": len(others) > MOST_OTHERS,
    }


def _batch(session: Session, row: MessageRow) -> BatchLine | None:
    found = batches.by_id(session, row.batch_id) if row.batch_id else None
    return batch_line(found, auth.sight()) if found else None


def _shown_to(row: MessageRow) -> str | None:
    """Return what stands for the number in a document; None where the number itself may."""
    sight = auth.sight()
    return None if sight.is_whole else sight.number(row.recipient)


def _pass(session: Session, row: MessageRow, content: ContentRow) -> PassView:
    described = pass_templates.by_id(session, row.mms_id)
    template = templates.template_of(described) if described else None
    return pass_view(
        face(template, row.mms_id, content.pass_data),
        row.mms_id,
        sight=auth.sight(),
        drawn_as=request.args.get("barcode"),
        described_at=described.updated_at if described else None,
        queued_at=row.created_at,
    )


def _postback(public_id: UUID, postback_id: int) -> tuple[PostbackRow, BodyRow]:
    with sessions()() as session:
        row = postbacks.by_id(session, postback_id)
        if row is None or row.message_public_id != public_id:
            abort(HTTPStatus.NOT_FOUND)
        return row, postbacks.body(session, row)


def kept_bytes(body: BodyRow) -> BodyRow:
    """Return the exact bytes of a postback, or end the request where they are gone."""
    return abort(HTTPStatus.GONE) if body.is_gone else body


def _url(public_id: UUID) -> str:
    return url_for("pages.show_message", public_id=public_id)


def actor() -> str:
    """Return who is logged in, for the audit trail."""
    return auth.actor()
