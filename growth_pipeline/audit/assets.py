"""The revenue audit of a month: its findings in Postgres, its report in the lake and on this page.

Shells only: what is compared and what it means is decided in the slice's pure modules.
"""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from growth_pipeline.audit.checks import (
    AUDIT_CHECKS,
    KEPT_CHECKS,
    REPORT_CHECKS,
    check_close,
    check_kept,
    check_report,
    check_results,
    findings_table,
)
from growth_pipeline.audit.resources import AuditTiming, asking_stripe
from growth_pipeline.billing.assets import PAYMENTS, extract_key
from growth_pipeline.billing.objects import AUDITED_OBJECTS
from growth_pipeline.billing.partitions import Made, asset, months_of
from growth_pipeline.billing.resources import Clock, OpenReader, told_in_one_sentence
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import PeriodState, ZonedMonth

if TYPE_CHECKING:
    from growth_pipeline.audit.audit import Audit
    from growth_pipeline.audit.report.report_store import ReportStore
    from growth_pipeline.audit.store import AuditStore
    from growth_pipeline.storage.engine import Engine
    from growth_pipeline.storage.lake import Lake
else:  # Dagster resolves annotations at import; the real classes bring polars, psycopg and duckdb
    AuditStore = Engine = Lake = ReportStore = object

FINDINGS = dg.AssetKey(["audit", "findings"])
REPORT = dg.AssetKey(["audit", "report"])
TABLE_ROWS = 50


class AuditConfig(dg.Config):
    """Which month is meant by the run's month; as it is: that of the setting `audit.time_zone`.

    `tz` is a zone by its name in the tz database, such as Europe/Berlin.
    """

    tz: str = ""


