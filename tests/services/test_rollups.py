"""Rollups are what GROUP BY would say: after a refresh always, without a mark at any moment."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any
from uuid import UUID

import pytest
from builders import a_postback, a_request, begin_call, claim_due
from sqlalchemy import func, insert, select, text

from tracker import sender
from tracker.config import DEFAULT_ZONE
from tracker.gateway import Accepted, Answer, Gateway, Refused, Unknown
from tracker.protocol.codes import error_class
from tracker.services import manage, receive, rollups, send, submit
from tracker.store import db, outbox
from tracker.store import rollups as store
from tracker.store.db import Sessions
from tracker.store.models import Message, Rollup, RollupMark

START = datetime(2026, 11, 20, 12, 59, 59, tzinfo=UTC)
HOUR = timedelta(hours=1)


def queued(sessions: Sessions, now: datetime = START, **changes: object) -> UUID:
    public_id, _ = submit.one(sessions, a_request(**changes), default_from=None, now=now)
    return public_id


def answered(sessions: Sessions, answer: Answer, now: datetime = START) -> None:
    (claimed,) = claim_due(sessions, 1, now)
    assert begin_call(sessions, claimed, now) is not None
    send.record(sessions, claimed, answer, zone=DEFAULT_ZONE, now=now)


def told(sessions: Sessions, body: bytes, now: datetime = START) -> None:
    receive.record(sessions, body, None, zone=DEFAULT_ZONE, now=now)


def marks(sessions: Sessions) -> set[datetime]:
    with sessions() as session:
        return set(session.scalars(select(RollupMark.hour)))


def counted(sessions: Sessions) -> Counter[tuple[Any, ...]]:
    """Count the messages alike, without the help of any hour."""
    columns = (Message.created_at, Message.status, Message.mms_id, Message.campaign_ref,
               Message.spid, Message.sent_as, Message.error_code)  # fmt: skip
    with sessions() as session:
        rows = session.execute(select(*columns)).all()
    return Counter((store.hour_of(created_at), *alike) for created_at, *alike in rows)


def kept(sessions: Sessions) -> Counter[tuple[Any, ...]]:
    columns = (Rollup.hour, Rollup.status, Rollup.mms_id, Rollup.campaign_ref, Rollup.spid,
               Rollup.sent_as, Rollup.code)  # fmt: skip
    with sessions() as session:
        rows = session.execute(select(*columns, Rollup.messages)).all()
    found: Counter[tuple[Any, ...]] = Counter()
    for *alike, messages in rows:
        assert tuple(alike) not in found  # one row for those alike
        found[tuple(alike)] = messages
    return found


def test_a_refresh_counts_the_marked_hours_and_ends_their_marks(sessions: Sessions) -> None:
    for hours in (0, 0, 1, 30):
        queued(sessions, START + hours * HOUR, campaign_ref=f"{hours + 1}")
    assert len(marks(sessions)) == 3
    assert rollups.refresh(sessions) == 3
    assert marks(sessions) == set()
    assert kept(sessions) == counted(sessions)
    assert sum(kept(sessions).values()) == 4
    assert rollups.refresh(sessions) == 0


def test_late_truth_about_an_old_hour_is_counted_there(sessions: Sessions) -> None:
    queued(sessions)
    answered(sessions, Accepted("TU1TXzEyMzQ2", None, ""))
    rollups.refresh(sessions)
    told(sessions, a_postback("N102", SENTAS="SMS"), START + 100 * HOUR)
    assert marks(sessions) == {store.hour_of(START)}
    rollups.refresh(sessions)
    ((alike, messages),) = kept(sessions).items()
    assert (alike[0], alike[1].value, alike[4:6], messages) == (
        store.hour_of(START), "delivered", ("0001890", "SMS"), 1,
    )  # fmt: skip


def claimed(sessions: Sessions, _: UUID) -> None:
    claim_due(sessions, 1, START)


def refused(sessions: Sessions, _: UUID) -> None:
    answered(sessions, Refused("E110", "no", error_class("E110"), ""))


def asked_again(sessions: Sessions, _: UUID) -> None:
    answered(sessions, Refused("E503", "later", error_class("E503"), ""))


def unknown(sessions: Sessions, _: UUID) -> None:
    answered(sessions, Unknown("no answer"))


def accepted(sessions: Sessions, _: UUID) -> None:
    answered(sessions, Accepted("T1", None, ""))


def cancelled(sessions: Sessions, public_id: UUID) -> None:
    manage.cancel(sessions, public_id, "test", START)


def vanished(sessions: Sessions, _: UUID) -> None:
    (taken,) = claim_due(sessions, 1, START)
    rollups.refresh(sessions)
    begin_call(sessions, taken, START)
    claim_due(sessions, 1, START + 2 * outbox.LEASE)


def resent(sessions: Sessions, public_id: UUID) -> None:
    cancelled(sessions, public_id)
    rollups.refresh(sessions)
    manage.resend(sessions, public_id, "test", START + HOUR)


@pytest.mark.parametrize(
    "change", [claimed, refused, asked_again, unknown, accepted, cancelled, vanished, resent]
)
def test_whatever_changes_a_message_marks_its_hour(
    sessions: Sessions, change: Callable[[Sessions, UUID], None]
) -> None:
    public_id = queued(sessions)
    rollups.refresh(sessions)
    before = counted(sessions)
    change(sessions, public_id)
    assert marks(sessions)
    rollups.refresh(sessions)
    assert kept(sessions) == counted(sessions) != before


def test_what_is_rolled_back_leaves_the_marks(sessions: Sessions) -> None:
    queued(sessions)
    with sessions() as session:
        assert store.refresh(session, store.marked(session)) == 1
        session.rollback()
    assert marks(sessions) == {store.hour_of(START)}
    assert kept(sessions) == Counter()


def test_hours_that_nobody_marked_stay_as_they_are(sessions: Sessions) -> None:
    queued(sessions)
    rollups.refresh(sessions)
    with sessions.begin() as session:
        session.execute(text("UPDATE rollups SET messages = 7"))
    queued(sessions, START + HOUR)
    assert rollups.refresh(sessions) == 1
    assert sorted(kept(sessions).values()) == [1, 7]


def test_on_postgresql_one_counts_while_others_leave_it_to_it(postgresql_url: str) -> None:
    sessions = db.connect(postgresql_url)
    queued(sessions)
    with sessions.begin() as session:
        assert store.refresh(session, store.marked(session)) == 1
        assert rollups.refresh(sessions) == 0  # another connection, at the same time
    assert rollups.refresh(sessions) == 0
    assert kept(sessions) == counted(sessions)
    db.engine_of(sessions).dispose()


def test_a_change_that_commits_during_the_count_is_counted_by_the_next(postgresql_url: str) -> None:
    """The change is under way when the marks are taken, and its own mark outlives them."""
    sessions = db.connect(postgresql_url)
    queued(sessions)
    with sessions.begin() as other:
        message = other.scalars(select(Message).with_for_update()).one()
        message.spid = "7"
        other.execute(insert(RollupMark).values(hour=store.hour_of(START)))
        other.flush()
        assert rollups.refresh(sessions) == 1
        assert [alike[4] for alike in kept(sessions)] == [None]
    assert marks(sessions) == {store.hour_of(START)}
    rollups.refresh(sessions)
    assert [alike[4] for alike in kept(sessions)] == ["7"]
    db.engine_of(sessions).dispose()


def test_under_concurrent_writers_and_counters_the_end_is_what_group_by_says(
    sessions: Sessions,
) -> None:
    """Every look at an hour without a mark, at any moment, finds its rollups right."""
    stop = Event()
    wrong: list[object] = []

    def again_and_again(work: Callable[[], object]) -> None:
        while not stop.wait(0.01):
            work()

    with ThreadPoolExecutor(6) as pool:
        counting = [
            pool.submit(again_and_again, lambda: rollups.refresh(sessions)) for _ in range(2)
        ]
        looking = pool.submit(again_and_again, lambda: wrong.extend(wrong_hours(sessions)))
        try:
            for writing in [pool.submit(write, sessions, part) for part in range(3)]:
                writing.result(120)
        finally:
            stop.set()
        for work in (*counting, looking):
            work.result(60)
    assert wrong == []
    rollups.refresh(sessions)
    assert marks(sessions) == set()
    assert kept(sessions) == counted(sessions)
    assert sum(kept(sessions).values()) == 36


def write(sessions: Sessions, part: int) -> None:
    """Queue messages in three hours, send whatever is due, and tell of it."""
    later = START + 4 * HOUR
    for number in range(12):
        queued(sessions, START + (number % 3) * HOUR, to=f"1202555{part}{number:03d}")
        for taken in claim_due(sessions, 1, later):
            begin_call(sessions, taken, later)
            answer = Accepted(f"T{part}_{number}", None, "")
            send.record(sessions, taken, answer, zone=DEFAULT_ZONE, now=later)
        told(sessions, a_postback("N102", TO=None, TRACKINGID=f"T{part}_{number}"))


def wrong_hours(sessions: Sessions) -> list[object]:
    """Return what is wrong in hours without a mark, at one moment."""
    wrong: list[object] = []
    with sessions() as session:
        if db.dialect_of(session) == "postgresql":
            session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        for hour in store.next_hours(session, START - 9 * HOUR, 9):
            said = store.stored(session, hour), store.counted(session, hour)
            if said[0] != said[1] and not store.is_marked(session, hour):
                wrong.append(said)
    return wrong


def test_the_sender_keeps_them_up_to_date(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "ROLLUP_SECONDS", 0.05)
    queued(sessions, datetime.now(UTC) + HOUR)  # not due: nothing is sent
    with running_sender(sessions):
        until(lambda: not marks(sessions))
    assert kept(sessions) == counted(sessions)


def test_trouble_with_them_stops_no_sending(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sender, "ROLLUP_SECONDS", 0.05)
    with sessions.begin() as session:
        session.execute(text("DROP TABLE rollups"))
    with running_sender(sessions):
        queued(sessions)
        until(lambda: "rollups not refreshed" in caplog.text)
        queued(sessions)
        until(lambda: all(attempts > 0 for attempts in attempts_of(sessions)))
    assert len(attempts_of(sessions)) == 2


def attempts_of(sessions: Sessions) -> list[int]:
    with sessions() as session:
        return list(session.scalars(select(Message.attempts)))


class running_sender:  # noqa: N801
    """A sender to a gateway that nobody reaches."""

    def __init__(self, sessions: Sessions) -> None:
        gateway = Gateway("http://127.0.0.1:1/", "k", 1)
        self._stop = Event()
        clock: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731
        made = sender.Sender(sessions, gateway, zone=DEFAULT_ZONE, clock=clock)
        self._thread = Thread(target=made.run, args=[self._stop])

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    while not condition():
        assert datetime.now(UTC) < deadline, "it did not happen in time"
        Event().wait(0.02)


def test_marks_are_counted_by_the_hour_not_one_by_one(sessions: Sessions) -> None:
    for _ in range(30):
        queued(sessions)
    with sessions() as session:
        assert session.scalar(select(func.count(RollupMark.id))) == 30
    assert rollups.refresh(sessions) == 1
