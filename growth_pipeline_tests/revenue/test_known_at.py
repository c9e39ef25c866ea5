"""What was known when: the ledger of a real Postgres read as of an instant, then and later."""

import random
from datetime import UTC, datetime, timedelta

import orjson

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.ledger import Fetched, apply_fetched
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.core.ids import Scope
from growth_pipeline.revenue.history_store import HistoryStore, news_since, settled_until
from growth_pipeline_tests.fakes.stripe_events import (
    NEW,
    NOON,
    a_customer,
    a_price,
    a_subscription,
    an_event,
)

DAY = 86_400
SCOPE = Scope("self", False)
TOLD = "customer.subscription.updated"


def at(day):
    return datetime.fromtimestamp(NOON + day * DAY, UTC)


def items_at(amount):
    found = a_subscription()["items"]
    priced = a_price(unit_amount=amount, unit_amount_decimal=str(amount))
    return {**found, "data": [{**one, "price": priced} for one in found["data"]]}


def a_discount(percent, start, **fields):
    coupon = {"id": f"co_{percent}", "object": "coupon", "created": NOON, "duration": "forever"}
    coupon |= {"percent_off": percent, "amount_off": None, "currency": None, "applies_to": None}
    found = {"id": f"di_{percent}_{start}", "object": "discount", "customer": "cus_1"}
    source = {"type": "coupon", "coupon": coupon}
    return found | {"start": start, "end": None, "source": source, **fields}


def store_events(database, *bodies, day):
    BillingStore(database).insert_events(
        [
            received_event(parse_envelope(body), body, account_id="self", received_at=at(day))
            for body in bodies
        ]
    )


def receive(database, *bodies, day):
    store_events(database, *bodies, day=day)
    apply_waiting(BillingStore(database), now=at(day))


def fetch(database, *found, day):
    states = [
        Fetched(
            ObjectKey(*SCOPE, one["object"], one["id"]),
            one,
            orjson.dumps(one),
            NEW,
            at(day) - timedelta(seconds=2),
            at(day) - timedelta(seconds=1),
        )
        for one in found
    ]
    apply_fetched(BillingStore(database), states, source="sweep", now=at(day))


def states(database, **options):
    return list(HistoryStore(database, SCOPE).read_states(**options))


def amounts(database, **options):
    """(day it begins, unit amount) of each state."""
    return [
        ((one.from_at - NOON) / DAY, one.terms.items[0].price.unit_amount)
        for one in states(database, **options)
    ]


def test_an_event_that_came_late_is_not_in_what_was_known_before(database):
    receive(database, an_event(TOLD, a_subscription(), id="evt_1", created=NOON), day=1)
    late = a_subscription(items=items_at(2000))
    receive(database, an_event(TOLD, late, id="evt_2", created=NOON + 3 * DAY), day=9)
    assert amounts(database, known_at=at(0)) == []
    assert amounts(database, known_at=at(1)) == [(0, 1000)]
    assert amounts(database, known_at=at(8)) == [(0, 1000)]
    assert amounts(database, known_at=at(9)) == [(0, 1000), (3, 2000)]


def test_an_event_that_waited_is_known_from_when_it_was_applied(database):
    receive(database, an_event(TOLD, a_subscription(), id="evt_1", created=NOON), day=1)
    late = a_subscription(items=items_at(2000))
    store_events(database, an_event(TOLD, late, id="evt_2", created=NOON + DAY), day=2)
    apply_waiting(BillingStore(database), now=at(5))
    assert amounts(database, known_at=at(4)) == [(0, 1000)]
    assert amounts(database, known_at=at(5)) == [(0, 1000), (1, 2000)]


def test_what_waits_bounds_what_is_settled_for_an_hour(database):
    assert settled_until(database, [SCOPE], at(3)) == at(3)
    store_events(database, an_event(TOLD, a_subscription(), id="evt_1", created=NOON), day=3)
    moments = timedelta(minutes=20)
    settled = settled_until(database, [SCOPE], at(3) + moments)
    assert settled == at(3) - timedelta(microseconds=1)
    # An event that was set aside long ago and is read again must not hide all that came since.
    assert settled_until(database, [SCOPE], at(9)) == at(9) - timedelta(hours=1)


def test_a_fetched_state_is_known_from_when_it_was_stored(database):
    fetch(database, a_subscription(), day=4)
    fetch(database, a_subscription(items=items_at(2000)), day=7)
    assert amounts(database, known_at=at(3)) == []
    assert {amount for _, amount in amounts(database, known_at=at(6))} == {1000}
    assert {amount for _, amount in amounts(database, known_at=at(7))} == {1000, 2000}


