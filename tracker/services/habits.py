"""What carriers usually do: how many of their messages get a receipt, and how soon.

Read from a bounded sample of the newest messages, and kept for a while. Messages of the last hour
are left out: their receipts may still be on the way.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from threading import Lock
from typing import Final

from sqlalchemy.orm import Session

from tracker.domain.status import Status
from tracker.store import habits as store
from tracker.store.habits import Told

LOOKED_AT: Final = 20_000  # messages, of all carriers together
SAMPLE: Final = 1_000  # of those, messages to the one carrier
PERIOD: Final = timedelta(days=30)
SETTLED: Final = timedelta(hours=1)
FEWEST: Final = 50  # messages to the carrier, before anything is said of it
KEPT: Final = timedelta(minutes=5)  # so long nothing is read anew
_MOST_KEPT: Final = 1_000  # carriers; a postback may name any

# What the carrier itself says. A failure may be the gateway's own: it says nothing of the carrier.
_RECEIPTS: Final = frozenset(
    {Status.DELIVERED, Status.EXPIRED, Status.REJECTED, Status.UNSUPPORTED}
)
_SENT: Final = _RECEIPTS | {Status.SENT, Status.NO_RECEIPT}


@dataclass(frozen=True, slots=True)
class Habit:
    """What is known of one carrier; the rest is None below `FEWEST` messages."""

    messages: int
    share: float | None = None  # of messages with a receipt, 0 to 1
    seconds: float | None = None  # from accepted to its receipt, half of them sooner


class Habits:
    """The habits of carriers, kept for a few minutes; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[str, tuple[datetime, Habit]] = {}
        self._all: tuple[datetime | None, dict[str, Habit]] = (None, {})

    def of(self, session: Session, spid: str, now: datetime) -> Habit:
        """Return what is known of a carrier."""
        with self._lock:
            read_at, habit = self._known.get(spid, (None, None))
        if habit and read_at and now - read_at < KEPT:
            return habit
        habit = read(session, spid, now)
        with self._lock:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            self._known[spid] = (now, habit)
        return habit

    def of_all(self, session: Session, now: datetime) -> dict[str, Habit]:
        """Return what is known of every carrier that messages went to, by SPID."""
        with self._lock:
            read_at, habits = self._all
        if read_at and now - read_at < KEPT:
            return habits
        habits = read_all(session, now)
        with self._lock:
            self._all = (now, habits)
        return habits


def read(session: Session, spid: str, now: datetime) -> Habit:
    """Read what is known of a carrier."""
    heard = store.newest_to(
        session,
        spid,
        _SENT,
        since=now - PERIOD,
        until=now - SETTLED,
        looked_at=LOOKED_AT,
        limit=SAMPLE,
    )
    return _habit(heard)


def read_all(session: Session, now: datetime) -> dict[str, Habit]:
    """Read what is known of every carrier, out of the same sample."""
    heard: dict[str, list[Told]] = defaultdict(list)
    since, until = now - PERIOD, now - SETTLED
    for spid, told in store.newest(session, since=since, until=until, looked_at=LOOKED_AT):
        if told.status in _SENT and len(heard[spid]) < SAMPLE:
            heard[spid].append(told)
    return {spid: _habit(some) for spid, some in heard.items()}


def _habit(heard: Sequence[Told]) -> Habit:
    if len(heard) < FEWEST:
        return Habit(len(heard))
    received = [told for told in heard if told.status in _RECEIPTS]
    times = list(_seconds(received))
    return Habit(len(heard), len(received) / len(heard), median(times) if times else None)


def _seconds(received: Iterable[Told]) -> Iterable[float]:
    for told in received:
        if told.accepted_at and told.finished_at:
            # A postback may come before the answer of its own send.
            yield max((told.finished_at - told.accepted_at).total_seconds(), 0.0)
