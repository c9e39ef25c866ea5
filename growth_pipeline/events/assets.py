"""What is made of product events, as Dagster sees it."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.events.checks import (
    ACTIVITY,
    ACTIVITY_CHECKS,
    ASSERTION_CHECKS,
    BILLING_ASSERTIONS,
    check_activity,
    check_assertions,
)
from growth_pipeline.events.partitions import daily_asset

if TYPE_CHECKING:
    from growth_pipeline.events.activity.activity_store import ActivityStore
    from growth_pipeline.events.assertions.assertion_store import AssertionStore
    from growth_pipeline.storage.engine import Engine
    from growth_pipeline.storage.lake import Lake

    Made: TypeAlias = dg.MaterializeResult[Any]
else:  # Dagster resolves annotations at import; the real classes bring psycopg and polars
    ActivityStore = AssertionStore = Engine = Lake = object
    Made = dg.MaterializeResult

_SHOWN = 50

verify_events_job = dg.define_asset_job(
    "verify_events_job",
    selection=dg.AssetSelection.assets(BILLING_ASSERTIONS),
    description="Holds the billing events of the last 30 days against the mirror of Stripe.",
    tags={"dagster/max_runtime": "3600"},
)


@dg.asset(
    key=BILLING_ASSERTIONS,
    group_name="events",
    owners=["team:data-engineering"],
    kinds={"python", "postgres"},
    deps=[dg.AssetKey(["billing", "mirror"])],
    check_specs=ASSERTION_CHECKS,
    description="Grain: one billing event of the last 30 days that Stripe contradicts, as `growth "
    "events verify --billing` lists them. Nothing is stored: events stay what they are, and "
    "revenue is counted from Stripe.",
)
def billing_assertions(
    assertion_store: dg.ResourceParam[AssertionStore],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> Made:
    """Counts of agreed, contradicted and undecided events, and the first findings."""
    from growth_pipeline.events.assertions.verify import verify_billing

    verified = verify_billing(assertion_store, now=clock())
    document = verified.to_dict(limit=_SHOWN)
    return dg.MaterializeResult(
        metadata={
            "events": verified.compared,
            "agreed": verified.agreed,
            "contradicted": document["contradicted"],
            "undecided": document["undecided"],
            "as_of": document["as_of"] or "the mirror has heard nothing yet",
            "findings": document["findings"],
        },
        check_results=[check_assertions(verified)],
    )


@daily_asset(
    key=ACTIVITY,
    group_name="events",
    owners=["team:data-engineering"],
    kinds={"parquet", "postgres"},
    check_specs=ACTIVITY_CHECKS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=36), warn_window=timedelta(hours=26)
    ),
    description="Grain: one user and local day (activity in the lake), and one user (users). A run "
    "reads its days, and every other day that changed: by late events, or by users who were "
    "merged, excluded or known since.",
    code_version="1",
)
def activity(
    context: dg.AssetExecutionContext,
    *,
    activity_store: dg.ResourceParam[ActivityStore],
    activity_zone: dg.ResourceParam[str],
    cohort_segments: dg.ResourceParam[list[str]],
    lake: dg.ResourceParam[Lake],
    engine: dg.ResourceParam[Engine],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> Made:
    """Days read and changed, users, and what was dropped."""
    from growth_pipeline.events.activity.judge import judge_rolled
    from growth_pipeline.events.activity.rollup import QualifyingSet, roll_up_news  # brings polars

    now = clock()
    days = [date.fromisoformat(key) for key in context.partition_keys]
    chosen = QualifyingSet(tz=activity_zone)
    try:
        rolled = roll_up_news(
            activity_store,
            lake,
            engine,
            as_of=now,
            now=now,
            days=days,
            qualifying=chosen,
            segments=cohort_segments,
        )
    except GrowthError as error:
        raise dg.Failure(
            description=error.message,
            metadata={"remedy": error.remedy or "none known"},
            allow_retries=error.retryable,
        ) from error
    judged = judge_rolled(rolled, lake, engine, dataset=chosen.dataset)
    changed = [day.isoformat() for day in rolled.changed]
    return dg.MaterializeResult(
        metadata={
            "users": rolled.users,
            "days_read": rolled.days,
            "days_changed": len(changed),
            "last_days_changed": changed[-_SHOWN:],
            "events": rolled.events,
            "events_counted": rolled.kept,
            "dropped": rolled.dropped,
            "learned": dict(rolled.learned),
            "as_of": dg.MetadataValue.timestamp(now),
        },
        check_results=check_activity(judged),
    )
