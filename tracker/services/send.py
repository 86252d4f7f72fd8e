"""Send what is queued: claim, write down that the call begins, call, record.

Each step has its own short transaction, and none is open during the call. A process that dies
anywhere leaves a state from which nobody sends twice.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from tracker.domain.failures import reconnect_delay, retry_delay
from tracker.domain.message import Discovery, PassMessage, SlideText
from tracker.domain.reasons import OUR_REFUSAL
from tracker.domain.status import Status
from tracker.gateway import Accepted, Answer, Gateway, NotSent, Refused, Unknown
from tracker.protocol.codes import ErrorClass
from tracker.protocol.tracking import tracking_key
from tracker.store import alerts, ingest, messages, outbox
from tracker.store.db import Sessions
from tracker.store.outbox import CallReport, Claim

from . import answers, handsets, matching

Clock = Callable[[], datetime]
NOT_REACHED: Final = f"{OUR_REFUSAL}the gateway could not be reached"
RECORD_PAUSES_SECONDS: Final = (0.2, 0.5, 1, 2, 4, 8, 8, 8)


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one claim; `outcome` is None when the claim was lost before the call."""

    public_id: UUID
    outcome: str | None
    status: Status | None


def claim(sessions: Sessions, limit: int, now: datetime) -> list[Claim]:
    """Take up to `limit` due messages for this sender, after settling what others left behind."""
    with sessions.begin() as session:
        answers.take_for(session, outbox.expire_leases(session, now), now)
        return outbox.claim(session, limit, now)


def begin(
    sessions: Sessions, claimed: Claim, now: datetime, *, discover_known: bool = False
) -> PassMessage | None:
    """Commit that the call is about to be made; None when the claim is lost."""
    with sessions.begin() as session:
        if not outbox.begin_call(session, claimed, now):
            return None
        begun = {claimed.claim_id: _load(session, claimed.message_id)}
        return handsets.without_needless_discovery(
            session, begun, now, discover_known=discover_known
        )[claimed.claim_id]


def record(
    sessions: Sessions,
    claimed: Claim,
    answer: Answer,
    *,
    zone: ZoneInfo,
    now: datetime,
    is_final: bool = False,
) -> Sent:
    """Commit what the gateway answered, and match the postbacks that came before the answer.

    A final answer has been told to somebody who waited for it: no second call is made.
    """
    with sessions.begin() as session:
        message = messages.by_id(session, claimed.message_id)
        attempts = message.attempts if message else 1
        values = _values(answer, attempts, now)
        if is_final and values["status"] is Status.QUEUED:
            values = _final_values(answer, now)
        if isinstance(answer, Accepted):
            ingest.lock(session, [tracking_key(answer.tracking_id)])
        is_ours = outbox.finish(session, claimed, now, _report(answer), values)
        if isinstance(answer, Refused) and answer.error_class is ErrorClass.PERMANENT_ACCOUNT:
            detail = f"The gateway refuses our account: {_report(answer).detail}"
            alerts.sound(session, "account", answer.code or "no code", detail, now)
        if is_ours and message:
            ingest.mark_hours(session, {message.created_at})
        if is_ours and isinstance(answer, Accepted):
            matching.match_waiting(session, tracking_key(answer.tracking_id), zone=zone, now=now)
        answers.after_call(session, claimed.message_id, answer, is_ours=is_ours, zone=zone, now=now)
    return Sent(claimed.public_id, _report(answer).outcome, values["status"] if is_ours else None)


def call(
    sessions: Sessions,
    gateway: Gateway,
    claimed: Claim,
    *,
    zone: ZoneInfo,
    clock: Callable[[], datetime],
    discover_known: bool = False,
) -> Sent:
    """Send one claimed message. No database session is open while the gateway is asked."""
    message = begin(sessions, claimed, clock(), discover_known=discover_known)
    if message is None:
        return Sent(claimed.public_id, None, None)
    answer = gateway.send(message)
    return record_patiently(sessions, claimed, answer, zone=zone, clock=clock)


def record_patiently(
    sessions: Sessions,
    claimed: Claim,
    answer: Answer,
    *,
    zone: ZoneInfo,
    clock: Clock,
    is_final: bool = False,
) -> Sent:
    """Record an answer, through an outage that ends soon: nobody will give it a second time."""
    for pause in RECORD_PAUSES_SECONDS:
        try:
            return record(sessions, claimed, answer, zone=zone, now=clock(), is_final=is_final)
        except OperationalError:
            time.sleep(pause)
    return record(sessions, claimed, answer, zone=zone, now=clock(), is_final=is_final)


def _load(session: Session, message_id: int) -> PassMessage:
    row = messages.by_id(session, message_id)
    assert row is not None  # noqa: S101  # claimed in this transaction, and never deleted alone
    content = messages.content(session, message_id)
    return PassMessage(
        to=row.recipient,
        mms_id=row.mms_id,
        from_=row.sender,
        campaign_ref=row.campaign_ref,
        reference=row.reference,
        custom_subject=content.custom_subject,
        custom_text=tuple(SlideText(**text) for text in content.custom_text),
        ddm=Discovery(**content.ddm) if content.ddm else None,
        data=content.data,
        pass_data=content.pass_data,
        send_at=row.send_at,
    )


def _values(answer: Answer, attempts: int, now: datetime) -> dict[str, Any]:
    match answer:
        case Accepted():
            return {
                "status": Status.ACCEPTED,
                "tracking_id": answer.tracking_id,
                "tracking_key": tracking_key(answer.tracking_id),
                "sender_used": answer.sender_used and answer.sender_used[:32],
                "accepted_at": now,
                "error_code": None,
                "error_info": None,
            }
        case Refused():
            return _refused_values(answer, attempts, now)
        case NotSent():
            return {"status": Status.QUEUED, "due_at": now + reconnect_delay(attempts)}
        case Unknown():
            return {
                "status": Status.UNKNOWN,
                "error_code": None,
                "error_info": answer.why[:1000],
            }


def _refused_values(answer: Refused, attempts: int, now: datetime) -> dict[str, Any]:
    said = {
        "error_code": answer.code[:16] or None,
        "error_info": answer.info and answer.info[:1000],
    }
    delay = retry_delay(answer.error_class, attempts)
    if delay is None:
        return {**said, "status": Status.REFUSED, "finished_at": now}
    return {**said, "status": Status.QUEUED, "due_at": now + delay}


def _final_values(answer: Answer, now: datetime) -> dict[str, Any]:
    code, info = "E503", NOT_REACHED
    if isinstance(answer, Refused):
        code, info = answer.code, answer.info or ""
    return {
        "status": Status.REFUSED,
        "error_code": code[:16] or None,
        "error_info": info[:1000] or None,
        "finished_at": now,
    }


def _report(answer: Answer) -> CallReport:
    match answer:
        case Accepted():
            return CallReport(outcome="accepted", detail=None, answer=answer.answer)
        case Refused():
            detail = f"{answer.code or 'no code'}: {answer.info or 'no text'}"[:1000]
            return CallReport(outcome="refused", detail=detail, answer=answer.answer)
        case Unknown():
            return CallReport(outcome="unknown", detail=answer.why[:1000], answer=answer.answer)
        case NotSent():
            return CallReport(outcome="not_sent", detail=answer.why, answer=None)
