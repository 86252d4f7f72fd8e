"""The journal of postbacks: the list, one of them, its exact bytes, and judging anew.

Bytes have whole numbers in them, which viewers do not see. The receiver has `/postbacks/<token>`;
these pages stand beside it, not below it.
"""

from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from tracker.services import replay, shelf
from tracker.services.replay import Replayed, ReplayFilter, Tally
from tracker.store import postbacks
from tracker.store.models import Role
from tracker.store.rows import BodyRow, PostbackRow
from tracker.store.spool import SpoolError

from . import auth
from .context import now, sessions, settings
from .pages import actor, kept_bytes
from .postbacks import the_receiver
from .presenting import texts
from .presenting.body import bytes_view
from .presenting.journal import news_of, postback_line, postback_lines, replay_lines
from .presenting.journal_question import JournalQuestion
from .presenting.postback import postback_view
from .query import refuse_strange

PAGE_SIZE: Final = 50
REFRESH_SECONDS: Final = 2
MOST_JUDGED: Final = 1000  # in one request; the command line has no such bound
MOST_SHOWN: Final = 200  # of what a replay would change
_LONGEST_ID: Final = 18  # digits that every database can compare

bp = Blueprint("journal", __name__, url_prefix="/journal")
auth.guard(bp)


@bp.get("")
def list_postbacks() -> ResponseReturnValue:
    """Show one page of the journal, newest first."""
    return render_template("postbacks.html", **_list_page(), spool_note=_spool_note(now()))


@bp.get("/live")
def refresh_list() -> ResponseReturnValue:
    """Give the newest page anew when it changed; 204 when it did not."""
    page = _list_page(seen_id=_number("newest", request.args))
    if page["digest"] == request.args.get("seen"):
        return "", HTTPStatus.NO_CONTENT
    return render_template("_postback_list.html", **page)


@bp.get("/<int(max=9223372036854775807):postback_id>")
def show_postback(postback_id: int) -> ResponseReturnValue:
    """Show one postback, also one that belongs to no message."""
    moment = now()
    with sessions()() as session:
        row = _row(postbacks.by_id(session, postback_id))
        body = postbacks.body(session, row)
        (described,) = shelf.described(session, [row], moment)
    return render_template(
        "postbacks_one.html",
        postback=postback_view(row, body, auth.sight()),
        line=postback_line(described, moment, auth.sight()),
    )


@bp.get("/<int(max=9223372036854775807):postback_id>/bytes")
@auth.requires_role(Role.OPERATOR)
def show_bytes(postback_id: int) -> ResponseReturnValue:
    """Show the exact bytes, as text or as a hex dump."""
    row, body = _postback(postback_id)
    view = bytes_view(kept_bytes(body), request.args.get("as"))
    return render_template("postbacks_bytes.html", postback=postback_view(row, body), bytes=view)


