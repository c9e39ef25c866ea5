"""When the audit runs: every midnight UTC, for the month that ran and, at first, the one before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from growth_pipeline.core.periods import UTC_NAME, Month, ZonedMonth, zone_of
from growth_pipeline.settings import load_settings

AUDIT_DAY_TAG = "growth/audit_day"
_CLOSING_TURNS = timedelta(days=2)  # a second midnight, should Stripe be away at the first

# Not billing/payments: booking again from the mirror would repair the very rows that are judged.
audit_job = dg.define_asset_job(
    "audit_job",
    selection=dg.AssetSelection.assets(dg.AssetKey(["audit", "report"])).upstream()
    - dg.AssetSelection.assets(dg.AssetKey(["billing", "payments"]))
    | dg.AssetSelection.checks_for_assets(dg.AssetKey(["billing", "inbox"])),
    description="All that the audit of one month needs: extracts, mirror, audit, report.",
    tags={"dagster/max_runtime": "7200"},
)


clean_reports_job = dg.define_asset_job(
    "clean_reports_job",
    selection=dg.AssetSelection.assets(dg.AssetKey(["audit", "kept_reports"])),
    description="Removes reports that are older than reports.keep_days and that nothing keeps.",
    tags={"dagster/max_runtime": "3600"},
)

weekly_report_cleaning_schedule = dg.ScheduleDefinition(
    name="weekly_report_cleaning_schedule",
    cron_schedule="0 3 * * 0",
    execution_timezone="UTC",
    job=clean_reports_job,
    description="Sundays at 03:00 UTC: removes reports that are too old and that nothing keeps.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


def due_months(
    day: date, *, previous_month_days: int, close_after_days: int, tz: str = UTC_NAME
) -> list[Month]:
    """Months of a zone to audit at the UTC midnight that begins a day, the newest first.

    The month that was running a moment ago, and on the first days of a month the one before: at
    the very start of a month there is nothing in it yet, and late facts still reach the last one.
    Once more on the first two midnights at which the month before may be closed.
    """
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    running = ZonedMonth.of(midnight, tz)
    months = {ZonedMonth.of(midnight - timedelta(seconds=1), tz).month}
    before = ZonedMonth(running.month.previous, tz)
    closes_from = before.end + timedelta(days=close_after_days)
    if _day_in(midnight, tz) <= previous_month_days or _just_passed(closes_from, midnight):
        months.add(before.month)
    return sorted(months, reverse=True)


def _day_in(instant: datetime, tz: str) -> int:
    """Day of the month that a zone's clocks show."""
    return instant.astimezone(zone_of(tz)).day


def _just_passed(instant: datetime, midnight: datetime) -> bool:
    return instant <= midnight < instant + _CLOSING_TURNS


def due_by_settings(day: date) -> list[Month]:
    """`due_months` as the settings have it."""
    audit = load_settings().audit
    return due_months(
        day,
        previous_month_days=audit.previous_month_days,
        close_after_days=audit.close_after_days,
        tz=audit.time_zone,
    )


def request_audit(month: Month, day: date, *, kind: str) -> dg.RunRequest:
    """One audit of one month for one day; asked for twice it runs once."""
    return dg.RunRequest(
        run_key=f"{kind}:{day.isoformat()}:{month.key}",
        partition_key=month.key,
        tags={AUDIT_DAY_TAG: day.isoformat()},
    )


@dg.schedule(
    name="daily_audit_schedule",
    cron_schedule="0 0 * * *",
    execution_timezone="UTC",
    job=audit_job,
    description="Midnight UTC: audits the running month and, in its first days, the one before.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def daily_audit_schedule(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """One run a month that is due."""
    day = context.scheduled_execution_time.astimezone(UTC).date()
    for month in due_by_settings(day):
        yield request_audit(month, day, kind="daily")
