"""What every view may ask of the application it runs in."""

from datetime import UTC, datetime
from typing import Any, cast

from flask import current_app

from tracker.config import Settings
from tracker.domain.windows import SendWindow
from tracker.services.habits import Habits
from tracker.store.db import Sessions

SESSIONS = "tracker.sessions"
SETTINGS = "tracker.settings"
HABITS = "tracker.habits"


def sessions() -> Sessions:
    """Return the session factory."""
    return cast("Sessions", extension(SESSIONS))


def habits() -> Habits:
    """Return what carriers usually do."""
    return cast("Habits", extension(HABITS))


def settings() -> Settings:
    """Return the settings."""
    return cast("Settings", extension(SETTINGS))


def secret_key() -> str:
    """Return the key that signs sessions, and makes the secrets of two-factor logins."""
    return str(current_app.secret_key)


def send_window() -> SendWindow | None:
    """Return when the settings let recipients be sent to; None: at any time."""
    window = settings().send_window
    return SendWindow(*window, settings().gateway_zone) if window else None


def extension(name: str) -> Any:  # noqa: ANN401  # whatever was put there at start
    """Return what `create_app` put under a name."""
    return current_app.extensions[name]


def now() -> datetime:
    """Read the clock; views are the edge, and pass the time on."""
    return datetime.now(UTC)
