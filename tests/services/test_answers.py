"""Lost answers, found again in an N101: offered, or taken when nothing else fits."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from builders import a_postback, begin_call, claim_due, reloaded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_support import arrivals, ingested, outcomes
from settle_support import (
    LOST,
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
from sqlalchemy import select, text

from tracker.config import DEFAULT_ZONE
from tracker.domain.settling import answer_window
from tracker.domain.status import Status
from tracker.gateway import Accepted, Refused
from tracker.protocol.codes import error_class
from tracker.services import answers, send, timeline
from tracker.services.answers import Offer
from tracker.store import messages, outbox
from tracker.store.db import Sessions
from tracker.store.models import Alert, Postback

MINUTE = timedelta(minutes=1)
OTHER = "12025550199"


@pytest.fixture
def takers(database_url: str) -> Iterator[Sessions]:
    with taking(database_url) as sessions:
        yield sessions


@pytest.fixture
def at(now: datetime) -> datetime:
    """When calls begin: what is queued now is due by then."""
    return now + MINUTE


def offered(sessions: Sessions, public_id: UUID) -> list[Offer]:
    with sessions() as session:
        row = messages.by_public_id(session, public_id)
        assert row is not None
        return answers.offers(session, row)


def test_an_n101_that_comes_after_the_loss_is_taken(takers: Sessions, at: datetime) -> None:
    public_id = lost(takers, at)
    postback_id = told(takers, at + 40 * SECOND)
    row = reloaded(takers, public_id)
    assert (row.status, row.tracking_id, row.settled_as) == (Status.SENT, "MMS_1", "taken")
    assert row.sent_at == at + 40 * SECOND
    assert row.error_info is None
    assert outcome(takers, postback_id) == "applied"
    assert differences(takers, lambda: at) == []


def test_an_n101_that_came_before_the_loss_is_taken_with_all_that_followed(
    takers: Sessions, at: datetime
) -> None:
    call = begun(takers, at)
    early = [told(takers, at + 2 * SECOND), told(takers, at + 9 * SECOND, "N102")]
    assert [outcome(takers, id_) for id_ in early] == ["unmatched", "unmatched"]
    ended(takers, call, at + 30 * SECOND)
    row = reloaded(takers, call.public_id)
    assert (row.status, row.tracking_id) == (Status.DELIVERED, "MMS_1")
    assert [outcome(takers, id_) for id_ in early] == ["applied", "applied"]
    assert differences(takers, lambda: at) == []


def test_an_n101_of_a_message_whose_sender_vanished_is_taken_with_the_end_of_its_lease(
    takers: Sessions, at: datetime
) -> None:
    call = begun(takers, at)
    told(takers, at + SECOND)
    assert reloaded(takers, call.public_id).status is Status.SENDING
    assert claim_due(takers, 5, at + outbox.LEASE) == []
    assert reloaded(takers, call.public_id).status is Status.SENT
    assert differences(takers, lambda: at) == []


def test_what_is_taken_says_who_and_why_in_audit_and_timeline(
    takers: Sessions, at: datetime
) -> None:
    public_id = lost(takers, at)
    postback_id = told(takers, at + 75 * SECOND)
    ((actor, subject, detail),) = audited(takers)
    assert (actor, subject) == ("gateway:N101", str(public_id))
    said = (
        f"N101 no. {postback_id} came 1 min 15 s after the call began, names its number and its"
        " MMS id, and fits no other message; no other postback fits this one."
    )
    assert detail == f"taken: {said}"
    line = next(e for e in story(takers, public_id) if e.what == "Answer found in a postback")
    assert line.detail == f"By gateway:N101: {said}"


def test_by_default_it_is_offered_and_nothing_is_taken(sessions: Sessions, at: datetime) -> None:
    public_id = lost(sessions, at)
    postback_id = told(sessions, at + 40 * SECOND)
    row = reloaded(sessions, public_id)
    assert (row.status, row.tracking_id) == (Status.UNKNOWN, None)
    assert outcome(sessions, postback_id) == "unmatched"
    (offer,) = offered(sessions, public_id)
    assert (offer.postback_id, offer.tracking_id, offer.code) == (postback_id, "MMS_1", "N101")
    assert offer.why == (
        "It came 40 s after the call began, and names the same number and MMS id."
        " Nothing else fits."
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"TO": OTHER},
        {"MMSID": "35674"},
        {"code": "E101"},
        {"code": "N102"},
        {"after": "601"},
        {"after": "-6"},
    ],
)
def test_what_does_not_fit_is_not_taken(
    takers: Sessions, at: datetime, changes: dict[str, str]
) -> None:
    public_id = lost(takers, at)
    after = int(changes.get("after", "40"))
    fields = {name: value for name, value in changes.items() if name != "after"}
    told(takers, at + after * SECOND, **fields)
    assert reloaded(takers, public_id).status is Status.UNKNOWN


@pytest.mark.parametrize("after", [-5, 0, 600])
def test_the_window_reaches_from_the_call_to_ten_minutes_after(
    takers: Sessions, at: datetime, after: int
) -> None:
    public_id = lost(takers, at)
    told(takers, at + after * SECOND)
    assert reloaded(takers, public_id).status is Status.SENT


def test_the_window_allows_for_the_discovery_message(takers: Sessions, at: datetime) -> None:
    public_id = lost(takers, at, ddm={"text": "It comes", "timeout_minutes": 20})
    told(takers, at + 29 * MINUTE)
    assert reloaded(takers, public_id).status is Status.SENT
    assert answer_window(at, {"text": "x"})[1] == at + 15 * MINUTE
    assert answer_window(at, {"text": "x", "timeout_minutes": 0})[1] == at + 10 * MINUTE
    assert answer_window(at, {"title": "x", "timeout_minutes": 9})[1] == at + 10 * MINUTE


def test_of_two_unknown_messages_that_fit_none_is_taken_and_both_are_offered(
    takers: Sessions, at: datetime
) -> None:
    ids = [lost(takers, at), lost(takers, at + MINUTE)]
    told(takers, at + 2 * MINUTE)
    for public_id in ids:
        assert reloaded(takers, public_id).status is Status.UNKNOWN
        (offer,) = offered(takers, public_id)
        assert "It is not the only pair: 1 other message without an answer." in offer.why


def test_of_two_tracking_ids_that_fit_none_is_taken(takers: Sessions, at: datetime) -> None:
    call = begun(takers, at)
    told(takers, at + SECOND, tracking_id="MMS_1")
    told(takers, at + SECOND, "E101", tracking_id="MMS_2")
    ended(takers, call, at + 30 * SECOND)
    assert reloaded(takers, call.public_id).status is Status.UNKNOWN
    found = offered(takers, call.public_id)
    assert [offer.tracking_id for offer in found] == ["MMS_1", "MMS_2"]
    assert "2 tracking ids fit this one" in found[0].why


def test_the_n101_of_a_message_that_is_being_sent_is_not_taken_for_another(
    takers: Sessions, at: datetime
) -> None:
    public_id = lost(takers, at)
    call = begun(takers, at + MINUTE)
    postback_id = told(takers, at + MINUTE + SECOND)
    assert reloaded(takers, public_id).status is Status.UNKNOWN
    ended(takers, call, at + MINUTE + 2 * SECOND, Accepted("MMS_1", "11111", "<RESPONSE/>"))
    assert reloaded(takers, call.public_id).status is Status.SENT
    assert outcome(takers, postback_id) == "applied"
    assert reloaded(takers, public_id).status is Status.UNKNOWN


def test_a_tracking_id_whose_postbacks_name_two_numbers_is_not_taken(
    takers: Sessions, at: datetime
) -> None:
    public_id = lost(takers, at)
    told(takers, at + SECOND, "N102", TO=OTHER)
    told(takers, at + 2 * SECOND)
    assert reloaded(takers, public_id).status is Status.UNKNOWN


def test_a_late_answer_of_what_was_taken_brings_its_sender_and_changes_no_status(
    takers: Sessions, at: datetime
) -> None:
    call = begun(takers, at)
    claim_due(takers, 5, at + outbox.LEASE)
    told(takers, at + 61 * SECOND)
    late = Accepted("MMS_1=", "60856", "<RESPONSE/>")
    ended(takers, call, at + 70 * SECOND, late)
    row = reloaded(takers, call.public_id)
    assert (row.status, row.tracking_id, row.sender_used) == (Status.SENT, "MMS_1", "60856")


def test_a_late_answer_with_another_tracking_id_is_an_alert(takers: Sessions, at: datetime) -> None:
    call = begun(takers, at)
    claim_due(takers, 5, at + outbox.LEASE)
    told(takers, at + 61 * SECOND)
    ended(takers, call, at + 70 * SECOND, Accepted("MMS_2", "60856", "<RESPONSE/>"))
    with takers() as session:
        (alert,) = session.scalars(select(Alert))
    assert (alert.kind, alert.subject) == ("settled", str(call.public_id))
    assert reloaded(takers, call.public_id).tracking_id == "MMS_1"


def test_an_n101_in_a_batch_with_its_receipt_is_answered_as_applied(
    takers: Sessions, at: datetime
) -> None:
    public_id = lost(takers, at)
    bodies = [a_postback(code, TRACKINGID="MMS_1") for code in ("N101", "N102")]
    done = ingested(takers, arrivals(bodies, at + MINUTE), at + MINUTE)
    assert outcomes(done) == ["applied", "applied"]
    assert reloaded(takers, public_id).status is Status.DELIVERED


def test_an_n101_with_a_number_that_no_phone_has_is_only_shelved(
    takers: Sessions, at: datetime
) -> None:
    assert outcome(takers, told(takers, at, TO="9" * 5000)) == "unmatched"


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.permutations(["loss", "N101", "N102", "N501", "late"]))
def test_in_every_order_it_ends_in_the_same_state(
    takers: Sessions, at: datetime, order: list[str]
) -> None:
    with takers.begin() as session:
        for table in ("postbacks", "handsets", "messages"):
            session.execute(text(f"DELETE FROM {table}"))
    call = begun(takers, at)
    for step, what in enumerate(order):
        moment = at + (step + 1) * SECOND
        if what == "loss":
            claim_due(takers, 5, at + outbox.LEASE)
        elif what == "late":
            ended(takers, call, at + outbox.LEASE + SECOND, Accepted("MMS_1", "1", "<RESPONSE/>"))
        elif what == "N501":
            told(takers, moment, "N501", ORIGIN="MMS_DDM", STATUS="Message Sent")
        else:
            told(takers, moment, what)
    row = reloaded(takers, call.public_id)
    assert (row.status, row.tracking_id, row.handset) == (Status.DELIVERED, "MMS_1", "motol7c")
    with takers() as session:
        assert set(session.scalars(select(Postback.outcome))) <= {"applied", "outranked", "noted"}
    assert differences(takers, lambda: at) == []


def test_the_loss_and_the_n101_at_once_never_miss_each_other(
    database_url: str, at: datetime
) -> None:
    """Two connections; whoever is second sees what the first has done."""
    with taking(database_url) as one, taking(database_url) as two:
        for number in range(12):
            to, name = f"120255502{number:02}", f"MMS_{number}"
            call = begun(one, at, to=to)
            at_once(
                partial(ended, one, call, at + 2 * SECOND),
                partial(told, two, at + SECOND, tracking_id=name, TO=to),
            )
            assert reloaded(one, call.public_id).tracking_id == name
        assert len(settlements(one)) == 12
        assert differences(one, lambda: at) == []


def test_of_two_n101_at_once_one_is_taken_and_the_other_waits(
    database_url: str, at: datetime
) -> None:
    with taking(database_url) as one, taking(database_url) as two:
        for number in range(8):
            to = f"120255503{number:02}"
            names = (f"MMS_{number}1", f"MMS_{number}2")
            public_id = lost(one, at, to=to)
            at_once(
                partial(told, one, at + SECOND, tracking_id=names[0], TO=to),
                partial(told, two, at + SECOND, tracking_id=names[1], TO=to),
            )
            assert reloaded(one, public_id).tracking_id in names
        with one() as session:
            outcomes = list(session.scalars(select(Postback.outcome)))
        assert sorted(outcomes) == ["applied"] * 8 + ["unmatched"] * 8
        assert len(settlements(one)) == 8
        assert differences(one, lambda: at) == []


def test_an_unknown_message_keeps_why_and_a_refusal_before_it_is_forgotten(
    sessions: Sessions, at: datetime
) -> None:
    call = begun(sessions, at)
    refused = Refused("E503", "busy", error_class("E503"), "<RESPONSE/>")
    ended(sessions, call, at + SECOND, refused)
    (claimed,) = claim_due(sessions, 5, at + 5 * MINUTE)
    begin_call(sessions, claimed, at + 5 * MINUTE)
    send.record(sessions, claimed, LOST, zone=DEFAULT_ZONE, now=at + 6 * MINUTE)
    row = reloaded(sessions, call.public_id)
    assert (row.error_code, row.error_info) == (None, "no answer in time")


def test_a_message_whose_sender_vanished_says_so(sessions: Sessions, at: datetime) -> None:
    call = begun(sessions, at)
    claim_due(sessions, 5, at + outbox.LEASE)
    row = reloaded(sessions, call.public_id)
    assert row.error_info == "the sender stopped during the call"
    with sessions() as session:
        last = timeline.of_message(session, row)[-1]
    assert (last.what, last.at) == ("Outcome unknown", at + outbox.LEASE)
    assert "the sender stopped during the call" in last.detail
