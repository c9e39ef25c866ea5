"""Published revenue, as Dagster sees it. Shells only: load, call, write, report."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.billing.partitions import Made, asset
from growth_pipeline.billing.resources import Clock, told_in_one_sentence
from growth_pipeline.core.ids import Scope
from growth_pipeline.revenue.checks import (
    MOVEMENT_CHECKS,
    MOVEMENTS_KEY,
    MRR_CHECKS,
    MRR_KEY,
    RECEIPT_CHECKS,
    STATE_CHECKS,
    STATES_KEY,
    check_movements,
    check_mrr,
    check_receipts,
    check_states,
)

if TYPE_CHECKING:
    from growth_pipeline.revenue.figures.figure_store import FigureStore
    from growth_pipeline.revenue.fx_store import FxStore
    from growth_pipeline.revenue.movements_store import MovementsStore
    from growth_pipeline.revenue.policies import MrrPolicy
    from growth_pipeline.revenue.reporting import Reporting
    from growth_pipeline.storage.engine import Engine
    from growth_pipeline.storage.lake import Lake
    from growth_pipeline.storage.postgres import Database
else:  # Dagster resolves annotations at import; the real classes bring psycopg and polars
    Database = Engine = FxStore = Lake = MovementsStore = MrrPolicy = Reporting = object
    FigureStore = object

_FRESH = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(hours=36), warn_window=timedelta(hours=26)
)


@asset(
    "revenue",
    "subscription_states",
    description="Grain: one subscription while nothing changed that its MRR depends on, in the "
    "lake. A run reads the customers of whom something came to be known since the last one.",
    kinds={"parquet"},
    deps=[dg.AssetKey(["billing", "mirror"])],
    checks=STATE_CHECKS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
    freshness_policy=_FRESH,
    code_version="1",
)
def subscription_states(
    context: dg.AssetExecutionContext,
    *,
    database: dg.ResourceParam[Database],
    lake: dg.ResourceParam[Lake],
    scopes: dg.ResourceParam[Sequence[Scope]],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one subscription while nothing changed that its MRR depends on."""
    from growth_pipeline.revenue.publish import refresh_states  # brings polars
    from growth_pipeline.revenue.state_rules import faults_of_states

    with told_in_one_sentence(context):
        done = refresh_states(database, lake, scopes, now=clock())
        faults = faults_of_states(database, lake, scopes)
    context.log.info(done.in_words())
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": done.marks.states,
            "as_of": dg.MetadataValue.timestamp(done.marks.as_of),
            "known_at": dg.MetadataValue.timestamp(done.marks.known_at),
            "sha256": done.marks.sha256,
            "customers_read": "all" if done.customers is None else done.customers,
        },
        check_results=check_states(faults),
    )


@asset(
    "revenue",
    "mrr",
    description="Grain: one item of a subscription while its customer's MRR stays the same "
    "(revenue.mrr_spells), and one day and currency (revenue.mrr_daily), under each policy.",
    kinds={"postgres"},
    deps=[STATES_KEY],
    checks=MRR_CHECKS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
    freshness_policy=_FRESH,
    code_version="1",
)
def mrr(
    context: dg.AssetExecutionContext,
    *,
    database: dg.ResourceParam[Database],
    lake: dg.ResourceParam[Lake],
    scopes: dg.ResourceParam[Sequence[Scope]],
    mrr_policies: dg.ResourceParam[list[MrrPolicy]],
    revenue_zone: dg.ResourceParam[str],
) -> Made:
    """Grain: one item of a subscription while its customer's MRR stays the same."""
    from growth_pipeline.revenue.publish import publish_mrr  # brings polars
    from growth_pipeline.revenue.spell_store import SpellStore

    with told_in_one_sentence(context):
        done = publish_mrr(
            database, lake, scopes, mrr_policies, tz=revenue_zone, tell=context.log.info
        )
        checked = check_mrr(SpellStore(database), [one.policy for one in done], scopes)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(one.spells for one in done),
            **{f"{one.policy}_written": one.written for one in done},
            **{f"{one.policy}_differs_from": str(one.since or "nowhere") for one in done},
        },
        check_results=checked,
    )


@asset(
    "revenue",
    "movements",
    description="Grain: one period, currency, segment and movement, by day, week, month, quarter "
    "and year (revenue.mrr_movements), the customers behind those of a month "
    "(revenue.mrr_changes), and one figure of a period (revenue.figures), under each published "
    "policy. Always computed whole; only rows that differ are written.",
    kinds={"duckdb", "postgres"},
    deps=[MRR_KEY],
    checks=MOVEMENT_CHECKS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
    freshness_policy=_FRESH,
    code_version="1",
)
def movements(
    context: dg.AssetExecutionContext,
    *,
    engine: dg.ResourceParam[Engine],
    movements_store: dg.ResourceParam[MovementsStore],
    revenue_segments: dg.ResourceParam[list[str]],
    cohort_week_start: dg.ResourceParam[str],
    fx_store: dg.ResourceParam[FxStore],
    figure_store: dg.ResourceParam[FigureStore],
    mrr_policies: dg.ResourceParam[list[MrrPolicy]],
    reporting: dg.ResourceParam[Reporting],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one period, currency, segment and movement."""
    from growth_pipeline.revenue.charts import describe_revenue  # brings altair
    from growth_pipeline.revenue.published.publish import publish_movements  # brings polars
    from growth_pipeline.revenue.reporting import publish_reporting

    with told_in_one_sentence(context):
        done = publish_movements(
            engine,
            movements_store,
            now=clock(),
            segments=revenue_segments,
            week_start=cohort_week_start,
            tell=context.log.info,
        )
        policies = [one.policy.policy for one in done]
        converted = publish_reporting(
            fx_store, policies, reporting, now=clock(), tell=context.log.info
        )
        checked = check_movements(movements_store, policies)
        page = describe_revenue(figure_store, mrr_policies[0].definition)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(one.movements for one in done),
            **{f"{one.policy.policy}_figures": one.figures for one in done},
            **{f"{one.policy.policy}_changes": one.changes for one in done},
            "rows_written": sum(one.publication.written for one in done),
            "rows_withdrawn": sum(one.publication.withdrawn for one in done),
            "rows_written_in_reporting_currency": converted,
            "summary": dg.MetadataValue.md(page),
        },
        check_results=checked,
    )


@asset(
    "revenue",
    "receipts",
    description="Grain: one receipt: what the figures of a closed month under a policy were made "
    "of: hashes of the rows, policy, code version, and in the lake the ids of the rows. A month "
    "keeps its receipt until rows, rules or figures are others.",
    kinds={"postgres"},
    deps=[MOVEMENTS_KEY],
    checks=RECEIPT_CHECKS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
    freshness_policy=_FRESH,
    code_version="1",
)
def receipts(
    context: dg.AssetExecutionContext,
    *,
    database: dg.ResourceParam[Database],
    lake: dg.ResourceParam[Lake],
    mrr_policies: dg.ResourceParam[list[MrrPolicy]],
) -> Made:
    """Grain: one receipt of a closed month under a policy."""
    from growth_pipeline.revenue.receipt_store import ReceiptStore

    store = ReceiptStore(database)
    with told_in_one_sentence(context):
        done = {
            policy.definition: store.write(policy.definition, lake, tell=context.log.info)
            for policy in mrr_policies
        }
        checked = check_receipts(store, list(done), lake)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(months for _, months in done.values()),
            "made": sum(made for made, _ in done.values()),
        },
        check_results=checked,
    )
