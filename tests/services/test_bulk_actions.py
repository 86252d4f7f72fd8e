"""Bulk actions: counted first, done once however often they are confirmed, resumed by anybody."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from builders import accepted, queued, reloaded
from sqlalchemy import func, select, update

from tracker.domain.message import InvalidMessageError
from tracker.domain.status import Status
from tracker.services import bulk_actions, manage
from tracker.services.bulk_actions import NoSuchActionError, Wanted
from tracker.services.bulk_judging import Action
from tracker.store import bulk_actions as store
from tracker.store import suppressions
from tracker.store.bulk_actions import BulkActionRow
from tracker.store.cursors import BadCursorError
from tracker.store.db import Sessions
from tracker.store.messages import MessageFilter
from tracker.store.models import AuditEntry, BulkActionItem, Message, Settlement

ACTOR = "user:olga"


def clock() -> datetime:
    return datetime.now(UTC)


def become(sessions: Sessions, status: Status, *public_ids: UUID) -> Sequence[UUID]:
    with sessions.begin() as session:
        session.execute(
            update(Message)
            .where(Message.public_id.in_(public_ids))
            .values(status=status, due_at=None)
        )
    return public_ids


def some(sessions: Sessions, status: Status, number: int) -> Sequence[UUID]:
    return become(sessions, status, *[queued(sessions) for _ in range(number)])


def proposed(sessions: Sessions, action: Action, *named: UUID, **more: object) -> UUID:
    wanted = Wanted(action=action, named=named, **more)  # type: ignore[arg-type]
    return bulk_actions.propose(sessions, wanted, actor=ACTOR, now=clock())


def confirmed(sessions: Sessions, public_id: UUID, reason: str = "") -> None:
    bulk_actions.confirm(
        sessions, public_id, reason=reason, said="all messages", actor=ACTOR, now=clock()
    )


def done(sessions: Sessions, public_id: UUID, reason: str = "") -> BulkActionRow:
    confirmed(sessions, public_id, reason)
    while not (row := bulk_actions.go_on(sessions, public_id, clock, seconds=0)).finished_at:
        pass
    return row


def row_of(sessions: Sessions, public_id: UUID) -> BulkActionRow:
    with sessions() as session:
        row = store.by_public_id(session, public_id)
    assert row is not None
    return row


def messages_in_all(sessions: Sessions) -> int:
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(Message)) or 0


def audited(sessions: Sessions, action: str) -> list[AuditEntry]:
    with sessions() as session:
        return list(session.scalars(select(AuditEntry).where(AuditEntry.action == action)))


def test_what_would_be_done_is_counted_with_reasons_and_nothing_is_done(
    sessions: Sessions,
) -> None:
    some(sessions, Status.FAILED, 2)
    some(sessions, Status.EXPIRED, 1)
    some(sessions, Status.QUEUED, 1)
    manage.resend(sessions, some(sessions, Status.FAILED, 1)[0], ACTOR, clock())
    before = messages_in_all(sessions)
    row = row_of(sessions, proposed(sessions, Action.RESEND))
    assert (row.chosen, row.statuses) == (3, {"Failed": 2, "Expired": 1})
    assert row.against == {"Still to be sent.": 2, "Sent again before.": 1}
    assert messages_in_all(sessions) == before
    assert row_of(sessions, row.public_id).confirmed_at is None


def test_a_proposal_that_is_not_confirmed_does_nothing(sessions: Sessions) -> None:
    some(sessions, Status.FAILED, 1)
    public_id = proposed(sessions, Action.RESEND)
    row = bulk_actions.go_on(sessions, public_id, clock)
    assert (row.done, row.finished_at, messages_in_all(sessions)) == (0, None, 1)


def test_cancelling_takes_the_queued_ones_out_each_with_its_line_in_the_audit(
    sessions: Sessions,
) -> None:
    waiting = some(sessions, Status.QUEUED, 3)
    row = done(sessions, proposed(sessions, Action.CANCEL, *waiting))
    assert (row.done, row.skipped) == (3, 0)
    assert {reloaded(sessions, one).status for one in waiting} == {Status.CANCELLED}
    assert {e.subject for e in audited(sessions, "message.cancel")} == {str(w) for w in waiting}
    (line,) = audited(sessions, "messages.bulk")
    assert (line.actor, line.subject) == (ACTOR, str(row.public_id))
    assert line.detail == "cancel, 3 messages; all messages"


def test_what_was_frozen_is_acted_on_and_nothing_that_came_later(sessions: Sessions) -> None:
    some(sessions, Status.QUEUED, 2)
    public_id = proposed(sessions, Action.CANCEL)
    later = queued(sessions)
    assert done(sessions, public_id).done == 2
    assert reloaded(sessions, later).status is Status.QUEUED


def test_what_changed_between_is_skipped_with_its_reason(sessions: Sessions) -> None:
    first, second, third = some(sessions, Status.QUEUED, 3)
    public_id = proposed(sessions, Action.CANCEL, first, second, third)
    become(sessions, Status.DELIVERED, second)
    row = done(sessions, public_id)
    assert (row.done, row.skipped) == (2, 1)
    with sessions() as session:
        reason = "Delivered: only what is queued can be cancelled."
        assert store.reasons(session, row.id, 5) == [(reason, 1)]
        assert store.skipped(session, row.id, 5) == [(second, reason)]


def test_a_suppressed_number_is_left_out_and_one_suppressed_since_is_skipped(
    sessions: Sessions,
) -> None:
    stopped = become(sessions, Status.FAILED, queued(sessions, to="12025550150"))
    later = become(sessions, Status.FAILED, queued(sessions, to="12025550151"))
    with sessions.begin() as session:
        suppressions.add(session, "12025550150", "STOP", None, told_at=None, now=clock())
    public_id = proposed(sessions, Action.RESEND, *stopped, *later)
    assert row_of(sessions, public_id).against == {"The number is suppressed.": 1}
    with sessions.begin() as session:
        suppressions.add(session, "12025550151", "STOP", None, told_at=None, now=clock())
    row = done(sessions, public_id)
    assert (row.done, row.skipped, messages_in_all(sessions)) == (0, 1, 2)
    with sessions() as session:
        ((reason, _),) = store.reasons(session, row.id, 5)
    assert "12025550151" not in reason


def test_a_confirm_that_is_sent_twice_sends_once(sessions: Sessions) -> None:
    failed = some(sessions, Status.FAILED, 3)
    public_id = proposed(sessions, Action.RESEND, *failed)
    done(sessions, public_id)
    row = done(sessions, public_id)
    assert (row.done, row.skipped, messages_in_all(sessions)) == (3, 0, 6)
    assert len(audited(sessions, "messages.bulk")) == 1
    again = row_of(sessions, proposed(sessions, Action.RESEND, *failed))
    assert (again.chosen, again.against) == (0, {"Sent again before.": 3})


def test_actions_for_the_same_messages_at_once_send_once(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "STEP", 2)
    failed = some(sessions, Status.FAILED, 12)
    other = proposed(sessions, Action.RESEND, *failed)  # the same messages, asked for twice over
    public_id = proposed(sessions, Action.RESEND, *failed)
    barrier = Barrier(4)

    def work(one: UUID) -> None:
        barrier.wait()
        confirmed(sessions, one)
        bulk_actions.go_on(sessions, one, clock, seconds=30)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, [public_id, other, public_id, other]))
    rows = [row_of(sessions, one) for one in (public_id, other)]
    assert sum(row.done for row in rows) == 12
    assert sum(row.skipped for row in rows) == 12
    assert all(row.finished_at for row in rows)
    assert messages_in_all(sessions) == 24


def test_a_second_request_at_once_only_says_how_far_it_is(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "STEP", 1)
    monkeypatch.setattr(bulk_actions, "REST", 0.1)
    some(sessions, Status.QUEUED, 6)
    public_id = proposed(sessions, Action.CANCEL)
    confirmed(sessions, public_id)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(bulk_actions.go_on, sessions, public_id, clock, 30)
        while not row_of(sessions, public_id).done:
            pass
        second = bulk_actions.go_on(sessions, public_id, clock, seconds=30)
        assert not second.finished_at
        assert 1 <= second.done < 6
        row = first.result()
    assert (row.done, row.skipped) == (6, 0)
    assert row.finished_at


def test_a_request_ends_when_another_process_goes_on(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "STEP", 1)
    some(sessions, Status.QUEUED, 6)
    public_id = proposed(sessions, Action.CANCEL)
    confirmed(sessions, public_id)

    def other(_: float) -> None:  # it comes while this one rests
        monkeypatch.setattr(bulk_actions, "_working", set())
        monkeypatch.setattr(time, "sleep", lambda _: None)
        bulk_actions.go_on(sessions, public_id, clock, seconds=0)

    monkeypatch.setattr(time, "sleep", other)
    assert bulk_actions.go_on(sessions, public_id, clock, seconds=30).done == 2


def test_other_writers_have_their_turn_while_one_works(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "STEP", 5)
    some(sessions, Status.QUEUED, 150)
    public_id = proposed(sessions, Action.CANCEL)
    confirmed(sessions, public_id)
    turns = 0
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(bulk_actions.go_on, sessions, public_id, clock, 60)
        while not work.done():
            queued(sessions)
            turns += 1
            time.sleep(0.05)
        assert work.result().done == 150
    assert turns > 5


def test_a_step_that_breaks_off_leaves_nothing_behind_and_is_done_again(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = some(sessions, Status.FAILED, 3)
    public_id = proposed(sessions, Action.RESEND, *failed)
    confirmed(sessions, public_id)
    note = store.note

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "note", dies)
    with pytest.raises(KeyboardInterrupt):
        bulk_actions.go_on(sessions, public_id, clock)
    assert messages_in_all(sessions) == 3
    monkeypatch.setattr(store, "note", note)
    assert bulk_actions.go_on(sessions, public_id, clock).done == 3
    assert messages_in_all(sessions) == 6


def test_a_person_sees_what_she_left_unfinished(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "STEP", 1)
    some(sessions, Status.QUEUED, 2)
    public_id = proposed(sessions, Action.CANCEL)
    with sessions() as session:
        assert store.unfinished(session, ACTOR) is None
    confirmed(sessions, public_id)
    row = bulk_actions.go_on(sessions, public_id, clock, seconds=0)
    assert (row.done, row.finished_at) == (1, None)
    with sessions() as session:
        assert store.unfinished(session, ACTOR) == public_id
        assert store.unfinished(session, "user:other") is None
    done(sessions, public_id)
    with sessions() as session:
        assert store.unfinished(session, ACTOR) is None


def test_who_stops_an_action_leaves_the_rest_as_it_was(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "STEP", 1)
    waiting = some(sessions, Status.QUEUED, 3)
    public_id = proposed(sessions, Action.CANCEL, *waiting)
    bulk_actions.stop(sessions, public_id, actor="user:admin", now=clock())  # not confirmed yet
    assert row_of(sessions, public_id).finished_at is None
    confirmed(sessions, public_id)
    bulk_actions.go_on(sessions, public_id, clock, seconds=0)
    with sessions() as session:
        ((found, who, _),) = store.unfinished_of_others(session, "user:admin", 5)
        assert (found, who) == (public_id, ACTOR)
        assert store.unfinished_of_others(session, ACTOR, 5) == []
    for _ in range(2):
        bulk_actions.stop(sessions, public_id, actor="user:admin", now=clock())
    row = bulk_actions.go_on(sessions, public_id, clock)
    assert (row.done, row.skipped, row.chosen) == (1, 0, 3)
    assert [reloaded(sessions, one).status for one in waiting].count(Status.QUEUED) == 2
    (line,) = audited(sessions, "messages.bulk_stop")
    assert (line.actor, line.subject) == ("user:admin", str(public_id))
    assert line.detail == "cancel, after 1 of 3 messages"
    with sessions() as session:
        assert store.unfinished_of_others(session, "user:admin", 5) == []
    with pytest.raises(NoSuchActionError):
        bulk_actions.stop(sessions, uuid4(), actor=ACTOR, now=clock())


@pytest.mark.parametrize(
    ("action", "status"), [(Action.SENT, Status.SENT), (Action.NOT_SENT, Status.REFUSED)]
)
def test_lost_answers_are_settled_with_the_reason_kept_for_each(
    sessions: Sessions, action: Action, status: Status
) -> None:
    unknown = some(sessions, Status.UNKNOWN, 2)
    told = accepted(sessions)
    public_id = proposed(sessions, action, *unknown, told)
    assert sum(row_of(sessions, public_id).against.values()) == 1
    row = done(sessions, public_id, reason="The gateway's   report\nsays so.")
    assert (row.done, row.skipped) == (2, 0)
    assert {reloaded(sessions, one).status for one in unknown} == {status}
    with sessions() as session:
        kept = list(session.scalars(select(Settlement)))
    assert [(k.actor, k.reason) for k in kept] == [(ACTOR, "The gateway's report says so.")] * 2
    again = row_of(sessions, proposed(sessions, action, *unknown))
    assert again.against == {"Marked so before.": 2}


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "a\u202eb"])
def test_settling_needs_a_reason_and_stays_unconfirmed_without(
    sessions: Sessions, reason: str
) -> None:
    some(sessions, Status.UNKNOWN, 1)
    public_id = proposed(sessions, Action.SENT)
    with pytest.raises(InvalidMessageError) as caught:
        confirmed(sessions, public_id, reason)
    assert caught.value.problems[0].field == "reason"
    assert row_of(sessions, public_id).confirmed_at is None


def test_one_action_looks_at_no_more_than_it_may_and_the_next_begins_behind_it(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "MOST", 4)
    monkeypatch.setattr(bulk_actions, "PAGE", 2)
    made = [queued(sessions, campaign_ref="7") for _ in range(5)]
    queued(sessions)
    question = MessageFilter(campaign_ref="7")
    row = row_of(sessions, proposed(sessions, Action.CANCEL, question=question))
    assert row.chosen == 4
    rest = row_of(
        sessions, proposed(sessions, Action.CANCEL, question=question, cursor=row.next_cursor)
    )
    assert (rest.chosen, rest.next_cursor) == (1, None)
    done(sessions, rest.public_id)
    assert reloaded(sessions, made[0]).status is Status.CANCELLED
    with pytest.raises(BadCursorError):
        proposed(sessions, Action.CANCEL, question=question, cursor="nonsense")


def test_proposals_are_forgotten_after_a_day(sessions: Sessions) -> None:
    some(sessions, Status.QUEUED, 1)
    old = proposed(sessions, Action.CANCEL)
    tomorrow = clock() + timedelta(days=1, minutes=1)
    with pytest.raises(NoSuchActionError):
        bulk_actions.confirm(sessions, old, reason="", said="", actor=ACTOR, now=tomorrow)
    wanted = Wanted(action=Action.CANCEL)
    bulk_actions.propose(sessions, wanted, actor=ACTOR, now=tomorrow)
    with sessions() as session:
        assert store.by_public_id(session, old) is None
        items = session.scalar(select(func.count()).select_from(BulkActionItem))
    assert items == 1  # those of the old one went with it
    with pytest.raises(NoSuchActionError):
        bulk_actions.go_on(sessions, uuid4(), clock)
