"""Batches in the dashboard: the list, a new one, its columns, its progress, and what people do."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from tracker.domain.batch_columns import KNOWN, ColumnsError
from tracker.domain.message import InvalidMessageError, Problem
from tracker.services import batch_results, batches
from tracker.services.batch_file import ENCODINGS, SEPARATORS, FileError
from tracker.services.batches import (
    CHUNK_BYTES,
    MAX_BYTES,
    NoSuchBatchError,
    NotPossibleError,
    Order,
    TooLargeError,
)
from tracker.store import batches as stored
from tracker.store.batches import BatchRow
from tracker.store.models import Role

from . import auth
from .api.batches import pieces_of
from .context import now, sessions, settings
from .downloads import csv_answer
from .pages import actor
from .presenting import texts
from .presenting.batch import BatchView, batch_line, batch_view, column_fields

PAGE_SIZE: Final = 50
MOST_PROBLEMS: Final = 20  # shown; the file has all
SAMPLES: Final = 2
ROOM: Final = CHUNK_BYTES  # for the fields of a form beside its file

bp = Blueprint("batches", __name__, url_prefix="/batches")


@bp.before_request
def allow_file() -> None:
    """Let a large form in, from people who may send one: the check of its token reads it."""
    person = auth.viewer()
    if request.endpoint == "batches.upload" and person and person.may_act:
        request.max_content_length = MAX_BYTES + ROOM


auth.guard(bp)


@bp.get("")
def list_batches() -> ResponseReturnValue:
    """Show one page of batches, newest first."""
    cursor = request.args.get("cursor")
    if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        abort(HTTPStatus.BAD_REQUEST)
    with sessions()() as session:
        page = stored.page(session, limit=PAGE_SIZE, before_id=int(cursor) if cursor else None)
    older = url_for("batches.list_batches", cursor=page.next_cursor) if page.next_cursor else None
    return render_template(
        "batches.html",
        lines=[batch_line(batch, auth.sight()) for batch in page.items],
        older_url=older,
        newest_url=url_for("batches.list_batches") if cursor else None,
    )


@bp.get("/new")
@auth.requires_role(Role.OPERATOR)
def show_new() -> ResponseReturnValue:
    """Show the form that takes a file."""
    return _new_page(None)


@bp.post("/new")
@auth.requires_role(Role.OPERATOR)
def upload() -> ResponseReturnValue:
    """Take a file, and go on to its columns."""
    file = request.files.get("file")
    if file is None or not file.filename:
        return _new_page("Choose a file first."), HTTPStatus.UNPROCESSABLE_ENTITY
    encoding, separator = request.form.get("encoding", ""), request.form.get("separator", "")
    order = Order(
        name=texts.printable(file.filename)[:128],
        encoding=encoding if encoding in ENCODINGS else None,
        separator=SEPARATORS.get(separator),
        is_draft=True,
    )
    try:
        public_id = batches.receive(
            sessions(), pieces_of(file), order, actor=actor(), default_from=None, clock=now
        )
    except (FileError, TooLargeError) as error:
        problem = f"It cannot be read: {error}."
        return _new_page(problem), HTTPStatus.UNPROCESSABLE_ENTITY
    return redirect(_url(public_id), HTTPStatus.SEE_OTHER)


@bp.get("/<uuid:public_id>")
def show_batch(public_id: UUID) -> ResponseReturnValue:
    """Show one batch: as a draft its columns, later its progress."""
    batch = _batch(public_id)
    person = auth.viewer()
    if batch.status == stored.Stage.DRAFT and person and person.may_act:
        return _columns_page(batch, {}, {}, [])
    view = _view(batch)
    with sessions()() as session:
        earlier = stored.same_file(session, batch)
    return render_template(
        "batch.html", batch=view, digest=texts.digest(view),
        earlier=batch_line(earlier, auth.sight()) if earlier else None,
    )  # fmt: skip


@bp.get("/<uuid:public_id>/live")
def refresh_batch(public_id: UUID) -> ResponseReturnValue:
    """Give the changing part of a batch anew when it changed; 204 when it did not."""
    view = _view(_batch(public_id))
    if texts.digest(view) == request.args.get("seen"):
        return "", HTTPStatus.NO_CONTENT
    return render_template("_batch_live.html", batch=view, digest=texts.digest(view))


@bp.post("/<uuid:public_id>/columns")
@auth.requires_role(Role.OPERATOR)
def set_columns(public_id: UUID) -> ResponseReturnValue:
    """Take what a draft's columns are, and let it be checked."""
    batch, form = _batch(public_id), request.form
    headers = [header for header in batch.format["headers"] if header]
    mapping = {
        header: form.get(f"column-{index}", "").strip()[:200] or None
        for index, header in enumerate(headers)
    }
    try:
        order = Order(
            name=texts.printable(form.get("name", ""))[:128],
            defaults=batches.defaults_of(_defaults(form)),
            mapping=mapping,
            is_dry_run=form.get("do") == "check",
            skips_wrong_rows="skip_wrong_rows" in form,
        )
        batches.set_columns(
            sessions(), public_id, order,
            actor=actor(), default_from=settings().default_from, now=now(),
        )  # fmt: skip
    except (ColumnsError, InvalidMessageError) as error:
        page = _columns_page(batch, mapping, form, error.problems)
        return page, HTTPStatus.UNPROCESSABLE_ENTITY
    except ValueError as error:
        problems = [Problem("Fields for every row", None, str(error))]
        page = _columns_page(batch, mapping, form, problems)
        return page, HTTPStatus.UNPROCESSABLE_ENTITY
    except NotPossibleError as error:
        flash(str(error), "bad")
    return redirect(_url(public_id), HTTPStatus.SEE_OTHER)


