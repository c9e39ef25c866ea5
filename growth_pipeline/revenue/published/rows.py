"""Movements, changes and figures as rows of the schema `revenue`. Pure.

Contract: docs/metrics.md, "Published movements", "Published figures".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from growth_pipeline.core.calendar import date_of
from growth_pipeline.core.periods import PeriodState
from growth_pipeline.revenue.from_files.measure import Moved
from growth_pipeline.revenue.movements import SAME_CURRENCY
from growth_pipeline.revenue.published.figures import figures_of
from growth_pipeline.revenue.usage import METRIC as USAGE
from growth_pipeline.revenue.usage import NOT_BILLED, UsageRunRate

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.revenue.published.measure import Answer

MOVEMENTS: Final = {
    "policy": "text",
    "grain": "text",
    "period_start": "date",
    "currency": "text",
    "segment_by": "text",
    "segment": "text",
    "movement": "text",
    "cause": "text",
    "amount_minor": "int8",
    "customers": "int8",
    "changes": "int8",
    "currency_switches": "int8",
    "state": "text",
}
FIGURES: Final = {
    "metric": "text",
    "policy": "text",
    "grain": "text",
    "period_start": "date",
    "currency": "text",
    "segment_by": "text",
    "segment": "text",
    "value": "numeric",
    "unit": "text",
    "numerator": "numeric",
    "denominator": "numeric",
    "state": "text",
    "reason": "text",
    "sample_size": "int8",
    "as_of": "timestamptz",
}
CHANGES: Final = {
    "policy": "text",
    "account_id": "text",
    "customer_id": "text",
    "currency": "text",
    "period_start": "date",
    "before_minor": "int8",
    "now_minor": "int8",
    "movement": "text",
    "cause": "text",
    "change_number": "int4",
}
Rows = Iterator[tuple[Any, ...]]


def movement_rows(answer: Answer, policy: str) -> Rows:
    """Grain: one told period, currency, segment and movement; churn also by cause.

    Shapes: every movement is there, 0 in a closed period without any; a cause where it has any.
    Amounts of a period that is not over, or with an unknown price, are None.
    """
    causes: dict[tuple[int, str], dict[str, Moved]] = defaultdict(dict)
    for (number, key, cause), moved in answer.measured.churned.items():
        causes[number, key][cause] = moved
    for period in answer.periods:
        for key in answer.measured.currencies:
            currency, segment = answer.currency_and_segment(key)
            start = date_of(period.start_day)
            head = (policy, answer.definition.grain, start, currency, answer.segment_by, segment)
            known = period.state is PeriodState.CLOSED
            known = known and (period.number, currency) not in answer.unknown
            whole = [
                (name.value, "", answer.measured.moved.get((period.number, key, name), Moved()))
                for name in SAME_CURRENCY
            ]
            parts = [("churn", *part) for part in causes[period.number, key].items()]
            for movement, cause, moved in (*whole, *parts):
                values = (moved.amount, moved.customers, moved.changes, moved.switches)
                told = values if known else (None,) * len(values)
                yield (*head, movement, cause, *told, period.state.value)


def figure_rows(answer: Answer, policy: str, as_of: datetime) -> Rows:
    """Grain: one metric of a told period, currency and segment."""
    for place, figure in figures_of(answer):
        yield (
            figure.metric,
            policy,
            answer.definition.grain,
            date_of(place.period.start_day),
            place.currency,
            place.segment_by,
            place.segment,
            figure.value,
            figure.unit,
            figure.numerator,
            figure.denominator,
            place.period.state.value,
            figure.reason,
            figure.sample_size,
            as_of,
        )


def usage_rows(rates: Iterable[UsageRunRate], policy: str, as_of: datetime) -> Rows:
    """Grain: the usage run rate of one closed month and currency with metered items."""
    for one in rates:
        yield (
            USAGE,
            policy,
            "month",
            one.period_start,
            one.currency,
            "",
            None,
            one.minor,
            "minor",
            None,
            None,
            PeriodState.CLOSED.value,
            None if one.minor is not None else NOT_BILLED,
            one.items,
            as_of,
        )


def change_rows(changes: pl.DataFrame, answer: Answer, policy: str) -> Rows:
    """Grain: one customer, currency and change of a month that is over."""
    starts = {
        period.number: date_of(period.start_day)
        for period in answer.periods
        if period.state is PeriodState.CLOSED
    }
    for row in changes.iter_rows(named=True):
        if row["period"] in starts:
            yield (
                policy,
                row["account_id"],
                row["customer_id"],
                row["currency"],
                starts[row["period"]],
                int(row["before"]),
                int(row["now"]),
                row["movement"],
                row["cause"],
                row["number"],
            )
