"""When stages are brought up to date and messages sent: every hour; scores once a day."""

from __future__ import annotations

import dagster as dg

from growth_pipeline.lifecycle.checks import BACKTEST_KEY, MESSAGES_KEY, SCORES_KEY, STAGES_KEY

lifecycle_job = dg.define_asset_job(
    "lifecycle_job",
    selection=dg.AssetSelection.assets(STAGES_KEY, MESSAGES_KEY),
    description="Brings stages up to date with what is new, decides which messages are due, and "
    "sends them.",
    tags={"dagster/max_runtime": "7200"},
)

engagement_scores_job = dg.define_asset_job(
    "engagement_scores_job",
    selection=dg.AssetSelection.assets(SCORES_KEY),
    description="Scores every user on local days that are over, and counts stages and bands.",
    tags={"dagster/max_runtime": "7200"},
)

score_backtest_job = dg.define_asset_job(
    "score_backtest_job",
    selection=dg.AssetSelection.assets(BACKTEST_KEY),
    description="Holds the scores of the last months against who converted and churned since.",
    tags={"dagster/max_runtime": "7200"},
)

hourly_lifecycle_schedule = dg.ScheduleDefinition(
    name="hourly_lifecycle_schedule",
    job=lifecycle_job,
    cron_schedule="17 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour: stages of users of whom something is new, and messages that are due.",
)

daily_scores_schedule = dg.build_schedule_from_partitioned_job(
    engagement_scores_job,
    name="daily_scores_schedule",
    hour_of_day=13,
    minute_of_hour=0,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Daily at 13:00 UTC, when the day before is over in every zone: scores of that "
    "day.",
)

monthly_backtest_schedule = dg.ScheduleDefinition(
    name="monthly_backtest_schedule",
    job=score_backtest_job,
    cron_schedule="0 14 2 * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="On the second of each month: how well scores told what came.",
)
