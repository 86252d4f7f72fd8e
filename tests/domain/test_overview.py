"""What today is held against, and what the hours come to."""

from datetime import UTC, datetime, timedelta

import pytest

from tracker.domain import overview
from tracker.domain.overview import DAY, HOUR, HourCount, Measure, Part
from tracker.domain.status import Status

NOW = datetime(2026, 11, 26, 14, 30, tzinfo=UTC)
TODAY = datetime(2026, 11, 26, tzinfo=UTC)
LONG_AGO = TODAY - 30 * DAY


def an_hour(
    hour: datetime, messages: int, status: Status = Status.DELIVERED, sent_as: str | None = "MMS"
) -> HourCount:
    return HourCount(hour, status, sent_as, messages)


def test_a_normal_day_is_the_mean_of_the_same_part_of_seven_days() -> None:
    counts = [an_hour(TODAY - n * DAY + 9 * HOUR, 10 * n) for n in range(1, 8)]
    counts += [an_hour(TODAY - n * DAY + 15 * HOUR, 1000) for n in range(1, 8)]  # later than now
    counts += [an_hour(TODAY - 8 * DAY + 9 * HOUR, 1000), an_hour(TODAY + 9 * HOUR, 1000)]
    found = overview.normal(counts, NOW, LONG_AGO)
    assert found is not None
    assert (found.days, found.counts[Measure.DELIVERED]) == (7, 40)


def test_of_the_hour_that_is_under_way_a_day_gives_the_part_that_has_passed() -> None:
    counts = [an_hour(TODAY - n * DAY + 14 * HOUR, 100) for n in range(1, 8)]
    found = overview.normal(counts, NOW, LONG_AGO)
    assert found is not None
    assert found.counts[Measure.SENT] == 50


def test_a_day_without_messages_counts_and_one_before_the_first_does_not() -> None:
    counts = [an_hour(TODAY - 2 * DAY, 30)]
    found = overview.normal(counts, NOW, TODAY - 3 * DAY)
    assert found is not None
    assert (found.days, found.counts[Measure.SENT]) == (3, 10)


@pytest.mark.parametrize("first", [None, TODAY, TODAY - 2 * DAY, TODAY - 3 * DAY + HOUR])
def test_too_little_history_is_no_number(first: datetime | None) -> None:
    assert overview.normal([an_hour(TODAY - DAY, 5)], NOW, first) is None


def test_today_counts_each_message_under_all_that_it_is() -> None:
    counts = [
        an_hour(TODAY, 5),
        an_hour(TODAY + 14 * HOUR, 2, sent_as="SMS"),
        an_hour(TODAY + HOUR, 3, Status.SENT),
        an_hour(TODAY + HOUR, 4, Status.QUEUED, None),
        an_hour(TODAY + HOUR, 1, Status.REFUSED, None),
        an_hour(TODAY + HOUR, 2, Status.EXPIRED),
        an_hour(TODAY + HOUR, 6, Status.UNKNOWN, None),
        an_hour(TODAY + HOUR, 7, Status.CANCELLED, None),
        an_hour(TODAY - HOUR, 1000),
    ]
    assert overview.today(counts, NOW) == {
        Measure.SENT: 12, Measure.DELIVERED: 7, Measure.LINK: 2, Measure.WAITING: 7,
        Measure.FAILED: 3, Measure.UNKNOWN: 6, Measure.ASKED: 19,
    }  # fmt: skip


def test_every_status_but_cancelled_is_part_of_one_stack() -> None:
    parts = {status: overview.part_of(status, None) for status in Status}
    assert [status for status, part in parts.items() if part is None] == [Status.CANCELLED]
    assert overview.part_of(Status.DELIVERED, "SMS") is Part.LINK
    assert overview.part_of(Status.FAILED, "SMS") is Part.FAILED


def test_hours_without_messages_are_empty_stacks() -> None:
    hours = [TODAY, TODAY + HOUR]
    counts = [an_hour(TODAY, 2), an_hour(TODAY, 3, Status.UNKNOWN), an_hour(TODAY - HOUR, 9)]
    first, second = overview.stacked(counts, hours)
    assert (first, second) == ({Part.DELIVERED: 2, Part.UNKNOWN: 3}, {})


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [([], 0.5, None), ([3], 0.95, 3), ([4, 1, 2, 3], 0.5, 2), (list(range(1, 101)), 0.95, 95)],
)
def test_a_quantile_is_one_of_the_values(
    values: list[float], share: float, found: float | None
) -> None:
    assert overview.quantile(values, share) == found


def test_midnight_is_that_of_utc() -> None:
    elsewhere = NOW.astimezone(tz=None) + timedelta(0)
    assert overview.midnight(elsewhere) == TODAY
