"""When revenue is published: every day, once the day before is over."""

from __future__ import annotations

import dagster as dg

from growth_pipeline.revenue.checks import MOVEMENTS_KEY, MRR_KEY, RECEIPTS_KEY, STATES_KEY

refresh_revenue_job = dg.define_asset_job(
    "refresh_revenue_job",
    selection=dg.AssetSelection.assets(
        STATES_KEY, MRR_KEY, MOVEMENTS_KEY, RECEIPTS_KEY, dg.AssetKey(["marts", "kept_tables"])
    ),
    description="Reads what became known of subscriptions, publishes their MRR, what moved it and "
    "all figures, and refreshes the kept tables of marts.",
    tags={"dagster/max_runtime": "7200"},
)

daily_revenue_schedule = dg.ScheduleDefinition(
    name="daily_revenue_schedule",
    job=refresh_revenue_job,
    # West of UTC Saturday is not over at 01:00; the weekly report of 09:00 wants it whole.
    cron_schedule=["0 1 * * *", "15 8 * * 0"],
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Daily at 01:00 UTC, and Sundays at 08:15 UTC before the weekly report: publishes "
    "the MRR of the day that is over.",
)
