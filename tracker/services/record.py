"""Recording how calls ended: what a message becomes, and what its answer says of all the others.

Any number of calls is recorded in one transaction: the answers word for word, the messages, the
postbacks that came before their answer, suppressed numbers, the pace of the queue and its pause.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from tracker.domain.failures import is_of_account, reconnect_delay, retry_delay, throttle_delay
from tracker.domain.reasons import OUR_REFUSAL
from tracker.domain.status import Status
from tracker.gateway import Accepted, Answer, NotSent, Refused, Unknown
from tracker.protocol.codes import ErrorClass, error_meaning
from tracker.protocol.tracking import tracking_key
from tracker.store import ingest, outbox, postbacks, suppressions
from tracker.store.db import Sessions
from tracker.store.outbox import Called, CallReport, Claim

from . import answers, matching, pace

# The numbers that the gateway never wants to be asked for again (PROTOCOL 5).
SUPPRESSING: Final = frozenset({"E114", "E715"})
NOT_REACHED: Final = f"{OUR_REFUSAL}the gateway could not be reached"
REFUSED: Final = "refused"  # what a call was that used up one of the bounded tries
THROTTLED: Final = "throttled"
OF_ACCOUNT: Final = "account"


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one claim; `outcome` is None when the claim was lost before the call."""

    public_id: UUID
    outcome: str | None
    status: Status | None


@dataclass(frozen=True, slots=True)
class Ended:
    """One call that has ended, and the message as it is now; None when that is gone."""

    claim: Claim
    answer: Answer
    called: Called | None
    outcome: str

    @property
    def is_ours(self) -> bool:
        """The message is still that claim's."""
        return self.called is not None and self.called.is_held_by(self.claim)

    @property
    def is_before_its_call(self) -> bool:
        """Its call never began: there was no connection."""
        return self.is_ours and self.called is not None and not self.called.has_begun

    @property
    def jitter(self) -> float:
        """A number from 0 to 1 that is another one for every call."""
        return self.claim.claim_id.int % 1000 / 1000


def record_all(
    sessions: Sessions,
    ended: Sequence[tuple[Claim, Answer]],
    *,
    zone: ZoneInfo,
    default_from: str | None = None,
    now: datetime,
    is_final: bool = False,
) -> list[Sent]:
    """Commit what the gateway answered to calls, and all that follows from it.

    A final answer has been told to somebody who waited for it: no second call is made.
    """
    with sessions.begin() as session:
        keys = _lock(session, ended)
        calls = _ended(session, ended, default_from)
        changes = _changes(session, calls, now)
        if is_final:
            changes = {id_: _final(values, now) for id_, values in changes.items()}
        reports = {call.claim.claim_id: _report(call) for call in calls}
        not_begun = {c.claim.claim_id: c.claim.message_id for c in calls if c.is_before_its_call}
        outbox.finish(session, reports, not_begun, changes, now)
        _follow(session, calls, keys, zone, now)
    return [
        Sent(
            call.claim.public_id,
            call.outcome,
            changes[call.claim.message_id]["status"] if call.is_ours else None,
        )
        for call in calls
    ]


def _lock(session: Session, ended: Sequence[tuple[Claim, Answer]]) -> list[str]:
    """Take all locks in the order of the receiver, and return the keys of new tracking ids."""
    lost = [claim.message_id for claim, answer in ended if isinstance(answer, Unknown)]
    answers.lock_for(session, lost)
    keys = [tracking_key(a.tracking_id) for _, a in ended if isinstance(a, Accepted)]
    ingest.lock(session, keys)
    return keys


def _ended(
    session: Session, ended: Sequence[tuple[Claim, Answer]], default_from: str | None
) -> list[Ended]:
    called = outbox.called(session, [claim for claim, _ in ended])
    found = ((claim, answer, called.get(claim.message_id)) for claim, answer in ended)
    return [
        Ended(claim, answer, row, _outcome(answer, row, default_from))
        for claim, answer, row in found
    ]


def _follow(
    session: Session, calls: Sequence[Ended], keys: Sequence[str], zone: ZoneInfo, now: datetime
) -> None:
    """Do what follows for counts, postbacks that came ahead, numbers and lost answers."""
    ours = [call for call in calls if call.is_ours]
    ingest.mark_hours(session, {c.called.created_at for c in ours if c.called})
    # Of all the keys few have postbacks that came ahead; one question finds them.
    for key in postbacks.keys_waiting(session, keys):
        matching.match_waiting(session, key, zone=zone, now=now)
    for call in ours:
        _suppress(session, call, now)
    for call in calls:
        answers.after_call(
            session, call.claim.message_id, call.answer, is_ours=call.is_ours, zone=zone, now=now
        )


