"""Statements about findings across months, and what people decided about them.

The only writes are suppressions and owners; what they mean is suppressions.py's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from growth_pipeline.audit.codes import Severity
from growth_pipeline.audit.suppressions import Extent, Suppression
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month, ZonedMonth
from growth_pipeline.storage.postgres import Database, raw_json
from growth_pipeline.storage.rows import Row, read_rows
from growth_pipeline.storage.sql import load_sql


class DecisionStore:
    """Suppressions and owners in Postgres. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def suppressions(self, scope: Scope) -> list[Suppression]:
        """All decisions of an account and mode that nobody lifted, those that ended included."""
        parameters = scope._asdict()
        return [_suppression(row) for row in self._rows("suppressions", parameters)]

    def insert_suppression(self, suppression: Suppression) -> None:
        """Store a decision. The same one again changes nothing."""
        one = suppression
        values = {
            **one.scope._asdict(),
            "suppression_id": one.suppression_id,
            "fingerprint": one.fingerprint,
            "code": one.code,
            "month": one.month.first_day if one.month else None,
            "reason": one.reason,
            "suppressed_by": one.suppressed_by,
            "suppressed_at": one.suppressed_at,
            "until": one.until,
            **_extent_values(one.extent),
        }
        with self._database.connection() as connection:
            connection.execute(load_sql("audit/insert_suppression"), values)

    def lift_suppressions(self, ids: list[Any], *, lifted_by: str, now: datetime) -> int:
        """End decisions before their time; how many were not ended before."""
        values = {"ids": ids, "lifted_by": lifted_by, "now": now}
        with self._database.connection() as connection:
            return connection.execute(load_sql("audit/lift_suppressions"), values).rowcount

    def set_owner(self, scope: Scope, fingerprint: str, owner: str | None) -> int:
        """Say who looks after a finding, None for nobody; how many rows say so now."""
        values = {**scope._asdict(), "fingerprint": fingerprint, "owner": owner}
        with self._database.connection() as connection:
            return connection.execute(load_sql("audit/set_owner"), values).rowcount

    def list_findings(
        self,
        *,
        month: Month | None,
        code: str | None,
        severity: str | None,
        with_closed: bool,
        tz: str | None = None,
    ) -> list[dict[str, Any]]:
        """Findings of every account and month that fit, the newest month and the worst first.

        Grain: one finding of one month. Shapes: the table's columns; instants aware.
        """
        return self._rows(
            "list_findings",
            {
                "month": month.first_day if month else None,
                "tz": tz,
                "code": code,
                "severity": severity,
                "with_closed": with_closed,
            },
        )

    def audited_months(self, *, month: Month | None, tz: str | None) -> list[ZonedMonth]:
        """Months of a zone that were ever audited, of every account, the oldest first."""
        rows = self._rows("audited_months", {"month": month.first_day if month else None, "tz": tz})
        return [ZonedMonth(Month(row["month"].year, row["month"].month), row["tz"]) for row in rows]

    def find_findings(self, prefix: str) -> list[dict[str, Any]]:
        """Findings whose fingerprint begins with these digits, open or closed."""
        return self._rows("find_findings", {"prefix": prefix})

    def _rows(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        return read_rows(self._database, f"audit/{statement}", parameters)


def _suppression(row: Mapping[str, Any]) -> Suppression:
    month = row["month"]
    return Suppression(
        suppression_id=row["suppression_id"],
        scope=Scope(row["account_id"], row["livemode"]),
        fingerprint=row["fingerprint"],
        code=row["code"],
        month=Month(month.year, month.month) if month else None,
        reason=row["reason"],
        suppressed_by=row["suppressed_by"],
        suppressed_at=row["suppressed_at"],
        until=row["until"],
        lifted_at=row["lifted_at"],
        lifted_by=row["lifted_by"],
        extent=_extent(row),
    )


def _extent_values(extent: Extent | None) -> dict[str, Any]:
    if extent is None:
        return {"severity": None, "codes": None, "impacts_minor": None}
    impacts = None if extent.impacts is None else raw_json(json.dumps(dict(extent.impacts)))
    codes = sorted(extent.codes)
    return {"severity": str(extent.severity), "codes": codes, "impacts_minor": impacts}


def _extent(row: Mapping[str, Any]) -> Extent | None:
    if row["severity"] is None:
        return None
    return Extent(Severity(row["severity"]), frozenset(row["codes"]), row["impacts_minor"])
