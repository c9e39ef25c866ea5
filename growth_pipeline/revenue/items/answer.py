"""What the items of a file are worth a month: one row per item, totals by currency. Pure.

Contract: docs/metrics.md, "Items of a file".
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any, Final

from growth_pipeline.core.recurring import Item, Subscription, counts
from growth_pipeline.revenue.items.read import ItemsFile
from growth_pipeline.revenue.normalise import (
    CustomerMrr,
    ItemMrr,
    customer_mrr,
    exponent_of,
    rounded,
    share_minor,
    totals,
)
from growth_pipeline.revenue.policies import MrrPolicy

EXACT_PLACES: Final = 10
COLUMNS: Final = (
    *("line", "customer_id", "subscription_id", "item_id", "currency", "contract_amount"),
    *("monthly_amount", "monthly_minor", "monthly_exact", "reason"),
)


@dataclass(frozen=True)
class NormalisedItems:
    """An answer: `rows` in the file's order, one per item; `totals` by currency.

    Units: `*_amount` in major units as exact decimals, `monthly_minor` whole minor units,
    `monthly_exact` a fraction of major units. None is unknown.
    """

    rows: tuple[dict[str, Any], ...]
    totals: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]


def normalise_items(file: ItemsFile, policy: MrrPolicy, *, at: int) -> NormalisedItems:
    """Each item's MRR at an instant under a policy.

    Customers are rounded once and items share what came out, so that rows sum to totals.
    Raises: UnknownValueError as `customer_mrr`.
    """
    known = [
        one
        for customer, found in file.customers.items()
        for one in customer_mrr(customer, found, at=at, policy=policy)
    ]
    held: dict[str, deque[dict[str, Any]]] = defaultdict(deque)
    for one in known:
        for part, amount in zip(one.items, _amounts(one, policy), strict=True):
            found = file.customers[one.customer_id][part.subscription_id]
            rows = held[part.subscription_id]  # parts stand in the order of the items
            reason = _reason(found, found.items[len(rows)], part, policy, at)
            rows.append({**_row(one, part, amount), "reason": reason})
    in_order = tuple({"line": line, **held[key].popleft()} for line, key in file.places)
    return NormalisedItems(in_order, _totals(known), file.notes)


def _row(one: CustomerMrr, part: ItemMrr, amount: Decimal | None) -> dict[str, Any]:
    exponent = exponent_of(one.currency)
    scale = 10**exponent
    return {
        "customer_id": one.customer_id,
        "subscription_id": part.subscription_id,
        "item_id": part.item_id,
        "currency": one.currency or None,
        "contract_amount": None
        if part.contract is None
        else decimal_of(part.contract / scale, places=EXACT_PLACES, least=exponent),
        "monthly_amount": amount,
        "monthly_minor": part.minor,
        "monthly_exact": None if part.exact is None else str(part.exact / scale),
    }


def _amounts(one: CustomerMrr, policy: MrrPolicy) -> Sequence[Decimal | None]:
    """Each item's value in major units, as the policy shows it."""
    exponent = exponent_of(one.currency)
    places = policy.rounding_places
    if one.exact is None:
        return [None] * len(one.items)
    exact = [(part.exact or Fraction(0)) / 10**exponent for part in one.items]
    if policy.rounding == "exact":
        return [decimal_of(value, places=EXACT_PLACES, least=exponent) for value in exact]
    if places is None or places <= exponent:
        return [Decimal(part.minor or 0).scaleb(-exponent) for part in one.items]
    scale = 10**places
    shares = share_minor(rounded(sum(exact, Fraction(0)) * scale, policy.rounding), exact)
    return [decimal_of(Fraction(one, scale), places=places, least=exponent) for one in shares]


def _reason(
    found: Subscription, item: Item, part: ItemMrr, policy: MrrPolicy, at: int
) -> str | None:
    """Why an item has no value, or none that is known; None where it has one."""
    if part.exact:
        return None
    if not counts(found, at=at, terms=policy.terms):
        is_paused = found.is_collection_paused and policy.pause_collection == "paused"
        return "collection_paused" if is_paused else f"status_{found.status}"
    if part.exact is None:
        return "unknown_price"
    return _of_item(item, policy, at)


def _of_item(item: Item, policy: MrrPolicy, at: int) -> str:
    if item.price.interval is None:
        return "one_time"
    if item.price.is_metered and policy.metered == "out":
        return "metered"
    if item.free_until is not None and at < item.free_until:
        return "free_trial"
    return "worth_nothing"


def _totals(customers: Sequence[CustomerMrr]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            "currency": currency or None,
            "monthly_amount": None
            if minor is None
            else Decimal(minor).scaleb(-exponent_of(currency)),
            "monthly_minor": minor,
            "customers": sum(one.currency == currency for one in customers),
        }
        for currency, minor in totals(customers).items()
    )


def decimal_of(value: Fraction, *, places: int, least: int) -> Decimal:
    """A fraction as a decimal, exact if it fits into `places`, else half to even at them.

    Shapes: zeros at its end are left out down to `least` decimals.
    """
    units = round(value * 10**places)
    kept = places
    while kept > least and units % 10 == 0:
        units, kept = units // 10, kept - 1
    with localcontext(prec=max(28, len(str(abs(units))))):
        return Decimal(units).scaleb(-kept)


def document(answer: NormalisedItems, policy: MrrPolicy, told: Mapping[str, Any]) -> dict[str, Any]:
    """The answer as JSON tells it, with every switch of the policy."""
    return {
        "metric": "mrr_of_items",
        "definition": policy.definition,
        "policy": policy.resolved(),
        **told,
        "notes": list(answer.notes),
        "totals": list(answer.totals),
        "rows": list(answer.rows),
    }
