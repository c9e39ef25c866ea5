"""MRR from invoices against a plain loop over what a whole company was told, every third day.

The loop reads the bodies of events as JSON: the last of each object is the object, the last of a
subscription before an instant is its state then.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import orjson
import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.recurring import mrr
from growth_pipeline.revenue.history import SubscriptionHistory
from growth_pipeline.revenue.history_store import HistoryStore
from growth_pipeline.revenue.invoice_basis import states_under
from growth_pipeline.revenue.invoice_store import InvoiceStore
from growth_pipeline.revenue.policies import PRESETS
from growth_pipeline.sandbox.company import Company, build
from growth_pipeline.sandbox.store import Store

DAY = 86_400
AS_OF = int(datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp())
POLICIES = {
    "as ChartMogul": PRESETS["chartmogul"],
    "refunds ignored": replace(PRESETS["chartmogul"], refunds="ignore"),
    "no discount": replace(PRESETS["chartmogul"], discounts="none"),
}
FACTORS = {
    "year": Fraction(1, 12),
    "month": Fraction(1),
    "week": Fraction(52, 12),
    "day": Fraction("365.2425") / 12,
}


@pytest.fixture(scope="module")
def told(tmp_path_factory, seed) -> list[dict]:
    """All events of a company, oldest first."""
    chosen = random.Random(seed).randrange(1, 10_000)
    store = Store(Path(tmp_path_factory.mktemp("company")) / "company.sqlite")
    build(Company(as_of=AS_OF, seed=chosen, customers=40, months=8), store)
    events = [orjson.loads(event.body) for event in store.events()]
    store.close()
    return events


def receive(database, told):
    store = BillingStore(database)
    now = datetime.fromtimestamp(AS_OF, UTC)
    bodies = [orjson.dumps(event) for event in told]
    store.insert_events(
        [
            received_event(parse_envelope(body), body, account_id="self", received_at=now)
            for body in bodies
        ]
    )
    apply_waiting(store, now=now)


class Loop:
    """What was billed, by plain reading."""

    def __init__(self, told):
        self.objects, self.subscriptions = defaultdict(dict), defaultdict(list)
        for event in told:
            found = event["data"]["object"]
            self.objects[found["object"]][found["id"]] = found
            if found["object"] == "subscription":
                self.subscriptions[found["id"]].append((event["created"], found))
        self.lines = defaultdict(list)
        for invoice in sorted(self.objects["invoice"].values(), key=lambda one: one["created"]):
            for line in invoice["lines"]["data"]:
                parent = line["parent"]["subscription_item_details"]
                if invoice["status"] != "void" and parent and not parent["proration"]:
                    self.lines[parent["subscription"]].append((invoice, line))

    def mrr(self, key, at, policy):
        """Value of a subscription a month; 0 while it does not count."""
        past = [state for created, state in self.subscriptions[key] if created <= at]
        if not past or past[-1]["status"] not in ("active", "past_due"):
            return Fraction(0)
        newest = {}
        for _, line in self.lines[key]:
            item = line["parent"]["subscription_item_details"]["subscription_item"]
            start = line["period"]["start"]
            if start <= at and (item not in newest or start >= newest[item]["period"]["start"]):
                newest[item] = line
        value = Fraction(0)
        for line in newest.values():
            recurring = self.objects["price"][line["pricing"]["price_details"]["price"]][
                "recurring"
            ]
            if at < line["period"]["end"] and recurring["usage_type"] == "licensed":
                off = sum(one["amount"] for one in line["discount_amounts"])
                net = line["amount"] - (off if policy.discounts == "all" else 0)
                value += net * FACTORS[recurring["interval"]] / recurring["interval_count"]
        back = self.given_back(key, at) if policy.refunds == "deduct" else Fraction(0)
        return value * max(Fraction(0), 1 - back)

    def given_back(self, key, at):
        """Share of the running service that was refunded by an instant."""
        share = Fraction(0)
        for refund in self.objects["refund"].values():
            if refund["status"] not in ("succeeded", "pending") or refund["created"] > at:
                continue
            charge = self.objects["charge"][refund["charge"]]
            for join in self.objects["invoice_payment"].values():
                if join["payment"].get("payment_intent") != charge["payment_intent"]:
                    continue
                invoice = self.objects["invoice"][join["invoice"]]
                ends = [
                    line["period"]["end"]
                    for one, line in self.lines[key]
                    if one["id"] == invoice["id"]
                ]
                if join["status"] == "paid" and ends and at < max(ends):
                    paid = Fraction(join["amount_paid"], invoice["total"])
                    share += Fraction(refund["amount"], charge["amount_captured"]) * paid
        return share


def test_mrr_from_invoices_is_what_a_loop_over_the_bills_says(database, told):
    receive(database, told)
    scope = Scope("self", False)
    states = list(HistoryStore(database, scope).read_states())
    loop = Loop(told)
    days = range(min(event["created"] for event in told) + 4_242, AS_OF, 3 * DAY)
    differing, counted = [], 0
    for name, policy in POLICIES.items():
        seen = states_under(states, policy, InvoiceStore(database, scope).read_facts(policy))
        history = SubscriptionHistory(seen)
        for at in days:
            live = {
                key: one for found in history.live_at(at).values() for key, one in found.items()
            }
            for key in loop.subscriptions:
                terms = live.get(key)
                said = Fraction(0) if terms is None else mrr(terms, at=at, terms=policy.terms)
                expected = loop.mrr(key, at, policy)
                counted += expected > 0
                if said != expected:
                    differing.append((name, key, at, said, expected))
    assert differing[:5] == []
    assert counted > 500
