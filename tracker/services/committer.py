"""Group commit: postbacks that wait at the same time share one transaction.

    submit -> queue -> one thread takes all that waits (no timer, at most 256) -> ingest -> answers
                  `-> after 3 s, or while the database is away -> spool -> answers

An answer is given once, after the commit or after the spool's fsync, whichever came first. Both may
happen: what is in the spool and in the database is a repeat of itself when the spool is drained.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy.exc import SQLAlchemyError

from tracker.store import db
from tracker.store.db import Sessions
from tracker.store.spool import Spool, SpoolError, SpoolRecord

from . import receive
from .arrivals import Arrival, read_spooled
from .receive import MAX_BATCH, Recorded

PATIENCE_SECONDS: Final = 3.0  # the gateway gives up after 10
MAX_WAITING: Final = 4096  # beyond it the oldest go to the spool, beyond twice as many it is 503
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
AWAY_SECONDS: Final = 1.0  # between two tries of a database that is away
TICK_SECONDS: Final = 0.1
CHORES_SECONDS: Final = 1.0
DRAIN_SECONDS: Final = 5.0  # at a time: a token revoked meanwhile must not wait for a long drain
STOP_SECONDS: Final = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spooled:
    """Kept on this machine's disk; the database gets it when it is back."""


@dataclass(frozen=True, slots=True)
class NotKept:
    """Nowhere: the sender must send it again."""


Receipt = list[Recorded] | Spooled | NotKept


class _Pending:
    """One request that waits for its answer."""

    __slots__ = ("arrival", "done", "is_open", "until")

    def __init__(self, arrival: Arrival, done: Callable[[Receipt], None], until: float) -> None:
        self.arrival = arrival
        self.done = done
        self.until = until
        self.is_open = True


