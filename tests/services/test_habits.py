"""What carriers usually do, learnt from the messages that are there."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import insert

from tracker.domain.status import Status
from tracker.services import habits
from tracker.services.habits import FEWEST, Habit, Habits
from tracker.store.db import Sessions
from tracker.store.models import Message

NOW = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
SPID = "0001890"


def sent(
    sessions: Sessions,
    count: int,
    status: Status = Status.DELIVERED,
    *,
    spid: str | None = SPID,
    ago: timedelta = timedelta(hours=2),
    seconds: float = 20.0,
) -> None:
    """Put down messages that are alike."""
    at = NOW - ago
    row = {
        "status": status,
        "recipient": "12025550143",
        "sender": "11111",
        "mms_id": "45633",
        "custom_pass_id": "x",
        "created_at": at,
        "updated_at": at,
        "accepted_at": at,
        "finished_at": at + timedelta(seconds=seconds) if status.is_final else None,
        "spid": spid,
        "attempts": 1,
    }
    with sessions.begin() as session:
        session.execute(insert(Message), [{**row, "public_id": uuid4()} for _ in range(count)])


def read(sessions: Sessions, spid: str, now: datetime) -> Habit:
    """Read what is known now, whatever was kept."""
    return of(Habits(), sessions, spid, now)


def of(known: Habits, sessions: Sessions, spid: str, now: datetime) -> Habit:
    with sessions() as session:
        return known.of(session, spid, now)


def test_the_share_of_receipts_and_the_usual_time_are_learnt(sessions: Sessions) -> None:
    sent(sessions, 60, seconds=20)
    sent(sessions, 29, seconds=90)
    sent(sessions, 5, Status.EXPIRED, seconds=90)
    sent(sessions, 6, Status.SENT)
    assert read(sessions, SPID, NOW) == Habit(100, 0.94, 20.0)


def test_too_few_messages_tell_nothing(sessions: Sessions) -> None:
    sent(sessions, FEWEST - 1)
    sent(sessions, FEWEST, spid="0002222")
    assert read(sessions, SPID, NOW) == Habit(FEWEST - 1)
    assert read(sessions, "0002222", NOW).share == 1.0
    assert read(sessions, "0009999", NOW) == Habit(0)


@pytest.mark.parametrize("status", [Status.FAILED, Status.REFUSED, Status.ACCEPTED])
def test_what_says_nothing_of_the_carrier_is_not_counted(
    sessions: Sessions, status: Status
) -> None:
    sent(sessions, FEWEST, status)
    assert read(sessions, SPID, NOW) == Habit(0)


def test_a_carrier_that_never_answers_has_a_share_of_nothing(sessions: Sessions) -> None:
    sent(sessions, FEWEST, Status.NO_RECEIPT)
    assert read(sessions, SPID, NOW) == Habit(FEWEST, 0.0, None)


def test_only_messages_of_the_last_month_count_and_not_the_newest(sessions: Sessions) -> None:
    sent(sessions, FEWEST, ago=timedelta(minutes=59))
    sent(sessions, FEWEST, ago=timedelta(days=31))
    assert read(sessions, SPID, NOW) == Habit(0)


@pytest.mark.parametrize("bound", ["LOOKED_AT", "SAMPLE"])
def test_the_sample_is_bounded_and_takes_the_newest(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(habits, bound, FEWEST)
    sent(sessions, FEWEST, Status.SENT, ago=timedelta(days=1))
    sent(sessions, FEWEST, ago=timedelta(hours=3))
    assert read(sessions, SPID, NOW) == Habit(FEWEST, 1.0, 20.0)


def test_what_carriers_are_called_fills_no_memory(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(habits, "_MOST_KEPT", 3)
    known = Habits()
    for number in range(10):
        of(known, sessions, str(number), NOW)
    assert len(known._known) <= 3


def test_a_receipt_before_its_own_answer_takes_no_time(sessions: Sessions) -> None:
    sent(sessions, FEWEST, seconds=-3)
    assert read(sessions, SPID, NOW).seconds == 0.0


def test_habits_are_kept_for_some_minutes(sessions: Sessions) -> None:
    known = Habits()
    assert of(known, sessions, SPID, NOW) == Habit(0)
    sent(sessions, FEWEST)
    assert of(known, sessions, SPID, NOW + timedelta(minutes=4)) == Habit(0)
    assert of(known, sessions, SPID, NOW + timedelta(minutes=5)).share == 1.0
