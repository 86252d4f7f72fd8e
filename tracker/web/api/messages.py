"""Messages: send, list, look at, cancel, send again."""

from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from flask import g, request, url_for

from tracker.domain.message import InvalidMessageError
from tracker.services import describe, manage, submit, timeline
from tracker.services.submit import Repeat, RepeatDiffersError
from tracker.store import messages
from tracker.store.messages import CURSOR, BadCursorError, MessageFilter
from tracker.store.models import Scope
from tracker.store.rows import MessageRow

from .. import context
from ..problems import ApiError, bad_request
from . import bp, reading, schemas
from .describing import answer, described, in_header, in_path, in_query, json_body, listed
from .reading import Reader

_MESSAGE_FILTERS: Final[Mapping[str, Reader]] = {
    "status": reading.statuses,
    "to": reading.number,
    "tracking_id": reading.text,
    "reference": reading.text,
    "custom_pass_id": reading.text,
    "campaign_ref": reading.text,
    "mms_id": reading.text,
    "spid": reading.text,
    "handset": reading.text,
    "code": reading.text,
    "created_from": reading.moment,
    "created_to": reading.moment,
}
# What postbacks change has no index: each would cost every postback that comes.
_SLOW: Final = "A rare one is looked for among all messages; `created_from` makes it quick."
_NOTES: Final = {
    "status": "One or several, with commas between or one a parameter.",
    "to": "The recipient, as people type it. It then stands in the address: keep it out of logs.",
    "tracking_id": "The gateway's id; white space and trailing `=` do not count.",
    "spid": f"The carrier. {_SLOW}",
    "handset": f"The handset that a receipt named. {_SLOW}",
    "code": f"Of the gateway's refusal or of any postback, in any case. {_SLOW}",
    "created_from": "Not before this time; without a zone it is UTC.",
    "created_to": "Before this time.",
}
_PATH: Final = in_path("message_id", schemas.MESSAGE_ID, "The id of a message.")
_KEY: Final = in_header(
    "Idempotency-Key",
    schemas.IDEMPOTENCY_KEY,
    "A key of yours: the same key and body give the same message, 202 again; the same key and"
    " another body are a 409.",
)
_LOCATION: Final = {
    "Location": {"description": "The address of the message.", "schema": {"type": "string"}}
}


@bp.post("/messages")
@described(
    "Send a pass",
    scope=Scope.SEND,
    parameters=_KEY,
    body=json_body(
        "What is to be sent.",
        schemas.SEND_REQUEST,
        {"A pass": schemas.REQUEST_EXAMPLE, "Every field": schemas.FULL_REQUEST_EXAMPLE},
    ),
    answers={
        202: answer(
            "The message, queued; or the earlier one of the same key.",
            schemas.NEW_MESSAGE,
            schemas.QUEUED_EXAMPLE,
            headers=_LOCATION,
        )
    },
    errors=(400, 409, 413, 415, 422),
)
def create_message() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Queue one message. All wrong fields are named at once, and nothing is queued then."""
    try:
        public_id, warnings = submit.one(
            context.sessions(),
            reading.json_object(),
            default_from=context.settings().default_from,
            now=context.now(),
            repeat=_repeat(),
        )
    except RepeatDiffersError as error:
        raise ApiError(HTTPStatus.CONFLICT, f"{str(error).capitalize()}.") from error
    except InvalidMessageError as error:
        detail = f"{len(error.problems)} field(s) are wrong; nothing was queued."
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, error.problems) from error
    answer = _one(public_id)
    if warnings:
        answer["warnings"] = [{"field": w.field, "detail": w.detail} for w in warnings]
    return answer, HTTPStatus.ACCEPTED, {"Location": _address(public_id)}


@bp.get("/messages")
@described(
    "List messages",
    scope=Scope.READ,
    parameters=in_query(_MESSAGE_FILTERS, _NOTES),
    cursor=CURSOR,
    answers={
        200: answer(
            "One page.",
            listed(schemas.MESSAGE),
            {"items": [schemas.MESSAGE_EXAMPLE], "next_cursor": None},
        )
    },
)
def list_messages() -> tuple[dict[str, Any], dict[str, str]]:
    """Return one page of messages, newest first. All filters must hold."""
    wanted = MessageFilter(**reading.filters(_MESSAGE_FILTERS))
    limit = reading.limit()
    with context.sessions()() as session:
        try:
            page = messages.search(session, wanted, limit=limit, cursor=request.args.get("cursor"))
        except BadCursorError as error:
            raise reading.bad_cursor() from error
        items = describe.message_objects(session, page.items)
    found = {"items": items, "next_cursor": page.next_cursor}
    return found, reading.next_link(page.next_cursor)


@bp.get("/messages/<message_id>")
@described(
    "Look at a message",
    scope=Scope.READ,
    parameters=_PATH,
    answers={
        200: answer(
            "The message and what happened to it.",
            schemas.MESSAGE_WITH_TIMELINE,
            {**schemas.MESSAGE_EXAMPLE, "timeline": [schemas.TIMELINE_EXAMPLE]},
        )
    },
    errors=(404,),
)
def get_message(message_id: str) -> dict[str, Any]:
    """Return one message with its timeline."""
    with context.sessions()() as session:
        row = _message_or_404(messages.by_public_id(session, _public_id(message_id)))
        answer = describe.message_object(session, row)
        entries = timeline.of_message(session, row)
    return {**answer, "timeline": [describe.timeline_entry(entry) for entry in entries]}


@bp.post("/messages/<message_id>/cancel")
@described(
    "Cancel a message",
    scope=Scope.SEND,
    parameters=_PATH,
    answers={200: answer("The message, cancelled.", schemas.MESSAGE)},
    errors=(404, 409),
)
def cancel_message(message_id: str) -> dict[str, Any]:
    """Take a queued message out of the queue."""
    public_id = _public_id(message_id)
    _manage(partial(manage.cancel, context.sessions(), public_id, g.actor, context.now()))
    return _one(public_id)


@bp.post("/messages/<message_id>/resend")
@described(
    "Send a message again",
    scope=Scope.SEND,
    parameters=_PATH,
    answers={
        202: answer("The new message.", schemas.MESSAGE, schemas.QUEUED_EXAMPLE, headers=_LOCATION)
    },
    errors=(404, 409),
)
def resend_message(message_id: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Queue the same pass again, as a new message."""
    old = _public_id(message_id)
    new = _manage(partial(manage.resend, context.sessions(), old, g.actor, context.now()))
    return _one(new), HTTPStatus.ACCEPTED, {"Location": _address(new)}


def _repeat() -> Repeat | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not (1 <= len(key) <= 255 and key.isprintable()):
        raise bad_request("Idempotency-Key", key[:40], "must have 1 to 255 printable characters")
    return Repeat(g.token_id, key)


def _one(public_id: UUID) -> dict[str, Any]:
    with context.sessions()() as session:
        row = _message_or_404(messages.by_public_id(session, public_id))
        return describe.message_object(session, row)


def _address(public_id: UUID) -> str:
    return url_for("api.get_message", message_id=str(public_id))


def _manage(action: Callable[[], Any]) -> Any:  # noqa: ANN401  # whatever the action gives
    try:
        return action()
    except manage.NoSuchMessageError:
        raise _no_message() from None
    except manage.NotPossibleError as error:
        raise ApiError(HTTPStatus.CONFLICT, str(error)) from error


def _message_or_404(row: MessageRow | None) -> MessageRow:
    if row is None:
        raise _no_message()
    return row


def _no_message() -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, "There is no message with this id.")


def _public_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _no_message() from None
