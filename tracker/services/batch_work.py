"""The work on batches, in steps: check every row, queue the good ones, hold back, let go, cancel.

What a step finds, and how far it came, is committed together, and only while the claim is held. A
process may die anywhere: another one goes on from the last step.
"""

import io
import logging
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from threading import Event
from time import monotonic, time_ns
from typing import Any, Final
from uuid import UUID

from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from tracker.domain.batch_columns import Column, Rows, warnings_of
from tracker.domain.message import InvalidMessageError, Problem
from tracker.domain.windows import SendWindow
from tracker.store import batches, ingest
from tracker.store.batches import BatchRow, Hold, KeptRows, NewMessage, ProblemRow, Stage
from tracker.store.db import Sessions

from . import batch_file, batch_kept, batch_known, repeats, submit
from .batch_file import FileError, Row
from .batch_marks import Marks

log = logging.getLogger(__name__)

STEP: Final = 2000  # rows
TURN_SECONDS: Final = 2.0  # then another batch may have its turn
IDLE_SECONDS: Final = 1.0
# Between two steps beside others: whoever waits to write to SQLite gets his turn.
PAUSE_SECONDS: Final = 0.005
KEEP_FILE: Final = timedelta(days=7)  # of a batch that was checked and never started
SWEEP_SECONDS: Final = 600.0
GIVE_UP: Final = timedelta(hours=1)  # of an upload that broke off
MOST_OPEN: Final = 4  # files


@dataclass(slots=True)
class _Open:
    """A batch's file, open at some row."""

    rows: Iterator[Row]
    position: int
    requests: Rows
    marks: Marks = field(default_factory=Marks)


@dataclass(slots=True)
class _Judged:
    """What is found out about one row; it is right when nothing is wrong."""

    row: Row
    request: dict[str, Any]
    message: NewMessage | None
    wrong: list[Problem]
    odd: list[Problem]


