"""The journal as it grows: every postback once, soon after it came.

Ids are given before a transaction commits, so a lower one may appear after a higher one. A look
therefore begins some seconds back, and leaves out what it has given already.
"""

from collections import deque
from datetime import datetime, timedelta
from typing import Final

from tracker.store import postbacks
from tracker.store.db import Sessions
from tracker.store.rows import PostbackRow

GRACE: Final = timedelta(seconds=10)  # longer than a transaction of the receiver may take
BEHIND: Final = 1_000  # ids before the first look, some of which may still be under way
MOST_IDS: Final = 100_000  # of one look
MOST_ROWS: Final = 500  # of one look; the next one has the rest


class Tail:
    """What came since this was made."""

    def __init__(self, sessions: Sessions, now: datetime, last: int = 0) -> None:
        """Begin with the `last` postbacks that are there."""
        self._sessions = sessions
        with sessions() as session:
            newest = postbacks.last_id(session)
            self._floor = max(newest - max(BEHIND, last), 0)
            there = postbacks.ids_beyond(session, self._floor, MOST_IDS)
        self._given = set(there[: max(len(there) - last, 0)])
        self._ceilings = deque([(now, newest)])

    def look(self, now: datetime) -> list[PostbackRow]:
        """Return what has come since the last look, in order of arrival."""
        with self._sessions() as session:
            ids = postbacks.ids_beyond(session, self._floor, MOST_IDS)
            fresh = [id_ for id_ in ids if id_ not in self._given][:MOST_ROWS]
            rows = postbacks.by_ids(session, fresh) if fresh else []
        self._given.update(fresh)
        self._ceilings.append((now, max(fresh, default=self._ceilings[-1][1])))
        self._forget(now - GRACE)
        return rows

    def _forget(self, until: datetime) -> None:
        """Let go of ids below which nothing can appear any more."""
        while self._ceilings[0][0] <= until and len(self._ceilings) > 1:
            _, ceiling = self._ceilings.popleft()
            self._floor = max(self._floor, ceiling)
        self._given = {id_ for id_ in self._given if id_ > self._floor}
