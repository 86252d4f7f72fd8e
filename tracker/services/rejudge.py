"""Judging postbacks anew: their messages may be known by now, or the reader better."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final, Self
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from tracker.domain.fold import Delivery, Outcome
from tracker.protocol.postback import UnreadablePostbackError
from tracker.store import accounts, postbacks
from tracker.store import ingest as store
from tracker.store.db import Sessions
from tracker.store.ingest import Changes
from tracker.store.rows import BodyRow, PostbackRow

from . import effects
from .arrivals import GONE, Arrival, Event, read_spooled, unread
from .judging import Judgement, is_odd, judge, keys_of, links, names_of, row_of
from .matching import match_waiting, write_down
from .receive import Incoming, take_together

_SAID: Final = ("code", "kind", "tracking_key", "sms_key", "occurred_at", "fields", "remarks")


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
    bodies = postbacks.bodies(session, before)
    again = {row.id: _Again.of(row, bodies[row.body_id], zone) for row in before}
    store.lock(session, {name for one in again.values() for name in one.names})
    for one_by_one, run in groupby(again.values(), key=lambda one: is_odd(one.event)):
        for some in ([one] for one in run) if one_by_one else [list(run)]:
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
        if kept.is_gone:
            return cls(row.id, unread(b"", None, GONE, now=row.received_at), _gone(row), ())
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
        return [name for event in (self.event, *self.others) for name in names_of(event)]


def _gone(row: PostbackRow) -> Event:
    return Event(b"", row.position, None, GONE)


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
    known = store.known(session, [], {key for _, n in read_ for key in keys_of(n)})
    for target in (target for targets in known.targets.values() for target in targets):
        target.delivery = (ahead or {}).get(target.id, target.delivery)
    changes = Changes()
    judged = [(row, n, judge(session, n, known, row.received_at, changes)) for row, n in read_]
    store.write(session, changes, now)
    if ahead is not None:
        ahead.update({id_: target.delivery for id_, target in changes.changed.items()})
    for row, _, judgement in judged:
        _settle(session, row, again[row.id], judgement, now)
    for key in links(n for _, n, judgement in judged if judgement.message_id is not None):
        match_waiting(session, key, zone=zone, now=now)


def _settle(
    session: Session, row: PostbackRow, again: _Again, judgement: Judgement, now: datetime
) -> None:
    """Write down what a row came to, and do what it asks for if it was kept aside until now."""
    found = (judgement.outcome, judgement.reason[:1000], judgement.message_id)
    if found == (row.outcome, row.outcome_reason, row.message_id):
        return
    write_down(session, row.id, judgement)
    if row.outcome != Outcome.QUARANTINED:
        return
    columns = row_of(again.arrival, again.event, judgement)
    postbacks.reread(session, row.id, {name: columns[name] for name in _SAID})
    incoming = [Incoming(again.arrival, event, (0, event.position)) for event in again.others]
    take_together(session, incoming, now)
    events = (again.event, *again.others)
    effects.follow(session, [(event.notification, row.received_at) for event in events], now)


def _has_told(row: PostbackRow) -> bool:
    """The fold is not run twice; one that is quarantined has told nothing, whatever it names."""
    return row.message_id is not None and row.outcome != Outcome.QUARANTINED
