"""Published figures, read from Postgres. Nothing is written there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from growth_pipeline.revenue.figures.sheet import PublishedFigure
from growth_pipeline.storage.postgres import Connection, Database, clear_errors
from growth_pipeline.storage.sql import load_sql


class FigureStore:
    """Published figures. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def months(self, policy: str) -> tuple[date | None, date | None]:
        """First days of the first and the last month with figures; None when there are none.

        Raises: RemoteUnavailableError.
        """
        with clear_errors(), self._database.connection() as connection:
            row = connection.execute(
                load_sql("revenue/published_months"), {"policy": policy}
            ).fetchone()
        return (None, None) if row is None else (row[0], row[1])

    def read(
        self,
        policy: str,
        months: Sequence[date],
        *,
        currency: str | None = None,
        reporting_currency: str = "",
        segment_by: str = "",
    ) -> list[PublishedFigure]:
        """Figures of these months under a policy, and those of users where they are not split.

        Raises: RemoteUnavailableError.
        """
        values = {
            "policy": policy,
            "months": list(months),
            "currency": currency,
            "reporting_currency": reporting_currency,
            "segment_by": segment_by,
        }
        with clear_errors(), self._database.connection() as connection:
            connection.execute("set transaction isolation level repeatable read, read only")
            found = _read(connection, "month_figures", values)
            return found if segment_by else [*found, *_read(connection, "month_activity", values)]

    def drawn(
        self, policy: str, metrics: Sequence[str], *, months: int, segment_by: str = ""
    ) -> list[PublishedFigure]:
        """These figures of the newest closed months, in the order of currencies and months.

        Raises: RemoteUnavailableError.
        """
        values = {
            "policy": policy,
            "metrics": list(metrics),
            "months": months,
            "segment_by": segment_by,
        }
        with clear_errors(), self._database.connection() as connection:
            return _read(connection, "drawn_figures", values)


def _read(connection: Connection, statement: str, values: dict[str, Any]) -> list[PublishedFigure]:
    rows = connection.execute(load_sql(f"revenue/{statement}"), values).fetchall()
    return [PublishedFigure(*row) for row in rows]
