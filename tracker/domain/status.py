"""The status words of a message. Source: DESIGN 3.5."""

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """Where a message is; the value is the word in JSON, CSV and URLs."""

    QUEUED = "queued"
    SENDING = "sending"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    SENT = "sent"
    NO_RECEIPT = "no_receipt"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"

    @property
    def is_failure(self) -> bool:
        """A receipt or an E code says that the message did not arrive."""
        return self in FAILURES

    @property
    def is_final(self) -> bool:
        """Nothing more is expected, though a late receipt may still come."""
        return self in FINAL


FAILURES: Final = frozenset({Status.EXPIRED, Status.REJECTED, Status.UNSUPPORTED, Status.FAILED})
FINAL: Final = FAILURES | {Status.DELIVERED, Status.REFUSED, Status.CANCELLED}

LABELS: Final = {
    Status.QUEUED: "Queued",
    Status.SENDING: "Sending",
    Status.CANCELLED: "Cancelled",
    Status.REFUSED: "Refused by gateway",
    Status.UNKNOWN: "Outcome unknown",
    Status.ACCEPTED: "Accepted",
    Status.SENT: "Sent",
    Status.NO_RECEIPT: "Sent, no receipt",
    Status.DELIVERED: "Delivered",
    Status.EXPIRED: "Expired",
    Status.REJECTED: "Rejected by carrier",
    Status.UNSUPPORTED: "Not supported",
    Status.FAILED: "Failed",
}


def label(status: Status, sent_as: str | None) -> str:
    """Return the words a person reads; a delivery by SMS is one of a link."""
    if status is Status.DELIVERED and sent_as == "SMS":
        return "Delivered as link"
    return LABELS[status]
