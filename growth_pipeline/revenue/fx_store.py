"""Exchange rates, and what is published in a reporting currency. Statements: sql/revenue/.

What a converted figure is belongs to `reporting`. Contract: docs/metrics.md, "Reporting currency".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import orjson

from growth_pipeline.core.periods import PeriodState
from growth_pipeline.revenue.fx_files import GivenRate
from growth_pipeline.revenue.movements import SAME_CURRENCY
from growth_pipeline.revenue.reporting import PeriodTold, Told
from growth_pipeline.storage.postgres import (
    Connection,
    Database,
    clear_errors,
    lock_partition,
    raw_json,
    stage,
)
from growth_pipeline.storage.sql import load_sql

_AMOUNTS: Final = (
    *("mrr", "mrr_start", "contract_mrr", "scheduled_churn"),
    *(f"{movement}_mrr" for movement in SAME_CURRENCY),
)
_RATES: Final = {
    "currency": "text",
    "reporting_currency": "text",
    "rate_on": "date",
    "rate": "numeric",
    "source": "text",
}
_MOVEMENTS: Final = {
    "policy": "text",
    "grain": "text",
    "period_start": "date",
    "currency": "text",
    "reporting_currency": "text",
    "movement": "text",
    "amount_minor": "int8",
    "customers": "int8",
    "changes": "int8",
    "state": "text",
}
_FIGURES: Final = {
    "metric": "text",
    "policy": "text",
    "grain": "text",
    "period_start": "date",
    "reporting_currency": "text",
    "value": "numeric",
    "unit": "text",
    "numerator": "numeric",
    "denominator": "numeric",
    "state": "text",
    "reason": "text",
    "sample_size": "int8",
    "rates": "jsonb",
    "as_of": "timestamptz",
}
_PLACE_OF_RATES: Final = list(_FIGURES).index("rates")
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """Rates of a file: new days, days whose rate changed, and those that were there."""

    new: int
    changed: int
    same: int


class FxStore:
    """Rates and converted figures in Postgres. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def import_rates(self, rates: Sequence[GivenRate], *, source: str, now: datetime) -> Imported:
        """Store rates, in one transaction. Raises: RemoteUnavailableError."""
        rows = ((*rate, source) for rate in rates)
        with clear_errors(), self._database.connection() as connection:
            lock_partition(connection, "revenue", "fx_rates")
            stage(connection, "revenue.fx_rates", list(_RATES), list(_RATES.values()), rows)
            made = connection.execute(load_sql("revenue/import_fx_rates"), {"now": now}).fetchall()
        new = sum(is_new for (is_new,) in made)
        return Imported(new, len(made) - new, len(rates) - len(made))

    def rates(self, into: str) -> list[tuple[str, date, Decimal]]:
        """Currency, day and rate of every rate into a currency. Raises: RemoteUnavailableError."""
        return self._rows("fx_rates", {"into": into})

    def listed(
        self,
        *,
        currency: str | None = None,
        into: str | None = None,
        first: date | None = None,
        last: date | None = None,
    ) -> list[Row]:
        """Stored rates with their source, the newest first. Raises: RemoteUnavailableError."""
        asked = {"currency": currency, "into": into, "first": first, "last": last}
        return self._rows("fx_listed", asked)

    def periods(self, policy: str) -> list[PeriodTold]:
        """What is published of a policy in own currencies. Raises: RemoteUnavailableError."""
        figures = self._rows(
            "reported_figures",
            {"policy": policy, "metrics": list(_AMOUNTS)},
        )
        moved: dict[tuple[str, date, str], dict[str, tuple[int, int]]] = defaultdict(dict)
        for grain, start, currency, movement, *counts in self._rows(
            "reported_movements", {"policy": policy}
        ):
            moved[grain, start, currency][movement] = (counts[0], counts[1])
        held: dict[tuple[str, date], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for grain, start, currency, *rest in figures:
            held[grain, start][currency].append(tuple(rest))
        periods = [_period(key, rows, moved) for key, rows in sorted(held.items())]
        return self._with_customers(policy, periods)

    def publish(
        self,
        policy: str,
        into: str,
        movements: Iterable[Row],
        figures: Iterable[Row],
        *,
        now: datetime,
    ) -> int:
        """Make these what is published of a policy in a currency; how many rows were written.

        One transaction; equal rows are left alone. Raises: RemoteUnavailableError.
        """
        values = {"policy": policy, "into": into, "now": now}
        told = (_with_json(row) for row in figures)
        with clear_errors(), self._database.connection() as connection:
            lock_partition(connection, "revenue", "reporting", policy)
            written = _publish(connection, "movements", _MOVEMENTS, movements, values)
            return written + _publish(connection, "figures", _FIGURES, told, values)

    def forget_others(self, into: str, policies: Sequence[str]) -> None:
        """Withdraw what is published in another currency, or of other policies.

        Raises: RemoteUnavailableError.
        """
        values = {"into": into, "kept": list(policies)}
        with clear_errors(), self._database.connection() as connection:
            connection.execute(load_sql("revenue/forget_reported_movements"), values)
            connection.execute(load_sql("revenue/forget_reported_figures"), values)

    def _with_customers(self, policy: str, periods: list[PeriodTold]) -> list[PeriodTold]:
        """Periods with their customers; of days and weeks nobody asks."""
        closed = PeriodState.CLOSED.value
        asked = {one.closing for one in periods if one.counts_customers and one.state == closed}
        counted = dict(self._rows("reported_customers", {"policy": policy, "days": sorted(asked)}))
        return [
            replace(one, customers=counted.get(one.closing) if one.counts_customers else None)
            for one in periods
        ]

    def _rows(self, statement: str, values: dict[str, Any]) -> list[Any]:
        with clear_errors(), self._database.connection() as connection:
            return connection.execute(load_sql(f"revenue/{statement}"), values).fetchall()


# --- inside --------------------------------------------------------------------------------------


def _period(
    key: tuple[str, date],
    currencies: dict[str, list[Row]],
    moved: dict[tuple[str, date, str], dict[str, tuple[int, int]]],
) -> PeriodTold:
    grain, start = key
    (_, _, _, _, state, _, as_of) = next(iter(currencies.values()))[0]
    told = {
        currency: _told(rows, moved.get((grain, start, currency), {}))
        for currency, rows in currencies.items()
    }
    return PeriodTold(grain, start, state, as_of, told)


def _told(rows: list[Row], moved: dict[str, tuple[int, int]]) -> Told:
    values, parts, reason = {}, {}, None
    reasons: dict[str, str] = {}
    for metric, value, numerator, denominator, _, why, _ in rows:
        if metric in _AMOUNTS:
            values[metric] = None if value is None else int(value)
            reason = why or reason
        else:
            parts[metric] = (numerator, denominator)
            if why:
                reasons[metric] = why
    return Told(values, parts, moved, reason, reasons)


def _with_json(row: Row) -> Row:
    """The row with its rates as jsonb."""
    used = row[_PLACE_OF_RATES]
    told = None if used is None else raw_json(orjson.dumps(used))
    return (*row[:_PLACE_OF_RATES], told, *row[_PLACE_OF_RATES + 1 :])


def _publish(
    connection: Connection,
    name: str,
    columns: dict[str, str],
    rows: Iterable[Row],
    values: dict[str, Any],
) -> int:
    table = {"movements": "revenue.mrr_movements", "figures": "revenue.figures"}[name]
    stage(connection, table, list(columns), list(columns.values()), rows)
    connection.execute("analyze growth_staging")
    connection.execute(load_sql(f"revenue/withdraw_reported_{name}"), values)
    return connection.execute(load_sql(f"revenue/publish_reported_{name}"), values).rowcount
