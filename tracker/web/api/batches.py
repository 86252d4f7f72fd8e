"""Batches: hand a file of messages in, follow it, pause, resume, cancel, and what came of it."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from flask import Response, g, request, url_for
from sqlalchemy.orm import Session
from werkzeug.datastructures import FileStorage

from tracker.domain.batch_columns import ColumnsError
from tracker.domain.message import InvalidMessageError
from tracker.services import batch_results, batches
from tracker.services.batch_file import ENCODINGS, SEPARATORS, FileError
from tracker.services.batches import (
    CHUNK_BYTES,
    MAX_BYTES,
    KeyInUseError,
    NoSuchBatchError,
    NotPossibleError,
    Order,
    TooLargeError,
)
from tracker.store import batches as stored
from tracker.store.batches import BatchRow
from tracker.store.db import Sessions
from tracker.store.models import Scope

from .. import context
from ..downloads import csv_answer
from ..problems import ApiError, bad_request
from . import bp, reading
from .batch_schemas import (
    BATCH,
    BATCH_EXAMPLE,
    BATCH_ID,
    CSV,
    LISTED_BATCH,
    LISTED_EXAMPLE,
    PARAMETERS,
    UPLOAD,
)
from .describing import answer, described, in_path, in_query, listed
from .messages import KEY, LOCATION, repeat_of

ROOM: Final = 1024 * 1024  # for the fields of a form beside its file
_FIELDS: Final = (
    "name", "defaults", "mapping", "encoding", "separator", "dry_run", "skip_wrong_rows",
)  # fmt: skip
_FORM_TYPE: Final = "multipart/form-data"
_JSON_BYTES: Final = 262_144
_PATH: Final = in_path("batch_id", BATCH_ID, "The id of a batch.")
_ONE: Final = {200: answer("The batch as it is now.", BATCH, BATCH_EXAMPLE)}


@bp.post("/batches")
@described(
    "Hand a file in",
    scope=Scope.SEND,
    parameters=(*KEY, *PARAMETERS),
    body=UPLOAD,
    answers={
        202: answer(
            "The batch; its rows are checked and queued from now on.",
            BATCH,
            BATCH_EXAMPLE,
            headers=LOCATION,
        )
    },
    errors=(400, 409, 413, 415, 422),
)
def create_batch() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Take a CSV file, as the body or as `file` of a form, and let it be checked and queued."""
    request.max_content_length = MAX_BYTES + ROOM
    if (request.content_length or 0) > MAX_BYTES + ROOM:
        raise _too_large(f"the file has more than {MAX_BYTES // 1_048_576} MiB")
    given, pieces = _form() if request.mimetype == _FORM_TYPE else _body()
    try:
        public_id = batches.receive(
            context.sessions(),
            pieces,
            _order(given),
            actor=g.actor,
            default_from=context.settings().default_from,
            clock=context.now,
            repeat=repeat_of(),
        )
    except (InvalidMessageError, ColumnsError) as error:
        detail = f"{len(error.problems)} field(s) or columns are wrong; nothing was queued."
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, error.problems) from error
    except FileError as error:
        detail = f"The file cannot be read: {error}."
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, detail) from error
    except KeyInUseError as error:
        raise ApiError(HTTPStatus.CONFLICT, f"{str(error).capitalize()}.") from error
    except TooLargeError as error:
        raise _too_large(str(error)) from error
    return _one(public_id), HTTPStatus.ACCEPTED, {"Location": _address(public_id)}


@bp.get("/batches")
@described(
    "List batches",
    scope=Scope.READ,
    cursor=reading.ID_CURSOR,
    answers={
        200: answer(
            "One page.", listed(LISTED_BATCH), {"items": [LISTED_EXAMPLE], "next_cursor": "17"}
        )
    },
)
def list_batches() -> tuple[dict[str, Any], dict[str, str]]:
    """Return one page of batches, newest first."""
    reading.filters({})
    with context.sessions()() as session:
        page = stored.page(session, limit=reading.limit(), before_id=reading.before_id())
        items = [_object(session, row, with_counts=False) for row in page.items]
    found = {"items": items, "next_cursor": page.next_cursor}
    return found, reading.next_link(page.next_cursor)


