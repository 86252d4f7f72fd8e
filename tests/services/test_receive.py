"""Receiving: any order, any repetition, nothing lost, nobody forges."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import permutations

import pytest
from builders import NUMBER, a_postback, accepted, begin_call, claim_due, queued, reloaded
from sqlalchemy import update

from tracker.config import DEFAULT_ZONE
from tracker.domain.fold import Outcome
from tracker.domain.status import Status
from tracker.gateway import Accepted
from tracker.protocol.postback import NotAPostbackError
from tracker.services import receive, rejudge, send
from tracker.services.arrivals import read
from tracker.services.receive import Recorded
from tracker.store import postbacks
from tracker.store.db import Sessions
from tracker.store.models import Handset, PostbackBody
from tracker.store.postbacks import PostbackFilter
from tracker.store.rows import PostbackRow


def received(sessions: Sessions, body: bytes, now: datetime) -> Recorded:
    (recorded,) = receive.record(sessions, body, "text/xml", zone=DEFAULT_ZONE, now=now)
    return recorded


def journal(sessions: Sessions) -> list[PostbackRow]:
    with sessions() as session:
        return postbacks.search(session, PostbackFilter(), limit=200).items


def test_a_delivery_is_applied_with_its_facts(sessions: Sessions, now: datetime) -> None:
    public_id = accepted(sessions)
    assert received(sessions, a_postback("N102"), now).outcome is Outcome.APPLIED
    row = reloaded(sessions, public_id)
    assert (row.status, row.handset, row.spid) == (Status.DELIVERED, "motol7c", "0001890")
    assert (row.finished_at, row.sent_as) == (now, "MMS")
    with sessions() as session:
        handset = session.get_one(Handset, NUMBER)
        assert (handset.handset, handset.source) == ("motol7c", "N102")


def test_a_repeat_changes_nothing_but_the_counter(sessions: Sessions, now: datetime) -> None:
    public_id = accepted(sessions)
    received(sessions, a_postback("N102"), now)
    before = reloaded(sessions, public_id)
    later = now + timedelta(minutes=5)
    assert received(sessions, a_postback("N102"), later).is_repeat
    after = reloaded(sessions, public_id)
    assert after.updated_at == later
    assert (after.status, after.finished_at) == (before.status, before.finished_at)
    (row,) = journal(sessions)
    assert (row.repeats, row.received_at, row.last_received_at) == (1, now, later)


def test_one_event_in_two_dialects_is_one_event(sessions: Sessions, now: datetime) -> None:
    accepted(sessions)
    received(sessions, a_postback("N102"), now)
    sinch = (
        b"<postback><origin>MMS_MT</origin><code>N102</code><sent-as>MMS</sent-as>"
        b"<status>Message Sent/Delivered</status><to>12025550143</to>"
        b"<tracking-id>TU1TXzEyMzQ2</tracking-id>"
        b"<timestamp>2026-11-20T12:20:49Z</timestamp></postback>"
    )
    assert received(sessions, sinch, now).is_repeat


def test_twenty_at_once_are_one_row(sessions: Sessions, now: datetime) -> None:
    public_id = accepted(sessions)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: received(sessions, a_postback("N102"), now), range(20)))
    (row,) = journal(sessions)
    assert row.repeats == 19
    assert reloaded(sessions, public_id).status is Status.DELIVERED


def test_every_order_gives_one_status(sessions: Sessions, now: datetime) -> None:
    bodies = [
        a_postback("N501", TIMESTAMP=None),
        a_postback("N101"),
        a_postback("E102", STATUS="Message Sent/Rejected"),
        a_postback("N102"),
    ]
    for number, order in enumerate(permutations(bodies)):
        tracking_id = f"T{number}"
        public_id = accepted(sessions, tracking_id)
        for body in order:
            received(sessions, body.replace(b"TU1TXzEyMzQ2", tracking_id.encode()), now)
        row = reloaded(sessions, public_id)
        assert (row.status, row.ddm_status) == (Status.DELIVERED, "sent")


def test_postbacks_before_the_answer_wait_and_are_matched_with_it(
    sessions: Sessions, now: datetime
) -> None:
    public_id = queued(sessions)
    later = now + timedelta(seconds=1)
    (claimed,) = claim_due(sessions, 1, later)
    begin_call(sessions, claimed, later)
    for code in ("N501", "N102", "N101"):
        assert received(sessions, a_postback(code), later).outcome is Outcome.UNMATCHED
    answer = Accepted(" TU1T XzEyMzQ2=\n", "11111", "<RESPONSE/>")  # blanks and padding differ
    send.record(sessions, claimed, answer, zone=DEFAULT_ZONE, now=later)
    assert reloaded(sessions, public_id).status is Status.DELIVERED
    outcomes = {row.code: row.outcome for row in journal(sessions)}
    assert outcomes == {"N501": "noted", "N102": "applied", "N101": "outranked"}


def test_a_contradicting_number_is_quarantined_and_shadows_nothing(
    sessions: Sessions, now: datetime
) -> None:
    public_id = accepted(sessions)
    forged = received(sessions, a_postback("N102", TO="12025550199"), now)
    assert forged.outcome is Outcome.QUARANTINED
    assert reloaded(sessions, public_id).status is Status.ACCEPTED
    assert received(sessions, a_postback("N102"), now).outcome is Outcome.APPLIED


@pytest.mark.parametrize("to", ["+1 202-555-0143", None])
def test_a_number_in_other_spelling_or_none_contradicts_nothing(
    sessions: Sessions, now: datetime, to: str | None
) -> None:
    accepted(sessions)
    assert received(sessions, a_postback("N102", TO=to), now).outcome is Outcome.APPLIED


def test_another_mms_id_is_only_said(sessions: Sessions, now: datetime) -> None:
    accepted(sessions)
    recorded = received(sessions, a_postback("N102", MMSID="35674"), now)
    assert recorded.outcome is Outcome.APPLIED
    assert "35674" in recorded.reason


def test_tracking_ids_that_differ_in_case_are_two(sessions: Sessions, now: datetime) -> None:
    accepted(sessions, "abc")
    upper = a_postback("N102", TRACKINGID="ABC")
    assert received(sessions, upper, now).outcome is Outcome.UNMATCHED


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (a_postback("N333"), Outcome.NOTED),
        (a_postback("E999"), Outcome.NOTED),
        (a_postback("N102", TRACKINGID=None), Outcome.UNMATCHED),
        (a_postback("N202", ORIGIN="SMS_MT", TRACKINGID="SMS_1"), Outcome.UNMATCHED),
        (a_postback("N003", TRACKINGID=None, STATUS=None), Outcome.NOTED),
        (a_postback("N302", ORIGIN="SUB", TRACKINGID=None, STATUS=None), Outcome.NOTED),
        (b"<POSTBACK><STATUS>x</STATUS></POSTBACK>", Outcome.QUARANTINED),
        (b"<POSTBACK><CODE>N101", Outcome.QUARANTINED),
        (b"<!DOCTYPE x><POSTBACK><CODE>N101</CODE></POSTBACK>", Outcome.QUARANTINED),
        (b'{"code": "N102", "tracking-id": "TU1TXzEyMzQ2"}', Outcome.QUARANTINED),
    ],
)
def test_what_concerns_no_message_is_kept_all_the_same(
    sessions: Sessions, now: datetime, body: bytes, outcome: Outcome
) -> None:
    recorded = received(sessions, body, now)
    assert recorded.outcome is outcome
    with sessions() as session:
        row = postbacks.by_id(session, recorded.postback_id)
        assert row is not None
        assert row.outcome_reason
        assert postbacks.body(session, row).body == body


@pytest.mark.parametrize(
    "body", [b"", b"   ", b"<html></html>", b'{"a": 1}', b"<RESPONSE/>", b"x=1"]
)
def test_what_is_no_postback_is_not_kept(sessions: Sessions, now: datetime, body: bytes) -> None:
    with pytest.raises(NotAPostbackError):
        received(sessions, body, now)
    assert journal(sessions) == []


def test_several_events_of_one_body_share_its_bytes(sessions: Sessions, now: datetime) -> None:
    first, second = accepted(sessions, "MMS_1"), accepted(sessions, "MMS_2")
    one = '<NOTIFICATION id="7"><BODY><ORIGIN>MMS_MT</ORIGIN><CODE>N102</CODE>'
    end = '<STATUS CELLY="20" PROVIDER="1000" TEXT="Retrieved"/></BODY></NOTIFICATION>'
    ids = "".join(f"{one}<TRACKINGID>MMS_{n}</TRACKINGID>{end}" for n in (1, 2))
    body = f"<POSTBACK>{ids}</POSTBACK>".encode()
    recorded = receive.record(sessions, body, None, zone=DEFAULT_ZONE, now=now)
    assert [r.outcome for r in recorded] == [Outcome.APPLIED, Outcome.APPLIED]
    assert {reloaded(sessions, i).status for i in (first, second)} == {Status.DELIVERED}
    assert len({row.body_id for row in journal(sessions)}) == 1


LEGACY_LINK = (
    b"<POSTBACK><NOTIFICATION><BODY><ORIGIN>MMS_MT</ORIGIN><CODE>N102</CODE>"
    b"<TRACKINGID>MMS_9</TRACKINGID><SMSID>SMS_5</SMSID><STATUS CELLY='10'/></BODY></NOTIFICATION>"
    b"</POSTBACK>"
)
LEGACY_RECEIPT = (
    b"<POSTBACK><NOTIFICATION><BODY><ORIGIN>SMS_MT</ORIGIN><CODE>N202</CODE>"
    b"<TRACKINGID>SMS_5</TRACKINGID><STATUS CELLY='20'/></BODY></NOTIFICATION></POSTBACK>"
)


@pytest.mark.parametrize("order", [(LEGACY_LINK, LEGACY_RECEIPT), (LEGACY_RECEIPT, LEGACY_LINK)])
def test_a_legacy_link_is_delivered_by_the_receipt_of_its_sms(
    sessions: Sessions, now: datetime, order: tuple[bytes, bytes]
) -> None:
    public_id = accepted(sessions, "MMS_9")
    for body in order:
        received(sessions, body, now)
    row = reloaded(sessions, public_id)
    assert (row.status, row.status_label) == (Status.DELIVERED, "Delivered as link")


def test_a_pass_postback_is_linked_by_its_custom_pass_id(sessions: Sessions, now: datetime) -> None:
    public_id = accepted(sessions, pass_data={"CUSTOMPASSID": "order 4711"})
    body = (
        b"<POSTBACK><ORIGIN>GENERATE_PASS</ORIGIN><STATUSCODE>N801</STATUSCODE>"
        b"<CUSTOMPASSID>order 4711</CUSTOMPASSID></POSTBACK>"
    )
    assert received(sessions, body, now).outcome is Outcome.NOTED
    (row,) = journal(sessions)
    assert row.message_public_id == public_id


def test_a_pass_postback_without_that_id_is_linked_by_its_phone(
    sessions: Sessions, now: datetime
) -> None:
    public_id = accepted(sessions)
    body = (
        b"<POSTBACK><ORIGIN>GENERATE_PASS</ORIGIN><STATUSCODE>N802</STATUSCODE>"
        b"<REFERENCEDBY>Phone</REFERENCEDBY><REFERENCEVALUE>12025550143</REFERENCEVALUE></POSTBACK>"
    )
    assert received(sessions, body, now).outcome is Outcome.NOTED
    assert journal(sessions)[0].message_public_id == public_id


def test_replaying_what_was_applied_moves_nothing(sessions: Sessions, now: datetime) -> None:
    public_id = accepted(sessions)
    first = received(sessions, a_postback("E101", TIMESTAMP=None), now)
    rejected = a_postback("E102", STATUS="Message Sent/Rejected", TIMESTAMP=None)
    received(sessions, rejected, now)
    rejudge.replay(sessions, first.postback_id, actor="t", zone=DEFAULT_ZONE, now=now)
    assert reloaded(sessions, public_id).status is Status.REJECTED


def test_a_shelved_body_is_read_again_by_its_whole_content_type(
    sessions: Sessions, now: datetime
) -> None:
    body = a_postback("N102", TRACKINGID="PADDED").decode().split("?>")[1].encode("cp037")
    content_type = f"text/xml; pad={'x' * 300}; charset=cp037"
    (recorded,) = receive.record(sessions, body, content_type, zone=DEFAULT_ZONE, now=now)
    assert recorded.outcome is Outcome.UNMATCHED
    assert reloaded(sessions, accepted(sessions, "PADDED")).status is Status.DELIVERED


def test_a_shelved_body_that_is_readable_no_more_stops_no_answer(
    sessions: Sessions, now: datetime
) -> None:
    received(sessions, a_postback("N102", TRACKINGID="SPOILT"), now)
    with sessions.begin() as session:
        session.execute(update(PostbackBody).values(body=b"<POSTBACK>"))
    assert reloaded(sessions, accepted(sessions, "SPOILT")).status is Status.ACCEPTED
    assert journal(sessions)[0].outcome == "quarantined"


def test_over_long_values_are_cut_and_never_an_error(sessions: Sessions, now: datetime) -> None:
    public_id = accepted(sessions)
    body = a_postback("N102", HANDSET="h" * 5000, SPID="9" * 100, SENTAS="M" * 99)
    assert received(sessions, body, now).outcome is Outcome.APPLIED
    assert len(reloaded(sessions, public_id).handset or "") == 256
    huge = a_postback("N" * 400, TRACKINGID="t" * 4000)
    assert received(sessions, huge, now).outcome is Outcome.NOTED


def test_a_postback_and_the_answer_of_its_send_never_miss_each_other(sessions: Sessions) -> None:
    """Both commit at the same moment, many times: the delivery is always applied."""
    for number in range(12):
        tracking_id = f"RACE_{number}"
        public_id = queued(sessions)
        now = reloaded(sessions, public_id).created_at + timedelta(seconds=1)
        claimed = next(c for c in claim_due(sessions, 50, now) if c.public_id == public_id)
        begin_call(sessions, claimed, now)
        body = a_postback("N102", TRACKINGID=tracking_id)
        answer = Accepted(tracking_id, None, "<RESPONSE/>")
        with ThreadPoolExecutor(2) as pool:
            receiving = pool.submit(received, sessions, body, now)
            pool.submit(send.record, sessions, claimed, answer, zone=DEFAULT_ZONE, now=now).result()
            receiving.result()
        assert reloaded(sessions, public_id).status is Status.DELIVERED


def test_a_replay_judges_anew_and_is_audited(sessions: Sessions, now: datetime) -> None:
    recorded = received(sessions, a_postback("N102", TO=None), now)
    public_id = accepted(sessions)
    replayed = rejudge.replay(
        sessions, recorded.postback_id, actor="test", zone=DEFAULT_ZONE, now=now
    )
    assert replayed is Outcome.APPLIED
    assert reloaded(sessions, public_id).status is Status.DELIVERED
    assert journal(sessions)[0].outcome == "applied"
    again = rejudge.replay(sessions, recorded.postback_id, actor="t", zone=DEFAULT_ZONE, now=now)
    assert again is Outcome.APPLIED
    with pytest.raises(LookupError):
        rejudge.replay(sessions, 4711, actor="test", zone=DEFAULT_ZONE, now=now)


def test_a_batch_is_judged_in_order_also_across_a_linked_sms(
    sessions: Sessions, now: datetime
) -> None:
    accepted(sessions, "T1")
    link = a_postback("N102", TRACKINGID="T1", STATUS="Message Sent", SMSID="SMS_1", HANDSET=None)
    receive.record(sessions, link, None, zone=DEFAULT_ZONE, now=now)
    receipt = a_postback(
        "N202", ORIGIN="SMS_MT", TRACKINGID="SMS_1", STATUS="Message Sent/Delivered", MMSID=None
    )
    bodies = (receipt, a_postback("N101", TRACKINGID="T1"))
    batch = [read(body, None, zone=DEFAULT_ZONE, now=now) for body in bodies]
    done = receive.ingest(sessions, batch, zone=DEFAULT_ZONE, now=now)
    assert [one.outcome for (one,) in done] == [Outcome.APPLIED, Outcome.OUTRANKED]
