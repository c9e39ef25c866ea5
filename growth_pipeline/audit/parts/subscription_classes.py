"""Which classes one subscription belongs to, with what each side says. Pure.

Compared: Stripe's list, the mirror, and what the application provides.
Contract: docs/metrics.md, "Subscriptions, access and customers".
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

from growth_pipeline.audit.parts.subscription_sides import ENDED, Entitlement, Pair, State, instant

Found = dict[str, dict[str, Any]]
"""Details by code: what each side says."""
# Money was collected up to the end of the period: who cancels keeps what was paid for.
_PAID_UP: Final = frozenset({"cancellation_requested"})
# Nothing is paid while a subscription is so, and nothing is owed to the customer.
_UNPAID: Final = frozenset({"unpaid", "paused"})


def missing_codes(pair: Pair) -> Found:
    """A live subscription on one side only. An access to one that Stripe lacks is unpaid too."""
    stripe, mirror, row = pair.stripe, pair.mirror, pair.entitlement
    if stripe is not None:
        is_lost = stripe.is_live and mirror is None
        return {"subscription_missing": {"missing_in": "mirror"}} if is_lost else {}
    found: Found = {}
    lets_in = row is not None and row.lets_in(pair.at)
    if (mirror is not None and mirror.is_live) or (lets_in and _names_one(row)):
        found["subscription_missing"] = {"missing_in": "stripe"}
    if lets_in and not _is_given(row) and (mirror is None or mirror.is_live):
        found["provisioned_not_paid"] = {"stripe": None}
    return found


def is_without_price(row: Entitlement | None) -> bool:
    """Given without a subscription, and the application does not say what it is worth: unknown."""
    return row is not None and row.subscription_id is None and row.mrr_minor is None


def _is_given(row: Entitlement | None) -> bool:
    """Given without a subscription, and by the application itself worth 0 or not told."""
    return row is not None and row.subscription_id is None and not row.mrr_minor


def _names_one(row: Entitlement | None) -> bool:
    return row is not None and row.subscription_id is not None


def mirror_codes(stripe: State, mirror: State, at: int) -> Found:
    """Where the mirror says something else than Stripe."""
    found: Found = {}
    if stripe.status != mirror.status:
        found["subscription_status"] = _sides(stripe.status, mirror.status)
    found |= _item_codes(stripe, mirror)
    if found.keys() & {"tier_mismatch", "quantity_mismatch"} or stripe.status in ENDED:
        return found
    if stripe.terms == mirror.terms:
        return found
    theirs, ours = stripe.worth(at), mirror.worth(at)
    if None not in {theirs, ours} and theirs != ours:
        found["mrr_drift"] = _sides(theirs, ours)
    return found


def _item_codes(stripe: State, mirror: State) -> Found:
    if stripe.status in ENDED and mirror.status in ENDED:
        return {}
    found: Found = {}
    theirs = {one.id: one for one in stripe.items}
    ours = {one.id: one for one in mirror.items}
    prices = [sorted(one.price_id for one in side.values()) for side in (theirs, ours)]
    if prices[0] != prices[1]:
        found["tier_mismatch"] = _sides(*prices)
    both = [(theirs[one], ours[one]) for one in sorted(theirs.keys() & ours.keys())]
    for a, b in both:
        if a.quantity != b.quantity:
            found.setdefault("quantity_mismatch", _sides(a.quantity, b.quantity))
        if a.period_end != b.period_end:
            ends = instant(a.period_end), instant(b.period_end)
            found.setdefault("period_mismatch", _sides(*ends))
    return found


def _sides(stripe: object, mirror: object) -> dict[str, Any]:
    return {"stripe": stripe, "mirror": mirror}


def application_codes(stripe: State, pair: Pair) -> Found:
    """Where the application gives something else than Stripe bills."""
    row, at = pair.entitlement, pair.at
    lets_in = row is not None and row.lets_in(at)
    if not lets_in:
        if _pays(stripe, pair) and not _was_let_in_while_paid(stripe, row, at):
            return {"paid_not_provisioned": {"stripe": stripe.status, "application": _access(row)}}
        return {}
    assert row is not None  # noqa: S101 - who is let in has a row
    found: Found = {}
    if not _may_enter(stripe, row, at):
        found["provisioned_not_paid"] = {"stripe": stripe.status, "application": _access(row)}
    elif stripe.status not in ENDED:
        found |= provided_codes(stripe, row) | _period_codes(stripe, row, pair)
    return found | stored_mrr_codes(stripe, row, at)


def _pays(stripe: State, pair: Pair) -> bool:
    """Active, collected, not for free, and its newest invoice is paid."""
    if stripe.status != "active" or stripe.is_collection_paused or not pair.is_paid:
        return False
    is_metered = any(one.quantity is None for one in stripe.items)
    return is_metered or stripe.worth(pair.at) != 0


def _was_let_in_while_paid(stripe: State, row: Entitlement | None, at: int) -> bool:
    """Whether access lasted until the end of the paid period, where that is over.

    Between the end of a period and its renewal at Stripe nobody pays for the time that runs.
    """
    paid_until = max((one.period_end for one in stripe.items), default=at + 1)
    return row is not None and row.lets_in(min(at, paid_until - 1))


def _may_enter(stripe: State, row: Entitlement, at: int) -> bool:
    """Whether what Stripe says allows the access that is given.

    Trials and first payments under way do; an unpaid invoice does within its 30 days; who asked to
    cancel may stay until the end of what was paid, if the access ends by then.
    """
    if stripe.status in _UNPAID:
        return False
    if stripe.status == "past_due":
        return stripe.is_collection_paused or stripe.has_mrr(at)
    if stripe.status in ENDED:
        if stripe.cancellation_reason not in _PAID_UP or row.access_ends_at is None:
            return False
        return row.access_ends_at <= max((one.period_end for one in stripe.items), default=0)
    return True


def provided_codes(stripe: State, row: Entitlement) -> Found:
    """Plan and seats. Of several items the application may name any one."""
    found: Found = {}
    prices = {one.price_id: one for one in stripe.items}
    if row.price_id is not None and row.price_id not in prices:
        found["tier_mismatch"] = {"stripe": sorted(prices), "application": row.price_id}
    item = prices.get(row.price_id or "")
    if item is None and len(stripe.items) == 1:
        (item,) = stripe.items
    if item is None or item.quantity is None or row.quantity is None:
        return found
    if item.quantity != row.quantity:
        found["quantity_mismatch"] = {"stripe": item.quantity, "application": row.quantity}
    return found


def _period_codes(stripe: State, row: Entitlement, pair: Pair) -> Found:
    """Access ends with a paid period, or with the subscription; until it is paid, with the last."""
    if row.access_ends_at is None or stripe.is_collection_paused:
        return {}
    ends = {one.period_end for one in stripe.items}
    if stripe.cancel_at is not None:
        ends.add(stripe.cancel_at)
    if stripe.status == "past_due" or not pair.is_paid:
        ends |= {one.period_start for one in stripe.items}
    if any(abs(row.access_ends_at - end) <= pair.tolerance for end in ends):
        return {}
    told = {"stripe": [instant(end) for end in sorted(ends)]}
    return {"period_mismatch": {**told, "application": instant(row.access_ends_at)}}


def stored_mrr_codes(stripe: State, row: Entitlement, at: int) -> Found:
    """The application's MRR against MRR now, or as it was when the period began.

    A discount that ran out within the period is brought by the next bill. Either whole number
    beside a value with decimals is right: how to round is each application's choice.
    """
    if row.mrr_minor is None:
        return {}
    if row.currency == stripe.currency and any(
        exact is None or abs(row.mrr_minor - exact) < 1 for exact in _right_mrr(stripe, at)
    ):
        return {}
    return {"mrr_drift": {"stripe": stripe.mrr(at), "application": row.mrr_minor}}


def _right_mrr(stripe: State, at: int) -> Iterator[Fraction | None]:
    """Each MRR that an application may rightly have stored, not rounded; None if it is unknown."""
    yield stripe.exact_mrr(at)
    if stripe.status == "trialing" or stripe.is_collection_paused:
        yield stripe.exact_worth(at)
    for item in stripe.items:
        yield stripe.exact_mrr(item.period_start)


def _access(row: Entitlement | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {"has_access": row.has_access, "access_ends_at": instant(row.access_ends_at)}
