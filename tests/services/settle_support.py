"""What the tests of settling share: messages whose answer was lost, and their postbacks."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Barrier
from uuid import UUID

from builders import NUMBER, a_postback, begin_call, claim_due, queued
from sqlalchemy import select

from tracker.config import DEFAULT_ZONE
from tracker.gateway import Answer, Unknown
from tracker.services import answers, receive, send, timeline
from tracker.services.rebuild import Counts, Mode, Rebuild
from tracker.services.recompute import Difference
from tracker.services.timeline import TimelineEntry
from tracker.store import db, messages
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, Postback, Settlement
from tracker.store.outbox import Claim

LOST = Unknown("no answer in time")
SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Call:
    """A call of the gateway that has begun."""

    public_id: UUID
    claimed: Claim
    began: datetime


def begun(sessions: Sessions, at: datetime, **changes: object) -> Call:
    """Queue a message and begin its call."""
    public_id = queued(sessions, **changes)
    claimed = next(c for c in claim_due(sessions, 100, at) if c.public_id == public_id)
    assert begin_call(sessions, claimed, at) is not None
    return Call(public_id, claimed, at)


def ended(sessions: Sessions, call: Call, now: datetime, answer: Answer = LOST) -> None:
    send.record(sessions, call.claimed, answer, zone=DEFAULT_ZONE, now=now)


def lost(sessions: Sessions, at: datetime, **changes: object) -> UUID:
    """Queue a message, call the gateway, and lose its answer half a minute later."""
    call = begun(sessions, at, **changes)
    ended(sessions, call, at + 30 * SECOND)
    return call.public_id


def told(
    sessions: Sessions, at: datetime, code: str = "N101", tracking_id: str = "MMS_1", **changes: str
) -> int:
    """Record a postback and return its id."""
    body = a_postback(code, **{"TRACKINGID": tracking_id, "TO": NUMBER, **changes})
    (recorded,) = receive.record(sessions, body, "text/xml", zone=DEFAULT_ZONE, now=at)
    return recorded.postback_id


@contextmanager
def taking(database_url: str) -> Iterator[Sessions]:
    """Connect as whoever may take answers."""
    sessions = db.connect(database_url)
    answers.let_take(sessions, DEFAULT_ZONE)
    try:
        yield sessions
    finally:
        db.engine_of(sessions).dispose()


def at_once(*jobs: Callable[[], object]) -> None:
    """Do several things at the same moment, and wait for all of them."""
    start = Barrier(len(jobs))

    def run(job: Callable[[], object]) -> object:
        start.wait(10)
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        for done in [pool.submit(run, job) for job in jobs]:
            done.result()


def differences(sessions: Sessions, clock: Callable[[], datetime]) -> list[Difference]:
    """Return what a rebuild finds."""
    found: list[Difference] = []
    run = Rebuild(sessions, mode=Mode.DRY_RUN, zone=DEFAULT_ZONE, clock=clock, tell=found.append)
    for _ in run.steps():
        pass
    assert isinstance(run.counts, Counts)
    return found


def story(sessions: Sessions, public_id: UUID) -> list[TimelineEntry]:
    with sessions() as session:
        row = messages.by_public_id(session, public_id)
        assert row is not None
        return timeline.of_message(session, row)


def settlements(sessions: Sessions) -> list[Settlement]:
    with sessions() as session:
        return list(session.scalars(select(Settlement).order_by(Settlement.id)))


def audited(sessions: Sessions) -> list[tuple[str, str | None, str | None]]:
    with sessions() as session:
        found = select(AuditEntry).where(AuditEntry.action == "message.settle")
        return [(e.actor, e.subject, e.detail) for e in session.scalars(found)]


def outcome(sessions: Sessions, postback_id: int) -> str:
    with sessions() as session:
        found = session.scalar(select(Postback.outcome).where(Postback.id == postback_id))
    assert found is not None
    return found