def test_a_customers_discount_that_came_or_went_later_was_not_known_before(database):
    given = a_customer(discount=a_discount(20, NOON))
    receive(database, an_event(TOLD, a_subscription(), id="evt_s", created=NOON), day=0)
    receive(database, an_event("customer.updated", a_customer(), id="evt_0", created=NOON), day=0)
    receive(
        database, an_event("customer.updated", given, id="evt_1", created=NOON + 2 * DAY), day=5
    )
    receive(
        database,
        an_event("customer.updated", a_customer(), id="evt_2", created=NOON + 6 * DAY),
        day=9,
    )

    def ends(known_at):
        found = states(database, known_at=known_at)[-1].terms.customer_discounts
        return [(one.percent_off, one.starts, one.ends) for one in found]

    assert ends(at(4)) == []
    assert ends(at(5)) == [(20, NOON, None)]
    assert ends(at(9)) == ends(None) == [(20, NOON, NOON + 6 * DAY)]


def test_what_was_known_at_an_instant_is_the_same_on_every_later_day(database, seed):
    rng = random.Random(seed)
    then = []
    for day in range(1, 26):
        number = rng.randrange(3)
        name, whose = f"sub_{number}", f"cus_{number % 2}"
        happened = day - rng.choice([0, 0, 1, 3])
        subscription = a_subscription(
            name,
            customer=whose,
            items=items_at(rng.choice([1000, 2000])),
            status=rng.choice(["active", "active", "past_due"]),
        )
        discount = a_discount(rng.choice([10, 50]), NOON + happened * DAY, id=f"di_{day}")
        customer = a_customer(whose, discount=rng.choice([None, discount]))
        match rng.randrange(4):
            case 0:
                event = an_event(TOLD, subscription, id=f"evt_{day}", created=NOON + happened * DAY)
                receive(database, event, day=day)
            case 1:
                event = an_event(
                    "customer.updated", customer, id=f"evt_{day}", created=NOON + happened * DAY
                )
                receive(database, event, day=day)
            case 2:
                fetch(database, subscription, day=day)
            case 3:
                fetch(database, customer, day=day)
        then.append((at(day), states(database)))
    for known_at, known in then:
        assert states(database, known_at=known_at) == known, (seed, known_at)


def test_news_name_the_customer_by_whichever_way_they_came(database):
    price = a_price("price_tiered", billing_scheme="tiered", unit_amount_decimal=None)
    item = {**a_subscription()["items"]["data"][0], "price": price}
    tiered = a_subscription("sub_2", customer="cus_2")
    tiered["items"] = {**tiered["items"], "data": [item]}
    bodies = [
        an_event(TOLD, one, id=f"evt_{one['id']}", created=NOON)
        for one in (a_subscription(), tiered, a_subscription("sub_3", customer="cus_3"))
    ]
    receive(database, *bodies, day=1)
    given = a_customer(discount=a_discount(20, NOON))
    receive(database, an_event("customer.updated", given, id="evt_c", created=NOON), day=1)

    def news(day):
        return sorted(customer for _, customer in news_since(database, [SCOPE], at(day)))

    assert news(0) == ["cus_1", "cus_2", "cus_3"]
    assert news(1) == []
    fetch(database, a_subscription("sub_3", customer="cus_3", items=items_at(2000)), day=3)
    assert news(2) == ["cus_3"]
    fetch(database, price, day=5)
    assert news(4) == ["cus_2"]
    fetch(database, a_discount(20, NOON)["source"]["coupon"], day=7)
    assert news(6) == ["cus_1"]
    # A re-list that shows what was known is no news.
    fetch(database, a_subscription("sub_3", customer="cus_3", items=items_at(2000)), day=8)
    assert news(7) == []
    deleted = a_discount(20, NOON, customer="cus_3", subscription="sub_3")
    body = an_event("customer.discount.deleted", deleted, id="evt_d", created=NOON + 8 * DAY)
    receive(database, body, day=9)
    assert news(8) == ["cus_3"]


def test_an_event_of_a_discount_that_was_set_aside_holds_nobody_up(database):
    receive(database, an_event(TOLD, a_subscription(), id="evt_s", created=NOON), day=1)
    odd = a_discount(20, NOON)
    odd["source"]["coupon"]["name"] = "zero \x00 byte"
    receive(database, an_event("customer.discount.created", odd, id="evt_d", created=NOON), day=2)
    assert news_since(database, [SCOPE], at(1)) == []
    (state,) = states(database)
    assert state.terms.customer_discounts == ()