@bp.get("/batches/<batch_id>")
@described("Look at a batch", scope=Scope.READ, parameters=_PATH, answers=_ONE, errors=(404,))
def get_batch(batch_id: str) -> dict[str, Any]:
    """Return one batch with the counts of its messages."""
    return _one(_public_id(batch_id))


@bp.get("/batches/<batch_id>/errors.csv")
@described(
    "Get what is wrong with its rows",
    scope=Scope.READ,
    parameters=(
        *_PATH,
        *in_query({"warnings": reading.truth}, {"warnings": "1: what is only worth a warning."}),
    ),
    answers={200: answer("Row, column, value and reason.", CSV, media_type="text/csv")},
    errors=(400, 404),
)
def get_batch_errors(batch_id: str) -> Response:
    """Return what is wrong with its rows; with `warnings` what is only worth a warning."""
    batch = _batch(_public_id(batch_id))
    lines = batch_results.errors_csv(
        context.sessions(), batch, are_warnings=reading.flag("warnings")
    )
    return csv_answer(lines, f"errors-{batch.public_id}.csv")


@bp.get("/batches/<batch_id>/result.csv")
@described(
    "Get what became of its rows",
    scope=Scope.READ,
    parameters=_PATH,
    answers={200: answer("One line a row, with tracking ids.", CSV, media_type="text/csv")},
    errors=(404,),
)
def get_batch_result(batch_id: str) -> Response:
    """Return what became of every row."""
    batch = _batch(_public_id(batch_id))
    lines = batch_results.result_csv(context.sessions(), batch)
    return csv_answer(lines, f"result-{batch.public_id}.csv")


@bp.post("/batches/<batch_id>/pause")
@described("Pause a batch", scope=Scope.SEND, parameters=_PATH, answers=_ONE, errors=(404, 409))
def pause_batch(batch_id: str) -> dict[str, Any]:
    """Hold back what is still queued."""
    return _manage(batches.pause, batch_id)


@bp.post("/batches/<batch_id>/resume")
@described("Resume a batch", scope=Scope.SEND, parameters=_PATH, answers=_ONE, errors=(404, 409))
def resume_batch(batch_id: str) -> dict[str, Any]:
    """Let a paused batch go on."""
    return _manage(batches.resume, batch_id)


@bp.post("/batches/<batch_id>/cancel")
@described("Cancel a batch", scope=Scope.SEND, parameters=_PATH, answers=_ONE, errors=(404, 409))
def cancel_batch(batch_id: str) -> dict[str, Any]:
    """Cancel what is still queued."""
    return _manage(batches.cancel, batch_id)


@bp.post("/batches/<batch_id>/start")
@described(
    "Start a checked batch",
    scope=Scope.SEND,
    parameters=(
        *_PATH,
        *in_query(
            {"skip_wrong_rows": reading.truth}, {"skip_wrong_rows": "1: queue the good rows."}
        ),
    ),
    answers=_ONE,
    errors=(400, 404, 409),
)
def start_batch(batch_id: str) -> dict[str, Any]:
    """Queue the good rows of a batch that was checked, or refused for its wrong rows."""
    skips = reading.flag("skip_wrong_rows")

    def start(sessions: Sessions, public_id: UUID, actor: str, now: datetime) -> None:
        batches.start(sessions, public_id, skips_wrong_rows=skips, actor=actor, now=now)

    return _manage(start, batch_id)


def pieces_of(file: FileStorage) -> Iterator[bytes]:
    """Yield a file of a form piece by piece."""
    return iter(partial(file.stream.read, CHUNK_BYTES), b"")