class BatchWorker:
    """Works on one batch at a time, whichever waits longest. Any number may run, anywhere."""

    def __init__(
        self,
        sessions: Sessions,
        clock: Callable[[], datetime],
        *,
        window: SendWindow | None = None,
        step: int = STEP,
    ) -> None:
        self._sessions = sessions
        self._clock = clock
        self._window = window
        self._step_rows = step
        self._open: dict[int, _Open] = {}
        self._cursor: dict[int, int] = {}  # the last row held back, let go or cancelled

    def run(self, stop: Event) -> None:
        """Work until `stop` is set; no trouble here stops anything else."""
        is_stuck, swept = False, -SWEEP_SECONDS
        while not stop.is_set():
            try:
                if monotonic() - swept > SWEEP_SECONDS:
                    swept = monotonic()
                    self.sweep()
                has_worked = self.turn(stop=stop) is not None
                is_stuck = False
            except OperationalError:
                has_worked = False  # the database is away; the sender beside has said so, once
            except Exception:
                if not is_stuck:
                    log.exception("batches wait")
                is_stuck, has_worked = True, False
            if not has_worked:
                stop.wait(IDLE_SECONDS)

    def turn(
        self,
        batch_id: int | None = None,
        *,
        seconds: float = TURN_SECONDS,
        stop: Event | None = None,
    ) -> BatchRow | None:
        """Work on one batch for a while; returns how it stands, None when there is no work."""
        with self._sessions() as session:
            if not batches.has_due(session):
                return None
        with self._sessions.begin() as session:
            claimed = batches.claim(session, self._clock(), batch_id)
        if claimed is None:
            return None
        stop, deadline = stop or Event(), monotonic() + seconds
        try:
            batch: BatchRow | None = claimed
            while batch and _has_work(batch) and monotonic() < deadline and not stop.is_set():
                before, batch = batch, self._step(batch)
                if batch == before:  # it waits for calls that are under way
                    stop.wait(IDLE_SECONDS / 4)
                stop.wait(PAUSE_SECONDS)
        except SQLAlchemyError:
            raise
        except Exception as error:
            log.exception("batch failed", extra={"batch": str(claimed.public_id)})
            batch = self._fail(claimed, error)
        with self._sessions.begin() as session:
            batches.release(session, claimed)
        if batch is None or not _has_work(batch):
            self._close(claimed.id)
        return batch or claimed

    def finish(self, batch_id: int) -> BatchRow | None:
        """Work on one batch until nothing is left to do; for tests and scripts."""
        done = None
        while batch := self.turn(batch_id):
            done = batch
        return done

    def _step(self, batch: BatchRow) -> BatchRow | None:
        """Do one step; None when the claim is lost."""
        if batch.hold == Hold.PAUSING:
            return self._through(batch, batches.hold_back, hold=Hold.PAUSED)
        if batch.hold == Hold.RESUMING:
            return self._through(batch, batches.let_go, hold=None)
        match batch.status:
            case Stage.CANCELLING:
                return self._cancel(batch)
            case Stage.CHECKING:
                return self._check(batch)
            case _:
                return self._queue(batch)

    # Checking.

    def _check(self, batch: BatchRow) -> BatchRow | None:
        opened = self._file(batch)
        if opened.marks.row < batch.position_row:
            return self._remember(batch)
        try:
            rows = self._take(opened)
        except FileError as error:
            return self._unreadable(batch, str(error))
        judged = [_judge(batch, opened, row) for row in rows if not row.is_blank]
        _note_repeats(batch, opened.marks, judged)
        now = self._clock()
        with self._sessions.begin() as session:
            held = self._held(session, batch)
            if held is None:
                return None
            opened.marks.row = rows[-1].number if rows else batch.position_row
            known = batch_known.against(session, batch, _right(judged))
            for one in judged:
                one.wrong += known.wrong.get(one.row.number, ())
                one.odd += known.odd.get(one.row.number, ())
            values = self._write_down(session, held, opened, judged)
            is_last = len(rows) < self._step_rows
            position = batch.size if is_last else opened.position
            if right := _right(judged):
                data = batch_kept.pack(right)
                batches.keep_rows(session, batch.id, right[-1].row, position, data)
            if is_last:
                batches.drop_file(session, batch.id)
                values |= _checked(batch, values["rows"], values["wrong_rows"], now)
            else:
                values |= {"position": position, "position_row": rows[-1].number}
            return self._save(session, batch, now, values)

    def _write_down(
        self, session: Session, held: BatchRow, opened: _Open, judged: list[_Judged]
    ) -> dict[str, Any]:
        """Write down what is wrong and what is odd, and return how many rows are so by now."""
        wrong = [found for one in judged for found in _rows_of(opened.requests, one, one.wrong)]
        odd = [found for one in judged for found in _rows_of(opened.requests, one, one.odd)]
        batches.add_problems(session, held.id, wrong, are_warnings=False)
        batches.add_problems(session, held.id, odd, are_warnings=True)
        return {
            "rows": held.rows + len(judged),
            "wrong_rows": held.wrong_rows + sum(bool(one.wrong) for one in judged),
            "warnings": held.warnings + len(odd),
        }

    def _remember(self, batch: BatchRow) -> BatchRow | None:
        """Read anew what was checked before somebody else stopped, to know its numbers."""
        opened, row = self._file(batch), 0
        while True:
            with self._sessions.begin() as session:
                if self._held(session, batch) is None:
                    return None
                self._save(session, batch, self._clock(), {})
                kept = batches.kept_rows(session, batch.id, row)
            if kept is None:
                opened.marks.row = batch.position_row
                return batch
            _note(opened.marks, batch_kept.unpack(kept.data))
            row = kept.row

    def _unreadable(self, batch: BatchRow, why: str) -> BatchRow | None:
        """End a batch whose file breaks off in a way that leaves the next row unknown."""
        now = self._clock()
        with self._sessions.begin() as session:
            if self._held(session, batch) is None:
                return None
            problem = ProblemRow(batch.position_row + 1, None, None, f"The file: {why}")
            batches.add_problems(session, batch.id, [problem], are_warnings=False)
            detail = f"The file cannot be read to its end: {why}"[:1000]
            values = {"status": Stage.FAILED, "detail": detail, "finished_at": now}
            return self._save(session, batch, now, values)

    # Queueing.

    def _queue(self, batch: BatchRow) -> BatchRow | None:
        with self._sessions() as session:
            kept = batches.kept_rows(session, batch.id, batch.position_row)
        if kept is None:
            return self._queued(batch)
        rows = batch_kept.unpack(kept.data)
        try:
            return self._queue_these(batch, kept, rows)
        except IntegrityError:  # a request took a reference of these in between; it is known now
            return self._queue_these(batch, kept, rows)

    def _queue_these(
        self, batch: BatchRow, kept: KeptRows, rows: list[NewMessage]
    ) -> BatchRow | None:
        now = self._clock()
        with self._sessions.begin() as session:
            held = self._held(session, batch)
            if held is None:
                return None
            # Who has opted out since the check must not get anything either.
            late = batch_known.against(session, batch, rows).wrong
            added = [new for new in rows if new.row not in late]
            batches.add_messages(session, batch, added, now, self._window)
            batches.add_problems(session, batch.id, _late(batch, late), are_warnings=False)
            if added:
                ingest.mark_hours(session, {now})
            values = {
                "queued_rows": held.queued_rows + len(added),
                "wrong_rows": held.wrong_rows + len(late),
                "position": kept.position,
                "position_row": kept.row,
            }
            return self._save(session, batch, now, values)

    def _queued(self, batch: BatchRow) -> BatchRow | None:
        now = self._clock()
        with self._sessions.begin() as session:
            if self._held(session, batch) is None:
                return None
            batches.drop_rows(session, batch.id)
            values = {"status": Stage.QUEUED, "finished_at": now, "position": batch.size}
            return self._save(session, batch, now, values)

    # Holding back, letting go, cancelling.

    def _through(
        self,
        batch: BatchRow,
        move: Callable[[Session, int, datetime, int, int], None],
        *,
        hold: Hold | None,
    ) -> BatchRow | None:
        """Move some rows; after the last the batch is held as it says."""
        first = self._cursor.get(batch.id, 0) + 1
        last, now = first + self._step_rows - 1, self._clock()
        with self._sessions.begin() as session:
            held = self._held(session, batch)
            if held is None:
                return None
            if held.queued_rows:
                move(session, batch.id, now, first, last)
            self._cursor[batch.id] = last
            is_over = not held.queued_rows or last >= _last_row(held)
            if is_over:
                self._cursor.pop(batch.id)
            return self._save(session, batch, now, {"hold": hold} if is_over else {})

    def _cancel(self, batch: BatchRow) -> BatchRow | None:
        first = self._cursor.get(batch.id, 0) + 1
        last, now = first + self._step_rows - 1, self._clock()
        with self._sessions.begin() as session:
            held = self._held(session, batch)
            if held is None:
                return None
            if held.queued_rows and (hours := batches.cancel(session, batch.id, now, first, last)):
                ingest.mark_hours(session, hours)
            self._cursor[batch.id] = last
            if held.queued_rows and last < _last_row(held):
                return self._save(session, batch, now, {})
            self._cursor.pop(batch.id)
            # A call under way may put its message into the queue again: then it is cancelled too.
            if held.queued_rows and batches.has_moving(session, batch.id):
                return batch
            batches.drop_file(session, batch.id)
            batches.drop_rows(session, batch.id)
            values = {"status": Stage.CANCELLED, "finished_at": now}
            return self._save(session, batch, now, values)

    # The file.

    def _file(self, batch: BatchRow) -> _Open:
        """Return the file, open at the batch's position."""
        opened = self._open.get(batch.id)
        if opened and opened.position == batch.position:
            return opened
        rows = batch_file.rows(
            _chunks(self._sessions, batch.id, batch.position),
            batch.format["encoding"],
            batch.format["separator"],
            begin=batch.position,
            number=batch.position_row,
        )
        if opened:
            opened.rows, opened.position = rows, batch.position
            return opened
        while len(self._open) >= MOST_OPEN:
            self._close(next(iter(self._open)))
        made = _Open(rows, batch.position, _requests(batch))
        self._open[batch.id] = made
        return made

    def _take(self, opened: _Open) -> list[Row]:
        try:
            rows = list(islice(opened.rows, self._step_rows))
        except FileError:
            opened.position = -1  # what was read before the fault is lost with it
            raise
        if rows:
            opened.position = rows[-1].end
        return rows

    def _close(self, batch_id: int) -> None:
        if opened := self._open.pop(batch_id, None):
            opened.marks.close()

    # Both ends of every step.

    def _held(self, session: Session, batch: BatchRow) -> BatchRow | None:
        """Return the batch, locked, if it is still ours and nobody wants something else of it."""
        held = batches.held(session, batch)
        if held and (held.status, held.hold) == (batch.status, batch.hold):
            return held
        return None

    def _save(
        self, session: Session, batch: BatchRow, now: datetime, values: dict[str, Any]
    ) -> BatchRow | None:
        batches.change(session, batch.id, now, lease_until=now + batches.LEASE, **values)
        return batches.by_id(session, batch.id)

    def _fail(self, claimed: BatchRow, error: Exception) -> BatchRow | None:
        now = self._clock()
        detail = f"Something went wrong here, and it is in our log: {type(error).__name__}."
        with self._sessions.begin() as session:
            if batches.held(session, claimed) is None:
                return None
            values = {"status": Stage.FAILED, "hold": None, "detail": detail, "finished_at": now}
            return self._save(session, claimed, now, values)

    def sweep(self) -> None:
        """Forget uploads that broke off, and files that nobody has started."""
        now = self._clock()
        with self._sessions.begin() as session:
            for stage, age in ((Stage.RECEIVING, GIVE_UP), (Stage.DRAFT, KEEP_FILE)):
                for batch_id in batches.abandoned(session, stage, now - age):
                    batches.drop(session, batch_id)
            batches.drop_old(session, now - KEEP_FILE)


