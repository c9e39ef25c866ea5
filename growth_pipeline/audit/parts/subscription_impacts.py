"""What the classes of one subscription do to MRR: the database's less Stripe's. Pure.

Contract: docs/metrics.md, "Subscriptions, access and customers".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from growth_pipeline.audit.parts.subscription_classes import provided_codes, stored_mrr_codes
from growth_pipeline.audit.parts.subscription_sides import Pair, State


def impacts_of(pair: Pair, codes: Iterable[str]) -> dict[str, int] | None:
    """The first code's money that is not 0; a later one's unknown money does not hide it."""
    primary, *others = (_impacts_of_code(pair, code) for code in codes)
    if primary is None or primary:
        return primary
    return next((one for one in others if one), None if None in others else {})


def _impacts_of_code(pair: Pair, code: str) -> dict[str, int] | None:
    """MRR by currency that the database has more than Stripe, for one code."""
    rule = _IMPACTS.get(code)
    if rule is None:
        return {}
    if code == "mrr_drift" and _drifts_in_currency(pair):
        return _both_currencies(pair)
    difference = rule(pair)
    if difference is None:
        return None
    return {currency_of(pair): difference} if difference else {}


def currency_of(pair: Pair) -> str:
    """Stripe's currency, else the mirror's, else the application's; "" if nobody tells one."""
    state = pair.stripe or pair.mirror
    if state is not None:
        return state.currency
    row = pair.entitlement
    return (row.currency or "") if row is not None else ""


def _missing_mrr(pair: Pair) -> int | None:
    if pair.stripe is not None:
        value = pair.stripe.mrr(pair.at)
        return None if value is None else -value
    return _unpaid_mrr(pair) if pair.mirror is None else pair.mirror.mrr(pair.at)


def _surplus_mrr(pair: Pair) -> int | None:
    return pair.stripe.mrr(pair.at) if pair.stripe else None


def _status_mrr(pair: Pair) -> int | None:
    return _less(pair.mirror.mrr(pair.at) if pair.mirror else None, pair)


def _unpaid_mrr(pair: Pair) -> int | None:
    """What the access would be worth: the stored MRR, else the subscription's before its end."""
    row, state = pair.entitlement, pair.stripe or pair.mirror
    if row is not None and row.mrr_minor:
        return row.mrr_minor
    return None if state is None else state.worth(_before_end(state, pair.at))


def _before_end(state: State, at: int) -> int:
    return at if state.ended_at is None else min(at, state.ended_at - 1)


def _provided_mrr(pair: Pair) -> int | None:
    """MRR of what the application provides less Stripe's; the mirror's, if only that differs."""
    stripe, row = pair.stripe, pair.entitlement
    if stripe is not None and row is not None and provided_codes(stripe, row):
        if not stripe.mrr(pair.at) and stripe.status != "active":
            return 0
        return _less(row.mrr_minor if pair.provided_mrr is None else pair.provided_mrr, pair)
    return _status_mrr(pair)


def _drifted_mrr(pair: Pair) -> int | None:
    stripe, row = pair.stripe, pair.entitlement
    if stripe is not None and row is not None and stored_mrr_codes(stripe, row, pair.at):
        return _less(row.mrr_minor, pair)
    return _status_mrr(pair)


def _less(minor: int | None, pair: Pair) -> int | None:
    """The database's MRR less Stripe's."""
    theirs = pair.stripe.mrr(pair.at) if pair.stripe else 0
    return None if minor is None or theirs is None else minor - theirs


def _drifts_in_currency(pair: Pair) -> bool:
    stripe, row = pair.stripe, pair.entitlement
    return bool(stripe and row and row.currency not in {None, stripe.currency})


def _both_currencies(pair: Pair) -> dict[str, int] | None:
    stripe, row = pair.stripe, pair.entitlement
    if stripe is None or row is None or row.mrr_minor is None or row.currency is None:
        return None
    theirs = stripe.mrr(pair.at)
    if theirs is None:
        return None
    both = {stripe.currency: -theirs, row.currency: row.mrr_minor}
    return {currency: minor for currency, minor in both.items() if minor}


_IMPACTS: Final[Mapping[str, Callable[[Pair], int | None]]] = {
    "subscription_missing": _missing_mrr,
    "subscription_status": _status_mrr,
    "duplicate_subscription": _surplus_mrr,
    "provisioned_not_paid": _unpaid_mrr,
    "tier_mismatch": _provided_mrr,
    "quantity_mismatch": _provided_mrr,
    "mrr_drift": _drifted_mrr,
}
