"""Keep the hourly counts up to date. Whoever runs often calls `refresh`; the sender does."""

from typing import Final

from tracker.store import rollups as store
from tracker.store.db import Sessions

HOURS_AT_ONCE: Final = 4  # in one transaction, which on SQLite keeps all other writers waiting


def refresh(sessions: Sessions) -> int:
    """Count the hours anew that are marked now, each of them once, and return how many.

    Any number of processes may call this at the same time: one counts, the others leave it to it.
    """
    with sessions() as session:
        hours = store.marked(session)
    count = 0
    for first in range(0, len(hours), HOURS_AT_ONCE):
        with sessions.begin() as session:
            count += store.refresh(session, hours[first : first + HOURS_AT_ONCE])
    return count
