"""A message as the sentences about it see it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from tracker.domain.status import Status

NOW = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Facts:
    """What `Said` asks of a message; a test states only what matters to it."""

    status: Status
    attempts: int = 0
    send_at: datetime | None = None
    due_at: datetime | None = NOW
    created_at: datetime = NOW
    recipient: str = "12025550143"
    sent_as: str | None = None
    handset: str | None = None
    status_details: str | None = None
    error_code: str | None = None
    error_info: str | None = None
    tracking_id: str | None = None
    resent_as: str | None = None
    settled_as: str | None = None
