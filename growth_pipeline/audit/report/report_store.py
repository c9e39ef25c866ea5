"""Statements about reports: the last months' audits, where reports lie, which of them must stay.

The only write forgets where a cleaned report lay. No rule lives here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from growth_pipeline.audit.audit import Audit
from growth_pipeline.audit.codes import Severity
from growth_pipeline.audit.payments.totals import CurrencyTotals
from growth_pipeline.audit.report.retention import StoredReport
from growth_pipeline.audit.report.summary import TREND_MONTHS, TrendPoint, trend_point
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month, PeriodState
from growth_pipeline.storage.postgres import Database
from growth_pipeline.storage.rows import Row, read_rows
from growth_pipeline.storage.sql import load_sql


class ReportStore:
    """What reports know beyond their own audit. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def trend(self, audit: Audit, *, months: int = TREND_MONTHS) -> list[TrendPoint]:
        """The newest audits of the last months up to the audit's own, in order of months.

        Grain: one audited month. The last point is this audit itself. Earlier ones show what
        counted when the month was last audited, each finding under its own severity.
        """
        parameters = {
            **audit.scope._asdict(),
            "tz": audit.tz,
            "month": audit.month.first_day,
            "months": months,
        }
        earlier = [
            _point(row) for row in self._rows("trend", parameters) if _month(row) != audit.month
        ]
        return [*reversed(earlier[: months - 1]), trend_point(audit)]

    def stored_reports(self) -> list[StoredReport]:
        """Reports that were written and not cleaned, of every account and mode, newest first."""
        return [_report(row) for row in self._rows("stored_reports", {})]

    def forget(self, audit_ids: Iterable[UUID]) -> None:
        """Note that these audits' reports lie nowhere any more. Idempotent."""
        with self._database.connection() as connection:
            parameters = {"audit_ids": sorted(map(str, audit_ids))}
            connection.execute(load_sql("audit/forget_artifacts"), parameters)

    def _rows(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        return read_rows(self._database, f"audit/{statement}", parameters)


def _month(row: Mapping[str, Any]) -> Month:
    return Month(row["month"].year, row["month"].month)


def _point(row: Mapping[str, Any]) -> TrendPoint:
    severities = {str(severity): 0 for severity in Severity}
    severities |= row["severities"]
    return TrendPoint(
        month=_month(row).key,
        state=PeriodState(row["state"]),
        verdict=row["verdict"],
        severities=severities,
        difference={
            currency: CurrencyTotals.from_dict(stored).difference
            for currency, stored in sorted(row["totals"].items())
        },
        finished_at=row["finished_at"],
    )


def _report(row: Mapping[str, Any]) -> StoredReport:
    kept = {
        "newest of its month": row["is_newest"],
        "last good one of its month": row["is_last_good"],
        "closed its month": row["is_close"],
    }
    return StoredReport(
        audit_id=row["audit_id"],
        scope=Scope(row["account_id"], row["livemode"]),
        month=_month(row),
        tz=row["tz"],
        verdict=row["verdict"],
        finished_at=row["finished_at"],
        paths=tuple(row["artifacts"].values()),
        kept_because=tuple(reason for reason, holds in kept.items() if holds),
    )
