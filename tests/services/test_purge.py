"""What is old leaves, what is in play stays, and no report notices."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from uuid import UUID

import pytest
from batch_support import a_file, a_row, done
from builders import a_postback, accepted, begin_call, claim_due, queued, reloaded
from ingest_support import eventually
from retention_support import grow_older
from sqlalchemy import func, select

from tracker import sender
from tracker.config import DEFAULT_ZONE
from tracker.domain.fold import Outcome
from tracker.domain.report import GroupBy
from tracker.domain.status import Status
from tracker.gateway import Gateway, Refused, Unknown
from tracker.protocol.codes import error_class
from tracker.services import accounts, bulk_actions, purge, receive, replay, rollups, send, submit
from tracker.services.bulk_actions import Wanted
from tracker.services.bulk_judging import Action
from tracker.services.purge import Purge, Retention
from tracker.services.rebuild import Mode, Rebuild
from tracker.services.recompute import Difference
from tracker.services.repeats import Repeat
from tracker.store import alerts, messages, postbacks, reports
from tracker.store import purge as store
from tracker.store import rollups as counts
from tracker.store.base import Base
from tracker.store.db import Sessions
from tracker.store.models import (
    AuditEntry,
    Batch,
    BatchError,
    Handset,
    Message,
    Postback,
    PostbackBody,
    RollupMark,
    SendAttempt,
)

YEAR = Retention(days=365, body_days=90)
OTHER = "12025550177"


def now() -> datetime:
    return datetime.now(UTC)


def told(sessions: Sessions, body: bytes) -> None:
    receive.record(sessions, body, "text/xml", zone=DEFAULT_ZONE, now=now())


def answered(sessions: Sessions, public_id: UUID, answer: Refused | Unknown) -> None:
    claim = next(c for c in claim_due(sessions, 100, now()) if c.public_id == public_id)
    assert begin_call(sessions, claim, now()) is not None
    send.record(sessions, claim, answer, zone=DEFAULT_ZONE, now=now())


def delivered(sessions: Sessions, tracking_id: str, **changes: object) -> UUID:
    public_id = accepted(sessions, tracking_id, **changes)
    told(sessions, a_postback("N101", TRACKINGID=tracking_id))
    told(sessions, a_postback("N102", TRACKINGID=tracking_id))
    return public_id


def refused(sessions: Sessions) -> UUID:
    public_id = queued(sessions, campaign_ref="7")
    answered(sessions, public_id, Refused("E110", "no", error_class("E110"), ""))
    return public_id


def purged(
    sessions: Sessions, retention: Retention = YEAR, *, step: int = 200, dry: bool = False
) -> Counter[str]:
    work = Purge(sessions, retention, now=now(), only_counts=dry, step=step, rest=lambda _: None)
    for _ in work.steps():
        pass
    work.end("tests", is_finished=True)
    return work.gone


def number_of(sessions: Sessions, model: type[Base]) -> int:
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def rows(sessions: Sessions) -> dict[str, int]:
    """Return how many rows each table has."""
    with sessions() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }


def report(sessions: Sessions) -> list[object]:
    """Return what reports say of the last two years, by everything they can be asked by."""
    said: list[object] = []
    with sessions() as session:
        for by in GroupBy:
            begin, end = counts.hour_of(now() - timedelta(days=730)), counts.hour_of(now())
            found: Counter[object] = Counter()
            live = reports.stale_hours(session, begin, end)
            for one in reports.counts(session, begin, end, by, live):
                found[one.group, one.status, one.sent_as] += one.messages
            said.append(sorted(found.items(), key=str))
    return said


def rebuilt(sessions: Sessions) -> list[Difference]:
    found: list[Difference] = []
    work = Rebuild(sessions, mode=Mode.REPAIR, zone=DEFAULT_ZONE, clock=now, tell=found.append)
    for _ in work.steps():
        pass
    work.end("tests", is_finished=True)
    return found


@pytest.fixture
def old(sessions: Sessions) -> dict[str, UUID]:
    """Messages of 400 days ago in many states, and one of today."""
    found = {
        "delivered": delivered(sessions, "T1"),
        "link": delivered(sessions, "T2", mms_id="777", to=OTHER),
        "refused": refused(sessions),
        "unknown": queued(sessions),
    }
    told(sessions, a_postback("N102", TRACKINGID="T2", SENTAS="SMS", TO=OTHER))
    answered(sessions, found["unknown"], Unknown("no answer"))
    told(sessions, a_postback("N102", TRACKINGID="NOBODYS"))
    told(sessions, b"<POSTBACK><CODE>N102 <TO>")
    rollups.refresh(sessions)
    grow_older(sessions, 400)
    found["queued"] = queued(sessions)
    found["new"] = delivered(sessions, "T3")
    rollups.refresh(sessions)
    return found


def test_what_is_over_and_old_leaves_with_all_that_hangs_on_it(
    sessions: Sessions, old: dict[str, UUID]
) -> None:
    gone = purged(sessions)
    with sessions() as session:
        left = {str(row) for row in session.scalars(select(Message.public_id))}
    assert left == {str(old[name]) for name in ("unknown", "queued", "new")}
    assert gone["messages"] == gone["message_contents"] == gone["send_attempts"] == 3
    assert gone["postbacks"] == 7  # two of each delivered one, one more, and two of the shelf
    assert number_of(sessions, Postback) == 2  # of the new one
    assert number_of(sessions, PostbackBody) == 2
    assert number_of(sessions, SendAttempt) == 2  # of the unknown one, and of the new one
    with sessions() as session:
        (said,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "purge"))
    assert "3 messages" in (said.detail or "")
    assert purged(sessions) == Counter()


def test_a_dry_run_counts_what_a_run_deletes_and_changes_nothing(
    sessions: Sessions, old: dict[str, UUID]
) -> None:
    before = rows(sessions)
    counted = purged(sessions, dry=True)
    assert rows(sessions) == before
    assert counted == purged(sessions)
    after = rows(sessions)
    assert {n: before[n] - after[n] for n in counted} == dict(counted)


@pytest.mark.parametrize("step", [1, 2, 200])
def test_no_report_changes_whatever_comes_after(
    sessions: Sessions, old: dict[str, UUID], step: int
) -> None:
    before = report(sessions)
    purged(sessions, step=step)
    assert report(sessions) == before
    told(sessions, a_postback("N102", TRACKINGID="T1"))  # of a message that is gone
    with sessions.begin() as session:  # each hour counted anew
        hours = counts.next_hours(session, datetime(2020, 1, 1, tzinfo=UTC), 100)
        session.add_all(RollupMark(hour=hour) for hour in hours)
    assert report(sessions) == before
    rollups.refresh(sessions)
    assert report(sessions) == before
    assert rebuilt(sessions) == []
    assert report(sessions) == before


def test_what_happens_to_what_is_left_of_an_hour_is_still_counted(
    sessions: Sessions, old: dict[str, UUID]
) -> None:
    purged(sessions)
    rollups.refresh(sessions)
    unmatched = a_postback("N101", TRACKINGID="late")
    told(sessions, unmatched)
    before = dict(of_status(sessions))
    with sessions.begin() as session:
        row = session.scalars(select(Message).where(Message.public_id == old["unknown"])).one()
        row.status = Status.REFUSED
        session.add(RollupMark(hour=counts.hour_of(row.created_at)))
    rollups.refresh(sessions)
    after = dict(of_status(sessions))
    assert after[Status.REFUSED] == before[Status.REFUSED] + 1
    assert sum(after.values()) == sum(before.values()) == 6


def of_status(sessions: Sessions) -> Counter[Status]:
    found: Counter[Status] = Counter()
    with sessions() as session:
        begin, end = now() - timedelta(days=730), now() + timedelta(hours=1)
        for one in reports.counts(session, begin, end, GroupBy.DAY, []):
            found[one.status] += one.messages
    return found


def test_hours_that_are_out_of_date_are_right_after_a_purge(
    sessions: Sessions, old: dict[str, UUID]
) -> None:
    """The purge meets an hour whose newest change is not counted yet."""
    work = Purge(sessions, YEAR, now=now(), step=1, rest=lambda _: None)
    before = None
    for _ in work.steps():
        if before is None:
            told(sessions, a_postback("E102", TRACKINGID="T2", TO=OTHER, TIMESTAMP=None))
            before = sum(of_status(sessions).values())
    rollups.refresh(sessions)
    assert sum(of_status(sessions).values()) == before


def test_a_late_postback_of_a_message_that_is_gone_waits_on_the_shelf(
    sessions: Sessions, old: dict[str, UUID]
) -> None:
    purged(sessions)
    told(sessions, a_postback("N102", TRACKINGID="T1"))
    with sessions() as session:
        last = postbacks.by_id(session, postbacks.last_id(session))
    assert last is not None
    assert last.outcome == Outcome.UNMATCHED


def test_bytes_leave_before_the_rest(sessions: Sessions) -> None:
    public_id = delivered(sessions, "T1")
    told(sessions, a_postback("N102", TRACKINGID="LATER"))
    grow_older(sessions, 100)
    told(sessions, a_postback("N101", TRACKINGID="today"))
    assert purged(sessions) == Counter(postback_bodies=3)
    assert reloaded(sessions, public_id).status is Status.DELIVERED
    assert number_of(sessions, Postback) == 4
    with sessions() as session:
        row = postbacks.by_id(session, 1)
        assert row is not None
        assert postbacks.body(session, row).is_gone
    assert rebuilt(sessions) == []


def test_a_postback_whose_bytes_are_gone_is_not_judged_anew(sessions: Sessions) -> None:
    told(sessions, a_postback("N102", TRACKINGID="LATER"))
    grow_older(sessions, 100)
    told(sessions, a_postback("N101", TRACKINGID="today"))
    purged(sessions)
    found = list(
        replay.run(
            sessions, replay.ReplayFilter(ids=(1,)), actor="tests", is_dry_run=False,
            zone=DEFAULT_ZONE, now=now(),
        )
    )  # fmt: skip
    assert [one.error for one in found] == ["Its bytes are kept no more."]
    public_id = accepted(sessions, "LATER")  # its answer names the same id, and is stored
    assert reloaded(sessions, public_id).status is Status.ACCEPTED


def test_what_was_heard_of_since_stays(sessions: Sessions) -> None:
    public_id = delivered(sessions, "T1")
    grow_older(sessions, 400)
    told(sessions, a_postback("N102", TRACKINGID="T1", TIMESTAMP="2026-11-26T07:20:49-05:00"))
    queued(sessions)
    assert "messages" not in purged(sessions)
    assert reloaded(sessions, public_id).status is Status.DELIVERED


def test_the_handset_leaves_with_the_last_message(sessions: Sessions) -> None:
    delivered(sessions, "T1")
    grow_older(sessions, 400)
    delivered(sessions, "T2")
    purged(sessions)
    assert number_of(sessions, Handset) == 1
    grow_older(sessions, 400)
    queued(sessions)
    purged(sessions)
    assert number_of(sessions, Handset) == 0


def test_a_name_outlives_its_message(sessions: Sessions) -> None:
    """What was sent under a key is not sent again under it."""
    token = accounts.create_token(sessions, "shop", actor="tests", now=now())
    repeat = Repeat(token.id, "order-4711")
    request = {"to": "12025550143", "mms_id": "1", "from": "11111"}
    first, _ = submit.one(sessions, request, default_from=None, now=now(), repeat=repeat)
    answered(sessions, first, Refused("E110", "no", error_class("E110"), ""))
    grow_older(sessions, 400)
    queued(sessions)
    assert purged(sessions)["messages"] == 1
    with pytest.raises(ValueError, match="erased"):
        submit.one(sessions, request, default_from=None, now=now(), repeat=repeat)


def test_batches_keep_their_counts_and_lose_their_cells(sessions: Sessions) -> None:
    wrong = a_file([f"+{OTHER} ext,45633,r-1,A,B", a_row(2), a_row(3)])
    batch = done(sessions, wrong, skips_wrong_rows=True)
    assert number_of(sessions, BatchError) > 0
    grow_older(sessions, 400)
    purged(sessions)
    with sessions() as session:
        kept = session.scalars(select(Batch).where(Batch.public_id == batch.public_id)).one()
        assert (kept.queued_rows, kept.defaults) == (2, {})
    assert number_of(sessions, BatchError) == 0
    assert number_of(sessions, Message) == 2  # they are queued still


def test_finished_actions_and_closed_alerts_leave(sessions: Sessions) -> None:
    public_id = queued(sessions)
    wanted = Wanted(action=Action.CANCEL, named=(public_id,))
    action = bulk_actions.propose(sessions, wanted, actor="user:olga", now=now())
    bulk_actions.confirm(sessions, action, reason="", said="1", actor="user:olga", now=now())
    bulk_actions.go_on(sessions, action, clock=now)
    with sessions.begin() as session:
        alerts.sound(session, "queue_error", "gateway", "It was full.", now())
        alerts.sound(session, "account", "N803", "It is empty.", now())
        alerts.close(session, 1, "user:olga", now())
    grow_older(sessions, 400)
    queued(sessions)
    gone = purged(sessions)
    assert (gone["bulk_actions"], gone["bulk_action_items"], gone["alerts"]) == (1, 1, 1)
    assert gone["messages"] == 1


def test_a_flood_of_postbacks_to_one_message_leaves_in_steps(
    sessions: Sessions, old: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST_POSTBACKS", 2)
    before = report(sessions)
    assert purged(sessions)["messages"] == 3
    assert report(sessions) == before


def test_two_at_once_and_live_traffic_lose_nothing(
    sessions: Sessions, old: dict[str, UUID]
) -> None:
    before = sum(of_status(sessions).values())
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(purged, sessions, step=1) for _ in range(2)]
        writing = pool.submit(lambda: [delivered(sessions, f"L{n}") for n in range(5)])
        writing.result(120)
        assert sum(run.result(120)["messages"] for run in runs) == 3
    rollups.refresh(sessions)
    assert sum(of_status(sessions).values()) == before + 5


def test_the_daily_run_is_one_for_all_senders(sessions: Sessions) -> None:
    assert purge.take_turn(sessions, now())
    assert not purge.take_turn(sessions, now() + timedelta(hours=23))
    assert purge.take_turn(sessions, now() + timedelta(hours=25))
    purge.give_turn_back(sessions)
    assert purge.take_turn(sessions, now())


def test_the_sender_does_it_by_itself_and_only_when_it_is_set(
    sessions: Sessions, old: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "ROLLUP_SECONDS", 0.05)
    kept = purge.DailyPurge(sessions, Retention(), now)
    kept.go_on(Event())
    with sessions() as session:
        assert messages.by_public_id(session, old["delivered"])
    stop = Event()
    made = sender.Sender(
        sessions, Gateway("http://127.0.0.1:1/", "k", 1), zone=DEFAULT_ZONE, clock=now,
        retention=YEAR,
    )  # fmt: skip
    thread = Thread(target=made.run, args=[stop])
    thread.start()
    try:
        assert eventually(lambda: number_of(sessions, Message) == 3)
    finally:
        stop.set()
        thread.join()
