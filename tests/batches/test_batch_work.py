"""Batches are checked whole, queued once, held back and cancelled, on both engines."""

import pytest
from batch_support import (
    a_file,
    a_row,
    clock,
    done,
    finish,
    later,
    problems,
    queued,
    reasons,
    received,
    reread,
    rows_of,
)
from builders import begin_call, claim_due
from sqlalchemy import func, select

from tracker.config import DEFAULT_ZONE
from tracker.domain.message import InvalidMessageError
from tracker.domain.status import Status
from tracker.gateway import NotSent
from tracker.services import batches, rollups, send, submit
from tracker.services.batch_work import BatchWorker
from tracker.services.batches import NotPossibleError
from tracker.store import batches as stored
from tracker.store import messages, outbox, suppressions
from tracker.store.batches import Hold, Stage
from tracker.store.db import Sessions
from tracker.store.models import BatchChunk, RollupMark


def test_every_row_of_a_good_file_is_queued_once(sessions: Sessions) -> None:
    batch = done(sessions, a_file(25))
    assert (batch.status, batch.rows, batch.queued_rows, batch.wrong_rows) == ("queued", 25, 25, 0)
    found = queued(sessions, batch)
    assert [m.batch_row for m in found] == list(range(1, 26))
    assert {(m.status, m.sender) for m in found} == {(Status.QUEUED, "60856")}
    assert [m.reference for m in found] == [f"r-{n}" for n in range(1, 26)]
    assert found[0].custom_pass_id == found[0].public_id.hex


def test_a_queued_row_says_what_the_file_says(sessions: Sessions) -> None:
    header = (
        "To ; MMS ID;PASS.barcodevalue;data.First_Name;text.2;ddm.text;ddm.timeout minutes;send at"
    )
    row = '+1 (202) 555-0143;45633;"A;1";Zoë;"two\nlines";hello;7;2030-01-02T03:04:05Z'
    batch = done(sessions, a_file([row], header), defaults={"data": {"AGE": 7}, "from": "11111"})
    (message,) = queued(sessions, batch)
    with sessions() as session:
        content = messages.content(session, message.id)
    assert (message.recipient, message.sender) == ("12025550143", "11111")
    assert content.pass_data["BARCODEVALUE"] == "A;1"
    assert content.data == {"First_Name": "Zoë", "AGE": "7"}
    assert content.custom_text == [{"slide": 2, "value": "two\nlines"}]
    assert content.ddm == {"title": None, "text": "hello", "timeout_minutes": 7}
    assert message.due_at == message.send_at
    assert message.send_at
    assert message.send_at.year == 2030


def test_a_queued_row_is_sent_like_any_message(sessions: Sessions) -> None:
    batch = done(sessions, a_file(1))
    (claimed,) = claim_due(sessions, 10, clock())
    message = begin_call(sessions, claimed, clock())
    assert message
    assert message.pass_data["BARCODEVALUE"] == "A-1"
    assert claimed.public_id == queued(sessions, batch)[0].public_id


def test_one_wrong_row_keeps_the_whole_file_out_of_the_queue(sessions: Sessions) -> None:
    batch = done(sessions, a_file([a_row(1), a_row(2, to="12"), a_row(3, mms_id="x")]))
    assert (batch.status, batch.wrong_rows, batch.queued_rows) == ("refused", 2, 0)
    assert rows_of(sessions, batch) == []
    found = [(p.row, p.column, p.value) for p in problems(sessions, batch)]
    assert found == [(2, "to", "12"), (3, "mms_id", "x")]
    assert "7 to 15 digits" in problems(sessions, batch)[0].reason


def test_wrong_rows_are_left_out_when_the_caller_says_so(sessions: Sessions) -> None:
    content = a_file([a_row(1), a_row(2, to="12"), a_row(3)])
    batch = done(sessions, content, skips_wrong_rows=True)
    assert (batch.status, batch.wrong_rows, batch.queued_rows) == ("queued", 1, 2)
    assert rows_of(sessions, batch) == [1, 3]


def test_a_dry_run_does_all_but_queue_and_may_be_started(sessions: Sessions) -> None:
    batch = done(sessions, a_file(3), is_dry_run=True)
    assert (batch.status, batch.rows, batch.queued_rows) == ("checked", 3, 0)
    batches.start(sessions, batch.public_id, skips_wrong_rows=False, actor="t", now=clock())
    finish(sessions, batch.id)
    assert rows_of(sessions, batch) == [1, 2, 3]


def test_a_refused_batch_is_started_only_without_its_wrong_rows(sessions: Sessions) -> None:
    batch = done(sessions, a_file([a_row(1), a_row(2, to="12")]))
    with pytest.raises(NotPossibleError, match="1 of its rows are wrong"):
        batches.start(sessions, batch.public_id, skips_wrong_rows=False, actor="t", now=clock())
    batches.start(sessions, batch.public_id, skips_wrong_rows=True, actor="t", now=clock())
    finish(sessions, batch.id)
    assert rows_of(sessions, batch) == [1]
    with pytest.raises(NotPossibleError):
        batches.start(sessions, batch.public_id, skips_wrong_rows=True, actor="t", now=clock())