@asset(
    "audit",
    "findings",
    description="Grain: one discrepancy of the month between Stripe and booked payments "
    "(audit.findings), with one audit row that holds verdict, totals and certificates.",
    kinds={"postgres", "duckdb"},
    monthly=True,
    deps=[*(extract_key(resource) for resource in AUDITED_OBJECTS), PAYMENTS],
    checks=AUDIT_CHECKS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=36), warn_window=timedelta(hours=26)
    ),
    code_version="1",
)
def findings(
    context: dg.AssetExecutionContext,
    config: AuditConfig,
    *,
    audit_store: dg.ResourceParam[AuditStore],
    lake: dg.ResourceParam[Lake],
    engine: dg.ResourceParam[Engine],
    stripe: dg.ResourceParam[OpenReader],
    scope: dg.ResourceParam[Scope],
    audit_grace: dg.ResourceParam[timedelta],
    audit_timing: dg.ResourceParam[AuditTiming],
    checkpoints: dg.ResourceParam[Path],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one discrepancy of the month."""
    from growth_pipeline.audit.audit import run_audit  # brings polars
    from growth_pipeline.audit.months.freeze import ClosedMonths  # brings polars
    from growth_pipeline.audit.months.history import History  # brings polars
    from growth_pipeline.audit.months.neighbours import read_neighbours  # brings polars

    (month,) = months_of(context)
    tz = config.tz or audit_timing.tz
    started_at = clock()
    with told_in_one_sentence(context), asking_stripe(stripe) as confirm:
        read_neighbours(
            ZonedMonth(month, tz),
            open_reader=stripe,
            lake=lake,
            checkpoints=checkpoints,
            now=started_at,
            tell=context.log.info,
        )
        audit = run_audit(
            month,
            scope=scope,
            lake=lake,
            store=audit_store,
            engine=engine,
            confirm=confirm,
            as_of=started_at,
            started_at=started_at,
            now=started_at,
            grace=audit_grace,
            run_id=context.run.run_id,
            tz=tz,
            history=History(
                audit_store.previous(scope, month, tz=tz),
                ClosedMonths(
                    audit_store.history, lake, close_after_days=audit_timing.close_after_days
                ),
            ),
        )
        audit = replace(audit, finished_at=clock())
        published = audit_store.publish(audit)
        newest = None if published.is_newest else audit_store.latest(scope, month, tz=tz)
    context.log.info(
        "audit of %s in %s: %s, %d findings", month, tz, audit.verdict, len(audit.findings)
    )
    if audit.changes:
        context.log.info("%s", audit.changes["said"])
    shown = newest or audit
    said = outrun_by(newest, audit) if newest else ""
    if said:
        context.log.warning("%s", said)
    return dg.MaterializeResult(
        metadata={**describe_audit(shown), "is_newest": not said, "outrun": said},
        check_results=checks_of(shown),
    )


def checks_of(audit: "Audit") -> list[dg.AssetCheckResult]:
    """What an audit says in checks. Alerts follow them."""
    checked = check_results(
        audit.findings,
        audit.verdict,
        audit.money_difference,
        is_provisional=audit.state is PeriodState.OPEN,
        tz=audit.tz,
        unjudged=audit.unjudged,
    )
    return [*checked, check_close(audit.past, tz=audit.tz)]


def outrun_by(newest: "Audit", audit: "Audit") -> str:
    """Why checks and metadata of a run are those of another audit, in one sentence."""
    return (
        f"audit {audit.audit_id} of this run knows Stripe as of {audit.as_of:%Y-%m-%d %H:%M:%S} "
        f"UTC, audit {newest.audit_id} as of {newest.as_of:%Y-%m-%d %H:%M:%S} UTC: findings, "
        "checks and alerts stay as the later one has them"
    )


def describe_audit(audit: "Audit") -> dict[str, Any]:
    """Metadata of one audit, for its materialisation. Money in minor units by currency."""
    return {
        "verdict": str(audit.verdict),
        "dagster/row_count": len(audit.findings),
        **{name.lower(): count for name, count in audit.severities.items()},
        "counts": dg.MetadataValue.json(audit.counts),
        "money_difference_minor": dg.MetadataValue.json(audit.money_difference),
        "impact_minor_by_code": dg.MetadataValue.json(audit.impact_by_code),
        "findings": findings_table(audit.findings, TABLE_ROWS),
        "state": str(audit.state),
        "provisional": audit.state is PeriodState.OPEN,
        "tz": audit.tz,
        "closed_at": (audit.close or {}).get("closed_at", "not closed"),
        "restatements": len(audit.restatements),
        "changes": dg.MetadataValue.json(dict(audit.changes or {})),
        "not_judged": ", ".join(audit.unjudged),
        "as_of": dg.MetadataValue.timestamp(audit.as_of),
        "audit_id": str(audit.audit_id),
    }


@asset(
    "audit",
    "report",
    description="Grain: one report of the newest audit of the month, as Markdown, HTML, JSON and "
    "CSV in the lake.",
    kinds={"markdown"},
    monthly=True,
    deps=[FINDINGS],
    checks=REPORT_CHECKS,
    code_version="1",
)
def report(
    context: dg.AssetExecutionContext,
    config: AuditConfig,
    *,
    audit_store: dg.ResourceParam[AuditStore],
    lake: dg.ResourceParam[Lake],
    report_store: dg.ResourceParam[ReportStore],
    scope: dg.ResourceParam[Scope],
    audit_timing: dg.ResourceParam[AuditTiming],
) -> Made:
    """Grain: one report of the newest audit of the month."""
    from growth_pipeline.audit.report.charts import addresses  # brings altair
    from growth_pipeline.audit.report.write import save_report, to_markdown  # slow

    (month,) = months_of(context)
    with told_in_one_sentence(context):
        audit = audit_store.latest(scope, month, tz=config.tz or audit_timing.tz)
        if audit is None:
            raise GrowthError(
                f"{month} was not audited yet", remedy="materialise audit/findings of the month"
            )
        trend = report_store.trend(audit)
        artifacts = save_report(audit, lake, trend=trend)
        audit_store.record_artifacts(audit, artifacts)
    context.log.info("report of %s in %s: %s", month, audit.tz, artifacts["md"])
    return dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.md(
                to_markdown(audit, trend=trend, pictures=addresses(audit, trend))
            ),
            "verdict": str(audit.verdict),
            "month": audit.month.key,
            "tz": audit.tz,
            "findings": findings_table(audit.findings, TABLE_ROWS),
            "artifacts": dg.MetadataValue.json(artifacts),
            "audit_id": str(audit.audit_id),
        },
        check_results=[check_report(str(audit.audit_id), artifacts, lake)],
    )


@asset(
    "audit",
    "kept_reports",
    description="Grain: one report file that is kept. Removes reports older than "
    "`reports.keep_days`, but never the newest or the last good one of a month, nor the one that "
    "closed it.",
    kinds={"markdown"},
    deps=[REPORT],
    checks=KEPT_CHECKS,
    code_version="1",
)
def kept_reports(
    context: dg.AssetExecutionContext,
    *,
    lake: dg.ResourceParam[Lake],
    report_store: dg.ResourceParam[ReportStore],
    reports_keep: dg.ResourceParam[timedelta],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one report file that is kept."""
    from growth_pipeline.audit.report.retention import clean_reports

    with told_in_one_sentence(context):
        cleaning = clean_reports(lake, report_store, now=clock(), keep=reports_keep)
    context.log.info("%d report files removed, %d kept", len(cleaning.removed), cleaning.kept)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": cleaning.kept,
            "removed": len(cleaning.removed),
            "removed_bytes": cleaning.byte_count,
            "older_than": dg.MetadataValue.timestamp(cleaning.older_than),
            "left_alone": dg.MetadataValue.json(dict(cleaning.left_alone)),
        },
        check_results=[check_kept(cleaning.missing)],
    )
