"""Which classes one subscription belongs to, and what that does to MRR. Pure.

Compared: Stripe's list, the mirror, and what the application provides. What changed too lately to
be judged, and who is asked again, is not decided here.
Contract: docs/metrics.md, "Subscriptions, access and customers".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from growth_pipeline.audit.codes import CODES, Severity
from growth_pipeline.audit.findings import in_table_order, worst_severity
from growth_pipeline.audit.parts.subscription_sides import (
    ENDED,
    RUNNING,
    Entitlement,
    Pair,
    State,
    Subscribed,
    instant,
)

Found = dict[str, dict[str, Any]]
"""Details by code: what each side says."""

# Money was collected up to the end of the period: who cancels keeps what was paid for.
_PAID_UP: Final = frozenset({"cancellation_requested"})
# Of the older ones Stripe is asked about each until one still runs; a customer may have thousands.
_OLDER_ASKED: Final = 10
# Nothing is paid while a subscription is so, and nothing is owed to the customer.
_UNPAID: Final = frozenset({"unpaid", "paused"})


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with one subscription: the primary code first, and what it does to MRR.

    `impacts`: minor units by currency, without zeros; None is unknown. `details`: what each side
    says, by code.
    """

    codes: tuple[str, ...]
    severity: Severity
    currency: str
    impacts: dict[str, int] | None
    details: Found

    @property
    def code(self) -> str:
        """The primary code."""
        return self.codes[0]


def judge(pair: Pair) -> Diagnosis | None:
    """The finding of one subscription, or None when all sides agree.

    One primary code, the first of the contract's table that fits; the others follow it. Severity:
    the worst of all. Impact: the database's MRR - Stripe's, of the first code that has any.
    """
    found = _missing(pair)
    if pair.doubled:
        found["duplicate_subscription"] = {"with": list(pair.doubled)}
    if pair.stripe is not None:
        if pair.mirror is not None:
            found |= _mirror_codes(pair.stripe, pair.mirror, pair.at)
        if pair.is_told:
            found |= _application_codes(pair.stripe, pair)
    if not found:
        return None
    codes = tuple(in_table_order(found))
    return Diagnosis(
        codes=codes,
        severity=worst_severity(_severity(code, pair) for code in codes),
        currency=_currency(pair),
        impacts=_impacts(pair, codes),
        details={code: found[code] for code in codes},
    )


def _impacts(pair: Pair, codes: Iterable[str]) -> dict[str, int] | None:
    """The first code's money that is not 0; a later one's unknown money does not hide it."""
    primary, *others = (_impacts_of(pair, code) for code in codes)
    if primary is None or primary:
        return primary
    return next((one for one in others if one), None if None in others else {})


def _impacts_of(pair: Pair, code: str) -> dict[str, int] | None:
    """MRR by currency that the database has more than Stripe, for one code."""
    rule = _IMPACTS.get(code)
    if rule is None:
        return {}
    if code == "mrr_drift" and _drifts_in_currency(pair):
        return _both_currencies(pair)
    difference = rule(pair)
    if difference is None:
        return None
    return {_currency(pair): difference} if difference else {}


def runs_on(state: State) -> bool:
    """Whether a subscription runs and no cancellation of it is set."""
    return state.status in RUNNING and state.cancel_at is None


def surplus_subscriptions(running: Iterable[Subscribed]) -> dict[str, list[Subscribed]]:
    """Running subscriptions that are one too many for their customer and product.

    Shapes: the surplus one's id -> up to 10 older ones that it may double, oldest first; the
    oldest of all is no surplus. One that will be cancelled is being replaced: leave it out.
    """
    groups: dict[tuple[str, str], list[Subscribed]] = defaultdict(list)
    for one in running:
        for product in one.products:
            groups[one.customer, product].append(one)
    surplus: dict[str, set[Subscribed]] = defaultdict(set)
    for some in groups.values():
        by_age = sorted(some, key=_age)
        for place, one in enumerate(by_age[1:], 1):
            surplus[one.id].update(by_age[: min(place, _OLDER_ASKED)])
    return {key: sorted(older, key=_age) for key, older in surplus.items()}


def _age(one: Subscribed) -> tuple[int, str]:
    return one.created, one.id


# --- one side alone ------------------------------------------------------------------------------


def _missing(pair: Pair) -> Found:
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


# --- the mirror ----------------------------------------------------------------------------------


def _mirror_codes(stripe: State, mirror: State, at: int) -> Found:
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


# --- the application -----------------------------------------------------------------------------


def _application_codes(stripe: State, pair: Pair) -> Found:
    row, at = pair.entitlement, pair.at
    lets_in = row is not None and row.lets_in(at)
    if not lets_in:
        if _pays(stripe, pair):
            return {"paid_not_provisioned": {"stripe": stripe.status, "application": _access(row)}}
        return {}
    assert row is not None  # noqa: S101 - who is let in has a row
    found: Found = {}
    if not _may_enter(stripe, row, at):
        found["provisioned_not_paid"] = {"stripe": stripe.status, "application": _access(row)}
    elif stripe.status not in ENDED:
        found |= _provided_codes(stripe, row) | _period_codes(stripe, row, pair)
    return found | _stored_mrr_codes(stripe, row, at)


def _pays(stripe: State, pair: Pair) -> bool:
    """Active, collected, not for free, and its newest invoice is paid."""
    if stripe.status != "active" or stripe.is_collection_paused or not pair.is_paid:
        return False
    is_metered = any(one.quantity is None for one in stripe.items)
    return is_metered or stripe.worth(pair.at) != 0


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


def _provided_codes(stripe: State, row: Entitlement) -> Found:
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


def _stored_mrr_codes(stripe: State, row: Entitlement, at: int) -> Found:
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


# --- severity and impact -------------------------------------------------------------------------


def _severity(code: str, pair: Pair) -> Severity:
    if code == "subscription_status" and pair.stripe and pair.mirror:
        is_final = (pair.stripe.status in ENDED) != (pair.mirror.status in ENDED)
        return Severity.HIGH if is_final else Severity.MEDIUM
    return CODES[code].severity


def _currency(pair: Pair) -> str:
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
    if stripe is not None and row is not None and _provided_codes(stripe, row):
        if not stripe.mrr(pair.at) and stripe.status != "active":
            return 0
        return _less(row.mrr_minor if pair.provided_mrr is None else pair.provided_mrr, pair)
    return _status_mrr(pair)


def _drifted_mrr(pair: Pair) -> int | None:
    stripe, row = pair.stripe, pair.entitlement
    if stripe is not None and row is not None and _stored_mrr_codes(stripe, row, pair.at):
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