def _ordered_id() -> UUID:
    """Return an id that follows those before it, so that many go to one end of their indexes.

    Source: RFC 9562, version 7: milliseconds, then 74 random bits.
    """
    milliseconds, random = time_ns() // 1_000_000, secrets.randbits(74)
    return UUID(
        int=milliseconds << 80 | 7 << 76 | (random >> 62) << 64 | 2 << 62 | random & (1 << 62) - 1
    )


def _has_work(batch: BatchRow) -> bool:
    if batch.hold is not None:
        return batch.hold in (Hold.PAUSING, Hold.RESUMING)
    return batch.status in batches.WORKED_ON


def _last_row(batch: BatchRow) -> int:
    """Return the last row of the file that may be in the queue."""
    return batch.position_row


def _checked(batch: BatchRow, rows: int, wrong: int, now: datetime) -> dict[str, Any]:
    """Return what becomes of a batch after its last row."""
    end = {"position": batch.size, "finished_at": now}
    if not rows:
        return {**end, "status": Stage.REFUSED, "detail": "The file has no row below its header."}
    if wrong and not batch.skips_wrong_rows:
        detail = f"{wrong:,} of {rows:,} rows are wrong; nothing was queued."
        return {**end, "status": Stage.REFUSED, "detail": detail}
    if batch.is_dry_run:
        return {**end, "status": Stage.CHECKED}
    return {"status": Stage.QUEUEING, "position": batch.format["begin"], "position_row": 0}


