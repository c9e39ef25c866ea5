"""The revenue audit of a month: its findings in Postgres, its report in the lake and on this page.

Shells only: what is compared and what it means is decided in the slice's pure modules.
"""

from typing import TYPE_CHECKING, Any

import dagster as dg

from growth_pipeline.audit.checks import AUDIT_CHECKS, check_results, findings_table
from growth_pipeline.billing.assets import PAYMENTS, extract_key
from growth_pipeline.billing.objects import STRIPE_OBJECTS
from growth_pipeline.billing.partitions import Made, asset, months_of
from growth_pipeline.billing.resources import Clock, OpenReader, told_in_one_sentence
from growth_pipeline.core.ids import Scope

FINDINGS = dg.AssetKey(["audit", "findings"])


@asset(
    "audit",
    "findings",
    description="Grain: one discrepancy of the month between Stripe and booked payments "
    "(audit.findings), with one audit row that holds verdict, totals and certificates.",
    kinds={"postgres", "duckdb"},
    monthly=True,
    months_a_run=1,
    deps=[*(extract_key(resource) for resource in STRIPE_OBJECTS), PAYMENTS],
    checks=AUDIT_CHECKS,
    code_version="1",
)
def findings(
    context: dg.AssetExecutionContext,
) -> Made:
    """Grain: one discrepancy of the month."""
    return dg.MaterializeResult()


@asset(
    "audit",
    "report",
    description="Grain: one report of one month's newest audit: Markdown, JSON and CSV in the lake.",
    kinds={"markdown"},
    monthly=True,
    months_a_run=1,
    deps=[FINDINGS],
    code_version="1",
)
def report(context: dg.AssetExecutionContext) -> Made:
    """Grain: one report of one month's newest audit."""
    return dg.MaterializeResult()
