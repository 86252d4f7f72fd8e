"""How long data is kept, in words."""

from typing import Final

from tracker.config import Settings
from tracker.services.purge import Retention

_TABLES: Final = {
    "messages": "Messages",
    "message_contents": "Contents of messages",
    "send_attempts": "Calls of the gateway",
    "settlements": "Decisions on lost answers",
    "postbacks": "Postbacks",
    "postback_bodies": "Exact bytes of postbacks",
    "handsets": "Handsets",
    "suppressions": "Suppressed numbers",
    "idempotency_keys": "Keys of requests",
    "reference_keys": "References of requests",
    "batch_chunks": "Pieces of files",
    "batch_kept": "Rows of files",
    "batch_errors": "Wrong cells of files",
    "audit": "Lines of the audit",
}


def retention_of(settings: Settings) -> Retention:
    """Return how long data is kept."""
    return Retention(settings.retention_days, settings.body_retention_days)


def kept_in_words(settings: Settings) -> str:
    """Return how long bytes and messages are kept, as one or two sentences."""
    retention = retention_of(settings)
    if not retention.is_set:
        return "Everything is kept for ever: no setting lets anything leave."
    bodies = f"The exact bytes of postbacks are kept {_days(retention.days_of_bodies)}"
    if not retention.days:
        return f"{bodies}, messages for ever."
    return f"{bodies}, messages {_days(retention.days)} after the last word on them."


def older_has_left(settings: Settings) -> str | None:
    """Return what a list says at its end; None where nothing leaves."""
    days = settings.retention_days
    return f"Messages are kept {_days(days)}; older ones have left." if days else None


def table_in_words(name: str) -> str:
    """Return what a table holds."""
    return _TABLES.get(name) or name.replace("_", " ").capitalize()


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"
