"""How long a login lasts: to an end however busy it is, or until nothing was done for a while."""

from datetime import datetime, timedelta
from typing import Final

from flask import request, session

from tracker.config import Settings

from .context import now, settings

LIFE: Final = timedelta(hours=12)
_UNTIL: Final = "until"  # seconds since 1970: a session ends then, however busy it is
_SEEN: Final = "seen"  # seconds since 1970 of what was last done in it
_STEP_SECONDS: Final = 20  # the cookie is not written anew more often


def longest(settings: Settings) -> timedelta:
    """Return how long a session may last at most: its usual life, or more if idle ones may."""
    return max(LIFE, timedelta(minutes=settings.idle_minutes))


def begin() -> None:
    """Start a session; nothing planted before the login survives it."""
    session.clear()
    session.permanent = True
    session[_UNTIL] = int((now() + longest(settings())).timestamp())
    session[_SEEN] = int(now().timestamp())


def is_over(at: datetime) -> bool:
    """Say whether the session of this request has ended, for either reason."""
    until: int = session.get(_UNTIL, 0)
    return at.timestamp() >= until or is_idle(at)


def is_idle(at: datetime) -> bool:
    """Say whether a session began and too long nothing was done in it."""
    if _UNTIL not in session:
        return False
    return _since_seen(at) >= settings().idle_minutes * 60


def note_activity(at: datetime) -> None:
    """Note that something was done; a page that renews its live parts by itself does nothing."""
    is_live_part = request.method == "GET" and "HX-Request" in request.headers
    if not is_live_part and _since_seen(at) >= _STEP_SECONDS:
        session[_SEEN] = int(at.timestamp())


def _since_seen(at: datetime) -> float:
    seen: int = session.get(_SEEN, 0)
    return at.timestamp() - seen
