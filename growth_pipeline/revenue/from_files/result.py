"""Figures of periods as rows: one for each period and currency, one for each movement. Pure.

Contract: docs/metrics.md, "MRR movements".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from growth_pipeline.core.calendar import date_of
from growth_pipeline.core.money import to_major
from growth_pipeline.core.periods import PeriodState
from growth_pipeline.revenue.from_files.definition import MovementsDefinition
from growth_pipeline.revenue.from_files.looks import Period
from growth_pipeline.revenue.from_files.measure import Kept, Measured, Moved
from growth_pipeline.revenue.movements import GAINS, LOSSES, SAME_CURRENCY, Cause
from growth_pipeline.revenue.rates import Amount, Lost, arpa, arr, growth, logo_churn, quick_ratio
from growth_pipeline.revenue.rates import quotient as rate

Row = dict[str, Any]


@dataclass(frozen=True)
class MovementsResult:
    """An answer. `periods`: grain one period and currency; `movements`: and one movement."""

    definition: Row
    as_of: datetime
    periods: tuple[Row, ...]
    movements: tuple[Row, ...]
    notes: tuple[str, ...]


def rows_of_periods(
    measured: Measured, definition: MovementsDefinition, shown: int
) -> Iterator[tuple[Row, list[Row]]]:
    """A row of each shown period and currency, and the rows of its movements.

    Shapes: every movement of the contract is there, 0 in a closed period without any; values of
    periods that are not over are None unless the definition shows what they have so far.
    """
    for period in measured.periods:
        if period.number < shown:
            continue
        for currency in measured.currencies:
            told = _Told(measured, definition, period, currency)
            yield told.period_row(), list(told.movement_rows())


class _Told:
    """One period and currency in words of the contract."""

    def __init__(
        self, measured: Measured, definition: MovementsDefinition, period: Period, currency: str
    ) -> None:
        self.measured, self.definition = measured, definition
        self.period, self.currency = period, currency
        self.is_shown = period.state is PeriodState.CLOSED or (
            definition.open_cells == "so_far" and period.state is PeriodState.OPEN
        )
        self.head = {
            "period_start": date_of(period.start_day),
            "period_end": date_of(period.next_day),
            "currency": currency or None,
        }

    def period_row(self) -> Row:
        """All figures of the period."""
        values = {**self._sizes(), **self._movement_values(), **self._rates(), **self._horizons()}
        return {
            **self.head,
            **{name: value if self.is_shown else None for name, value in values.items()},
            "state": self.period.state.value,
        }

    def movement_rows(self) -> Iterator[Row]:
        """Grain: one movement."""
        for movement in SAME_CURRENCY:
            moved = self._moved(movement)
            values = {
                **self._money("amount", self._signed(movement, moved.amount)),
                "customers": moved.customers,
                "changes": moved.changes,
                "currency_switches": moved.switches,
            }
            yield {
                **self.head,
                "movement": movement.value,
                **{name: value if self.is_shown else None for name, value in values.items()},
                "state": self.period.state.value,
            }

    def _sizes(self) -> Row:
        mrr, before = self._mrr(), self._mrr(before=True)
        customers = self._customers()
        sizes = {"starting_mrr": before, "ending_mrr": mrr, "arr": arr(mrr)}
        return {
            **{
                key: value
                for name in sizes
                for key, value in self._money(name, sizes[name]).items()
            },
            "starting_customers": self._customers(before=True),
            "ending_customers": customers,
            "arpa": arpa(self._major(mrr), customers),
            "growth": growth(before, mrr),
        }

    def _movement_values(self) -> Row:
        moves: Row = {}
        for movement in SAME_CURRENCY:
            moved = self._moved(movement)
            moves |= self._money(f"{movement.value}_mrr", self._signed(movement, moved.amount))
            moves[f"{movement.value}_customers"] = moved.customers
        causes = {cause: self._churned(cause) for cause in Cause}
        moves["churn_by_cause"] = {
            cause.value: {
                **self._money("amount", self._signed("churn", moved.amount)),
                "customers": moved.customers,
            }
            for cause, moved in causes.items()
            if moved.changes
        }
        return moves

    def _rates(self) -> Row:
        before = self._mrr(before=True)
        gains = sum(self._moved(name).amount for name in GAINS)
        losses = -sum(self._moved(name).amount for name in LOSSES)
        churn = -self._moved("churn").amount
        lost = self.measured.lost.get((self.period.number, self.currency), Lost())
        definition = self.definition
        return {
            "quick_ratio": quick_ratio(gains, losses),
            "mrr_churn": rate(churn, before),
            "gross_mrr_churn": rate(churn - self._moved("contraction").amount, before),
            "logo_churn": logo_churn(lost, definition.denominator),
            "logo_churn_lost": lost.opening_left
            + (lost.entered_left if definition.denominator == "start_plus_new" else 0),
            "opening_customers": lost.opening,
            "entered_customers": lost.entered,
        }

    def _horizons(self) -> Row:
        told: Row = {}
        for horizon in self.definition.horizons:
            kept = self.measured.kept.get((horizon, self.period.number, self.currency), Kept())
            suffix = "" if horizon == 1 else f"_{horizon}"
            told[f"nrr{suffix}"] = rate(kept.kept, kept.base)
            told[f"grr{suffix}"] = rate(kept.kept_at_most, kept.base)
        return told

    def _mrr(self, *, before: bool = False) -> Amount:
        return self.measured.mrr.get((self.period.number - before, self.currency), 0)

    def _customers(self, *, before: bool = False) -> int:
        return self.measured.customers.get((self.period.number - before, self.currency), 0)

    def _moved(self, movement: str) -> Moved:
        key = self.period.number, self.currency, str(movement)
        return self.measured.moved.get(key, Moved())

    def _churned(self, cause: str) -> Moved:
        key = self.period.number, self.currency, str(cause)
        return self.measured.churned.get(key, Moved())

    def _signed(self, movement: str, amount: Amount) -> Amount:
        return -amount if self.definition.sign == "magnitude" and movement in LOSSES else amount

    def _money(self, name: str, amount: Amount) -> Row:
        """An amount in minor units, None without currency, and in major units."""
        minor = int(amount) if self.currency else None
        return {f"{name}_minor": minor, name: self._major(amount)}

    def _major(self, amount: Amount) -> Decimal:
        """An amount in major units, exact."""
        return to_major(int(amount), self.currency) if self.currency else Decimal(amount)
