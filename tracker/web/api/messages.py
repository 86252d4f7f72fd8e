"""Messages: send, list, look at, cancel, send again."""

from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from flask import g, request, url_for

from tracker.domain.message import InvalidMessageError
from tracker.services import answers, describe, lookups, manage, submit, timeline
from tracker.services.repeats import Repeat, RepeatDiffersError
from tracker.store import messages
from tracker.store.cursors import CURSOR, BadCursorError
from tracker.store.messages import MessageFilter
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
    "batch_id": reading.batch_id,
    "created_from": reading.moment,
    "created_to": reading.moment,
}
# What postbacks change has no index: each would cost every postback that comes.
_SLOW: Final = "A rare one is looked for a part of the way at a time: pages may be short."
_NOTES: Final = {
    "status": "One or several, with commas between or one a parameter.",
    "to": "The recipient, as people type it. It then stands in the address: keep it out of logs."
    " Whoever asks by it is written down.",
    "tracking_id": "The gateway's id; white space and trailing `=` do not count.",
    "spid": f"The carrier. {_SLOW}",
    "handset": f"The handset that a receipt named. {_SLOW}",
    "batch_id": "The id of a batch.",
    "code": f"Of the gateway's refusal or of any postback, in any case. {_SLOW}",
    "created_from": "Not before this time; without a zone it is UTC.",
    "created_to": "Before this time.",
}
PATH: Final = in_path("message_id", schemas.MESSAGE_ID, "The id of a message.")
KEY: Final = in_header(
    "Idempotency-Key",
    schemas.IDEMPOTENCY_KEY,
    "A key of yours: the same key and body give the same message, 202 again; the same key and"
    " another body are a 409.",
)
LOCATION: Final = {
    "Location": {"description": "The address of the message.", "schema": {"type": "string"}}
}


@bp.post("/messages")
@described(
    "Send a pass",
    scope=Scope.SEND,
    parameters=KEY,
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
            headers=LOCATION,
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
            window=context.send_window(),
            now=context.now(),
            repeat=repeat_of(),
        )
    except RepeatDiffersError as error:
        raise ApiError(HTTPStatus.CONFLICT, f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
    except InvalidMessageError as error:
        raise _invalid(error) from error
    answer = one(public_id)
    if warnings:
        answer["warnings"] = [{"field": w.field, "detail": w.detail} for w in warnings]
    return answer, HTTPStatus.ACCEPTED, {"Location": address(public_id)}


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
    if wanted.to:
        lookups.note_search(
            context.sessions(), wanted.to, page.items, actor=g.actor, now=context.now()
        )
    found = {"items": items, "next_cursor": page.next_cursor}
    return found, reading.next_link(page.next_cursor)


@bp.get("/messages/<message_id>")
@described(
    "Look at a message",
    scope=Scope.READ,
    parameters=PATH,
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
    """Return one message with its timeline, and what may be its answer when that was lost."""
    with context.sessions()() as session:
        row = _message_or_404(messages.by_public_id(session, public_id_of(message_id)))
        answer = describe.message_object(session, row)
        entries = timeline.of_message(session, row)
        offers = answers.offers(session, row)
    answer["timeline"] = [describe.timeline_entry(entry) for entry in entries]
    if answers.is_open(row):
        answer["candidates"] = [describe.candidate(offer) for offer in offers]
    return answer


@bp.post("/messages/<message_id>/cancel")
@described(
    "Cancel a message",
    scope=Scope.SEND,
    parameters=PATH,
    answers={200: answer("The message, cancelled.", schemas.MESSAGE)},
    errors=(404, 409),
)
def cancel_message(message_id: str) -> dict[str, Any]:
    """Take a queued message out of the queue."""
    public_id = public_id_of(message_id)
    _manage(partial(manage.cancel, context.sessions(), public_id, g.actor, context.now()))
    return one(public_id)


@bp.post("/messages/<message_id>/resend")
@described(
    "Send a message again",
    scope=Scope.SEND,
    parameters=PATH,
    answers={
        202: answer("The new message.", schemas.MESSAGE, schemas.QUEUED_EXAMPLE, headers=LOCATION)
    },
    errors=(404, 409),
)
def resend_message(message_id: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Queue the same pass again, as a new message."""
    old = public_id_of(message_id)
    new = _manage(partial(manage.resend, context.sessions(), old, g.actor, context.now()))
    return one(new), HTTPStatus.ACCEPTED, {"Location": address(new)}


def repeat_of() -> Repeat:
    """Return how the caller marks a request that it may make again."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (1 <= len(key) <= 255 and key.isprintable()):
        raise bad_request("Idempotency-Key", key[:40], "must have 1 to 255 printable characters")
    return Repeat(g.token_id, key)


def one(public_id: UUID) -> dict[str, Any]:
    """Return a message as JSON, as every view answers that moved it."""
    with context.sessions()() as session:
        row = _message_or_404(messages.by_public_id(session, public_id))
        return describe.message_object(session, row)


def address(public_id: UUID) -> str:
    """Return where a message is looked at."""
    return url_for("api.get_message", message_id=str(public_id))


def _manage(action: Callable[[], Any]) -> Any:  # noqa: ANN401  # whatever the action gives
    try:
        return action()
    except manage.NoSuchMessageError:
        raise no_message() from None
    except manage.NotPossibleError as error:
        raise ApiError(HTTPStatus.CONFLICT, str(error)) from error
    except InvalidMessageError as error:
        # A template or a suppression since then, or what a drop-in client sent past our checks.
        detail = f"It cannot be sent again as it is: {len(error.problems)} field(s) are wrong."
        raise ApiError(HTTPStatus.CONFLICT, detail, error.problems) from error


def _invalid(error: InvalidMessageError) -> ApiError:
    detail = f"{len(error.problems)} field(s) are wrong; nothing was queued."
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, error.problems)


def _message_or_404(row: MessageRow | None) -> MessageRow:
    if row is None:
        raise no_message()
    return row


def no_message() -> ApiError:
    """Return the error of an id that no message has."""
    return ApiError(HTTPStatus.NOT_FOUND, "There is no message with this id.")


def public_id_of(text: str) -> UUID:
    """Read the id of a message in an address; what is none is an id that no message has."""
    try:
        return UUID(text)
    except ValueError:
        raise no_message() from None
