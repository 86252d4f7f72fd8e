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

from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from tracker.domain.batch_columns import Column, Rows, warnings_of
from tracker.domain.message import Checked, InvalidMessageError, Problem
from tracker.domain.windows import SendWindow
from tracker.store import batches, ingest
from tracker.store.batches import BatchRow, Hold, NewMessage, ProblemRow, Stage
from tracker.store.db import Sessions

from . import batch_file, batch_known, repeats, submit
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


@dataclass(frozen=True, slots=True)
class _Judged:
    """What was found out about one row without the database."""

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
        is_cut_off, swept = False, -SWEEP_SECONDS
        while not stop.is_set():
            try:
                if monotonic() - swept > SWEEP_SECONDS:
                    swept = monotonic()
                    self.sweep()
                has_worked = self.turn(stop=stop) is not None
                is_cut_off = False
            except SQLAlchemyError as error:
                if not is_cut_off:
                    log.warning("batches wait", extra={"error": type(error).__name__})
                is_cut_off, has_worked = True, False
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
        judged = [
            self._judge(batch, opened, row, is_first_time=True) for row in rows if not row.is_blank
        ]
        now = self._clock()
        with self._sessions.begin() as session:
            held = self._held(session, batch)
            if held is None:
                return None
            opened.marks.row = rows[-1].number if rows else batch.position_row
            known = batch_known.against(session, batch, _messages(judged))
            wrong, odd, wrong_rows = [], [], 0
            for one in judged:
                problems = one.wrong or known.wrong.get(one.row.number, [])
                wrong_rows += bool(problems)
                wrong += self._rows_of(opened, one, problems)
                odd += self._rows_of(opened, one, [*one.odd, *known.odd.get(one.row.number, [])])
            batches.add_problems(session, batch.id, wrong, are_warnings=False)
            batches.add_problems(session, batch.id, odd, are_warnings=True)
            values = {
                "rows": held.rows + len(judged),
                "wrong_rows": held.wrong_rows + wrong_rows,
                "warnings": held.warnings + len(odd),
            }
            if len(rows) < self._step_rows:
                values |= _checked(batch, values["rows"], values["wrong_rows"], now)
            else:
                values |= {"position": opened.position, "position_row": rows[-1].number}
            return self._save(session, batch, now, values)

    def _judge(self, batch: BatchRow, opened: _Open, row: Row, *, is_first_time: bool) -> _Judged:
        request, wrong = opened.requests.request(row.cells)
        if broken := batch_file.broken_cell(row.cells, batch.format["encoding"]):
            wrong.append(broken)
        odd: list[Problem] = []
        checked: Checked | None = None
        public_id = None
        try:
            public_id, checked = submit.checked_anew(
                request, None, with_doubts=is_first_time, new_id=_ordered_id
            )
        except InvalidMessageError as error:
            told = {problem.field for problem in wrong}
            wrong += [problem for problem in error.problems if problem.field not in told]
        message = None
        if checked and public_id and not wrong:
            digest = repeats.digest_of(request) if batch.token_id is not None else None
            message = NewMessage(row.number, public_id, checked.message, digest)
            if is_first_time:
                odd = [*checked.warnings, *warnings_of(request)]
                odd += _repeated(opened.marks, "to", message.message.to, row.number)
                again = _repeated(opened.marks, "reference", message.message.reference, row.number)
                (odd if batch.token_id is None else wrong).extend(again)
        if is_first_time:
            opened.marks.row = row.number
        return _Judged(row, request, None if wrong else message, wrong, odd)

    def _remember(self, batch: BatchRow) -> BatchRow | None:
        """Read anew what was checked before somebody else stopped, to know its numbers."""
        opened = self._file(batch, position=batch.format["begin"], number=0)
        renewed = monotonic()
        for row in opened.rows:
            request, _ = opened.requests.request(row.cells)
            try:
                message = submit.checked_anew(request, None, with_doubts=False)[1].message
            except InvalidMessageError:
                pass
            else:
                opened.marks.first("to", message.to, row.number)
                opened.marks.first("reference", message.reference, row.number)
            opened.marks.row = row.number
            if row.number >= batch.position_row:
                break
            if monotonic() - renewed > TURN_SECONDS:
                renewed = monotonic()
                with self._sessions.begin() as session:
                    if self._held(session, batch) is None:
                        return None
                    self._save(session, batch, self._clock(), {})
        opened.position = batch.position
        opened.marks.row = max(opened.marks.row, batch.position_row)
        return batch

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
        opened = self._file(batch)
        rows = self._take(opened)
        judged = [
            self._judge(batch, opened, row, is_first_time=False) for row in rows if not row.is_blank
        ]
        try:
            return self._queue_these(batch, opened, rows, judged)
        except IntegrityError:  # a request took a reference of these in between; it is known now
            return self._queue_these(batch, opened, rows, judged)

    def _queue_these(
        self, batch: BatchRow, opened: _Open, rows: list[Row], judged: list[_Judged]
    ) -> BatchRow | None:
        now = self._clock()
        with self._sessions.begin() as session:
            held = self._held(session, batch)
            if held is None:
                return None
            right = self._still_right(session, batch, rows, judged)
            # Who has opted out since the check must not get anything either.
            late = batch_known.against(session, batch, _messages(right)).wrong
            added = [new for new in _messages(right) if new.row not in late]
            batches.add_messages(session, batch, added, now, self._window)
            self._note_late(session, batch, right, late)
            values: dict[str, Any] = {
                "queued_rows": held.queued_rows + len(added),
                "wrong_rows": held.wrong_rows + len(late),
            }
            if added:
                ingest.mark_hours(session, {now})
            if len(rows) < self._step_rows:
                values |= {"status": Stage.QUEUED, "finished_at": now, "position": batch.size}
                batches.drop_file(session, batch.id)
            else:
                values["position"] = opened.position
            if rows:
                values["position_row"] = rows[-1].number
            return self._save(session, batch, now, values)

    def _still_right(
        self, session: Session, batch: BatchRow, rows: list[Row], judged: list[_Judged]
    ) -> list[_Judged]:
        """Leave out what the check found wrong; it may have known more than a row tells."""
        if not batch.wrong_rows or not rows:
            return judged
        wrong = batches.wrong_among(session, batch.id, rows[0].number, rows[-1].number)
        return [one for one in judged if one.row.number not in wrong]

    def _note_late(
        self,
        session: Session,
        batch: BatchRow,
        judged: list[_Judged],
        late: dict[int, list[Problem]],
    ) -> None:
        """Write down what came up against rows after the check."""
        opened = self._open[batch.id]
        problems = [
            problem
            for one in judged
            if one.row.number in late
            for problem in self._rows_of(opened, one, late[one.row.number])
        ]
        batches.add_problems(session, batch.id, problems, are_warnings=False)

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
            values = {"status": Stage.CANCELLED, "finished_at": now}
            return self._save(session, batch, now, values)

    # The file.

    def _file(
        self, batch: BatchRow, position: int | None = None, number: int | None = None
    ) -> _Open:
        """Return the file, open at the batch's position, or at another one."""
        wanted = batch.position if position is None else position
        opened = self._open.get(batch.id)
        if opened and opened.position == wanted:
            return opened
        columns = [Column(**column) for column in batch.columns]
        rows = batch_file.rows(
            _chunks(self._sessions, batch.id, wanted),
            batch.format["encoding"],
            batch.format["separator"],
            begin=wanted,
            number=batch.position_row if number is None else number,
        )
        if opened:
            opened.rows, opened.position = rows, wanted
            return opened
        while len(self._open) >= MOST_OPEN:
            self._close(next(iter(self._open)))
        made = _Open(rows, wanted, Rows(columns, batch.defaults))
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

    def _rows_of(self, opened: _Open, one: _Judged, problems: list[Problem]) -> list[ProblemRow]:
        return [
            ProblemRow(
                one.row.number,
                opened.requests.header_of(problem.field, one.request),
                None if problem.value is None else str(problem.value),
                f"{problem.field or 'the row'}: {problem.detail}",
            )
            for problem in problems
        ]

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
            batches.drop_old_files(session, now - KEEP_FILE)


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


_AGAIN: Final = {
    "to": "is in row {} too; it gets a message for each",
    "reference": "is in row {} too",
}


def _repeated(marks: Marks, field: str, value: str | None, row: int) -> list[Problem]:
    first = marks.first(field, value, row)
    return [Problem(field, value, _AGAIN[field].format(first))] if first else []


def _messages(judged: list[_Judged]) -> list[NewMessage]:
    return [one.message for one in judged if one.message]
