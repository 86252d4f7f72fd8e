"""Claim, call, record: whatever dies where, nobody is sent to twice."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from threading import Event

import pytest
from builders import accepted, begin_call, claim_due, queued, reloaded

from tracker.config import DEFAULT_ZONE
from tracker.domain.message import PassMessage
from tracker.domain.status import Status
from tracker.gateway import Accepted, Answer, Gateway, NotSent, Refused, Unknown
from tracker.protocol.codes import error_class
from tracker.sandbox.options import SandboxOptions
from tracker.sandbox.server import running
from tracker.services import gateway, send, take
from tracker.services.record import Sent
from tracker.services.take import Policy
from tracker.store import alerts, db, messages, outbox
from tracker.store.db import Sessions
from tracker.store.outbox import Claim

TAKEN = Accepted("TU1TXzEyMzQ2", "60856", "<RESPONSE>...</RESPONSE>")


def sent(sessions: Sessions, answer: Answer, now: datetime) -> Sent:
    """Claim the one queued message, begin its call and record an answer."""
    (claimed,) = claim_due(sessions, 10, now)
    assert begin_call(sessions, claimed, now) is not None
    return send.record(sessions, claimed, answer, zone=DEFAULT_ZONE, now=now)


def refused(code: str) -> Refused:
    return Refused(code, "because", error_class(code), "<RESPONSE/>")


@pytest.fixture
def later(now: datetime) -> datetime:
    return now + timedelta(seconds=1)


def test_an_accepted_message_keeps_its_tracking_id_and_the_answer(
    sessions: Sessions, later: datetime
) -> None:
    public_id = queued(sessions)
    assert sent(sessions, TAKEN, later).status is Status.ACCEPTED
    row = reloaded(sessions, public_id)
    assert (row.tracking_id, row.sender_used, row.attempts) == ("TU1TXzEyMzQ2", "60856", 1)
    assert row.accepted_at == later
    with sessions() as session:
        (attempt,) = messages.attempts(session, row.id)
    assert (attempt.outcome, attempt.answer) == ("accepted", TAKEN.answer)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (refused("E110"), Status.REFUSED),
        (refused("E4711"), Status.REFUSED),
        (refused(""), Status.REFUSED),
        (refused("E503"), Status.QUEUED),
        (refused("E106"), Status.QUEUED),
        (refused("E713"), Status.QUEUED),
        (NotSent("no connection"), Status.QUEUED),
        (Unknown("no answer in time"), Status.UNKNOWN),
    ],
)
def test_every_other_answer_has_its_status(
    sessions: Sessions, later: datetime, answer: Answer, status: Status
) -> None:
    public_id = queued(sessions)
    sent(sessions, answer, later)
    assert reloaded(sessions, public_id).status is status


def test_a_refused_account_sounds_one_alert_that_counts(
    sessions: Sessions, later: datetime
) -> None:
    queued(sessions)
    for _ in range(2):
        sent(sessions, refused("E104"), later)
        gateway.resume(sessions, "tests", "The key was mended.", later)
    sent(sessions, refused("E110"), later)  # the number's fault, not the account's
    with sessions() as session:
        (alert,) = alerts.open_ones(session, 5)
    assert (alert.kind, alert.subject, alert.count) == ("account", "E104", 2)
    assert "because" in alert.detail


def test_a_transient_refusal_is_asked_again_later_and_not_for_ever(
    sessions: Sessions, later: datetime
) -> None:
    public_id = queued(sessions)
    tries = 0
    while reloaded(sessions, public_id).status is Status.QUEUED:
        if tries:
            assert claim_due(sessions, 10, later) == []
        later = max(later, reloaded(sessions, public_id).due_at or later)
        sent(sessions, refused("E503"), later)
        tries += 1
    assert tries == 5
    assert reloaded(sessions, public_id).status is Status.REFUSED


def test_an_unknown_outcome_is_never_sent_again_by_itself(
    sessions: Sessions, later: datetime
) -> None:
    queued(sessions)
    sent(sessions, Unknown("no answer in time"), later)
    assert claim_due(sessions, 10, later + timedelta(days=30)) == []


def test_a_message_for_later_waits(sessions: Sessions, now: datetime) -> None:
    at = now + timedelta(hours=1)
    queued(sessions, send_at=at.isoformat())
    assert claim_due(sessions, 10, at - timedelta(seconds=1)) == []
    assert len(claim_due(sessions, 10, at)) == 1


def test_a_lease_that_ends_before_the_call_queues_again(
    sessions: Sessions, later: datetime
) -> None:
    public_id = queued(sessions)
    (claimed,) = claim_due(sessions, 10, later)
    after = later + outbox.LEASE
    (again,) = claim_due(sessions, 10, after)
    assert again.public_id == public_id
    assert begin_call(sessions, claimed, after) is None  # the first sender has lost it
    assert begin_call(sessions, again, after) is not None


def test_a_lease_that_ends_after_the_call_began_is_unknown(
    sessions: Sessions, later: datetime
) -> None:
    public_id = queued(sessions)
    (claimed,) = claim_due(sessions, 10, later)
    begin_call(sessions, claimed, later)
    assert claim_due(sessions, 10, later + outbox.LEASE) == []
    assert reloaded(sessions, public_id).status is Status.UNKNOWN


def test_an_answer_after_the_lease_is_still_the_truth(sessions: Sessions, later: datetime) -> None:
    public_id = queued(sessions)
    (claimed,) = claim_due(sessions, 10, later)
    begin_call(sessions, claimed, later)
    claim_due(sessions, 10, later + outbox.LEASE)
    send.record(sessions, claimed, TAKEN, zone=DEFAULT_ZONE, now=later + 2 * outbox.LEASE)
    assert reloaded(sessions, public_id).status is Status.ACCEPTED


def test_the_gateway_may_give_one_tracking_id_twice(sessions: Sessions) -> None:
    first = accepted(sessions, "TU1TXzEyMzQ2")
    second = accepted(sessions, "TU1TXzEyMzQ2")
    assert {reloaded(sessions, i).status for i in (first, second)} == {Status.ACCEPTED}


def test_an_answer_is_recorded_through_an_outage_that_ends(sqlite_url: str) -> None:
    """Somebody else holds SQLite's writer for longer than anybody waits for it."""
    sessions = db.connect(sqlite_url)
    public_id = queued(sessions)
    now = datetime.now(UTC)
    (claimed,) = claim_due(sessions, 1, now)

    def hold() -> None:
        while reloaded(sessions, public_id).attempts == 0:  # until the call is under way
            time.sleep(0.01)
        with sessions.begin():
            time.sleep(db.BUSY_TIMEOUT_SECONDS + 1.5)

    with (
        running(SandboxOptions(answer_delay_seconds=1.0)) as started,
        ThreadPoolExecutor(1) as pool,
    ):
        held = pool.submit(hold)
        gateway = Gateway(started.gateway_url, SandboxOptions().api_key, 5)
        clock = partial(datetime.now, UTC)
        message = begin_call(sessions, claimed, clock())
        assert message is not None
        answer = gateway.send(message)
        done = send.record_patiently(sessions, claimed, answer, zone=DEFAULT_ZONE, clock=clock)
        held.result()
    assert (done.status, len(started.calls)) == (Status.ACCEPTED, 1)
    db.engine_of(sessions).dispose()


