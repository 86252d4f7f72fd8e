"""Postbacks by the batch: a locking read, and a write, whatever the number of rows.

Under the locks of `lock` nobody else decides about the same events: what `known` returns holds
until the transaction ends, and `write` only adds to it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, case, select, text
from sqlalchemy.orm import Session

from tracker.domain.fold import FACTS, Delivery, Outcome

from . import bulk
from .db import clock, dialect_of
from .models import Handset, Message, Postback, PostbackBody, RollupMark

DELIVERY: Final = (
    "status", "told_at", "sender_used", "ddm_status", "sent_at", "finished_at", *FACTS,
)  # fmt: skip
_WIDTHS: Final = {
    name: getattr(Message.__table__.c[name].type, "length", None)
    for name in DELIVERY
    if name != "status"
}
_LOCK: Final = text(
    "SELECT pg_advisory_xact_lock(number)"
    " FROM (SELECT DISTINCT unnest(CAST(:numbers AS bigint[])) AS number ORDER BY 1) AS numbers"
)
BODY: Final = ("digest", "received_at", "content_type", "headers", "body")
EVENT: Final = (
    "fingerprint", "position", "received_at", "code", "kind", "tracking_key", "occurred_at",
    "fields", "remarks",
)  # fmt: skip
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """What was done with one event by the quick way of its engine."""

    postback_id: int
    outcome: Outcome
    reason: str


@dataclass(slots=True)
class Target:
    """A locked message, as far as postbacks concern it."""

    id: int
    recipient: str
    mms_id: str
    created_at: datetime
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class KnownEvent:
    """A journal row that was there before the batch, and the message that heard it."""

    id: int
    message_id: int | None


@dataclass(frozen=True, slots=True)
class Known:
    """What the database knew before a batch: events by fingerprint, messages by tracking key."""

    events: Mapping[bytes, KnownEvent]
    targets: Mapping[str, list[Target]]


@dataclass(slots=True)
class Changes:
    """What a batch is to write.

    A row of `postbacks` has its body's digest as `body_id`. `repeats` counts by journal id.
    `changed` and `touched` are messages by id: one has a new state, the other only heard from the
    gateway again.
    """

    bodies: dict[bytes, Values] = field(default_factory=dict)
    postbacks: list[Values] = field(default_factory=list)
    repeats: dict[int, int] = field(default_factory=dict)
    changed: dict[int, Target] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)
    handsets: dict[str, Values] = field(default_factory=dict)


def lock(session: Session, names: Iterable[str | bytes]) -> None:
    """Let one transaction at a time ask and answer about these tracking keys and fingerprints.

    Without it, on PostgreSQL, a postback that finds no message and the send that finds no postback
    could miss each other. SQLite has one writer anyway.
    """
    if dialect_of(session) == "postgresql":
        session.execute(_LOCK, {"numbers": [_number(name) for name in names]})


def known(session: Session, fingerprints: Iterable[bytes], keys: Iterable[str]) -> Known:
    """Return what is there already; the messages are locked, the newest of a key first.

    Events are looked for under the locks of their messages: the quick way has no others.
    """
    targets: dict[str, list[Target]] = {}
    if wanted := sorted(set(keys)):
        is_wanted = bulk.among(session, Message.tracking_key, wanted)
        for key, target in _targets(session, is_wanted):
            targets.setdefault(key or "", []).append(target)
    events: dict[bytes, KnownEvent] = {}
    if seen := list(fingerprints):
        heard = case((Postback.outcome != Outcome.QUARANTINED, Postback.message_id))
        found = select(Postback.fingerprint, Postback.id, heard).where(
            bulk.among(session, Postback.fingerprint, seen)
        )
        events = {row[0]: KnownEvent(row[1], row[2]) for row in session.execute(found)}
    return Known(events, targets)


def targets_of_sms(session: Session, key: str) -> list[Target]:
    """Lock and return the messages whose N102 named this id as that of their link SMS.

    Source: PROTOCOL 6.8, legacy dialect.
    """
    linked = select(Postback.message_id).where(
        Postback.sms_key == key,
        Postback.message_id.is_not(None),
        Postback.outcome != Outcome.QUARANTINED,
    )
    return [target for _, target in _targets(session, Message.id.in_(linked))]


def targets_of_pass(session: Session, custom_pass_id: str) -> list[Target]:
    """Lock and return the newest message that was sent with this custom pass id."""
    return _newest_target(session, Message.custom_pass_id == custom_pass_id)


def targets_of_number(session: Session, number: str) -> list[Target]:
    """Lock and return the newest message to this number."""
    return _newest_target(session, Message.recipient == number)


def write(session: Session, changes: Changes, now: datetime) -> dict[bytes, int]:
    """Write a batch, and return the ids of its new journal rows by fingerprint."""
    judged_at = session.scalar(select(clock(session))) if changes.postbacks else now
    touched = sorted(changes.touched - changes.changed.keys())
    repeats = [
        {"id": id_, "repeats": changes.repeats[id_], "last_received_at": now}
        for id_ in sorted(changes.repeats)
    ]
    handsets = [changes.handsets[number] for number in sorted(changes.handsets)]
    return bulk.write(
        session,
        bulk.add(PostbackBody, list(changes.bodies.values()), "digest"),
        bulk.add(
            Postback,
            [{**row, "judged_at": judged_at} for row in changes.postbacks],
            "fingerprint",
            link="body_id",
        ),
        bulk.change(Message, _message_rows(changes.changed, now)),
        bulk.change(Message, [{"id": id_, "updated_at": now} for id_ in touched]),
        bulk.change(Postback, repeats, plus="repeats"),
        bulk.put(Handset, handsets, "number", newer="seen_at"),
        bulk.add(RollupMark, _hours(target.created_at for target in changes.changed.values())),
    )


def mark_hours(session: Session, moments: Iterable[datetime]) -> None:
    """Note that the rollups of the hours in which messages were made are out of date."""
    bulk.write(session, bulk.add(RollupMark, _hours(moments)))


def _hours(moments: Iterable[datetime]) -> list[Values]:
    hours = {moment.replace(minute=0, second=0, microsecond=0) for moment in moments}
    return [{"hour": hour} for hour in sorted(hours)]


def _message_rows(changed: Mapping[int, Target], now: datetime) -> list[Values]:
    return [
        {"id": id_, "updated_at": now, **delivery_values(changed[id_].delivery)}
        for id_ in sorted(changed)
    ]


def delivery_values(delivery: Delivery) -> Values:
    """Return what is stored of a state, cut to its columns; the journal has the whole."""
    return cut({name: getattr(delivery, name) for name in DELIVERY})


def cut(values: Mapping[str, Any]) -> Values:
    """Return values of a delivery as long as their columns are."""
    return {
        name: value[:width] if value and (width := _WIDTHS.get(name)) else value
        for name, value in values.items()
    }


def _number(name: str | bytes) -> int:
    """Return the number that stands for a name among PostgreSQL's advisory locks."""
    data = name.encode() if isinstance(name, str) else name
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), signed=True)


def _newest_target(session: Session, condition: ColumnElement[bool]) -> list[Target]:
    newest = select(Message.id).where(condition).order_by(Message.created_at.desc()).limit(1)
    return [target for _, target in _targets(session, Message.id.in_(newest))]


def _targets(session: Session, condition: ColumnElement[bool]) -> list[tuple[str | None, Target]]:
    columns = (getattr(Message, name) for name in DELIVERY)
    found = (
        select(
            Message.tracking_key, Message.id, Message.recipient, Message.mms_id,
            Message.created_at, *columns,
        )
        .where(condition)
        .order_by(Message.id.desc())
        .with_for_update(of=Message)
    )  # fmt: skip
    targets = []
    for key, id_, recipient, mms_id, created_at, *values in session.execute(found):
        delivery = Delivery(**dict(zip(DELIVERY, values, strict=True)))
        targets.append((key, Target(id_, recipient, mms_id, created_at, delivery)))
    return targets
