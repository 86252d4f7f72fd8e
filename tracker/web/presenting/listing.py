"""The lines of the list of messages, and the columns that a person may choose."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tracker.store.rows import MessageRow

from .sight import WHOLE, Sight
from .texts import short_utc

COLUMNS: Final = {
    "status": "Status",
    "created": "Created",
    "mms_id": "MMS id",
    "phone": "Handset, carrier",
    "ids": "Reference, tracking id",
    "sender": "From",
    "campaign": "Campaign",
    "pass_id": "Pass id",
    "code": "Refusal code",
    "attempts": "Calls",
    "finished": "Finished",
    "updated": "Last change",
}
USUAL: Final = ("status", "created", "mms_id", "phone", "ids")
TIMES: Final = frozenset({"created", "finished", "updated"})


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the list."""

    key: str
    title: str
    is_shown: bool = True

    @property
    def is_time(self) -> bool:
        """Its title says the zone."""
        return self.key in TIMES

    @property
    def is_usual(self) -> bool:
        """It is shown unless somebody chooses otherwise."""
        return self.key in USUAL


def columns(chosen: Iterable[str] | None = None) -> list[Column]:
    """Return the columns to show, in our order; the usual ones when nobody chose."""
    return [column for column in choices(chosen) if column.is_shown]


def choices(chosen: Iterable[str] | None = None) -> list[Column]:
    """Return every column, and whether it is shown."""
    shown = set(USUAL if chosen is None else chosen)
    return [Column(key, title, key in shown) for key, title in COLUMNS.items()]


@dataclass(frozen=True, slots=True)
class Line:
    """One message in the list."""

    public_id: str
    recipient: str
    status: str
    status_label: str
    created_at: datetime
    created: str
    mms_id: str
    handset: str | None
    carrier: str | None
    reference: str | None
    tracking_id: str | None
    sender: str
    campaign: str | None
    pass_id: str
    code: str | None
    attempts: int
    finished_at: datetime | None
    finished: str | None
    updated_at: datetime
    updated: str


def lines(
    rows: Iterable[MessageRow], carriers: Mapping[str, str], now: datetime, sight: Sight = WHOLE
) -> list[Line]:
    """Return messages as lines of the list."""
    return [
        Line(
            public_id=str(row.public_id),
            recipient=sight.number(row.recipient),
            status=row.status.value,
            status_label=row.status_label,
            created_at=row.created_at,
            created=short_utc(row.created_at, now),
            mms_id=row.mms_id,
            handset=row.handset,
            carrier=carriers.get(row.spid or "") or row.spid,
            reference=row.reference,
            tracking_id=row.tracking_id,
            sender=row.sender_used or row.sender,
            campaign=row.campaign_ref,
            pass_id=row.custom_pass_id,
            code=row.error_code,
            attempts=row.attempts,
            finished_at=row.finished_at,
            finished=short_utc(row.finished_at, now) if row.finished_at else None,
            updated_at=row.updated_at,
            updated=short_utc(row.updated_at, now),
        )
        for row in map(sight.message, rows)
    ]
