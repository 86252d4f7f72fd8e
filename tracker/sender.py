"""The loop that sends what is queued until it is told to stop.

Any number of these may run, on any number of hosts: the database gives each message to one.
"""

import logging
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime
from threading import Event
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy.exc import SQLAlchemyError

from tracker.gateway import Gateway
from tracker.services import rollups, send
from tracker.services.batch_work import BatchWorker
from tracker.services.send import Sent
from tracker.store.db import Sessions
from tracker.store.outbox import Claim

log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 0.5
ROLLUP_SECONDS: Final = 10.0


class Sender:
    """Claims as many messages as it has free calls, and makes the calls side by side."""

    def __init__(
        self,
        sessions: Sessions,
        gateway: Gateway,
        *,
        zone: ZoneInfo,
        clock: Callable[[], datetime],
        calls_at_once: int = 8,
    ) -> None:
        self._sessions = sessions
        self._gateway = gateway
        self._zone = zone
        self._clock = clock
        self._calls_at_once = calls_at_once
        self._is_cut_off = False  # from the database

    def run(self, stop: Event) -> None:
        """Send until `stop` is set; then finish the calls under way and return."""
        pending: set[Future[Sent]] = set()
        with (
            ThreadPoolExecutor(2, thread_name_prefix="aside") as aside,
            ThreadPoolExecutor(self._calls_at_once, thread_name_prefix="call") as pool,
        ):
            aside.submit(self._keep_rollups, stop)
            aside.submit(BatchWorker(self._sessions, self._clock).run, stop)
            while not stop.is_set():
                claims = self._claim(self._calls_at_once - len(pending))
                pending |= {pool.submit(self._call, claimed) for claimed in claims}
                if not pending:
                    stop.wait(IDLE_SECONDS)
                    continue
                _, pending = wait(pending, timeout=IDLE_SECONDS, return_when=FIRST_COMPLETED)

    def drain(self) -> int:
        """Send what is due now, and return how many calls were made; for tests and scripts."""
        count = 0
        while claims := self._claim(self._calls_at_once):
            with ThreadPoolExecutor(self._calls_at_once) as pool:
                count += len(list(pool.map(self._call, claims)))
        return count

    def _claim(self, limit: int) -> list[Claim]:
        if limit <= 0:
            return []
        try:
            claims = send.claim(self._sessions, limit, self._clock())
        except SQLAlchemyError as error:
            if not self._is_cut_off:  # once an outage, not twice a second
                log.error("no database; waiting for it", extra={"error": type(error).__name__})  # noqa: TRY400
            self._is_cut_off = True
            return []
        self._is_cut_off = False
        return claims

    def _keep_rollups(self, stop: Event) -> None:
        """Keep the hourly counts up to date; no trouble with them stops the sending."""
        while not stop.wait(ROLLUP_SECONDS):
            if self._is_cut_off:
                continue
            try:
                rollups.refresh(self._sessions)
            except SQLAlchemyError as error:
                log.warning("rollups not refreshed", extra={"error": type(error).__name__})
            except Exception:
                log.exception("rollups not refreshed")

    def _call(self, claimed: Claim) -> Sent:
        try:
            sent = send.call(
                self._sessions, self._gateway, claimed, zone=self._zone, clock=self._clock
            )
        except Exception:
            # The lease settles it: unknown when the call had begun, queued again when not.
            log.exception("call not recorded", extra={"public_id": str(claimed.public_id)})
            return Sent(claimed.public_id, None, None)
        extra = {"public_id": str(sent.public_id), "outcome": sent.outcome, "status": sent.status}
        log.info("message called", extra=extra)
        return sent
