"""Which months are audited at which midnight, and what happens about a midnight that was missed."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from growth_pipeline.audit.schedules import (
    AUDIT_DAY_TAG,
    daily_audit_schedule,
    due_months,
    older_months,
    older_months_audit_schedule,
)
from growth_pipeline.audit.sensors import (
    FINDINGS,
    FIRST_EXTRACT,
    missing_audits,
    missing_audits_sensor,
)
from growth_pipeline.core.periods import Month


def requested_at(moment: datetime) -> dict[str, str]:
    """Months by run key that the schedule asks for at a midnight."""
    context = dg.build_schedule_context(scheduled_execution_time=moment)
    return {request.run_key: request.partition_key for request in daily_audit_schedule(context)}


@pytest.mark.parametrize(
    ("midnight", "months"),
    [
        (datetime(2026, 3, 1, tzinfo=UTC), ["2026-02"]),
        (datetime(2026, 1, 1, tzinfo=UTC), ["2025-12"]),
        (datetime(2024, 3, 1, tzinfo=UTC), ["2024-02"]),
        (datetime(2026, 3, 2, tzinfo=UTC), ["2026-03", "2026-02"]),
        (datetime(2026, 1, 5, tzinfo=UTC), ["2026-01", "2025-12"]),
        (datetime(2026, 3, 6, tzinfo=UTC), ["2026-03", "2026-02"]),
        (datetime(2026, 3, 7, tzinfo=UTC), ["2026-03", "2026-02"]),
        (datetime(2026, 3, 8, tzinfo=UTC), ["2026-03"]),
        (datetime(2026, 3, 31, tzinfo=UTC), ["2026-03"]),
    ],
)
def test_midnight_audits_the_running_month_and_at_first_the_one_before(midnight, months):
    assert list(requested_at(midnight).values()) == months


def test_the_same_midnight_asks_for_the_same_runs():
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    assert list(requested_at(midnight)) == ["daily:2026-03-02:2026-03", "daily:2026-03-02:2026-02"]


def test_without_days_for_the_previous_month_it_is_audited_when_it_ends_and_when_it_may_be_closed():
    def due(day: int) -> list[Month]:
        return due_months(date(2026, 3, day), previous_month_days=0, close_after_days=9)

    assert [due(day) for day in (1, 2, 9)] == [[Month(2026, 2)], [Month(2026, 3)], [Month(2026, 3)]]
    both = [Month(2026, 3), Month(2026, 2)]
    assert [due(day) for day in (10, 11, 12)] == [both, both, [Month(2026, 3)]]


def test_each_month_is_audited_on_each_of_its_days_and_until_it_is_closed():
    days = [date(2024, 1, 1) + timedelta(days=number) for number in range(800)]
    audited: dict[Month, int] = {}
    for day in days:
        for month in due_months(day, previous_month_days=5, close_after_days=5):
            audited[month] = audited.get(month, 0) + 1
    # Midnights in (start, end] are as many as the month has days; days 2 to 5 follow, and the two
    # on which it may be closed.
    assert audited[Month(2024, 2)] == 29 + 6
    assert audited[Month(2025, 2)] == 28 + 6
    assert audited[Month(2025, 12)] == 31 + 6


def test_a_month_of_another_zone_is_due_by_its_own_clocks():
    """Los Angeles: October 2025 lasts until 1 November 07:00 UTC, and may be closed on the 6th then."""

    def due(day: int, tz: str) -> list[str]:
        months = due_months(date(2025, 11, day), previous_month_days=1, close_after_days=5, tz=tz)
        return [month.key for month in months]

    assert due(1, "America/Los_Angeles") == ["2025-10"]
    assert due(2, "America/Los_Angeles") == ["2025-11", "2025-10"], "it is the 1st there"
    assert due(3, "America/Los_Angeles") == ["2025-11"]
    assert due(6, "America/Los_Angeles") == ["2025-11"], "five days are over at 07:00 UTC"
    assert due(7, "America/Los_Angeles") == ["2025-11", "2025-10"]
    assert due(1, "Pacific/Auckland") == ["2025-11", "2025-10"], "November is 13 hours old there"


def never(month: Month, moment: datetime) -> bool:
    return False


def due_at(day: date) -> list[Month]:
    return due_months(day, previous_month_days=5, close_after_days=3)


def test_a_missed_midnight_is_asked_for_again():
    now = datetime(2026, 3, 20, 12, tzinfo=UTC)
    assert missing_audits(now, due_at=due_at, audited_since=never) == [
        (date(2026, 3, 19), Month(2026, 3))
    ]


def test_an_audit_since_that_midnight_covers_it():
    now = datetime(2026, 3, 20, 12, tzinfo=UTC)
    asked = []

    def audited_since(month: Month, moment: datetime) -> bool:
        asked.append((month.key, moment))
        return True

    assert missing_audits(now, due_at=due_at, audited_since=audited_since) == []
    assert asked == [("2026-03", datetime(2026, 3, 19, tzinfo=UTC))]


def test_right_after_midnight_the_schedule_is_given_its_turn():
    just_after = datetime(2026, 3, 1, 0, 10, tzinfo=UTC)
    assert missing_audits(just_after, due_at=due_at, audited_since=never) == [
        (date(2026, 2, 27), Month(2026, 2))
    ]


def test_on_the_sixth_the_previous_months_last_turn_is_still_made_up_for():
    sixth = datetime(2026, 3, 6, 12, tzinfo=UTC)
    assert missing_audits(sixth, due_at=due_at, audited_since=never) == [
        (date(2026, 3, 5), Month(2026, 3)),
        (date(2026, 3, 5), Month(2026, 2)),
    ]


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def tick(instance):
    return missing_audits_sensor(dg.build_sensor_context(instance=instance))


def test_before_anything_was_extracted_nothing_is_missing(instance):
    assert isinstance(tick(instance), dg.SkipReason)


def test_the_sensor_asks_for_a_missing_audit_once_a_day_and_not_for_one_that_is_there(instance):
    instance.report_runless_asset_event(dg.AssetMaterialization(FIRST_EXTRACT, partition="2025-01"))
    requests = tick(instance).run_requests
    assert requests
    assert len(requests) <= 5
    assert [one.run_key for one in requests] == [one.run_key for one in tick(instance).run_requests]
    for request in requests:
        instance.report_runless_asset_event(
            dg.AssetMaterialization(FINDINGS, partition=request.partition_key)
        )
    assert tick(instance).run_requests == []


# --- older months ------------------------------------------------------------------------------

LONG_AGO = Month(2020, 1)


def due(day: date, tz: str = "UTC") -> list[Month]:
    return due_months(day, previous_month_days=5, close_after_days=5, tz=tz)


@pytest.mark.parametrize("tz", ["UTC", "America/Los_Angeles", "Pacific/Auckland"])
def test_each_of_the_last_twelve_months_is_audited_at_least_once_a_week(tz):
    """Day after day, by the daily schedule and on Sundays by the other, for four years."""
    audited: dict[Month, date] = {}
    asked = 0
    for number in range(4 * 366):
        day = date(2024, 1, 1) + timedelta(days=number)
        running = Month(day.year, day.month)
        months = list(due(day, tz))
        if day.isoweekday() == 7:
            months += older_months(day, count=12, first=LONG_AGO, due=months, tz=tz)
        assert len(months) == len(set(months)), "no month twice a day"
        audited |= dict.fromkeys(months, day)
        if number < 7:
            continue
        wanted = running
        for _ in range(12 - (day.day == 1)):  # on the 1st a zone may still be a month behind
            wanted = wanted.previous
            assert day - audited[wanted] < timedelta(days=7), (wanted, day)
            asked += 1
    assert asked > 16_000


def test_older_months_come_newest_first_none_before_the_history_and_none_that_is_due():
    sunday = date(2026, 3, 15)
    keys = [one.key for one in older_months(sunday, count=3, first=LONG_AGO, due=[])]
    assert keys == ["2026-02", "2026-01", "2025-12"]
    first = Month(2026, 1)
    assert [one.key for one in older_months(sunday, count=3, first=first, due=[])] == keys[:2]
    without = older_months(sunday, count=3, first=first, due=[Month(2026, 2)])
    assert without == [Month(2026, 1)]
    assert older_months(sunday, count=0, first=LONG_AGO, due=[]) == []
    assert older_months(sunday, count=3, first=Month(2026, 3), due=[]) == []
    assert older_months(sunday, count=3, first=Month(2030, 1), due=[]) == []


@pytest.fixture
def kept(tmp_path):
    """An instance on disk: a schedule's tick opens it by itself."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as opened:
        yield opened


