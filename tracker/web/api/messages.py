"""Messages: send, list, look at, cancel, send again."""

from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from flask import g, request, url_for

from tracker.domain.message import InvalidMessageError
from tracker.services import answers, describe, manage, submit, timeline
from tracker.services.repeats import Repeat, RepeatDiffersError
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
            window=context.send_window(),
            now=context.now(),
            repeat=_repeat(),
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
def cancel_message(message_id: str) -> dict[str, Any]:
    """Take a queued message out of the queue."""
    public_id = public_id_of(message_id)
    _manage(partial(manage.cancel, context.sessions(), public_id, g.actor, context.now()))
    return one(public_id)


@bp.post("/messages/<message_id>/resend")
def resend_message(message_id: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Queue the same pass again, as a new message."""
    old = public_id_of(message_id)
    new = _manage(partial(manage.resend, context.sessions(), old, g.actor, context.now()))
    return one(new), HTTPStatus.ACCEPTED, {"Location": address(new)}


def _repeat() -> Repeat:
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
