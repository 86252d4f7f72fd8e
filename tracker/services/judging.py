"""What one event does: which message it is about, whether it agrees, and what is written of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from tracker.domain.fold import Outcome, agrees, doubt, fold, noted_reason, told_status
from tracker.protocol.notification import Kind, Notification, digits
from tracker.protocol.tracking import MAX_KEY, tracking_key
from tracker.store import ingest as store
from tracker.store.ingest import Changes, Known, Target

from .arrivals import Arrival, Event

_DELIVERIES: Final = frozenset({Kind.MMS, Kind.SMS, Kind.DDM})


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of an event, why, and which message it is about."""

    outcome: Outcome
    reason: str
    message_id: int | None = None


def judge(
    session: Session,
    notification: Notification,
    known: Known,
    received_at: datetime,
    changes: Changes,
) -> Judgement:
    """Decide what a postback does, and do it to its message in `changes`."""
    if notification.defect:
        return Judgement(Outcome.QUARANTINED, notification.defect)
    found = _targets(session, notification, known)
    targets = [changes.changed.get(target.id, target) for target in found]
    target = next((t for t in targets if agrees(notification, t.recipient)), None)
    if target is None and targets:
        reason = "TO is not the recipient of the message with this tracking id."
        return Judgement(Outcome.QUARANTINED, reason, targets[0].id)
    if target is None:
        return _without_message(notification)
    folded = fold(target.delivery, notification, received_at)
    if folded.delivery != target.delivery:
        target.delivery = folded.delivery
        changes.changed[target.id] = target
    changes.touched.add(target.id)
    if notification.handset:
        _remember_handset(changes, target.recipient, notification, received_at)
    return Judgement(folded.outcome, folded.reason + doubt(notification, target.mms_id), target.id)


def row_of(arrival: Arrival, event: Event, judgement: Judgement) -> store.Values:
    """Return the journal row of an event."""
    n = event.notification
    sms_key = tracking_key(n.sms_id) if n and n.sms_id else None
    return {
        "fingerprint": event.fingerprint,
        "body_id": arrival.digest,
        "position": event.position,
        "received_at": arrival.received_at,
        "last_received_at": arrival.received_at,
        "repeats": 0,
        "outcome": judgement.outcome.value,
        "outcome_reason": judgement.reason[:1000],
        "message_id": judgement.message_id,
        "code": n.code[:32] if n and n.code else None,
        "kind": n.kind.value if n else Kind.UNKNOWN.value,
        "tracking_key": event.key,
        "sms_key": sms_key if sms_key and len(sms_key) <= MAX_KEY else None,
        "occurred_at": n.timestamp if n else None,
        "fields": n.fields() if n else {},
        "remarks": list(n.remarks) if n else [],
    }


def keep_body(changes: Changes, arrival: Arrival) -> None:
    """Have the bytes of a request written, once for all of its events."""
    if arrival.digest not in changes.bodies:
        changes.bodies[arrival.digest] = {
            "digest": arrival.digest,
            "received_at": arrival.received_at,
            "content_type": arrival.content_type,
            "headers": arrival.headers,
            "body": arrival.body,
        }


def is_odd(event: Event) -> bool:
    """Its message is not found by its own tracking key alone; such come one by one."""
    n = event.notification
    return n is not None and (n.kind in (Kind.PASS, Kind.SMS) or n.sms_id is not None)


def links(notifications: Iterable[Notification | None]) -> list[str]:
    """Return the keys of the link SMS that these name as theirs."""
    return sorted({tracking_key(n.sms_id) for n in notifications if n and n.sms_id})


def names_of(event: Event) -> Iterable[str | bytes]:
    """Return what stands for the event among the locks."""
    if event.notification is None:
        return [event.fingerprint]
    return names(event.notification) or [event.fingerprint]


def names(notification: Notification) -> list[str]:
    """Return what stands for the event among the locks: its tracking keys."""
    ids = (notification.tracking_id, notification.sms_id)
    return [tracking_key(text) for text in ids if text]


def keys_of(notification: Notification) -> list[str]:
    """Return the key that its message is looked up by, if any."""
    if not notification.tracking_key or notification.kind in (Kind.PASS, Kind.MO_MMS):
        return []
    return [notification.tracking_key]


def _targets(session: Session, notification: Notification, known: Known) -> Sequence[Target]:
    if notification.kind is Kind.PASS:
        return _targets_of_pass(session, notification)
    found = [target for key in keys_of(notification) for target in known.targets.get(key, ())]
    if not found and notification.kind is Kind.SMS and notification.tracking_key:
        return store.targets_of_sms(session, notification.tracking_key)
    return found


def _targets_of_pass(session: Session, notification: Notification) -> list[Target]:
    """By the id that we gave the pass, else by the phone it was made for. Source: PROTOCOL 6.9."""
    if notification.custom_pass_id:
        return store.targets_of_pass(session, notification.custom_pass_id)
    if (notification.referenced_by or "").lower() == "phone" and notification.reference_value:
        return store.targets_of_number(session, digits(notification.reference_value))
    return []


def _remember_handset(
    changes: Changes, number: str, notification: Notification, seen_at: datetime
) -> None:
    """Keep the handset that a receipt named for a number; the newest word wins."""
    before = changes.handsets.get(number)
    if before is None or before["seen_at"] <= seen_at:
        changes.handsets[number] = {
            "number": number,
            "handset": (notification.handset or "")[:256],
            "os": notification.os and notification.os[:128],
            "source": (notification.code or "")[:32],
            "seen_at": seen_at,
        }


def _without_message(notification: Notification) -> Judgement:
    if notification.kind in _DELIVERIES or told_status(notification) is not None:
        missing = (
            "no message has this tracking id yet"
            if notification.tracking_id
            else "it has no tracking id"
        )
        return Judgement(Outcome.UNMATCHED, f"Kept on the shelf: {missing}.")
    return Judgement(Outcome.NOTED, noted_reason(notification))
