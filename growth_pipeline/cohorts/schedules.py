"""When cohorts are refreshed: every day, once the day before is over and rolled up."""

from __future__ import annotations

import dagster as dg

from growth_pipeline.cohorts.checks import FUNNELS_KEY, REPORT_KEY, RETENTION_KEY, USERS_KEY
from growth_pipeline.events.checks import ACTIVITY

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
