"""A Stripe that answers wrongly as often as it is told, of a company that is made from a seed.

Its lists are kept sorted, so that it stays fast with many objects. The truth is in `objects`;
nothing here is shared with the product.
"""

from __future__ import annotations

import json
import random
from bisect import bisect_left
from collections import Counter
from threading import Lock
from time import monotonic
from typing import Any

from growth_pipeline_tests.fakes import stripe_list_server as fake
from growth_pipeline_tests.fakes.stripe_list_server import Fault, Reply, Request, StripeListServer

START, END = 1_759_276_800, 1_761_955_200  # October 2025
LISTS = ("payment_intents", "refunds", "subscriptions")
_SURE_TIMES = 3  # some faults need a cursor, which a first page has not
_CROWD = 150  # objects in one second: more than a page holds

# Faults that pass: asked again, Stripe gives the right answer.
PASSING: dict[str, Fault] = {
    "429 with Retry-After": fake.status(
        429, Retry_After="0.05", Stripe_Rate_Limited_Reason="global-concurrency"
    ),
    "429 without Retry-After": fake.status(429, Stripe_Rate_Limited_Reason="endpoint-rate"),
    "500": fake.status(500),
    "503": fake.status(503),
    "timeout": fake.late(1.6),
    "connection ends": fake.drop,
    "body cut": fake.cut_body,
    "JSON cut short": fake.cut_json,
    "HTML with 200": fake.html,
    "empty page with has_more": fake.empty_with_more,
    "page repeated": fake.repeated_page,
    "object moved": fake.moved_object,
    "cursor object deleted": fake.deleted_cursor,
}
# Faults of the data itself: in every company.
OF_THE_DATA = ("more objects in a second than a page holds", "cancelled ones hidden by default")
# Faults that stay: the run must fail and say so.
LASTING = ("401 in the middle", "403 on one list")
KINDS = (*PASSING, *OF_THE_DATA, *LASTING)


class HostileStripe(StripeListServer):
    """Every n-th answer is faulty, of a kind drawn by `seed`; the first are of kind `surely`."""

    def __init__(self, seed: int, count: int, *, faulty_every: int = 0, surely: str = "") -> None:
        super().__init__()
        self.kinds: Counter[str] = Counter()
        self.truth_at_start = company(seed, count)
        self.objects = {name: list(found) for name, found in self.truth_at_start.items()}
        self._random = random.Random(seed)
        self._guard = Lock()
        self._faulty_every = faulty_every
        self._surely = surely
        self._seconds: dict[str, list[int]] = {}

    def answer(self, request: Request) -> Reply:
        """The truth, or a fault by the plan."""
        with self._guard:
            kind = self._kind(request)
            if kind:
                self.kinds[kind] += 1
            return self._faulty(kind, request) if kind else self.truth(request)

    def _kind(self, request: Request) -> str:
        if self._surely == "403 on one list" and request.resource == "refunds":
            return self._surely
        if self._surely == "401 in the middle" and len(self.requests) > 10:
            return self._surely
        if not self._faulty_every or len(self.requests) % self._faulty_every:
            return ""
        if self._surely in PASSING and self.kinds[self._surely] < _SURE_TIMES:
            return self._surely
        return self._random.choice(list(PASSING))

    def _faulty(self, kind: str, request: Request) -> Reply:
        if kind == "401 in the middle":
            return fake.error(401, "Expired API Key provided")
        if kind == "403 on one list":
            return fake.error(403, "Having the 'rak_refund_read' permission would allow this.")
        return PASSING[kind](self, request)

    def _listed(self, resource: str, params: dict[str, str]) -> list[dict[str, Any]]:
        objects = self.objects[resource]  # newest first
        if resource == "subscriptions" and params.get("status") != "all":
            objects = [found for found in objects if found["status"] != "canceled"]
        newest = bisect_left(objects, 1 - int(params.get("created[lt]", END)), key=_age)
        oldest = bisect_left(objects, 1 - int(params.get("created[gte]", START)), key=_age)
        return objects[newest:oldest]


