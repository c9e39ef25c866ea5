"""MRR from what was billed: invoice lines, and refunds of them, as states of subscriptions. Pure.

Policies with `basis=invoice`, or that let refunds lower MRR, see other states of the same form;
what follows from states is the same for all. Contract: docs/metrics.md, "MRR from invoices".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from operator import attrgetter
from typing import Final

from growth_pipeline.core.recurring import COUNTED, Discount, Item, Price, Subscription
from growth_pipeline.revenue.history import SubscriptionState
from growth_pipeline.revenue.policies import MrrPolicy

_ALL_OR_NONE: Final = frozenset({"all", "none"})


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """Grain: one recurring line of an invoice for one service period.

    Instants in Unix seconds, `[from_at, until_at)`. `price`: its `unit_amount` is what one of
    `quantity` was billed with, before discounts and tax, None where unknown. `taken_off`: duration
    of the coupon (None: not known) and minor units, one for each discount of the line.
    """

    account_id: str
    customer_id: str
    subscription_id: str
    item_id: str
    price: Price
    quantity: int
    from_at: int
    until_at: int
    taken_off: tuple[tuple[str | None, int], ...] = ()
    invoice_id: str = ""


@dataclass(frozen=True, slots=True)
class Refund:
    """Grain: one refund of what one invoice billed for a subscription.

    `share`: of what was billed, 0 to 1. `until_at`: end of the service that was paid for.
    """

    subscription_id: str
    refunded_at: int
    until_at: int
    share: Fraction
    is_yearly: bool


@dataclass(frozen=True)
class Facts:
    """What was billed and given back, by subscription; nothing where no policy asks for it."""

    lines: Mapping[str, Sequence[InvoiceLine]] = field(default_factory=dict)
    refunds: Mapping[str, Sequence[Refund]] = field(default_factory=dict)

    def of_customer(self, states: Iterable[SubscriptionState], customer_id: str) -> Facts:
        """Facts of the subscriptions of one customer, also of those that have no state."""
        ids = {state.subscription_id for state in states}
        ids |= self._billed.get(customer_id, set())
        return Facts(
            {key: self.lines[key] for key in ids & self.lines.keys()},
            {key: self.refunds[key] for key in ids & self.refunds.keys()},
        )

    @cached_property
    def _billed(self) -> Mapping[str, set[str]]:
        """Customer -> subscriptions that were billed to it."""
        found: dict[str, set[str]] = defaultdict(set)
        for key, rows in self.lines.items():
            found[rows[0].customer_id].add(key)
        return found


def needs_invoices(policy: MrrPolicy) -> bool:
    """Whether MRR under a policy depends on more than the states of subscriptions."""
    return policy.basis == "invoice" or policy.refunds != "ignore"


def states_under(
    states: Iterable[SubscriptionState], policy: MrrPolicy, facts: Facts
) -> list[SubscriptionState]:
    """States as a policy sees them: of its basis, less what refunds take away.

    Shapes: by subscription and time, without overlaps; the same states where the policy needs no
    invoices. Lines and refunds of subscriptions that are not among the states count too: hand over
    those of the same customers only.
    """
    if not needs_invoices(policy):
        return list(states)
    held: dict[str, list[SubscriptionState]] = defaultdict(list)
    for state in states:
        held[state.subscription_id].append(state)
    if policy.basis == "invoice":
        for key in facts.lines.keys() - held.keys():
            held[key] = [_unmirrored(facts.lines[key])]
    found: list[SubscriptionState] = []
    for key in sorted(held):
        rows = sorted(held[key], key=attrgetter("from_at"))
        if policy.basis == "invoice":
            rows = on_invoices(rows, facts.lines.get(key, ()), policy)
        found += less_refunds(rows, facts.refunds.get(key, ()), policy)
    return found


def on_invoices(
    states: Sequence[SubscriptionState], lines: Iterable[InvoiceLine], policy: MrrPolicy
) -> list[SubscriptionState]:
    """One subscription's states with what was billed for it in place of its items.

    An item is worth what the line says whose service period holds the instant, a newer line taking
    the place of an older one. Status, pause and cancellation stay the subscription's; while it
    counts and no line runs there is no state, so that its MRR ends there.
    """
    held = _succeeding(lines)
    edges = sorted({edge for line in held for edge in (line.from_at, line.until_at)})
    pieces = (
        replace(piece, terms=_as_billed(piece, held, policy))
        for state in states
        for piece in _cut(state, edges)
    )
    return _merged(one for one in pieces if one.terms.items or one.terms.status not in COUNTED)


def less_refunds(
    states: Sequence[SubscriptionState], refunds: Iterable[Refund], policy: MrrPolicy
) -> list[SubscriptionState]:
    """One subscription's states from each refund to the end of the service it pays back.

    `refunds=deduct`: MRR is lowered by the share that was given back. `annual_cancel_only`: only of
    a service billed by the year, once its cancellation is asked for; given back in full it has
    ended. What was before a refund stays as it was.
    """
    if policy.refunds == "ignore":
        return list(states)
    is_annual_only = policy.refunds == "annual_cancel_only"
    counted = list(_counted(states, refunds) if is_annual_only else refunds)
    if not counted:
        return list(states)
    edges = sorted({edge for one in counted for edge in (one.refunded_at, one.until_at)})
    pieces = (
        _lowered(piece, counted, ends=is_annual_only)
        for state in states
        for piece in _cut(state, edges)
    )
    return _merged(pieces)


def scaled(terms: Subscription, factor: Fraction) -> Subscription:
    """Terms that are worth `factor` times as much, after discounts too."""
    return replace(
        terms,
        items=tuple(
            replace(
                item,
                price=_scaled_price(item.price, factor),
                discounts=_scaled_discounts(item.discounts, factor),
            )
            for item in terms.items
        ),
        discounts=_scaled_discounts(terms.discounts, factor),
        customer_discounts=_scaled_discounts(terms.customer_discounts, factor),
    )


# --- lines ---------------------------------------------------------------------------------------


def _succeeding(lines: Iterable[InvoiceLine]) -> list[InvoiceLine]:
    """Lines, each until the next of its item begins; of two that begin at once the later told."""
    by_item: dict[str, dict[int, InvoiceLine]] = defaultdict(dict)
    for line in lines:
        by_item[line.item_id][line.from_at] = line
    kept: list[InvoiceLine] = []
    for key in sorted(by_item):
        rows = [by_item[key][start] for start in sorted(by_item[key])]
        ends: list[int | None] = [following.from_at for _, following in pairwise(rows)]
        for line, end in zip(rows, [*ends, None], strict=True):
            until = line.until_at if end is None else min(line.until_at, end)
            kept.append(replace(line, until_at=until))
    return kept


def _as_billed(
    piece: SubscriptionState, lines: Iterable[InvoiceLine], policy: MrrPolicy
) -> Subscription:
    live = [line for line in lines if line.from_at <= piece.from_at < line.until_at]
    currency = live[0].price.currency if live else piece.terms.currency
    items = tuple(_item(line, policy) for line in live)
    return replace(piece.terms, currency=currency, items=items, discounts=(), customer_discounts=())


def _item(line: InvoiceLine, policy: MrrPolicy) -> Item:
    """A line as an item; unknown where a discount's duration decides and nobody told it."""
    is_known = policy.discounts in _ALL_OR_NONE or all(known for known, _ in line.taken_off)
    price = line.price if is_known else replace(line.price, unit_amount=None)
    return Item(
        line.item_id,
        price,
        line.quantity,
        tuple(
            Discount(duration or "once", amounts_off={price.currency: amount})
            for duration, amount in line.taken_off
        ),
    )