def test_a_suppressed_number_is_a_wrong_row(sessions: Sessions) -> None:
    suppress(sessions, "12025550002")
    batch = done(sessions, a_file(3), skips_wrong_rows=True)
    assert reasons(sessions, batch).keys() == {2}
    assert "must not be sent to since" in reasons(sessions, batch)[2]
    assert "(STOP, " in reasons(sessions, batch)[2]
    assert rows_of(sessions, batch) == [1, 3]
    assert batch.wrong_rows == 1


def test_who_opts_out_between_check_and_queue_gets_nothing(sessions: Sessions) -> None:
    batch = done(sessions, a_file(3), is_dry_run=True)
    suppress(sessions, "12025550002")
    batches.start(sessions, batch.public_id, skips_wrong_rows=False, actor="t", now=clock())
    finish(sessions, batch.id)
    batch = reread(sessions, batch.public_id)
    assert rows_of(sessions, batch) == [1, 3]
    assert (batch.wrong_rows, batch.queued_rows) == (1, 2)
    assert "must not be sent to" in reasons(sessions, batch)[2]


def test_repeats_within_the_file_and_known_references_are_warnings(sessions: Sessions) -> None:
    submit.one(
        sessions, {"to": "12025550199", "mms_id": "1", "from": "11111", "reference": "r-1"},
        default_from=None, now=clock(),
    )  # fmt: skip
    rows = [a_row(1), a_row(2, to="+1 202 555 0001"), a_row(3, reference="r-2")]
    batch = received(sessions, a_file(rows))
    finish(sessions, batch.id, step=1)  # also over the steps
    batch = reread(sessions, batch.public_id)
    said = reasons(sessions, batch, warnings=True)
    assert "has a message already" in said[1]
    assert "row 1 too" in said[2]
    assert "row 2 too" in said[3]
    assert (batch.status, batch.queued_rows) == ("queued", 3)
    assert batch.warnings == len(problems(sessions, batch, warnings=True))


def test_repeats_are_found_by_whoever_goes_on(sessions: Sessions) -> None:
    rows = [*(a_row(n) for n in range(1, 6)), a_row(6, to="12025550002")]
    batch = received(sessions, a_file(rows))
    for _ in range(8):  # a new worker for every step, as if each had died
        BatchWorker(sessions, later, step=2).turn(batch.id, seconds=0.0001)
    finish(sessions, batch.id)
    assert "row 2 too" in reasons(sessions, batch, warnings=True)[6]
    assert rows_of(sessions, batch) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7])
def test_steps_of_any_size_end_alike(sessions: Sessions, step: int) -> None:
    batch = received(sessions, a_file(6))
    finish(sessions, batch.id, step)
    batch = reread(sessions, batch.public_id)
    assert (batch.status, batch.rows, batch.position_row) == ("queued", 6, 6)
    assert rows_of(sessions, batch) == [1, 2, 3, 4, 5, 6]


def test_blank_rows_count_and_are_skipped(sessions: Sessions) -> None:
    batch = done(sessions, a_file([a_row(1), "", ",,,,", a_row(4), ""]))
    assert (batch.status, batch.rows) == ("queued", 2)
    assert rows_of(sessions, batch) == [1, 4]


def test_the_file_is_forgotten_when_all_is_queued(sessions: Sessions) -> None:
    done(sessions)
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(BatchChunk)) == 0


def test_queueing_marks_the_hour_for_the_rollups(sessions: Sessions) -> None:
    done(sessions)
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(RollupMark))
    rollups.refresh(sessions)


def test_an_upload_that_breaks_off_leaves_nothing(sessions: Sessions) -> None:
    def breaking() -> object:
        yield a_file()
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        batches.receive(
            sessions, breaking(), batches.Order(), actor="t", default_from=None, clock=clock  # type: ignore[arg-type]
        )  # fmt: skip
    with sessions() as session:
        assert stored.page(session, limit=5).items == []
        assert session.scalar(select(func.count()).select_from(BatchChunk)) == 0


def test_wrong_defaults_are_refused_before_the_file_is_read(sessions: Sessions) -> None:
    with pytest.raises(InvalidMessageError, match="mms_id"):
        received(sessions, defaults={"mms_id": "x"})
    with pytest.raises(InvalidMessageError, match="comes from the file's rows"):
        received(sessions, defaults={"to": "12025550143"})


