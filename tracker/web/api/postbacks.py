"""The journal of postbacks: list, look at, the exact bytes, judge anew."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from zoneinfo import ZoneInfo

from flask import Response, g

from tracker.domain.fold import Outcome
from tracker.protocol.notification import Kind
from tracker.protocol.postback import NotAPostbackError, UnreadablePostbackError
from tracker.services import describe, rejudge, replay
from tracker.store import messages, postbacks
from tracker.store.models import Scope
from tracker.store.postbacks import PostbackFilter
from tracker.store.rows import BodyRow, PostbackRow

from .. import context
from ..problems import ApiError
from . import bp, reading
from .describing import answer, described, in_path, in_query, listed
from .reading import Reader
from .schemas import DRY_RUN, HEADERS_EXAMPLE, POSTBACK, POSTBACK_EXAMPLE, POSTBACK_ID

_FILTERS: Final[Mapping[str, Reader]] = {
    "outcome": partial(reading.word, Outcome),
    "code": reading.text,
    "kind": partial(reading.word, Kind),
    "tracking_id": reading.text,
    "message_id": reading.uuid,
}
_NOTES: Final = {
    "outcome": "What became of it.",
    "code": "The code, in any case.",
    "kind": "What it is about.",
    "tracking_id": "The gateway's id; white space and trailing `=` do not count.",
    "message_id": "The id of a message.",
    "dry_run": "1: say what would change, and change nothing.",
}
_PATH: Final = in_path("postback_id", POSTBACK_ID, "The id of a postback.")


@bp.get("/postbacks")
@described(
    "List postbacks",
    scope=Scope.READ,
    parameters=in_query(_FILTERS, _NOTES),
    cursor=reading.ID_CURSOR,
    answers={
        200: answer(
            "One page.", listed(POSTBACK), {"items": [POSTBACK_EXAMPLE], "next_cursor": "1042"}
        )
    },
)
def list_postbacks() -> tuple[dict[str, Any], dict[str, str]]:
    """Return one page of the journal, newest first. What was answered with 200 is in it at once."""
    wanted = reading.filters(_FILTERS)
    limit, before_id = reading.limit(), reading.before_id()
    with context.sessions()() as session:
        if "message_id" in wanted:
            row = messages.by_public_id(session, wanted["message_id"])
            if row is None:
                return {"items": [], "next_cursor": None}, {}
            wanted["message_id"] = row.id
        page = postbacks.search(session, PostbackFilter(**wanted), limit=limit, before_id=before_id)
    items = [describe.postback_object(row) for row in page.items]
    found = {"items": items, "next_cursor": page.next_cursor}
    return found, reading.next_link(page.next_cursor)


@bp.get("/postbacks/<postback_id>")
@described(
    "Look at a postback",
    scope=Scope.READ,
    parameters=_PATH,
    answers={200: answer("The postback.", POSTBACK, {**POSTBACK_EXAMPLE, **HEADERS_EXAMPLE})},
    errors=(404,),
)
def get_postback(postback_id: str) -> dict[str, Any]:
    """Return one postback, with what is kept of the headers of the request that brought it."""
    row = _postback(postback_id)
    return describe.whole_postback(row, _kept(row))


@bp.get("/postbacks/<postback_id>/raw")
@described(
    "Get the exact bytes",
    scope=Scope.READ,
    parameters=_PATH,
    answers={
        200: answer(
            "The body of the request as it was received, before any decoding.",
            {"type": "string", "format": "binary"},
            media_type="application/octet-stream",
        )
    },
    errors=(404, 410),
)
def get_postback_raw(postback_id: str) -> Response:
    """Return the exact bytes of the request that brought the postback."""
    row = _postback(postback_id)
    kept = _kept(row)
    if kept.is_gone:
        raise ApiError(HTTPStatus.GONE, "The bytes of this postback are kept no more.")
    # Never the sender's own type: nothing of it may run in a browser.
    answer = Response(kept.body, mimetype="application/octet-stream")
    answer.headers["Content-Disposition"] = f"attachment; filename=postback-{row.id}.bin"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


@bp.post("/postbacks/<postback_id>/replay")
@described(
    "Judge a postback anew",
    scope=Scope.ADMIN,
    parameters=(*_PATH, *in_query({"dry_run": reading.truth}, _NOTES)),
    answers={
        200: answer(
            "The postback as it is now; with `dry_run` what would change.",
            {"anyOf": [POSTBACK, DRY_RUN]},
            POSTBACK_EXAMPLE,
        )
    },
    errors=(400, 404, 409),
)
def replay_postback(postback_id: str) -> dict[str, Any]:
    """Judge a kept postback anew, as if it had just come; with `dry_run` say what would change."""
    row = _postback(postback_id)
    settings, now = context.settings(), context.now()
    if reading.flag("dry_run"):
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


def _kept(row: PostbackRow) -> BodyRow:
    with context.sessions()() as session:
        return postbacks.body(session, row)


def _postback(text: str) -> PostbackRow:
    row = None
    if text.isascii() and text.isdecimal() and len(text) < 19:
        with context.sessions()() as session:
            row = postbacks.by_id(session, int(text))
    if row is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "There is no postback with this id.")
    return row
