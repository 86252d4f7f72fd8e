"""Keep postbacks and let them tell their messages what became of them.

`ingest` is behind every entrance: the endpoint, the command line, the spool. A batch is one
transaction; what is in the journal when it returns stays there, whatever it holds. Only what is no
postback at all is refused, by `read`.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Final, Self, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from tracker.domain.fold import (
    Delivery,
    Outcome,
    agrees,
    doubt,
    fold,
    noted_reason,
    told_status,
)
from tracker.protocol.notification import Kind, Notification, digits
from tracker.protocol.postback import (
    NotAPostbackError,
    UnreadablePostbackError,
    parse_postback,
)
from tracker.protocol.tracking import MAX_KEY, tracking_key
from tracker.protocol.transport import document_of
from tracker.store import accounts, db, postbacks
from tracker.store import ingest as store
from tracker.store.db import Sessions
from tracker.store.ingest import Changes, Known, Target
from tracker.store.rows import BodyRow, PostbackRow

from . import at_once, effects

MAX_BATCH: Final = 256
MAX_EVENTS: Final = 2500  # of one transaction; PostgreSQL has 6400 locks for all of them together
BODIES_AT_ONCE: Final = 100  # of at most 1 MiB each
RETRIES: Final = 3  # of a batch that lost against another one
_LOST_AGAINST_ANOTHER: Final = frozenset({"40001", "40P01"})  # serialisation failure, deadlock
_DELIVERIES: Final = frozenset({Kind.MMS, Kind.SMS, Kind.DDM})

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a request; without a notification nothing could be read out of the body."""

    fingerprint: bytes
    position: int
    notification: Notification | None
    defect: str = ""

    @property
    def key(self) -> str | None:
        """What its message is known by."""
        key = self.notification.tracking_key if self.notification else None
        return key if key and len(key) <= MAX_KEY else None


