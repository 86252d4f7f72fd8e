"""What refusals do to all senders: pause, probe, slow down, suppress; and what is not sent yet."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from itertools import count, pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from builders import NUMBER, a_request, queued, reloaded
from sqlalchemy import select

from tracker.config import DEFAULT_ZONE
from tracker.domain.message import InvalidMessageError
from tracker.domain.reasons import status_reason
from tracker.domain.status import Status
from tracker.domain.windows import SendWindow
from tracker.gateway import Accepted, Answer, NotSent, Refused, Unknown
from tracker.protocol.codes import error_class
from tracker.services import gateway, record, submit, take, timeline, watch
from tracker.services.take import Policy
from tracker.store import gateway_state, suppressions
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry
from tracker.store.outbox import Claim

_numbers = count(1)
NOTHING = Policy()
TEN_MINUTES = timedelta(minutes=10)


def refused(code: str, info: str = "because") -> Refused:
    return Refused(code, info, error_class(code), "<RESPONSE/>")


def taken_by_gateway() -> Accepted:
    return Accepted(f"MMS_{next(_numbers)}", "11111", "<RESPONSE/>")


def begun(
    sessions: Sessions, now: datetime, policy: Policy = NOTHING, limit: int = 10
) -> list[Claim]:
    """Claim what may be sent, and begin its calls."""
    claims = take.claim(sessions, limit, now, policy).claims
    return list(take.begin(sessions, claims, now, policy, lambda message: message))


def ended(
    sessions: Sessions, calls: Sequence[Claim], answer: Callable[[], Answer], now: datetime
) -> None:
    pairs = [(claim, answer()) for claim in calls]
    record.record_all(sessions, pairs, zone=DEFAULT_ZONE, default_from="60856", now=now)


def tried(
    sessions: Sessions, answer: Answer, now: datetime, policy: Policy = NOTHING, limit: int = 10
) -> int:
    """Take what there is, give everything this answer, and return how many calls there were."""
    calls = begun(sessions, now, policy, limit)
    ended(sessions, calls, lambda: answer, now)
    return len(calls)


def audited(sessions: Sessions) -> list[tuple[str, str]]:
    with sessions() as session:
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(row.actor, row.action) for row in rows]


@pytest.fixture
def later(now: datetime) -> datetime:
    return now + timedelta(seconds=1)


# The account


def test_a_refused_account_pauses_everybody_and_the_message_waits(
    sessions: Sessions, later: datetime
) -> None:
    first, second = queued(sessions), queued(sessions)
    assert tried(sessions, refused("E713", "billing"), later, limit=1) == 1
    row = reloaded(sessions, first)
    assert (row.status, row.error_code, row.error_info) == (Status.QUEUED, "E713", "billing")
    assert "when the queue is no longer paused" in status_reason(row)
    assert begun(sessions, later + timedelta(seconds=30)) == []
    assert reloaded(sessions, second).attempts == 0
    assert audited(sessions) == [("gateway", "gateway.pause")]
    with sessions() as session:
        state = gateway_state.read(session)
    assert (state.paused_by, state.paused_code) == ("gateway", "E713")


@pytest.mark.parametrize(("sender", "is_paused"), [("60856", True), ("11111", False)])
def test_a_bad_sender_pauses_when_it_is_the_default_one(
    sessions: Sessions, later: datetime, sender: str, is_paused: bool
) -> None:
    public_id = queued(sessions, **{"from": sender})
    tried(sessions, refused("E111"), later)
    assert (gateway.paused(sessions) is not None) is is_paused
    wanted = Status.QUEUED if is_paused else Status.REFUSED
    assert reloaded(sessions, public_id).status is wanted


def test_exactly_one_sender_probes_and_success_lets_the_rest_follow(
    sessions: Sessions, later: datetime
) -> None:
    for _ in range(20):
        queued(sessions)
    tried(sessions, refused("E105"), later, limit=1)
    at = later + timedelta(minutes=1)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: begun(sessions, at), range(12)))
    calls = [call for some in found for call in some]
    assert len(calls) == 1
    ended(sessions, calls, taken_by_gateway, at)
    assert gateway.paused(sessions) is None
    assert audited(sessions)[-1] == ("probe", "gateway.resume")
    assert len(begun(sessions, at, limit=50)) == 19


def test_probes_that_are_refused_come_more_and_more_seldom(
    sessions: Sessions, later: datetime
) -> None:
    queued(sessions)
    tried(sessions, refused("E104"), later)
    at, gaps = later, []
    for _ in range(6):
        state = gateway.paused(sessions)
        assert state
        assert state.probe_at
        gaps.append((state.probe_at - at).total_seconds() / 60)
        at = state.probe_at
        assert tried(sessions, refused("E104"), at - timedelta(seconds=1)) == 0
        assert tried(sessions, refused("E104"), at) == 1
    assert gaps == [1, 2, 5, 10, 30, 30]
    assert len([entry for entry in audited(sessions) if entry[1] == "gateway.pause"]) == 1


@pytest.mark.parametrize(
    "answer", [Unknown("cut off"), NotSent("no connection"), refused("E110")], ids=repr
)
def test_a_probe_that_says_nothing_of_the_account_leaves_the_pause(
    sessions: Sessions, later: datetime, answer: Answer
) -> None:
    queued(sessions)
    queued(sessions)
    tried(sessions, refused("E104"), later, limit=1)
    at = later + timedelta(minutes=1)
    assert tried(sessions, answer, at) == 1
    assert gateway.paused(sessions)
    assert tried(sessions, taken_by_gateway(), at + timedelta(seconds=10)) == 1
    assert gateway.paused(sessions) is None


def test_a_pause_by_hand_has_no_probe_and_its_resume_is_audited(
    sessions: Sessions, later: datetime
) -> None:
    queued(sessions)
    gateway.pause(sessions, "user:olga", "The campaign is wrong.", later)
    for hours in (0, 1, 100):
        assert begun(sessions, later + timedelta(hours=hours)) == []
    gateway.resume(sessions, "user:olga", "It is right now.", later)
    assert len(begun(sessions, later)) == 1
    assert audited(sessions) == [("user:olga", "gateway.pause"), ("user:olga", "gateway.resume")]


def test_who_pauses_again_adds_a_reason_and_takes_nobodys_name(
    sessions: Sessions, later: datetime
) -> None:
    gateway.pause(sessions, "user:olga", "The campaign is wrong.", later)
    gateway.pause(sessions, "user:petr", "The texts too.", later + TEN_MINUTES)
    state = gateway.paused(sessions)
    assert state is not None
    assert (state.paused_at, state.paused_by) == (later, "user:olga")
    assert state.paused_why == "The campaign is wrong. Also user:petr: The texts too."
    assert audited(sessions) == [("user:olga", "gateway.pause"), ("user:petr", "gateway.pause")]


def test_a_person_may_take_over_the_pause_of_the_gateway(
    sessions: Sessions, later: datetime
) -> None:
    queued(sessions)
    tried(sessions, refused("E713"), later)
    gateway.pause(sessions, "user:olga", "No probes, please.", later + TEN_MINUTES)
    state = gateway.paused(sessions)
    assert state is not None
    assert (state.paused_by, state.paused_code, state.probe_at) == ("user:olga", None, None)


def test_a_refusal_from_before_the_resume_does_not_pause_again(
    sessions: Sessions, later: datetime
) -> None:
    queued(sessions)
    queued(sessions)
    calls = begun(sessions, later)
    ended(sessions, calls[:1], lambda: refused("E104"), later)
    at = later + timedelta(seconds=5)
    gateway.resume(sessions, "user:olga", "The key was mended.", at)
    ended(sessions, calls[1:], lambda: refused("E104"), at)
    assert gateway.paused(sessions) is None


# Too fast


def test_a_throttled_message_is_tried_again_and_loses_none_of_its_tries(
    sessions: Sessions, later: datetime
) -> None:
    public_id = queued(sessions)
    at = later
    for _ in range(12):
        at = max(at, reloaded(sessions, public_id).due_at or at) + TEN_MINUTES
        assert tried(sessions, refused("E113"), at) == 1
    row = reloaded(sessions, public_id)
    assert (row.status, row.error_code) == (Status.QUEUED, "E113")
    for _ in range(4):
        at = max(at, reloaded(sessions, public_id).due_at or at) + TEN_MINUTES
        tried(sessions, refused("E503"), at)
        assert reloaded(sessions, public_id).status is Status.QUEUED
    at += timedelta(hours=2)
    tried(sessions, refused("E503"), at)
    assert reloaded(sessions, public_id).status is Status.REFUSED


def test_an_e106_that_names_two_seconds_gives_one_call_in_two_seconds_to_all(
    sessions: Sessions, later: datetime
) -> None:
    for _ in range(30):
        queued(sessions)
    tried(sessions, refused("E106", "Minimum interval is 2 seconds"), later, limit=1)
    times = []
    for tenths in range(100):
        at = later + timedelta(seconds=tenths / 10)
        for _ in range(3):  # three senders
            times += [at for _ in begun(sessions, at)]
    gaps = [(b - a).total_seconds() for a, b in pairwise(times)]
    assert len(times) == 4
    assert min(gaps) >= 2


def test_the_queue_recovers_by_itself(sessions: Sessions, later: datetime) -> None:
    for _ in range(30):
        queued(sessions)
    tried(sessions, refused("E120"), later, limit=1)
    assert len(begun(sessions, later + timedelta(minutes=2))) <= 1
    much_later = later + timedelta(days=1)
    begun(sessions, much_later)
    assert len(begun(sessions, much_later)) == 10


def test_the_set_rate_holds_over_all_senders(sessions: Sessions, later: datetime) -> None:
    for _ in range(60):
        queued(sessions)
    policy = Policy(rate=10)
    with ThreadPoolExecutor(4) as pool:
        for tenths in range(30):
            at = later + timedelta(seconds=tenths / 10)
            for calls in pool.map(lambda _, at=at: begun(sessions, at, policy, 8), range(4)):
                ended(sessions, calls, taken_by_gateway, at)
    with sessions() as session:
        left = gateway.view(session, 10, later + timedelta(minutes=1)).queue.due
    assert 60 - left == pytest.approx(30, abs=2)


# Numbers


@pytest.mark.parametrize("code", ["E114", "E715"])
def test_a_number_that_the_gateway_blocks_is_never_asked_for_again(
    sessions: Sessions, later: datetime, code: str
) -> None:
    first = queued(sessions, campaign_ref="77")
    second = queued(sessions)
    tried(sessions, refused(code, "not for us"), later, limit=1)
    assert reloaded(sessions, first).status is Status.REFUSED
    with sessions() as session:
        found = suppressions.find(session, NUMBER)
    assert found
    assert (found.reason, found.detail) == (code, "Campaign 77: not for us")
    assert tried(sessions, taken_by_gateway(), later) == 0
    row = reloaded(sessions, second)
    assert (row.status, row.error_code, row.attempts) == (Status.REFUSED, code, 0)
    assert row.finished_at == later
    assert "It was not sent: the number must not be sent to since" in status_reason(row)
    with sessions() as session:
        told = timeline.of_message(session, row)
    assert [(entry.what, entry.at) for entry in told] == [
        ("Queued", row.created_at), ("Refused", later)
    ]  # fmt: skip
    assert ".." not in told[1].detail
    with pytest.raises(InvalidMessageError) as error:
        queued(sessions)
    (problem,) = error.value.problems
    assert problem.field == "to"
    assert code in problem.detail
    assert "lift" in problem.detail


def test_a_lifted_number_may_be_sent_to_again(sessions: Sessions, later: datetime) -> None:
    with sessions.begin() as session:
        suppressions.add(session, NUMBER, "STOP", None, told_at=None, now=later)
    with pytest.raises(InvalidMessageError, match="stop word"):
        queued(sessions)
    watch.lift(sessions, NUMBER, "user:olga", later)
    queued(sessions)
    assert tried(sessions, taken_by_gateway(), later) == 1


def test_an_unknown_code_is_shown_and_not_retried(sessions: Sessions, later: datetime) -> None:
    public_id = queued(sessions)
    tried(sessions, refused("E4711", "new here"), later)
    row = reloaded(sessions, public_id)
    assert (row.status, row.error_code, row.error_info) == (Status.REFUSED, "E4711", "new here")
    assert "nobody documented" in status_reason(row)


# Windows

EASTERN = ZoneInfo("America/New_York")
DAY = SendWindow(time(8), time(21), EASTERN)
NIGHT = datetime(2026, 11, 25, 23, 0, tzinfo=EASTERN).astimezone(UTC)
MORNING = datetime(2026, 11, 26, 8, 0, tzinfo=EASTERN).astimezone(UTC)


def queued_at(sessions: Sessions, now: datetime, window: SendWindow | None) -> UUID:
    public_id, _ = submit.one(sessions, a_request(), default_from=None, now=now, window=window)
    return public_id


def test_what_is_asked_for_at_night_waits_for_the_morning_and_says_so(sessions: Sessions) -> None:
    public_id = queued_at(sessions, NIGHT, DAY)
    row = reloaded(sessions, public_id)
    assert row.due_at == MORNING
    assert "08:00 on 26 November in the recipient's zone (America/New_York)" in status_reason(row)
    policy = Policy(window=DAY)
    assert tried(sessions, taken_by_gateway(), MORNING - timedelta(seconds=1), policy) == 0
    assert tried(sessions, taken_by_gateway(), MORNING, policy) == 1


def test_what_falls_out_of_its_window_is_moved_when_it_is_taken(sessions: Sessions) -> None:
    """A retry, a message sent again, or one that was queued before there was a window."""
    public_id = queued_at(sessions, NIGHT, None)
    policy = Policy(window=DAY)
    taken = take.claim(sessions, 10, NIGHT, policy)
    assert (taken.claims, taken.is_more) == ([], True)
    assert reloaded(sessions, public_id).due_at == MORNING
    assert tried(sessions, taken_by_gateway(), MORNING, policy) == 1
