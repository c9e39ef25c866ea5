"""The tables kept for BI tools, where views would be too slow or must not be looked through.

The views themselves are in sql/migrations. Statements: sql/marts/. Contract: docs/marts.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from growth_pipeline.storage.postgres import Connection, Database, clear_errors, lock_partition
from growth_pipeline.storage.sql import load_sql

CUSTOMER_MONTHS = "mrr_customer_months"
PAYMENTS = "payments_daily"
FINDINGS = "audit_findings"
KEPT = (CUSTOMER_MONTHS, PAYMENTS, FINDINGS)


@dataclass(frozen=True, slots=True)
class Changed:
    """Rows of one table that were written because they differ, and removed."""

    written: int = 0
    removed: int = 0

    def __add__(self, other: Changed) -> Changed:
        return Changed(self.written + other.written, self.removed + other.removed)


class MartStore:
    """Schema `marts` in Postgres. `zone`: of the local days of payments."""

    def __init__(self, database: Database, zone: str) -> None:
        self._database = database
        self._zone = zone

    def refresh(self, tell: Callable[[str], None] | None = None) -> dict[str, Changed]:
        """Bring the kept tables up to date, in one transaction; what changed, by table.

        Only rows that differ are written, so refreshing again changes nothing. `tell` gets a line
        for each month of customers. Raises: RemoteUnavailableError.
        """
        with clear_errors(), self._database.connection() as connection:
            lock_partition(connection, "marts", "kept_tables")
            return {
                CUSTOMER_MONTHS: _refresh_months(connection, tell or _tell_nobody),
                PAYMENTS: _changed(connection, "refresh_payments_daily", {"tz": self._zone}),
                FINDINGS: _changed(connection, "refresh_audit_findings"),
            }

    def faults(self) -> dict[str, list[str]]:
        """What does not add up to what is published, by table; empty lists if all does.

        Raises: RemoteUnavailableError.
        """
        with clear_errors(), self._database.connection() as connection:
            months = connection.execute(load_sql("marts/wrong_customer_months")).fetchall()
            payments = connection.execute(load_sql("marts/wrong_payments")).fetchall()
        return {
            CUSTOMER_MONTHS: [
                f"{policy}, {month:%Y-%m}, {currency}: customers are {kept}, published is {mrr}"
                for policy, month, currency, kept, mrr in months
            ],
            PAYMENTS: [
                f"{account or 'the account'}, {currency}: days add up to {kept}, booked is {booked}"
                for account, currency, kept, booked in payments
            ],
        }


# --- inside --------------------------------------------------------------------------------------


def _tell_nobody(_line: str) -> None:
    """Where nobody asked for progress."""


def _refresh_months(connection: Connection, tell: Callable[[str], None]) -> Changed:
    found: list[tuple[str, date, date]] = connection.execute(
        load_sql("marts/closed_months")
    ).fetchall()
    published = {"policies": [one[0] for one in found], "months": [one[1] for one in found]}
    changed = _changed(connection, "remove_customer_months", published)
    for policy, month_start, last_day in found:
        values = {"policy": policy, "month_start": month_start, "last_day": last_day}
        changed += _changed(connection, "refresh_customer_months", values)
        tell(f"customers of {policy}, {month_start:%Y-%m}")
    return changed


def _changed(
    connection: Connection, statement: str, values: Mapping[str, Any] | None = None
) -> Changed:
    row = connection.execute(load_sql(f"marts/{statement}"), values or {}).fetchone()
    return Changed(*row) if row else Changed()