class Committer:
    """The committer of one process. `submit` may be called from any thread, and never blocks."""

    def __init__(
        self,
        sessions: Sessions,
        spool: Spool,
        *,
        zone: ZoneInfo,
        chores: Sequence[Callable[[], None]] = (),
        on_batch: Callable[[int, float], None] | None = None,
    ) -> None:
        self._sessions = sessions
        self._spool = spool
        self._zone = zone
        self._chores = chores
        self._on_batch = on_batch
        self._lock = threading.Lock()
        self._wake: SimpleQueue[None] = SimpleQueue()  # a condition's lock would be fought over
        self._queue: deque[_Pending] = deque()
        self._queued_bytes = 0
        self._in_flight: list[_Pending] = []
        self._away_until = 0.0
        self._is_away = False
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def is_away(self) -> bool:
        """The last try found no database, or one that took too long."""
        return self._is_away

    def start(self) -> None:
        """Start the threads, once; the spool of an earlier process is drained first thing."""
        with self._lock:
            if self._threads:
                return
            self._threads = [
                threading.Thread(target=loop, name=f"postbacks-{name}", daemon=True)
                for name, loop in (
                    ("commit", self._commit_all),
                    ("watch", self._watch),
                    ("spool", self._drain_all),
                )
            ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Answer everything that waits, then end the threads; what is left goes to the spool."""
        self._stopping.set()
        self._wake.put(None)
        until = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._to_spool(self._taken(len(self._queue)) + self._in_flight)
        self._spool.close()

    def submit(
        self, arrival: Arrival, done: Callable[[Receipt], None], until: float | None = None
    ) -> None:
        """Queue a request; `done` is called once, from another thread, when it is kept or not.

        Its patience ends at `until` of the monotonic clock, if it has waited elsewhere already.
        """
        pending = _Pending(arrival, done, until or time.monotonic() + PATIENCE_SECONDS)
        if not self._threads:
            self.start()
        with self._lock:
            has_room = (
                len(self._queue) < 2 * MAX_WAITING
                and self._queued_bytes < 2 * MAX_WAITING_BYTES
                and not self._stopping.is_set()
            )
            if has_room:
                self._queue.append(pending)
                self._queued_bytes += len(arrival.body)
                is_first = len(self._queue) == 1
        if not has_room:
            self._settle(pending, NotKept())
        elif is_first:
            self._wake.put(None)

    def _commit_all(self) -> None:
        while True:
            with self._lock:
                self._in_flight = self._pop(MAX_BATCH)
            if not self._in_flight:
                if self._stopping.is_set():
                    return
                self._wake.get()
                continue
            try:
                self._commit(self._in_flight)
            except Exception:  # a thread that dies would leave everybody waiting
                log.exception("postbacks not stored: our own fault")
                self._settle_all(self._in_flight, NotKept())
            self._in_flight = []

    def _commit(self, batch: list[_Pending]) -> None:
        if time.monotonic() < self._away_until:
            self._to_spool(batch)
            return
        started = time.monotonic()
        try:
            results = receive.ingest_each(
                self._sessions,
                [pending.arrival for pending in batch],
                zone=self._zone,
                now=datetime.now(UTC),
            )
        except SQLAlchemyError as error:
            self._note_away(error)
            self._to_spool(batch)
            return
        self._note_back()
        if self._on_batch:
            self._on_batch(len(batch), time.monotonic() - started)
        away = []
        for pending, result in zip(batch, results, strict=True):
            if isinstance(result, list):
                self._settle(pending, result)
            elif not receive.is_fault_of_a_row(result):
                away.append(pending)
            else:
                log.error("postback not stored: our own fault", exc_info=result)
                self._settle(pending, NotKept())
        self._to_spool(away)

    def _watch(self) -> None:
        """Send to the spool what has waited too long, also in the hands of a stuck database."""
        while not self._stopping.wait(TICK_SECONDS):
            try:
                self._look_at_waiting(time.monotonic())
            except Exception:  # a thread that dies would let everybody wait for a stuck database
                log.exception("postbacks that waited too long: our own fault")

    def _look_at_waiting(self, now: float) -> None:
        in_flight = [p for p in self._in_flight if p.is_open and p.until < now]
        if in_flight:
            self._is_away = True
        late = self._taken_late(now)
        if in_flight or late:
            log.warning("postbacks waited too long", extra={"count": len(in_flight + late)})
            self._to_spool(in_flight + late)

    def _taken_late(self, now: float) -> list[_Pending]:
        with self._lock:
            # Not only the first ones: some had waited elsewhere before they came.
            late = [p for p in self._queue if p.until < now]
            if late:
                self._queue = deque(p for p in self._queue if p.until >= now)
                self._queued_bytes -= sum(len(p.arrival.body) for p in late)
            is_stuck = self._is_away and any(not p.is_open for p in self._in_flight)
            while self._queue and (
                is_stuck or len(self._queue) > MAX_WAITING or self._queued_bytes > MAX_WAITING_BYTES
            ):
                late += self._pop(1)
        return late

    def _taken(self, count: int) -> list[_Pending]:
        with self._lock:
            return self._pop(count)

    def _pop(self, count: int) -> list[_Pending]:
        popped = [self._queue.popleft() for _ in range(min(count, len(self._queue)))]
        self._queued_bytes -= sum(len(pending.arrival.body) for pending in popped)
        return popped

    def _to_spool(self, pending: Sequence[_Pending]) -> None:
        waiting = [p for p in pending if p.is_open]
        if not waiting:
            return
        try:
            self._spool.append([_record(p.arrival) for p in waiting])
        except SpoolError as error:
            log.error("postbacks not stored: no database and no spool", extra={"why": str(error)})  # noqa: TRY400
            self._settle_all(waiting, NotKept())
        else:
            self._settle_all(waiting, Spooled())

    def _settle_all(self, pending: Sequence[_Pending], receipt: Receipt) -> None:
        for one in pending:
            self._settle(one, receipt)

    def _settle(self, pending: _Pending, receipt: Receipt) -> None:
        with self._lock:
            was_open, pending.is_open = pending.is_open, False
        if not was_open:
            return
        try:
            pending.done(receipt)
        except Exception:  # one client that is gone must not cost the others their answers
            log.exception("an answer could not be given")

    def _note_away(self, error: SQLAlchemyError) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        if not self._is_away:
            why = str(getattr(error, "orig", None) or error).strip().splitlines()[:1]
            log.error("the database is away; postbacks go to the spool", extra={"why": why})
        self._is_away = True

    def _note_back(self) -> None:
        if self._is_away:
            log.warning("the database is back")
            self._away_until = 0.0
        self._is_away = False

    def _drain_all(self) -> None:
        while True:
            for chore in (self._drain, *self._chores):
                try:
                    chore()
                except (SQLAlchemyError, SpoolError):
                    continue  # the database is away still; the next round tries again
                except Exception:
                    log.exception("a chore of the receiver failed")
            if self._stopping.wait(CHORES_SECONDS):
                return

    def _drain(self) -> None:
        until = time.monotonic() + DRAIN_SECONDS

        def should_stop() -> bool:
            return self._stopping.is_set() or time.monotonic() > until

        count = self._spool.drain(self._ingest_spooled, limit=MAX_BATCH, should_stop=should_stop)
        if count:
            log.warning("spooled postbacks are in the database", extra={"count": count})
        # Without this it would count as away until the next postback comes.
        if self._is_away and not self._in_flight and db.is_reachable(self._sessions):
            self._note_back()

    def _ingest_spooled(self, records: list[SpoolRecord]) -> None:
        now = datetime.now(UTC)
        ingest_spooled(self._sessions, self._spool, records, zone=self._zone, now=now)


def ingest_spooled(
    sessions: Sessions,
    spool: Spool,
    records: Sequence[SpoolRecord],
    *,
    zone: ZoneInfo,
    now: datetime,
) -> None:
    """Bring spooled requests to the database; one that it cannot take is set aside for people.

    Raises:
        SQLAlchemyError: the database is away; all of them stay in the spool.
        SpoolError: one could not be set aside; so do they then.
    """
    arrivals = [
        read_spooled(r.body, r.content_type, r.headers, zone=zone, received_at=r.received_at)
        for r in records
    ]
    results = receive.ingest_each(sessions, arrivals, zone=zone, now=now)
    refused = []
    for record, result in zip(records, results, strict=True):
        if isinstance(result, SQLAlchemyError) and not receive.is_fault_of_a_row(result):
            raise result
        if isinstance(result, Exception):
            log.error("a spooled postback cannot be stored; set aside", exc_info=result)
            refused.append(record)
    if refused:
        spool.set_aside(refused)


def _record(arrival: Arrival) -> SpoolRecord:
    return SpoolRecord(arrival.received_at, arrival.content_type, arrival.body, arrival.headers)