def _outcome(answer: Answer, called: Called | None, default_from: str | None) -> str:
    """Return in a word how a call ended; the tries of a message are counted by it."""
    match answer:
        case Accepted():
            return "accepted"
        case Unknown():
            return "unknown"
        case NotSent():
            return "not_sent"
        case Refused():
            sender = called.sender if called else ""
            if is_of_account(answer.error_class, answer.code, sender, default_from):
                return OF_ACCOUNT
            return THROTTLED if answer.error_class is ErrorClass.THROTTLE else REFUSED


def _report(call: Ended) -> CallReport:
    match call.answer:
        case Accepted(answer=answer):
            return CallReport(outcome=call.outcome, detail=None, answer=answer)
        case Refused(answer=answer):
            return CallReport(outcome=call.outcome, detail=_said(call.answer), answer=answer)
        case Unknown(why=why, answer=answer):
            return CallReport(outcome=call.outcome, detail=why[:1000], answer=answer)
        case NotSent(why=why):
            return CallReport(outcome=call.outcome, detail=why, answer=None)


def _said(answer: Refused) -> str:
    return f"{answer.code or 'no code'}: {answer.info or 'no text'}"[:1000]


def _changes(
    session: Session, calls: Sequence[Ended], now: datetime
) -> Mapping[int, Mapping[str, Any]]:
    """Return what becomes of the messages that are still their claim's, by id."""
    ours = [call for call in calls if call.is_ours]
    tried = [c.claim.message_id for c in ours if isinstance(c.answer, Refused | NotSent)]
    tries = outbox.tries(session, tried) if tried else Counter()
    changes = {c.claim.message_id: _values(session, c, tries, now) for c in ours}
    for call in calls:
        if call.claim.is_probe:
            is_account = call.outcome == OF_ACCOUNT
            is_accepted = isinstance(call.answer, Accepted)
            pace.probed(session, is_accepted=is_accepted, is_account=is_account, now=now)
        if not call.is_ours and isinstance(call.answer, Refused):
            _refused(session, call, tries, now)  # a late word is about the gateway all the same
    return changes


def _values(
    session: Session, call: Ended, tries: Counter[tuple[int, str]], now: datetime
) -> dict[str, Any]:
    match call.answer:
        case Accepted() as answer:
            return {
                "status": Status.ACCEPTED,
                "tracking_id": answer.tracking_id,
                "tracking_key": tracking_key(answer.tracking_id),
                "sender_used": answer.sender_used and answer.sender_used[:32],
                "accepted_at": now,
                "error_code": None,
                "error_info": None,
            }
        case Refused() as answer:
            said = {
                "error_code": answer.code[:16] or None,
                "error_info": answer.info and answer.info[:1000],
            }
            return {**said, **_refused(session, call, tries, now)}
        case NotSent():
            failures = tries[call.claim.message_id, call.outcome] + 1
            return {
                "status": Status.QUEUED,
                "due_at": now + reconnect_delay(failures, call.jitter),
            }
        case Unknown(why=why):
            return {"status": Status.UNKNOWN, "error_code": None, "error_info": why[:1000]}


def _final(values: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    """Return what becomes of a message that is not asked for again: refused, not queued."""
    if values["status"] is not Status.QUEUED:
        return values
    said = {"error_code": "E503", "error_info": NOT_REACHED}
    said |= {name: values[name] for name in said if name in values}
    return {**said, "status": Status.REFUSED, "finished_at": now}


def _refused(
    session: Session, call: Ended, tries: Counter[tuple[int, str]], now: datetime
) -> dict[str, Any]:
    """Do what a refusal asks for, and return where its message goes."""
    answer = call.answer
    assert isinstance(answer, Refused)  # noqa: S101  # the caller has looked
    failures = tries[call.claim.message_id, call.outcome] + 1
    if call.outcome == OF_ACCOUNT:
        pace.refused_account(session, answer.code, _said(answer), call.claim.begun_at, now)
        return {"status": Status.QUEUED, "due_at": now}
    if call.outcome == THROTTLED:
        interval = pace.throttled(session, answer.code, answer.info, call.claim.begun_at, now)
        delay = throttle_delay(failures, interval, call.jitter)
        return {"status": Status.QUEUED, "due_at": now + delay}
    retry = retry_delay(answer.error_class, failures, call.jitter)
    if retry is None:
        return {"status": Status.REFUSED, "finished_at": now}
    return {"status": Status.QUEUED, "due_at": now + retry}


def _suppress(session: Session, call: Ended, now: datetime) -> None:
    """Never send again to a number that the gateway does not want to be asked for."""
    answer, called = call.answer, call.called
    if not isinstance(answer, Refused) or answer.code not in SUPPRESSING or called is None:
        return
    detail = answer.info or error_meaning(answer.code)
    if called.campaign_ref:
        detail = f"Campaign {called.campaign_ref}: {detail}"
    suppressions.add(session, called.recipient, answer.code, detail, told_at=None, now=now)
