"""The list of messages: pages, search, the columns that a person wants, and the list as a file."""

from datetime import datetime
from http import HTTPStatus
from typing import Final
from uuid import UUID

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from tracker.services import csv_files, lookups, saved_views
from tracker.store import accounts, bulk_actions, messages, preferences
from tracker.store.cursors import BadCursorError
from tracker.store.models import Role
from tracker.store.rows import MessageRow

from . import auth
from .context import now, sessions, settings
from .downloads import csv_answer
from .presenting import listing, texts
from .presenting.listing import COLUMNS, Column, Line
from .presenting.question import Question
from .presenting.retention import older_has_left
from .presenting.saved_views import view_links
from .query import refuse_strange
from .whole_question import question_of

PAGE_SIZE: Final = 50
MOST_FOUND: Final = 50  # one search shows no more; a number with more has a filter's work to do
LIST_REFRESH_SECONDS: Final = 5
MOST_OF_OTHERS: Final = 5  # unfinished actions that administrators are told of
PREFERENCE: Final = "columns"


def add_to(bp: Blueprint) -> None:
    """Add the views of the list to the blueprint of the pages."""
    bp.get("/messages")(list_messages)
    bp.get("/messages/live")(refresh_list)
    bp.get("/messages.csv")(auth.requires_role(Role.OPERATOR)(download_messages))
    bp.get("/messages/search")(reopen_search)
    bp.post("/messages/search")(search_messages)
    bp.post("/messages/columns")(choose_columns)


def list_messages() -> ResponseReturnValue:
    """Show one page of the list, newest first."""
    return render_template("messages.html", **_list_page(), **_around_list())


def refresh_list() -> ResponseReturnValue:
    """Give the list anew when it changed; 204 when it did not."""
    page = _list_page()
    if page["digest"] == request.args.get("seen"):
        return "", HTTPStatus.NO_CONTENT
    return render_template("_message_list.html", **page)


def download_messages() -> ResponseReturnValue:
    """Give all that the list's question finds as a file; one that breaks off was not all of it."""
    refuse_strange()
    question, at = question_of(request.args), now()
    with sessions().begin() as session:
        detail = question.said()[:1000]
        accounts.audit(session, auth.actor(), "messages.export", detail=detail, now=at)
    lines = csv_files.messages_csv(sessions(), question.filter(), at)
    return csv_answer(lines, f"messages-{at:%Y-%m-%d-%H%M}.csv")


def reopen_search() -> ResponseReturnValue:
    """Go to the list: what was searched for stands in no address, and so cannot come back."""
    return redirect(url_for("pages.list_messages"))


def search_messages() -> ResponseReturnValue:
    """Go to the one message that is meant, or show all that may be."""
    text = texts.printable(request.form.get("q", "").strip()[:256])
    if not text:
        return redirect(url_for("pages.list_messages"), HTTPStatus.SEE_OTHER)
    with sessions()() as session:
        rows = messages.find(session, text, MOST_FOUND)
        found = lines_of(session, rows)
    lookups.note_search(sessions(), text, rows, actor=auth.actor(), now=now())
    if len(rows) == 1:
        address = url_for("pages.show_message", public_id=rows[0].public_id)
        return redirect(address, HTTPStatus.SEE_OTHER)
    return render_template(
        "search.html",
        q=text,
        masked=texts.masked(text),
        lines=found,
        columns=columns_of_viewer(),
        is_cut=len(found) == MOST_FOUND,
    )


def choose_columns() -> ResponseReturnValue:
    """Keep which columns a person wants, and go back to the list."""
    person = auth.viewer() or abort(HTTPStatus.FORBIDDEN)
    chosen = [key for key in COLUMNS if key in request.form.getlist("column")]
    wanted = None if request.form.get("do") == "usual" else chosen
    with sessions().begin() as session:
        preferences.put(session, person.user.id, PREFERENCE, wanted)
    question = Question.from_args(request.form)
    return redirect(question.url(), HTTPStatus.SEE_OTHER)


def columns_of_viewer() -> list[Column]:
    """Return the columns that the person who is logged in wants to see."""
    return listing.columns(_chosen_columns())


def lines_of(session: Session, rows: list[MessageRow]) -> list[Line]:
    """Return messages as lines of the list, for the person who is logged in."""
    names = messages.carrier_names(session, {row.spid for row in rows if row.spid})
    return listing.lines(rows, names, now(), auth.sight())


def _list_page() -> dict[str, object]:
    question = Question.from_args(request.args)
    cursor = request.args.get("cursor")
    with sessions()() as session:
        try:
            page = messages.search(session, question.filter(), limit=PAGE_SIZE, cursor=cursor)
        except BadCursorError:
            abort(HTTPStatus.BAD_REQUEST)
        found = lines_of(session, page.items)
    digest = texts.digest((found, page.next_cursor))
    return {
        "question": question,
        "lines": found,
        "columns": columns_of_viewer(),
        "digest": digest,
        "older_url": question.url(cursor=page.next_cursor) if page.next_cursor else None,
        "newest_url": question.url() if cursor else None,
        "looked_to": page.looked_to,
        "older_has_left": older_has_left(settings()),
        "csv_url": question.url("pages.download_messages"),
        "live_url": None if cursor else question.url("pages.refresh_list", seen=digest),
        "refresh_seconds": LIST_REFRESH_SECONDS,
    }


def _around_list() -> dict[str, object]:
    """Return what stands around the list and does not renew itself."""
    person = auth.viewer()
    question = Question.from_args(request.args)
    with sessions()() as session:
        views = saved_views.seen_by(session, person.user.id) if person else []
        unfinished = bulk_actions.unfinished(session, auth.actor())
        others = _unfinished_of_others(session)
    return {
        "saved_views": view_links(
            views, question, person.user.id if person else None, auth.sight()
        ),
        "column_choices": listing.choices(_chosen_columns()),
        "unfinished": unfinished,
        "unfinished_of_others": others,
    }


def _unfinished_of_others(session: Session) -> list[tuple[UUID, str, datetime]]:
    person = auth.viewer()
    if person is None or not person.may(Role.ADMIN):
        return []
    return bulk_actions.unfinished_of_others(session, auth.actor(), MOST_OF_OTHERS)


def _chosen_columns() -> list[str] | None:
    person = auth.viewer()
    if person is None:
        return None
    with sessions()() as session:
        return preferences.of(session, person.user.id, PREFERENCE)
