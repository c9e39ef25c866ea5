"""A month's figures beside those of the month before, and how they changed. Pure.

Contract: docs/metrics.md, "Figures of a month".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

_SIX_PLACES: Final = Decimal("0.000001")
GROUPS: Final[Mapping[str, Sequence[str]]] = {
    "MRR": (
        *("mrr", "arr", "contract_mrr", "cmrr", "scheduled_churn", "mrr_start", "new_mrr"),
        *("reactivation_mrr", "resumed_mrr", "expansion_mrr", "contraction_mrr", "paused_mrr"),
        *("churn_mrr", "fx_mrr", "net_new_mrr", "growth", "arpa", "ltv"),
    ),
    "Customers": (
        *("customers", "customers_start", "new_customers", "reactivated_customers"),
        *("resumed_customers", "expanded_customers", "contracted_customers", "paused_customers"),
        *("churned_customers", "subscriptions_started", "subscriptions_canceled"),
        "subscriptions_active",
    ),
    "Retention": (
        *("nrr", "nrr_3", "nrr_12", "grr", "grr_3", "grr_12", "logo_churn", "mrr_churn"),
        *("mrr_churn_voluntary", "mrr_churn_delinquent", "mrr_churn_dispute", "mrr_churn_other"),
        *("mrr_churn_to_free", "mrr_churn_unknown", "gross_mrr_churn", "quick_ratio"),
    ),
    "Users": (
        *("dau_average", "wau", "mau", "stickiness", "new_users", "returning_users"),
        *("resurrecting_users", "dormant_users"),
    ),
}
_OTHER: Final = "Other"
FUNNEL: Final = "funnel "
_FUNNELS: Final = "Funnels"
_PLACES: Final = {
    metric: (place, at)
    for place, metrics in enumerate(GROUPS.values())
    for at, metric in enumerate(metrics)
}
_BEHIND: Final = len(GROUPS)


@dataclass(frozen=True)
class PublishedFigure:
    """A figure as it is published; see the columns of revenue.figures. Quotients are exact."""

    metric: str
    period_start: date
    currency: str
    reporting_currency: str
    segment: str | None
    value: Decimal | None
    unit: str
    numerator: Decimal | None
    denominator: Decimal | None
    state: str
    reason: str | None
    sample_size: int | None
    rates: Any
    as_of: datetime
    receipt_id: str | None


@dataclass(frozen=True)
class Line:
    """Grain: one metric, currency and segment of the month.

    `change`: value less that of the month before, in the unit; of rates and ratios so many points
    (0.01 is one point). `change_rate`: change / before, of amounts and counts; None where before
    is 0 or one of both is unknown.
    """

    figure: PublishedFigure
    before: Decimal | None
    change: Decimal | None
    change_rate: Decimal | None

    @property
    def group(self) -> str:
        """Under which heading it stands."""
        place = _place(self.figure.metric)[0]
        if place < _BEHIND:
            return list(GROUPS)[place]
        return _FUNNELS if self.figure.metric.startswith(FUNNEL) else _OTHER

    def as_dict(self) -> dict[str, Any]:
        """Every value of the line; exact numbers as decimals."""
        told = self.figure
        return {
            "metric": told.metric,
            "currency": told.currency or None,
            "reporting_currency": told.reporting_currency or None,
            "segment": told.segment,
            "value": told.value,
            "unit": told.unit,
            "before": self.before,
            "change": self.change,
            "change_rate": self.change_rate,
            "numerator": told.numerator,
            "denominator": told.denominator,
            "sample_size": told.sample_size,
            "state": told.state,
            "reason": told.reason,
            "rates": told.rates,
            "as_of": told.as_of.isoformat(),
            "receipt": told.receipt_id,
        }


def lines_of(figures: Iterable[PublishedFigure], month: date) -> list[Line]:
    """The figures of a month, each beside its own of the month before, in the order of a page.

    `figures`: of both months. What the month itself does not have is not told.
    """
    told = {_key(one, one.period_start == month): one for one in figures}
    return sorted(_lines(told), key=_order)


def _lines(told: Mapping[tuple[Any, ...], PublishedFigure]) -> Iterator[Line]:
    for (is_now, *rest), figure in told.items():
        if is_now:
            other = told.get((False, *rest))
            before = None if other is None else other.value
            change = None if figure.value is None or before is None else figure.value - before
            yield Line(figure, before, change, _rate(figure.unit, change, before))


def _rate(unit: str, change: Decimal | None, before: Decimal | None) -> Decimal | None:
    if unit not in ("minor", "count") or change is None or not before:
        return None
    return (change / before).quantize(_SIX_PLACES, rounding=ROUND_HALF_EVEN)


def _key(figure: PublishedFigure, is_now: bool) -> tuple[Any, ...]:
    places = (figure.currency, figure.reporting_currency, figure.segment)
    return (is_now, figure.metric, *places)


def _order(line: Line) -> tuple[Any, ...]:
    told = line.figure
    is_of_users = not told.currency and not told.reporting_currency
    segment = (told.segment is None, told.segment or "")
    return (is_of_users, told.currency, *segment, *_place(told.metric), told.metric)


def _place(metric: str) -> tuple[int, int]:
    return _PLACES.get(metric, (_BEHIND, 0))
