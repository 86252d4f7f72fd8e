"""What a person decides about a message whose answer was lost; who and why is always kept.

    sent        with a tracking id, or with the postback on the shelf that is its answer, postbacks
                find it from now on; without one it stays `sent` until somebody learns its id
    not sent    it becomes `refused`, for the reason given, and can be sent again
    resend      the pass is queued as a new message, whatever became of this one

The first two may be corrected until a tracking id is known; then the gateway has the word.

Source: PROTOCOL 4.8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from tracker.domain import numbers
from tracker.domain.message import InvalidMessageError, Problem
from tracker.domain.remark import fault_of
from tracker.domain.settling import Settled
from tracker.domain.status import Status
from tracker.protocol.tracking import MAX_KEY, tracking_key
from tracker.store import ingest
from tracker.store import settling as store
from tracker.store.db import Sessions
from tracker.store.rows import MessageRow
from tracker.store.settling import Shelved

from . import answers, manage
from .manage import NotPossibleError

MAX_REASON: Final = 500
MAX_ID: Final = 2**63 - 1  # of a postback


class Verdict(StrEnum):
    """What became of a message, as a person says."""

    SENT = "sent"
    NOT_SENT = "not_sent"
    RESEND = "resend"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person decides, and why; an id or a postback only for what was sent."""

    verdict: Verdict
    reason: str
    tracking_id: str | None = None
    postback_id: int | None = None


def decide(
    sessions: Sessions,
    public_id: UUID,
    decision: Decision,
    *,
    actor: str,
    zone: ZoneInfo,
    now: datetime,
) -> UUID:
    """Settle a message, and return its id; for a resend that of the new message.

    Raises:
        InvalidMessageError: the decision is not complete, or contradicts itself.
        NoSuchMessageError: no message has this id.
        NotPossibleError: the message has an answer, or the tracking id cannot be its own.
    """
    decision = _checked(decision)
    with sessions.begin() as session:
        # Whoever takes an answer holds this lock too: what is read under it stays so.
        store.lock(session, [manage.the_message(session, public_id).recipient])
        message = manage.the_message(session, public_id)
        _require_open(message)
        if decision.verdict is Verdict.RESEND:
            return _resend(session, message, decision.reason, actor, now)
        if decision.tracking_id or decision.postback_id:
            _sent_as(session, message, decision, actor=actor, zone=zone, now=now)
        else:
            mark(session, message, decision.verdict, decision.reason, actor=actor, now=now)
    return public_id


def mark(
    session: Session,
    message: MessageRow,
    verdict: Verdict,
    reason: str,
    *,
    actor: str,
    now: datetime,
) -> None:
    """Mark a message as sent or as not sent, in a transaction that holds its number's lock.

    Raises:
        NotPossibleError: the message has an answer, or is marked so already.
    """
    _require_open(message)
    settle_as = _not_sent if verdict is Verdict.NOT_SENT else _sent
    settle_as(session, message, reason, actor, now)


def checked_reason(reason: str) -> str:
    """Return a reason in one line.

    Raises:
        InvalidMessageError: it is missing, too long, or holds what nobody can see.
    """
    return _checked(Decision(verdict=Verdict.NOT_SENT, reason=reason)).reason


def decision_from(given: object) -> Decision:
    """Read a decision out of JSON or out of a form.

    Raises:
        InvalidMessageError: with every field that is wrong.
    """
    fields = given if isinstance(given, dict) else {}
    wrong = [
        Problem(str(name)[:60], None, f"is not a field; known are {', '.join(_FIELDS)}")
        for name in fields
        if name not in _FIELDS
    ]
    verdict = fields.get("outcome")
    if verdict not in list(Verdict):
        wrong.append(Problem("outcome", verdict, f"must be one of {', '.join(Verdict)}"))
    wrong += [
        Problem(name, fields[name], "must be text")
        for name in ("reason", "tracking_id")
        if not isinstance(fields.get(name, ""), str | None)
    ]
    postback_id = fields.get("postback_id")
    if postback_id is not None and not _is_id(postback_id):
        wrong.append(Problem("postback_id", postback_id, "must be the id of a postback, a number"))
    if wrong:
        raise InvalidMessageError(tuple(wrong))
    return Decision(
        verdict=Verdict(str(verdict)),
        reason=fields.get("reason") or "",
        tracking_id=fields.get("tracking_id"),
        postback_id=postback_id,
    )


_FIELDS: Final = ("outcome", "tracking_id", "postback_id", "reason")


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_ID


