"""The walk between two policies at one snapshot: what each switch adds for each customer. Pure.

Contract: docs/metrics.md, "Policy bridge".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.revenue.history import SubscriptionState
from growth_pipeline.revenue.policies import MrrPolicy
from growth_pipeline.revenue.spells import mrr_at, spells_of
from growth_pipeline.revenue.state_lake import Customer

ORDER: Final = (
    *("basis", "tz", "snapshot", "refunds", "churn_at", "trials", "past_due_grace_days"),
    *("pause_collection", "metered", "week_factor", "day_factor"),
    *("discounts", "customer_discounts", "level", "rounding", "rounding_places"),
)
"""Switches on which the MRR of a snapshot depends, in the order in which they are changed."""

Key = tuple[str, str, str]
"""Account id, customer id and currency."""
Seen = Callable[[Sequence[SubscriptionState], MrrPolicy], Sequence[SubscriptionState]]
Instant = Callable[[MrrPolicy], int]


@dataclass(frozen=True, slots=True)
class Step:
    """One switch that differs. Units: minor units by currency; `customers`: how many it moves."""

    switch: str
    before: Any
    after: Any
    amounts: Mapping[str, int]
    customers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CustomerWalk:
    """One customer and currency whose MRR differs. `moved`: switch -> minor units, never 0."""

    account_id: str
    customer_id: str
    currency: str
    start: int
    end: int
    moved: Mapping[str, int]


@dataclass(frozen=True)
class Bridge:
    """A whole walk. `start` + the steps = `end`, in each currency and for each customer.

    Units: minor units by currency. `unknown`: customers whose MRR cannot be known under one of the
    policies on the way; they are in no amount.
    """

    start: Mapping[str, int]
    end: Mapping[str, int]
    steps: tuple[Step, ...]
    customers: tuple[CustomerWalk, ...]
    unknown: tuple[Key, ...]

    def remainder(self) -> dict[str, int]:
        """What the steps leave unexplained, by currency; 0 in each."""
        return {
            currency: self.end.get(currency, 0)
            - self.start.get(currency, 0)
            - sum(step.amounts.get(currency, 0) for step in self.steps)
            for currency in sorted({*self.start, *self.end})
        }


def walk(
    customers: Iterable[tuple[Customer, Sequence[SubscriptionState]]],
    before: MrrPolicy,
    after: MrrPolicy,
    *,
    instant: Instant,
    seen: Seen = lambda states, _: states,
) -> Bridge:
    """What leads from one policy's MRR to the other's.

    `instant`: the Unix second at which a policy looks at the month. `seen`: the states as a policy
    sees them (its basis, its refunds). Shapes: steps in the fixed `ORDER`, also those that move
    nothing; customers as they come, those whose MRR differs somewhere on the way.
    Raises: GrowthError if anything is left over, which would be a fault of ours.
    """
    policies = path(before, after)
    switches = [switch for switch, _ in policies[1:]]
    start: dict[str, int] = defaultdict(int)
    end: dict[str, int] = defaultdict(int)
    amounts: dict[str, dict[str, int]] = {switch: defaultdict(int) for switch in switches}
    moved: dict[str, dict[str, int]] = {switch: defaultdict(int) for switch in switches}
    walks, unknown = [], []
    for _, states in customers:
        for key, values in _values(states, [*policies, ("", after)], instant, seen):
            known = [value for value in values if value is not None]
            if len(known) < len(values):
                unknown.append(key)
                continue
            if known[-1] != known[-2]:
                raise GrowthError(
                    f"the bridge of customer {key[1]} leaves {known[-1] - known[-2]} over",
                    remedy="report it with both policies; no figure of this run is right",
                )
            one = _customer(key, known[:-1], switches)
            start[key[2]] += one.start
            end[key[2]] += one.end
            for switch, change in one.moved.items():
                amounts[switch][key[2]] += change
                moved[switch][key[2]] += 1
            if one.moved:
                walks.append(one)
    steps = [
        Step(
            switch,
            getattr(before, switch),
            getattr(after, switch),
            dict(sorted(amounts[switch].items())),
            dict(sorted(moved[switch].items())),
        )
        for switch in switches
    ]
    return Bridge(
        dict(sorted(start.items())),
        dict(sorted(end.items())),
        tuple(steps),
        tuple(walks),
        tuple(unknown),
    )


def path(before: MrrPolicy, after: MrrPolicy) -> list[tuple[str, MrrPolicy]]:
    """The policies on the way: the first, then one more switch each; (switch, policy)."""
    found: list[tuple[str, MrrPolicy]] = [("", before)]
    differing = [switch for switch in ORDER if getattr(before, switch) != getattr(after, switch)]
    if "rounding_places" in differing and "rounding" in differing:
        # Places are refused without a mode of rounding, so both change as one.
        differing.remove("rounding_places")
    for switch in differing:
        changed = {switch: getattr(after, switch)}
        if switch == "rounding":
            changed["rounding_places"] = after.rounding_places
        found.append((switch, replace(found[-1][1], **changed)))
    return found


# --- inside --------------------------------------------------------------------------------------


def _values(
    states: Sequence[SubscriptionState],
    policies: Sequence[tuple[str, MrrPolicy]],
    instant: Instant,
    seen: Seen,
) -> list[tuple[Key, list[int | None]]]:
    """MRR of one customer by currency under each policy; 0 where it has none."""
    found = [
        mrr_at(spells_of(seen(states, policy), policy), instant(policy)) for _, policy in policies
    ]
    keys = sorted({key for one in found for key in one})
    return [(key, [one.get(key, 0) for one in found]) for key in keys]


def _customer(key: Key, values: Sequence[int], switches: Sequence[str]) -> CustomerWalk:
    changes = [after - before for before, after in pairwise(values)]
    moved = {
        switch: change for switch, change in zip(switches, changes, strict=True) if change != 0
    }
    return CustomerWalk(*key, start=values[0], end=values[-1], moved=moved)