def ask_older(kept, moment: datetime):
    with dg.build_schedule_context(instance=kept, scheduled_execution_time=moment) as context:
        return older_months_audit_schedule(context)


def has_extracts(kept) -> None:
    kept.report_runless_asset_event(dg.AssetMaterialization(FIRST_EXTRACT, partition="2025-01"))


def test_on_sunday_each_older_month_is_asked_for_once_a_week_after_all_else(kept):
    sunday = datetime(2026, 3, 15, 3, tzinfo=UTC)
    assert isinstance(ask_older(kept, sunday), dg.SkipReason), "nothing was extracted yet"
    has_extracts(kept)
    requests = ask_older(kept, sunday)
    assert [one.partition_key for one in requests] == [
        *("2026-02", "2026-01", "2025-12", "2025-11", "2025-10", "2025-09"),
        *("2025-08", "2025-07", "2025-06", "2025-05", "2025-04", "2025-03"),
    ]
    assert requests[0].run_key == "older:2026-W11:2026-02"
    assert len({one.run_key for one in requests}) == 12
    for request in requests:
        assert request.tags == {"dagster/priority": "-10"}
        assert AUDIT_DAY_TAG not in request.tags, "it is no sign of life of the daily audit"


def test_on_a_sunday_on_which_the_month_before_is_due_anyway_it_is_not_asked_for_twice(kept):
    has_extracts(kept)
    requests = ask_older(kept, datetime(2026, 3, 1, 3, tzinfo=UTC))
    assert requests[0].partition_key == "2026-01", "midnight had February"


def test_older_months_can_be_switched_off(kept, monkeypatch):
    has_extracts(kept)
    monkeypatch.setenv("GROWTH_AUDIT__OLDER_MONTHS", "0")
    for day in (15, 16):
        skipped = ask_older(kept, datetime(2026, 3, day, 3, tzinfo=UTC))
        assert isinstance(skipped, dg.SkipReason)


def test_a_weekday_without_a_database_says_so_and_asks_for_nothing(kept, monkeypatch, tmp_path):
    has_extracts(kept)
    monkeypatch.delenv("GROWTH_DATABASE_URL", raising=False)
    monkeypatch.setenv("GROWTH_STATE_DIR", str(tmp_path / "state"))
    skipped = ask_older(kept, datetime(2026, 3, 16, 3, tzinfo=UTC))
    assert isinstance(skipped, dg.SkipReason)
    assert "the database cannot say what changed" in skipped.skip_message
