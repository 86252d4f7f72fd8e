"""What a person decides about a message whose answer was lost."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from builders import NUMBER, accepted, claim_due, queued, reloaded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from settle_support import (
    SECOND,
    at_once,
    audited,
    begun,
    differences,
    ended,
    lost,
    outcome,
    settlements,
    story,
    taking,
    told,
)
from sqlalchemy import text

from tracker.config import DEFAULT_ZONE
from tracker.domain.message import InvalidMessageError
from tracker.domain.reasons import status_reason
from tracker.domain.status import Status
from tracker.gateway import Accepted, NotSent
from tracker.services import manage, settle
from tracker.services.manage import NoSuchMessageError, NotPossibleError
from tracker.services.settle import Decision, Verdict
from tracker.store import outbox
from tracker.store.db import Sessions

OTHER = "12025550199"


@pytest.fixture
def at(now: datetime) -> datetime:
    """When calls begin: what is queued now is due by then."""
    return now + timedelta(minutes=1)


@pytest.fixture
def takers(database_url: str) -> Iterator[Sessions]:
    with taking(database_url) as sessions:
        yield sessions


def decided(
    sessions: Sessions,
    public_id: UUID,
    verdict: str,
    now: datetime,
    reason: str = "seen in the report",
    **more: Any,
) -> UUID:
    decision = Decision(verdict=Verdict(verdict), reason=reason, **more)
    return settle.decide(
        sessions, public_id, decision, actor="user:olga", zone=DEFAULT_ZONE, now=now
    )


def test_marked_as_sent_it_is_sent_and_says_by_whom_and_why(
    sessions: Sessions, at: datetime
) -> None:
    public_id = lost(sessions, at)
    assert decided(sessions, public_id, "sent", at) == public_id
    row = reloaded(sessions, public_id)
    assert (row.status, row.sent_at, row.error_info) == (Status.SENT, at, None)
    assert "A person marked it as sent" in status_reason(row)
    line = next(e for e in story(sessions, public_id) if e.what == "Marked as sent")
    assert (line.detail, line.source) == ("By user:olga: seen in the report", "ours")
    assert audited(sessions) == [("user:olga", str(public_id), "sent: seen in the report")]
    assert differences(sessions, lambda: at) == []


def test_marked_as_sent_with_its_tracking_id_what_waited_for_it_is_applied(
    sessions: Sessions, at: datetime
) -> None:
    public_id = lost(sessions, at)
    told(sessions, at + SECOND, "N102")
    decided(sessions, public_id, "sent", at, tracking_id=" MMS_1= ")
    row = reloaded(sessions, public_id)
    assert (row.status, row.tracking_id, row.handset) == (Status.DELIVERED, "MMS_1=", "motol7c")
    assert differences(sessions, lambda: at) == []


@pytest.mark.parametrize(("code", "status"), [("N102", "delivered"), ("E101", "failed")])
def test_a_later_postback_wins_over_what_a_person_said(
    sessions: Sessions, at: datetime, code: str, status: str
) -> None:
    public_id = lost(sessions, at)
    decided(sessions, public_id, "sent", at, tracking_id="MMS_1")
    assert reloaded(sessions, public_id).status is Status.SENT
    told(sessions, at + SECOND, code)
    assert reloaded(sessions, public_id).status == status
    assert differences(sessions, lambda: at) == []


def test_a_postback_of_the_shelf_may_be_named_as_the_answer(
    sessions: Sessions, at: datetime
) -> None:
    public_id = lost(sessions, at)
    hours_later = at + timedelta(hours=9)
    first = told(sessions, hours_later, "N101", MMSID="35674")
    decided(sessions, public_id, "sent", hours_later, postback_id=first)
    row = reloaded(sessions, public_id)
    assert (row.status, row.tracking_id, row.sent_at) == (Status.SENT, "MMS_1", hours_later)
    assert outcome(sessions, first) == "applied"
    (kept,) = settlements(sessions)
    assert (kept.outcome, kept.postback_id) == ("taken", first)
    assert kept.reason == "seen in the report (tracking id MMS_1)"
    assert differences(sessions, lambda: at) == []


def test_marked_as_not_sent_it_is_refused_with_the_reason_and_can_be_sent_again(
    sessions: Sessions, at: datetime
) -> None:
    public_id = lost(sessions, at)
    decided(sessions, public_id, "not_sent", at, reason="not in\nthe report")
    row = reloaded(sessions, public_id)
    assert (row.status, row.error_code) == (Status.REFUSED, None)
    assert row.error_info == "Marked as not sent by user:olga: not in the report"
    assert status_reason(row) == f"{row.error_info}; it can be sent again."
    assert manage.resend(sessions, public_id, "user:olga", at) != public_id
    assert differences(sessions, lambda: at) == []


def test_sent_again_knowingly_there_is_a_new_message_and_the_old_one_keeps_a_note(
    sessions: Sessions, at: datetime
) -> None:
    public_id = lost(sessions, at)
    new_id = decided(sessions, public_id, "resend", at, reason="the customer has nothing")
    assert reloaded(sessions, new_id).status is Status.QUEUED
    row = reloaded(sessions, public_id)
    assert (row.status, row.resent_as) == (Status.UNKNOWN, new_id)
    assert "it was sent again as a new message" in status_reason(row)
    line = next(e for e in story(sessions, public_id) if e.what == "Sent again knowingly")
    assert line.detail == f"By user:olga: the customer has nothing (as message {new_id})"
    with pytest.raises(NotPossibleError, match="sent again already"):
        decided(sessions, public_id, "resend", at)


def test_a_mistake_can_be_put_right_until_there_is_a_tracking_id(
    sessions: Sessions, at: datetime
) -> None:
    public_id = lost(sessions, at)
    for verdict, status in (("not_sent", "refused"), ("sent", "sent"), ("not_sent", "refused")):
        decided(sessions, public_id, verdict, at)
        row = reloaded(sessions, public_id)
        assert row.status == status
        assert (row.sent_at is None) is (row.accepted_at is None) is (status == "refused")
        assert differences(sessions, lambda: at) == []
    decided(sessions, public_id, "sent", at, tracking_id="MMS_1")
    with pytest.raises(NotPossibleError, match="It has the tracking id MMS_1"):
        decided(sessions, public_id, "not_sent", at)
    assert len(settlements(sessions)) == 4


@pytest.mark.parametrize("verdict", ["sent", "not_sent"])
def test_what_is_settled_is_not_settled_the_same_way_twice(
    sessions: Sessions, at: datetime, verdict: str
) -> None:
    public_id = lost(sessions, at)
    decided(sessions, public_id, verdict, at)
    with pytest.raises(NotPossibleError, match="already"):
        decided(sessions, public_id, verdict, at)
    assert len(settlements(sessions)) == 1


def test_a_tracking_id_given_later_finds_what_was_marked_as_sent(
    sessions: Sessions, at: datetime
) -> None:
    public_id = lost(sessions, at)
    decided(sessions, public_id, "sent", at)
    decided(sessions, public_id, "sent", at + SECOND, tracking_id="MMS_1")
    row = reloaded(sessions, public_id)
    assert (row.status, row.accepted_at, row.sent_at) == (Status.SENT, at, at)
    told(sessions, at + 2 * SECOND, "N102")
    assert reloaded(sessions, public_id).status is Status.DELIVERED
    assert differences(sessions, lambda: at) == []


def test_an_n101_is_taken_by_what_was_marked_as_sent(takers: Sessions, at: datetime) -> None:
    public_id = lost(takers, at)
    decided(takers, public_id, "sent", at + 35 * SECOND)
    told(takers, at + 40 * SECOND)
    assert reloaded(takers, public_id).tracking_id == "MMS_1"
    assert differences(takers, lambda: at) == []


def test_an_n101_is_not_taken_by_what_was_marked_as_not_sent(
    takers: Sessions, at: datetime
) -> None:
    public_id = lost(takers, at)
    decided(takers, public_id, "not_sent", at + 35 * SECOND)
    told(takers, at + 40 * SECOND)
    assert reloaded(takers, public_id).status is Status.REFUSED


def test_a_tracking_id_of_another_message_is_refused(sessions: Sessions, at: datetime) -> None:
    owner = accepted(sessions, "MMS_1")
    public_id = lost(sessions, at)
    with pytest.raises(NotPossibleError, match=f"belongs to message {owner}"):
        decided(sessions, public_id, "sent", at, tracking_id="MMS_1")
    assert reloaded(sessions, public_id).status is Status.UNKNOWN


def test_a_tracking_id_whose_postback_is_to_another_number_is_refused(
    sessions: Sessions, at: datetime
) -> None:
    public_id = lost(sessions, at)
    postback_id = told(sessions, at, TO=OTHER)
    for named in ({"tracking_id": "MMS_1"}, {"postback_id": postback_id}):
        with pytest.raises(NotPossibleError, match="is to •••199, and this message to •••143"):
            decided(sessions, public_id, "sent", at, **named)
    assert outcome(sessions, postback_id) == "unmatched"
    assert settlements(sessions) == []


def test_only_a_postback_on_the_shelf_can_be_the_answer(sessions: Sessions, at: datetime) -> None:
    accepted(sessions, "MMS_9")
    applied = told(sessions, at, tracking_id="MMS_9")
    public_id = lost(sessions, at)
    for postback_id in (applied, 10**9):
        with pytest.raises(NotPossibleError, match="does not wait on the shelf"):
            decided(sessions, public_id, "sent", at, postback_id=postback_id)
    waiting = told(sessions, at, tracking_id="MMS_1")
    with pytest.raises(NotPossibleError, match="names the tracking id MMS_1, not MMS_2"):
        decided(sessions, public_id, "sent", at, postback_id=waiting, tracking_id="MMS_2")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"reason": "  \n "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "a\0b"}, "reason"),
        ({"tracking_id": "x" * 129}, "tracking_id"),
        ({"tracking_id": "=="}, "tracking_id"),
        ({"tracking_id": "a\0b"}, "tracking_id"),
        ({"verdict": "not_sent", "tracking_id": "MMS_1"}, "tracking_id"),
        ({"verdict": "resend", "postback_id": 1}, "postback_id"),
    ],
)
def test_a_decision_that_is_wrong_names_its_field(
    sessions: Sessions, at: datetime, given: dict[str, Any], field: str
) -> None:
    public_id = lost(sessions, at)
    with pytest.raises(InvalidMessageError) as caught:
        decided(sessions, public_id, **{"verdict": "sent", "now": at, **given})
    assert [problem.field for problem in caught.value.problems] == [field]
    assert settlements(sessions) == []


def test_only_what_is_unknown_can_be_settled(sessions: Sessions, at: datetime) -> None:
    with pytest.raises(NoSuchMessageError):
        decided(sessions, uuid4(), "sent", at)
    waiting = queued(sessions)
    with pytest.raises(NotPossibleError, match="this one is queued"):
        decided(sessions, waiting, "not_sent", at)
    with pytest.raises(NotPossibleError, match="It has the tracking id MMS_9"):
        decided(sessions, accepted(sessions, "MMS_9"), "resend", at)


def test_a_late_answer_of_the_gateway_has_the_last_word(sessions: Sessions, at: datetime) -> None:
    for number, verdict in enumerate(("sent", "not_sent")):
        call = begun(sessions, at, to=f"1202555014{number}")
        ended(sessions, call, at + 30 * SECOND)
        decided(sessions, call.public_id, verdict, at + 31 * SECOND)
        late = Accepted(f"MMS_{number}", "60856", "<RESPONSE/>")
        ended(sessions, call, at + 40 * SECOND, late)
        row = reloaded(sessions, call.public_id)
        assert (row.tracking_id, row.sender_used) == (f"MMS_{number}", "60856")
        assert row.status is (Status.SENT if verdict == "sent" else Status.ACCEPTED)
        assert (row.finished_at, row.error_info) == (None, None)


def test_what_was_settled_is_never_queued_again_by_a_late_word(
    sessions: Sessions, at: datetime
) -> None:
    call = begun(sessions, at)
    ended(sessions, call, at + 30 * SECOND)
    decided(sessions, call.public_id, "not_sent", at)
    ended(sessions, call, at + 40 * SECOND, NotSent("no connection"))
    assert reloaded(sessions, call.public_id).status is Status.REFUSED


def test_two_people_at_once_decide_once(database_url: str, at: datetime) -> None:
    def attempt(sessions: Sessions, public_id: UUID, verdict: str, done: list[str]) -> None:
        try:
            decided(sessions, public_id, verdict, at, reason=verdict)
        except NotPossibleError:
            return
        done.append(verdict)

    with taking(database_url) as one, taking(database_url) as two:
        for verdict in ("sent", "not_sent", "resend") * 3:
            public_id, done = lost(one, at), list[str]()
            at_once(*(partial(attempt, some, public_id, verdict, done) for some in (one, two)))
            assert done == [verdict]
        assert len(settlements(one)) == 9
        assert len(audited(one)) == 9


def test_two_messages_never_get_one_tracking_id(database_url: str, at: datetime) -> None:
    def attempt(sessions: Sessions, public_id: UUID, name: str) -> None:
        try:
            decided(sessions, public_id, "sent", at, tracking_id=name)
        except NotPossibleError as error:
            assert "belongs to message" in str(error)  # noqa: PT017

    with taking(database_url) as one, taking(database_url) as two:
        for number in range(6):
            ids = [lost(one, at, to=f"120255504{n}{number}") for n in range(2)]
            name = f"MMS_{number}"
            at_once(partial(attempt, one, ids[0], name), partial(attempt, two, ids[1], name))
            rows = [reloaded(one, public_id) for public_id in ids]
            assert sorted(str(row.tracking_id) for row in rows) == [name, "None"]


def test_a_person_and_an_n101_at_once_leave_one_truth(database_url: str, at: datetime) -> None:
    def person(sessions: Sessions, public_id: UUID) -> None:
        try:
            decided(sessions, public_id, "sent", at + SECOND)
        except NotPossibleError as error:
            assert "tracking id" in str(error)  # noqa: PT017

    with taking(database_url) as one, taking(database_url) as two:
        for number in range(8):
            to, name = f"120255505{number:02}", f"MMS_{number}"
            public_id = lost(one, at, to=to)
            at_once(
                partial(person, one, public_id),
                partial(told, two, at + SECOND, tracking_id=name, TO=to),
            )
            row = reloaded(one, public_id)
            assert (row.status, row.tracking_id) == (Status.SENT, name)
        assert differences(one, lambda: at) == []


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.sampled_from(
            ["lease", "sent", "not_sent", "id", "N101", "N102", "E101", "late", "other", "unsure"]
        ),
        max_size=8,
    )
)
def test_whatever_happens_in_whatever_order_a_rebuild_finds_no_difference(
    takers: Sessions, at: datetime, steps: list[str]
) -> None:
    with takers.begin() as session:
        for table in ("postbacks", "handsets", "messages"):
            session.execute(text(f"DELETE FROM {table}"))
    call = begun(takers, at)
    for number, step in enumerate(steps, 1):
        moment = at + number * SECOND
        try:
            match step:
                case "lease":
                    claim_due(takers, 5, at + outbox.LEASE)
                case "sent" | "not_sent":
                    decided(takers, call.public_id, step, moment)
                case "id":
                    decided(takers, call.public_id, "sent", moment, tracking_id="MMS_1")
                case "late" | "other":
                    name = "MMS_1" if step == "late" else "MMS_2"
                    ended(takers, call, moment, Accepted(name, "11111", "<RESPONSE/>"))
                case "unsure":
                    ended(takers, call, moment)
                case code:
                    told(takers, moment, code, TO=NUMBER, FROM="11111")
        except NotPossibleError:
            continue
    found = [(d.field, d.stored, d.right) for d in differences(takers, lambda: at)]
    assert found == []
