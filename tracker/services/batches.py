"""Take a file of messages, and what people do with it: start, pause, resume, cancel.

The work itself, checking and queueing row by row, is in `batch_work`.

Errors:
    InvalidMessageError    a field for all rows is wrong
    ColumnsError           the header row has columns that nobody knows
    FileError              the file cannot be read
    TooLargeError          it is larger than a batch may be
    KeyInUseError          the Idempotency-Key belongs to another request, or one under way
    NoSuchBatchError       no batch has this id
    NotPossibleError       the batch is not in a state that allows it
"""

import codecs
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tracker.domain import batch_columns
from tracker.domain.batch_columns import ColumnsError
from tracker.store import accounts, batches
from tracker.store.batches import BatchRow, Hold, Stage
from tracker.store.db import Sessions

from . import batch_file
from .batch_file import FileError, Format
from .manage import NotPossibleError
from .repeats import Repeat

MAX_BYTES: Final = 64 * 1024 * 1024
CHUNK_BYTES: Final = 262_144
MOST_HEADERS: Final = 65_536  # bytes of headers and mapping that are kept


class TooLargeError(ValueError):
    """The file is larger than a batch may be."""


class KeyInUseError(ValueError):
    """The key was used before, for another request, or one that is not complete yet."""


class NoSuchBatchError(LookupError):
    """No batch has this public id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How a file is to be read, and what is to be done with it.

    `mapping` gives headers another field, or none; None of encoding and separator are found out.
    A draft waits until somebody has looked at its columns.
    """

    name: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    mapping: Mapping[str, str | None] = field(default_factory=dict)
    encoding: str | None = None
    separator: str | None = None
    is_dry_run: bool = False
    skips_wrong_rows: bool = False
    is_draft: bool = False


def receive(
    sessions: Sessions,
    pieces: Iterable[bytes],
    order: Order,
    *,
    actor: str,
    default_from: str | None,
    clock: Callable[[], datetime],
    repeat: Repeat | None = None,
) -> UUID:
    """Store a file as it comes, and let it be checked; returns the batch's public id.

    The same file and order under the same `repeat` give the batch that is there.

    Raises:
        InvalidMessageError, ColumnsError, FileError, TooLargeError, KeyInUseError: nothing is kept.
    """
    defaults = batch_columns.read_defaults(order.defaults, default_from)
    if repeat and (first := _first(sessions, repeat, pieces, order)):
        return first
    public_id = uuid4()
    batch_id = _begin(sessions, public_id, order, defaults, actor, repeat, clock())
    try:
        upload = _store(sessions, batch_id, pieces, clock)
        _complete(sessions, batch_id, public_id, upload, order, clock())
    except BaseException:
        # What cannot be dropped now, since the database is away, is dropped when it is old.
        with suppress(Exception), sessions.begin() as session:
            batches.drop(session, batch_id)
        raise
    return public_id


