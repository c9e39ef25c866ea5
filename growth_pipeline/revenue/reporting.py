"""Published figures of all currencies in one, at the rates of their days. Pure but for `publish`.

Contract: docs/metrics.md, "Reporting currency".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from growth_pipeline.core.recurring import round_minor
from growth_pipeline.revenue.fx import Rate, Rates, spread
from growth_pipeline.revenue.movements import GAINS, LOSSES, SAME_CURRENCY
from growth_pipeline.revenue.rates import quotient

if TYPE_CHECKING:
    from growth_pipeline.revenue.fx_store import FxStore

NO_RATE: Final = "no_rate"
NOT_OVER: Final = "not_over"
NO_BASE: Final = "no_base"
_FLOWS: Final = tuple(movement.value for movement in SAME_CURRENCY)
_STOCKS: Final = ("contract_mrr", "scheduled_churn")
_AT_END: Final = frozenset(
    {"mrr", "arr", "net_new_mrr", "contract_mrr", "scheduled_churn", "cmrr", "customers", "arpa"}
)
_ONE_DAY: Final = timedelta(days=1)
_MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True)
class Reporting:
    """What the settings say: the currency (None: no such view), and how old a rate may be."""

    currency: str | None = None
    max_age_days: int = 0


@dataclass(frozen=True)
class Told:
    """What is published of one period and currency, in its own minor units.

    `values`: figures by metric, None where unknown; `parts`: numerator and denominator of rates.
    `reason`: why MRR is unknown; `reasons`: why a rate is, which may look further back.
    `moved`: customers and changes by movement.
    """

    values: Mapping[str, int | None]
    parts: Mapping[str, tuple[Decimal | None, Decimal | None]]
    moved: Mapping[str, tuple[int | None, int | None]]
    reason: str | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PeriodTold:
    """One period of one grain, by currency. `customers`: with MRR in any currency at its end."""

    grain: str
    period_start: date
    state: str
    as_of: datetime
    currencies: Mapping[str, Told]
    customers: int | None = None

    @property
    def counts_customers(self) -> bool:
        """Whether anybody asks for its customers: not of days and weeks."""
        return self.grain in _MONTHS

    @property
    def closing(self) -> date:
        """The day at whose end the snapshot is taken."""
        return start_of(self.period_start, self.grain, 1) - _ONE_DAY

    def opening(self, horizon: int = 1) -> date:
        """The day of the snapshot a number of periods before."""
        return start_of(self.period_start, self.grain, 1 - horizon) - _ONE_DAY


@dataclass(frozen=True)
class Converted:
    """One currency of a period in the reporting currency: whole minor units that add up."""

    start: int
    end: int
    flows: Mapping[str, int]
    stocks: Mapping[str, int]
    rates: Mapping[str, Rate | None]


def start_of(period_start: date, grain: str, ahead: int) -> date:
    """The first day of a period so many periods later; earlier for a negative number."""
    if grain in _MONTHS:
        months = period_start.year * 12 + period_start.month - 1 + _MONTHS[grain] * ahead
        return date(months // 12, months % 12 + 1, 1)
    return period_start + timedelta(days=(7 if grain == "week" else 1) * ahead)


def convert(told: Told, currency: str, period: PeriodTold, rates: Rates) -> Converted | str:
    """One currency's start, movements, fx and end; the reason where something is missing.

    Start at the rate of the snapshot before, all else at this one's; fx is what the difference of
    both rates makes of the start. An amount of 0 needs no rate.
    """
    if told.reason is not None or any(
        told.values.get(name) is None for name in ("mrr", "mrr_start")
    ):
        return told.reason or NOT_OVER
    amounts = {name: told.values.get(f"{name}_mrr") or 0 for name in _FLOWS}
    stocks = {name: told.values.get(name) or 0 for name in _STOCKS}
    start, end = told.values["mrr_start"] or 0, told.values["mrr"] or 0
    before = rates.at(currency, period.opening()) if start else None
    after = rates.at(currency, period.closing)
    is_needed = start or end or any(amounts.values()) or any(stocks.values())
    if (start and before is None) or (is_needed and after is None):
        return NO_RATE
    now = after or Rate(Fraction(0), period.closing)
    then = before or now

    def worth(amount: int, rate: Rate) -> Fraction:
        return rates.converted(amount, currency, rate)

    whole_start, whole_end = round_minor(worth(start, then)), round_minor(worth(end, now))
    parts = {**{name: worth(amount, now) for name, amount in amounts.items()}}
    parts["fx"] = worth(start, now) - worth(start, then)
    flows = spread(whole_end - whole_start, list(parts.values()))
    return Converted(
        whole_start,
        whole_end,
        dict(zip(parts, flows, strict=True)),
        {name: round_minor(worth(amount, now)) for name, amount in stocks.items()},
        {"opening": before, "closing": after if is_needed else None},
    )


def movement_rows(period: PeriodTold, policy: str, rates: Rates) -> Iterator[tuple[Any, ...]]:
    """Grain: one currency and movement of a period, converted; fx among them."""
    for currency, told in sorted(period.currencies.items()):
        found = convert(told, currency, period, rates)
        head = (policy, period.grain, period.period_start, currency, rates.into)
        for name in (*_FLOWS, "fx"):
            amount = None if isinstance(found, str) else found.flows[name]
            yield (*head, name, amount, *told.moved.get(name, (None, None)), period.state)


def figure_rows(period: PeriodTold, policy: str, rates: Rates) -> Iterator[tuple[Any, ...]]:
    """Grain: one figure of a period over all currencies, in the reporting currency."""
    made = {
        currency: convert(told, currency, period, rates)
        for currency, told in period.currencies.items()
    }
    reasons = sorted({one for one in made.values() if isinstance(one, str)})
    known = {key: one for key, one in made.items() if not isinstance(one, str)}
    for figure in (*_amounts(period, known), *_quotients(period, known), *_kept(period, rates)):
        metric, unit, value, above, below, reason, used = figure
        if reasons and unit != "count" and not metric.startswith(("nrr", "grr")):
            value, above, below, reason, used = None, None, None, reasons[0], None
        yield (
            *(metric, policy, period.grain, period.period_start, rates.into),
            *(value, unit, above, below, period.state, reason),
            *(period.customers if metric in _AT_END else None, used),
            period.as_of,
        )


def publish_reporting(
    store: FxStore,
    policies: Sequence[str],
    reporting: Reporting,
    *,
    now: datetime,
    tell: Callable[[str], None] = lambda _: None,
) -> int:
    """Publish movements and figures of policies in the reporting currency; rows that were written.

    Without a reporting currency, and for another one, what is published in one is withdrawn.
    Raises: RemoteUnavailableError.
    """
    into = reporting.currency
    store.forget_others(into or "", policies)
    if into is None:
        return 0
    rates = Rates(into, store.rates(into), max_age_days=reporting.max_age_days)
    written = 0
    for policy in policies:
        periods = store.periods(policy)
        moved = [row for one in periods for row in movement_rows(one, policy, rates)]
        figures = [row for one in periods for row in figure_rows(one, policy, rates)]
        written += store.publish(policy, into, moved, figures, now=now)
        missing = sum(one[10] == NO_RATE and one[0] == "mrr" for one in figures)
        tell(f"{policy} in {into}: {len(periods)} periods, {missing} of them without a rate")
    return written


# --- figures -------------------------------------------------------------------------------------

_Made = tuple[str, str, Any, Any, Any, str | None, Any]


def _used(known: Mapping[str, Converted], *ends: str) -> dict[str, dict[str, Any]]:
    """Rates by end and currency, as JSON tells them."""
    told: dict[str, dict[str, Any]] = {}
    for currency, one in sorted(known.items()):
        for end in ends:
            if (rate := one.rates[end]) is not None:
                told.setdefault(end, {})[currency] = rate_in_words(rate)
    return told


def rate_in_words(rate: Rate) -> dict[str, str]:
    """A rate as JSON tells it."""
    value = Decimal(rate.value.numerator) / Decimal(rate.value.denominator)
    return {"rate": format(value.normalize(), "f"), "on": rate.on.isoformat()}


def _amounts(period: PeriodTold, known: Mapping[str, Converted]) -> Iterator[_Made]:
    end = sum(one.end for one in known.values())
    start = sum(one.start for one in known.values())
    leaving = sum(one.stocks["scheduled_churn"] for one in known.values())
    closing, both = _used(known, "closing"), _used(known, "opening", "closing")
    told = {
        "mrr": (end, closing),
        "arr": (12 * end, closing),
        "mrr_start": (start, _used(known, "opening")),
        "net_new_mrr": (end - start, both),
        "contract_mrr": (sum(one.stocks["contract_mrr"] for one in known.values()), closing),
        "scheduled_churn": (leaving, closing),
        "cmrr": (end - leaving, closing),
        **{
            f"{name}_mrr": (sum(one.flows[name] for one in known.values()), both)
            for name in (*_FLOWS, "fx")
        },
    }
    for metric, (value, used) in told.items():
        yield metric, "minor", value, None, None, None, used
    if period.counts_customers:
        reason = NOT_OVER if period.customers is None else None
        yield "customers", "count", period.customers, None, None, reason, None


def _quotients(period: PeriodTold, known: Mapping[str, Converted]) -> Iterator[_Made]:
    end = sum(one.end for one in known.values())
    start = sum(one.start for one in known.values())
    flows = {name: sum(one.flows[name] for one in known.values()) for name in _FLOWS}
    gains = sum(flows[name] for name in GAINS)
    losses = -sum(flows[name] for name in LOSSES)
    both = _used(known, "opening", "closing")
    yield _divided("growth", "ratio", end - start, start, both)
    yield _divided("quick_ratio", "ratio", gains, losses, both)
    if period.customers is not None:
        yield _divided("arpa", "minor", end, period.customers, _used(known, "closing"))
    elif period.counts_customers:
        yield "arpa", "minor", None, None, None, NOT_OVER, None


def _kept(period: PeriodTold, rates: Rates) -> Iterator[_Made]:
    """NRR and GRR: both ends at the rates of the opening, so that rates cannot move them."""
    names = {name for told in period.currencies.values() for name in told.parts}
    for name in sorted(names):
        horizon = int(name.partition("_")[2] or 1)
        day = period.opening(horizon)
        above, below, reason = Fraction(0), Fraction(0), None
        used: dict[str, Any] = {}
        for currency, told in sorted(period.currencies.items()):
            part, base = told.parts.get(name, (None, None))
            if part is None or base is None:
                reason = told.reasons.get(name) or told.reason or NOT_OVER
                continue
            if not part and not base:
                continue
            rate = rates.at(currency, day)
            if rate is None:
                reason = NO_RATE
                continue
            above += rates.converted(Fraction(part), currency, rate)
            below += rates.converted(Fraction(base), currency, rate)
            used[currency] = rate_in_words(rate)
        unit = "rate" if name.startswith("grr") else "ratio"
        if reason is not None:
            yield name, unit, None, None, None, reason, None
        else:
            yield _divided(name, unit, above, below, {"opening": used})


def _divided(
    metric: str, unit: str, part: Fraction | int, whole: Fraction | int, used: Any
) -> _Made:
    value = quotient(Fraction(part), Fraction(whole))
    parts = (_decimal(part), _decimal(whole))
    return metric, unit, value, *parts, NO_BASE if value is None else None, used


def _decimal(number: Fraction | int) -> Decimal:
    found = Fraction(number)
    return Decimal(found.numerator) / Decimal(found.denominator)