def _chunks(sessions: Sessions, batch_id: int, position: int) -> Callable[[int], bytes]:
    """Return what reads a batch's file from a byte on, a piece at a time."""
    piece = io.BytesIO()

    def read(size: int) -> bytes:
        nonlocal piece, position
        if data := piece.read(size):
            return data
        with sessions() as session:
            data = batches.chunk(session, batch_id, position)
        position += len(data)
        piece = io.BytesIO(data)
        return piece.read(size)

    return read


def _judge(batch: BatchRow, opened: _Open, row: Row) -> _Judged:
    """Find out all about a row that it says itself."""
    request, wrong = opened.requests.request(row.cells)
    if broken := batch_file.broken_cell(row.cells, batch.format["encoding"]):
        wrong.append(broken)
    judged = _Judged(row, request, None, wrong, [])
    try:
        public_id, checked = submit.checked_anew(request, None, new_id=_ordered_id)
    except InvalidMessageError as error:
        told = {problem.field for problem in wrong}
        wrong += [problem for problem in error.problems if problem.field not in told]
        return judged
    digest = repeats.digest_of(request) if batch.token_id is not None else None
    judged.message = NewMessage(row.number, public_id, checked.message, digest)
    if not wrong:
        judged.odd = [*checked.warnings, *warnings_of(request)]
    return judged


def _note_repeats(batch: BatchRow, marks: Marks, judged: list[_Judged]) -> None:
    """Find numbers and references that are in an earlier row too.

    For a token a reference names one message, so that its second row is wrong.
    """
    numbers, references = _note(marks, _right(judged))
    for one in judged:
        row, message = one.row.number, one.message
        if message and (first := numbers.get(row)):
            detail = f"is in row {first} too; it gets a message for each"
            one.odd.append(Problem("to", message.message.to, detail))
        if message and (first := references.get(row)):
            problem = Problem("reference", message.message.reference, f"is in row {first} too")
            (one.odd if batch.token_id is None else one.wrong).append(problem)


def _note(marks: Marks, rows: list[NewMessage]) -> tuple[dict[int, int], dict[int, int]]:
    numbers = marks.firsts("to", ((new.message.to, new.row) for new in rows))
    return numbers, marks.firsts("reference", ((new.message.reference, new.row) for new in rows))


def _right(judged: list[_Judged]) -> list[NewMessage]:
    return [one.message for one in judged if one.message and not one.wrong]


def _requests(batch: BatchRow) -> Rows:
    return Rows([Column(**column) for column in batch.columns], batch.defaults)


def _late(batch: BatchRow, late: dict[int, list[Problem]]) -> list[ProblemRow]:
    """Return what came up against rows after the check."""
    requests = _requests(batch)
    return [
        _problem_row(row, requests.header_of(problem.field, {}), problem)
        for row, problems in late.items()
        for problem in problems
    ]


def _rows_of(requests: Rows, one: _Judged, problems: list[Problem]) -> list[ProblemRow]:
    return [
        _problem_row(one.row.number, requests.header_of(problem.field, one.request), problem)
        for problem in problems
    ]


def _problem_row(row: int, header: str | None, problem: Problem) -> ProblemRow:
    value = None if problem.value is None else str(problem.value)
    return ProblemRow(row, header, value, f"{problem.field or 'the row'}: {problem.detail}")
