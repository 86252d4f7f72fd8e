"""Keep a postback and let it tell its message what became of it: one transaction.

A body that came through here is in the journal when `record` returns, whatever it holds; only what
is no postback at all raises.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from tracker.domain.fold import Outcome, fold, noted_reason, told_status
from tracker.protocol.notification import Kind, Notification
from tracker.protocol.postback import UnreadablePostbackError, parse_postback
from tracker.protocol.tracking import tracking_key
from tracker.protocol.transport import document_of
from tracker.store import accounts, postbacks
from tracker.store.db import Sessions
from tracker.store.postbacks import Entry, Target
from tracker.store.rows import BodyRow

_DELIVERIES = frozenset({Kind.MMS, Kind.SMS, Kind.DDM})


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was done with one event; `is_repeat`: nothing, it was known."""

    postback_id: int
    is_repeat: bool
    outcome: Outcome | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Judgement:
    outcome: Outcome
    reason: str
    message_id: int | None = None


def record(
    sessions: Sessions, body: bytes, content_type: str | None, *, zone: ZoneInfo, now: datetime
) -> list[Recorded]:
    """Commit one postback request, and return what each event in it did.

    Raises:
        NotAPostbackError: nothing to keep; the sender is told 400.
    """
    try:
        notifications = parse_postback(document_of(body, content_type), zone=zone)
    except UnreadablePostbackError as error:
        return [_quarantine(sessions, body, content_type, str(error), now)]
    with sessions.begin() as session:
        postbacks.lock_keys(session, _keys(notifications))
        body_id = postbacks.keep_body(session, body, content_type, now)
        return [
            _record_one(session, notification, body_id, position, zone=zone, now=now)
            for position, notification in enumerate(notifications)
        ]


def match_waiting(session: Session, key: str, *, zone: ZoneInfo, now: datetime) -> None:
    """Apply the postbacks that came before their tracking id was known, in order of arrival.

    The caller has stored the key in this transaction and holds its lock.
    """
    for waiting in postbacks.waiting_for(session, key):
        kept = postbacks.body(session, waiting.body_id)
        try:
            notification = _read_again(kept, waiting.position, zone)
        except ValueError as error:
            # The answer of a send is being stored: nothing on the shelf may stand in its way.
            postbacks.judge(session, waiting.id, Outcome.QUARANTINED, str(error), None)
            continue
        judgement = _judge(session, notification, waiting.received_at, now)
        postbacks.judge(
            session, waiting.id, judgement.outcome, judgement.reason, judgement.message_id
        )


def _read_again(kept: BodyRow, position: int, zone: ZoneInfo) -> Notification:
    """Read one notification of a kept body; ValueError when a newer reader finds it no more."""
    found = parse_postback(document_of(kept.body, kept.content_type), zone=zone)
    if position >= len(found):
        raise UnreadablePostbackError("Its bytes hold fewer notifications than before.")
    return found[position]


def _quarantine(
    sessions: Sessions, body: bytes, content_type: str | None, reason: str, now: datetime
) -> Recorded:
    with sessions.begin() as session:
        body_id = postbacks.keep_body(session, body, content_type, now)
        entry = postbacks.append_unreadable(session, body_id=body_id, reason=reason, now=now)
    return Recorded(entry.id, entry.is_repeat, Outcome.QUARANTINED, reason)


def _keys(notifications: list[Notification]) -> list[str]:
    ids = [i for n in notifications for i in (n.tracking_id, n.sms_id) if i]
    return [tracking_key(text) for text in ids]


def _record_one(
    session: Session,
    notification: Notification,
    body_id: int,
    position: int,
    *,
    zone: ZoneInfo,
    now: datetime,
) -> Recorded:
    entry = postbacks.append(session, notification, body_id=body_id, position=position, now=now)
    if entry.is_repeat:
        return _repeated(session, entry, now)
    judgement = _judge(session, notification, now, now)
    postbacks.judge(session, entry.id, judgement.outcome, judgement.reason, judgement.message_id)
    if notification.sms_id and judgement.message_id is not None:
        match_waiting(session, tracking_key(notification.sms_id), zone=zone, now=now)
    return Recorded(entry.id, is_repeat=False, outcome=judgement.outcome, reason=judgement.reason)


