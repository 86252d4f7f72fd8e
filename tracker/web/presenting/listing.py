"""The lines of the list of messages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from tracker.store.rows import MessageRow

from .sight import WHOLE, Sight
from .texts import short_utc


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
            reference=row.reference and sight.text(row.reference, row.recipient),
            tracking_id=row.tracking_id,
        )
        for row in rows
    ]