def defaults_of(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the request object of fields by the names of columns: `from`, `pass.BARCODEVALUE`.

    Raises:
        ValueError: a name is not that of a field.
    """
    given = [(name, batch_columns.field_of(name), value) for name, value in pairs if value.strip()]
    for name, field_name, _ in given:
        if field_name is None:
            meant = batch_columns.near(name)
            raise ValueError(
                f"{name!r} is not a field{f'; did you mean {meant}?' if meant else ''}"
            )
    columns = [batch_columns.Column(name, field_name) for name, field_name, _ in given]
    request, _ = batch_columns.Rows(columns, {}).request([value for _, _, value in given])
    return request


def preview(sessions: Sessions, batch: BatchRow, limit: int) -> list[list[str]]:
    """Return the cells of the first rows of a batch's file, as far as they can be read."""
    begin, found = batch.format["begin"], []
    with sessions() as session:
        piece = io.BytesIO(batches.chunk(session, batch.id, begin))
    rows = batch_file.rows(
        piece.read, batch.format["encoding"], batch.format["separator"], begin=begin
    )
    with suppress(FileError):
        for row in rows:
            found.append([cell.encode("utf-8", "replace").decode() for cell in row.cells])
            if len(found) == limit:
                break
    return found


def set_columns(
    sessions: Sessions,
    public_id: UUID,
    order: Order,
    *,
    actor: str,
    default_from: str | None,
    now: datetime,
) -> None:
    """Say how a draft is to be read and what its rows have in common, and let it be checked.

    Raises:
        InvalidMessageError, ColumnsError, FileError: nothing is changed.
        NoSuchBatchError: no batch has this id.
        NotPossibleError: it is no draft.
    """
    defaults = batch_columns.read_defaults(order.defaults, default_from)
    with sessions.begin() as session:
        batch = _locked(session, public_id)
        if batch.status != Stage.DRAFT:
            raise NotPossibleError("It was started before.")
        columns = batch_columns.read(batch.format["headers"], order.mapping)
        batches.change(
            session,
            batch.id,
            now,
            status=Stage.CHECKING,
            name=order.name[:128] or batch.name,
            defaults=_plain(defaults),
            columns=[asdict(column) for column in columns],
            is_dry_run=order.is_dry_run,
            skips_wrong_rows=order.skips_wrong_rows,
        )
        accounts.audit(session, actor, "batch.start", subject=str(public_id), now=now)


def start(
    sessions: Sessions, public_id: UUID, *, skips_wrong_rows: bool, actor: str, now: datetime
) -> None:
    """Queue the good rows of a batch that was only checked, or refused for its wrong rows.

    Raises:
        NoSuchBatchError: no batch has this id.
        NotPossibleError: it was not checked, or has wrong rows that are not to be left out.
    """
    with sessions.begin() as session:
        batch = _locked(session, public_id)
        if batch.status not in (Stage.CHECKED, Stage.REFUSED) or not batch.rows:
            raise NotPossibleError("Only a batch that was checked can be started.")
        if batch.wrong_rows == batch.rows:
            raise NotPossibleError("Every row of it is wrong.")
        if batch.wrong_rows and not skips_wrong_rows:
            raise NotPossibleError(f"{batch.wrong_rows:,} of its rows are wrong.")
        if not batches.kept_rows(session, batch.id, 0):
            raise NotPossibleError("Its rows were deleted in the meantime; load the file again.")
        batches.change(
            session,
            batch.id,
            now,
            status=Stage.QUEUEING,
            skips_wrong_rows=skips_wrong_rows,
            is_dry_run=False,
            position=batch.format["begin"],
            position_row=0,
            detail=None,
            finished_at=None,
        )
        accounts.audit(session, actor, "batch.start", subject=str(public_id), now=now)


def pause(sessions: Sessions, public_id: UUID, actor: str, now: datetime) -> None:
    """Let nothing of a batch go out until it is resumed; what is on its way stays so.

    Raises:
        NoSuchBatchError: no batch has this id.
        NotPossibleError: it is paused already, or there is nothing to pause.
    """
    with sessions.begin() as session:
        batch = _locked(session, public_id)
        if batch.hold in (Hold.PAUSING, Hold.PAUSED):
            raise NotPossibleError("It is paused already.")
        is_live = batch.status in (Stage.CHECKING, Stage.QUEUEING) or (
            batch.status == Stage.QUEUED and batches.has_moving(session, batch.id)
        )
        if not is_live:
            raise NotPossibleError("Nothing of it is still to be sent.")
        batches.change(session, batch.id, now, hold=Hold.PAUSING)
        accounts.audit(session, actor, "batch.pause", subject=str(public_id), now=now)


def resume(sessions: Sessions, public_id: UUID, actor: str, now: datetime) -> None:
    """Let a paused batch go on.

    Raises:
        NoSuchBatchError: no batch has this id.
        NotPossibleError: it is not paused.
    """
    with sessions.begin() as session:
        batch = _locked(session, public_id)
        if batch.hold not in (Hold.PAUSING, Hold.PAUSED):
            raise NotPossibleError("It is not paused.")
        batches.change(session, batch.id, now, hold=Hold.RESUMING)
        accounts.audit(session, actor, "batch.resume", subject=str(public_id), now=now)


def cancel(sessions: Sessions, public_id: UUID, actor: str, now: datetime) -> None:
    """Cancel what is still queued of a batch, and queue nothing more of it.

    Raises:
        NoSuchBatchError: no batch has this id.
        NotPossibleError: there is nothing to cancel.
    """
    with sessions.begin() as session:
        batch = _locked(session, public_id)
        is_over = batch.status in (Stage.CANCELLING, Stage.CANCELLED, Stage.RECEIVING)
        has_queued = batch.queued_rows > 0 and batches.has_moving(session, batch.id)
        is_open = batch.status in (
            Stage.DRAFT, Stage.CHECKING, Stage.CHECKED, Stage.REFUSED, Stage.QUEUEING,
        )  # fmt: skip
        if is_over or not (is_open or has_queued):
            raise NotPossibleError("Nothing of it is still to be sent.")
        batches.change(session, batch.id, now, status=Stage.CANCELLING, hold=None)
        accounts.audit(session, actor, "batch.cancel", subject=str(public_id), now=now)


def found(session: Session, public_id: UUID) -> BatchRow:
    """Return a batch.

    Raises:
        NoSuchBatchError: no batch has this id.
    """
    batch = batches.by_public_id(session, public_id)
    if batch is None or batch.status == Stage.RECEIVING:
        raise NoSuchBatchError(str(public_id))
    return batch


def _locked(session: Session, public_id: UUID) -> BatchRow:
    batch = batches.by_public_id(session, public_id, lock=True)
    if batch is None or batch.status == Stage.RECEIVING:
        raise NoSuchBatchError(str(public_id))
    return batch


@dataclass(slots=True)
class _Upload:
    """What is known of a file when it has come whole."""

    sample: bytes = b""
    size: int = 0
    is_utf8: bool = True
    digest: bytes = b""


def _first(
    sessions: Sessions, repeat: Repeat, pieces: Iterable[bytes], order: Order
) -> UUID | None:
    """Return the batch made before under this key, after reading the file again."""
    if repeat.key is None:
        return None
    with sessions() as session:
        batch = batches.by_key(session, repeat.token_id, repeat.key)
    if batch is None:
        return None
    if batch.status == Stage.RECEIVING:
        raise KeyInUseError("a file is coming under this Idempotency-Key right now")
    digest = sha256()
    for _, piece in _bounded(pieces):
        digest.update(piece)
    if _digest(digest.digest(), order) != batch.format["order"]:
        raise KeyInUseError("this Idempotency-Key was used for another request")
    return batch.public_id


def _begin(
    sessions: Sessions,
    public_id: UUID,
    order: Order,
    defaults: Mapping[str, Any],
    actor: str,
    repeat: Repeat | None,
    now: datetime,
) -> int:
    values: dict[str, Any] = {
        "public_id": public_id,
        "name": order.name[:128] or f"Batch of {now:%Y-%m-%d %H:%M}",
        "status": Stage.RECEIVING,
        "is_dry_run": order.is_dry_run,
        "skips_wrong_rows": order.skips_wrong_rows,
        "actor": actor[:80],
        "defaults": _plain(defaults),
        "columns": [],
        "format": {},
        "token_id": repeat.token_id if repeat else None,
        "idempotency_key": repeat.key if repeat else None,
        "created_at": now,
        "updated_at": now,
        **dict.fromkeys(
            ("size", "position", "position_row", "rows", "wrong_rows", "warnings", "queued_rows"), 0
        ),
    }
    try:
        with sessions.begin() as session:
            return batches.add(session, values)
    except IntegrityError as error:
        raise KeyInUseError("a file is coming under this Idempotency-Key right now") from error


def _store(
    sessions: Sessions, batch_id: int, pieces: Iterable[bytes], clock: Callable[[], datetime]
) -> _Upload:
    """Store the file piece by piece, each in a transaction of its own."""
    upload, digest = _Upload(), sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    for position, piece in _bounded(pieces):
        with sessions.begin() as session:
            batches.add_chunk(session, batch_id, position, piece)
            batches.change(session, batch_id, clock())
        digest.update(piece)
        upload.size = position + len(piece)
        if len(upload.sample) < batch_file.SAMPLE_BYTES:
            upload.sample += piece
        upload.is_utf8 = upload.is_utf8 and _decodes(decoder, piece)
    upload.is_utf8 = upload.is_utf8 and _decodes(decoder, b"", final=True)
    upload.digest = digest.digest()
    return upload


def _bounded(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield position and bytes of pieces of even size.

    Raises:
        TooLargeError: there are more than a batch may have.
    """
    kept, position = bytearray(), 0
    for piece in pieces:
        kept += piece
        if position + len(kept) > MAX_BYTES:
            raise TooLargeError(f"the file has more than {MAX_BYTES // 1_048_576} MiB")
        while len(kept) >= CHUNK_BYTES:
            yield position, bytes(kept[:CHUNK_BYTES])
            del kept[:CHUNK_BYTES]
            position += CHUNK_BYTES
    if kept:
        yield position, bytes(kept)


def _decodes(decoder: codecs.IncrementalDecoder, piece: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(piece, final)
    except UnicodeDecodeError:
        return False
    return True


def _complete(
    sessions: Sessions,
    batch_id: int,
    public_id: UUID,
    upload: _Upload,
    order: Order,
    now: datetime,
) -> None:
    found = batch_file.detect(
        upload.sample, is_utf8=upload.is_utf8, encoding=order.encoding, separator=order.separator
    )
    if sum(map(len, found.headers)) > MOST_HEADERS:
        raise FileError("the header row is longer than any can be")
    columns = [] if order.is_draft else batch_columns.read(found.headers, order.mapping)
    with sessions.begin() as session:
        batches.change(
            session,
            batch_id,
            now,
            status=Stage.DRAFT if order.is_draft else Stage.CHECKING,
            columns=[asdict(column) for column in columns],
            format={**_format(found), "order": _digest(upload.digest, order)},
            size=upload.size,
            digest=upload.digest,
            position=found.begin,
        )
        batch = batches.by_id(session, batch_id)
        assert batch is not None  # noqa: S101  # made above
        detail = f"{batch.name}: {upload.size} bytes"
        accounts.audit(
            session, batch.actor, "batch.create", subject=str(public_id), detail=detail, now=now
        )


def _format(found: Format) -> dict[str, Any]:
    return {
        "encoding": found.encoding,
        "separator": found.separator,
        "has_bom": found.has_bom,
        "headers": list(found.headers),
        "begin": found.begin,
    }


def _digest(of_file: bytes, order: Order) -> str:
    asked = json.dumps(asdict(order), sort_keys=True, default=str).encode()
    return sha256(of_file + asked).hexdigest()


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as JSON keeps them."""
    plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return plain


__all__ = ["ColumnsError", "FileError", "NotPossibleError"]
