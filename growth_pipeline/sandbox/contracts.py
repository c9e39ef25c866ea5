"""The truth about contracts: what each customer agreed to, from when on, in the company's words.

Written by the lives as things happen, next to Stripe's objects and not read off them. Grain of a
row: one thing that happened to one contract.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from growth_pipeline.sandbox.catalogue import PLANS, Plan
from growth_pipeline.sandbox.currencies import list_price

CONTRACT_COLUMNS = ("at", "customer_id", "contract_id", "what", "details")


class Happening(NamedTuple):
    """One thing that happened: when (epoch second), to whose contract, what, and its details.

    `what`: `began` (currency, items, until when a trial lasts), `items` (all of them, from now on),
    `state` (incomplete, trial, active, past_due, unpaid, paused, ended, with the reason of an end),
    `given` (a coupon: level item, contract or customer, until when), `taken` (a coupon, back),
    `collection` (paused or not), `cancels` (asked, and for when; null: taken back), `billed` (until
    when). A coupon of the customer has no contract.
    """

    at: int
    customer_id: str
    contract_id: str
    what: str
    details: dict[str, Any]


@dataclass
class Contracts:
    """What one customer agreed to; the lives of one customer share it."""

    happenings: list[Happening] = field(default_factory=list)

    def note(self, at: int, customer: str, contract: str, what: str, **details: Any) -> None:
        """Writes down one thing as it happens."""
        self.happenings.append(Happening(at, customer, contract, what, details))

    def rows(self) -> list[tuple[Any, ...]]:
        """One row for each thing, in order of time; columns as in `CONTRACT_COLUMNS`."""
        ordered = sorted(self.happenings, key=lambda one: one.at)
        return [(*one[:4], orjson.dumps(one.details).decode()) for one in ordered]


def price_of(plan: str, currency: str, plans: dict[str, Plan] = PLANS) -> dict[str, Any]:
    """What a plan costs in a currency, as the price list says it: minor units as decimal text."""
    found = plans[plan]
    return {
        "product": found.product,
        "interval": found.interval,
        "interval_count": found.interval_count,
        "unit": f"{list_price(found.unit, currency)}.{found.thousandths:03d}",
        "mode": found.tiers_mode,
        "tiers": [
            [tier.up_to, list_price(tier.unit, currency), list_price(tier.flat, currency)]
            for tier in found.tiers
        ],
        "divide_by": found.divide_by,
        "round_up": found.round_up,
        "metered": found.metered,
    }