def _form() -> tuple[Mapping[str, str], Iterator[bytes]]:
    file = request.files.get("file")
    if file is None:
        raise bad_request("file", None, "is missing; give the CSV file under this name")
    given = {"name": file.filename or "", **request.form, **request.args}
    return given, pieces_of(file)


def _body() -> tuple[Mapping[str, str], Iterator[bytes]]:
    if request.mimetype not in ("text/csv", "application/octet-stream", "text/plain", ""):
        detail = f"Send the file as text/csv, or as `file` of a form ({_FORM_TYPE})."
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    stream = request.stream
    return request.args, iter(partial(stream.read, CHUNK_BYTES), b"")


def _order(given: Mapping[str, str]) -> Order:
    for name in given:
        if name not in _FIELDS:
            raise bad_request(name, None, f"is not a parameter; known are {', '.join(_FIELDS)}")
    mapping = _json_object(given, "mapping")
    for header, field in mapping.items():
        if field is not None and not isinstance(field, str):
            raise bad_request(f"mapping.{header}", field, "must be a field, or null to ignore it")
    return Order(
        name=reading.text(given.get("name", "")[:128]),
        defaults=_json_object(given, "defaults"),
        mapping=mapping,
        encoding=_word(given, "encoding", {name: name for name in ENCODINGS}),
        separator=_word(given, "separator", SEPARATORS | {mark: mark for mark in ",;\t"}),
        is_dry_run=_flag(given, "dry_run"),
        skips_wrong_rows=_flag(given, "skip_wrong_rows"),
    )


def _json_object(given: Mapping[str, str], name: str) -> dict[str, Any]:
    text = given.get(name, "").strip()
    if not text:
        return {}
    try:
        found = reading.parse(text) if len(text) <= _JSON_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise bad_request(name, text[:80], "must be a JSON object")
    return found


def _word(given: Mapping[str, str], name: str, words: Mapping[str, str]) -> str | None:
    text = given.get(name, "")
    if not text:
        return None
    if text.lower() not in words:
        some = ", ".join(word for word in words if word.isprintable())
        raise bad_request(name, text[:80], f"must be one of {some}")
    return words[text.lower()]


def _flag(given: Mapping[str, str], name: str) -> bool:
    text = given.get(name, "0").lower()
    if text not in ("0", "1", "false", "true"):
        raise bad_request(name, text[:80], "must be 1 or 0")
    return text in ("1", "true")


def _manage(action: Callable[..., None], batch_id: str) -> dict[str, Any]:
    public_id = _public_id(batch_id)
    try:
        action(context.sessions(), public_id, g.actor, context.now())
    except NoSuchBatchError:
        raise _no_batch() from None
    except NotPossibleError as error:
        raise ApiError(HTTPStatus.CONFLICT, str(error)) from error
    return _one(public_id)


def _one(public_id: UUID) -> dict[str, Any]:
    with context.sessions()() as session:
        try:
            return _object(session, batches.found(session, public_id))
        except NoSuchBatchError:
            raise _no_batch() from None


def _batch(public_id: UUID) -> BatchRow:
    with context.sessions()() as session:
        try:
            return batches.found(session, public_id)
        except NoSuchBatchError:
            raise _no_batch() from None


def _object(session: Session, row: BatchRow, *, with_counts: bool = True) -> dict[str, Any]:
    found = batch_results.batch_object(session, row, with_counts=with_counts)
    own: dict[str, Any] = {"batch_id": str(row.public_id)}
    found["links"] = {
        "self": _address(row.public_id),
        "errors": url_for("api.get_batch_errors", **own),
        "warnings": url_for("api.get_batch_errors", **own, warnings=1),
        "result": url_for("api.get_batch_result", **own),
        "messages": url_for("api.list_messages", **own),
    }
    return found


def _address(public_id: UUID) -> str:
    return url_for("api.get_batch", batch_id=str(public_id))


def _public_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _no_batch() from None


def _no_batch() -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, "There is no batch with this id.")


def _too_large(said: str) -> ApiError:
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{said.capitalize()}.")
