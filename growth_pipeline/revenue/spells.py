"""From states of subscriptions to spells of MRR: what each item adds while nothing changes. Pure.

Spells follow from the states alone, also ahead of time where an end is known (a discount, a grace),
so that `as_of` only cuts them. Movements and totals do not belong here.
Contract: docs/metrics.md, "Spells of MRR".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Final

from growth_pipeline.billing.subscription_history import ENDED
from growth_pipeline.core.recurring import DAY_SECONDS, Item, counts
from growth_pipeline.revenue.history import SubscriptionState
from growth_pipeline.revenue.movements import Cause, cause_of
from growth_pipeline.revenue.normalise import (
    CustomerMrr,
    ItemMrr,
    round_customer,
    subscription_items,
)
from growth_pipeline.revenue.policies import MrrPolicy

# Stripe's `status_details.paused.subscription.type`; the other is a trial that ended unpaid.
PAUSE_REQUESTED: Final = "pause_requested"


@dataclass(frozen=True, slots=True)
class Spell:
    """Grain: one item while the MRR of its customer in this currency does not change.

    Instants in Unix seconds, `[from_at, until_at)`; None: without end. Units: minor units; None is
    unknown. `contract` and `exact` are fractions, `minor` the share of the customer's rounded MRR.
    `ends_by`: cause where the subscription's MRR ends at `until_at`; None where it goes on.
    """

    account_id: str
    customer_id: str
    currency: str
    subscription_id: str
    item: Item
    from_at: int
    until_at: int | None
    contract: Fraction | None
    exact: Fraction | None
    minor: int | None
    ends_by: Cause | None = None
    cancels_at: int | None = None
    is_assumed: bool = False
    told_by: str = ""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A subscription while it counts and its items are worth the same."""

    state: SubscriptionState
    from_at: int
    until_at: int | None
    items: tuple[ItemMrr, ...]
    ends_by: Cause | None = None


def spells_of(states: Iterable[SubscriptionState], policy: MrrPolicy) -> list[Spell]:
    """Spells of one customer under a policy, from all states of all its subscriptions.

    Shapes: by currency, time, subscription and item; none where a status does not count, one of 0
    for a free plan. Rounded once per customer and currency (per subscription under `level`
    subscription) whenever one of its items changes; the shares add up to it.
    Raises: UnknownValueError for an unknown status, interval or reason.
    """
    by_subscription: dict[str, list[SubscriptionState]] = defaultdict(list)
    for state in states:
        if state.from_at != state.until_at:  # else it held at no instant
            by_subscription[state.subscription_id].append(state)
    groups: dict[tuple[str, str], list[_Piece]] = defaultdict(list)
    for key in sorted(by_subscription):
        rows = sorted(by_subscription[key], key=lambda row: row.from_at)
        for piece in _pieces(rows, policy):
            level = key if policy.level == "subscription" else ""
            groups[piece.state.terms.currency, level].append(piece)
    return [
        spell
        for (currency, _), pieces in sorted(groups.items())
        for spell in _joined(_shared(currency, pieces, policy))
    ]


def mrr_at(spells: Iterable[Spell], at: int) -> dict[tuple[str, str, str], int | None]:
    """MRR by account, customer and currency at an instant; None where an item is unknown."""
    sums: dict[tuple[str, str, str], int | None] = {}
    for spell in spells:
        if spell.from_at <= at and (spell.until_at is None or at < spell.until_at):
            key = spell.account_id, spell.customer_id, spell.currency
            held = sums.get(key, 0)
            sums[key] = None if held is None or spell.minor is None else held + spell.minor
    return sums


# --- one subscription ----------------------------------------------------------------------------


def _pieces(rows: Sequence[SubscriptionState], policy: MrrPolicy) -> Iterator[_Piece]:
    """The subscription while it counts, cut wherever the value of an item changes."""
    found: list[_Piece] = []
    for state in _as_churned(rows, policy):
        cuts = [state.from_at, *_cuts(state, policy)]
        for start, end in zip(cuts, [*cuts[1:], state.until_at], strict=True):
            if counts(state.terms, at=start, terms=policy.terms):
                items = subscription_items(
                    state.subscription_id, state.terms, at=start, policy=policy
                )
                found.append(_Piece(state, start, end, items))
    following = [*found[1:], None][: len(found)]
    for piece, after in zip(found, following, strict=True):
        goes_on = after is not None and after.from_at == piece.until_at
        if piece.until_at is None or goes_on:
            yield piece
        else:
            yield replace(piece, ends_by=_cause(rows, piece.until_at, policy))


def _as_churned(rows: Sequence[SubscriptionState], policy: MrrPolicy) -> list[SubscriptionState]:
    """The states as the policy's `churn_at` sees them."""
    if policy.churn_at == "cancel_request":
        return [cut for row in rows if (cut := _until_request(row)) is not None]
    if policy.churn_at == "period_end":
        return _until_period_end(rows)
    return list(rows)


def _until_request(row: SubscriptionState) -> SubscriptionState | None:
    """A state up to the request to cancel; None if it begins after it. Taken back: all of it."""
    if row.cancels_at is None or row.canceled_at is None:
        return row
    if row.canceled_at <= row.from_at:
        return None
    until = row.canceled_at if row.until_at is None else min(row.until_at, row.canceled_at)
    return replace(row, until_at=until)