def _unmirrored(lines: Sequence[InvoiceLine]) -> SubscriptionState:
    """What is assumed of a subscription of which only invoices are known: active, as billed."""
    first = min(lines, key=attrgetter("from_at"))
    return SubscriptionState(
        first.subscription_id,
        first.customer_id,
        first.from_at,
        max(line.until_at for line in lines),
        Subscription("active", first.price.currency, ()),
        is_assumed=True,
        account_id=first.account_id,
        told_by=first.invoice_id,
    )


# --- refunds -------------------------------------------------------------------------------------


def _counted(states: Sequence[SubscriptionState], refunds: Iterable[Refund]) -> Iterator[Refund]:
    """Refunds of yearly services of a cancelled subscription, from the cancellation on."""
    asked = [state.canceled_at or state.ended_at for state in states]
    known = [at for at in asked if at is not None]
    if not known:
        return
    for one in refunds:
        start = max(one.refunded_at, min(known))
        if one.is_yearly and start < one.until_at:
            yield replace(one, refunded_at=start)


def _lowered(
    piece: SubscriptionState, refunds: Sequence[Refund], *, ends: bool
) -> SubscriptionState:
    at = piece.from_at
    running = [one for one in refunds if one.refunded_at <= at < one.until_at]
    left = max(Fraction(0), 1 - sum((one.share for one in running), Fraction(0)))
    if ends:
        piece = replace(piece, period_end=_given_back(piece.period_end, refunds))
    if not running:
        return piece
    if ends and not left:
        return replace(piece, terms=replace(piece.terms, status="canceled"), ended_at=at)
    return replace(piece, terms=scaled(piece.terms, left))


def _given_back(period_end: int | None, refunds: Sequence[Refund]) -> int | None:
    """The end of what is paid for: a refund, once all of the service that ends then was given."""
    told = Fraction(0)
    for one in sorted(refunds, key=attrgetter("refunded_at")):
        if period_end is not None and one.refunded_at < period_end <= one.until_at:
            told += one.share
            if told >= 1:
                return one.refunded_at
    return period_end


def _scaled_price(price: Price, factor: Fraction) -> Price:
    amount = price.unit_amount
    tiers = tuple(
        replace(
            tier,
            unit_amount=tier.unit_amount * factor,
            flat_amount=tier.flat_amount * factor,
        )
        for tier in price.tiers
    )
    return replace(price, unit_amount=None if amount is None else amount * factor, tiers=tiers)


def _scaled_discounts(discounts: Iterable[Discount], factor: Fraction) -> tuple[Discount, ...]:
    return tuple(
        replace(one, amounts_off={word: off * factor for word, off in one.amounts_off.items()})
        for one in discounts
    )


# --- time ----------------------------------------------------------------------------------------


def _cut(state: SubscriptionState, edges: Sequence[int]) -> Iterator[SubscriptionState]:
    """A state in pieces, cut at the edges inside it."""
    inside = [
        edge
        for edge in edges
        if state.from_at < edge and (state.until_at is None or edge < state.until_at)
    ]
    bounds = [state.from_at, *inside, state.until_at]
    for start, end in pairwise(bounds):
        yield replace(state, from_at=start or state.from_at, until_at=end)


def _merged(pieces: Iterable[SubscriptionState]) -> list[SubscriptionState]:
    """Pieces in order, equal neighbours as one."""
    merged: list[SubscriptionState] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if last is not None and piece == replace(
            last, from_at=piece.from_at, until_at=piece.until_at
        ):
            merged[-1] = replace(last, until_at=piece.until_at)
        else:
            merged.append(piece)
    return merged
