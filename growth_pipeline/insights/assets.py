"""The weekly growth report, as Dagster sees it. A shell only: load, call, write, report."""

import time
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from growth_pipeline.billing.partitions import Made, asset
from growth_pipeline.billing.resources import Clock, told_in_one_sentence
from growth_pipeline.insights.checks import REPORT_CHECKS, check_report

if TYPE_CHECKING:
    from growth_pipeline.insights.choice import ModelChoice
    from growth_pipeline.insights.digest.measure import DigestSources
    from growth_pipeline.insights.insight_store import InsightStore
    from growth_pipeline.insights.make import Finished
    from growth_pipeline.storage.lake import Lake
else:  # Dagster resolves annotations at import; the real classes bring psycopg and polars
    DigestSources = InsightStore = Lake = ModelChoice = object

_WEEK = timedelta(days=7)


class WeeklyReportConfig(dg.Config):
    """`weeks`: complete weeks to show, 0 for the settings'; `week_end`: the day after the last one.

    `with_model`: whether Claude may add words. `tell`: whether an issue and a message tell of it.
    """

    weeks: int = 0
    week_end: str = ""
    with_model: bool = True
    tell: bool = True


@asset(
    "insights",
    "weekly_report",
    description="Grain: one growth report of N complete weeks: facts, what they say by rules, and "
    "words by Claude that hold no figure of its own. Markdown, HTML, JSON, CSV and a picture in "
    "the lake; files are kept for insights.keep_days.",
    kinds={"markdown"},
    deps=[
        dg.AssetKey(["revenue", "movements"]),
        dg.AssetKey(["cohorts", "active_users"]),
        dg.AssetKey(["cohorts", "retention_cells"]),
        dg.AssetKey(["cohorts", "funnels"]),
        dg.AssetKey(["events", "activity"]),
        dg.AssetKey(["billing", "payments"]),
        dg.AssetKey(["audit", "findings"]),
    ],
    checks=REPORT_CHECKS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=60),
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=_WEEK + timedelta(days=1), warn_window=_WEEK + timedelta(hours=6)
    ),
    code_version="1",
)
def weekly_report(
    context: dg.AssetExecutionContext,
    config: WeeklyReportConfig,
    *,
    digest_sources: dg.ResourceParam[DigestSources],
    insight_store: dg.ResourceParam[InsightStore],
    insight_model: dg.ResourceParam[ModelChoice],
    insight_weeks: dg.ResourceParam[int],
    insights_keep_days: dg.ResourceParam[int],
    lake: dg.ResourceParam[Lake],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one growth report of N complete weeks."""
    from growth_pipeline.insights.make import Order, clean_files, make_report  # brings polars

    with told_in_one_sentence(context):
        order = Order.read(
            weeks=config.weeks or insight_weeks,
            week_end=config.week_end,
            tell=config.tell,
            run_id=context.run.run_id,
        )
        done = make_report(
            order,
            digest_sources,
            store=insight_store,
            lake=lake,
            model=insight_model.model if config.with_model else None,
            limits=insight_model.limits,
            why_no_model=insight_model.why_not if config.with_model else "",
            clock=clock,
            monotonic=time.monotonic,
            say=context.log.info,
        )
        removed = clean_files(
            lake, insight_store, now=clock(), keep=timedelta(days=insights_keep_days)
        )
    return dg.MaterializeResult(
        metadata={**_describe(done), "files_removed": removed},
        check_results=check_report(done.judged),
    )


def _describe(done: "Finished") -> dict[str, Any]:
    report, use = done.report, done.report.use
    last_day: date = report.digest.week_end - timedelta(days=1)
    cost = "unknown" if use and use.cost_usd is None else str(use.cost_usd if use else 0)
    return {
        "report": dg.MetadataValue.md(done.shown),
        "week": f"{report.digest.week_start} to {last_day}",
        "weeks": report.digest.weeks,
        "report_id": report.report_id,
        "digest_sha256": report.digest.sha256,
        "facts": len(report.digest.facts),
        "claims": len(report.claims),
        "claims_kept_out": len(report.refused),
        "written_by": report.written_by,
        "why_no_model": report.why_no_model or "Claude wrote too",
        "model": use.model if use else "none",
        "model_calls": use.calls if use else 0,
        "input_tokens": use.input_tokens if use else 0,
        "output_tokens": use.output_tokens if use else 0,
        "cost_usd": cost,
        "told": done.told,
        "artifacts": done.artifacts,
    }
