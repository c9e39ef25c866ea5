"""When the weekly growth report is written: Sundays at 09:00 UTC."""

from __future__ import annotations

import dagster as dg

from growth_pipeline.insights.checks import REPORT_KEY

WEEKLY_JOB = "weekly_growth_report_job"

weekly_growth_report_job = dg.define_asset_job(
    WEEKLY_JOB,
    selection=dg.AssetSelection.assets(REPORT_KEY),
    description="Writes the growth report of the last complete week. By hand: `weeks` is how many "
    "complete weeks it shows, `week_end` the day after the last of them, empty for the newest.",
    tags={"dagster/max_runtime": "3600"},
)

weekly_growth_report_schedule = dg.ScheduleDefinition(
    name="weekly_growth_report_schedule",
    job=weekly_growth_report_job,
    cron_schedule="0 9 * * 0",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Sundays at 09:00 UTC: writes the growth report of the week that is over.",
)
