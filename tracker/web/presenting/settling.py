"""A message whose answer was lost, and what may be its answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tracker.domain import numbers
from tracker.domain.reasons import status_reason
from tracker.domain.settling import Settled
from tracker.services.answers import Offer
from tracker.store.rows import MessageRow


@dataclass(frozen=True, slots=True)
class OfferLine:
    """A postback on the shelf that may be the answer."""

    postback_id: int
    code: str
    tracking_id: str
    received_at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class SettleView:
    """What a person must know to settle a message."""

    public_id: str
    recipient: str
    masked: str
    mms_id: str
    status: str
    status_label: str
    reason: str
    offers: list[OfferLine]
    asked_id: int | None  # a postback that was chosen elsewhere, and is none of the offers
    can_mark_sent: bool
    can_mark_not_sent: bool
    resent_as: str | None


def is_number(text: str) -> bool:
    """Say whether this can be the id of a postback in every database."""
    return text.isascii() and text.isdecimal() and len(text) < 19


def settle_view(row: MessageRow, offers: Sequence[Offer], asked: str) -> SettleView:
    """Return what the page shows."""
    asked_id = int(asked) if is_number(asked) else None
    return SettleView(
        public_id=str(row.public_id),
        recipient=numbers.display(row.recipient),
        masked=numbers.masked(row.recipient),
        mms_id=row.mms_id,
        status=row.status.value,
        status_label=row.status_label,
        reason=status_reason(row),
        offers=[
            OfferLine(one.postback_id, one.code or "", one.tracking_id, one.received_at, one.why)
            for one in offers
        ],
        asked_id=None if asked_id in {one.postback_id for one in offers} else asked_id,
        can_mark_sent=row.settled_as != Settled.SENT,
        can_mark_not_sent=row.settled_as != Settled.NOT_SENT,
        resent_as=str(row.resent_as) if row.resent_as else None,
    )
