"""What every view may ask of the application it runs in."""

from datetime import UTC, datetime
from typing import Any, cast

from flask import current_app

from tracker.config import Settings
from tracker.store.db import Sessions

SESSIONS = "tracker.sessions"
SETTINGS = "tracker.settings"


def sessions() -> Sessions:
    """Return the session factory."""
    return cast("Sessions", extension(SESSIONS))


def settings() -> Settings:
    """Return the settings."""
    return cast("Settings", extension(SETTINGS))


def extension(name: str) -> Any:  # noqa: ANN401  # whatever was put there at start
    """Return what `create_app` put under a name."""
    return current_app.extensions[name]


def now() -> datetime:
    """Read the clock; views are the edge, and pass the time on."""
    return datetime.now(UTC)
