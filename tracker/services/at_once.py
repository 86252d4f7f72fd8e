"""Which postbacks may take the quick way, and what the database is told of them.

Nearly all may: an ordinary word on one message, whose tracking id comes once in its batch. What
the quick way then leaves, and everything else, takes the general one.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from tracker.domain.fold import (
    RANK,
    TIE,
    agrees,
    brought,
    discovery_rank,
    doubt,
    fold,
    noted_reason,
    told_status,
)
from tracker.domain.status import FAILURES, LABELS, Status
from tracker.protocol.notification import Kind, Notification, digits
from tracker.store import ingest, ingest_postgresql, ingest_sqlite
from tracker.store.ingest import Done, Target
from tracker.store.ingest_postgresql import BROUGHT
from tracker.store.ingest_sqlite import Judged

from .arrivals import Arrival
from .judging import is_odd


def tell(engine: Engine, arrivals: Sequence[Arrival], now: datetime) -> Mapping[int, Done]:
    """Commit the ordinary ones of a batch, and return what they did by their place in it."""
    ordinary = dict(_ordinary(arrivals))
    if not ordinary:
        return {}
    if engine.dialect.name == "sqlite":
        kept = {place: _kept(arrivals[place], said) for place, said in ordinary.items()}
        return ingest_sqlite.tell(engine, kept, _judge(arrivals), now)
    rows = [_row(arrivals[place], said, now) for place, said in ordinary.items()]
    done = ingest_postgresql.tell(engine, rows)
    found = (
        (place, done.get(row["fingerprint"])) for place, row in zip(ordinary, rows, strict=True)
    )
    return {place: one for place, one in found if one is not None}


def row_of(arrival: Arrival, now: datetime) -> Mapping[str, Any] | None:
    """Return what PostgreSQL is told of a request that may take the quick way, else None."""
    said = dict(_ordinary([arrival])).get(0)
    return None if said is None else _row(arrival, said, now)


def _judge(arrivals: Sequence[Arrival]) -> ingest_sqlite.Judge:
    def judge(place: int, target: Target) -> Judged | None:
        arrival = arrivals[place]
        notification = arrival.events[0].notification
        if notification is None or not agrees(notification, target.recipient):
            return None
        folded = fold(target.delivery, notification, arrival.received_at)
        target.delivery = folded.delivery
        return Judged(folded.outcome, folded.reason + doubt(notification, target.mms_id))

    return judge


def _ordinary(arrivals: Sequence[Arrival]) -> Iterator[tuple[int, Notification]]:
    seen = set()
    for place, arrival in enumerate(arrivals):
        event = arrival.events[0]
        if len(arrival.events) > 1 or is_odd(event):
            return  # it may be about the message of any that follows, and comes before it
        # Of several with one key only the first: each must see what the one before has done.
        if event.notification and event.key and event.key not in seen:
            seen.add(event.key)
            if _is_ordinary(event.notification):
                yield place, event.notification


def _is_ordinary(notification: Notification) -> bool:
    if notification.defect or notification.sms_id:
        return False
    if notification.kind is Kind.MMS:
        return told_status(notification) is not None
    return notification.kind is Kind.DDM


def _kept(arrival: Arrival, notification: Notification) -> dict[str, Any]:
    """Return what the journal keeps, whatever it does to its message."""
    event = arrival.events[0]
    return {
        "fingerprint": event.fingerprint,
        "position": event.position,
        "received_at": arrival.received_at,
        "code": (notification.code or "")[:32],
        "kind": notification.kind,
        "tracking_key": event.key,
        "occurred_at": notification.timestamp,
        "fields": notification.fields(),
        "remarks": notification.remarks,
        "digest": arrival.digest,
        "content_type": arrival.content_type,
        "headers": arrival.headers,
        "body": arrival.body,
        "handset": notification.handset and notification.handset[:256],
        "os_of_handset": notification.os and notification.os[:128],
    }


def _row(arrival: Arrival, notification: Notification, now: datetime) -> dict[str, Any]:
    told = told_status(notification) if notification.kind is Kind.MMS else None
    facts = ingest.cut(brought(notification))
    return {
        **_kept(arrival, notification),
        "recipient": digits(notification.to) or None,
        "mms_id": notification.mms_id,
        "now": now,
        **{name: facts.get(name) for name in BROUGHT},
        **(_told(told) if told else _discovered(notification)),
    }


def _told(told: Status) -> dict[str, Any]:
    return {
        "told": told,
        "told_rank": RANK[told],
        "label": LABELS[told],
        "is_failure": told in FAILURES,
        "is_final": told.is_final,
        "tie": TIE.index(told) if told in FAILURES else 0,
    }


def _discovered(notification: Notification) -> dict[str, Any]:
    told = notification.ddm_state
    return {
        "ddm": told,
        "ddm_rank": discovery_rank(told) if told else None,
        "noted": noted_reason(notification),
    }
