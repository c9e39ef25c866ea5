"""When product events are looked through."""

from __future__ import annotations

import dagster as dg

from growth_pipeline.events.assets import verify_events_job

daily_billing_assertions_schedule = dg.ScheduleDefinition(
    name="daily_billing_assertions_schedule",
    cron_schedule="15 4 * * *",
    execution_timezone="UTC",
    job=verify_events_job,
    description="04:15 UTC, after the nightly re-list: what billing events say, held against the "
    "mirror of Stripe.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