def _repeated(session: Session, entry: Entry, now: datetime) -> Recorded:
    if entry.message_id is not None:
        postbacks.touch(session, entry.message_id, now)
    return Recorded(
        entry.id, is_repeat=True, outcome=None, reason="Known already; nothing changed."
    )


def _judge(
    session: Session, notification: Notification, received_at: datetime, now: datetime
) -> _Judgement:
    """Decide what a postback does, and do it to its message."""
    if notification.defect:
        return _Judgement(Outcome.QUARANTINED, notification.defect)
    candidates = _candidates(session, notification)
    target = next((c for c in candidates if _agrees(notification, c)), None)
    if target is None and candidates:
        reason = "TO is not the recipient of the message with this tracking id."
        return _Judgement(Outcome.QUARANTINED, reason, candidates[0].id)
    if target is None:
        return _without_message(notification)
    folded = fold(target.delivery, notification, received_at)
    postbacks.apply(session, target, folded.delivery, now)
    if notification.handset:
        postbacks.remember_handset(session, target.recipient, notification, received_at)
    return _Judgement(folded.outcome, folded.reason + _doubt(notification, target), target.id)


def _candidates(session: Session, notification: Notification) -> list[Target]:
    if notification.kind is Kind.PASS:
        return _candidates_of_pass(session, notification)
    if not notification.tracking_key or notification.kind is Kind.MO_MMS:
        return []
    found = postbacks.targets(session, notification.tracking_key)
    if not found and notification.kind is Kind.SMS:
        found = postbacks.target_of_sms(session, notification.tracking_key)
    return found


def _candidates_of_pass(session: Session, notification: Notification) -> list[Target]:
    """By the id that we gave the pass, else by the phone it was made for. Source: PROTOCOL 6.9."""
    if notification.custom_pass_id:
        return postbacks.target_of_pass(session, notification.custom_pass_id)[:1]
    if (notification.referenced_by or "").lower() == "phone" and notification.reference_value:
        return postbacks.target_of_number(session, _digits(notification.reference_value))[:1]
    return []


def _agrees(notification: Notification, target: Target) -> bool:
    """TO, where there is one, must be the recipient: tracking ids can be guessed (PROTOCOL 6.7)."""
    to = _digits(notification.to or "")
    return not to or to == target.recipient


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isascii() and c.isdigit())


def _doubt(notification: Notification, target: Target) -> str:
    """A differing MMSID is said, and blocks nothing: the documents' own example has one."""
    if notification.mms_id and notification.mms_id != target.mms_id:
        return f" It names MMS id {notification.mms_id[:32]}, not {target.mms_id}."
    return ""


def _without_message(notification: Notification) -> _Judgement:
    if notification.kind in _DELIVERIES or told_status(notification) is not None:
        missing = (
            "no message has this tracking id yet"
            if notification.tracking_id
            else "it has no tracking id"
        )
        return _Judgement(Outcome.UNMATCHED, f"Kept on the shelf: {missing}.")
    return _Judgement(Outcome.NOTED, noted_reason(notification))


def replay(
    sessions: Sessions, postback_id: int, *, actor: str, zone: ZoneInfo, now: datetime
) -> Outcome:
    """Judge a postback anew that told no message yet: its message may be known by now.

    Raises:
        LookupError: no such postback.
        UnreadablePostbackError: the bytes are still not readable.
    """
    with sessions.begin() as session:
        row = postbacks.by_id(session, postback_id)
        if row is None:
            raise LookupError(f"there is no postback {postback_id}")
        if row.message_id is not None and row.outcome != Outcome.QUARANTINED:
            return Outcome(row.outcome)  # told its message already; the fold is not run twice
        notification = _read_again(postbacks.body(session, row.body_id), row.position, zone)
        postbacks.lock_keys(session, _keys([notification]))
        judgement = _judge(session, notification, row.received_at, now)
        postbacks.judge(session, row.id, judgement.outcome, judgement.reason, judgement.message_id)
        detail = f"{row.outcome} -> {judgement.outcome}"
        accounts.audit(
            session, actor, "postback.replay", subject=str(postback_id), detail=detail, now=now
        )
    return judgement.outcome
