"""How many requests a token may still make in this minute, counted over all processes.

Only a token with a limit is counted; for all others nothing is written. A minute is that of the
clock, so the last second of one and the first of the next may bring two limits' worth.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tracker.store import accounts
from tracker.store.db import Sessions
from tracker.store.rows import TokenRow

WINDOW_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a token has left after this request; `is_spent` when this one was too many."""

    limit: int
    left: int
    reset_seconds: int
    is_spent: bool


def take(sessions: Sessions, token: TokenRow, now: datetime) -> Allowance | None:
    """Count one request of a token; None when it has no limit."""
    limit = token.rate_per_minute
    if limit is None:
        return None
    minute, second = divmod(int(now.timestamp()), WINDOW_SECONDS)
    with sessions.begin() as session:
        uses = accounts.count_use(session, token.id, minute, limit)
    left = 0 if uses is None else limit - uses
    return Allowance(limit, max(0, left), WINDOW_SECONDS - second, is_spent=uses is None)
