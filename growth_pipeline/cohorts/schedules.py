"""When cohorts are refreshed: every day, once the day before is over and rolled up."""

from __future__ import annotations

from datetime import UTC, timedelta

import dagster as dg

from growth_pipeline.cohorts.checks import FUNNELS_KEY, REPORT_KEY, RETENTION_KEY, USERS_KEY
from growth_pipeline.core.calendar import day_end, day_number
from growth_pipeline.events.checks import ACTIVITY
from growth_pipeline.settings import load_settings

refresh_cohorts_job = dg.define_asset_job(
    "refresh_cohorts_job",
    selection=dg.AssetSelection.assets(ACTIVITY, RETENTION_KEY, REPORT_KEY, USERS_KEY, FUNNELS_KEY),
    description="Rolls up the activity of a day, recomputes the retention cells and the counts of "
    "active users that it touches, counts funnels, and writes the cohort report.",
    tags={"dagster/max_runtime": "7200"},
)

daily_cohorts_schedule = dg.build_schedule_from_partitioned_job(
    refresh_cohorts_job,
    name="daily_cohorts_schedule",
    hour_of_day=1,
    minute_of_hour=30,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Daily at 01:30 UTC: rolls up the day that is over, and refreshes cohorts with it.",
)


@dg.schedule(
    name="sunday_cohorts_schedule",
    cron_schedule="30 8 * * 0",
    execution_timezone="UTC",
    job=refresh_cohorts_job,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Sundays at 08:30 UTC, before the weekly report: once more for Saturday, where it "
    "was not over at 01:30 in the zone of activity.",
)
def sunday_cohorts_schedule(
    context: dg.ScheduleEvaluationContext,
) -> dg.RunRequest | dg.SkipReason:
    """One run for Saturday; none where the run of 01:30 had all of it."""
    tz = load_settings().events.timezone
    at = context.scheduled_execution_time.astimezone(UTC)
    midnight = day_end(tz, day_number(at.date()) - 1)
    if midnight <= at.replace(hour=1, minute=30).timestamp():
        return dg.SkipReason(f"Saturday was over at 01:30 UTC in {tz}")
    saturday = at.date() - timedelta(days=1)
    return dg.RunRequest(run_key=f"sunday:{saturday}", partition_key=saturday.isoformat())
