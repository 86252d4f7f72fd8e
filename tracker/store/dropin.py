"""Messages of the drop-in endpoint. They never stand in the queue: whoever asked waits for them.

Message, contents and the line that the call begins are one transaction. So there is no moment at
which a lease could end before the call: one that ends finds the line, and the message is `unknown`.
"""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from tracker.domain.status import Status
from tracker.protocol.request import PassRequest

from . import ingest
from .models import Message, MessageContent, SendAttempt
from .outbox import LEASE, Claim


def begin(
    session: Session,
    request: PassRequest,
    public_id: UUID,
    now: datetime,
    *,
    is_probe: bool = False,
) -> Claim:
    """Write a message down together with the call that is about to be made."""
    claim_id = uuid4()
    # It has `due_at` as all have that are being sent: by it a lease that ran out is found.
    message_id = _add(
        session,
        request,
        public_id,
        now,
        status=Status.SENDING,
        attempts=1,
        due_at=now,
        claim_id=claim_id,
        lease_until=now + LEASE,
    )
    session.add(SendAttempt(message_id=message_id, claim_id=claim_id, started_at=now))
    return Claim(message_id, public_id, claim_id, now, is_probe)


def refuse(
    session: Session, request: PassRequest, public_id: UUID, code: str, info: str, now: datetime
) -> None:
    """Write a message down that was refused here, without a call."""
    refused = {"error_code": code, "error_info": info[:1000], "finished_at": now}
    _add(session, request, public_id, now, status=Status.REFUSED, **refused)


def _add(
    session: Session,
    request: PassRequest,
    public_id: UUID,
    now: datetime,
    **state: Any,  # noqa: ANN401  # columns and their values
) -> int:
    row = Message(
        public_id=public_id,
        recipient=request.to,
        sender=request.from_,
        # What the gateway alone can judge may be longer than any of its ids.
        mms_id=(request.mms_id or "")[:32],
        campaign_ref=request.campaign_ref and request.campaign_ref[:32],
        custom_pass_id=request.pass_data["CUSTOMPASSID"][:256],
        created_at=now,
        updated_at=now,
        **state,
    )
    session.add(row)
    session.flush()
    session.add(_content(row.id, request))
    ingest.mark_hours(session, {now})
    return row.id


def _content(message_id: int, request: PassRequest) -> MessageContent:
    texts = [{"slide": _whole(text.slide), "value": text.value} for text in request.custom_text]
    return MessageContent(
        message_id=message_id,
        custom_subject=request.custom_subject and request.custom_subject[:80],
        custom_text=texts,
        ddm=_ddm(request),
        data=dict(request.data),
        pass_data=dict(request.pass_data),
    )


def _ddm(request: PassRequest) -> dict[str, Any] | None:
    ddm = {
        "title": request.ddm_title,
        "text": request.ddm_text,
        "timeout_minutes": _whole(request.ddm_timeout),
    }
    return ddm if any(value is not None for value in ddm.values()) else None


def _whole(text: str | None) -> int | None:
    """Return a small whole number; None for what the gateway takes for none."""
    is_number = text is not None and text.isascii() and text.isdecimal() and len(text) <= 9
    return int(text or "") if is_number else None