def test_only_one_works_on_a_batch_at_a_time(sessions: Sessions) -> None:
    batch = received(sessions)
    with sessions.begin() as session:
        claimed = stored.claim(session, clock(), batch.id)
    assert claimed
    assert BatchWorker(sessions, clock).turn(batch.id) is None
    assert BatchWorker(sessions, later).turn(batch.id) is not None  # the lease is over
    with sessions.begin() as session:
        assert stored.held(session, claimed) is None


# Pausing, resuming, cancelling.


def test_a_paused_batch_is_out_of_the_senders_reach_and_comes_back(sessions: Sessions) -> None:
    batch = done(sessions, a_file(5))
    batches.pause(sessions, batch.public_id, "t", clock())
    finish(sessions, batch.id, step=2)
    assert reread(sessions, batch.public_id).hold == Hold.PAUSED
    assert claim_due(sessions, 10, clock()) == []
    held = queued(sessions, batch)[0]
    assert (held.status, held.due_at) == (Status.QUEUED, None)
    with pytest.raises(NotPossibleError):
        batches.pause(sessions, batch.public_id, "t", clock())
    batches.resume(sessions, batch.public_id, "t", clock())
    finish(sessions, batch.id, step=2)
    assert reread(sessions, batch.public_id).hold is None
    assert len(claim_due(sessions, 10, clock())) == 5


def test_pausing_while_rows_are_queued_stops_the_queueing_too(sessions: Sessions) -> None:
    batch = received(sessions, a_file(6))
    worker = BatchWorker(sessions, clock, step=2)
    while not queued(sessions, batch):
        worker.turn(batch.id, seconds=0.0001)
    batches.pause(sessions, batch.public_id, "t", clock())
    worker.finish(batch.id)
    assert len(queued(sessions, batch)) < 6
    assert claim_due(sessions, 10, clock()) == []
    batches.resume(sessions, batch.public_id, "t", clock())
    worker.finish(batch.id)
    assert rows_of(sessions, batch) == [1, 2, 3, 4, 5, 6]
    assert len(claim_due(sessions, 10, clock())) == 6


def test_a_call_that_fails_during_a_pause_does_not_slip_out(sessions: Sessions) -> None:
    batch = done(sessions, a_file(2))
    first, _ = claim_due(sessions, 10, clock())
    assert begin_call(sessions, first, clock())
    batches.pause(sessions, batch.public_id, "t", clock())
    finish(sessions, batch.id)
    send.record(sessions, first, NotSent("refused"), zone=DEFAULT_ZONE, now=clock())
    with sessions.begin() as session:
        outbox.expire_leases(session, later())  # the other one's sender has died
    assert {m.status for m in queued(sessions, batch)} == {Status.QUEUED}
    assert claim_due(sessions, 10, later()) == []
    batches.resume(sessions, batch.public_id, "t", clock())
    finish(sessions, batch.id)
    assert len(claim_due(sessions, 10, later())) == 2


def test_cancelling_takes_what_is_queued_and_leaves_what_went_out(sessions: Sessions) -> None:
    batch = done(sessions, a_file(5))
    claimed = claim_due(sessions, 1, clock())[0]
    assert begin_call(sessions, claimed, clock())
    batches.cancel(sessions, batch.public_id, "t", clock())
    worker = BatchWorker(sessions, clock, step=2)
    worker.turn(batch.id, seconds=0.2)
    assert reread(sessions, batch.public_id).status == Stage.CANCELLING  # a call is under way
    # It never reached the gateway, and so is due again: not this time.
    send.record(sessions, claimed, NotSent("refused"), zone=DEFAULT_ZONE, now=clock())
    worker.finish(batch.id)
    assert reread(sessions, batch.public_id).status == Stage.CANCELLED
    assert {m.status for m in queued(sessions, batch)} == {Status.CANCELLED}
    with pytest.raises(NotPossibleError):
        batches.cancel(sessions, batch.public_id, "t", clock())


def test_a_batch_cancelled_while_it_is_checked_queues_nothing(sessions: Sessions) -> None:
    batch = received(sessions, a_file(4))
    worker = BatchWorker(sessions, clock, step=1)
    worker.turn(batch.id, seconds=0.0001)
    batches.cancel(sessions, batch.public_id, "t", clock())
    worker.finish(batch.id)
    assert reread(sessions, batch.public_id).status == Stage.CANCELLED
    assert queued(sessions, batch) == []


def test_a_released_message_keeps_its_own_time(sessions: Sessions) -> None:
    header = "to,mms_id,send_at"
    batch = done(sessions, a_file(["12025550143,1,2030-01-02T03:04:05Z"], header))
    batches.pause(sessions, batch.public_id, "t", clock())
    finish(sessions, batch.id)
    batches.resume(sessions, batch.public_id, "t", clock())
    finish(sessions, batch.id)
    (message,) = queued(sessions, batch)
    assert message.due_at == message.send_at


def suppress(sessions: Sessions, number: str) -> None:
    with sessions.begin() as session:
        suppressions.add(session, number, "STOP", None, told_at=None, now=clock())
