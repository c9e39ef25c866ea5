"""MRR of an item, a subscription and a customer at one instant under a policy. Pure.

The arithmetic of one subscription is `core.recurring`; a policy's switches, the one rounding per
customer and its split over items belong here. Histories and movements do not.
Contract: docs/metrics.md, "MRR under a policy".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor, lcm
from typing import Final

from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.core.money import minor_exponent, split_minor
from growth_pipeline.core.recurring import (
    Item,
    Subscription,
    contract_mrr,
    counts,
    net_items,
    round_minor,
)
from growth_pipeline.revenue.policies import MrrPolicy

STATUSES: Final = frozenset(
    ("active past_due trialing incomplete incomplete_expired unpaid canceled paused").split()
)
"""Stripe's statuses of a subscription; another one is an error, not MRR 0."""

_NO_CURRENCY_EXPONENT: Final = 2


@dataclass(frozen=True, slots=True)
class ItemMrr:
    """What one item adds to its customer's MRR.

    Units: minor units. `contract`: exact, before discounts; `exact`: after them, 0 if the status
    does not count; `minor`: its share of the customer's rounded MRR. None: a price is unknown.
    """

    subscription_id: str
    item_id: str
    contract: Fraction | None
    exact: Fraction | None
    minor: int | None = None


@dataclass(frozen=True, slots=True)
class CustomerMrr:
    """Grain: one customer and currency at one instant. Units: minor units; None is unknown.

    The minor units of the items sum to `minor`, their exact values to `exact`.
    """

    customer_id: str
    currency: str
    exact: Fraction | None
    minor: int | None
    items: tuple[ItemMrr, ...]


def normalise_to_month(item: Item, policy: MrrPolicy, *, at: int = 0) -> Fraction | None:
    """Value of one item a month after its own discounts that run at an instant, not rounded.

    Grain: one item. Units: minor units of its price's currency, never below 0; None if its price
    is unknown. One-time prices are 0; metered ones too, unless the policy counts them.
    Raises: UnknownValueError, not retryable; an unknown interval is never 0.
    """
    alone = Subscription("active", item.price.currency, (item,))
    return net_items(alone, at=at, terms=policy.terms)[0]


def subscription_items(
    subscription_id: str, found: Subscription, *, at: int, policy: MrrPolicy
) -> tuple[ItemMrr, ...]:
    """MRR of each item of a subscription at an instant, after all discounts, by its status.

    Shapes: in the subscription's order; `minor` is not set, because the customer is rounded.
    Raises: UnknownValueError for an unknown status, interval or currency.
    """
    if found.status not in STATUSES:
        raise UnknownValueError(
            f"status {found.status!r} of subscription {subscription_id} is none of Stripe's",
            remedy=f"known are {', '.join(sorted(STATUSES))}; an unknown status is not MRR 0",
        )
    terms = policy.terms
    parts: Sequence[Fraction | None] = (Fraction(0),) * len(found.items)
    if counts(found, at=at, terms=terms):
        parts = net_items(found, at=at, terms=terms)
    return tuple(
        ItemMrr(subscription_id, item.id, contract_mrr(item, terms), part)
        for item, part in zip(found.items, parts, strict=True)
    )


def subscription_mrr(found: Subscription, *, at: int, policy: MrrPolicy) -> Fraction | None:
    """MRR of one subscription at an instant, exact; None if a price that counts is unknown.

    Units: minor units of its currency. Raises: as `subscription_items`.
    """
    return _sum([part.exact for part in subscription_items("", found, at=at, policy=policy)])


def customer_mrr(
    customer_id: str, found: Mapping[str, Subscription], *, at: int, policy: MrrPolicy
) -> tuple[CustomerMrr, ...]:
    """MRR of a customer's subscriptions (by id) at an instant: one row per currency, in order.

    Rounded once per currency; the items share it by largest remainder (tie: smaller subscription
    and item id first). Raises: as `subscription_items`.
    """
    by_currency: dict[str, list[ItemMrr]] = {}
    for key, one in sorted(found.items()):
        parts = subscription_items(key, one, at=at, policy=policy)
        by_currency.setdefault(one.currency, []).extend(parts)
    return tuple(
        round_customer(customer_id, currency, parts, policy)
        for currency, parts in sorted(by_currency.items())
    )


def round_customer(
    customer_id: str, currency: str, items: Sequence[ItemMrr], policy: MrrPolicy
) -> CustomerMrr:
    """A customer's items in one currency with the one rounding, shared by largest remainder."""
    exact = _sum([item.exact for item in items])
    if exact is None:
        return CustomerMrr(customer_id, currency, None, None, tuple(items))
    minor = round_to_minor(exact, currency, policy)
    if len(items) == 1:
        return CustomerMrr(customer_id, currency, exact, minor, (replace(items[0], minor=minor),))
    in_order = sorted(range(len(items)), key=lambda n: (items[n].subscription_id, items[n].item_id))
    weights = [items[place].exact or Fraction(0) for place in in_order]
    shares = dict(zip(in_order, share_minor(minor, weights), strict=True))
    parts = tuple(replace(item, minor=shares[place]) for place, item in enumerate(items))
    return CustomerMrr(customer_id, currency, exact, minor, parts)


def totals(customers: Iterable[CustomerMrr]) -> dict[str, int | None]:
    """Rounded MRR of customers by currency, in order; None where one of them is unknown."""
    sums: dict[str, int | None] = {}
    for one in customers:
        held = sums.get(one.currency, 0)
        sums[one.currency] = None if held is None or one.minor is None else held + one.minor
    return dict(sorted(sums.items()))


def round_to_minor(exact: Fraction, currency: str, policy: MrrPolicy) -> int:
    """Whole minor units under a policy's rounding.

    Units: minor units of `currency`. Fewer places than the currency has give whole multiples; more
    are for showing (`round_places`) and do not split a minor unit. `exact` rounds half to even.
    """
    exponent = exponent_of(currency)
    asked = exponent if policy.rounding_places is None else policy.rounding_places
    step: int = 10 ** (exponent - min(asked, exponent))
    return rounded(exact / step, policy.rounding) * step


def exponent_of(currency: str) -> int:
    """Decimals of a currency; 2 where a file names none.

    Raises: UnknownValueError for a code outside ISO 4217.
    """
    return minor_exponent(currency) if currency else _NO_CURRENCY_EXPONENT


def rounded(value: Fraction, mode: str) -> int:
    """A whole number, half to even or half up (away from 0 below it, as amounts are told)."""
    if mode != "half_up":
        return round_minor(value)
    whole = floor(abs(value) + Fraction(1, 2))
    return whole if value >= 0 else -whole


def share_minor(total: int, exact: Sequence[Fraction]) -> list[int]:
    """Parts of a rounded total by exact weights of 0 or more, in order; they sum to it.

    Largest remainder, tie: the earlier first. All 0 if the weights are.
    """
    if not any(exact):
        return [0] * len(exact)
    below = lcm(*(value.denominator for value in exact))
    width = len(str(len(exact)))
    weights = {f"{place:0{width}}": int(value * below) for place, value in enumerate(exact)}
    return list(split_minor(total, weights).values())


def _sum(values: Iterable[Fraction | None]) -> Fraction | None:
    held = list(values)
    known = [value for value in held if value is not None]
    return sum(known, Fraction(0)) if len(known) == len(held) else None
