"""Published retention, in the lake and in Postgres, and its report, as Dagster sees them.

Shells only: what a day touches and what a cell means is decided in the slice's pure modules.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from growth_pipeline.billing.partitions import Made, asset
from growth_pipeline.billing.resources import Clock, told_in_one_sentence
from growth_pipeline.cohorts.checks import (
    FILES,
    FUNNEL_CHECKS,
    REPORT_CHECKS,
    RETENTION_CHECKS,
    RETENTION_KEY,
    USER_CHECKS,
    check_faults,
    check_postgres,
    check_refresh,
)
from growth_pipeline.cohorts.partitions import daily_partitions
from growth_pipeline.events.checks import ACTIVITY

if TYPE_CHECKING:
    from growth_pipeline.cohorts.activity_store import PublishedActivity
    from growth_pipeline.cohorts.cohort_store import CohortStore, Publication
    from growth_pipeline.cohorts.funnel.published.definition import PublishedFunnel
    from growth_pipeline.cohorts.funnel.published.funnel_store import FunnelStore
    from growth_pipeline.cohorts.money.money_store import MoneyStore
    from growth_pipeline.cohorts.refresh.run import Refreshed
    from growth_pipeline.storage.lake import Lake
    from growth_pipeline.storage.queries import Queries
else:  # Dagster resolves annotations at import; the real classes bring polars and duckdb
    CohortStore = FunnelStore = Lake = MoneyStore = object
    PublishedActivity = PublishedFunnel = Queries = object


@asset(
    "cohorts",
    "retention_cells",
    description="Grain: one cohort and period, for cohorts by day, week and month, and currency "
    "(retention_cells in the lake, cohorts.retention_metrics in Postgres). A run brings payments "
    "of the books into the lake (money), computes what its days and they touch, publishes rows "
    "that differ, puts users into their cohorts, and logs each change of a closed cell "
    "(retention_restatements).",
    kinds={"parquet", "duckdb", "postgres"},
    ranged=True,
    partitions_def=daily_partitions(),
    deps=[ACTIVITY, dg.AssetKey(["billing", "mirror"])],
    checks=RETENTION_CHECKS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=36), warn_window=timedelta(hours=26)
    ),
    code_version="1",
)
def retention_cells(
    context: dg.AssetExecutionContext,
    *,
    lake: dg.ResourceParam[Lake],
    queries: dg.ResourceParam[Queries],
    cohort_store: dg.ResourceParam[CohortStore],
    money_store: dg.ResourceParam[MoneyStore],
    cohort_entry: dg.ResourceParam[str],
    cohort_week_start: dg.ResourceParam[str],
    cohort_segments: dg.ResourceParam[list[str]],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one cohort and period."""
    from growth_pipeline.cohorts.refresh.run import (  # brings polars
        Wanted,
        answers_of,
        in_words,
        refresh,
    )

    first, last = (date.fromisoformat(edge(context.partition_keys)) for edge in (min, max))
    wanted = Wanted(since=first, until=last, week_start=cohort_week_start, entry=cohort_entry)
    with told_in_one_sentence(context):
        done = refresh(
            lake,
            queries,
            wanted,
            now=clock(),
            segments=cohort_segments,
            books=money_store,
            tell=context.log.info,
        )
        answers = answers_of(done)
        publication = cohort_store.publish(answers, now=clock())
        in_postgres = check_postgres(answers, cohort_store)
    for told in (*map(in_words, done), publication.in_words()):
        context.log.info(told)
    return dg.MaterializeResult(
        metadata=_describe(done, publication), check_results=[*check_refresh(done), in_postgres]
    )


def _describe(done: "list[Refreshed]", publication: "Publication") -> dict[str, Any]:
    known = [made.money_known_through for made in done]
    return {
        "dagster/row_count": sum(made.published.frame.height for made in done),
        "as_of": dg.MetadataValue.timestamp(max(made.definition.as_of for made in done)),
        "money_known_through": str(max(filter(None, known), default="payments are unknown")),
        "cells_written": sum(publication.written.values()),
        "cells_withdrawn": sum(publication.withdrawn.values()),
        "users_put_into_cohorts": publication.users.assigned,
        **{f"{_label(made)}_cells_computed": made.computed for made in done},
        **{f"{_label(made)}_days_read": made.read_days for made in done},
        **{f"{_label(made)}_restated": len(made.restatements) for made in done},
    }


def _label(made: "Refreshed") -> str:
    return made.name.replace(" ", "_")


@asset(
    "cohorts",
    "report",
    description="Grain: one cohort report of all that is published, as Markdown, HTML and JSON in "
    "the lake, with heatmaps and curves here.",
    kinds={"markdown"},
    ranged=True,
    partitions_def=daily_partitions(),
    deps=[RETENTION_KEY],
    checks=REPORT_CHECKS,
    code_version="1",
)
def report(
    context: dg.AssetExecutionContext,
    *,
    lake: dg.ResourceParam[Lake],
    cohort_entry: dg.ResourceParam[str],
    cohort_segments: dg.ResourceParam[list[str]],
) -> Made:
    """Grain: one cohort report of all that is published."""
    from growth_pipeline.cohorts.report.charts import addresses  # brings altair
    from growth_pipeline.cohorts.report.page import to_markdown  # slow
    from growth_pipeline.cohorts.report.write import read_answers, save_report  # slow

    with told_in_one_sentence(context):
        told = read_answers(lake, entry=cohort_entry, segments=cohort_segments)
        artifacts = save_report(told, lake)
        unread = [path for path in artifacts.values() if lake.find_artifact(path) is None]
    said = to_markdown(
        told.answers,
        restatements=told.restatements,
        pictures=addresses(told.answers),
        segments=told.segments,
    )
    return dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.md(said),
            "artifacts": dg.MetadataValue.json(artifacts),
            "restatements": len(told.restatements),
        },
        check_results=[dg.AssetCheckResult(check_name=FILES, passed=not unread)],
    )


