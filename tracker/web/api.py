"""The JSON API under /api/v1. Source: DESIGN 3.4; names and answers are a contract."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, g, request, url_for
from werkzeug.exceptions import HTTPException

from tracker.domain import numbers
from tracker.domain.fold import Outcome
from tracker.domain.message import InvalidMessageError
from tracker.domain.status import Status
from tracker.protocol.notification import Kind
from tracker.protocol.postback import NotAPostbackError, UnreadablePostbackError
from tracker.services import accounts, describe, manage, rejudge, replay, submit, timeline
from tracker.services.submit import Repeat, RepeatDiffersError
from tracker.store import messages, postbacks
from tracker.store.messages import BadCursorError, MessageFilter
from tracker.store.postbacks import PostbackFilter
from tracker.store.rows import MessageRow, PostbackRow

from . import context, problems
from .problems import ApiError, bad_request

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
MAX_JSON_BYTES: Final = 1024 * 1024

bp = Blueprint("api", __name__, url_prefix="/api/v1")
bp.register_error_handler(ApiError, problems.from_api_error)
bp.register_error_handler(HTTPException, problems.from_http_error)
bp.register_error_handler(Exception, problems.from_fault)


@bp.before_request
def authenticate() -> None:
    """Let in whoever has an active bearer token."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    found = None
    if scheme.lower() == "bearer" and token.strip():
        found = accounts.use_token(context.sessions(), token.strip(), context.now())
    if found is None:
        detail = "Give an active API token in the header: Authorization: Bearer <token>."
        raise ApiError(HTTPStatus.UNAUTHORIZED, detail, WWW_Authenticate="Bearer")
    g.actor = f"token:{found.name}"
    g.token_id = found.id