def _checked(decision: Decision) -> Decision:
    reason = " ".join(decision.reason.split())
    tracking_id = (decision.tracking_id or "").strip()
    wrong = []
    if fault := fault_of(reason, MAX_REASON):
        wrong.append(Problem("reason", reason[:60] or None, fault))
    if tracking_id and not _is_usable(tracking_id):
        expected = f"must be a tracking id: 1 to {MAX_KEY} characters, as the gateway writes it"
        wrong.append(Problem("tracking_id", tracking_id[:60], expected))
    if decision.verdict is not Verdict.SENT:
        wrong += [
            Problem(name, value, "goes only with the outcome sent")
            for name, value in (
                ("tracking_id", tracking_id or None),
                ("postback_id", decision.postback_id),
            )
            if value
        ]
    if wrong:
        raise InvalidMessageError(tuple(wrong))
    return Decision(
        verdict=decision.verdict,
        reason=reason,
        tracking_id=tracking_id or None,
        postback_id=decision.postback_id,
    )


def _is_usable(tracking_id: str) -> bool:
    return tracking_id.isprintable() and 1 <= len(tracking_key(tracking_id)) <= MAX_KEY


def _require_open(message: MessageRow) -> None:
    if answers.is_open(message):
        return
    if message.tracking_key is not None:
        raise NotPossibleError(
            f"It has the tracking id {message.tracking_id}, so the gateway itself tells what"
            f" became of it: {message.status_label.lower()}."
        )
    raise NotPossibleError(
        "Only a message whose outcome is unknown can be settled;"
        f" this one is {message.status_label.lower()}."
    )


def _sent(session: Session, message: MessageRow, reason: str, actor: str, now: datetime) -> None:
    if message.settled_as == Settled.SENT:
        raise NotPossibleError("It is marked as sent already; a tracking id can still be given.")
    values = {
        "status": Status.SENT,
        "settled_as": Settled.SENT,
        "accepted_at": now,
        "sent_at": now,
        "finished_at": None,
        "error_code": None,
        "error_info": None,
    }
    _settle(session, message, now, values)
    answers.write_down(session, message, Settled.SENT, actor=actor, reason=reason, now=now)


def _not_sent(
    session: Session, message: MessageRow, reason: str, actor: str, now: datetime
) -> None:
    if message.settled_as == Settled.NOT_SENT:
        raise NotPossibleError("It is marked as not sent already; it can be sent again.")
    values = {
        "status": Status.REFUSED,
        "settled_as": Settled.NOT_SENT,
        "accepted_at": None,
        "sent_at": None,
        "finished_at": now,
        "error_code": None,
        "error_info": f"Marked as not sent by {actor}: {reason}"[:1000],
    }
    _settle(session, message, now, values)
    answers.write_down(session, message, Settled.NOT_SENT, actor=actor, reason=reason, now=now)


def _sent_as(
    session: Session,
    message: MessageRow,
    decision: Decision,
    *,
    actor: str,
    zone: ZoneInfo,
    now: datetime,
) -> None:
    """Give it a tracking id that a person knows, or that of a postback on the shelf."""
    taken = _shelved(session, decision.postback_id) if decision.postback_id else None
    tracking_id = decision.tracking_id or (taken.tracking_id if taken else "")
    key = tracking_key(tracking_id)
    if taken and taken.tracking_key != key:
        raise NotPossibleError(
            f"Postback {taken.id} names the tracking id {taken.tracking_id}, not {tracking_id}."
        )
    ingest.lock(session, [key])
    _require_free(session, message, tracking_id)
    outcome = Settled.TAKEN if taken else Settled.SENT
    if not answers.give(session, message.id, tracking_id, outcome, zone=zone, now=now):
        raise _answered_meanwhile()
    said = f"{decision.reason} (tracking id {tracking_id})"
    answers.write_down(
        session,
        message,
        outcome,
        actor=actor,
        reason=said,
        now=now,
        postback=decision.postback_id,
    )


def _shelved(session: Session, postback_id: int) -> Shelved:
    found = store.shelved_one(session, postback_id)
    if found is None:
        raise NotPossibleError(
            f"Postback {postback_id} does not wait on the shelf with a tracking id;"
            " only such a one can be the answer."
        )
    return found


def _require_free(session: Session, message: MessageRow, tracking_id: str) -> None:
    key = tracking_key(tracking_id)
    if owners := store.with_key(session, key):
        raise NotPossibleError(f"The tracking id {tracking_id} belongs to message {owners[0]}.")
    for one in store.shelved_for(session, key):
        if one.number not in ("", message.recipient):
            raise NotPossibleError(
                f"Postback {one.id} with the tracking id {tracking_id} is to"
                f" {numbers.masked(one.number)}, and this message to"
                f" {numbers.masked(message.recipient)}: it is not its answer."
            )


def _resend(session: Session, message: MessageRow, reason: str, actor: str, now: datetime) -> UUID:
    new_id = manage.queue_again(session, message.public_id, actor, now)
    said = f"{reason} (as message {new_id})"
    answers.write_down(session, message, Settled.RESENT, actor=actor, reason=said, now=now)
    return new_id


def _settle(
    session: Session, message: MessageRow, now: datetime, values: Mapping[str, object]
) -> None:
    if store.settle(session, message.id, now, values) is None:
        raise _answered_meanwhile()


def _answered_meanwhile() -> NotPossibleError:
    return NotPossibleError("Its answer has come meanwhile; look at it again.")