@asset(
    "cohorts",
    "active_users",
    description="Grain: one metric and day, week or month (DAU, WAU, MAU, calendar counts, "
    "stickiness: cohorts.active_users), and one day, week or month (new, returning, resurrecting, "
    "dormant: cohorts.lifecycle). A run reads the days that new or late activity touches, at most "
    "a month for one more day (active_counts in the lake), and logs each count of a closed period "
    "that changed (active_restatements).",
    kinds={"parquet", "duckdb", "postgres"},
    ranged=True,
    partitions_def=daily_partitions(),
    deps=[ACTIVITY],
    checks=USER_CHECKS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=36), warn_window=timedelta(hours=26)
    ),
    code_version="1",
)
def active_users(
    context: dg.AssetExecutionContext,
    *,
    lake: dg.ResourceParam[Lake],
    queries: dg.ResourceParam[Queries],
    published_activity: dg.ResourceParam[PublishedActivity],
    cohort_week_start: dg.ResourceParam[str],
    cohort_segments: dg.ResourceParam[list[str]],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one metric and day, week or month."""
    from growth_pipeline.cohorts.active_users.published.judge import POSTGRES
    from growth_pipeline.cohorts.active_users.published.picture import describe_users  # altair
    from growth_pipeline.cohorts.active_users.published.publish import (
        QUESTIONS,
        judge_store,
        judge_told,
        told_of,
    )
    from growth_pipeline.cohorts.active_users.published.refresh import refresh_active_users

    with told_in_one_sentence(context):
        done = refresh_active_users(
            lake,
            queries,
            now=clock(),
            week_start=cohort_week_start,
            segments=cohort_segments,
            tell=context.log.info,
        )
        told = told_of(done)
        answers = [answer for one in told for answer in one.answers()]
        publication = published_activity.publish(answers, kinds=QUESTIONS, now=clock())
        context.log.info(publication.in_words())
        judged = {**judge_told(told), POSTGRES: judge_store(answers, published_activity)}
    whole = done[0]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(len(answer.rows) for answer in answers),
            "as_of": dg.MetadataValue.timestamp(whole.counted.as_of),
            "days_read": sum(made.read_days for made in done),
            "counts_made": sum(made.computed for made in done),
            "restated": len(whole.restatements),
            "rows_written": publication.written,
            "rows_withdrawn": publication.withdrawn,
            "summary": dg.MetadataValue.md(describe_users(told[0])),
        },
        check_results=check_faults(judged),
    )


@asset(
    "cohorts",
    "funnels",
    description="Grain: one funnel of the settings, week or month in which users began it, segment "
    "and stage (cohorts.funnels): how many came how far, and how fast. Events of the ingest, of "
    "files and adopted tables, and payments of the books (stripe:payment).",
    kinds={"python", "postgres"},
    ranged=True,
    partitions_def=daily_partitions(),
    deps=[ACTIVITY, dg.AssetKey(["billing", "mirror"])],
    checks=FUNNEL_CHECKS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=36), warn_window=timedelta(hours=26)
    ),
    code_version="1",
)
def funnels(
    context: dg.AssetExecutionContext,
    *,
    lake: dg.ResourceParam[Lake],
    funnel_store: dg.ResourceParam[FunnelStore],
    published_activity: dg.ResourceParam[PublishedActivity],
    published_funnels: dg.ResourceParam[Callable[[datetime], list[PublishedFunnel]]],
    cohort_segments: dg.ResourceParam[list[str]],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one funnel, week or month, segment and stage."""
    from growth_pipeline.cohorts.active_users.published.publish import judge_store
    from growth_pipeline.cohorts.funnel.published.judge import POSTGRES, judge_funnels
    from growth_pipeline.cohorts.funnel.published.publish import (
        FUNNEL,
        answers_of,
        changes_of,
        describe_funnels,
    )
    from growth_pipeline.cohorts.funnel.published.refresh import refresh_funnels

    now = clock()
    with told_in_one_sentence(context):
        counted = refresh_funnels(
            lake, funnel_store, published_funnels(now), segments=cohort_segments
        )
        answers = answers_of(counted, cohort_segments)
        restated = changes_of(answers, published_activity)
        publication = published_activity.publish(answers, kinds=[FUNNEL], now=now)
        context.log.info(publication.in_words())
        judged = {**judge_funnels(answers), POSTGRES: judge_store(answers, published_activity)}
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(len(answer.rows) for answer in answers),
            "users": {one.funnel.name: one.users for one in counted},
            "restated": restated,
            "rows_written": publication.written,
            "rows_withdrawn": publication.withdrawn,
            "summary": dg.MetadataValue.md(describe_funnels(answers)),
        },
        check_results=check_faults(judged),
    )
