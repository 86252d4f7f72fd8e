"""The overview's questions, on both databases."""

from datetime import UTC, datetime, timedelta

from builders import a_postback, accepted, queued
from sqlalchemy import update

from tracker.config import DEFAULT_ZONE
from tracker.domain.fold import Outcome
from tracker.domain.overview import HOUR
from tracker.domain.status import Status
from tracker.services import manage, receive, rollups
from tracker.store import overview
from tracker.store.db import Sessions
from tracker.store.models import Message
from tracker.store.rollups import hour_of


def told(sessions: Sessions, code: str, number: int, **changes: str) -> None:
    body = a_postback(code, TRACKINGID=f"MMS_{number}", **changes)
    receive.record(sessions, body, "text/xml", zone=DEFAULT_ZONE, now=datetime.now(UTC))


def test_counts_come_from_the_rollups_and_say_when_they_are_behind(sessions: Sessions) -> None:
    for number in range(3):
        accepted(sessions, f"MMS_{number}")
    told(sessions, "N102", 0)
    told(sessions, "E101", 1)
    now = datetime.now(UTC)
    with sessions() as session:
        assert overview.is_behind(session)
        assert overview.first_hour(session) is None
    rollups.refresh(sessions)
    with sessions() as session:
        assert not overview.is_behind(session)
        assert overview.first_hour(session) == hour_of(now)
        counts = {one.status: one.messages for one in overview.hourly(session, hour_of(now))}
        assert counts == {Status.DELIVERED: 1, Status.FAILED: 1, Status.ACCEPTED: 1}
        assert overview.hourly(session, hour_of(now) + HOUR) == []
        (failed,) = overview.failures(session, hour_of(now), 8)
        assert (failed.status, failed.code, failed.messages) == (Status.FAILED, None, 1)
        (carrier,) = overview.carriers(session, hour_of(now), 8)
        assert (carrier.spid, carrier.messages) == ("0001890", 2)
        assert (carrier.ended, carrier.delivered) == (2, 1)


def test_a_sample_takes_the_newest_of_each_hour(sessions: Sessions) -> None:
    made = [accepted(sessions, f"MMS_{number}") for number in range(4)]
    hour = hour_of(datetime.now(UTC))
    with sessions.begin() as session:
        for number, public_id in enumerate(made):
            at = hour - HOUR * (number % 2) + timedelta(minutes=number)
            moved = update(Message).where(Message.public_id == public_id).values(created_at=at)
            session.execute(moved)
    with sessions() as session:
        rows = overview.sample(session, [hour - HOUR, hour], 1)
    minutes = sorted((row.created_at - hour) // timedelta(minutes=1) for row in rows)
    assert minutes == [-57, 2]


def test_the_queue_is_counted_to_its_bound(sessions: Sessions) -> None:
    for _ in range(3):
        queued(sessions)
    later = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    queued(sessions, send_at=later)
    manage.cancel(sessions, queued(sessions), "tests", datetime.now(UTC))
    with sessions() as session:
        whole = overview.queue(session, datetime.now(UTC))
        cut = overview.queue(session, datetime.now(UTC), most=2)
    assert (whole.due.count, whole.due.is_more, whole.later, whole.sending) == (3, False, 1, 0)
    assert whole.oldest_due_at is not None
    assert (cut.due.count, cut.due.is_more) == (2, True)


def test_the_shelf_is_counted_to_its_bound(sessions: Sessions) -> None:
    for number in range(3):
        told(sessions, "N101", number)
    with sessions() as session:
        whole = overview.on_shelf(session, Outcome.UNMATCHED)
        cut = overview.on_shelf(session, Outcome.UNMATCHED, most=2)
        assert overview.on_shelf(session, Outcome.QUARANTINED).count == 0
        at = overview.last_postback_at(session)
    assert (whole.count, whole.is_more, cut.count, cut.is_more) == (3, False, 2, True)
    assert at is not None


def test_an_empty_database_has_no_last_postback(sessions: Sessions) -> None:
    with sessions() as session:
        assert overview.last_postback_at(session) is None
        assert overview.queue(session, datetime.now(UTC)).oldest_due_at is None
