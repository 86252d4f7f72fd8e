"""The postbacks of the trials: every number stands for one, and no two have the same bytes.

Every two numbers tell of one message: the receipt may come first, be a failure, or both; one in
twenty-five names a message that nobody sent, one in fifty cannot be read, and some come as a form.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

BASE = 2_000_000_000  # keeps every number ten digits long
MMS_ID = "45633"
FIRST_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
PHRASES = {
    "N101": "Message Sent",
    "N102": "Message Sent/Delivered",
    "E102": "Message Sent/Expired",
}
# What the two postbacks of a message say, by the message.
CODES = (("N101", "N102"), ("N102", "N101"), ("N101", "E102"), ("E102", "N102"), ("N102", "E102"))
FORM = "application/x-www-form-urlencoded"
XML = "text/xml"


@dataclass(frozen=True, slots=True)
class Postback:
    """One request, without its address."""

    body: bytes
    content_type: str


def postback(number: int) -> Postback:
    """Return the postback that a number stands for."""
    if number % 50 == 13:
        return Postback(b"<POSTBACK>nothing to be read %d</POSTBACK>" % number, XML)
    body = _xml(number)
    if number % 10 == 4:
        return Postback(urlencode({"xml": body}).encode(), FORM)
    return Postback(body.encode(), XML)


def tracking_id(message: int) -> str:
    """Return the gateway's id of a message."""
    return f"MMS_{BASE + message}"


def recipient(message: int) -> str:
    """Return whom a message is for."""
    return f"1{BASE + message}"


def _xml(number: int) -> str:
    message = number // 2
    code = CODES[message % len(CODES)][number % 2]
    name = f"NOBODYS_{number}" if number % 25 == 24 else tracking_id(message)
    fields = {
        "ORIGIN": "MMS_MT",
        "CODE": code,
        "SENTAS": "MMS",
        "STATUS": PHRASES[code],
        "MMSID": MMS_ID,
        "TO": recipient(message),
        "TRACKINGID": name,
        "SPID": "0001890",
        "TIMESTAMP": (FIRST_AT + timedelta(seconds=number)).isoformat(),
        "HANDSET": "motol7c",
        "AGGREGATORID": f"67543210-{number}",
    }
    inner = "".join(f" <{field}>{value}</{field}>\n" for field, value in fields.items())
    return f"<?xml version='1.0'?>\n<POSTBACK>\n{inner}</POSTBACK>\n"
