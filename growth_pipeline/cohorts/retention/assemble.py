"""From counts to cells: which are shown, what they carry, what columns average to. Pure.

Contract: docs/metrics.md, "Cohorts and retention" and "Cohort money".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from growth_pipeline.cohorts.definition import RetentionDefinition
from growth_pipeline.cohorts.retention.result import ColumnAverage, RetentionCell, RetentionResult
from growth_pipeline.cohorts.retention.rules import (
    Amount,
    Clock,
    Share,
    average,
    per_member,
    quotient,
    running_sums,
    sum_between,
    wilson_interval,
)
from growth_pipeline.core.calendar import date_of, day_number, period_of, period_start
from growth_pipeline.core.periods import PeriodState

CohortKey: TypeAlias = "tuple[int, str | None]"
"""Period in which a cohort entered, and its segment."""

_BEFORE_ENTRY = -1


class PaidInPeriod(NamedTuple):
    """What a cohort paid in one period and currency.

    `kept_*`: by those who also paid in period 0; `held`: of it no more than each paid then.
    """

    amount: Amount
    kept_payers: int
    kept: Amount
    held: Amount


_NOTHING = PaidInPeriod(0, 0, 0, 0)
_AMOUNTS = ("revenue", "revenue_per_customer", "cumulative_revenue", "cumulative_per_customer")
_CHURN = ("logo_churn", "revenue_churn", "nrr")
_MONEY = ("currency", *_AMOUNTS, *(f"{name}_minor" for name in _AMOUNTS), *_CHURN)


@dataclass(frozen=True)
class Counts:
    """What the engine counted. `users` is by column number, `events` and `paid` by period index.

    `paid` None: payments are unknown. `currency`: of amounts where nobody paid any. `currencies`:
    all there are, where `paid` holds only some cohorts. Events before entry are under index -1.
    """

    sizes: Mapping[CohortKey, int]
    users: Mapping[tuple[CohortKey, int], int]
    events: Mapping[CohortKey, Mapping[int, int]]
    paid: Mapping[CohortKey, Mapping[str | None, Mapping[int, PaidInPeriod]]] | None
    has_currency: bool = True
    currency: str | None = None
    currencies: frozenset[str] | None = None


def assemble(
    counts: Counts,
    definition: RetentionDefinition,
    *,
    dropped: Mapping[str, int],
    notes: tuple[str, ...],
) -> RetentionResult:
    """All cells of all cohorts, and the averages of the columns."""
    table = _Table(counts, definition, Clock(definition))
    keys = sorted(counts.sizes, key=lambda key: (key[0], key[1] is not None, key[1] or ""))
    before = {
        "before_entry": sum(events.get(_BEFORE_ENTRY, 0) for events in counts.events.values())
    }
    if definition.mode == "recurring":  # what one row does not count, an earlier one does
        before = {}
    return RetentionResult(
        definition=definition.resolved(),
        as_of=definition.as_of,
        cells=[cell for key in keys for cell in table.cells(key)],
        averages=list(table.averages(keys)),
        dropped={**dropped, **before},
        notes=notes,
    )


def with_money(
    cells: Iterable[RetentionCell],
    counts: Counts,
    definition: RetentionDefinition,
    *,
    is_known: Callable[[int], bool],
) -> list[RetentionCell]:
    """Cells of single calendar periods, told without money, as one row for each currency.

    `is_known`: whether payments of a period are known; otherwise its amounts are null.
    """
    table = _Table(counts, definition, Clock(definition))
    purses: dict[CohortKey, list[_Purse]] = {}
    told = []
    for cell in cells:
        index = int(cell.period_index)
        cohort = period_of(day_number(cell.cohort_start), definition)
        key = (cohort, cell.segment)
        if key not in purses:
            purses[key] = list(table.purses(key))
        state = cell.state if is_known(cohort + index) else PeriodState.NOT_BEGUN
        told += [replace(cell, **purse.columns(index, index, state)) for purse in purses[key]]
    return told


@dataclass(frozen=True)
class _Table:
    """Counts in the light of a definition."""

    counts: Counts
    definition: RetentionDefinition
    clock: Clock

    @cached_property
    def columns(self) -> tuple[tuple[int, int | None], ...]:
        """Ranges of period indexes, one per column."""
        return self.definition.columns

    @cached_property
    def _states(self) -> dict[tuple[int, int], PeriodState]:
        """Cohort and column number -> state, as far as it was asked for."""
        return {}

    @cached_property
    def currencies(self) -> list[str | None]:
        """Every currency of the data."""
        if self.counts.currencies is not None:
            return list(self.counts.currencies)
        paid = self.counts.paid or {}
        return list({currency for currencies in paid.values() for currency in currencies})

    def cells(self, key: CohortKey) -> Iterator[RetentionCell]:
        """Cells of one cohort and segment."""
        purses = list(self.purses(key))
        for number, (low, high) in enumerate(self.columns):
            base = self._cell_base(key, number, low, high)
            for purse in purses:
                yield RetentionCell(**base, **purse.columns(low, high, self._state(key, number)))

    def averages(self, keys: list[CohortKey]) -> Iterator[ColumnAverage]:
        """One row per segment and column."""
        segments = dict.fromkeys(
            sorted({segment for _, segment in keys}, key=lambda s: (s is not None, s or ""))
        )
        for segment in segments:
            members = [key for key in keys if key[1] == segment]
            for number in range(len(self.columns)):
                yield self._average(segment, members, number)

    def _average(self, segment: str | None, keys: list[CohortKey], number: int) -> ColumnAverage:
        shares = [
            Share(self._users(key, number), self._base(key, number))
            for key in keys
            if self._state(key, number) is PeriodState.CLOSED
        ]
        users, base, cohorts = average(shares)
        interval = wilson_interval(users, base)
        return ColumnAverage(
            segment=segment,
            period_index=self._label(number),
            cohorts=cohorts,
            users=users if cohorts else None,
            base=base if cohorts else None,
            rate=quotient(users, base),
            rate_low=interval[0] if interval else None,
            rate_high=interval[1] if interval else None,
        )

    def _cell_base(self, key: CohortKey, number: int, low: int, high: int | None) -> dict[str, Any]:
        """What all rows of a cell share: everything but money."""
        state = self._state(key, number)
        users, base = self._users(key, number), self._base(key, number)
        interval = wilson_interval(users, base)
        shown = {
            "users": users,
            "rate": quotient(users, base),
            "events": self._events(key, low, high),
            "rate_low": interval[0] if interval else None,
            "rate_high": interval[1] if interval else None,
        }
        if not self.shows(state):
            shown = dict.fromkeys(shown)
        return {
            "cohort_start": date_of(period_start(key[0], self.definition)),
            "cohort_size": self.counts.sizes[key],
            "segment": key[1],
            "period_index": self._label(number),
            "state": state,
            "final": state is PeriodState.CLOSED and high is not None,
            **shown,
        }

    def shows(self, state: PeriodState) -> bool:
        """Whether cells of a state carry values."""
        if state is PeriodState.OPEN:
            return self.definition.open_cells == "so_far"
        return state is PeriodState.CLOSED

    def _state(self, key: CohortKey, number: int) -> PeriodState:
        place = (key[0], number)  # of every segment the same, and asked for several times
        if place not in self._states:
            low, high = self.columns[number]
            self._states[place] = self.clock.state(key[0], low, low if high is None else high)
        return self._states[place]

    def _label(self, number: int) -> int | str:
        low, high = self.columns[number]
        if self.definition.retention != "bracket":
            return low
        return str(low) if low == high else f"{low}-{high}"

    def _users(self, key: CohortKey, number: int) -> int:
        return self.counts.users.get((key, number), 0)

    def _base(self, key: CohortKey, number: int) -> int:
        if self.definition.basis == "previous" and number > 0:
            return self._users(key, number - 1)
        return self.counts.sizes[key]

    def _events(self, key: CohortKey, low: int, high: int | None) -> int:
        """Events in the column's periods; a column without end has those of its first."""
        events = self.counts.events.get(key, {})
        return sum(
            events.get(index, 0) for index in range(low, (low if high is None else high) + 1)
        )

    def purses(self, key: CohortKey) -> Iterator[_Purse]:
        """One for each currency of a cohort: its own, else the only one there is, else none."""
        if self.counts.paid is None:
            yield _Purse(self, None, None, 0)
            return
        paid = self.counts.paid.get(key, {})
        known = self.currencies or [self.counts.currency]
        only = known if len(known) == 1 else [None]
        own = sorted(paid, key=lambda code: code or "") or only
        for currency in own:
            yield _Purse(self, currency, paid.get(currency, {}), self.counts.sizes[key])