@dataclass(frozen=True, slots=True)
class Arrival:
    """One postback request, read and not yet judged.

    With `may_wait` False it is kept only when it tells of something known: its source has sent too
    many unknown tracking ids.
    """

    body: bytes
    content_type: str | None
    received_at: datetime
    digest: bytes
    events: tuple[Event, ...]
    may_wait: bool = True


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was done with one event; a `postback_id` of 0: it was not kept."""

    postback_id: int
    is_repeat: bool
    outcome: Outcome | None
    reason: str


Result = list[Recorded] | Exception


@dataclass(frozen=True, slots=True)
class _Incoming:
    """An event on its way in, and where its answer belongs."""

    arrival: Arrival
    event: Event
    place: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Judgement:
    outcome: Outcome
    reason: str
    message_id: int | None = None


_SAID: Final = ("code", "kind", "tracking_key", "sms_key", "occurred_at", "fields", "remarks")
_REPEATED: Final = "Known already; nothing changed."
_TOO_MANY_UNKNOWN: Final = "Not kept: its source has sent too many unknown tracking ids."


def read(body: bytes, content_type: str | None, *, zone: ZoneInfo, now: datetime) -> Arrival:
    """Read one postback request.

    Raises:
        NotAPostbackError: nothing to keep; the sender is told 400.
    """
    digest = _digest(body, content_type)
    try:
        found = parse_postback(document_of(body, content_type), zone=zone)
    except UnreadablePostbackError as error:
        return _unreadable(body, content_type, digest, str(error), now)
    events = tuple(
        Event(hashlib.sha256(n.fingerprint_text.encode()).digest(), position, n)
        for position, n in enumerate(found)
    )
    return Arrival(body, content_type, now, digest, events)


def read_spooled(
    body: bytes, content_type: str | None, *, zone: ZoneInfo, received_at: datetime
) -> Arrival:
    """Read a request that was acknowledged before: nothing of it may be refused any more."""
    try:
        return read(body, content_type, zone=zone, now=received_at)
    except NotAPostbackError as error:
        return unread(body, content_type, str(error), now=received_at)


def unread(body: bytes, content_type: str | None, reason: str, *, now: datetime) -> Arrival:
    """Return a request out of which nothing was read; it is quarantined with its bytes."""
    return _unreadable(body, content_type, _digest(body, content_type), reason, now)


def record(
    sessions: Sessions, body: bytes, content_type: str | None, *, zone: ZoneInfo, now: datetime
) -> list[Recorded]:
    """Commit one postback request, and return what each event in it did.

    Raises:
        NotAPostbackError: nothing to keep.
    """
    return ingest(sessions, [read(body, content_type, zone=zone, now=now)], zone=zone, now=now)[0]


def ingest_each(
    sessions: Sessions, arrivals: Sequence[Arrival], *, zone: ZoneInfo, now: datetime
) -> list[Result]:
    """Commit a batch; when that fails for what one of them holds, commit each by itself.

    One that cannot be stored even so is quarantined with its bytes, and an exception stands in its
    place when that fails too.

    Raises:
        DBAPIError: the database is away; nothing is known of any of them.
    """
    results: dict[int, Result] = {}
    try:
        results |= _at_once(sessions, arrivals, now)
        rest = [place for place in range(len(arrivals)) if place not in results]
        left = _ingest(sessions, [arrivals[place] for place in rest], zone, now)
        results |= zip(rest, left, strict=True)
    except Exception as error:
        rest = [place for place in range(len(arrivals)) if place not in results]
        if is_fault_of_a_row(error):
            log.exception("a batch of postbacks failed; each is tried by itself")
            alone = _each_alone(sessions, [arrivals[place] for place in rest], zone, now)
            results |= zip(rest, alone, strict=True)
        elif results:
            results |= dict.fromkeys(rest, error)
        else:
            raise
    return [results[place] for place in range(len(arrivals))]


def ingest(
    sessions: Sessions, arrivals: Sequence[Arrival], *, zone: ZoneInfo, now: datetime
) -> list[list[Recorded]]:
    """Commit a batch, and return what each event of each request did."""
    done = _at_once(sessions, arrivals, now)
    rest = [place for place in range(len(arrivals)) if place not in done]
    left = _ingest(sessions, [arrivals[place] for place in rest], zone, now)
    done |= zip(rest, left, strict=True)
    return [done[place] for place in range(len(arrivals))]


def _at_once(
    sessions: Sessions, arrivals: Sequence[Arrival], now: datetime
) -> dict[int, list[Recorded]]:
    """Commit what may take the quick way, by its place in the batch."""
    done = _again_if_lost(lambda: at_once.tell(db.engine_of(sessions), arrivals, now))
    return {
        place: [Recorded(one.postback_id, is_repeat=False, outcome=one.outcome, reason=one.reason)]
        for place, one in done.items()
    }


def _again_if_lost(do: Callable[[], T]) -> T:
    """Do it again when it lost against another transaction, or its kept connection was stale."""
    for _ in range(RETRIES - 1):
        try:
            return do()
        except DBAPIError as error:
            has_lost = getattr(error.orig, "sqlstate", None) in _LOST_AGAINST_ANOTHER
            if not (has_lost or error.connection_invalidated):
                raise
    return do()


def match_waiting(session: Session, key: str, *, zone: ZoneInfo, now: datetime) -> None:
    """Apply the postbacks that came before their tracking id was known, in order of arrival.

    The caller has stored the key in this transaction and holds its lock.
    """
    waiting = postbacks.waiting_for(session, key)
    if not waiting:
        return
    known = store.known(session, [], [key])
    changes = Changes()
    matched = []
    for first in range(0, len(waiting), BODIES_AT_ONCE):
        some = waiting[first : first + BODIES_AT_ONCE]
        bodies = postbacks.bodies(session, {row.body_id for row in some})
        for row in some:
            try:
                notification = _read_again(bodies[row.body_id], row.position, zone)
            except ValueError as error:
                # The answer of a send is being stored: nothing on the shelf may stand in its way.
                judgement = _Judgement(Outcome.QUARANTINED, str(error))
            else:
                judgement = _judge(session, notification, known, row.received_at, changes)
                matched += [notification] if judgement.message_id is not None else []
            _write_down(session, row.id, judgement)
    store.write(session, changes, now)
    for link in _links(matched):
        store.lock(session, [link])
        match_waiting(session, link, zone=zone, now=now)


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
        outcome = judge_anew(session, postback_id, zone=zone, now=now)
        detail = f"{row.outcome} -> {outcome}"
        accounts.audit(
            session, actor, "postback.replay", subject=str(postback_id), detail=detail, now=now
        )
    return outcome


def judge_anew(session: Session, postback_id: int, *, zone: ZoneInfo, now: datetime) -> Outcome:
    """Judge one row of the journal again, unless it told its message already.

    Raises:
        LookupError: no such postback.
        UnreadablePostbackError: the bytes are still not readable.
    """
    found = judge_all_anew(session, [postback_id], zone=zone, now=now)
    if not found:
        raise LookupError(f"there is no postback {postback_id}")
    if found[0].error:
        raise UnreadablePostbackError(found[0].error)
    return Outcome(found[0].after.outcome)


@dataclass(frozen=True, slots=True)
class Rejudged:
    """A row of the journal before and after; with `error` its bytes could still not be read."""

    before: PostbackRow
    after: PostbackRow
    error: str | None = None

    @property
    def is_changed(self) -> bool:
        """It came to something else than before."""
        told = [(row.outcome, row.message_id) for row in (self.before, self.after)]
        return told[0] != told[1]


def judge_all_anew(
    session: Session,
    postback_ids: Sequence[int],
    *,
    zone: ZoneInfo,
    now: datetime,
    ahead: dict[int, Delivery] | None = None,
) -> list[Rejudged]:
    """Judge rows of the journal again, except those that told their message already.

    A dry run keeps in `ahead` how it would have left the messages: they are judged on from there.
    """
    before = postbacks.by_ids(session, postback_ids)
    bodies = postbacks.bodies(session, {row.body_id for row in before})
    again = {row.id: _Again.of(row, bodies[row.body_id], zone) for row in before}
    store.lock(session, {name for one in again.values() for name in one.names})
    for is_odd, run in groupby(again.values(), key=lambda one: _is_odd(one.event)):
        for some in ([one] for one in run) if is_odd else [list(run)]:
            _judge_together(session, {one.postback_id: one for one in some}, zone, now, ahead)
    rows = zip(before, postbacks.by_ids(session, postback_ids), strict=True)
    return [
        Rejudged(old, new, None if _has_told(old) else again[old.id].error) for old, new in rows
    ]


@dataclass(frozen=True, slots=True)
class _Again:
    """A row of the journal whose bytes were read once more."""

    postback_id: int
    arrival: Arrival
    event: Event
    others: tuple[Event, ...]  # of the same bytes, when none of them could be read before

    @classmethod
    def of(cls, row: PostbackRow, kept: BodyRow, zone: ZoneInfo) -> Self:
        """Read the bytes of a row."""
        arrival = read_spooled(kept.body, kept.content_type, zone=zone, received_at=row.received_at)
        events = [event for event in arrival.events if event.position == row.position]
        if not events:
            events = [Event(b"", row.position, None, "It holds fewer notifications than before.")]
        is_new = row.outcome == Outcome.QUARANTINED and not row.fields
        others = [event for event in arrival.events if event not in events] if is_new else []
        return cls(row.id, arrival, events[0], tuple(others))

    @property
    def error(self) -> str | None:
        """Why it cannot be read; None when it can."""
        return None if self.event.notification else self.event.defect

    @property
    def names(self) -> list[str | bytes]:
        """What stands for it among the locks."""
        return [name for event in (self.event, *self.others) for name in _names_of(event)]


def _judge_together(
    session: Session,
    again: Mapping[int, _Again],
    zone: ZoneInfo,
    now: datetime,
    ahead: dict[int, Delivery] | None,
) -> None:
    """Judge rows under their locks: only now nobody else can have judged them since."""
    rows = [row for row in postbacks.by_ids(session, list(again)) if not _has_told(row)]
    read_ = [(row, n) for row in rows if (n := again[row.id].event.notification)]
    known = store.known(session, [], {key for _, n in read_ for key in _keys(n)})
    for target in (target for targets in known.targets.values() for target in targets):
        target.delivery = (ahead or {}).get(target.id, target.delivery)
    changes = Changes()
    judged = [(row, n, _judge(session, n, known, row.received_at, changes)) for row, n in read_]
    store.write(session, changes, now)
    if ahead is not None:
        ahead.update({id_: target.delivery for id_, target in changes.changed.items()})
    for row, _, judgement in judged:
        _settle(session, row, again[row.id], judgement, now)
    for key in _links(n for _, n, judgement in judged if judgement.message_id is not None):
        match_waiting(session, key, zone=zone, now=now)


def _settle(
    session: Session, row: PostbackRow, again: _Again, judgement: _Judgement, now: datetime
) -> None:
    """Write down what a row came to, and do what it asks for if it was kept aside until now."""
    found = (judgement.outcome, judgement.reason[:1000], judgement.message_id)
    if found == (row.outcome, row.outcome_reason, row.message_id):
        return
    _write_down(session, row.id, judgement)
    if row.outcome != Outcome.QUARANTINED:
        return
    columns = _row(again.arrival, again.event, judgement)
    postbacks.reread(session, row.id, {name: columns[name] for name in _SAID})
    incoming = [_Incoming(again.arrival, event, (0, event.position)) for event in again.others]
    _together(session, incoming, now)
    events = (again.event, *again.others)
    effects.follow(session, [(event.notification, row.received_at) for event in events], now)


def _has_told(row: PostbackRow) -> bool:
    """The fold is not run twice; one that is quarantined has told nothing, whatever it names."""
    return row.message_id is not None and row.outcome != Outcome.QUARANTINED


def _digest(body: bytes, content_type: str | None) -> bytes:
    return hashlib.sha256((content_type or "").encode(errors="replace") + b"\0" + body).digest()


def _unreadable(
    body: bytes, content_type: str | None, digest: bytes, reason: str, now: datetime
) -> Arrival:
    fingerprint = hashlib.sha256(b"unreadable\0" + digest).digest()
    return Arrival(body, content_type, now, digest, (Event(fingerprint, 0, None, reason),))


def _each_alone(
    sessions: Sessions, arrivals: Sequence[Arrival], zone: ZoneInfo, now: datetime
) -> Iterator[Result]:
    """Commit each by itself; once the database is away, it is not asked again for every one."""
    away: Exception | None = None
    for arrival in arrivals:
        result = away or _alone(sessions, arrival, zone, now)
        if isinstance(result, Exception) and not is_fault_of_a_row(result):
            away = result
        yield result


def _alone(sessions: Sessions, arrival: Arrival, zone: ZoneInfo, now: datetime) -> Result:
    try:
        return ingest(sessions, [arrival], zone=zone, now=now)[0]
    except Exception as error:  # noqa: BLE001  # whatever it is, the bytes must be kept
        if not is_fault_of_a_row(error):
            return error
        reason = f"It could not be stored as it is: {type(error).__name__}."
    content_type = ascii(arrival.content_type)[1:-1] if arrival.content_type else None
    quarantined = _unreadable(
        arrival.body, content_type, arrival.digest, reason, arrival.received_at
    )
    try:
        return ingest(sessions, [quarantined], zone=zone, now=now)[0]
    except Exception as error:  # noqa: BLE001
        return error


def is_fault_of_a_row(error: Exception) -> bool:
    """Tell a row that cannot be stored from a database that cannot store."""
    is_databases = isinstance(error, DBAPIError | PoolTimeoutError)
    return not is_databases or isinstance(error, DataError | IntegrityError)


def _ingest(
    sessions: Sessions, arrivals: Sequence[Arrival], zone: ZoneInfo, now: datetime
) -> list[list[Recorded]]:
    """Commit requests the general way, in one transaction as long as they are not very many."""
    return [
        recorded
        for some in _parts(arrivals)
        for recorded in _again_if_lost(partial(_ingest_once, sessions, some, zone, now))
    ]


def _parts(arrivals: Sequence[Arrival]) -> Iterator[list[Arrival]]:
    """Cut a batch where its events would be more than a transaction has locks for."""
    some: list[Arrival] = []
    events = 0
    for arrival in arrivals:
        if some and events + len(arrival.events) > MAX_EVENTS:
            yield some
            some, events = [], 0
        some.append(arrival)
        events += len(arrival.events)
    if some:
        yield some


def _ingest_once(
    sessions: Sessions, arrivals: Sequence[Arrival], zone: ZoneInfo, now: datetime
) -> list[list[Recorded]]:
    incoming = [
        _Incoming(arrival, event, (number, event.position))
        for number, arrival in enumerate(arrivals)
        for event in arrival.events
    ]
    recorded: dict[tuple[int, int], Recorded] = {}
    with sessions.begin() as session:
        store.lock(session, {name for i in incoming for name in _names_of(i.event)})
        for is_odd, run in groupby(incoming, key=lambda i: _is_odd(i.event)):
            for some in ([one] for one in run) if is_odd else [list(run)]:
                recorded |= _together(session, some, now)
                for key in _links(i.event.notification for i in some):
                    match_waiting(session, key, zone=zone, now=now)
        effects.follow(
            session, [(i.event.notification, i.arrival.received_at) for i in incoming], now
        )
    return [
        [recorded[number, event.position] for event in arrival.events]
        for number, arrival in enumerate(arrivals)
    ]


def _is_odd(event: Event) -> bool:
    """Its message is not found by its own tracking key alone; such come one by one."""
    n = event.notification
    return n is not None and (n.kind in (Kind.PASS, Kind.SMS) or n.sms_id is not None)


def _links(notifications: Iterable[Notification | None]) -> list[str]:
    """Return the keys of the link SMS that these name as theirs."""
    return sorted({tracking_key(n.sms_id) for n in notifications if n and n.sms_id})


def _together(
    session: Session, incoming: Sequence[_Incoming], now: datetime
) -> dict[tuple[int, int], Recorded]:
    """Judge events in order of arrival against one reading of the database, and write it back."""
    if not incoming:
        return {}
    keys = {key for i in incoming if i.event.notification for key in _keys(i.event.notification)}
    known = store.known(session, {i.event.fingerprint for i in incoming}, keys)
    changes = Changes()
    fresh: dict[bytes, store.Values] = {}
    judged = [(i, _take(session, i, known, changes, fresh)) for i in incoming]
    changes.postbacks.extend(fresh.values())
    ids = store.write(session, changes, now)
    return {
        i.place: replace(r, postback_id=ids[i.event.fingerprint])
        if not r.postback_id and i.event.fingerprint in ids
        else r
        for i, r in judged
    }


def _take(
    session: Session,
    incoming: _Incoming,
    known: Known,
    changes: Changes,
    fresh: dict[bytes, store.Values],
) -> Recorded:
    """Judge one event, or count it as a repeat of itself."""
    arrival, event = incoming.arrival, incoming.event
    before = known.events.get(event.fingerprint)
    if before is not None:
        _keep_body(changes, arrival)
        changes.repeats[before.id] = changes.repeats.get(before.id, 0) + 1
        if before.message_id is not None:
            changes.touched.add(before.message_id)
        return Recorded(before.id, is_repeat=True, outcome=None, reason=_REPEATED)
    if event.fingerprint in fresh:
        _keep_body(changes, arrival)
        fresh[event.fingerprint]["repeats"] += 1
        fresh[event.fingerprint]["last_received_at"] = arrival.received_at
        return Recorded(0, is_repeat=True, outcome=None, reason=_REPEATED)
    if event.notification is None:
        judgement = _Judgement(Outcome.QUARANTINED, event.defect)
    else:
        judgement = _judge(session, event.notification, known, arrival.received_at, changes)
    if judgement.outcome is Outcome.UNMATCHED and not arrival.may_wait:
        return Recorded(0, is_repeat=False, outcome=None, reason=_TOO_MANY_UNKNOWN)
    _keep_body(changes, arrival)
    fresh[event.fingerprint] = _row(arrival, event, judgement)
    return Recorded(0, is_repeat=False, outcome=judgement.outcome, reason=judgement.reason)


def _keep_body(changes: Changes, arrival: Arrival) -> None:
    if arrival.digest not in changes.bodies:
        changes.bodies[arrival.digest] = {
            "digest": arrival.digest,
            "received_at": arrival.received_at,
            "content_type": arrival.content_type,
            "body": arrival.body,
        }


def _row(arrival: Arrival, event: Event, judgement: _Judgement) -> store.Values:
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


def _write_down(session: Session, postback_id: int, judgement: _Judgement) -> None:
    postbacks.judge(session, postback_id, judgement.outcome, judgement.reason, judgement.message_id)


def _judge(
    session: Session,
    notification: Notification,
    known: Known,
    received_at: datetime,
    changes: Changes,
) -> _Judgement:
    """Decide what a postback does, and do it to its message in `changes`."""
    if notification.defect:
        return _Judgement(Outcome.QUARANTINED, notification.defect)
    found = _targets(session, notification, known)
    targets = [changes.changed.get(target.id, target) for target in found]
    target = next((t for t in targets if agrees(notification, t.recipient)), None)
    if target is None and targets:
        reason = "TO is not the recipient of the message with this tracking id."
        return _Judgement(Outcome.QUARANTINED, reason, targets[0].id)
    if target is None:
        return _without_message(notification)
    folded = fold(target.delivery, notification, received_at)
    if folded.delivery != target.delivery:
        target.delivery = folded.delivery
        changes.changed[target.id] = target
    changes.touched.add(target.id)
    if notification.handset:
        _remember_handset(changes, target.recipient, notification, received_at)
    return _Judgement(folded.outcome, folded.reason + doubt(notification, target.mms_id), target.id)


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


def _names_of(event: Event) -> Iterable[str | bytes]:
    if event.notification is None:
        return [event.fingerprint]
    return _names(event.notification) or [event.fingerprint]


def _names(notification: Notification) -> list[str]:
    """Return what stands for the event among the locks: its tracking keys."""
    ids = (notification.tracking_id, notification.sms_id)
    return [tracking_key(text) for text in ids if text]


def _keys(notification: Notification) -> list[str]:
    """Return the key that its message is looked up by, if any."""
    if not notification.tracking_key or notification.kind in (Kind.PASS, Kind.MO_MMS):
        return []
    return [notification.tracking_key]


def _targets(session: Session, notification: Notification, known: Known) -> Sequence[Target]:
    if notification.kind is Kind.PASS:
        return _targets_of_pass(session, notification)
    found = [target for key in _keys(notification) for target in known.targets.get(key, ())]
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


def _without_message(notification: Notification) -> _Judgement:
    if notification.kind in _DELIVERIES or told_status(notification) is not None:
        missing = (
            "no message has this tracking id yet"
            if notification.tracking_id
            else "it has no tracking id"
        )
        return _Judgement(Outcome.UNMATCHED, f"Kept on the shelf: {missing}.")
    return _Judgement(Outcome.NOTED, noted_reason(notification))


def _read_again(kept: BodyRow, position: int, zone: ZoneInfo) -> Notification:
    """Read one notification of a kept body; ValueError when a newer reader finds it no more."""
    found = parse_postback(document_of(kept.body, kept.content_type), zone=zone)
    if position >= len(found):
        raise UnreadablePostbackError("Its bytes hold fewer notifications than before.")
    return found[position]
