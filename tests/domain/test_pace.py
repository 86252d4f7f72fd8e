"""How fast the gateway may be called: the interval it names, slowing, recovery, the set rate."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from tracker.domain.pace import (
    CEILING,
    FLOOR,
    LONGEST,
    Pace,
    named_interval,
    relaxed,
    slots,
    slowed,
)

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("The minimum interval between calls is 500 ms", 0.5),
        ("Minimum interval: 500ms.", 0.5),
        ("wait 2 seconds between calls", 2),
        ("1.5 sec", 1.5),
        ("1,5 SEC", 1.5),
        ("Calls must have an interval of 3 seconds", 3),
        ("250 milliseconds required", 0.25),
        ("at most one call in 1 minute", 60),
        ("5 calls per second are allowed", 0.2),
        ("limit: 10/second", 0.1),
        ("30 requests per minute", 2),
        ("999999 seconds", 900),
        ("API calls are too frequent", None),
        ("0 seconds", None),
        ("error 106 for account 12345", None),
        ("", None),
    ],
)
def test_the_interval_is_read_out_of_the_text(text: str, named: float | None) -> None:
    assert named_interval(text) == (None if named is None else seconds(named))


def test_an_e106_that_names_its_interval_sets_it() -> None:
    pace = slowed(Pace(), "E106", "minimum interval is 2 seconds", NOW, NOW)
    assert (pace.interval, pace.code) == (seconds(2), "E106")
    again = slowed(pace, "E106", "minimum interval is 2 seconds", NOW, NOW + seconds(5))
    assert again == slowed(pace, "E106", "minimum interval is 2 seconds", NOW, NOW + seconds(5))
    assert again.interval == seconds(4), "it was refused at that very pace"


@pytest.mark.parametrize(("code", "bound"), [("E113", CEILING), ("E120", LONGEST)])
def test_slowing_doubles_up_to_a_bound(code: str, bound: timedelta) -> None:
    pace, moment, seen = Pace(), NOW, []
    for _ in range(20):
        moment += seconds(1)
        pace = slowed(pace, code, None, moment, moment)
        seen.append(pace.interval)
    assert seen == sorted(seen)
    assert seen[-1] == bound
    assert seen[1] == 2 * seen[0]


def test_a_used_up_allowance_waits_longer_than_a_short_rush() -> None:
    rush, used_up = (slowed(Pace(), code, None, NOW, NOW) for code in ("E113", "E120"))
    assert used_up.interval >= 60 * rush.interval


def test_calls_that_were_under_way_do_not_slow_again() -> None:
    pace = slowed(Pace(), "E113", None, NOW, NOW + seconds(1))
    assert slowed(pace, "E113", None, NOW + seconds(0.9), NOW + seconds(2)) == pace


def test_it_recovers_step_by_step_and_then_nothing_is_left() -> None:
    pace = Pace()
    for second in range(6):
        pace = slowed(pace, "E113", None, NOW + seconds(second), NOW + seconds(second))
    start = pace.interval
    assert relaxed(pace, NOW + seconds(10)) == pace
    seen: list[timedelta] = []
    for tens in range(60):
        interval = relaxed(pace, NOW + seconds(10 * tens)).interval
        if not seen or seen[-1] != interval:
            seen.append(interval)
    assert seen[0] == start
    assert seen[-1] == timedelta(0)
    assert len(seen) > 4
    assert all(later == earlier / 2 for earlier, later in pairwise(seen[:-1]))
    assert seen[-2] >= FLOOR


def test_a_slowed_gateway_gets_one_call_an_interval() -> None:
    pace = slowed(Pace(), "E106", "2 seconds", NOW, NOW)
    found = slots(None, None, pace, NOW)
    assert (found.count, found.after(1)) == (1, NOW + seconds(2))
    assert slots(found.after(1), None, pace, NOW + seconds(1.9)).count == 0
    late = NOW + seconds(60)
    assert slots(found.after(1), None, pace, late).count == 1, "nothing is made up for"


def test_the_set_rate_is_kept_and_a_moments_delay_made_up_for() -> None:
    next_at, moment, begun = None, NOW, 0
    for _ in range(1000):
        found = slots(next_at, 40.0, Pace(), moment)
        begun += found.count
        next_at = found.after(found.count)
        moment += seconds(0.07)  # slower than the rate asks
    assert begun == pytest.approx(40 * 70, abs=5)
    assert slots(next_at, 40.0, Pace(), moment + seconds(3600)).count <= 5, "no rush after a rest"


def test_the_slower_of_the_two_holds() -> None:
    pace = slowed(Pace(), "E106", "1 second", NOW, NOW)
    assert slots(None, 100.0, pace, NOW).interval == seconds(1)
    assert slots(None, 0.1, pace, NOW).interval == seconds(10)
