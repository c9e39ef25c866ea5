"""What a subscription is worth a month: MRR of items, exact until it is rounded once.

Pure: terms come in as plain values, the instant is an argument. Where the terms are read from, and
how customers, snapshots and movements follow from them, does not belong here.
Contract: docs/metrics.md, "MRR of a subscription".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Final

from growth_pipeline.core.errors import UnknownValueError

DAY_SECONDS: Final = 86_400
COUNTED: Final = frozenset({"active", "past_due"})
_DAYS_A_YEAR: Final = Fraction("365.2425")


class Discounts(StrEnum):
    """Which discounts lower MRR: those that go on, none, only endless ones, or every one."""

    RECURRING = "recurring"
    NONE = "none"
    FOREVER = "forever"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Terms:
    """The switches of one subscription's MRR; defaults are the contract's.

    Units: `week_factor` and `day_factor` are weeks and days of a month; `past_due_grace_days` how
    long an unpaid subscription still counts, None: as long as it is past due. `stack_customer`:
    discounts of the customer come on top of the subscription's, not only in their place.
    """

    week_factor: Fraction = Fraction(52, 12)
    day_factor: Fraction = _DAYS_A_YEAR / 12
    discounts: Discounts = Discounts.RECURRING
    count_trials: bool = False
    past_due_grace_days: int | None = 30
    count_metered: bool = False
    count_paused_collection: bool = False
    stack_customer: bool = False


DEFAULT: Final = Terms()
_FACTORS: Final = {"year": Fraction(1, 12), "month": Fraction(1)}


@dataclass(frozen=True, slots=True)
class Tier:
    """Units up to `up_to` (None: without end), in minor units."""

    up_to: int | None
    unit_amount: Fraction = Fraction(0)
    flat_amount: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class Price:
    """What one unit costs for one interval. Units: minor units of `currency`, exact.

    `interval` None: a one-time price. `unit_amount` None without `tiers`: the price is unknown.
    `divide_by` and `round_up`: Stripe's transform_quantity. `mode`: graduated or volume.
    """

    id: str
    currency: str
    product: str | None = None
    interval: str | None = None
    interval_count: int = 1
    unit_amount: Fraction | None = None
    is_metered: bool = False
    mode: str | None = None
    tiers: tuple[Tier, ...] = ()
    divide_by: int = 1
    round_up: bool = False


@dataclass(frozen=True, slots=True)
class Discount:
    """One coupon in use. Instants in Unix seconds, `[starts, ends)`; None is without bound.

    `amounts_off`: minor units off each bill by currency, for a coupon of an amount. `products`:
    those it is for, None for all.
    """

    duration: str
    percent_off: Fraction | None = None
    amounts_off: Mapping[str, int | Fraction] = field(default_factory=dict)
    starts: int | None = None
    ends: int | None = None
    products: frozenset[str] | None = None

    def runs(self, at: int) -> bool:
        """Whether it lowers what is billed at an instant."""
        return (self.starts is None or self.starts <= at) and (self.ends is None or at < self.ends)


@dataclass(frozen=True, slots=True)
class Item:
    """One subscription item. `quantity` None: metered. `free_until`: end of its own free trial."""

    id: str
    price: Price
    quantity: int | None = 1
    discounts: tuple[Discount, ...] = ()
    free_until: int | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """All that MRR of one subscription depends on.

    `past_due_since`: None while unknown; then its grace is not over. `customer_discounts` count
    where the subscription has none of its own, or on top of them if the terms say so.
    """

    status: str
    currency: str
    items: tuple[Item, ...]
    discounts: tuple[Discount, ...] = ()
    customer_discounts: tuple[Discount, ...] = ()
    is_collection_paused: bool = False
    past_due_since: int | None = None


def billed_amount(price: Price, quantity: int) -> Fraction | None:
    """Price of a quantity for one interval, before discounts; None if the price is unknown.

    Units: minor units of the price's currency. A quantity of 0 pays the first tier's flat amount.
    Source: Stripe API reference, Price `transform_quantity`, `tiers`, `tiers_mode`.
    """
    units = quantity
    if price.divide_by > 1:
        units = -(-quantity // price.divide_by) if price.round_up else quantity // price.divide_by
    if price.mode is None:
        return None if price.unit_amount is None else price.unit_amount * units
    if not price.tiers:
        return None
    rule = _volume if price.mode == "volume" else _graduated
    return rule(price.tiers, units)


def _volume(tiers: Sequence[Tier], units: int) -> Fraction:
    tier = next((one for one in tiers if one.up_to is None or units <= one.up_to), tiers[-1])
    return tier.unit_amount * units + tier.flat_amount


def _graduated(tiers: Sequence[Tier], units: int) -> Fraction:
    total, below = tiers[0].flat_amount, 0
    for place, tier in enumerate(tiers):
        upper = units if tier.up_to is None else min(units, tier.up_to)
        if upper <= below:
            break
        total += tier.unit_amount * (upper - below) + (tier.flat_amount if place else 0)
        below = upper
    return total


def monthly_factor(interval: str, interval_count: int, terms: Terms = DEFAULT) -> Fraction:
    """What an amount per interval is multiplied by to be per month.

    Raises: UnknownValueError for an interval that is none of Stripe's; it is never 0.
    """
    factor = _FACTORS.get(interval)
    if interval in ("week", "day"):
        factor = terms.week_factor if interval == "week" else terms.day_factor
    if factor is None or interval_count < 1:
        raise UnknownValueError(
            f"interval {interval_count} x {interval!r} is none that Stripe bills in",
            remedy="update growth_pipeline: an unknown interval is not worth 0",
        )
    return factor if interval_count == 1 else factor / interval_count


def contract_mrr(item: Item, terms: Terms = DEFAULT) -> Fraction | None:
    """Value of one item a month before discounts; None if its price is unknown.

    Grain: one subscription item. Units: minor units of its price's currency, exact. One-time
    prices and metered items are 0. Raises: UnknownValueError for an unknown interval.
    """
    billed = _billed(item, at=None, terms=terms)
    return None if billed is None else billed * _factor(item, terms)


def net_mrr(found: Subscription, *, at: int, terms: Terms = DEFAULT) -> Fraction | None:
    """What a subscription's items are worth a month after discounts, whatever its status.

    Grain: one subscription at one instant. Units: minor units of its currency, exact, never below
    0; None if a price is unknown. Raises: as `net_items`.
    """
    parts = net_items(found, at=at, terms=terms)
    known = [part for part in parts if part is not None]
    return sum(known, Fraction(0)) if len(known) == len(parts) else None


def net_items(
    found: Subscription, *, at: int, terms: Terms = DEFAULT
) -> tuple[Fraction | None, ...]:
    """What each item is worth a month after discounts, whatever the subscription's status.

    Grain: one item at one instant, in the subscription's order. Units: minor units of its currency,
    exact, never below 0; all None if one price is unknown: an amount off is spread over all.
    Items first, then the subscription, then the customer; percentages multiply on what is left,
    amounts are spread over the items by amount. Raises: UnknownValueError for an unknown interval,
    and for an item in another currency. Source: docs/metrics.md, "MRR of a subscription".
    """
    left: list[Fraction] = []
    for item in found.items:
        if item.price.currency != found.currency:
            raise UnknownValueError(
                f"item {item.id} is in {item.price.currency}, its subscription in {found.currency}"
            )
        billed = _billed(item, at=at, terms=terms)
        if billed is None:
            return (None,) * len(found.items)
        left.append(_lowered([billed], [item], item.discounts, at, terms)[0])
    left = _lowered(left, found.items, _of_the_whole(found, terms), at, terms)
    parts = zip(left, found.items, strict=True)
    return tuple(amount * _factor(item, terms) for amount, item in parts)


def counts(found: Subscription, *, at: int, terms: Terms = DEFAULT) -> bool:
    """Whether a subscription's status lets it have MRR at an instant.

    Active and past due count, the latter for `past_due_grace_days`. Trials and collection that is
    paused only if the terms say so.
    """
    if found.is_collection_paused and not terms.count_paused_collection:
        return False
    if found.status == "trialing":
        return terms.count_trials
    grace = terms.past_due_grace_days
    if found.status == "past_due" and found.past_due_since is not None and grace is not None:
        return at < found.past_due_since + grace * DAY_SECONDS
    return found.status in COUNTED


def mrr(found: Subscription, *, at: int, terms: Terms = DEFAULT) -> Fraction | None:
    """MRR of one subscription at one instant: its net value if its status counts, else 0.

    Units: minor units of its currency, exact; None if a price that counts is unknown.
    """
    return net_mrr(found, at=at, terms=terms) if counts(found, at=at, terms=terms) else Fraction(0)


def round_minor(amount: Fraction) -> int:
    """Whole minor units, half to even: the one rounding, at the end."""
    return round(amount)


# --- inside --------------------------------------------------------------------------------------


def _billed(item: Item, *, at: int | None, terms: Terms) -> Fraction | None:
    """An item's amount for one interval; 0 where nothing recurring is billed (yet).

    A metered item that counts needs the usage as its quantity; without, its amount is unknown.
    """
    price = item.price
    is_free = at is not None and item.free_until is not None and at < item.free_until
    is_usage = price.is_metered or item.quantity is None
    if price.interval is None or is_free or (is_usage and not terms.count_metered):
        return Fraction(0)
    return None if item.quantity is None else billed_amount(price, item.quantity)


def _of_the_whole(found: Subscription, terms: Terms) -> tuple[Discount, ...]:
    """Discounts of all items: the subscription's, and the customer's after or instead of them."""
    if terms.stack_customer:
        return (*found.discounts, *found.customer_discounts)
    return found.discounts or found.customer_discounts


def _factor(item: Item, terms: Terms) -> Fraction:
    if item.price.interval is None:
        return Fraction(0)
    return monthly_factor(item.price.interval, item.price.interval_count, terms)


def _lowered(
    amounts: Sequence[Fraction],
    items: Sequence[Item],
    discounts: Iterable[Discount],
    at: int,
    terms: Terms,
) -> list[Fraction]:
    """Amounts of items after discounts of one level, in the order in which they stand."""
    left = list(amounts)
    for discount in discounts:
        if not (_is_taken(discount, terms) and discount.runs(at)):
            continue
        chosen = [place for place, item in enumerate(items) if _is_for(discount, item)]
        if discount.percent_off is not None:
            for place in chosen:
                left[place] *= 1 - discount.percent_off / 100
        else:
            _take_off(left, items, chosen, discount)
    return left


def _take_off(
    left: list[Fraction], items: Sequence[Item], chosen: Sequence[int], discount: Discount
) -> None:
    """Spread an amount over items in the same currency by their amounts; never below 0."""
    total = sum((left[place] for place in chosen), Fraction(0))
    if not total:
        return
    off = min(total, Fraction(discount.amounts_off.get(items[chosen[0]].price.currency, 0)))
    for place in chosen:
        left[place] -= off * left[place] / total


def _is_for(discount: Discount, item: Item) -> bool:
    return discount.products is None or item.price.product in discount.products


def _is_taken(discount: Discount, terms: Terms) -> bool:
    taken = {
        Discounts.NONE: frozenset[str](),
        Discounts.FOREVER: frozenset({"forever"}),
        Discounts.RECURRING: frozenset({"forever", "repeating"}),
        Discounts.ALL: frozenset({"forever", "repeating", "once"}),
    }
    return discount.duration in taken[terms.discounts]
