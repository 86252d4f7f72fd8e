"""Sending windows by the recipient's clock, over changes of that clock too."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from tracker.domain.windows import SendWindow, zones_of

EASTERN = ZoneInfo("America/New_York")
DAY = SendWindow(time(8), time(21), EASTERN)
WASHINGTON, HONOLULU, BERLIN = "12025550143", "18085551234", "4915112345678"
TOLL_FREE = "18005551234"


def at(text: str, zone: ZoneInfo = EASTERN, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("asked", "may"),
    [
        ("2026-11-25 07:59:59", "2026-11-25 08:00"),
        ("2026-11-25 08:00:00", "2026-11-25 08:00"),
        ("2026-11-25 20:59:59", "2026-11-25 20:59:59"),
        ("2026-11-25 21:00:00", "2026-11-26 08:00"),
        # The clock goes forward on 8 March 2026 and back on 1 November.
        ("2026-03-07 22:00:00", "2026-03-08 08:00"),
        ("2026-03-08 03:30:00", "2026-03-08 08:00"),
        ("2026-10-31 22:00:00", "2026-11-01 08:00"),
    ],
)
def test_a_message_waits_for_the_recipients_morning(asked: str, may: str) -> None:
    assert DAY.next_open(WASHINGTON, at(asked)) == at(may)


def test_a_night_with_a_change_of_the_clock_is_an_hour_shorter_or_longer() -> None:
    for evening, hours in (("2026-03-07", 10), ("2026-10-31", 12), ("2026-11-24", 11)):
        asked = at(f"{evening} 21:00")
        assert DAY.next_open(WASHINGTON, asked) - asked == timedelta(hours=hours)


def test_each_number_has_its_own_zone() -> None:
    asked = datetime(2026, 11, 25, 6, 0, tzinfo=UTC)
    honolulu, berlin = ZoneInfo("Pacific/Honolulu"), ZoneInfo("Europe/Berlin")
    assert DAY.next_open(HONOLULU, asked) == asked  # 20:00 there
    assert DAY.next_open(BERLIN, asked) == at("2026-11-25 08:00", berlin)
    assert zones_of(HONOLULU) == (honolulu,)


def test_a_window_may_go_over_midnight() -> None:
    night = SendWindow(time(20), time(2), EASTERN)
    assert night.next_open(WASHINGTON, at("2026-11-25 01:59")) == at("2026-11-25 01:59")
    assert night.next_open(WASHINGTON, at("2026-11-25 02:00")) == at("2026-11-25 20:00")


def test_a_time_that_the_clock_skips_opens_after_the_gap() -> None:
    early = SendWindow(time(2, 30), time(6), EASTERN)
    opens = early.next_open(WASHINGTON, at("2026-03-08 01:00"))
    assert opens == at("2026-03-08 03:00") == datetime(2026, 3, 8, 7, 0, tzinfo=UTC)


def test_an_hour_that_comes_twice_opens_the_first_time() -> None:
    early = SendWindow(time(1, 30), time(6), EASTERN)
    opens = early.next_open(WASHINGTON, at("2026-11-01 00:10"))
    assert opens == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


def test_several_zones_must_all_be_open() -> None:
    zones = zones_of("447700900123")
    assert len(zones) > 1
    opens = DAY.next_open("447700900123", datetime(2026, 7, 1, 2, 0, tzinfo=UTC))
    assert all(DAY.is_open(zone, opens) for zone in zones)


def test_zones_that_are_never_open_together_get_the_best_there_is() -> None:
    asked = datetime(2026, 11, 25, 6, 0, tzinfo=UTC)
    zones = zones_of(TOLL_FREE)
    opens = DAY.next_open(TOLL_FREE, asked)

    def count(moment: datetime) -> int:
        return sum(DAY.is_open(zone, moment) for zone in zones)

    steps = [asked + timedelta(minutes=10 * n) for n in range(48 * 6)]
    assert count(opens) == max(map(count, steps))
    assert opens <= asked + timedelta(days=1)


def test_a_number_that_names_no_zone_goes_by_the_gateways() -> None:
    assert zones_of("99912345678") == ()
    assert DAY.next_open("99912345678", at("2026-11-25 22:00")) == at("2026-11-26 08:00")


def test_the_documents_own_number_is_known_by_its_area_code() -> None:
    assert zones_of("16501234123") == (ZoneInfo("America/Los_Angeles"),)
