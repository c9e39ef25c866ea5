"""Lifecycle, as Dagster sees it. Shells only: load, call, write, report."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from growth_pipeline.billing.partitions import OWNERS, Made, asset
from growth_pipeline.billing.resources import Clock, told_in_one_sentence
from growth_pipeline.core.ids import Scope
from growth_pipeline.events.partitions import daily_asset
from growth_pipeline.lifecycle.checks import (
    BACKTEST_CHECKS,
    MESSAGE_CHECKS,
    SCORE_CHECKS,
    SCORES_KEY,
    STAGE_CHECKS,
    STAGES_KEY,
    check_backtest,
    check_messages,
    check_scores,
    check_stages,
)

if TYPE_CHECKING:
    from growth_pipeline.lifecycle.choice import HealthLimits, KitChoice
    from growth_pipeline.lifecycle.journeys.model import Journey, SendingPolicy
    from growth_pipeline.lifecycle.rules import LifecycleRules
    from growth_pipeline.lifecycle.run import MessagesDone
    from growth_pipeline.storage.lake import Lake
    from growth_pipeline.storage.postgres import Database
else:  # Dagster resolves annotations at import; the real classes bring psycopg and polars
    Database = HealthLimits = Journey = KitChoice = Lake = LifecycleRules = SendingPolicy = object
    MessagesDone = object

_FRESH = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(hours=6), warn_window=timedelta(hours=3)
)


class StagesConfig(dg.Config):
    """`anew`: read everything from the sources again; the result is the same."""

    anew: bool = False


@asset(
    "lifecycle",
    "stages",
    description="Grain: one user (lifecycle.users) and one change of stage with its evidence "
    "(lifecycle.transitions). A run looks at users of whom something is new, and at those whose "
    "time has come; nobody else.",
    kinds={"postgres"},
    deps=[dg.AssetKey(["billing", "mirror"])],
    checks=STAGE_CHECKS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=60),
    freshness_policy=_FRESH,
    code_version="1",
)
def stages(
    context: dg.AssetExecutionContext,
    config: StagesConfig,
    *,
    database: dg.ResourceParam[Database],
    scopes: dg.ResourceParam[Sequence[Scope]],
    lifecycle_rules: dg.ResourceParam[LifecycleRules],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one user, and one change of stage."""
    from growth_pipeline.lifecycle.health import news_left
    from growth_pipeline.lifecycle.refresh.refresh import refresh_stages

    with told_in_one_sentence(context):
        done = refresh_stages(
            database,
            scopes,
            lifecycle_rules,
            now=clock(),
            anew=config.anew,
            tell=context.log.info,
        )
        waiting = news_left(database)
    context.log.info(done.in_words())
    return dg.MaterializeResult(metadata=done.to_dict(), check_results=check_stages(waiting))


@asset(
    "lifecycle",
    "messages",
    description="Grain: one message of a journey to one user, once for ever (lifecycle.outbox). A "
    "run learns who left, decides what is due, and sends it through Kit; until "
    "GROWTH_LIFECYCLE_SEND=true it only tells what it would do.",
    kinds={"postgres"},
    deps=[STAGES_KEY],
    checks=MESSAGE_CHECKS,
    freshness_policy=_FRESH,
    code_version="1",
)
def messages(
    context: dg.AssetExecutionContext,
    *,
    database: dg.ResourceParam[Database],
    lake: dg.ResourceParam[Lake],
    lifecycle_rules: dg.ResourceParam[LifecycleRules],
    journeys: dg.ResourceParam[Sequence[Journey]],
    sending_policy: dg.ResourceParam[SendingPolicy],
    kit_choice: dg.ResourceParam[KitChoice],
    health_limits: dg.ResourceParam[HealthLimits],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one message of a journey to one user."""
    from growth_pipeline.lifecycle.health import measure_messages
    from growth_pipeline.lifecycle.run import run_messages

    with told_in_one_sentence(context):
        done = run_messages(
            database,
            lake,
            journeys,
            sending_policy,
            lifecycle_rules,
            kit_choice,
            now=clock(),
            tell=context.log.info,
        )
        health = measure_messages(database, health_limits)
    return dg.MaterializeResult(
        metadata={**_describe(done), "unknown": health.unknown, "parked": health.parked},
        check_results=check_messages(health, health_limits, stopped=done.stopped),
    )


@daily_asset(
    key=SCORES_KEY,
    group_name="lifecycle",
    owners=OWNERS,
    kinds={"parquet", "postgres"},
    deps=[STAGES_KEY],
    check_specs=SCORE_CHECKS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=60),
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=36), warn_window=timedelta(hours=26)
    ),
    description="Grain: one user and local day: engagement score 0 to 100 with what adds what (the "
    "lake), and counts by stage and band (lifecycle.stage_days, lifecycle.score_days).",
    code_version="1",
)
def engagement_scores(
    context: dg.AssetExecutionContext,
    *,
    database: dg.ResourceParam[Database],
    lake: dg.ResourceParam[Lake],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one user and local day."""
    from growth_pipeline.lifecycle.health import faults_of_stages
    from growth_pipeline.lifecycle.scores.score_day import score_day  # brings polars

    days = [date.fromisoformat(key) for key in sorted(context.partition_keys)]
    with told_in_one_sentence(context):
        done = [score_day(database, lake, day, now=clock()) for day in days]
        faults = faults_of_stages(database)
    uncounted = [
        f"{one.day}: {sum(one.stages.values())} in stages, {one.users} users"
        for one in done
        if sum(one.stages.values()) != one.users
    ]
    last = done[-1]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": last.users,
            "days": len(done),
            "last_day": last.day.isoformat(),
            "average_score": round(last.average, 2) if last.average is not None else "no users",
            "stages": last.to_dict()["stages"],
            "bands": last.to_dict()["bands"],
        },
        check_results=check_scores(faults, uncounted),
    )


@asset(
    "lifecycle",
    "score_backtest",
    description="Grain: one snapshot day and outcome (lifecycle.backtests): how well the score of "
    "the day told who converted or churned in the 30 days after it: AUC, and shares by band.",
    kinds={"postgres"},
    deps=[SCORES_KEY],
    checks=BACKTEST_CHECKS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=60),
    code_version="1",
)
def score_backtest(
    context: dg.AssetExecutionContext,
    *,
    database: dg.ResourceParam[Database],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one snapshot day and outcome."""
    from growth_pipeline.lifecycle.scores.backtest import describe_backtest, run_backtest

    with told_in_one_sentence(context):
        found = run_backtest(database, now=clock(), tell=context.log.info)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(found),
            "backtest": dg.MetadataValue.md(describe_backtest(found)),
        },
        check_results=check_backtest(found),
    )


def _describe(done: "MessagesDone") -> dict[str, Any]:
    planned, report, learned = done.planned, done.report, done.learned
    return {
        "is_dry_run": planned.is_dry,
        "why_nothing_is_sent": done.why_not or "messages are sent",
        "users_looked_at": planned.looked_at,
        "entered": dict(planned.entered),
        "held_out": dict(planned.held_out),
        "messages": dict(planned.messages),
        "held_back": dict(planned.held_back),
        "sent": report.sent if report else 0,
        "skipped": dict(report.skipped) if report else {},
        "stopped": done.stopped or "no",
        "learned_from_kit": dict(learned.learned) if learned else {},
        "suppressions_restored": done.restored,
        "outbox": done.outbox,
    }
