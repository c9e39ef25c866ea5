"""Published figures of a period: amounts, counts and rates with their parts. Pure.

Contract: docs/metrics.md, "Published figures".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from growth_pipeline.core.periods import PeriodState
from growth_pipeline.revenue.from_files.measure import Kept, Measured, Moved
from growth_pipeline.revenue.movements import GAINS, LOSSES, SAME_CURRENCY, Cause
from growth_pipeline.revenue.published.measure import Answer, Stock, Subscriptions
from growth_pipeline.revenue.rates import Lost, quotient

if TYPE_CHECKING:
    from growth_pipeline.revenue.from_files.looks import Period

NOT_OVER = "not_over"
NO_BASE = "no_base"
NO_CHURN = "no_churn"
UNKNOWN_PRICE = "unknown_price"
ROLLING = "rolling_window"
CHURN_CAUSES = tuple(cause for cause in Cause if cause is not Cause.PAUSED)
_CUSTOMERS = {
    "new": "new_customers",
    "reactivation": "reactivated_customers",
    "resumed": "resumed_customers",
    "expansion": "expanded_customers",
    "contraction": "contracted_customers",
    "paused": "paused_customers",
    "churn": "churned_customers",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """Grain: one metric of a period, currency and segment.

    `unit`: minor, count, rate (a share of a whole) or ratio. `value`: None where `reason` says why.
    `span`: how many periods before this one must be known too. `sample_size`: customers or
    subscriptions that it rests on.
    """

    metric: str
    unit: str
    value: Decimal | int | None
    numerator: Decimal | int | None = None
    denominator: Decimal | int | None = None
    sample_size: int | None = None
    reason: str | None = None
    span: int = 0

    def unknown(self, reason: str) -> Figure:
        """The same figure, not known."""
        return Figure(self.metric, self.unit, None, reason=reason, span=self.span)


@dataclass(frozen=True, slots=True)
class Place:
    """Where figures stand: a period of an answer, currency and segment."""

    period: Period
    currency: str
    segment_by: str
    segment: str | None


def figures_of(answer: Answer) -> Iterator[tuple[Place, Figure]]:
    """Every figure of every told period of an answer.

    Shapes: figures of a period that is not over, or with an unknown price, are there without value.
    """
    for period in answer.periods:
        for key in answer.measured.currencies:
            currency, segment = answer.currency_and_segment(key)
            place = Place(period, currency, answer.segment_by, segment)
            for figure in _Told(answer, period.number, key).figures():
                yield place, _as_known(answer, place, figure)
        yield from _subscription_figures(answer, period)


def _as_known(answer: Answer, place: Place, figure: Figure) -> Figure:
    if place.period.state is not PeriodState.CLOSED:
        return figure.unknown(NOT_OVER)
    first = place.period.number - figure.span
    span = range(first, place.period.number + 1)
    # Subscriptions are counted whatever they cost.
    is_counted = figure.metric.startswith("subscriptions_")
    if not is_counted and any((one, place.currency) in answer.unknown for one in span):
        return figure.unknown(UNKNOWN_PRICE)
    return figure


def _subscription_figures(answer: Answer, period: Period) -> Iterator[tuple[Place, Figure]]:
    """Subscriptions that began, were told to end and are live: in all, and by plan."""
    told = {
        (currency, plan): counted
        for (number, currency, plan), counted in answer.subscriptions.items()
        if number == period.number
    }
    for currency in answer.measured.currencies if answer.subscriptions else ():
        parts = [counted for (one, _), counted in told.items() if one == currency]
        whole = Subscriptions(
            sum(part.started for part in parts),
            sum(part.canceled for part in parts),
            sum(part.active for part in parts),
        )
        places = [(Place(period, currency, "", None), whole)] + [
            (Place(period, currency, "plan", plan), counted)
            for (one, plan), counted in told.items()
            if one == currency
        ]
        for place, counted in places:
            for name in ("started", "canceled", "active"):
                count = getattr(counted, name)
                figure = Figure(f"subscriptions_{name}", "count", count, sample_size=count)
                yield place, _as_known(answer, place, figure)


class _Told:
    """One period, currency and segment in words of the contract."""

    def __init__(self, answer: Answer, number: int, key: str) -> None:
        self.answer, self.number, self.key = answer, number, key
        self.mrr = answer.measured.mrr.get((number, key), 0)
        self.start = answer.measured.mrr.get((number - 1, key), 0)
        self.customers = answer.measured.customers.get((number, key), 0)
        self.before = answer.measured.customers.get((number - 1, key), 0)

    def figures(self) -> Iterator[Figure]:
        """Amounts and counts; rates too but of single days."""
        yield from self.amounts()
        yield from self.counts()
        if self.answer.definition.grain != "day":
            yield from self.rates()
            yield from self.churn()
            yield from self.kept()
        if self.answer.definition.grain == "month":
            yield self.lifetime()

    def amounts(self) -> Iterator[Figure]:
        """MRR and what moved it, signed."""
        stock = self.answer.stock.get((self.number, self.key), Stock())
        amounts = {
            "mrr": self.mrr,
            "arr": 12 * self.mrr,
            "mrr_start": self.start,
            "net_new_mrr": self.mrr - self.start,
            "contract_mrr": stock.contract,
            "scheduled_churn": stock.leaving,
            "cmrr": self.mrr - stock.leaving,
        }
        for name, amount in amounts.items():
            size = self.before if name == "mrr_start" else self.customers
            yield Figure(name, "minor", int(amount), sample_size=size)
        for movement in SAME_CURRENCY:
            moved = self.moved(movement)
            yield Figure(f"{movement}_mrr", "minor", int(moved.amount), sample_size=moved.customers)

    def counts(self) -> Iterator[Figure]:
        """Customers at both ends, and those who moved."""
        yield Figure("customers", "count", self.customers, sample_size=self.customers)
        yield Figure("customers_start", "count", self.before, sample_size=self.before)
        for movement, name in _CUSTOMERS.items():
            count = self.moved(movement).customers
            yield Figure(name, "count", count, sample_size=count)

    def rates(self) -> Iterator[Figure]:
        """Growth, ARPA and the quick ratio."""
        gains = sum(self.moved(name).amount for name in GAINS)
        losses = -sum(self.moved(name).amount for name in LOSSES)
        movers = sum(self.moved(name).customers for name in SAME_CURRENCY)
        yield _quotient("growth", "ratio", self.mrr - self.start, self.start, self.before)
        yield _quotient("arpa", "minor", self.mrr, self.customers, self.customers)
        yield _quotient("quick_ratio", "ratio", gains, losses, movers)

    def churn(self) -> Iterator[Figure]:
        """Shares of customers and of MRR lost, also by cause; of who was there at the opening."""
        base = self.start
        churned = -self.moved("churn", opening=True).amount
        contracted = -self.moved("contraction", opening=True).amount
        yield self.logo_churn()
        yield _quotient("mrr_churn", "ratio", churned, base, self.before)
        yield _quotient("gross_mrr_churn", "ratio", churned + contracted, base, self.before)
        for cause in CHURN_CAUSES:
            amount = -self.churned(cause).amount
            yield _quotient(f"mrr_churn_{cause}", "ratio", amount, base, self.before)

    def logo_churn(self) -> Figure:
        """Share of customers lost, by the policy's base and window."""
        parts = self.lost_parts()
        if parts is None:
            return Figure("logo_churn", "rate", None, reason=ROLLING)
        return _quotient("logo_churn", "rate", *parts, int(parts[1]))

    def lost_parts(self) -> tuple[int, Fraction] | None:
        """Customers lost and the base; None for segments under a rolling window."""
        lost = self.measured.lost.get((self.number, self.key))
        definition = self.answer.definition
        if lost is None and self.answer.segment_by and definition.window_days is not None:
            return None
        return lost_and_base(lost or Lost(), definition.denominator)

    def kept(self) -> Iterator[Figure]:
        """NRR and GRR over every horizon."""
        for horizon in self.answer.definition.horizons:
            kept = self.measured.kept.get((horizon, self.number, self.key), Kept())
            suffix = "" if horizon == 1 else f"_{horizon}"
            size = self.measured.customers.get((self.number - horizon, self.key), 0)
            span = horizon - 1  # the first of these periods tells of its opening too
            yield _quotient(f"nrr{suffix}", "ratio", kept.kept, kept.base, size, span)
            yield _quotient(f"grr{suffix}", "rate", kept.kept_at_most, kept.base, size, span)

    def lifetime(self) -> Figure:
        """LTV: ARPA over the share of customers lost in the month."""
        parts = self.lost_parts()
        if parts is None:
            return Figure("ltv", "minor", None, reason=ROLLING)
        lost, base = parts
        if not base or not self.customers:
            return Figure("ltv", "minor", None, reason=NO_BASE)
        if not lost:
            return Figure("ltv", "minor", None, reason=NO_CHURN)
        worth = Fraction(int(self.mrr)) * base
        return _quotient("ltv", "minor", worth, self.customers * lost, int(base))

    @property
    def measured(self) -> Measured:
        """Of all customers, or by segment."""
        return self.answer.measured

    def moved(self, movement: str, *, opening: bool = False) -> Moved:
        """A movement; `opening`: by the segment at the opening."""
        told = self.answer.opening if opening and self.answer.opening else self.measured
        return told.moved.get((self.number, self.key, str(movement)), Moved())

    def churned(self, cause: str) -> Moved:
        """Churn of a cause, by the segment at the opening."""
        told = self.answer.opening or self.measured
        return told.churned.get((self.number, self.key, str(cause)), Moved())


def lost_and_base(lost: Lost, denominator: str) -> tuple[int, Fraction]:
    """The parts of logo churn, as `rates.logo_churn` divides them."""
    if denominator == "start_plus_new":
        return lost.opening_left + lost.entered_left, Fraction(lost.opening + lost.entered)
    base = {
        "start": Fraction(lost.opening),
        "average": Fraction(lost.opening + lost.closing, 2),
        "end": Fraction(lost.closing),
    }[denominator]
    return lost.opening_left, base


def _quotient(
    metric: str,
    unit: str,
    part: Fraction | Decimal | int,
    whole: Fraction | Decimal | int,
    size: int,
    span: int = 0,
) -> Figure:
    """A quotient with its parts; None without a base."""
    value = quotient(part, whole)
    return Figure(
        metric=metric,
        unit=unit,
        value=value,
        numerator=_decimal(part),
        denominator=_decimal(whole),
        sample_size=size,
        reason=NO_BASE if value is None else None,
        span=span,
    )


def _decimal(number: Fraction | Decimal | int) -> Decimal | int:
    """A whole number or a half, exactly."""
    if isinstance(number, Fraction):
        return Decimal(number.numerator) / Decimal(number.denominator)
    return number
