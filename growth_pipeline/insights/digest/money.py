"""Facts about money: MRR and what moved it, customers, payments. Pure: rows in, series out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final

from growth_pipeline.insights.digest.weeks import Measured, Weeks, sum_of_days
from growth_pipeline.insights.facts import Group, Kind, Series, Source, Unit

Row = Mapping[str, Any]
MOVEMENTS: Final[Mapping[str, str]] = {
    "new": "New MRR",
    "reactivation": "Reactivated MRR",
    "resumed": "Resumed MRR",
    "expansion": "Expansion MRR",
    "contraction": "Contraction MRR",
    "paused": "Paused MRR",
    "churn": "Churned MRR",
}
_UNKNOWN_PRICE: Final = "an item has an unknown price"


def mrr_series(
    weeks: Weeks, source: Source, periods: Sequence[Row], movements: Sequence[Row]
) -> Iterator[Series]:
    """MRR, its movements and paying customers, by currency.

    `periods` and `movements` as `movements_of_spells` tells them by weeks. A currency without a row
    had no MRR in that week.
    """
    sizes = {(row["currency"], row["period_start"]): row for row in periods}
    moved = {(row["currency"], row["period_start"], row["movement"]): row for row in movements}
    for currency in sorted({row["currency"] for row in periods if _lives(row)}):
        yield _stock(weeks, source, sizes, currency)
        for name, label in MOVEMENTS.items():
            yield _movement(weeks, source, moved, currency, (name, label))
        yield _customers(weeks, source, sizes, currency)


def _lives(period: Row) -> bool:
    """Whether a currency has any MRR in a period, or had some before, or cannot be told."""
    return any(period[name] != 0 for name in ("starting_mrr_minor", "ending_mrr_minor"))


def payment_series(weeks: Weeks, source: Source, rows: Iterable[Row]) -> Iterator[Series]:
    """Settled payments of the books, their money and how many, by currency."""
    money: dict[str, dict[date, int]] = defaultdict(dict)
    counts: dict[str, dict[date, int]] = defaultdict(dict)
    for row in rows:
        money[row["currency"]][row["day"]] = row["gross_minor"]
        counts[row["currency"]][row["day"]] = row["payments"]
    for currency in sorted(money):
        paid, times = money[currency], counts[currency]
        yield Series(
            fact_id=f"payments.{currency}",
            group=Group.REVENUE,
            family="payments",
            label=f"Payments ({currency.upper()})",
            kind=Kind.FLOW,
            unit=Unit.MINOR,
            currency=currency,
            points=weeks.points(_payments(paid, times)),
            source=source,
        )
        yield Series(
            fact_id=f"payment_count.{currency}",
            group=Group.REVENUE,
            family="payment_count",
            label=f"Number of payments ({currency.upper()})",
            kind=Kind.FLOW,
            unit=Unit.COUNT,
            currency=currency,
            noun="payments",
            points=weeks.points(_counts(times)),
            source=source,
        )


def _payments(paid: Mapping[date, int], times: Mapping[date, int]) -> Any:
    return lambda start, end: Measured(
        sum_of_days(paid, start, end), sample=sum_of_days(times, start, end)
    )


def _counts(days: Mapping[date, int]) -> Any:
    return lambda start, end: Measured(sum_of_days(days, start, end))


def _stock(
    weeks: Weeks, source: Source, sizes: Mapping[tuple[str, date], Row], currency: str
) -> Series:
    def measure(start: date, end: date) -> Measured:
        del end
        row = sizes.get((currency, start))
        if row is None:
            return Measured(0, sample=0)
        if row["ending_mrr_minor"] is None:
            return Measured(None, reason=_UNKNOWN_PRICE)
        return Measured(int(row["ending_mrr_minor"]), sample=row["ending_customers"])

    return Series(
        fact_id=f"mrr.{currency}",
        group=Group.REVENUE,
        family="mrr",
        label=f"MRR ({currency.upper()})",
        kind=Kind.STOCK,
        unit=Unit.MINOR,
        currency=currency,
        points=weeks.points(measure),
        source=source,
    )


def _customers(
    weeks: Weeks, source: Source, sizes: Mapping[tuple[str, date], Row], currency: str
) -> Series:
    def measure(start: date, end: date) -> Measured:
        del end
        row = sizes.get((currency, start))
        if row is None:
            return Measured(0)
        return Measured(
            row["ending_customers"],
            reason=_UNKNOWN_PRICE if row["ending_customers"] is None else "",
        )

    return Series(
        fact_id=f"customers.{currency}",
        group=Group.REVENUE,
        family="customers",
        label=f"Paying customers ({currency.upper()})",
        kind=Kind.STOCK,
        unit=Unit.COUNT,
        currency=currency,
        noun="paying customers",
        points=weeks.points(measure),
        source=source,
    )


def _movement(
    weeks: Weeks,
    source: Source,
    moved: Mapping[tuple[str, date, str], Row],
    currency: str,
    named: tuple[str, str],
) -> Series:
    name, label = named

    def measure(start: date, end: date) -> Measured:
        del end
        row = moved.get((currency, start, name))
        if row is None:
            return Measured(0, sample=0)
        if row["amount_minor"] is None:
            return Measured(None, reason=_UNKNOWN_PRICE)
        return Measured(int(row["amount_minor"]), sample=row["customers"])

    return Series(
        fact_id=f"mrr_{name}.{currency}",
        group=Group.REVENUE,
        family=f"mrr_{name}",
        label=f"{label} ({currency.upper()})",
        kind=Kind.FLOW,
        unit=Unit.MINOR,
        currency=currency,
        points=weeks.points(measure),
        source=source,
        part_of=f"mrr.{currency}",
    )
