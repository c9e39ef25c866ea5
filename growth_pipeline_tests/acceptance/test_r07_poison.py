"""R07: poison is set aside with a reason, its neighbours do not notice, and it can be replayed."""

import random
import time

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline_tests.fakes.stripe_events import (
    NOW,
    a_charge,
    a_customer,
    a_subscription,
    an_event,
)

EVENTS = 2000


def poison(number):
    """One of the kinds of poison, by number."""
    id_ = f"evt_poison_{number:04}"
    customer = a_customer(f"cus_poison_{number}", mark=1)
    body = an_event("customer.updated", customer, id=id_)
    kinds = [
        body.replace(b'"mark":1', rb'"m":"\u0000"'),
        body.replace(b'"mark":1', rb'"m":"\udfff"'),
        body.replace(b'"mark":1', b'"m":' + b"8" * 40),
        an_event("wormhole.opened", {"id": "wh_1", "object": "wormhole"}, id=id_),
        an_event("charge.succeeded", a_charge(f"ch_{number}"), id=id_, version="2031-04-01.zinnia"),
        an_event("charge.succeeded", a_charge(f"ch_{number}", amount_captured=2**63), id=id_),
        an_event(
            "customer.subscription.updated",
            a_subscription(f"sub_{number}", items={"data": [{}]}),
            id=id_,
        ),
        body,  # refused by the table below until that is repaired
    ]
    return kinds[number % len(kinds)]


def receive(store, bodies):
    store.insert_events(
        [
            received_event(parse_envelope(body), body, account_id="self", received_at=NOW)
            for body in bodies
        ]
    )


def test_one_percent_of_poison_leaves_the_rest_alone(database, seed, acceptance_line):
    store = BillingStore(database)
    violations = []
    good = [
        an_event(
            "customer.created", a_customer(f"cus_{n}", metadata={"k": "x" * 1000}), id=f"evt_{n:05}"
        )
        for n in range(EVENTS)
    ]
    bad = [poison(number) for number in range(EVENTS // 100)]
    large = an_event(
        "customer.created", a_customer("cus_large", metadata={"k": "x" * 1_000_000}), id="evt_large"
    )
    with database.connection() as connection:
        connection.execute(
            "alter table stripe.customers add constraint broken check (id not like 'cus_poison_%') not valid"
        )
    began = time.perf_counter()
    receive(store, good[: EVENTS // 2])
    first = apply_waiting(store, now=NOW)
    clean = time.perf_counter() - began
    mixed = [*good[EVENTS // 2 :], *bad, large]
    random.Random(seed).shuffle(mixed)
    began = time.perf_counter()
    receive(store, mixed)
    second = apply_waiting(store, now=NOW)
    dirty = time.perf_counter() - began
    if first.applied + second.applied != EVENTS + 1 or second.quarantined != len(bad):
        violations.append(f"{first} {second}")
    with database.connection() as connection:
        kept = connection.execute(
            "select body, reason from billing.inbox where state = 'quarantined'"
        ).fetchall()
        connection.execute("alter table stripe.customers drop constraint broken")
    if sorted(body for body, _ in kept) != sorted(bad):
        violations.append("quarantined bytes differ from the received ones")
    if any(not reason or ":" not in reason for _, reason in kept):
        violations.append("a reason is missing")
    waiting_repair = sum(1 for _, reason in kept if reason.startswith("refused_by_database"))
    replayed = store.replay()
    third = apply_waiting(store, now=NOW)
    if replayed != len(bad) or third.applied != waiting_repair:
        violations.append(f"replay: {third}, {waiting_repair} could be repaired")
    acceptance_line(
        "R07",
        violations=violations,
        load={
            "events": EVENTS,
            "poison": len(bad),
            "kinds": sorted({r.partition(":")[0] for _, r in kept}),
        },
        seconds={"clean half": round(clean, 2), "half with poison": round(dirty, 2)},
    )
