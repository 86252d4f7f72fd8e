"""The list of carriers: who stands behind a SPID, how each does, and a new list out of a file.

A file is looked at first. What it would change is shown, and the form that does it carries the
carriers themselves, so that nothing else is imported than what was seen.
"""

from http import HTTPStatus
from typing import Final

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from tracker.domain.carriers import Difference, Entry
from tracker.services import carriers
from tracker.services.batch_file import ENCODINGS, SEPARATORS, FileError
from tracker.services.carriers import MAX_BYTES, WrongListError
from tracker.store import carriers as store
from tracker.store.models import Role

from . import auth
from .context import habits, now, sessions
from .pages import actor
from .presenting import texts
from .presenting.carriers import carrier_lines, changes, most_used, used_lines

PAGE_SIZE: Final = 50
MOST_PROBLEMS: Final = 20  # shown
LONGEST_WORDS: Final = 64
MOST_USED: Final = 20
ROOM: Final = 65_536  # for the fields of a form beside its file

bp = Blueprint("carriers", __name__, url_prefix="/carriers")


@bp.before_request
def allow_file() -> None:
    """Let a large form in, from people who may send one: the check of its token reads it."""
    person = auth.viewer()
    if request.endpoint in ("carriers.look", "carriers.replace") and person and person.may_act:
        request.max_content_length = MAX_BYTES + ROOM
        request.max_form_memory_size = MAX_BYTES + ROOM


auth.guard(bp)


@bp.get("")
def list_carriers() -> ResponseReturnValue:
    """Show one page of the list, with what is known of the messages to each."""
    words = texts.printable(request.args.get("q", "").strip()[:LONGEST_WORDS])
    cursor = request.args.get("cursor")
    with sessions()() as session:
        page = store.page(session, words, limit=PAGE_SIZE, after=_place(cursor))
        known = habits().of_all(session, now())
        spids = [] if words or cursor else most_used(known, MOST_USED)
        named = store.of_spids(session, spids)
    next_, q = page.next_cursor, words or None
    return render_template(
        "carriers.html",
        lines=carrier_lines(page.items, known),
        q=words,
        used=used_lines(spids, named, known),
        next_url=url_for("carriers.list_carriers", q=q, cursor=next_) if next_ else None,
        first_url=url_for("carriers.list_carriers", q=q) if cursor else None,
    )


@bp.get("/import")
@auth.requires_role(Role.OPERATOR)
def show_import() -> ResponseReturnValue:
    """Show the form that takes a file."""
    return _page()


@bp.post("/import")
@auth.requires_role(Role.OPERATOR)
def look() -> ResponseReturnValue:
    """Say what a file would change; nothing is changed yet."""
    file = request.files.get("file")
    if file is None or not file.filename:
        return _page(problem="Choose a file first."), HTTPStatus.UNPROCESSABLE_ENTITY
    encoding = request.form.get("encoding", "")
    try:
        found = carriers.read(
            file.read(MAX_BYTES + 1),
            encoding=encoding if encoding in ENCODINGS else None,
            separator=SEPARATORS.get(request.form.get("separator", "")),
        )
    except (FileError, WrongListError) as error:
        return _refusal(error)
    return _look_page(found, carriers.compare(sessions(), found))


@bp.post("/import/now")
@auth.requires_role(Role.OPERATOR)
def replace() -> ResponseReturnValue:
    """Put the list that was looked at in place of the one that is there."""
    try:
        found = carriers.read(
            request.form.get("rows", "").encode(), encoding="utf-8", separator=","
        )
    except (FileError, WrongListError) as error:
        return _refusal(error)
    difference = carriers.replace(sessions(), found, actor(), now())
    flash(f"Imported: {difference.words}.", "good")
    return redirect(url_for("carriers.list_carriers"), HTTPStatus.SEE_OTHER)


@bp.errorhandler(RequestEntityTooLarge)
def too_large(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    """Say how large a file may be."""
    problem = f"It is too large; a file may have {MAX_BYTES // 1024} KiB."
    return _page(problem=problem), HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def _refusal(error: FileError | WrongListError) -> ResponseReturnValue:
    if isinstance(error, WrongListError):
        cells = error.problems
        page = _page(problems=cells[:MOST_PROBLEMS], more=len(cells[MOST_PROBLEMS:]))
    else:
        page = _page(problem=f"It cannot be read: {error}.")
    return page, HTTPStatus.UNPROCESSABLE_ENTITY


def _look_page(found: list[Entry], difference: Difference) -> str:
    shown, more = changes(difference)
    return render_template(
        "carriers_look.html",
        difference=difference,
        changes=shown,
        more=more,
        count=len(found),
        rows=carriers.written(found),
    )


def _page(**more: object) -> str:
    return render_template(
        "carriers_import.html",
        encodings=ENCODINGS,
        separators=list(SEPARATORS),
        most_kib=MAX_BYTES // 1024,
        **more,
    )


def _place(cursor: str | None) -> tuple[str, int] | None:
    if cursor is None:
        return None
    spid, mark, id_ = cursor.rpartition("-")
    if not (mark and spid and len(cursor) < 64 and id_.isascii() and id_.isdecimal()):
        abort(HTTPStatus.BAD_REQUEST)
    if len(id_) > 18:
        abort(HTTPStatus.BAD_REQUEST)
    return spid, int(id_)
