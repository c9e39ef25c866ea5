"""Which month a command line means, in UTC and in a zone, before anything runs."""

from datetime import UTC, datetime

import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.periods import Month, ZonedMonth
from growth_pipeline.operate.audit import month_to_audit

NOVEMBER = Month(2025, 11)


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("GROWTH_AUDIT__TIME_ZONE", raising=False)
    monkeypatch.chdir(tmp_path)


def at(day: int, hour: int, month: int = 11) -> datetime:
    return datetime(2025, month, day, hour, tzinfo=UTC)


def test_without_a_zone_the_setting_decides(monkeypatch):
    assert month_to_audit(NOVEMBER, now=at(2, 0)) == ZonedMonth(NOVEMBER)
    monkeypatch.setenv("GROWTH_AUDIT__TIME_ZONE", "Asia/Tokyo")
    assert month_to_audit(NOVEMBER, now=at(2, 0)) == ZonedMonth(NOVEMBER, "Asia/Tokyo")
    assert month_to_audit(NOVEMBER, now=at(2, 0), tz="UTC") == ZonedMonth(NOVEMBER)


@pytest.mark.parametrize(
    ("now", "tz", "said", "newest"),
    [
        (at(31, 23, 10), "UTC", "2025-11 has not begun", "2025-10"),
        (
            at(1, 6),
            "America/Los_Angeles",
            "2025-11 has not begun in America/Los_Angeles",
            "2025-10",
        ),
        (at(31, 23, 10), "Asia/Tokyo", "2025-11 has not begun in UTC", "2025-10"),
    ],
)
def test_a_month_that_has_not_begun_is_refused_with_the_newest_one(now, tz, said, newest):
    with pytest.raises(UsageError) as caught:
        month_to_audit(NOVEMBER, now=now, tz=tz)
    assert caught.value.message == said
    assert caught.value.remedy.endswith(newest)


def test_an_unknown_zone_is_wrong_usage():
    with pytest.raises(UsageError, match="'Mars' is not a time zone"):
        month_to_audit(NOVEMBER, now=at(2, 0), tz="Mars")
