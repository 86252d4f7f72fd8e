"""The quick way without a thread: the event loop itself waits for PostgreSQL.

    submit -> one statement at a time takes all that waits -> commit -> answers
        `-> what is not ordinary, what the statement leaves, and all after an error -> committer

The committer decides then, as if they had come to it first. What was committed after all, though no
answer came, is a repeat of itself there.
"""

import logging
import time
from asyncio import AbstractEventLoop, TimerHandle
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import get_ident
from typing import Final

import psycopg

from tracker.store import db
from tracker.store.bulk import row_without_types
from tracker.store.db import Sessions
from tracker.store.ingest import Done
from tracker.store.ingest_loop import Answer, LoopTeller, connect

from . import at_once
from .arrivals import Arrival
from .committer import MAX_WAITING, MAX_WAITING_BYTES, PATIENCE_SECONDS, Committer, Receipt
from .receive import MAX_BATCH, Recorded

_OF_ROWS: Final = frozenset({"22", "23", "40"})  # classes of SQLSTATE: data, integrity, rollback

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Pending:
    """One request that waits for its answer."""

    arrival: Arrival
    row: bytes
    done: Callable[[Receipt], None]
    until: float


class Lane:
    """The lane of one event loop, which runs everything here but `open` and `submit`."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        sessions: Sessions,
        committer: Committer,
        on_batch: Callable[[int, float], None] | None = None,
    ) -> None:
        self._loop = loop
        self._engine = db.engine_of(sessions)
        self._committer = committer
        self._on_batch = on_batch
        self._thread = 0  # of the loop
        self._teller: LoopTeller | None = None
        self._waiting: deque[_Pending] = deque()
        self._waiting_bytes = 0
        self._keys: set[str | None] = set()  # of those that wait
        self._asked: list[_Pending] = []
        self._asked_at = 0.0
        self._patience: TimerHandle | None = None
        self._is_closed = False

    def open(self) -> None:
        """Connect if there is need; blocks, so it is for another thread, again and again.

        Raises:
            SQLAlchemyError: the database is away.
        """
        if self._teller is None and not self._is_closed and not self._committer.is_away:
            self._loop.call_soon_threadsafe(self._begin, connect(self._engine))

    def close(self) -> None:
        """Leave everything to the committer from now on."""
        self._is_closed = True
        self._leave()

    def submit(self, arrival: Arrival, done: Callable[[Receipt], None]) -> None:
        """Keep a request; `done` is called once, from this thread or from another one."""
        row = self._row_of(arrival)
        if row is None:
            self._committer.submit(arrival, done)
            return
        until = time.monotonic() + PATIENCE_SECONDS
        self._waiting.append(_Pending(arrival, row, done, until))
        self._waiting_bytes += len(row)
        self._keys.add(arrival.events[0].key)
        self._ask()

    def _row_of(self, arrival: Arrival) -> bytes | None:
        if self._teller is None or get_ident() != self._thread:
            return None
        is_full = len(self._waiting) >= MAX_WAITING or self._waiting_bytes >= MAX_WAITING_BYTES
        if is_full or arrival.events[0].key in self._keys:
            return None
        try:
            row = at_once.row_of(arrival, datetime.now(UTC))
            return row_without_types(row) if row else None
        except Exception:  # noqa: BLE001  # the committer keeps its bytes, whatever it is
            return None

    def _begin(self, connection: "psycopg.Connection[object]") -> None:
        if self._is_closed or self._teller is not None:
            connection.close()
            return
        self._thread = get_ident()
        self._teller = LoopTeller(self._loop, connection, self._leave)

    def _ask(self) -> None:
        """Ask for all that waits, unless the last answer is not here yet."""
        if self._asked or not self._waiting or self._teller is None:
            return
        self._asked = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
        self._keys.difference_update(p.arrival.events[0].key for p in self._asked)
        self._waiting_bytes -= sum(len(p.row) for p in self._asked)
        self._asked_at = time.monotonic()
        # The first of them has waited longest, perhaps for answers to others too.
        left = max(self._asked[0].until - self._asked_at, 0.0)
        self._patience = self._loop.call_later(left, self._leave)
        try:
            self._teller.tell([pending.row for pending in self._asked], self._answered)
        except psycopg.Error:
            self._leave()

    def _answered(self, answer: Answer) -> None:
        asked, self._asked = self._asked, []
        seconds = time.monotonic() - self._asked_at
        if self._patience is not None:
            self._patience.cancel()
        if isinstance(answer, Exception):
            self._hand_over(asked)
            if not _may_go_on(answer):
                log.warning("the lane is given up", extra={"why": type(answer).__name__})
                self._leave()
            self._ask()
            return
        self._settle(asked, answer)
        self._ask()
        if self._on_batch:
            self._on_batch(len(asked), seconds)

    def _settle(self, asked: Iterable[_Pending], answer: dict[bytes, Done]) -> None:
        left = []
        for pending in asked:
            done = answer.get(pending.arrival.events[0].fingerprint)
            if done is None:
                left.append(pending)
                continue
            try:
                pending.done([Recorded.of(done)])
            except Exception:  # one client that is gone must not cost the others their answers
                log.exception("an answer could not be given")
        self._hand_over(left)

    def _leave(self) -> None:
        """Give the connection up, and all that waits to the committer; `open` begins anew."""
        if self._patience is not None:
            self._patience.cancel()
        if self._teller is not None:
            self._teller.close()
            self._teller = None
        left = [*self._asked, *self._waiting]
        self._asked = []
        self._waiting.clear()
        self._waiting_bytes = 0
        self._keys.clear()
        self._hand_over(left)

    def _hand_over(self, left: Iterable[_Pending]) -> None:
        for pending in left:
            self._committer.submit(pending.arrival, pending.done, pending.until)


def _may_go_on(error: Exception) -> bool:
    """Say whether an error is about rows, or about another transaction, and not about the lane."""
    return (getattr(error, "sqlstate", None) or "")[:2] in _OF_ROWS
