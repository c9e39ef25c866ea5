"""What a refresh changed in the past: restated cells, and cohorts that lost members. Pure.

Contract: docs/metrics.md, "Time integrity".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from growth_pipeline.cohorts.refresh.money import without_money
from growth_pipeline.cohorts.refresh.plan import Basis
from growth_pipeline.cohorts.refresh.published import CellKey, Published, Restatement
from growth_pipeline.cohorts.retention.result import RetentionCell
from growth_pipeline.core.calendar import date_of, period_start
from growth_pipeline.core.periods import PeriodState

if TYPE_CHECKING:
    from growth_pipeline.cohorts.definition import RetentionDefinition


def restated(
    old: Mapping[CellKey, RetentionCell], cells: Mapping[CellKey, RetentionCell], through: date
) -> list[Restatement]:
    """Cells that were closed and say something else now; where money differs, by currency.

    Money that was unknown and is known now is no change.
    """
    now_at = _by_place(cells)
    return [
        _restatement(before, now, through)
        for place, rows in sorted(_by_place(old).items())
        for before, now in _pairs(rows, now_at.get(place, {}))
        if before.state is PeriodState.CLOSED and _differs(before, now)
    ]


def _by_place(
    cells: Mapping[CellKey, RetentionCell],
) -> dict[tuple[date, str, int], dict[str, RetentionCell]]:
    """First day of the cohort, segment and period -> rows by currency."""
    places: dict[tuple[date, str, int], dict[str, RetentionCell]] = {}
    for (start, segment, index, currency), cell in cells.items():
        places.setdefault((start, segment, index), {})[currency] = cell
    return places


def _pairs(
    old: Mapping[str, RetentionCell], new: Mapping[str, RetentionCell]
) -> Iterator[tuple[RetentionCell, RetentionCell | None]]:
    """Rows of one cell before and now, by currency.

    Who paid nothing has one row without currency, which stands for each.
    """
    currencies = sorted(old.keys() | new.keys())
    for currency in currencies:
        if currency == "" and len(currencies) > 1:
            continue
        before = old.get(currency) or _nothing_in(currency, old)
        yield before, new.get(currency) or (_nothing_in(currency, new) if new else None)


def _nothing_in(currency: str, rows: Mapping[str, RetentionCell]) -> RetentionCell:
    """The row of a currency in which nobody paid: 0, or null as in the rows there are."""
    some = next(iter(rows.values()))
    return replace(
        without_money(some),
        currency=currency or None,
        revenue_minor=None if some.revenue_minor is None else 0,
        cumulative_revenue_minor=None if some.cumulative_revenue_minor is None else 0,
    )


def _differs(before: RetentionCell, now: RetentionCell | None) -> bool:
    if now is None or _people(before) != _people(now):
        return True
    return before.revenue_minor is not None and _money(before) != _money(now)


def _people(cell: RetentionCell) -> tuple[object, ...]:
    return cell.state, cell.cohort_size, cell.users, cell.rate, cell.events


def _money(cell: RetentionCell) -> tuple[object, ...]:
    return (
        *(cell.revenue_minor, cell.cumulative_revenue_minor),
        *(cell.logo_churn, cell.revenue_churn, cell.nrr),
    )


def _restatement(before: RetentionCell, now: RetentionCell | None, through: date) -> Restatement:
    return Restatement(
        through=through,
        cohort_start=before.cohort_start,
        period_index=int(before.period_index),
        size_before=before.cohort_size,
        size_now=now.cohort_size if now else None,
        users_before=before.users,
        users_now=now.users if now else None,
        rate_before=before.rate,
        rate_now=now.rate if now else None,
        segment=before.segment,
        currency=before.currency or (now.currency if now else None),
        revenue_before=before.revenue_minor,
        revenue_now=now.revenue_minor if now else None,
        cumulative_before=before.cumulative_revenue_minor,
        cumulative_now=now.cumulative_revenue_minor if now else None,
    )


def shrunk(before: Published | None, now: Basis, definition: RetentionDefinition) -> list[date]:
    """First days of cohorts that have fewer members than when they were published."""
    known = before.basis.members if before else {}
    return [
        date_of(period_start(cohort, definition))
        for cohort, members in sorted(known.items())
        if cohort not in now.members or now.members[cohort].size < members.size
    ]
