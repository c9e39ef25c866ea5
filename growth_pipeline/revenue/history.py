"""States of subscriptions over time: which holds at an instant, and MRR of customers then. Pure.

Rows are plain values, never Stripe's JSON; who reads them from the mirror does not belong here.
Contract: docs/metrics.md, "MRR under a policy".
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.core.recurring import Subscription
from growth_pipeline.revenue.normalise import CustomerMrr, customer_mrr
from growth_pipeline.revenue.policies import MrrPolicy


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """Grain: one subscription while nothing about it changed.

    Instants in Unix seconds, `[from_at, until_at)`; `until_at` None: still so. `is_assumed`:
    nothing was told of this time; it follows from what was told first. `told_by`: the Stripe event
    that brought the state, or `fetch`. `reason`: Stripe's `cancellation_details.reason`.
    `canceled_at`: when a cancellation was asked for; `cancels_at`: for when it is set, None while
    none is; `ended_at`: when it ended; `period_end`: the end of what is paid for.
    """

    subscription_id: str
    customer_id: str
    from_at: int
    until_at: int | None
    terms: Subscription
    is_assumed: bool = False
    account_id: str = ""
    told_by: str = ""
    reason: str | None = None
    canceled_at: int | None = None
    cancels_at: int | None = None
    ended_at: int | None = None
    period_end: int | None = None


class SubscriptionHistory:
    """States of many subscriptions, asked by instant.

    Raises: UnknownValueError for two states of a subscription at one instant, one that ends before
    it begins, or a subscription of two customers.
    """

    def __init__(self, states: Iterable[SubscriptionState]) -> None:
        held: dict[str, list[SubscriptionState]] = defaultdict(list)
        for state in states:
            held[state.subscription_id].append(state)
        self._states = {key: sorted(held[key], key=attrgetter("from_at")) for key in sorted(held)}
        for key, rows in self._states.items():
            _check(key, rows)

    def live_at(self, at: int) -> dict[str, dict[str, Subscription]]:
        """Customer id -> subscription id -> what holds at an instant; in order of ids."""
        found: dict[str, dict[str, Subscription]] = defaultdict(dict)
        for key, rows in self._states.items():
            place = bisect_right(rows, at, key=attrgetter("from_at")) - 1
            if place >= 0 and (rows[place].until_at is None or at < (rows[place].until_at or 0)):
                found[rows[place].customer_id][key] = rows[place].terms
        return dict(sorted(found.items()))

    def customers_at(self, at: int, policy: MrrPolicy) -> list[CustomerMrr]:
        """MRR of each customer with a subscription at an instant, by currency; also those of 0.

        Shapes: in order of customer and currency. Raises: as `customer_mrr`.
        """
        return [
            one
            for customer, found in self.live_at(at).items()
            for one in customer_mrr(customer, found, at=at, policy=policy)
        ]


def _check(key: str, rows: list[SubscriptionState]) -> None:
    if len({row.customer_id for row in rows}) > 1:
        raise UnknownValueError(f"subscription {key} belongs to two customers")
    for row in rows:
        if row.until_at is not None and row.until_at < row.from_at:
            raise UnknownValueError(f"a state of subscription {key} ends before it begins")
    for row, following in pairwise(rows):
        if row.until_at is None or row.until_at > following.from_at:
            raise UnknownValueError(
                f"subscription {key} has two states at {following.from_at}",
                remedy="end each state where the next one begins",
            )
