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
from tracker.store.messages import BadCursorError, MessageFilter
from tracker.store.rows import MessageRow

from .. import context
from ..problems import ApiError, bad_request
from . import bp, reading
from .reading import Reader


@bp.post("/messages")
def create_message() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Queue one message."""
    try:
        public_id, warnings = submit.one(
            context.sessions(),
            reading.json_object(),
            default_from=context.settings().default_from,
            now=context.now(),
            repeat=repeat_of(),
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
def list_messages() -> dict[str, Any]:
    """Return one page of messages, newest first."""
    wanted = MessageFilter(**reading.filters(_MESSAGE_FILTERS))
    with context.sessions()() as session:
        try:
            page = messages.search(
                session, wanted, limit=reading.limit(), cursor=request.args.get("cursor")
            )
        except BadCursorError as error:
            raise reading.bad_cursor() from error
        items = describe.message_objects(session, page.items)
    return {"items": items, "next_cursor": page.next_cursor}


@bp.get("/messages/<message_id>")
def get_message(message_id: str) -> dict[str, Any]:
    """Return one message with its timeline."""
    with context.sessions()() as session:
        row = _message_or_404(messages.by_public_id(session, _public_id(message_id)))
        answer = describe.message_object(session, row)
        entries = timeline.of_message(session, row)
    return {**answer, "timeline": [describe.timeline_entry(entry) for entry in entries]}


@bp.post("/messages/<message_id>/cancel")
def cancel_message(message_id: str) -> dict[str, Any]:
    """Take a queued message out of the queue."""
    public_id = _public_id(message_id)
    _manage(partial(manage.cancel, context.sessions(), public_id, g.actor, context.now()))
    return _one(public_id)


@bp.post("/messages/<message_id>/resend")
def resend_message(message_id: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Queue the same pass again, as a new message."""
    old = _public_id(message_id)
    new = _manage(partial(manage.resend, context.sessions(), old, g.actor, context.now()))
    return _one(new), HTTPStatus.ACCEPTED, {"Location": _address(new)}


def repeat_of() -> Repeat | None:
    """Return how the caller marks a request that it may make again."""
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
