"""Months: half-open ranges of UTC or of a zone, and their state at an as-of instant."""

import random
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.periods import Month, PeriodState, ZonedMonth, zone_of

OCTOBER = Month(2025, 10)


def test_a_month_is_half_open_in_utc():
    month = Month.parse("2024-02")
    assert month.start == datetime(2024, 2, 1, tzinfo=UTC)
    assert month.end == datetime(2024, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "key", ["2024-13", "2024-00", "24-01", "2024-1", "2024-01-01", "", "0000-01", "٢٠٢٤-01"]
)
def test_a_key_that_is_no_month_is_refused_with_the_expected_form(key):
    with pytest.raises(UsageError, match="is not a month") as caught:
        Month.parse(key)
    assert "YYYY-MM" in caught.value.remedy


def test_neighbours_cross_the_year():
    assert Month(2024, 12).next == Month(2025, 1)
    assert Month(2025, 1).previous == Month(2024, 12)
    assert [m.key for m in Month(2024, 11).until(Month(2025, 2))] == [
        "2024-11",
        "2024-12",
        "2025-01",
        "2025-02",
    ]
    assert list(Month(2025, 2).until(Month(2025, 1))) == []


def test_an_instant_belongs_to_its_utc_month_whatever_its_zone():
    west = timezone(timedelta(hours=-8))
    assert Month.of(datetime(2024, 1, 31, 16, 0, tzinfo=west)) == Month(2024, 2)
    with pytest.raises(ValueError, match="without a zone"):
        Month.of(datetime(2024, 1, 31))  # noqa: DTZ001 - the refusal is what is tested


def test_as_of_is_exclusive():
    month = Month(2024, 3)
    assert month.state(datetime(2024, 3, 1, tzinfo=UTC)) is PeriodState.NOT_BEGUN
    assert month.state(datetime(2024, 3, 1, 0, 0, 0, 1, tzinfo=UTC)) is PeriodState.OPEN
    assert month.state(datetime(2024, 4, 1, tzinfo=UTC)) is PeriodState.CLOSED


# --- months of a zone ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tz", "month", "start", "end"),
    [
        ("UTC", (2025, 10), "2025-10-01T00:00", "2025-11-01T00:00"),
        ("America/Los_Angeles", (2025, 10), "2025-10-01T07:00", "2025-11-01T07:00"),
        ("America/Los_Angeles", (2025, 11), "2025-11-01T07:00", "2025-12-01T08:00"),
        ("Pacific/Auckland", (2025, 10), "2025-09-30T11:00", "2025-10-31T11:00"),
        ("Asia/Kolkata", (2025, 2), "2025-01-31T18:30", "2025-02-28T18:30"),
        # Clocks leap from 00:00 to 01:00 on the first of October 2023: midnight is missing.
        ("America/Asuncion", (2023, 10), "2023-10-01T04:00", "2023-11-01T03:00"),
        # The 30th of December 2011 is missing; the year ends 24 hours earlier.
        ("Pacific/Apia", (2011, 12), "2011-12-01T10:00", "2011-12-31T10:00"),
    ],
)
def test_a_month_of_a_zone_begins_when_its_clocks_first_show_its_first_day(tz, month, start, end):
    period = ZonedMonth(Month(*month), tz)
    assert period.start == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert period.end == datetime.fromisoformat(end).replace(tzinfo=UTC)


def test_a_month_of_a_zone_reaches_into_two_months_of_utc():
    assert ZonedMonth(OCTOBER).utc_months == (OCTOBER,)
    assert ZonedMonth(OCTOBER, "America/New_York").utc_months == (OCTOBER, Month(2025, 11))
    assert ZonedMonth(OCTOBER, "Europe/Berlin").utc_months == (Month(2025, 9), OCTOBER)


def test_a_clock_set_back_over_midnight_leaves_no_gap_and_no_instant_in_two_months():
    """St John's, 1 November 2009: at 00:01 the clocks went back to 23:01 of the day before."""
    tz = "America/St_Johns"
    october, november = ZonedMonth(Month(2009, 10), tz), ZonedMonth(Month(2009, 11), tz)
    assert october.end == november.start == datetime(2009, 11, 1, 2, 30, tzinfo=UTC)
    for minutes in range(-120, 121):
        instant = november.start + timedelta(minutes=minutes)
        assert ZonedMonth.of(instant, tz) == (october if minutes < 0 else november)


@pytest.mark.parametrize(
    "tz", ["", "utc", "Berlin", "localtime", "../etc/passwd", "UTC\x00", "Factory"]
)
def test_a_name_that_is_no_zone_is_refused(tz):
    with pytest.raises(UsageError, match="is not a time zone"):
        zone_of(tz)


def test_months_of_every_zone_follow_each_other_and_hold_their_instants():
    """All zones that clocks were ever changed in, over ten years: no gap, no overlap, no instant lost."""
    generator = random.Random(4)
    names = sorted(available_timezones() - {"localtime", "Factory"})
    for tz in [*generator.sample(names, 40), "Pacific/Apia", "Africa/Casablanca", "Asia/Gaza"]:
        end = ZonedMonth(Month(2010, 12), tz).end
        for month in Month(2011, 1).until(Month(2021, 12)):
            period = ZonedMonth(month, tz)
            assert period.start == end, (tz, month)
            end = period.end
            local = period.start.astimezone(ZoneInfo(tz))
            assert (local.year, local.month) == (month.year, month.month), (tz, month)
            for instant in (period.start, period.end - timedelta(microseconds=1)):
                assert ZonedMonth.of(instant, tz).month == month, (tz, month)


def test_a_month_of_a_zone_is_open_until_its_own_end():
    period = ZonedMonth(OCTOBER, "America/Los_Angeles")
    assert period.state(OCTOBER.start) is PeriodState.NOT_BEGUN
    assert period.state(OCTOBER.end) is PeriodState.OPEN
    assert period.state(period.end) is PeriodState.CLOSED
