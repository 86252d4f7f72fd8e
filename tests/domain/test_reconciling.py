"""What the statistics say of a message, and which message it is. Source: PROTOCOL 8."""

from datetime import UTC, datetime, timedelta

import pytest

from tracker.domain.reconciling import Taken, Word, pairs, tells_more, word
from tracker.domain.status import Status
from tracker.protocol.statistics import Sending, Step

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def a_sending(*steps: tuple[str, str | None, int]) -> Sending:
    told = [Step("inque", None, NOON, None)]
    told += [Step(name, gw, NOON + timedelta(seconds=at), None) for name, gw, at in steps]
    return Sending("7", "12025550143", "11111", "45633", False, None, tuple(told))


def a_word(at: timedelta = timedelta(), sender: str | None = "11111") -> Word:
    return Word("7", "12025550143", "45633", sender, "MMS", None, NOON + at, Status.SENT, "ACK")


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ([], None),
        ([("init", "0", 1)], None),
        ([("ack", "9", 1)], Status.SENT),
        ([("ack", "10", 1)], Status.SENT),
        ([("ack", "10", 1), ("opened", "11", 2)], Status.DELIVERED),
        ([("dlr", "20", 1), ("ack", "9", 2)], Status.DELIVERED),
        ([("ack", "9", 1), ("expired", "30", 2)], Status.EXPIRED),
        ([("rejected", "35", 3), ("expired", "30", 2)], Status.REJECTED),
        ([("expired", "30", 2), ("dlr", "20", 1)], Status.DELIVERED),
        ([("error", None, 2)], Status.FAILED),
        ([("ack", "80", 1), ("dlr", "81", 2)], None),  # of the discovery message
        ([("dlr", None, 2)], Status.DELIVERED),
    ],
)
def test_the_strongest_step_is_the_word(
    steps: list[tuple[str, str | None, int]], status: Status | None
) -> None:
    found = word(a_sending(*steps))
    assert found is not None
    assert found.status is status


@pytest.mark.parametrize("missing", ["to", "mms_id", "steps"])
def test_without_number_template_or_time_no_message_can_be_found(missing: str) -> None:
    known = {"to": "1", "mms_id": "2", "steps": (Step("inque", None, NOON, None),)}
    empty = {**known, missing: () if missing == "steps" else ""}
    sending = Sending("7", sender=None, is_link=False, handset=None, **empty)  # type: ignore[arg-type]
    assert word(sending) is None


@pytest.mark.parametrize(
    ("told", "known", "is_more"),
    [
        (Status.DELIVERED, Status.SENT, True),
        (Status.DELIVERED, Status.EXPIRED, True),
        (Status.SENT, Status.ACCEPTED, True),
        (Status.EXPIRED, Status.NO_RECEIPT, True),
        (Status.EXPIRED, Status.REJECTED, False),
        (Status.DELIVERED, Status.DELIVERED, False),
        (Status.SENT, Status.DELIVERED, False),
        (None, Status.ACCEPTED, False),
    ],
)
def test_a_word_of_equal_rank_changes_nothing(
    told: Status | None, known: Status, is_more: bool
) -> None:
    assert tells_more(told, known) is is_more


def test_one_word_and_one_message_are_a_pair_also_with_a_clock_five_hours_off() -> None:
    for off in (timedelta(), timedelta(hours=-5), timedelta(hours=-4, minutes=-9)):
        assert pairs([a_word(off)], [Taken(1, "11111", NOON)]) == ({0: 0}, set())


def test_another_time_or_another_sender_is_another_message() -> None:
    assert pairs([a_word(timedelta(hours=-6))], [Taken(1, "11111", NOON)]) == ({}, set())
    assert pairs([a_word()], [Taken(1, "22222", NOON)]) == ({}, set())
    assert pairs([a_word(sender=None)], [Taken(1, "22222", NOON)]) == ({0: 0}, set())


def test_two_within_the_window_are_left_to_a_person() -> None:
    hour = timedelta(hours=1)
    two = [Taken(1, "11111", NOON), Taken(2, "11111", NOON + hour)]
    assert pairs([a_word()], two) == ({}, {0})
    assert pairs([a_word(), a_word(hour)], two[:1]) == ({}, {0, 1})
    assert pairs([a_word(), a_word(hour)], two) == ({}, {0, 1})


def test_among_very_many_nobody_tells_one_from_another() -> None:
    messages = [Taken(number, "11111", NOON) for number in range(1000)]
    assert pairs([a_word()] * 101, messages) == ({}, set(range(101)))


def test_days_apart_each_finds_its_own() -> None:
    day = timedelta(days=1)
    messages = [Taken(1, "11111", NOON), Taken(2, "11111", NOON + day)]
    assert pairs([a_word(day), a_word()], messages) == ({0: 1, 1: 0}, set())