class LimitedStripe(HostileStripe):
    """Answers truly, but refuses what is over its limits; a second's worth may come at once."""

    def __init__(self, seed: int, count: int, *, account: float, endpoint: float) -> None:
        super().__init__(seed, count)
        self._buckets = {"": _Bucket(account)} | {name: _Bucket(endpoint) for name in LISTS}

    def answer(self, request: Request) -> Reply:
        """The truth, or a 429 with its reason."""
        with self._guard:
            for name, reason in ((request.resource, "endpoint-rate"), ("", "global-rate")):
                if not self._buckets[name].take():
                    self.kinds[reason] += 1
                    return fake.status(429, Stripe_Rate_Limited_Reason=reason)(self, request)
            return self.truth(request)


class _Bucket:
    def __init__(self, rate: float) -> None:
        self.rate = self.tokens = rate
        self.at = monotonic()

    def take(self) -> bool:
        now = monotonic()
        self.tokens = min(self.rate, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


def _age(found: dict[str, Any]) -> int:
    return -int(found["created"])


def company(seed: int, count: int) -> dict[str, list[dict[str, Any]]]:
    """About `count` objects in three lists, newest first; many share a second."""
    draw = random.Random(seed)
    share = {"payment_intents": count // 2, "refunds": count // 4, "subscriptions": count // 4}
    return {name: _list(draw, name, number) for name, number in share.items()}


def _list(draw: random.Random, name: str, number: int) -> list[dict[str, Any]]:
    crowded = draw.randrange(START, END)
    seconds = [crowded] * min(_CROWD, number // 3)
    while len(seconds) < number:
        if draw.random() < 0.1:
            seconds += [seconds[-1]] * 3
        seconds.append(int(START + (END - START) * draw.betavariate(2, 1)))
    seconds = [min(second, END - 1) for second in seconds[:number]]
    made = [_MAKE[name](draw, n, second) for n, second in enumerate(seconds)]
    return sorted(made, key=lambda found: -found["created"])


def _payment_intent(draw: random.Random, n: int, created: int) -> dict[str, Any]:
    return {
        "id": f"pi_{n:06d}",
        "object": "payment_intent",
        "amount": draw.randrange(50, 90_000),
        "amount_received": 0,
        "canceled_at": None,
        "cancellation_reason": None,
        "created": created,
        "currency": draw.choice(["usd", "eur", "jpy"]),
        "customer": f"cus_{n % 97}",
        "description": "x" * draw.randrange(40),
        "latest_charge": None,
        "livemode": False,
        "status": "requires_payment_method",
    }


def _refund(draw: random.Random, n: int, created: int) -> dict[str, Any]:
    return {
        "id": f"re_{n:06d}",
        "object": "refund",
        "amount": draw.randrange(50, 9_000),
        "balance_transaction": f"txn_{n}",
        "charge": f"ch_{n}",
        "created": created,
        "currency": "usd",
        "metadata": {},
        "payment_intent": f"pi_{n:06d}",
        "reason": None,
        "status": "succeeded",
    }


def _subscription(draw: random.Random, n: int, created: int) -> dict[str, Any]:
    item = {"id": f"si_{n:06d}", "object": "subscription_item", "quantity": draw.randrange(1, 9)}
    items = {"object": "list", "data": [item], "has_more": False, "url": "/v1/subscription_items"}
    return {
        "id": f"sub_{n:06d}",
        "object": "subscription",
        "cancel_at_period_end": False,
        "created": created,
        "currency": "usd",
        "customer": f"cus_{n % 97}",
        "items": items,
        "livemode": False,
        "start_date": created,
        "status": draw.choice(["active", "canceled", "past_due"]),
    }


_MAKE = {
    "payment_intents": _payment_intent,
    "refunds": _refund,
    "subscriptions": _subscription,
}


def differences(
    server: HostileStripe, name: str, rows: list[dict[str, Any]]
) -> dict[str, list[str]]:
    """Missing, extra, doubled and wrong objects of one extracted list.

    What was deleted while it was listed may be there or not.
    """
    truth = {found["id"]: found for found in server.truth_at_start[name]}
    left = {found["id"] for found in server.objects[name]}
    seen = Counter(row["id"] for row in rows)
    return {
        "missing": sorted(left - set(seen)),
        "extra": sorted(set(seen) - set(truth)),
        "doubled": sorted(id for id, times in seen.items() if times > 1),
        "wrong": [row["id"] for row in rows if json.loads(row["raw"]) != truth.get(row["id"])],
    }
