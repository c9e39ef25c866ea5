"""Months: half-open UTC ranges and their state at an as-of instant."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.periods import Month, PeriodState


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
