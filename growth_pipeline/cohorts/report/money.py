"""Money in the cohort report: what a customer of each cohort has brought, by currency. Pure.

Contract: docs/metrics.md, "Cohort money".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from growth_pipeline.cohorts.report.words import (
    SUPPRESSED_UNDER,
    TOO_FEW,
    column_name,
    percent,
    size_in_words,
)
from growth_pipeline.cohorts.retention.result import RetentionCell, RetentionResult
from growth_pipeline.cohorts.retention.rules import per_member
from growth_pipeline.core.charts import Spec, amount_chart
from growth_pipeline.core.display import format_money
from growth_pipeline.core.documents import Block, Paragraph, Table
from growth_pipeline.core.money import to_major
from growth_pipeline.core.periods import PeriodState

_COHORTS_LISTED: Final = 36


@dataclass(frozen=True)
class MoneyAverage:
    """Grain: one currency and period. Pooled over closed cells whose payments are known.

    `customers`: members of these cohorts, payers or not. Amounts are minor units; those per
    customer are None when no cohort counts.
    """

    currency: str
    period_index: int
    cohorts: int
    customers: int
    revenue_minor: int
    revenue_per_customer_minor: int | None
    cumulative_revenue_minor: int
    cumulative_per_customer_minor: int | None


def money_averages(answer: RetentionResult) -> list[MoneyAverage]:
    """What a customer brought in each period, and up to it, by currency; never a mean of means."""
    currencies = sorted({cell.currency for cell in answer.cells if cell.currency})
    columns = sorted({int(cell.period_index) for cell in answer.cells})
    told: dict[int, list[RetentionCell]] = {column: [] for column in columns}
    for cell in answer.cells:
        if cell.cumulative_revenue_minor is not None:
            told[int(cell.period_index)].append(cell)
    return [
        _average(currency, column, told[column]) for currency in currencies for column in columns
    ]


def _average(currency: str, column: int, cells: Sequence[RetentionCell]) -> MoneyAverage:
    sizes = {cell.cohort_start: cell.cohort_size for cell in cells}
    own = [cell for cell in cells if cell.currency == currency]
    revenue = sum(cell.revenue_minor or 0 for cell in own)
    cumulative = sum(cell.cumulative_revenue_minor or 0 for cell in own)
    customers = sum(sizes.values())
    return MoneyAverage(
        currency=currency,
        period_index=column,
        cohorts=len(sizes),
        customers=customers,
        revenue_minor=revenue,
        revenue_per_customer_minor=_each(revenue, customers),
        cumulative_revenue_minor=cumulative,
        cumulative_per_customer_minor=_each(cumulative, customers),
    )


def _each(amount: int, customers: int) -> int | None:
    return int(per_member(amount, customers)) if customers else None


def money_blocks(answer: RetentionResult) -> list[Block]:
    """Averages and a grid for each currency, or one sentence where nothing is known."""
    averages = money_averages(answer)
    if not averages:
        known = any(cell.revenue_minor is not None for cell in answer.cells)
        return [
            Paragraph(
                "Nobody in these cohorts has paid yet."
                if known
                else "What these cohorts paid is unknown: no books, or no user has a customer."
            )
        ]
    currencies = dict.fromkeys(average.currency for average in averages)
    return [
        block
        for currency in currencies
        for block in (
            _averages(answer, [one for one in averages if one.currency == currency]),
            _grid(answer, currency),
        )
    ]


def _averages(answer: RetentionResult, averages: Sequence[MoneyAverage]) -> Table:
    rows = tuple(
        (
            column_name(answer, one.period_index),
            _amount(one.revenue_per_customer_minor, one),
            _amount(one.cumulative_per_customer_minor, one),
            f"{size_in_words(one.customers)}, {one.cohorts} cohort{'s' * (one.cohorts != 1)}",
        )
        for one in averages
    )
    name = averages[0].currency.upper()
    caption = f"{name} per customer, payers or not: net payments, pooled over closed cells"
    return Table(caption, ("Period", "In the period", "Up to it", "Customers"), rows)


def _amount(minor: int | None, average: MoneyAverage) -> str:
    if minor is None:
        return "not known yet"
    if average.customers < SUPPRESSED_UNDER:
        return TOO_FEW
    return format_money(minor, average.currency)


def _grid(answer: RetentionResult, currency: str) -> Table:
    """Money up to each period per customer, and churn of payers, of the newest cohorts."""
    columns = sorted({int(cell.period_index) for cell in answer.cells})
    rows = tuple(
        (
            cells[0].cohort_start.isoformat(),
            size_in_words(cells[0].cohort_size),
            _churn(cells),
            *(_cell(cell, currency) for cell in cells),
        )
        for cells in reversed(list(_newest(answer, currency)))
    )
    caption = (
        f"{currency.upper()} per customer from entry up to each period; churn is of those who paid "
        "in period 0, people and money, in the last known period; * in progress or not known yet"
    )
    names = tuple(column_name(answer, column) for column in columns)
    return Table(
        caption,
        ("Cohort", "Size", "Churn", *names),
        rows,
        frozenset(range(3, len(names) + 3)) | {1},
    )


def _newest(answer: RetentionResult, currency: str) -> Iterator[list[RetentionCell]]:
    """Rows of this currency of the newest cohorts that paid in it, by cohort."""
    by_cohort: dict[Any, list[RetentionCell]] = {}
    for cell in answer.cells:
        if cell.currency == currency:
            by_cohort.setdefault(cell.cohort_start, []).append(cell)
    yield from (by_cohort[start] for start in sorted(by_cohort)[-_COHORTS_LISTED:])


def _cell(cell: RetentionCell, currency: str) -> str:
    if cell.state is PeriodState.NOT_BEGUN:
        return ""
    if cell.cumulative_per_customer_minor is None:
        return "*"
    if cell.cohort_size < SUPPRESSED_UNDER:
        return TOO_FEW
    return f"{to_major(cell.cumulative_per_customer_minor, currency):,f}"


def _churn(cells: Sequence[RetentionCell]) -> str:
    known = [cell for cell in cells if cell.logo_churn is not None and int(cell.period_index) > 0]
    if not known or known[-1].cohort_size < SUPPRESSED_UNDER:
        return ""
    last = known[-1]
    assert last.logo_churn is not None  # noqa: S101  # chosen so
    money = "" if last.revenue_churn is None else f", {percent(last.revenue_churn)}"
    return f"{percent(last.logo_churn)}{money}"


def money_curves(answer: RetentionResult) -> list[Spec]:
    """For each currency what a customer has brought up to each period, on average."""
    averages = money_averages(answer)
    return [
        amount_chart(
            [
                {
                    "place": one.period_index,
                    "amount": None
                    if one.cumulative_per_customer_minor is None or one.customers < SUPPRESSED_UNDER
                    else float(to_major(one.cumulative_per_customer_minor, currency)),
                }
                for one in averages
                if one.currency == currency
            ],
            place="place",
            amount="amount",
            title=f"{currency.upper()} per customer up to each period, over closed cells",
        )
        for currency in dict.fromkeys(one.currency for one in averages)
    ]
