"""Let old data leave: the bytes of postbacks first, then messages with all that hangs on them.

Reports stay as they are, and so does what names a request: neither has a number in it. What is
still in play stays too, see `store.purge`. Each step is one short transaction, and a rest as long
as the step follows it: whoever writes meanwhile waits for one step at most.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event
from typing import Any, Final

from tracker.store import accounts
from tracker.store import purge as store
from tracker.store.db import Sessions
from tracker.store.purge import Asked, Step

from . import rollups
from .rebuild import Progress

STEP: Final = 200  # rows, and what hangs on them, at most
FIRST_STEP: Final = 50
SLOW_SECONDS: Final = 0.1  # a step that takes longer is followed by a smaller one
EVERY: Final = timedelta(days=1)
SECONDS_AT_ONCE: Final = 5.0  # of the daily run, while the rest of the house waits
ACTOR: Final = "retention"

Walk = Callable[..., Step]


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days what was last heard of so long ago is kept; 0: for ever.

    `body_days` are those of the exact bytes of postbacks; they never stay longer than the rest.
    """

    days: int = 0
    body_days: int = 0

    @property
    def is_set(self) -> bool:
        """Something leaves."""
        return bool(self.days or self.body_days)

    @property
    def days_of_bodies(self) -> int:
        """How many days the bytes are kept; 0: for ever."""
        return min(filter(None, (self.days, self.body_days)), default=0)


class Purge:
    """One run over all that is old at one moment."""

    def __init__(
        self,
        sessions: Sessions,
        retention: Retention,
        *,
        now: datetime,
        only_counts: bool = False,
        step: int = STEP,
        rest: Callable[[float], object] = time.sleep,
    ) -> None:
        self._sessions = sessions
        self._now = now
        self._only_counts = only_counts
        self._step = step
        self._rest = rest
        self.gone: Counter[str] = Counter()
        bytes_before = _before(now, retention.days_of_bodies)
        before = _before(now, retention.days)
        self.cut_offs = {"postback_bodies": bytes_before, "messages": before}
        walks: list[tuple[str, Walk, datetime | None]] = [
            ("bytes of postbacks", store.bodies, bytes_before),
            ("messages", store.messages, before),
            ("postbacks without a message", store.postbacks, before),
            ("files of batches", store.batches, before),
            ("actions on many messages", store.bulk_actions, before),
            ("closed alerts", store.alerts, before),
        ]
        self._walks = [(name, walk, moment) for name, walk, moment in walks if moment]

    def steps(self) -> Iterator[Progress]:
        """Do the work; each step is committed when it is yielded, and one may stop after any."""
        if not self._only_counts:
            rollups.refresh(self._sessions)
        for name, walk, before in self._walks:
            yield from self._walked(name, walk, before)

    def end(self, actor: str, *, is_finished: bool) -> None:
        """Write the run into the audit, if anything left."""
        if self._only_counts or not self.gone:
            return
        counts = ", ".join(f"{count} {table}" for table, count in sorted(self.gone.items()))
        moments = ", ".join(
            f"{table} before {before:%Y-%m-%d %H:%M} UTC"
            for table, before in self.cut_offs.items()
            if before
        )
        detail = f"{'finished' if is_finished else 'stopped'}; {moments}: {counts}"[:1000]
        with self._sessions.begin() as session:
            accounts.audit(session, actor, "purge", detail=detail, now=self._now)

    def _walked(self, name: str, walk: Walk, before: datetime) -> Iterator[Progress]:
        """Walk through one table; progress is the time between its oldest row and the cut-off."""
        limit = min(FIRST_STEP, self._step)
        position: Any = None
        first: datetime | None = None
        while True:
            began = time.monotonic()
            asked = Asked(before, limit, self._only_counts)
            with self._sessions() if self._only_counts else self._sessions.begin() as session:
                step = walk(session, position, asked)
            self.gone += step.gone
            if step.is_stale:
                rollups.refresh(self._sessions)
            first = first or step.at
            if first and step.at:
                yield Progress(name, _hours(step.at - first), _hours(before - first))
            elif step.position is not None:
                yield Progress(name, 0, 1)
            position = step.position
            if position is None:
                return
            took = time.monotonic() - began
            limit = _next_limit(limit, took, self._step)
            if not self._only_counts:
                self._rest(took)


class DailyPurge:
    """The run of a sender once a day, a few seconds at a time."""

    def __init__(
        self, sessions: Sessions, retention: Retention, clock: Callable[[], datetime]
    ) -> None:
        self._sessions = sessions
        self._retention = retention
        self._clock = clock
        self._work: Purge | None = None
        self._steps: Iterator[Progress] = iter(())

    def go_on(self, stop: Event) -> None:
        """Begin the run when its day has come, or go on with it for a while."""
        if self._work is None:
            self._begin(stop)
        work, until = self._work, time.monotonic() + SECONDS_AT_ONCE
        if work is None:
            return
        self._work = None  # what fails is not gone on with, and begun anew tomorrow
        for _ in self._steps:
            if stop.is_set() or time.monotonic() > until:
                self._work = work
                return
        work.end(ACTOR, is_finished=True)

    def stop(self) -> None:
        """Leave the rest of the run to the next one who looks."""
        if self._work is not None:
            self._work.end(ACTOR, is_finished=False)
            give_turn_back(self._sessions)

    def _begin(self, stop: Event) -> None:
        now = self._clock()
        if self._retention.is_set and take_turn(self._sessions, now):
            self._work = Purge(self._sessions, self._retention, now=now, rest=stop.wait)
            self._steps = self._work.steps()


def take_turn(sessions: Sessions, now: datetime) -> bool:
    """Say whether it is time for the daily run, and take it: no other process does then."""
    with sessions.begin() as session:
        return store.take_turn(session, now, EVERY)


def give_turn_back(sessions: Sessions) -> None:
    """Let another process go on at once with what was stopped."""
    with sessions.begin() as session:
        store.give_turn_back(session)


def _next_limit(limit: int, took: float, most: int) -> int:
    """Return how many rows the next step looks at: whoever writes meanwhile waits for it."""
    if took > SLOW_SECONDS:
        return max(limit // 2, 1)
    return min(limit * 2, most) if took < SLOW_SECONDS / 3 else limit


def _before(now: datetime, days: int) -> datetime | None:
    return now - timedelta(days=days) if days else None


def _hours(span: timedelta) -> int:
    return max(int(span / timedelta(hours=1)), 0)