class _Purse:
    """What a cohort paid in one currency, ready to be told by column."""

    def __init__(
        self,
        table: _Table,
        currency: str | None,
        paid: Mapping[int, PaidInPeriod] | None,
        size: int,
    ) -> None:
        self._table = table
        self._currency = currency
        self._paid = paid
        self._size = size
        last = max((low if high is None else high for low, high in table.columns), default=0)
        amounts = {index: period.amount for index, period in (paid or {}).items()}
        self._amounts = amounts
        self._sums = running_sums(amounts, last)
        self._opening = (paid or {}).get(0, _NOTHING)

    def columns(self, low: int, high: int | None, state: PeriodState) -> dict[str, Any]:
        """Money of the periods of a column; the cumulative sum only while all is closed."""
        if self._paid is None:
            return dict.fromkeys(_MONEY)
        last = low if high is None else high
        told: dict[str, Amount | None] = dict.fromkeys(_AMOUNTS)
        if self._table.shows(state):
            amount = sum_between(self._amounts, low, last)
            told["revenue"] = amount
            told["revenue_per_customer"] = per_member(amount, self._size)
        if state is PeriodState.CLOSED:
            told["cumulative_revenue"] = self._sums[last]
            told["cumulative_per_customer"] = per_member(self._sums[last], self._size)
        return {
            "currency": self._currency,
            **self._in_units(told),
            **self._churn(low, last, state),
        }

    def _in_units(self, told: Mapping[str, Amount | None]) -> dict[str, Amount | None]:
        """Minor units in the columns that say so, else exact decimals; the other columns null."""
        if self._table.counts.has_currency:
            minor = {f"{name}_minor": amount for name, amount in told.items()}
            return {**dict.fromkeys(told), **minor}
        exact = {name: None if amount is None else Decimal(amount) for name, amount in told.items()}
        return {**exact, **{f"{name}_minor": None for name in told}}

    def _churn(self, low: int, last: int, state: PeriodState) -> dict[str, Decimal | None]:
        """Of those who paid in period 0, by one period; a range of several has none."""
        churn: dict[str, Decimal | None] = dict.fromkeys(_CHURN)
        if self._paid is None or low != last or not self._table.shows(state):
            return churn
        opening, period = self._opening, self._paid.get(low, _NOTHING)
        churn["logo_churn"] = quotient(
            opening.kept_payers - period.kept_payers, opening.kept_payers
        )
        churn["revenue_churn"] = quotient(opening.held - period.held, opening.held)
        churn["nrr"] = quotient(period.kept, opening.held)
        return churn
