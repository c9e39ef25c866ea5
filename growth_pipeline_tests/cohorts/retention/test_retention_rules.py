"""What counts mean: intervals, quotients, calendar and clocks. Expected values by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from growth_pipeline.cohorts.definition import RetentionDefinition
from growth_pipeline.cohorts.retention.rules import (
    Share,
    average,
    per_member,
    quotient,
    running_sums,
    wilson_interval,
)
from growth_pipeline.core.calendar import (
    calendar_table,
    date_of,
    day_end,
    day_number,
    day_start,
    local_days,
    period_of,
    period_start,
)
from growth_pipeline.core.errors import UsageError

AS_OF = datetime(2031, 3, 15, tzinfo=UTC)


def _definition(**options: object) -> RetentionDefinition:
    return RetentionDefinition(as_of=AS_OF, **options)  # type: ignore[arg-type]


def test_the_interval_of_nine_in_forty_is_the_published_one():
    low, high = wilson_interval(9, 40) or (0, 0)
    assert (round(100 * low, 1), round(100 * high, 1)) == (12.3, 37.5)


def test_the_interval_of_none_in_forty_begins_at_zero():
    low, high = wilson_interval(0, 40) or (1, 1)
    assert (low, round(100 * high, 1)) == (0.0, 8.8)


def test_more_users_than_the_column_before_have_no_interval():
    assert wilson_interval(3, 2) is None


def test_a_rate_without_base_is_unknown():
    assert quotient(0, 0) is None


def test_a_rate_ends_half_even_at_six_decimals():
    assert quotient(1, 2_000_000) == Decimal("0.000000")
    assert quotient(3, 2_000_000) == Decimal("0.000002")


def test_an_average_pools_cohorts_and_leaves_empty_ones_out():
    assert average([Share(9, 40), Share(18, 60), Share(0, 0)]) == (27, 100, 2)


@pytest.mark.parametrize(
    ("amount", "size", "each"), [(8400, 3, 2800), (5, 2, 2), (7, 2, 4), (-5, 2, -2), (-7, 2, -4)]
)
def test_an_amount_per_member_is_rounded_half_even_to_minor_units(amount, size, each):
    assert per_member(amount, size) == each


def test_running_sums_are_exact_beyond_the_digits_of_a_float():
    amounts = {0: Decimal("12345678901234567890.123456789012345678"), 1: Decimal("1E-18")}
    assert running_sums(amounts, 1)[1] == Decimal("12345678901234567890.123456789012345679")


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({}, date(2031, 1, 13)),  # a Wednesday's Monday
        ({"week_start": "sunday"}, date(2031, 1, 12)),
        ({"week_start": "wednesday"}, date(2031, 1, 15)),
        ({"anchor": date(2031, 1, 31)}, date(2031, 1, 10)),  # 21 days before
        ({"anchor": date(2024, 2, 29)}, date(2031, 1, 9)),  # a Thursday
    ],
)
def test_a_week_starts_on_its_weekday_or_on_the_anchor(options, start):
    definition = _definition(grain="week", **options)
    period = period_of(day_number(date(2031, 1, 15)), definition)
    assert date_of(period_start(period, definition)) == start


def test_a_calendar_follows_months_of_every_length():
    first, last = day_number(date(2032, 2, 28)), day_number(date(2032, 3, 1))
    rows = calendar_table(first, last, _definition(grain="month")).rows()
    assert [(date_of(row[0]).day, row[1] % 12) for row in rows] == [(28, 1), (29, 1), (1, 2)]
    assert (date_of(rows[0][2]), date_of(rows[0][3])) == (date(2032, 2, 1), date(2032, 3, 1))


@pytest.mark.parametrize("tz", ["Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Asia/Tehran"])
def test_offsets_of_a_zone_are_those_of_the_standard_library(tz):
    rows = local_days(tz).rows()
    for start, offset in rows[1:]:
        for second, wanted in ((start - 1, None), (start, offset)):
            shown = datetime.fromtimestamp(second, ZoneInfo(tz)).utcoffset()
            assert shown is not None
            assert (shown.total_seconds() == offset) == (wanted is not None)


def test_a_day_shown_twice_is_over_after_the_second_time():
    # St John's set its clocks back from 00:01 to 23:01: Sunday began, Saturday came back.
    saturday = day_number(date(2006, 10, 28))
    first_midnight = datetime(2006, 10, 29, 2, 30, tzinfo=UTC).timestamp()
    assert day_start("America/St_Johns", saturday + 1) == first_midnight
    assert day_end("America/St_Johns", saturday) == first_midnight + 3600


def test_a_day_that_a_zone_leapt_over_has_no_length():
    missing = day_number(date(2011, 12, 30))
    assert day_start("Pacific/Apia", missing) == day_end("Pacific/Apia", missing)


@pytest.mark.parametrize(
    "options",
    [
        {"grain": "year"},
        {"retention": "after"},
        {"periods": "since_entry", "period_days": 14},
        {"brackets": ((0, 1),)},
        {"retention": "bracket", "brackets": ((3, 1),)},
        {"max_period": -1},
        {"min_events": 0},
        {"entry": "first_event"},
        {"target_events": ("x",)},
        {"tz": "Mars/Olympus"},
        {"week_start": "someday"},
    ],
)
def test_an_option_that_is_not_known_is_refused(options):
    with pytest.raises(UsageError):
        _definition(**options)


@pytest.mark.parametrize(
    ("options", "last"),
    [
        ({"grain": "day"}, 30),
        ({"grain": "week"}, 12),
        ({"grain": "month"}, 12),
        ({"grain": "month", "periods": "since_entry", "period_days": 1}, 30),
        ({"retention": "bracket", "brackets": ((0, 0), (4, 9))}, 9),
    ],
)
def test_the_last_period_has_a_default_for_every_kind_of_period(options, last):
    assert _definition(**options).max_period == last
