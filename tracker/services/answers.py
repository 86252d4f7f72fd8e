"""Answers that were lost, found again in a postback.

A call whose answer is lost leaves an `unknown` message; if the gateway took it, its N101 comes all
the same, with a tracking id that nobody knows, and waits on the shelf. Such a pair is offered to
people (`offers`), or taken without them when exactly one message and exactly one tracking id fit:
by whoever makes the second half of the pair, in the same transaction. So both ask, the one that
shelves an N101 and the one that makes a message unknown.

A message that is being sent right now has no answer either, and the N101 may be its own: where one
fits, nothing is taken.

Source: PROTOCOL 4.8.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from tracker.domain.settling import Settled, answer_window
from tracker.domain.status import Status
from tracker.gateway import Accepted, Answer, Unknown
from tracker.protocol.notification import Kind, Notification, digits
from tracker.protocol.tracking import tracking_key
from tracker.store import accounts, alerts, ingest, messages
from tracker.store import settling as store
from tracker.store.db import Sessions
from tracker.store.rows import MessageRow
from tracker.store.settling import Called, Shelved

from .matching import match_waiting

ACTOR: Final = "gateway:N101"
TELLING: Final = "N101"
LONGEST_NUMBER: Final = 15  # digits. Source: PROTOCOL 2.5
_ZONE: Final = "answers.zone"  # in the info of a session: here, answers are taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A postback on the shelf that may be the answer to a message, and why."""

    postback_id: int
    tracking_id: str
    code: str | None
    received_at: datetime
    mms_id: str | None
    why: str


def let_take(sessions: Sessions, zone: ZoneInfo) -> None:
    """Have answers taken by all transactions of these sessions; without it they are offered.

    Every way in and out would have to hand the setting on otherwise: the receiver, the spool, the
    command line, each sender.
    """
    sessions.configure(info={_ZONE: zone})


def offers(session: Session, message: MessageRow) -> list[Offer]:
    """Return what waits on the shelf and may be the answer to a message, the likeliest first."""
    called = store.called_one(session, message.id) if is_open(message) else None
    if called is None:
        return []
    waiting = _first_of_each_id(_fitting(session, called))
    others = [
        one
        for one in store.called(session, called.recipient, called.mms_id, called.called_at)
        if one.id != called.id
    ]
    return [_offer(called, one, others, len(waiting)) for one in waiting]


def is_open(message: MessageRow) -> bool:
    """Say whether a message may be settled: unknown, or settled by a person before."""
    if message.tracking_key is not None:
        return False
    by_hand = message.settled_as in (Settled.SENT, Settled.NOT_SENT)
    return message.status is Status.UNKNOWN or (by_hand and message.status in store.UNANSWERED)


def lock(session: Session, notifications: Iterable[Notification | None]) -> None:
    """Take the locks of what may be a lost answer, before any of a tracking key is taken."""
    if _ZONE in session.info and (asked := _asked(notifications)):
        store.lock(session, {number for number, _ in asked})


def lock_for(session: Session, message_ids: Sequence[int]) -> None:
    """Take the locks of messages whose answer was lost, before any of a tracking key is taken."""
    if _ZONE in session.info and message_ids:
        store.lock(session, {number for number, _ in store.recipients(session, message_ids)})


def take_those_of(
    session: Session, notifications: Iterable[Notification | None], now: datetime
) -> bool:
    """Take what these, which were just shelved, are the answers to; the caller holds the locks."""
    if _ZONE not in session.info:
        return False
    taken = sum(_take(session, number, mms, now) for number, mms in sorted(_asked(notifications)))
    return taken > 0


def take_for(session: Session, message_ids: Sequence[int], now: datetime) -> None:
    """Take what waits for messages that have just become unknown."""
    if _ZONE not in session.info or not message_ids:
        return
    asked = store.recipients(session, message_ids)
    store.lock(session, {number for number, _ in asked})
    for number, mms_id in sorted(asked):
        _take(session, number, mms_id, now)


def after_call(
    session: Session,
    message_id: int,
    answer: Answer,
    *,
    is_ours: bool,
    zone: ZoneInfo,
    now: datetime,
) -> None:
    """Look for the answer when it was lost, and put it right when it comes after all.

    The caller has recorded the call; `is_ours` says whether that moved the message.
    """
    if is_ours and isinstance(answer, Unknown):
        take_for(session, [message_id], now)
    elif not is_ours and isinstance(answer, Accepted):
        _heard_late(session, message_id, answer, zone=zone, now=now)


def give(
    session: Session,
    message_id: int,
    tracking_id: str,
    settled_as: Settled,
    *,
    zone: ZoneInfo,
    now: datetime,
    sender_used: str | None = None,
) -> bool:
    """Give a message the tracking id of its lost answer; False when it has an answer by now.

    Whatever waited for the id is applied. The caller holds the lock of the id's key.
    """
    values = {
        "sender_used": sender_used and sender_used[:32],
        "accepted_at": now,
        "finished_at": None,
        "error_code": None,
        "error_info": None,
        **store.with_tracking_id(tracking_id),
        **_standing(session, message_id, settled_as, now),
    }
    if store.settle(session, message_id, now, values) is None:
        return False
    match_waiting(session, tracking_key(tracking_id), zone=zone, now=now)
    return True


