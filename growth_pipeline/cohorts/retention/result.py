"""Answers about retention: cells in long form, averages, and what was left out. Pure.

Contract: docs/metrics.md, "Cohorts and retention".
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from growth_pipeline.core.periods import PeriodState

if TYPE_CHECKING:
    import polars as pl

_MAJOR_AMOUNTS = (
    "revenue",
    "revenue_per_customer",
    "cumulative_revenue",
    "cumulative_per_customer",
)


@dataclass(frozen=True)
class RetentionCell:
    """Grain: one cohort (and segment), one column, one currency of what the cohort paid.

    `period_index`: n, or the bracket as text (`1-3`). Counts and amounts of a cell that is not
    closed are None unless asked for; `cohort_size` and `state` never are. `rate`: 6 decimals, of
    the cohort or of the column before. `rate_low`, `rate_high`: Wilson 95 % interval. `final`: can
    no longer change by activity after `as_of`. Money: what was paid in the period; `_minor` are
    whole minor units of `currency`, `revenue` an exact decimal where no currency is known.
    `cumulative`: periods 0 to n; `per_customer`: by `cohort_size`. Churn is of those who paid in
    period 0: `logo_churn` of people, `revenue_churn` of money (without growth), `nrr` with it.
    """

    cohort_start: date
    cohort_size: int
    period_index: int | str
    users: int | None
    rate: Decimal | None
    events: int | None
    revenue_minor: int | None
    currency: str | None
    state: PeriodState
    segment: str | None
    final: bool
    rate_low: float | None
    rate_high: float | None
    revenue: Decimal | None
    revenue_per_customer_minor: int | None
    revenue_per_customer: Decimal | None
    cumulative_revenue_minor: int | None
    cumulative_revenue: Decimal | None
    cumulative_per_customer_minor: int | None
    cumulative_per_customer: Decimal | None
    logo_churn: Decimal | None
    revenue_churn: Decimal | None
    nrr: Decimal | None

    @property
    def grr(self) -> Decimal | None:
        """Share of what members paid in period 0 that is left, without growth: 1 - churn."""
        return None if self.revenue_churn is None else 1 - self.revenue_churn


@dataclass(frozen=True)
class ColumnAverage:
    """Grain: one column (and segment). Pooled over closed cells of cohorts with a base.

    `users`, `base` and `rate` are None when no cohort counts.
    """

    segment: str | None
    period_index: int | str
    cohorts: int
    users: int | None
    base: int | None
    rate: Decimal | None
    rate_low: float | None
    rate_high: float | None


@dataclass(frozen=True)
class RetentionResult:
    """The resolved question and its answer, cells in order of cohort, segment, column, currency."""

    definition: dict[str, Any]
    as_of: datetime
    cells: list[RetentionCell]
    averages: list[ColumnAverage]
    dropped: dict[str, int]
    notes: tuple[str, ...]

    def rows(self) -> list[dict[str, Any]]:
        """Cells as mappings of plain values, in the order of the columns."""
        return [dict(vars(cell)) for cell in self.cells]

    def frame(self) -> pl.DataFrame:
        """Cells as a table with fixed types, also when there are none."""
        import polars as pl

        index = pl.String if self.definition["retention"] == "bracket" else pl.Int32
        kinds: dict[str, Any] = {
            "cohort_start": pl.Date,
            "cohort_size": pl.Int64,
            "period_index": index,
            "users": pl.Int64,
            "events": pl.Int64,
            "currency": pl.String,
            "state": pl.String,
            "segment": pl.String,
            "final": pl.Boolean,
            "rate_low": pl.Float64,
            "rate_high": pl.Float64,
        }
        schema = {
            field.name: kinds.get(field.name) or _amount_kind(field.name)
            for field in fields(RetentionCell)
        }
        return pl.DataFrame(self.rows(), schema=schema, orient="row")


def exact_digits(value: Decimal) -> str:
    """An exact decimal without exponent and without zeros at its end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _amount_kind(name: str) -> Any:
    import polars as pl

    if name.endswith("_minor"):
        return pl.Int64
    return pl.Decimal(38, 18 if name in _MAJOR_AMOUNTS else 6)
