"""The tables kept for BI tools, as Dagster sees them. The views need no asset."""

from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.billing.partitions import Made, asset
from growth_pipeline.billing.resources import told_in_one_sentence
from growth_pipeline.marts.checks import KEPT_CHECKS, check_kept

if TYPE_CHECKING:
    from growth_pipeline.marts.store import MartStore
else:  # Dagster resolves annotations at import; the real class brings psycopg
    MartStore = object


@asset(
    "marts",
    "kept_tables",
    description="Grain: one customer and month end, one day of payments, one class of findings of "
    "a month: what the views of schema marts cannot answer fast, or must not look through. Rows "
    "that are right stay as they are.",
    kinds={"postgres"},
    deps=[
        dg.AssetKey(["revenue", "mrr"]),
        dg.AssetKey(["billing", "payments"]),
        dg.AssetKey(["audit", "findings"]),
    ],
    checks=KEPT_CHECKS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
    code_version="1",
)
def kept_tables(
    context: dg.AssetExecutionContext, *, mart_store: dg.ResourceParam[MartStore]
) -> Made:
    """Grain: one customer and month end, one day of payments, one class of findings of a month."""
    with told_in_one_sentence(context):
        changed = mart_store.refresh(context.log.info)
        faults = mart_store.faults()
    return dg.MaterializeResult(
        metadata={
            **{f"{table}_written": one.written for table, one in changed.items()},
            **{f"{table}_removed": one.removed for table, one in changed.items()},
        },
        check_results=check_kept(faults),
    )