def _until_period_end(rows: Sequence[SubscriptionState]) -> list[SubscriptionState]:
    """The last state before the end lasts as long as what is billed for.

    Where a payment failed nobody told of before, the rest of the time is past due.
    """
    kept: list[SubscriptionState] = []
    for row in rows:
        last = kept[-1] if kept else None
        ends = row.terms.status in ENDED and last is not None and last.until_at == row.from_at
        if ends and last is not None and (last.period_end or 0) > row.from_at:
            if row.reason == "payment_failed" and last.terms.status == "active":
                terms = replace(last.terms, status="past_due", past_due_since=row.from_at)
                kept.append(
                    replace(last, from_at=row.from_at, until_at=last.period_end, terms=terms)
                )
            else:
                kept[-1] = replace(last, until_at=last.period_end)
            continue
        kept.append(row)
    return kept


def _cuts(state: SubscriptionState, policy: MrrPolicy) -> list[int]:
    """Instants inside a state at which its value may change."""
    terms = state.terms
    discounts = [*terms.discounts, *terms.customer_discounts]
    # What is set to end was not, before somebody asked for it.
    instants: set[int | None] = {state.canceled_at, *(item.free_until for item in terms.items)}
    for discount in (*discounts, *(one for item in terms.items for one in item.discounts)):
        instants |= {discount.starts, discount.ends}
    if terms.past_due_since is not None and policy.past_due_grace_days is not None:
        instants.add(terms.past_due_since + policy.past_due_grace_days * DAY_SECONDS)
    return sorted(
        at
        for at in instants
        if at is not None and at > state.from_at and (state.until_at is None or at < state.until_at)
    )


def _cause(rows: Sequence[SubscriptionState], at: int, policy: MrrPolicy) -> Cause:
    """Why a subscription has no MRR from an instant on: by the state that holds then."""
    found = next(
        (row for row in rows if row.from_at <= at and (row.until_at is None or at < row.until_at)),
        rows[-1],
    )
    if found.terms.status in ENDED:
        return cause_of(found.reason)
    if found.terms.status == "paused":
        return Cause.PAUSED if found.reason == PAUSE_REQUESTED else Cause.DELINQUENT
    if policy.churn_at == "cancel_request" and found.cancels_at is not None:
        return cause_of(found.reason)
    if found.terms.is_collection_paused:
        return Cause.PAUSED
    delinquent = found.terms.status in {"past_due", "unpaid"}
    return Cause.DELINQUENT if delinquent else Cause.UNKNOWN


# --- one customer --------------------------------------------------------------------------------


def _shared(currency: str, pieces: Sequence[_Piece], policy: MrrPolicy) -> Iterator[Spell]:
    """The pieces cut at every change of the customer, with shares of one rounded MRR."""
    if len(pieces) == 1 or all(
        one.until_at is not None and one.until_at <= following.from_at
        for one, following in pairwise(pieces)
    ):
        for piece in pieces:
            yield from _spells([piece], piece.from_at, piece.until_at, currency, policy)
        return
    edges = sorted(
        {piece.from_at for piece in pieces}
        | {piece.until_at for piece in pieces if piece.until_at is not None}
    )
    for start, end in zip(edges, [*edges[1:], None], strict=True):
        live = [
            piece
            for piece in pieces
            if piece.from_at <= start and (piece.until_at is None or start < piece.until_at)
        ]
        yield from _spells(live, start, end, currency, policy)


def _spells(
    live: Sequence[_Piece], start: int, end: int | None, currency: str, policy: MrrPolicy
) -> Iterator[Spell]:
    if not live:
        return
    whole = [item for piece in live for item in piece.items]
    shares: CustomerMrr = round_customer("", currency, whole, policy)
    at = iter(shares.items)
    for piece in live:
        for item in piece.state.terms.items:
            share = next(at)
            yield Spell(
                account_id=piece.state.account_id,
                customer_id=piece.state.customer_id,
                currency=currency,
                subscription_id=piece.state.subscription_id,
                item=item,
                from_at=start,
                until_at=end,
                contract=share.contract,
                exact=share.exact,
                minor=share.minor,
                ends_by=piece.ends_by if piece.until_at == end else None,
                cancels_at=_cancels_at(piece.state, start),
                is_assumed=piece.state.is_assumed,
                told_by=piece.state.told_by,
            )


def _cancels_at(state: SubscriptionState, at: int) -> int | None:
    """For when a cancellation was set at an instant; None before anybody asked for it."""
    asked = state.canceled_at is None or state.canceled_at <= at
    return state.cancels_at if asked else None


def _joined(spells: Iterable[Spell]) -> list[Spell]:
    """Neighbours that say the same, as one."""
    last: dict[tuple[str, str], Spell] = {}
    done: list[Spell] = []
    for spell in spells:
        key = spell.subscription_id, spell.item.id
        before = last.get(key)
        if before is not None and _says_the_same(before, spell):
            last[key] = replace(before, until_at=spell.until_at, ends_by=spell.ends_by)
            continue
        if before is not None:
            done.append(before)
        last[key] = spell
    return sorted(
        [*done, *last.values()], key=lambda one: (one.from_at, one.subscription_id, one.item.id)
    )


def _says_the_same(one: Spell, other: Spell) -> bool:
    if one.until_at != other.from_at or one.ends_by is not None:
        return False
    mine = (one.item, one.exact, one.minor, one.cancels_at, one.is_assumed)
    return mine == (other.item, other.exact, other.minor, other.cancels_at, other.is_assumed)
