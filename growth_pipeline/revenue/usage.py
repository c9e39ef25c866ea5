"""What metered items are worth a month by their last bill: a metric of its own, never MRR. Pure.

Contract: docs/metrics.md, "Usage run rate".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from growth_pipeline.core.recurring import monthly_factor
from growth_pipeline.revenue.normalise import round_to_minor
from growth_pipeline.revenue.policies import MrrPolicy

METRIC = "usage_run_rate"
NOT_BILLED = "usage_not_billed_yet"


@dataclass(frozen=True, slots=True)
class MeteredItem:
    """Grain: one metered item live at a month's end. `amount_minor`: one bill, None without."""

    period_start: date
    currency: str
    interval: str
    interval_count: int
    amount_minor: int | None


@dataclass(frozen=True, slots=True)
class UsageRunRate:
    """Grain: one month and currency of `items`. `minor` None: one of them was not billed yet."""

    period_start: date
    currency: str
    minor: int | None
    items: int


def usage_run_rate(items: Iterable[MeteredItem], policy: MrrPolicy) -> list[UsageRunRate]:
    """Last bills of metered items per month, summed exactly and rounded once, in order.

    Units: minor units of the currency; a credit counts 0. Raises: UnknownValueError for an interval
    that Stripe does not have.
    """
    sums: dict[tuple[date, str], tuple[Fraction | None, int]] = {}
    for item in items:
        key = item.period_start, item.currency
        held, count = sums.get(key, (Fraction(0), 0))
        if held is None or item.amount_minor is None:
            sums[key] = None, count + 1
            continue
        factor = monthly_factor(item.interval, item.interval_count, policy.terms)
        sums[key] = held + max(item.amount_minor, 0) * factor, count + 1
    return [
        UsageRunRate(
            start,
            currency,
            None if total is None else round_to_minor(total, currency, policy),
            count,
        )
        for (start, currency), (total, count) in sorted(sums.items())
    ]
