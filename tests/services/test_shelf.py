"""The shelf and the quarantine: candidates, and judging anew without harm to anything else."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from builders import NUMBER, a_postback, accepted, begin_call, claim_due, queued, reloaded
from sqlalchemy import event, select, update
from sqlalchemy.exc import OperationalError

from tracker.config import DEFAULT_ZONE
from tracker.domain.fold import Outcome
from tracker.domain.status import Status
from tracker.gateway import Unknown
from tracker.services import matching, receive, rejudge, replay, send, shelf
from tracker.services.replay import Replayed, ReplayFilter, Tally
from tracker.services.shelf import Waiting
from tracker.store import db, postbacks
from tracker.store.base import Base
from tracker.store.db import Sessions
from tracker.store.models import (
    Alert,
    AuditEntry,
    Handset,
    Message,
    Postback,
    PostbackBody,
    SendAttempt,
    Suppression,
)
from tracker.store.postbacks import PostbackFilter
from tracker.store.rows import PostbackRow

OTHER = "12025550199"
UNREADABLE = b"<POSTBACK><CODE>N102"


def kept(sessions: Sessions, body: bytes, now: datetime) -> int:
    """Record a postback and return its id."""
    return receive.record(sessions, body, "text/xml", zone=DEFAULT_ZONE, now=now)[0].postback_id


def row_of(sessions: Sessions, postback_id: int) -> PostbackRow:
    with sessions() as session:
        row = postbacks.by_id(session, postback_id)
    assert row is not None
    return row


def parked(sessions: Sessions, now: datetime, ago: timedelta, **changes: object) -> UUID:
    """Queue a message whose call, so long ago, had an outcome that nobody knows."""
    public_id = queued(sessions, **changes)
    later = reloaded(sessions, public_id).created_at + timedelta(seconds=1)
    claimed = next(c for c in claim_due(sessions, 100, later) if c.public_id == public_id)
    begin_call(sessions, claimed, later)
    send.record(sessions, claimed, Unknown("cut off", None), zone=DEFAULT_ZONE, now=later)
    at(sessions, public_id, now - ago)
    return public_id


def at(sessions: Sessions, public_id: UUID, moment: datetime) -> None:
    """Let a message have been sent at this time."""
    is_it = select(Message.id).where(Message.public_id == public_id).scalar_subquery()
    with sessions.begin() as session:
        session.execute(
            update(SendAttempt).where(SendAttempt.message_id == is_it).values(started_at=moment)
        )
        session.execute(
            update(Message).where(Message.public_id == public_id).values(created_at=moment)
        )


def waiting(sessions: Sessions, now: datetime) -> list[Waiting]:
    with sessions() as session:
        return shelf.waiting(session, Outcome.UNMATCHED, limit=50, before_id=None, now=now).items


def rerun(
    sessions: Sessions, now: datetime, *, is_dry_run: bool = False, **wanted: Any
) -> list[Replayed]:
    return list(
        replay.run(
            sessions,
            ReplayFilter(**wanted),
            actor="test",
            is_dry_run=is_dry_run,
            zone=DEFAULT_ZONE,
            now=now,
        )
    )


def dump(sessions: Sessions) -> dict[str, list[Any]]:
    """Return every row of every table."""
    with sessions() as session:
        return {
            table.name: [
                tuple(row)
                for row in session.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for table in Base.metadata.sorted_tables
        }


@contextmanager
def counted(sessions: Sessions) -> Iterator[list[str]]:
    """Collect the statements that are run."""
    said: list[str] = []

    def note(*arguments: Any) -> None:
        said.append(arguments[2])

    engine = db.engine_of(sessions)
    event.listen(engine, "before_cursor_execute", note)
    yield said
    event.remove(engine, "before_cursor_execute", note)


def audited(sessions: Sessions, action: str) -> list[AuditEntry]:
    with sessions() as session:
        found = select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id)
        return list(session.scalars(found))


def test_the_likeliest_candidate_is_an_unknown_send_of_the_same_mms_just_before(
    sessions: Sessions, now: datetime
) -> None:
    day, minute = timedelta(days=1), timedelta(minutes=1)
    heard_of = accepted(sessions, "OTHER_1")
    at(sessions, heard_of, now - minute)
    kept(sessions, a_postback("N101", TRACKINGID="OTHER_1"), now)
    unheard_of = accepted(sessions, "OTHER_2")
    at(sessions, unheard_of, now - minute)
    old = parked(sessions, now, day)
    other_mms = parked(sessions, now, minute, mms_id="35674")
    best = parked(sessions, now, 2 * minute)
    parked(sessions, now, minute, to=OTHER)
    kept(sessions, a_postback("N101", TRACKINGID="LOST"), now)
    (line,) = waiting(sessions, now + 3 * timedelta(hours=1))
    assert line.age == timedelta(hours=3)
    assert [c.public_id for c in line.candidates] == [best, other_mms, old]
    assert line.candidates[0].why == (
        "Sent to this number 2 minutes before the postback came, with the same MMS id,"
        " and nobody knows whether it went through."
    )
    assert "another MMS id" in line.candidates[1].why
    assert "1 day before" in line.candidates[2].why
    with sessions.begin() as session:
        session.execute(update(Message).values(status=Status.ACCEPTED, mms_id="1"))
    (line,) = waiting(sessions, now)
    assert heard_of not in [c.public_id for c in line.candidates]
    assert line.candidates[0].why.startswith("Accepted for this number 1 minute before")


def test_what_was_sent_after_the_postback_came_is_no_candidate(
    sessions: Sessions, now: datetime
) -> None:
    parked(sessions, now, timedelta(seconds=-1))
    parked(sessions, now, timedelta(days=31))
    kept(sessions, a_postback("N101", TRACKINGID="LOST"), now)
    assert waiting(sessions, now)[0].candidates == ()


def test_a_number_is_compared_by_its_digits(sessions: Sessions, now: datetime) -> None:
    public_id = parked(sessions, now, timedelta(seconds=5))
    kept(sessions, a_postback("N101", TRACKINGID="LOST", TO="+1 202-555-0143"), now)
    assert [c.public_id for c in waiting(sessions, now)[0].candidates] == [public_id]


@pytest.mark.parametrize("to", [None, "nobody", "&lt;script&gt;", "9" * 400])
def test_a_postback_without_a_number_of_ours_has_no_candidates(
    sessions: Sessions, now: datetime, to: str | None
) -> None:
    parked(sessions, now, timedelta(seconds=5))
    kept(sessions, a_postback("N101", TRACKINGID="LOST", TO=to), now)
    assert waiting(sessions, now)[0].candidates == ()


def test_a_page_takes_the_same_few_queries_whatever_its_length(
    sessions: Sessions, now: datetime
) -> None:
    parked(sessions, now, timedelta(seconds=5))
    said = []
    for number in range(2):
        for more in range(20 * number + 1):
            kept(sessions, a_postback("N101", TRACKINGID=f"LOST_{number}_{more}"), now)
        with counted(sessions) as statements:
            lines = waiting(sessions, now)
        said.append(len(statements))
    assert (len(lines), said[0]) == (22, said[1])
    assert said[1] <= 3  # on SQLite BEGIN is one
    assert all(len(line.candidates) == 1 for line in lines)


def test_the_shelf_is_paged_without_a_gap(sessions: Sessions, now: datetime) -> None:
    made = [kept(sessions, a_postback("N101", TRACKINGID=f"LOST_{n}"), now) for n in range(7)]
    seen: list[int] = []
    cursor: int | None = None
    while True:
        with sessions() as session:
            page = shelf.waiting(session, Outcome.UNMATCHED, limit=3, before_id=cursor, now=now)
        seen += [line.row.id for line in page.items]
        if page.next_cursor is None:
            break
        cursor = int(page.next_cursor)
        kept(sessions, a_postback("N101", TRACKINGID=f"NEW_{cursor}"), now)  # moves nothing
    assert seen == made[::-1]


def test_the_quarantine_has_no_candidates(sessions: Sessions, now: datetime) -> None:
    kept(sessions, UNREADABLE, now)
    with sessions() as session:
        page = shelf.waiting(session, Outcome.QUARANTINED, limit=9, before_id=None, now=now)
    assert [line.candidates for line in page.items] == [()]


def unmatched_then_known(sessions: Sessions, now: datetime, count: int = 1) -> UUID:
    """Let postbacks wait under a name that their message has only later, unnoticed."""
    public_id = accepted(sessions, "LATER")
    for number in range(count):
        kept(sessions, a_postback("N101", TRACKINGID="FIRST", STATUSDETAILS=str(number),
                                  TIMESTAMP=f"2026-11-20T07:{number // 60:02}:{number % 60:02}Z"),
             now)  # fmt: skip
    kept(sessions, a_postback("N102", TRACKINGID="FIRST"), now)
    kept(sessions, a_postback("N102", TRACKINGID="NEVER"), now)
    with sessions.begin() as session:
        session.execute(update(Message).values(tracking_id="FIRST", tracking_key="FIRST"))
    return public_id


def test_a_dry_run_says_what_a_run_does_and_changes_nothing(
    sessions: Sessions, now: datetime
) -> None:
    public_id = unmatched_then_known(sessions, now)
    kept(sessions, UNREADABLE, now)
    before = dump(sessions)
    said = rerun(sessions, now, is_dry_run=True, outcome="unmatched")
    said += rerun(sessions, now, is_dry_run=True, outcome="quarantined")
    assert dump(sessions) == before
    done = rerun(sessions, now)
    assert done == said
    assert [(one.before, one.after, one.is_changed) for one in done] == [
        ("unmatched", "applied", True),
        ("unmatched", "applied", True),
        ("unmatched", "unmatched", False),
        ("quarantined", "quarantined", False),
    ]
    assert [one.message_id for one in done] == [public_id, public_id, None, None]
    assert [bool(one.error) for one in done] == [False, False, False, True]
    assert reloaded(sessions, public_id).status is Status.DELIVERED


def test_a_dry_run_makes_no_handset_no_alert_and_no_suppression(
    sessions: Sessions, now: datetime
) -> None:
    unmatched_then_known(sessions, now)
    for body in (
        a_postback("E999", ORIGIN=None, TRACKINGID=None, TO=None, STATUS="full"),
        b"<POSTBACK><ORIGIN>SUB</ORIGIN><CODE>N302</CODE><MOBILE>12025550143</MOBILE></POSTBACK>",
    ):
        kept(sessions, UNREADABLE + body[:20], now)
        made_readable(sessions, body)
    before = dump(sessions)
    said = rerun(sessions, now, is_dry_run=True, outcome="quarantined")
    assert [one.after for one in said] == ["noted", "noted"]
    assert dump(sessions) == before
    rerun(sessions, now, outcome="quarantined")
    rerun(sessions, now, outcome="unmatched")
    with sessions() as session:
        for model in (Alert, Suppression, Handset):
            assert len(session.scalars(select(model)).all()) == 1


def made_readable(sessions: Sessions, body: bytes) -> None:
    """Let the newest body be one that can be read, as a better reader would find it."""
    with sessions.begin() as session:
        newest = select(PostbackBody.id).order_by(PostbackBody.id.desc()).limit(1)
        session.execute(
            update(PostbackBody)
            .where(PostbackBody.id == newest.scalar_subquery())
            .values(body=body)
        )


def test_what_can_be_read_at_last_is_written_down_and_waits_under_its_tracking_id(
    sessions: Sessions, now: datetime
) -> None:
    postback_id = kept(sessions, UNREADABLE, now)
    made_readable(sessions, a_postback("N102", TRACKINGID="SOON"))
    (one,) = rerun(sessions, now, ids=(postback_id,))
    assert (one.before, one.after, one.code) == ("quarantined", "unmatched", "N102")
    row = row_of(sessions, postback_id)
    assert (row.code, row.kind, row.fields["to"]) == ("N102", "mms", NUMBER)
    assert row.occurred_at is not None
    assert reloaded(sessions, accepted(sessions, "SOON")).status is Status.DELIVERED


def test_every_notification_of_bytes_that_can_be_read_at_last_is_kept(
    sessions: Sessions, now: datetime
) -> None:
    ids = [accepted(sessions, f"MMS_{number}") for number in range(3)]
    one = "<NOTIFICATION><BODY><ORIGIN>MMS_MT</ORIGIN><CODE>N102</CODE><TRACKINGID>MMS_{}"
    end = '</TRACKINGID><STATUS CELLY="20"/></BODY></NOTIFICATION>'
    body = "".join(one.format(number) + end for number in range(3))
    postback_id = kept(sessions, UNREADABLE, now)
    made_readable(sessions, f"<POSTBACK>{body}</POSTBACK>".encode())
    rerun(sessions, now, ids=(postback_id,))
    assert {reloaded(sessions, public_id).status for public_id in ids} == {Status.DELIVERED}
    with sessions() as session:
        assert len(session.scalars(select(Postback)).all()) == 3
    assert not any(one.is_changed for one in rerun(sessions, now, ids=(postback_id,)))


@pytest.mark.parametrize("is_dry_run", [True, False])
def test_many_are_judged_in_short_steps_in_order_of_arrival(
    sessions: Sessions, now: datetime, is_dry_run: bool
) -> None:
    public_id = unmatched_then_known(sessions, now, count=2 * replay.STEP + 10)
    before = dump(sessions)
    with counted(sessions) as statements:
        done = rerun(sessions, now, is_dry_run=is_dry_run, tracking_id="FIRST")
    assert len(done) == 2 * replay.STEP + 11
    assert [one.id for one in done] == sorted(one.id for one in done)
    assert {(one.before, one.after) for one in done} == {("unmatched", "applied")}
    assert "Set the status to Sent." in done[0].reason
    assert "Confirmed Sent." in done[replay.STEP].reason  # also where each step is taken back
    assert "Set the status to Delivered." in done[-1].reason
    steps = [s for s in statements if "FROM postback_bodies" in s]
    assert len(steps) == 3
    if is_dry_run:
        assert dump(sessions) == before
    else:
        assert reloaded(sessions, public_id).status is Status.DELIVERED


def test_each_step_is_committed_before_it_is_told(sessions: Sessions, now: datetime) -> None:
    public_id = unmatched_then_known(sessions, now)
    run = replay.run(
        sessions, ReplayFilter(outcome="unmatched"),
        actor="test", is_dry_run=False, zone=DEFAULT_ZONE, now=now, limit=1,
    )  # fmt: skip
    assert next(run).after == "applied"
    assert reloaded(sessions, public_id).status is Status.SENT
    assert list(run) == []  # the limit
    assert reloaded(sessions, public_id).status is Status.SENT


def test_a_run_never_goes_beyond_what_was_there_when_it_began(
    sessions: Sessions, now: datetime
) -> None:
    unmatched_then_known(sessions, now)
    seen = []
    for one in replay.run(
        sessions, ReplayFilter(outcome="unmatched"),
        actor="test", is_dry_run=False, zone=DEFAULT_ZONE, now=now,
    ):  # fmt: skip
        seen.append(one.id)
        kept(sessions, a_postback("N101", TRACKINGID=f"NEW_{one.id}"), now)
    assert len(seen) == 3


def test_every_change_and_the_run_itself_are_written_down(
    sessions: Sessions, now: datetime
) -> None:
    unmatched_then_known(sessions, now)
    done = rerun(sessions, now, outcome="unmatched", code="n102")
    changed = audited(sessions, "postback.replay")
    assert [(entry.subject, entry.detail) for entry in changed] == [
        (str(one.id), "unmatched -> applied") for one in done if one.is_changed
    ]
    (run,) = audited(sessions, "postbacks.replay")
    assert run.actor == "test"
    assert run.detail == "outcome unmatched, code n102: 1 applied, 1 stays unmatched."


def test_a_run_that_is_broken_off_is_written_down_as_far_as_it_went(
    sessions: Sessions, now: datetime
) -> None:
    unmatched_then_known(sessions, now)
    run = replay.run(
        sessions, ReplayFilter(outcome="unmatched"),
        actor="test", is_dry_run=False, zone=DEFAULT_ZONE, now=now,
    )  # fmt: skip
    next(run)
    run.close()  # type: ignore[attr-defined]
    assert audited(sessions, "postbacks.replay")[0].detail == "outcome unmatched: 1 applied."


def test_what_told_its_message_is_left_alone(sessions: Sessions, now: datetime) -> None:
    public_id = accepted(sessions)
    first = kept(sessions, a_postback("E101", TIMESTAMP=None), now)
    rejected = a_postback("E102", STATUS="Message Sent/Rejected", TIMESTAMP=None)
    kept(sessions, rejected, now)
    (one,) = rerun(sessions, now, ids=(first,))
    assert (one.before, one.after, one.is_changed) == ("applied", "applied", False)
    assert reloaded(sessions, public_id).status is Status.REJECTED


@pytest.mark.parametrize(
    ("wanted", "codes"),
    [
        ({}, ["N101", "N501", "N102", None]),
        ({"outcome": "unmatched"}, ["N101", "N501", "N102"]),
        ({"outcome": "quarantined"}, [None]),
        ({"code": "n101"}, ["N101"]),
        ({"kind": "ddm"}, ["N501"]),
        ({"tracking_id": "LOST="}, ["N101", "N501"]),
        ({"received_from": timedelta(hours=2)}, ["N102", None]),
        ({"received_to": timedelta(hours=2)}, ["N101", "N501"]),
        ({"kind": "mms", "received_to": timedelta(hours=2)}, ["N101"]),
        ({"outcome": "applied"}, []),
    ],
)
def test_every_condition_holds(
    sessions: Sessions, now: datetime, wanted: dict[str, Any], codes: list[str | None]
) -> None:
    hour = timedelta(hours=1)
    kept(sessions, a_postback("N101", TRACKINGID="LOST"), now)
    kept(sessions, a_postback("N501", TRACKINGID="LOST"), now + hour)
    kept(sessions, a_postback("N102", TRACKINGID="GONE"), now + 2 * hour)
    kept(sessions, UNREADABLE, now + 3 * hour)
    moments: dict[str, Any] = {
        n: now + v if isinstance(v, timedelta) else v for n, v in wanted.items()
    }
    found = rerun(sessions, now, is_dry_run=True, **moments)
    assert [one.code for one in found] == codes
    assert replay.count(sessions, ReplayFilter(**moments)) == len(codes)
    with sessions() as session:
        listed = postbacks.search(session, PostbackFilter(**moments), limit=50).items
    assert [row.code for row in listed] == codes[::-1]


def test_a_contradicting_number_stays_in_quarantine(sessions: Sessions, now: datetime) -> None:
    public_id = accepted(sessions)
    postback_id = kept(sessions, a_postback("N102", TO=OTHER), now)
    (one,) = rerun(sessions, now, ids=(postback_id,))
    assert (one.after, one.is_changed, one.error) == ("quarantined", False, None)
    assert reloaded(sessions, public_id).status is Status.ACCEPTED


def test_a_receipt_of_a_legacy_link_is_matched_with_it(sessions: Sessions, now: datetime) -> None:
    public_id = accepted(sessions, "LATER")
    for field, origin, code, celly in (
        ("<TRACKINGID>MMS_9</TRACKINGID><SMSID>SMS_5</SMSID>", "MMS_MT", "N102", 10),
        ("<TRACKINGID>SMS_5</TRACKINGID>", "SMS_MT", "N202", 20),
    ):
        body = (
            f"<POSTBACK><NOTIFICATION><BODY><ORIGIN>{origin}</ORIGIN><CODE>{code}</CODE>"
            f"{field}<STATUS CELLY='{celly}'/></BODY></NOTIFICATION></POSTBACK>"
        )
        kept(sessions, body.encode(), now)
    with sessions.begin() as session:
        session.execute(update(Message).values(tracking_id="MMS_9", tracking_key="MMS_9"))
    done = rerun(sessions, now, is_dry_run=True)
    assert done == rerun(sessions, now)
    assert [one.after for one in done] == ["applied", "applied"]
    assert reloaded(sessions, public_id).status_label == "Delivered as link"


def test_one_row_that_cannot_be_stored_keeps_no_other_from_it(
    sessions: Sessions, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    unmatched_then_known(sessions, now)
    with sessions() as session:
        spoilt = postbacks.last_id(session) - 1
    write_down = matching.write_down

    def fail(session: Any, postback_id: int, *rest: Any) -> None:
        if postback_id == spoilt:
            raise ValueError("what no column takes")
        write_down(session, postback_id, *rest)

    monkeypatch.setattr(rejudge, "write_down", fail)
    done = rerun(sessions, now)
    assert [one.after for one in done] == ["applied", "unmatched", "unmatched"]
    assert [one.error for one in done] == [
        None, "It could not be stored as it is: ValueError.", None,
    ]  # fmt: skip


def test_a_database_that_goes_away_ends_the_run(
    sessions: Sessions, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    unmatched_then_known(sessions, now)

    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(rejudge, "judge_all_anew", fail)
    with pytest.raises(OperationalError):
        rerun(sessions, now)


def test_ids_that_no_postback_has_are_told(sessions: Sessions, now: datetime) -> None:
    postback_id = kept(sessions, UNREADABLE, now)
    assert replay.missing(sessions, [postback_id, postback_id + 1]) == [postback_id + 1]


def test_a_tally_is_said_in_words() -> None:
    tally = Tally()
    assert tally.sentence(is_dry_run=True) == "There is nothing to judge anew."
    one = Replayed(
        id=1, code=None, before="unmatched", after="applied", is_changed=True,
        message_id=None, reason="",
    )  # fmt: skip
    same = Replayed(
        id=2, code=None, before="unmatched", after="unmatched", is_changed=False,
        message_id=None, reason="",
    )  # fmt: skip
    for each in (one, one, same, same):
        tally.add(each)
    assert tally.sentence(is_dry_run=True) == "2 would be applied, 2 stay unmatched."
    assert tally.sentence(is_dry_run=False) == "2 applied, 2 stay unmatched."
    assert tally.total == 4


def test_only_an_empty_filter_asks_for_nothing() -> None:
    assert ReplayFilter(through_id=7).is_empty
    assert not ReplayFilter(ids=(1,)).is_empty
    assert str(ReplayFilter(ids=tuple(range(1, 40)))).endswith("20 ...")
