"""Billing facts of a customer as spans of local days, from states of subscriptions. Pure.

A span of instants `[from, until)` is true at the end of the local days from that of `from` on, up
to that of `until`, as in the spells of MRR. Contract: docs/lifecycle.md, "Stages".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from operator import attrgetter
from typing import Final

from growth_pipeline.billing.subscription_history import ENDED
from growth_pipeline.lifecycle.facts import DaySpan
from growth_pipeline.revenue.history import SubscriptionState
from growth_pipeline.revenue.spells import Spell

KINDS: Final = ("paying", "past_due", "cancel_scheduled", "disputed", "paused", "trialing")
_OWES: Final = frozenset({"past_due", "unpaid"})


@dataclass(frozen=True, slots=True)
class Dispute:
    """One dispute that is no inquiry, from its creation until it was closed; None: open."""

    dispute_id: str
    created_at: datetime
    closed_at: datetime | None


def spans_of(
    states: Sequence[SubscriptionState],
    spells: Iterable[Spell],
    disputes: Iterable[Dispute],
    zone: tzinfo,
) -> dict[str, list[DaySpan]]:
    """Spans of one customer by kind, one for each subscription or dispute; ascending.

    `spells`: of the customer's subscriptions under the policy. A spell whose worth is unknown
    counts as paying: unknown is not zero.
    """
    pieces: dict[str, list[tuple[int, int | None, str]]] = {kind: [] for kind in KINDS}
    for spell in spells:
        if spell.minor is None or spell.minor > 0:
            pieces["paying"].append((spell.from_at, spell.until_at, spell.subscription_id))
    for state in states:
        for kind, start in _kinds_of(state):
            pieces[kind].append((start, state.until_at, state.subscription_id))
    for dispute in disputes:
        closed = None if dispute.closed_at is None else int(dispute.closed_at.timestamp())
        created = int(dispute.created_at.timestamp())
        pieces["disputed"].append((created, closed, dispute.dispute_id))
    return {kind: sorted(_joined(found, zone), key=_ORDER) for kind, found in pieces.items()}


_ORDER: Final = attrgetter("from_on", "why")


def _kinds_of(state: SubscriptionState) -> Iterator[tuple[str, int]]:
    """Kinds of facts that a state tells, and from when on."""
    terms = state.terms
    if terms.status in _OWES:
        yield "past_due", state.from_at
    if terms.status == "trialing":
        yield "trialing", state.from_at
    if terms.status == "paused" or terms.is_collection_paused:
        yield "paused", state.from_at
    if state.cancels_at is not None and terms.status not in ENDED:
        yield "cancel_scheduled", max(state.from_at, state.canceled_at or state.from_at)


def _joined(found: Iterable[tuple[int, int | None, str]], zone: tzinfo) -> Iterator[DaySpan]:
    """Pieces of one subscription that touch, as one span of days; what ends on its day is none."""
    held: tuple[int, int | None, str] | None = None
    for start, end, why in sorted(found, key=lambda one: (one[2], one[0])):
        if held and held[2] == why and (held[1] is None or start <= held[1]):
            ends = None if held[1] is None or end is None else max(held[1], end)
            held = (held[0], ends, why)
            continue
        yield from _as_days(held, zone)
        held = (start, end, why)
    yield from _as_days(held, zone)


def _as_days(piece: tuple[int, int | None, str] | None, zone: tzinfo) -> Iterator[DaySpan]:
    if piece is None:
        return
    start, end, why = piece
    first = _day(start, zone)
    until = None if end is None else _day(end, zone)
    if until is None or until > first:
        yield DaySpan(first, until, why)


def _day(second: int, zone: tzinfo) -> date:
    return datetime.fromtimestamp(second, UTC).astimezone(zone).date()
