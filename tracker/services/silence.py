"""Say of messages without a receipt that none is expected any more; a late one still wins."""

from datetime import datetime, timedelta
from typing import Final

from tracker.store import silence as store
from tracker.store.db import Sessions

MOST_HOURS: Final = 200  # of one sweep, the newest first
AT_ONCE: Final = 500  # messages in one transaction


def sweep(sessions: Sessions, patience: timedelta, now: datetime) -> int:
    """Give up on what had no word for so long, and return on how many messages.

    The hours to look through come from the rollups, so what is not counted yet waits for the next
    sweep. Any number of processes may call this at the same time.
    """
    before = now - patience
    with sessions() as session:
        hours = store.hours(session, before, MOST_HOURS)
    count = 0
    for hour in hours:
        marked = AT_ONCE
        while marked == AT_ONCE:
            with sessions.begin() as session:
                marked = store.give_up(session, hour, before, now, AT_ONCE)
            count += marked
    return count
