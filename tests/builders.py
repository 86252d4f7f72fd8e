"""Builders: valid things; a test states only what matters to it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from tracker.config import DEFAULT_ZONE
from tracker.domain.message import PassMessage
from tracker.gateway import Accepted
from tracker.services import send, submit, take
from tracker.services.take import Policy
from tracker.store import messages
from tracker.store.db import Sessions
from tracker.store.outbox import Claim
from tracker.store.rows import MessageRow

NUMBER = "12025550143"


def a_request(**changes: object) -> dict[str, object]:
    """Return a request to send, as the API takes it; None leaves a field out."""
    request: dict[str, object] = {
        "to": NUMBER,
        "mms_id": "45633",
        "from": "11111",
        "pass_data": {"BARCODEVALUE": "1234578961A"},
    }
    request.update(changes)
    return {name: value for name, value in request.items() if value is not None}


def a_postback(code: str = "N102", **changes: str | None) -> bytes:
    """Return a postback in the 1.3 dialect, as the documents print them; None leaves one out."""
    phrases = {"N101": "Message Sent", "N102": "Message Sent/Delivered", "E101": "Message Failed"}
    fields: dict[str, str | None] = {
        "ORIGIN": "MMS_MT",
        "CODE": code,
        "SENTAS": "MMS",
        "STATUS": phrases.get(code),
        "MMSID": "45633",
        "TO": NUMBER,
        "TRACKINGID": "TU1TXzEyMzQ2",
        "SPID": "0001890",
        "TIMESTAMP": "2026-11-20T07:20:49-05:00",
        "HANDSET": "motol7c" if code == "N102" else None,
    }
    fields.update(changes)
    inner = "".join(f"<{n}>{v}</{n}>" for n, v in fields.items() if v is not None)
    return f"<?xml version='1.0'?>\n<POSTBACK>{inner}</POSTBACK>".encode()


def queued(sessions: Sessions, **changes: object) -> UUID:
    """Queue a message and return its public id."""
    public_id, _ = submit.one(
        sessions, a_request(**changes), default_from=None, now=datetime.now(UTC)
    )
    return public_id


def accepted(sessions: Sessions, tracking_id: str = "TU1TXzEyMzQ2", **changes: object) -> UUID:
    """Queue a message and record that the gateway took it."""
    public_id = queued(sessions, **changes)
    now = datetime.now(UTC)
    claimed = next(c for c in claim_due(sessions, 100, now) if c.public_id == public_id)
    assert begin_call(sessions, claimed, now) is not None
    answer = Accepted(tracking_id, "11111", "<RESPONSE/>")
    send.record(sessions, claimed, answer, zone=DEFAULT_ZONE, now=now)
    return public_id


def claim_due(
    sessions: Sessions, limit: int, now: datetime, policy: Policy | None = None
) -> Sequence[Claim]:
    """Claim what is due, as a sender does, after settling what others left behind."""
    send.expire_leases(sessions, now)
    return take.claim(sessions, limit, now, policy or Policy()).claims


def begin_call(
    sessions: Sessions, claim: Claim, now: datetime, *, discover_known: bool = False
) -> PassMessage | None:
    """Write down that the call of a claim begins, as a sender does; None when it is lost."""
    policy = Policy(discover_known=discover_known)
    begun = take.begin(sessions, [claim], now, policy, lambda message: message)
    return next(iter(begun.values()), None)


def reloaded(sessions: Sessions, public_id: UUID) -> MessageRow:
    """Read a message again."""
    with sessions() as session:
        row = messages.by_public_id(session, public_id)
    assert row is not None
    return row
