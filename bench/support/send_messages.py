"""The messages that are sent: a typical pass each, to a number of its own."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import uuid4

from tracker.domain.message import PassMessage
from tracker.domain.status import Status
from tracker.gateway import to_request
from tracker.protocol.request import to_xml

BASE = 2_000_000_000
PASS = {
    "BARCODEVALUE": "HL31-000117",
    "PRIMARYLABEL1": "Event",
    "PRIMARYVALUE1": "Spring concert, great hall",
    "SECLABEL1": "Row",
    "SECVALUE1": "12, seat 7",
    "BACKLABEL1": "Terms",
    "BACKVALUE1": "Doors open at 19:00. Bring this pass and a photo id; no re-entry after 20:30.",
}


def message(number: int) -> PassMessage:
    """Return the nth message."""
    return PassMessage(
        to=str(10_000_000_000 + BASE + number),
        mms_id="45633",
        from_="11111",
        pass_data={"CUSTOMPASSID": f"bench-{number}", **PASS},
        data={"FIRST_NAME": "Ada"},
    )


def document(number: int, key: str) -> bytes:
    """Return the nth message as the sender posts it."""
    return to_xml(to_request(message(number), key))


def rows(first: int, count: int, now: datetime) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Return queued messages with their contents, as rows of the two tables."""
    for number in range(first, first + count):
        one = message(number)
        yield (
            {
                "id": number,
                "public_id": uuid4(),
                "status": Status.QUEUED,
                "recipient": one.to,
                "sender": one.from_,
                "mms_id": one.mms_id,
                "custom_pass_id": one.pass_data["CUSTOMPASSID"],
                "created_at": now,
                "updated_at": now,
                "due_at": now,
                "attempts": 0,
            },
            {
                "message_id": number,
                "custom_text": [],
                "ddm": None,
                "data": dict(one.data),
                "pass_data": dict(one.pass_data),
            },
        )