@bp.post("/<uuid:public_id>/<any(start, pause, resume, cancel):action>")
@auth.requires_role(Role.OPERATOR)
def act(public_id: UUID, action: str) -> ResponseReturnValue:
    """Start, pause, resume or cancel a batch."""
    try:
        if action == "start":
            batches.start(sessions(), public_id, skips_wrong_rows=True, actor=actor(), now=now())
        else:
            {"pause": batches.pause, "resume": batches.resume, "cancel": batches.cancel}[action](
                sessions(), public_id, actor(), now()
            )
    except NoSuchBatchError:
        abort(HTTPStatus.NOT_FOUND)
    except NotPossibleError as error:
        flash(str(error), "bad")
    return redirect(_url(public_id), HTTPStatus.SEE_OTHER)


@bp.get("/<uuid:public_id>/<any(errors, warnings, result):what>.csv")
@auth.requires_role(Role.OPERATOR)
def download(public_id: UUID, what: str) -> ResponseReturnValue:
    """Give what is wrong, what is worth a warning, or what became of every row, as a file."""
    batch = _batch(public_id)
    if what == "result":
        lines = batch_results.result_csv(sessions(), batch)
    else:
        lines = batch_results.errors_csv(sessions(), batch, are_warnings=what == "warnings")
    return csv_answer(lines, f"{what}-{public_id}.csv")


@bp.errorhandler(RequestEntityTooLarge)
def too_large(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    """Say how large a file may be."""
    problem = f"It is too large; a file may have {MAX_BYTES // 1_048_576} MiB."
    return _new_page(problem), HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def _new_page(problem: str | None) -> str:
    return render_template(
        "batches_new.html",
        problem=problem,
        encodings=ENCODINGS,
        separators=list(SEPARATORS),
        most_mib=MAX_BYTES // 1_048_576,
    )


def _columns_page(
    batch: BatchRow,
    mapping: Mapping[str, str | None],
    form: Mapping[str, str],
    problems: list[Problem] | tuple[Problem, ...],
) -> str:
    headers = batch.format["headers"]
    by_header = {p.field: p.detail for p in problems if p.field in headers}
    return render_template(
        "batch_columns.html",
        batch=batch_line(batch),
        encoding=batch.format["encoding"],
        separator=batch_results.separator_name(batch),
        columns=column_fields(
            headers, batches.preview(sessions(), batch, SAMPLES), mapping, by_header
        ),
        known=KNOWN,
        form=form,
        problems=[replace(p, field=p.field or "The file") for p in problems],
        default_from=settings().default_from,
    )


def _defaults(form: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return fields and values of the form, those of the free text line by line.

    Raises:
        ValueError: a line is not of the form FIELD=VALUE.
    """
    pairs = [(name, form.get(name, "")) for name in ("mms_id", "from", "campaign_ref")]
    for line in form.get("more", "")[:20_000].splitlines():
        name, mark, value = line.partition("=")
        if line.strip() and not mark:
            raise ValueError(f"{line.strip()[:60]!r} is not of the form FIELD=VALUE")
        pairs.append((name.strip(), value.strip()))
    return [(name, value) for name, value in pairs if name]


def _batch(public_id: UUID) -> BatchRow:
    with sessions()() as session:
        try:
            return batches.found(session, public_id)
        except NoSuchBatchError:
            abort(HTTPStatus.NOT_FOUND)


def _view(batch: BatchRow) -> BatchView:
    with sessions()() as session:
        counts = stored.counts(session, batch.id) if batch.queued_rows else {}
        some: dict[bool, Any] = {
            kind: stored.problems(session, batch.id, are_warnings=kind, limit=MOST_PROBLEMS)
            for kind in (False, True)
        }
    return batch_view(
        batch, counts, [p for _, p in some[False]], [p for _, p in some[True]],
        auth.sight(),
    )  # fmt: skip


def _url(public_id: UUID) -> str:
    return url_for("batches.show_batch", public_id=public_id)
