"""The demonstration: a week that the tracker's own functions have made true."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from builders import queued
from sqlalchemy import func, select

from tracker.config import DEFAULT_ZONE
from tracker.domain.status import Status
from tracker.services.demo import Demo, NotEmptyError
from tracker.services.demo_plan import Plan
from tracker.services.rebuild import Mode, Rebuild
from tracker.store import alerts, db, outbox, rollups, suppressions
from tracker.store.db import Sessions
from tracker.store.models import Batch, Handset, Message, Postback, Rollup

UNTIL = datetime(2026, 11, 26, 22, 30, tzinfo=UTC)
MESSAGES = 150


def filled(sessions: Sessions, messages: int = MESSAGES, seed: int = 1) -> None:
    plan = Plan(messages, UNTIL, DEFAULT_ZONE, seed)
    work = Demo(sessions, plan, messages=messages, zone=DEFAULT_ZONE, actor="tests")
    *_, last = work.steps()
    assert last.done == last.total


def counted(sessions: Sessions, column: Any) -> dict[Any, int]:
    with sessions() as session:
        found = session.execute(select(column, func.count()).group_by(column))
        return {row[0]: row[1] for row in found}


def test_a_week_has_everything_that_can_become_of_a_message(sessions: Sessions) -> None:
    filled(sessions, 1500)
    statuses = counted(sessions, Message.status)
    failures = {Status.EXPIRED, Status.REJECTED, Status.UNSUPPORTED, Status.FAILED, Status.REFUSED}
    assert failures | {Status.DELIVERED, Status.SENT, Status.UNKNOWN, Status.QUEUED} <= set(
        statuses
    )
    assert statuses[Status.DELIVERED] > 0.85 * sum(statuses.values())
    assert counted(sessions, Message.sent_as)["SMS"] > 5
    assert {"applied", "unmatched", "quarantined"} <= set(counted(sessions, Postback.outcome))
    assert len(counted(sessions, Message.mms_id)) > 1
    assert len(counted(sessions, Message.spid)) == 4  # three carriers, and not known yet
    assert len(counted(sessions, Handset.handset)) > 3
    assert counted(sessions, Batch.hold) == {"paused": 1}
    with sessions() as session:
        assert alerts.open_count(session) == 1
        assert len(suppressions.page(session, limit=5).items) == 1
        hours = func.extract("hour", Message.created_at)
        by_hour = {
            row[0]: row[1] for row in session.execute(select(hours, func.count()).group_by(hours))
        }
    assert by_hour[16] > 5 * by_hour.get(8, 0)  # noon against three in the morning, in New York


def test_nothing_of_it_can_be_sent(sessions: Sessions) -> None:
    filled(sessions)
    with sessions() as session:
        counts = outbox.counts(session, UNTIL + timedelta(days=365))
    assert (counts.due, counts.later, counts.sending) == (0, 0, 0)


def test_every_status_handset_and_count_follows_from_the_bytes(sessions: Sessions) -> None:
    filled(sessions)
    found: list[object] = []
    work = Rebuild(
        sessions, mode=Mode.DRY_RUN, zone=DEFAULT_ZONE, clock=lambda: UNTIL, tell=found.append
    )
    for _ in work.steps():
        pass
    assert found == []
    assert work.counts.messages >= MESSAGES
    with sessions() as session:
        assert rollups.marked(session) == []
        assert session.scalar(select(func.sum(Rollup.messages))) == work.counts.messages


def told(sessions: Sessions) -> list[tuple[Any, ...]]:
    wanted = (
        Message.recipient, Message.status, Message.created_at, Message.accepted_at,
        Message.tracking_id, Message.handset, Message.finished_at,
    )  # fmt: skip
    with sessions() as session:
        rows = [tuple(row) for row in session.execute(select(*wanted).order_by(Message.id))]
        ids = session.scalars(select(Message.public_id).order_by(Message.id))
        return [*rows, *((id_,) for id_ in ids)]


def test_the_same_seed_and_end_make_the_same_week(sqlite_url: str, postgresql_url: str) -> None:
    weeks = []
    for url in (sqlite_url, postgresql_url):
        factory = db.connect(url)
        filled(factory)
        weeks.append(told(factory))
        db.engine_of(factory).dispose()
    assert weeks[0] == weeks[1]


def test_another_seed_makes_another_week(sessions: Sessions) -> None:
    first = Plan(100, UNTIL, DEFAULT_ZONE, 1)
    second = Plan(100, UNTIL, DEFAULT_ZONE, 2)
    assert [*first.hours()] != [*second.hours()]


def test_a_database_with_a_message_is_left_alone(sessions: Sessions) -> None:
    queued(sessions)
    with pytest.raises(NotEmptyError):
        filled(sessions)
    assert sum(counted(sessions, Message.status).values()) == 1
    assert counted(sessions, Postback.outcome) == {}
