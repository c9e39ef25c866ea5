"""When Stripe's objects are listed again: once a night."""

from __future__ import annotations

import dagster as dg

from growth_pipeline.billing.assets import relist_job
from growth_pipeline.settings import load_settings


@dg.schedule(
    name="nightly_relist_schedule",
    cron_schedule="30 2 * * *",
    execution_timezone="UTC",
    job=relist_job,
    description="02:30 UTC: lists again what can still change and repairs what differs.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def nightly_relist_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run a night, where Stripe may be read."""
    stripe = load_settings().stripe
    if stripe.api_key is None or stripe.sweep_minutes == 0:
        return dg.SkipReason("there is no Stripe key, or GROWTH_STRIPE__SWEEP_MINUTES is 0")
    return dg.RunRequest(run_key=f"relist:{context.scheduled_execution_time:%Y-%m-%d}")
