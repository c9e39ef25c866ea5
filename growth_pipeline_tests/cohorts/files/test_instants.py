"""Which local day an instant lies in, whatever way it is written."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from growth_pipeline.storage.files.rows import Reading
from growth_pipeline_tests.cohorts.files.reading import NOON, activity_of, read, refused


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2031-01-05T23:30:00Z", "2031-01-06"),
        ("2031-01-05 23:30:00+00", "2031-01-06"),
        ("2031-01-05T23:30Z", "2031-01-06"),
        ("2031-01-05T23:30:00.123456789z", "2031-01-06"),
        ("2031-01-05t23:30:00,5 GMT", "2031-01-06"),
        ("2031-01-05 23:30:00.000000 UTC", "2031-01-06"),
        ("2031-01-06T04:59:59+05:30", "2031-01-06"),
        ("2031-01-06T04:29:59 +0530", "2031-01-05"),
        ("2031-01-05T12:59:59-10:00", "2031-01-05"),
        ("2031-01-05T13:00:00-10", "2031-01-06"),
        ("2031-01-05T22:59:59", "2031-01-05"),
        ("2031-01-05 23:00", "2031-01-06"),
        ("2031-01-05", "2031-01-05"),
        ("20310105", "2031-01-05"),
        ("1925420399", "2031-01-05"),
        ("1925420400.000001", "2031-01-06"),
        ("1925420399999", "2031-01-05"),
        ("1925420400000000", "2031-01-06"),
        ("1969-12-31T22:59:59Z", "1969-12-31"),
        ("1969-12-31T23:00:00Z", "1970-01-01"),
        ("2031-01-05T24:00:00+01:00", "2031-01-06"),
    ],
)
def test_an_instant_lies_in_the_local_day_of_the_zone(engine, tmp_path, text, day):
    activity = activity_of(tmp_path, f'a,"{text}"', head="user_id,occurred_at")

    assert read(engine, activity, reading=Reading(tz="Europe/Berlin")).activity == [("a", day, 1)]


@pytest.mark.parametrize(
    "text",
    [
        *("soon", "2031-02-29", "2031-13-01", "31.12.2031", "12/31/2031", "2031-1-5", "0"),
        *("2031-01-05T25:00:00Z", "2031-01-05T10:61:00Z", "2031-01-05T10", "1899-12-31"),
        *("2200-01-02T00:00:00Z", "2031-01-05T10:00:00+99:00", "2031-01-05T10:00:00 CET", "193"),
        *("20311305", "infinity", "2031-01-05T10:00:00Z extra"),
    ],
)
def test_what_is_no_instant_is_refused_with_line_and_value(engine, tmp_path, text):
    activity = activity_of(tmp_path, f"a,{NOON}", f"b,{text}", head="user_id,occurred_at")

    error = refused(engine, activity)
    assert error.message.startswith(f"{activity}, line 3: occurred_at {text!r} is not an instant")


def test_instants_without_zone_are_utc_and_dates_are_local_days_and_both_are_counted(
    engine, tmp_path
):
    activity = activity_of(
        tmp_path, "a,2031-01-05 02:00:00", "b,2031-01-05", f"c,{NOON}", head="user_id,occurred_at"
    )

    found = read(engine, activity, reading=Reading(tz="America/New_York"))

    assert [row[:2] for row in found.activity] == [
        ("a", "2031-01-04"),
        ("b", "2031-01-05"),
        ("c", "2031-01-05"),
    ]
    assert found.notes == (
        "activity.csv: 1 instant without zone, read as UTC",
        "activity.csv: 1 date without time, taken as a whole local day",
    )
    assert found.as_of == datetime(2031, 1, 6, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "tz",
    [
        *("America/New_York", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"),
        *("Pacific/Apia", "America/St_Johns", "Africa/Casablanca", "America/Sao_Paulo"),
    ],
)
def test_random_instants_lie_where_the_calendar_of_python_puts_them(engine, tmp_path, tz, seed):
    rng = random.Random(f"{seed}:{tz}")
    zone = ZoneInfo(tz)
    first = int(datetime(1901, 1, 1, tzinfo=UTC).timestamp())
    last = int(datetime(2199, 1, 1, tzinfo=UTC).timestamp())
    instants = [datetime.fromtimestamp(rng.randrange(first, last), UTC) for _ in range(150)]
    instants += list(around_changes(zone, rng))
    offsets = (zone, UTC, ZoneInfo("Asia/Kolkata"))
    lines = [f"u{n},{rounded(at.astimezone(rng.choice(offsets)))}" for n, at in enumerate(instants)]

    found = read(
        engine, activity_of(tmp_path, *lines, head="user_id,occurred_at"), reading=Reading(tz=tz)
    )

    days = {user: day for user, day, _ in found.activity}
    assert days == {
        f"u{n}": at.astimezone(zone).date().isoformat() for n, at in enumerate(instants)
    }


def rounded(at: datetime) -> str:
    """ISO text; an offset with seconds, as zones had before 1930, cannot be written in a file."""
    offset = at.utcoffset()
    whole = offset is not None and offset.total_seconds() % 60 == 0
    return (at if whole else at.astimezone(UTC)).isoformat()


def around_changes(zone: ZoneInfo, rng: random.Random) -> Iterable[datetime]:
    """Seconds around every midnight near which the clocks of some years change."""
    for year in (1987, 2011, 2150):
        day = datetime(year, 1, 1, tzinfo=UTC)
        for _ in range(365):
            day += timedelta(days=1)
            if (
                day.astimezone(zone).utcoffset()
                != (day - timedelta(days=1)).astimezone(zone).utcoffset()
            ):
                for hours in range(-26, 3):
                    for seconds in (-1, 0, 1, rng.randrange(3_600)):
                        yield day + timedelta(hours=hours, seconds=seconds)