def _standing(
    session: Session, message_id: int, settled_as: Settled, now: datetime
) -> dict[str, object]:
    """Return where a message stands before any postback; what a person said goes before."""
    row = messages.by_id(session, message_id)
    if row and row.settled_as == Settled.SENT:
        return {}
    if settled_as is Settled.SENT:
        return {"status": Status.SENT, "sent_at": now, "settled_as": settled_as}
    return {"status": Status.ACCEPTED, "sent_at": None, "settled_as": settled_as}


def _asked(notifications: Iterable[Notification | None]) -> set[tuple[str, str]]:
    """Return number and MMS id of those that may be a lost answer."""
    return {
        (digits(n.to), n.mms_id)
        for n in notifications
        if n and n.code == TELLING and n.kind is Kind.MMS and n.tracking_key
        if n.mms_id and 0 < len(digits(n.to)) <= LONGEST_NUMBER
    }  # fmt: skip


def _take(session: Session, number: str, mms_id: str, now: datetime) -> int:
    """Take each postback for which there is but one message, and it is but one for the message."""
    called = store.called(session, number, mms_id, now)
    return sum(_take_one(session, one, called, now) for one in called if one.is_unanswered)


def _take_one(session: Session, message: Called, called: Sequence[Called], now: datetime) -> bool:
    waiting = _fitting(session, message)
    if len({one.tracking_key for one in waiting}) != 1:
        return False
    telling = next((one for one in waiting if one.code == TELLING), None)
    if telling is None or any(
        _fits(other, one) for other in called if other.id != message.id for one in waiting
    ):
        return False
    ingest.lock(session, [telling.tracking_key])
    if not _is_free(session, telling, message):
        return False
    zone: ZoneInfo = session.info[_ZONE]
    tracking_id = telling.tracking_id
    if not give(session, message.id, tracking_id, Settled.TAKEN, zone=zone, now=now):
        return False
    reason = (
        f"{telling.code} no. {telling.id} {_came(message, telling)}, names its number and its MMS"
        " id, and fits no other message; no other postback fits this one."
    )
    write_down(
        session, message, Settled.TAKEN, actor=ACTOR, reason=reason, now=now, postback=telling.id
    )
    return True


def write_down(
    session: Session,
    message: Called | MessageRow,
    outcome: Settled,
    *,
    actor: str,
    reason: str,
    now: datetime,
    postback: int | None = None,
) -> None:
    """Keep what was decided, for the timeline and for the audit."""
    store.note(
        session, message.id, outcome, actor=actor, reason=reason, now=now, postback_id=postback
    )
    said = f"{outcome}: {reason}"[:1000]
    subject = str(message.public_id)
    accounts.audit(session, actor[:80], "message.settle", subject=subject, detail=said, now=now)


def _is_free(session: Session, telling: Shelved, message: Called) -> bool:
    """Nobody has the tracking id, and nothing that waits for it names another number."""
    waiting = store.shelved_for(session, telling.tracking_key)
    return not store.with_key(session, telling.tracking_key) and all(
        one.number in ("", message.recipient) for one in waiting
    )


def _fitting(session: Session, message: Called) -> list[Shelved]:
    since, until = answer_window(message.called_at, message.ddm)
    return store.shelved(session, message.recipient, message.mms_id, since, until)


def _fits(message: Called, postback: Shelved) -> bool:
    since, until = answer_window(message.called_at, message.ddm)
    return since <= postback.received_at <= until


def _first_of_each_id(waiting: Iterable[Shelved]) -> list[Shelved]:
    """Return one postback of each tracking id: its N101 if there is one, else the first."""
    found: dict[str, Shelved] = {}
    for one in waiting:
        if one.tracking_key not in found or (
            one.code == TELLING and found[one.tracking_key].code != TELLING
        ):
            found[one.tracking_key] = one
    return list(found.values())


def _offer(called: Called, waiting: Shelved, others: Sequence[Called], count: int) -> Offer:
    rivals = sum(_fits(other, waiting) for other in others)
    doubts = [
        f"{rivals} other message{'s' if rivals > 1 else ''} without an answer" if rivals else "",
        f"{count} tracking ids fit this one" if count > 1 else "",
    ]
    said = " and ".join(filter(None, doubts))
    doubt = f" It is not the only pair: {said}." if said else " Nothing else fits."
    return Offer(
        postback_id=waiting.id,
        tracking_id=waiting.tracking_id,
        code=waiting.code,
        received_at=waiting.received_at,
        mms_id=waiting.mms_id,
        why=f"It {_came(called, waiting)}, and names the same number and MMS id.{doubt}",
    )


def _came(called: Called, waiting: Shelved) -> str:
    seconds = max(round((waiting.received_at - called.called_at) / timedelta(seconds=1)), 0)
    minutes, seconds = divmod(seconds, 60)
    after = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    return f"came {after} after the call began"


def _heard_late(
    session: Session, message_id: int, answer: Accepted, *, zone: ZoneInfo, now: datetime
) -> None:
    """Believe the gateway's own word over what was decided while nobody had it."""
    row = messages.by_id(session, message_id)
    if row is None or row.settled_as is None:
        return
    said, sender = answer.tracking_id, answer.sender_used
    if row.tracking_key is None:
        give(session, message_id, said, Settled.TAKEN, zone=zone, now=now, sender_used=sender)
        return
    store.name_sender(session, message_id, sender and sender[:32])
    if row.tracking_key != tracking_key(said):
        detail = (
            "The gateway's answer came late, and names another tracking id than the one that was"
            f" settled on: {said[:128]}."
        )
        alerts.sound(session, "settled", str(row.public_id), detail, now)
