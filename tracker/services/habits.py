"""What carriers usually do: how many of their messages get a receipt, and how soon.

Read from a bounded sample of the newest messages, once in a while, for all carriers at once.
Messages of the last hour are left out: their receipts may still be on the way.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from threading import Lock
from typing import Final

from tracker.domain.status import Status
from tracker.store import habits as store
from tracker.store.db import Sessions
from tracker.store.habits import Told

SAMPLE: Final = 20_000  # messages, of all carriers together
PERIOD: Final = timedelta(days=30)
SETTLED: Final = timedelta(hours=1)
FEWEST: Final = 50  # messages to one carrier, before anything is said of it
KEPT: Final = timedelta(minutes=5)  # so long nothing is read anew

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
    """The habits of all carriers, kept for a few minutes; safe to share between threads."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._lock = Lock()
        self._read_at: datetime | None = None
        self._by_spid: dict[str, Habit] = {}

    def of(self, spid: str, now: datetime) -> Habit:
        """Return what is known of a carrier."""
        with self._lock:
            if self._read_at is None or now - self._read_at >= KEPT:
                self._by_spid = read(self._sessions, now)
                self._read_at = now
            return self._by_spid.get(spid, Habit(0))


def read(sessions: Sessions, now: datetime) -> dict[str, Habit]:
    """Read the habits of all carriers in the sample, by SPID."""
    with sessions() as session:
        sample = store.newest(session, since=now - PERIOD, until=now - SETTLED, limit=SAMPLE)
    by_spid: dict[str, list[Told]] = defaultdict(list)
    for told in sample:
        if told.spid and told.status in _SENT:
            by_spid[told.spid].append(told)
    return {spid: _habit(heard) for spid, heard in by_spid.items()}


def _habit(heard: list[Told]) -> Habit:
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
