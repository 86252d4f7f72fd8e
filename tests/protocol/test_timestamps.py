"""Timestamps in all their forms. Source: PROTOCOL 6.6."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.protocol.timestamps import Reading, utc_timestamp

NEW_YORK = ZoneInfo("America/New_York")


def instant(text: str | None) -> datetime | None:
    return utc_timestamp(text, NEW_YORK).instant


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2011-08-02T07:20:44-04:00", datetime(2011, 8, 2, 11, 20, 44, tzinfo=UTC)),
        ("2014-07-23T09:38:07.123456-04:00", datetime(2014, 7, 23, 13, 38, 7, 123456, UTC)),
        ("2014-07-02T14:32:23-04", datetime(2014, 7, 2, 18, 32, 23, tzinfo=UTC)),
        ("2012-06-07 07:28:09.90765-04", datetime(2012, 6, 7, 11, 28, 9, 907650, UTC)),
        ("2012-06-07 07:27:29", datetime(2012, 6, 7, 11, 27, 29, tzinfo=UTC)),
        ("2012-06-07T07:27:29Z", datetime(2012, 6, 7, 7, 27, 29, tzinfo=UTC)),
        ("2012-06-07T07:27:29+0530", datetime(2012, 6, 7, 1, 57, 29, tzinfo=UTC)),
        ("2012-06-07T07:27:29+05:30", datetime(2012, 6, 7, 1, 57, 29, tzinfo=UTC)),
        ("2012-06-07T07:27:29 -0430", datetime(2012, 6, 7, 11, 57, 29, tzinfo=UTC)),
        ("2012-06-07 07:27:29 -04:00", datetime(2012, 6, 7, 11, 27, 29, tzinfo=UTC)),
        (" 2012-06-07\n07:27:29.5Z ", datetime(2012, 6, 7, 7, 27, 29, 500000, UTC)),
        ("2012-06-07t07:27:29z", datetime(2012, 6, 7, 7, 27, 29, tzinfo=UTC)),
        ("2012-06-07T07:27:29.1234567-00:00", datetime(2012, 6, 7, 7, 27, 29, 123456, UTC)),
    ],
)
def test_every_form_is_read(text: str, expected: datetime) -> None:
    read = instant(text)
    assert read == expected
    assert read is not None
    assert read.tzinfo is UTC


@pytest.mark.parametrize("count", range(1, 7))
def test_one_to_six_fraction_digits(count: int) -> None:
    read = instant(f"2014-07-23T09:38:07.{'123456'[:count]}Z")
    assert read is not None
    assert read.microsecond == int("123456"[:count].ljust(6, "0"))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "   ",
        "yesterday",
        "2012-13-01T00:00:00Z",
        "2012-02-30T00:00:00Z",
        "2012-06-07T24:00:00Z",
        "2012-06-07T23:59:60Z",
        "2012-06-07T07:60:00Z",
        "2012-06-07T07:27:29+25:00",
        "2012-06-07T07:27:29+04:60",
        "2012-06-07T07:27:29+4",
        "2012-06-07T07:27",
        "2012-06-07",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "9999-12-31 23:59:59",
        "0000-01-01T00:00:00Z",
        "1339068449",
        "2012-06-07T07:27:29Z trailing",
        "\uff12\uff10\uff11\uff12-06-07T07:27:29Z",
        "2012-06-07T07:27:29." + "1" * 5000 + "x",
    ],
)
def test_what_is_unreadable_or_impossible_has_no_instant(text: str | None) -> None:
    assert utc_timestamp(text, NEW_YORK) == Reading(None, is_zone_assumed=False)


def test_only_a_missing_offset_makes_the_zone_an_assumption() -> None:
    assert utc_timestamp("2012-06-07 07:27:29", NEW_YORK).is_zone_assumed
    assert not utc_timestamp("2012-06-07 07:27:29Z", NEW_YORK).is_zone_assumed


def test_the_zone_has_its_summer_time() -> None:
    assert instant("2012-01-07 07:27:29") == datetime(2012, 1, 7, 12, 27, 29, tzinfo=UTC)


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 30)),  # noqa: DTZ001
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_what_python_prints_is_read_back(moment: datetime, minutes: int) -> None:
    local = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert instant(local.isoformat()) == local


@given(st.text(alphabet="0123456789-:+TZ. ", max_size=40))
def test_no_text_is_an_exception(text: str) -> None:
    utc_timestamp(text, NEW_YORK)


usual = st.from_regex(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9][+-][0-2][0-9]:[0-6][0-9]",
    fullmatch=True,
)


@given(usual)
def test_the_usual_form_says_what_its_other_spellings_say(text: str) -> None:
    expected = utc_timestamp(text.replace("T", " "), NEW_YORK)
    assert utc_timestamp(text, NEW_YORK) == expected
    assert utc_timestamp(f" {text}\n", NEW_YORK) == expected
