"""Keep postbacks and let them tell their messages what became of them.

`ingest` is behind every entrance: the endpoint, the command line, the spool. Ordinary events are
committed at once by the quick way (`at_once`), the rest of a batch in as few transactions as it
takes. What is in the journal when it returns stays there, whatever it holds. Only what is no
postback at all is refused, by `arrivals.read`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from tracker.domain.fold import Outcome
from tracker.store import db, postbacks
from tracker.store import ingest as store
from tracker.store.db import Sessions
from tracker.store.ingest import Changes, Done, Known

from . import answers, at_once, effects
from .arrivals import Arrival, Event, read, unread
from .judging import Judgement, is_odd, judge, keep_body, keys_of, links, names_of, row_of
from .matching import match_waiting

MAX_BATCH: Final = 256


MAX_EVENTS: Final = 2500  # of one transaction; PostgreSQL has 6400 locks for all of them together


RETRIES: Final = 3  # of a batch that lost against another one


_LOST_AGAINST_ANOTHER: Final = frozenset({"40001", "40P01"})  # serialisation failure, deadlock


log = logging.getLogger(__name__)


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was done with one event; a `postback_id` of 0: it was not kept."""

    postback_id: int
    is_repeat: bool
    outcome: Outcome | None
    reason: str

    @classmethod
    def of(cls, done: Done) -> "Recorded":
        """Return what the quick way has done."""
        return cls(done.postback_id, is_repeat=False, outcome=done.outcome, reason=done.reason)


Result = list[Recorded] | Exception


@dataclass(frozen=True, slots=True)
class Incoming:
    """An event on its way in, and where its answer belongs."""

    arrival: Arrival
    event: Event
    place: tuple[int, int]


_REPEATED: Final = "Known already; nothing changed."


_TOO_MANY_UNKNOWN: Final = "Not kept: its source has sent too many unknown tracking ids."


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
    done = again_if_lost(lambda: at_once.tell(db.engine_of(sessions), arrivals, now))
    return {place: [Recorded.of(one)] for place, one in done.items()}


def again_if_lost(do: Callable[[], T]) -> T:
    """Do it again when it lost against another transaction, or its kept connection was stale."""
    for _ in range(RETRIES - 1):
        try:
            return do()
        except DBAPIError as error:
            has_lost = getattr(error.orig, "sqlstate", None) in _LOST_AGAINST_ANOTHER
            if not (has_lost or error.connection_invalidated):
                raise
    return do()


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
    quarantined = unread(
        arrival.body, content_type, reason, arrival.headers, now=arrival.received_at
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
        for recorded in again_if_lost(partial(_ingest_once, sessions, some, zone, now))
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
        Incoming(arrival, event, (number, event.position))
        for number, arrival in enumerate(arrivals)
        for event in arrival.events
    ]
    recorded: dict[tuple[int, int], Recorded] = {}
    with sessions.begin() as session:
        answers.lock(session, [i.event.notification for i in incoming])
        store.lock(session, {name for i in incoming for name in names_of(i.event)})
        for one_by_one, run in groupby(incoming, key=lambda i: is_odd(i.event)):
            for some in ([one] for one in run) if one_by_one else [list(run)]:
                recorded |= take_together(session, some, now)
                recorded |= _taken(session, some, recorded, now)
                for key in links(i.event.notification for i in some):
                    match_waiting(session, key, zone=zone, now=now)
        effects.follow(
            session, [(i.event.notification, i.arrival.received_at) for i in incoming], now
        )
    return [
        [recorded[number, event.position] for event in arrival.events]
        for number, arrival in enumerate(arrivals)
    ]


def _taken(
    session: Session,
    incoming: Sequence[Incoming],
    recorded: Mapping[tuple[int, int], Recorded],
    now: datetime,
) -> dict[tuple[int, int], Recorded]:
    """Take what was just shelved as the lost answers it may be, and say what became of it."""
    shelved = [i for i in incoming if recorded[i.place].outcome is Outcome.UNMATCHED]
    if not answers.take_those_of(session, [i.event.notification for i in shelved], now):
        return {}
    ids = {recorded[i.place].postback_id: i.place for i in shelved}
    return {
        ids[row.id]: Recorded(
            row.id, is_repeat=False, outcome=Outcome(row.outcome), reason=row.outcome_reason
        )
        for row in postbacks.by_ids(session, list(ids))
    }


def take_together(
    session: Session, incoming: Sequence[Incoming], now: datetime
) -> dict[tuple[int, int], Recorded]:
    """Judge events in order of arrival against one reading of the database, and write it back."""
    if not incoming:
        return {}
    keys = {key for i in incoming if i.event.notification for key in keys_of(i.event.notification)}
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
    incoming: Incoming,
    known: Known,
    changes: Changes,
    fresh: dict[bytes, store.Values],
) -> Recorded:
    """Judge one event, or count it as a repeat of itself."""
    arrival, event = incoming.arrival, incoming.event
    before = known.events.get(event.fingerprint)
    if before is not None:
        keep_body(changes, arrival)
        changes.repeats[before.id] = changes.repeats.get(before.id, 0) + 1
        if before.message_id is not None:
            changes.touched.add(before.message_id)
        return Recorded(before.id, is_repeat=True, outcome=None, reason=_REPEATED)
    if event.fingerprint in fresh:
        keep_body(changes, arrival)
        fresh[event.fingerprint]["repeats"] += 1
        fresh[event.fingerprint]["last_received_at"] = arrival.received_at
        return Recorded(0, is_repeat=True, outcome=None, reason=_REPEATED)
    if event.notification is None:
        judgement = Judgement(Outcome.QUARANTINED, event.defect)
    else:
        judgement = judge(session, event.notification, known, arrival.received_at, changes)
    if judgement.outcome is Outcome.UNMATCHED and not arrival.may_wait:
        return Recorded(0, is_repeat=False, outcome=None, reason=_TOO_MANY_UNKNOWN)
    keep_body(changes, arrival)
    fresh[event.fingerprint] = row_of(arrival, event, judgement)
    return Recorded(0, is_repeat=False, outcome=judgement.outcome, reason=judgement.reason)