@bp.get("/<int(max=9223372036854775807):postback_id>/raw")
@auth.requires_role(Role.OPERATOR)
def download(postback_id: int) -> ResponseReturnValue:
    """Give the exact bytes, as a file that no browser opens by itself."""
    _, body = _postback(postback_id)
    response = Response(kept_bytes(body).body, content_type="text/plain")
    name = f"postback-{postback_id}.txt"
    response.headers.set("Content-Disposition", "attachment", filename=name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@bp.get("/replay")
@auth.requires_role(Role.OPERATOR)
def show_replay() -> ResponseReturnValue:
    """Show what a replay would change; nothing is changed yet."""
    refuse_strange()
    question, wanted = _asked(request.args)
    found = list(_run(wanted, is_dry_run=True))
    tally = _tally(found)
    changes = replay_lines(one for one in found if one.is_changed)
    return render_template(
        "postbacks_replay.html",
        question=question,
        ids=wanted.ids,
        summary=tally.sentence(is_dry_run=True),
        looked_at=len(found),
        is_cut=len(found) == MOST_JUDGED,
        changes=changes[:MOST_SHOWN],
        more=len(changes[MOST_SHOWN:]),
        unreadable=[one for one in found if one.error][:MOST_SHOWN],
        through=max((one.id for one in found), default=0),
    )


@bp.post("/replay")
@auth.requires_role(Role.OPERATOR)
def run_replay() -> ResponseReturnValue:
    """Judge anew what the page before has shown, and nothing that came since."""
    question, wanted = _asked(request.form)
    tally = _tally(_run(wanted, is_dry_run=False))
    flash(tally.sentence(is_dry_run=False), "good" if tally.changed else "odd")
    if len(wanted.ids) == 1:
        return redirect(
            url_for("journal.show_postback", postback_id=wanted.ids[0]), HTTPStatus.SEE_OTHER
        )
    return redirect(question.url(), HTTPStatus.SEE_OTHER)


def _list_page(seen_id: int | None = None) -> dict[str, object]:
    """Return one page of the list; the reader has seen what has the id `seen_id` or a lower one."""
    question, moment = JournalQuestion.from_args(request.args), now()
    cursor = _number("cursor", request.args)
    with sessions()() as session:
        page = shelf.journal(
            session, question.filter(), limit=PAGE_SIZE, before_id=cursor, now=moment
        )
    lines = postback_lines(page.items, moment, auth.sight())
    digest, newest = texts.digest(lines), lines[0].id if lines else 0
    live_url = question.url("journal.refresh_list", seen=digest, newest=str(newest))
    return {
        "question": question,
        "lines": lines,
        "seen_id": seen_id,
        "news": "" if seen_id is None else news_of(lines, seen_id),
        "digest": digest,
        "older_url": question.url(cursor=page.next_cursor) if page.next_cursor else None,
        "newest_url": question.url() if cursor else None,
        "looked_to": page.looked_to,
        "live_url": None if cursor else live_url,
        "refresh_seconds": REFRESH_SECONDS,
    }


def _asked(args: MultiDict[str, str]) -> tuple[JournalQuestion, ReplayFilter]:
    """Read which postbacks are meant: one by its id, or all that fit the filter."""
    question = JournalQuestion.from_args(args)
    if not question.may_replay:
        abort(HTTPStatus.BAD_REQUEST)
    id_, through = _number("id", args), _number("through", args)
    if id_ is None:
        return question, question.replay_filter(through=through)
    if replay.missing(sessions(), [id_]):
        abort(HTTPStatus.NOT_FOUND)
    return question, ReplayFilter(ids=(id_,))


def _run(wanted: ReplayFilter, *, is_dry_run: bool) -> Iterator[Replayed]:
    return replay.run(
        sessions(),
        wanted,
        actor=actor(),
        is_dry_run=is_dry_run,
        zone=settings().gateway_zone,
        now=now(),
        limit=MOST_JUDGED,
    )


def _tally(found: Iterator[Replayed] | list[Replayed]) -> Tally:
    tally = Tally()
    for one in found:
        tally.add(one)
    return tally


def _number(name: str, args: MultiDict[str, str]) -> int | None:
    text = args.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_ID):
        abort(HTTPStatus.BAD_REQUEST)
    return int(text)


def _spool_note(moment: datetime) -> str | None:
    """Say what waits on disk for the database, and what was damaged there."""
    try:
        state = the_receiver().spool.state()
    except SpoolError as error:
        return f"The spool cannot be looked at: {error}."
    parts = []
    if state.oldest_at:
        since = texts.age(moment - state.oldest_at)
        parts.append(f"{state.records} wait on disk for the database, the oldest from {since}.")
    if state.set_aside:
        parts.append(f"{state.set_aside} damaged pieces lie in the spool's folder.")
    return " ".join(parts) or None


def _postback(postback_id: int) -> tuple[PostbackRow, BodyRow]:
    with sessions()() as session:
        row = _row(postbacks.by_id(session, postback_id))
        return row, postbacks.body(session, row)


def _row(row: PostbackRow | None) -> PostbackRow:
    return row or abort(HTTPStatus.NOT_FOUND)
