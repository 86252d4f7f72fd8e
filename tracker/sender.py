"""The loop that sends what is queued until it is told to stop.

    record what was answered -> begin what has its connection -> claim as many as have room
       ^                              |                                  |
       `--- the call, side by side <--'          connect, side by side <-'

One thread does all the talking to the database, for many messages at a time; the others do nothing
but connect and call. A call is written down as begun when its connection stands: a sender that dies
leaves only messages unknown whose call was on its way. Any number of senders may run, on any number
of hosts: the database gives each message to one of them.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from queue import Empty, SimpleQueue
from threading import Event
from typing import Final, TypeGuard
from zoneinfo import ZoneInfo

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from tracker.gateway import Answer, Connection, Gateway, NotSent
from tracker.services import record, rollups, send, silence, take
from tracker.services.batch_work import BatchWorker
from tracker.services.purge import DailyPurge, Retention
from tracker.services.record import Sent
from tracker.services.take import Policy, Taken
from tracker.store.db import Sessions
from tracker.store.outbox import Claim

log = logging.getLogger(__name__)

CALLS_AT_ONCE: Final = 64
CLAIMED_AT_ONCE: Final = 16  # the other senders are to have some too
FIRST_CALLS: Final = 8  # at once, until it is known that all is well; then one more for each
IDLE_SECONDS: Final = 0.5
GATHER_SECONDS: Final = 0.004  # answers that come this close together are recorded together
LEASES_SECONDS: Final = 2.0  # between two looks for what senders left behind that are gone
ROLLUP_SECONDS: Final = 10.0
SWEEP_SECONDS: Final = 60.0  # between two looks for messages without a receipt
# Of the process: so long the one thread waits for its turn after each answer of the database.
SWITCH_SECONDS: Final = 0.0005
PATIENCE_SECONDS: Final = 40.0  # for the database, at the end: nobody gives an answer twice

_GOES_WELL: Final = frozenset({"accepted", "refused"})  # each message may be wrong by itself
Ended = tuple[Claim, Answer]
Done = tuple[Claim, Connection | Answer]


class Sender:
    """Takes as many messages as it has free calls, and makes the calls side by side."""

    def __init__(
        self,
        sessions: Sessions,
        gateway: Gateway,
        *,
        zone: ZoneInfo,
        clock: Callable[[], datetime],
        policy: Policy | None = None,
        retention: Retention | None = None,
        calls_at_once: int = CALLS_AT_ONCE,
    ) -> None:
        self._sessions = sessions
        self._gateway = gateway
        self._zone = zone
        self._clock = clock
        self._policy = policy or Policy()
        self._retention = retention or Retention()
        self._calls_at_once = calls_at_once
        self._done: SimpleQueue[Done | None] = SimpleQueue()
        self._under_way = 0  # claims, until their call has ended
        self._connected: dict[Claim, Connection] = {}  # their calls have yet to begin
        self._room = min(FIRST_CALLS, calls_at_once)  # for calls, while all goes well
        self._unrecorded: list[Ended] = []  # for want of a database
        self._leases_at = 0.0
        self._is_cut_off = False  # from the database

    def run(self, stop: Event) -> None:
        """Send until `stop` is set; then finish the calls of what is claimed and return."""
        worker = BatchWorker(self._sessions, self._clock, window=self._policy.window)
        with (
            ThreadPoolExecutor(2, thread_name_prefix="aside") as aside,
            ThreadPoolExecutor(self._calls_at_once, thread_name_prefix="call") as pool,
        ):
            aside.submit(self._keep_house, stop)
            aside.submit(worker.run, stop)
            while not stop.is_set():
                self._settle()
                self._begin(pool)
                self._wait(self._start(pool))
            self._finish(pool)

    def drain(self) -> int:
        """Send what is due now, and return how many were claimed; for tests and scripts."""
        count = 0
        with ThreadPoolExecutor(self._calls_at_once) as pool:
            while True:
                taken = self._start(pool)
                count += len(taken.claims)
                self._finish(pool)
                if not taken.claims and not taken.is_more:
                    return count

    def _start(self, pool: ThreadPoolExecutor) -> Taken:
        """Claim what there are free calls for, and open their connections."""
        free = self._room - self._under_way
        if free <= 0 or self._unrecorded:
            return Taken()
        limit = min(free, CLAIMED_AT_ONCE)
        taken = self._claim(limit)
        self._under_way += len(taken.claims)
        for claim in taken.claims:
            pool.submit(self._connect, claim)
        has_more = taken.is_more or (limit < free and len(taken.claims) == limit)
        return replace(taken, is_more=has_more)

    def _claim(self, limit: int) -> Taken:
        try:
            if time.monotonic() >= self._leases_at:
                send.expire_leases(self._sessions, self._clock())
                self._leases_at = time.monotonic() + LEASES_SECONDS
            taken = take.claim(self._sessions, limit, self._clock(), self._policy)
        except SQLAlchemyError as error:
            self._note_cut_off(error)
            return Taken()
        self._is_cut_off = False
        return taken

    def _connect(self, claim: Claim) -> None:
        try:
            opened = self._gateway.connect()
        except Exception:
            # The lease settles it: the message is queued again.
            log.exception("no connection", extra={"public_id": str(claim.public_id)})
            self._done.put(None)
        else:
            self._done.put((claim, opened))

    def _begin(self, pool: ThreadPoolExecutor) -> None:
        """Write down that the calls begin whose connection stands, and make them.

        While the database is away they wait, as long as their lease and the gateway let them.
        """
        self._drop_closed()
        begun = self._begun(list(self._connected)) if self._connected else {}
        if begun is None:
            return
        connected, self._connected = self._connected, {}
        calls = [(claim, connected.pop(claim.as_claimed)) for claim in begun]
        # Here and not in the threads: what is begun and not yet on its way dies with this process.
        for claim, connection in calls:
            connection.start(begun[claim])
        for call in calls:
            pool.submit(self._call, *call)
        self._let_go(connected)  # their claims are lost

    def _drop_closed(self) -> None:
        for claim in [c for c, connection in self._connected.items() if not connection.is_open()]:
            self._connected.pop(claim).close()
            self._keep((claim, NotSent("the gateway closed the connection before the call")))

    def _begun(self, claims: Sequence[Claim]) -> dict[Claim, bytes] | None:
        """Write down that calls begin, and return their requests; None: the database is away."""
        try:
            return take.begin(
                self._sessions, claims, self._clock(), self._policy, self._gateway.request_of
            )
        except Exception as error:
            if _is_outage(error):
                self._note_cut_off(error)
                return None
            log.exception("calls not begun", extra={"count": len(claims)})
            if len(claims) == 1:
                self._connected.pop(claims[0]).close()
                self._keep((claims[0], NotSent(f"it failed here: {type(error).__name__}")))
                return {}
        begun: dict[Claim, bytes] = {}
        for one in claims:  # one that cannot be sent must not keep the others
            begun |= self._begun([one]) or {}
        return begun

    def _let_go(self, connected: Mapping[Claim, Connection]) -> None:
        """Hang up without a call; the lease settles the claims."""
        for connection in connected.values():
            connection.close()
            self._under_way -= 1

    def _call(self, claim: Claim, connection: Connection) -> None:
        try:
            answer = connection.finish()
        except Exception:
            # The lease settles it: the message becomes unknown.
            log.exception("call failed", extra={"public_id": str(claim.public_id)})
            self._done.put(None)
        else:
            self._done.put((claim, answer))

    def _wait(self, taken: Taken) -> None:
        """Wait until something is done, or it is worth to ask for messages again."""
        if taken.is_more:
            return
        seconds = IDLE_SECONDS
        if taken.next_at is not None and not self._unrecorded:
            seconds = min(seconds, (taken.next_at - self._clock()).total_seconds())
        try:
            self._keep(self._done.get(timeout=max(0.0, seconds)))
        except Empty:
            return
        time.sleep(GATHER_SECONDS)

    def _settle(self) -> None:
        """Record all that was answered by now."""
        self._gather()
        if self._unrecorded:
            self._record()

    def _gather(self) -> None:
        """Take note of all that is done by now."""
        with suppress(Empty):
            while True:
                self._keep(self._done.get_nowait())

    def _keep(self, done: Done | None) -> None:
        """Take note of what a thread has done; None: it has failed."""
        if done is None:
            self._under_way -= 1
            return
        claim, result = done
        if isinstance(result, Connection):
            self._connected[claim] = result
        else:
            self._under_way -= 1
            self._unrecorded.append((claim, result))

    def _finish(self, pool: ThreadPoolExecutor) -> None:
        """Make the calls that were claimed, and record them, through an outage that ends soon."""
        until = time.monotonic() + PATIENCE_SECONDS
        while self._under_way:
            if not self._connected:  # the last wait may have brought some
                self._keep(self._done.get())
            self._gather()
            self._begin(pool)
            if self._connected:  # no database
                if time.monotonic() > until:
                    connected, self._connected = self._connected, {}
                    self._let_go(connected)
                else:
                    time.sleep(IDLE_SECONDS)
        until = time.monotonic() + PATIENCE_SECONDS
        while self._unrecorded:
            self._record()
            if not self._unrecorded:
                return
            if time.monotonic() > until:
                for claim, _ in self._unrecorded:
                    log.error("call not recorded", extra={"public_id": str(claim.public_id)})
                self._unrecorded = []
                return
            time.sleep(IDLE_SECONDS)

    def _record(self) -> None:
        """Record what is unrecorded; what the database cannot take now is kept."""
        try:
            self._tell(self._record_these(self._unrecorded))
            self._unrecorded = []
        except (DataError, IntegrityError):
            self._record_each()
        except SQLAlchemyError as error:
            self._note_cut_off(error)
        except Exception:
            log.exception("calls not recorded together")
            self._record_each()

    def _record_each(self) -> None:
        """Record one by one: one that cannot be recorded must not keep the others."""
        kept = []
        for claim, answer in self._unrecorded:
            try:
                self._tell(self._record_these([(claim, answer)]))
            except Exception as error:
                if _is_outage(error):
                    kept.append((claim, answer))
                    continue
                # The lease settles it: the message becomes unknown.
                log.exception("call not recorded", extra={"public_id": str(claim.public_id)})
        self._unrecorded = kept

    def _record_these(self, ended: Sequence[Ended]) -> list[Sent]:
        return record.record_all(
            self._sessions,
            ended,
            zone=self._zone,
            default_from=self._policy.default_from,
            now=self._clock(),
        )

    def _tell(self, sent: Sequence[Sent]) -> None:
        for one in sent:
            self._learn(one)
            extra = {"public_id": str(one.public_id), "outcome": one.outcome, "status": one.status}
            log.info("message called", extra=extra)

    def _learn(self, sent: Sent) -> None:
        """Call more at once while all goes well, and fewer when it does not.

        The fewer are under way when the gateway fails, the fewer are lost from sight.
        """
        if sent.outcome in _GOES_WELL:
            self._room = min(self._room + 1, self._calls_at_once)
        else:
            self._room = max(self._room // 2, min(FIRST_CALLS, self._calls_at_once))

    def _note_cut_off(self, error: SQLAlchemyError) -> None:
        if not self._is_cut_off:  # once an outage, not twice a second
            log.error("no database; waiting for it", extra={"error": type(error).__name__})
        self._is_cut_off = True

    def _keep_house(self, stop: Event) -> None:
        """Keep hourly counts, give up on receipts, let old data leave; no trouble stops sending."""
        swept_at = -SWEEP_SECONDS
        purge = DailyPurge(self._sessions, self._retention, self._clock)
        while not stop.wait(ROLLUP_SECONDS):
            if self._is_cut_off:
                continue
            self._try("rollups not refreshed", lambda: rollups.refresh(self._sessions))
            if time.monotonic() - swept_at >= SWEEP_SECONDS:
                swept_at = time.monotonic()
                self._try("silent messages not marked", self._sweep)
            self._try("old data not deleted", lambda: purge.go_on(stop))
        self._try("old data not deleted", purge.stop)

    def _sweep(self) -> None:
        silence.sweep(self._sessions, self._policy.receipt_patience, self._clock())

    def _try(self, failure: str, work: Callable[[], object]) -> None:
        try:
            work()
        except SQLAlchemyError as error:
            log.warning(failure, extra={"error": type(error).__name__})
        except Exception:
            log.exception(failure)


def _is_outage(error: Exception) -> TypeGuard[SQLAlchemyError]:
    """Tell a database that cannot store from a row that cannot be stored."""
    is_databases = isinstance(error, SQLAlchemyError)
    return is_databases and not isinstance(error, DataError | IntegrityError)