@bp.post("/messages")
def create_message() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Queue one message."""
    try:
        public_id, warnings = submit.one(
            context.sessions(),
            _json_object(),
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
def list_messages() -> dict[str, Any]:
    """Return one page of messages, newest first."""
    wanted = MessageFilter(**_filters(_MESSAGE_FILTERS))
    with context.sessions()() as session:
        try:
            page = messages.search(
                session, wanted, limit=_limit(), cursor=request.args.get("cursor")
            )
        except BadCursorError as error:
            raise _bad_cursor() from error
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


@bp.get("/postbacks")
def list_postbacks() -> dict[str, Any]:
    """Return one page of the journal, newest first."""
    wanted = _filters(_POSTBACK_FILTERS)
    with context.sessions()() as session:
        if "message_id" in wanted:
            row = messages.by_public_id(session, wanted["message_id"])
            if row is None:
                return {"items": [], "next_cursor": None}
            wanted["message_id"] = row.id
        page = postbacks.search(
            session, PostbackFilter(**wanted), limit=_limit(), before_id=_before_id()
        )
    return {
        "items": [describe.postback_object(row) for row in page.items],
        "next_cursor": page.next_cursor,
    }


@bp.get("/postbacks/<postback_id>")
def get_postback(postback_id: str) -> dict[str, Any]:
    """Return one postback."""
    return describe.postback_object(_postback(postback_id))


@bp.get("/postbacks/<postback_id>/raw")
def get_postback_raw(postback_id: str) -> Response:
    """Return the exact bytes of the request that brought the postback."""
    row = _postback(postback_id)
    with context.sessions()() as session:
        kept = postbacks.body(session, row.body_id)
    # Never the sender's own type: nothing of it may run in a browser.
    answer = Response(kept.body, mimetype="application/octet-stream")
    answer.headers["Content-Disposition"] = f"attachment; filename=postback-{row.id}.bin"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


@bp.post("/postbacks/<postback_id>/replay")
def replay_postback(postback_id: str) -> dict[str, Any]:
    """Judge a kept postback anew, as if it had just come; with `dry_run` say what would change."""
    row = _postback(postback_id)
    settings, now = context.settings(), context.now()
    if _flag("dry_run"):
        return _dry_run(row, settings.gateway_zone, now)
    try:
        rejudge.replay(
            context.sessions(), row.id, actor=g.actor, zone=settings.gateway_zone, now=now
        )
    except (NotAPostbackError, UnreadablePostbackError, LookupError) as error:
        raise ApiError(HTTPStatus.CONFLICT, str(error)) from error
    return describe.postback_object(_postback(postback_id))


def _dry_run(row: PostbackRow, zone: ZoneInfo, now: datetime) -> dict[str, Any]:
    """Return what a replay would change, without changing it."""
    wanted = replay.ReplayFilter(ids=(row.id,))
    (found,) = replay.run(
        context.sessions(), wanted, actor=g.actor, is_dry_run=True, zone=zone, now=now
    )
    if found.error:
        raise ApiError(HTTPStatus.CONFLICT, found.error)
    before = str(row.message_public_id) if row.message_public_id else None
    after = str(found.message_id) if found.message_id else None
    return {
        "id": row.id,
        "dry_run": True,
        "would_change": found.is_changed,
        "before": {"outcome": found.before, "message_id": before},
        "after": {
            "outcome": found.after,
            "outcome_reason": found.reason,
            "message_id": after,
        },
    }


def _flag(name: str) -> bool:
    text = request.args.get(name, "0").lower()
    if text not in ("0", "1", "false", "true"):
        raise bad_request(name, text, "must be 1 or 0")
    return text in ("1", "true")


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


def _postback(text: str) -> PostbackRow:
    row = None
    if text.isascii() and text.isdecimal() and len(text) < 19:
        with context.sessions()() as session:
            row = postbacks.by_id(session, int(text))
    if row is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "There is no postback with this id.")
    return row


def _json_object() -> Mapping[str, object]:
    body = request.get_data(cache=False)
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        said = error if isinstance(error, json.JSONDecodeError) else "it cannot be decoded"
        detail = f"The body is not JSON: {said}"
        raise ApiError(HTTPStatus.BAD_REQUEST, detail) from error
    if not isinstance(found, dict):
        raise ApiError(HTTPStatus.BAD_REQUEST, "The body must be a JSON object of fields.")
    return found


def _public_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _no_message() from None


Reader = Callable[[str], Any]


def _filters(readers: Mapping[str, Reader]) -> dict[str, Any]:
    """Read the query; a parameter nobody knows is an error, lest a typo list everything."""
    wanted: dict[str, Any] = {}
    for name in request.args:
        if name in ("limit", "cursor"):
            continue
        reader = readers.get(name)
        if reader is None:
            raise bad_request(name, None, f"is not a filter; known are {', '.join(readers)}")
        text = ",".join(request.args.getlist(name))
        try:
            wanted[name] = reader(text)
        except ValueError as error:
            raise bad_request(name, text, str(error)) from error
    return wanted


def _text(text: str) -> str:
    if "\0" in text or len(text) > 256:
        raise ValueError("must be text of at most 256 characters")
    return text


def _number(text: str) -> str:
    number = numbers.clean(text)
    if number is None:
        raise ValueError(f"is not a phone number; {numbers.EXPECTED}")
    return number


def _statuses(text: str) -> tuple[Status, ...]:
    try:
        return tuple(Status(word.strip()) for word in text.split(","))
    except ValueError:
        raise ValueError(f"must be one of {', '.join(Status)}") from None


def _word(words: type[Outcome | Kind], text: str) -> str:
    if text not in list(words):
        raise ValueError(f"must be one of {', '.join(words)}")
    return text


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # an unescaped plus is a blank
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be a time such as 2026-11-27T18:00:00Z") from None


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ValueError("must be the id of a message (a UUID)") from None


def _limit() -> int:
    text = request.args.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= MAX_LIMIT):
        raise bad_request("limit", text, f"must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def _before_id() -> int | None:
    text = request.args.get("cursor")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise _bad_cursor()
    return int(text)


def _bad_cursor() -> ApiError:
    return bad_request("cursor", request.args.get("cursor"), "is not one that an earlier page gave")


_MESSAGE_FILTERS: Final[Mapping[str, Reader]] = {
    "status": _statuses,
    "to": _number,
    "tracking_id": _text,
    "reference": _text,
    "custom_pass_id": _text,
    "campaign_ref": _text,
    "mms_id": _text,
    "spid": _text,
    "handset": _text,
    "code": _text,
    "created_from": _moment,
    "created_to": _moment,
}
_POSTBACK_FILTERS: Final[Mapping[str, Reader]] = {
    "outcome": partial(_word, Outcome),
    "code": _text,
    "kind": partial(_word, Kind),
    "tracking_id": _text,
    "message_id": _uuid,
}
