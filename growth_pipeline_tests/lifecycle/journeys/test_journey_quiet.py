"""Quiet hours by the user's clock, also in the nights in which clocks jump. By hand."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from growth_pipeline.lifecycle.journeys.model import SendingPolicy
from growth_pipeline.lifecycle.journeys.quiet import is_quiet, quiet_from, quiet_until

NIGHT = SendingPolicy(quiet_from=time(21), quiet_until=time(8), tz="UTC")
BERLIN = "Europe/Berlin"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-05 20:59", None),
        ("2026-03-05 21:00", "2026-03-06 08:00"),
        ("2026-03-06 00:00", "2026-03-06 08:00"),
        ("2026-03-06 07:59", "2026-03-06 08:00"),
        ("2026-03-06 08:00", None),
    ],
)
def test_hours_over_midnight_end_the_next_morning(now, until):
    assert quiet_until(utc(now), NIGHT, None) == (until and utc(until))


def test_hours_within_a_day_end_on_it():
    lunch = SendingPolicy(quiet_from=time(12), quiet_until=time(13, 30), tz="UTC")
    assert quiet_until(utc("2026-03-05 12:00"), lunch, None) == utc("2026-03-05 13:30")
    assert quiet_until(utc("2026-03-05 13:30"), lunch, None) is None
    assert quiet_from(utc("2026-03-05 13:30"), lunch, None) == utc("2026-03-06 12:00")


def test_equal_hours_are_no_quiet_time():
    never = SendingPolicy(quiet_from=time(8), quiet_until=time(8))
    assert quiet_until(utc("2026-03-05 08:00"), never, None) is None
    assert quiet_from(utc("2026-03-05 08:00"), never, None) is None


def test_the_users_clock_counts_and_that_of_the_company_where_it_is_not_known():
    now = utc("2026-03-05 21:30")  # 22:30 in Berlin, 16:30 in New York
    assert quiet_until(now, NIGHT, BERLIN) == utc("2026-03-06 07:00")
    assert quiet_until(now, NIGHT, "America/New_York") is None
    assert quiet_until(now, NIGHT, None) == utc("2026-03-06 08:00")


def test_a_zone_that_is_none_is_as_not_known():
    now = utc("2026-03-05 21:30")
    assert quiet_until(now, NIGHT, "Mars/Olympus") == utc("2026-03-06 08:00")


def test_a_night_that_is_an_hour_shorter_ends_at_the_same_hour_of_the_clock():
    # 29 March 2026: 2:00 becomes 3:00 in Berlin; 8:00 is 6:00 UTC, the day before 7:00 UTC.
    assert quiet_until(utc("2026-03-28 02:00"), NIGHT, BERLIN) == utc("2026-03-28 07:00")
    assert quiet_until(utc("2026-03-28 23:00"), NIGHT, BERLIN) == utc("2026-03-29 06:00")


def test_a_night_that_is_an_hour_longer_ends_at_the_same_hour_of_the_clock():
    # 25 October 2026: 3:00 becomes 2:00 in Berlin.
    assert quiet_until(utc("2026-10-24 22:00"), NIGHT, BERLIN) == utc("2026-10-25 07:00")


def test_an_end_that_the_clock_jumps_over_is_when_it_jumps():
    policy = SendingPolicy(quiet_from=time(22), quiet_until=time(2, 30))
    jump = utc("2026-03-29 01:00")  # 2:00 becomes 3:00
    assert quiet_until(utc("2026-03-29 00:30"), policy, BERLIN) == jump
    assert quiet_until(jump, policy, BERLIN) is None


def test_a_beginning_that_the_clock_jumps_over_is_when_it_jumps():
    policy = SendingPolicy(quiet_from=time(2, 15), quiet_until=time(6))
    jump = utc("2026-03-29 01:00")
    assert quiet_from(utc("2026-03-29 00:30"), policy, BERLIN) == jump
    assert is_quiet(jump, policy, BERLIN)


def test_in_the_hour_that_comes_twice_a_time_may_be_quiet_twice():
    # 25 October 2026: 2:00-3:00 comes first as 0:00-1:00 UTC, then as 1:00-2:00 UTC.
    policy = SendingPolicy(quiet_from=time(22), quiet_until=time(2, 30))
    assert quiet_until(utc("2026-10-25 00:10"), policy, BERLIN) == utc("2026-10-25 00:30")
    assert quiet_until(utc("2026-10-25 00:40"), policy, BERLIN) is None
    assert quiet_until(utc("2026-10-25 01:10"), policy, BERLIN) == utc("2026-10-25 01:30")


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        (BERLIN, "2026-03-28 12:00"),
        (BERLIN, "2026-10-24 12:00"),
        ("Australia/Lord_Howe", "2026-04-04 12:00"),  # half an hour
        ("Africa/Cairo", "2026-04-23 12:00"),  # midnight does not exist
        ("Pacific/Apia", "2011-12-29 12:00"),  # a day does not exist
        ("Asia/Kathmandu", "2026-03-05 12:00"),  # 5:45
    ],
)
@pytest.mark.parametrize("ends", [time(0), time(0, 30), time(2), time(2, 30), time(8)])
def test_the_end_is_the_first_minute_that_is_not_quiet(zone, day, ends):
    policy = SendingPolicy(quiet_from=time(21), quiet_until=ends)
    first = utc(day)
    quiet = []
    for minute in range(2 * 24 * 60):  # by a plain look at the clock
        now = first + timedelta(minutes=minute)
        shown = (now.astimezone(_zone(zone))).time()
        quiet.append(shown >= time(21) or shown < ends)
    for minute in range(0, 36 * 60, 7):
        now = first + timedelta(minutes=minute)
        free = next(one for one in range(minute, len(quiet)) if not quiet[one])
        expected = None if free == minute else first + timedelta(minutes=free)
        assert quiet_until(now, policy, zone) == expected


def _zone(name: str):
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)