def test_racing_senders_never_take_the_same_message(sessions: Sessions) -> None:
    for _ in range(40):
        queued(sessions)
    later = datetime.now(UTC)  # all of them are due, however long that took
    with ThreadPoolExecutor(8) as pool:
        taken = pool.map(lambda _: take.claim(sessions, 5, later, Policy()).claims, range(16))
        claimed = Counter(claim.message_id for claim in chain.from_iterable(taken))
    assert len(claimed) == 40
    assert set(claimed.values()) == {1}


def test_who_is_just_beginning_a_call_keeps_its_message(postgresql_url: str) -> None:
    """A sender stalls between writing down that a call begins and its commit, for a lease."""
    sessions = db.connect(postgresql_url)
    public_id = queued(sessions)
    at = datetime.now(UTC)
    (claimed,) = claim_due(sessions, 5, at)
    is_written, go_on = Event(), Event()

    def stalled(message: PassMessage) -> PassMessage:
        is_written.set()
        go_on.wait(20)
        return message

    with ThreadPoolExecutor(2) as pool:
        beginning = pool.submit(take.begin, sessions, [claimed], at, Policy(), stalled)
        assert is_written.wait(20)
        late = at + outbox.LEASE + timedelta(seconds=1)
        expiring = pool.submit(send.expire_leases, sessions, late)
        time.sleep(0.5)
        go_on.set()
        assert len(beginning.result()) == 1
        expiring.result()
    assert claim_due(sessions, 5, late) == []
    assert reloaded(sessions, public_id).status is Status.UNKNOWN
    db.engine_of(sessions).dispose()


def test_a_begin_of_which_nobody_knows_may_be_repeated(sessions: Sessions) -> None:
    public_id = queued(sessions)
    at = datetime.now(UTC)
    (claimed,) = claim_due(sessions, 5, at)
    assert begin_call(sessions, claimed, at) is not None
    assert begin_call(sessions, claimed, at) is not None
    assert sent_again(sessions, claimed, at).status is Status.ACCEPTED
    assert reloaded(sessions, public_id).status is Status.ACCEPTED


def sent_again(sessions: Sessions, claimed: Claim, at: datetime) -> Sent:
    return send.record(sessions, claimed, TAKEN, zone=DEFAULT_ZONE, now=at)
