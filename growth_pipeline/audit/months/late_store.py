"""Audited months that something happened to since: a refund or dispute of one of their charges."""

from __future__ import annotations

from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month, ZonedMonth
from growth_pipeline.storage.postgres import Database
from growth_pipeline.storage.sql import load_sql


def late_months(database: Database, scope: Scope, first: ZonedMonth, end: ZonedMonth) -> set[Month]:
    """Months of a zone in [first, end) whose last audit does not know a refund or dispute yet.

    By what reached the mirror after that audit's as-of. A month that was never audited is left out.
    Raises: RemoteUnavailableError.
    """
    values = {
        **scope._asdict(),
        "tz": first.tz,
        "first": first.month.first_day,
        "end": end.month.first_day,
    }
    with database.connection() as connection:
        rows = connection.execute(load_sql("audit/late_months"), values).fetchall()
    return {Month(month.year, month.month) for (month,) in rows}
