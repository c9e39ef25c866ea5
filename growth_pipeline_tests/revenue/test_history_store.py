"""MRR from the ledger of a real Postgres: events come in, history is read back."""

from datetime import UTC, datetime

import orjson

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.ledger import Fetched, apply_fetched
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.core.ids import Scope
from growth_pipeline.revenue.history import SubscriptionHistory
from growth_pipeline.revenue.history_store import HistoryStore
from growth_pipeline.revenue.policies import PRESETS
from growth_pipeline_tests.fakes.stripe_events import (
    NEW,
    NOON,
    NOW,
    a_customer,
    a_price,
    a_subscription,
    an_event,
)

DAY = 86_400
TOLD = "customer.subscription.updated"


def items_at(amount):
    found = a_subscription()["items"]
    priced = a_price(unit_amount=amount, unit_amount_decimal=str(amount))
    return {**found, "data": [{**one, "price": priced} for one in found["data"]]}


def a_coupon(percent, **fields):
    coupon = {"id": "co_1", "object": "coupon", "created": NOON, "duration": "forever"}
    return coupon | {"percent_off": percent, "amount_off": None, "currency": None, **fields}


def a_discount(coupon, **fields):
    return {
        "id": "di_1",
        "object": "discount",
        "customer": "cus_1",
        "start": NOON,
        "end": None,
        "source": {"type": "coupon", "coupon": coupon},
        **fields,
    }


def receive(database, *bodies):
    store = BillingStore(database)
    store.insert_events(
        [
            received_event(parse_envelope(body), body, account_id="self", received_at=NOW)
            for body in bodies
        ]
    )
    apply_waiting(store, now=NOW)


def test_mrr_of_each_day_follows_the_events_and_not_the_state_of_now(database):
    steps = [
        (0, {}),
        (10, {"items": items_at(2500)}),
        (20, {"items": items_at(2500), "status": "past_due"}),
        (60, {"items": items_at(2500), "status": "canceled", "ended_at": NOON + 60 * DAY}),
    ]
    events = [
        an_event(TOLD, a_subscription(**more), id=f"evt_{day}", created=NOON + day * DAY)
        for day, more in steps
    ]
    other = a_subscription("sub_2", customer="cus_2")
    receive(database, *reversed(events), an_event(TOLD, other, id="evt_other"))
    history = SubscriptionHistory(HistoryStore(database, Scope("self", False)).read_states(batch=1))
    days = {}
    for day in (-1, 0, 9, 10, 19, 20, 49, 50, 60, 90):
        found = history.customers_at(NOON + day * DAY, PRESETS["growth"])
        days[day] = {one.customer_id: one.minor for one in found if one.minor}
    # 25.00 is past due from day 20 and counts for 30 days.
    assert days == {
        -1: {},
        **{day: {"cus_1": 1000, "cus_2": 1000} for day in (0, 9)},
        **{day: {"cus_1": 2500, "cus_2": 1000} for day in (10, 19, 20, 49)},
        **{day: {"cus_2": 1000} for day in (50, 60, 90)},
    }
    stripe = history.customers_at(NOON + 55 * DAY, PRESETS["stripe"])
    assert [one.minor for one in stripe] == [2500, 1000]


def test_another_account_or_mode_is_not_read(database):
    receive(database, an_event(TOLD, a_subscription()))
    assert list(HistoryStore(database, Scope("self", True)).read_states()) == []
    assert list(HistoryStore(database, Scope("acct_2", False)).read_states()) == []


def mrr_by_day(database, days):
    history = SubscriptionHistory(HistoryStore(database, Scope("self", False)).read_states())
    return [
        one.minor
        for day in days
        for one in history.customers_at(NOON + day * DAY, PRESETS["growth"])
    ]


def test_a_discount_that_is_told_by_its_id_is_found_in_the_catalogue(database):
    coupon = a_coupon(20, duration="repeating", duration_in_months=1)
    discount = a_discount("co_1", end=NOON + 30 * DAY)
    receive(
        database,
        an_event("coupon.created", coupon, id="evt_coupon"),
        an_event("customer.updated", a_customer(discount=discount), id="evt_customer"),
        an_event(TOLD, a_subscription(), id="evt_sub"),
    )
    # 10.00 less 20 %, up to the end of the customer's discount.
    assert mrr_by_day(database, (0, 29, 30)) == [800, 800, 1000]


def test_a_discount_whose_coupon_nobody_told_leaves_mrr_unknown(database):
    receive(database, an_event(TOLD, a_subscription(discounts=["di_unheard"])))
    assert mrr_by_day(database, (0,)) == [None]


def test_a_discount_named_by_id_is_told_by_its_own_event_also_when_it_is_long_over(database):
    coupon = a_coupon(20, duration="repeating", duration_in_months=1)
    gone = a_discount("co_1", end=NOON + 30 * DAY, subscription="sub_1")
    receive(
        database,
        an_event("coupon.created", coupon, id="evt_coupon"),
        an_event(TOLD, a_subscription(discounts=["di_1"]), id="evt_sub"),
    )
    assert mrr_by_day(database, (0,)) == [None]
    receive(database, an_event("customer.discount.created", gone, id="evt_discount"))
    assert mrr_by_day(database, (0, 29, 30)) == [800, 800, 1000]


def test_a_discount_of_a_customer_that_was_taken_away_ended_when_its_event_says(database):
    coupon = a_coupon(20)
    receive(
        database,
        an_event("customer.created", a_customer(), id="evt_customer"),
        an_event(TOLD, a_subscription(), id="evt_sub"),
        an_event("customer.discount.created", a_discount(coupon), id="evt_given"),
        an_event(
            "customer.discount.deleted",
            a_discount(coupon),
            id="evt_taken",
            created=NOON + 10 * DAY,
        ),
    )
    assert mrr_by_day(database, (0, 9, 10)) == [800, 800, 1000]


def test_a_coupon_that_is_told_inside_its_discount_only_is_known(database):
    customer = a_customer(discount=a_discount(a_coupon(30)))
    receive(
        database,
        an_event("customer.updated", customer, id="evt_customer"),
        an_event(TOLD, a_subscription(), id="evt_sub"),
    )
    assert mrr_by_day(database, (0,)) == [700]


def test_stripe_bills_the_discount_of_the_subscription_in_place_of_the_customers(database):
    own = a_discount(a_coupon(10, id="co_2"), id="di_2", subscription="sub_1")
    receive(
        database,
        an_event("customer.updated", a_customer(discount=a_discount(a_coupon(20))), id="evt_c"),
        an_event(TOLD, a_subscription(discounts=[own]), id="evt_sub"),
    )
    history = SubscriptionHistory(HistoryStore(database, Scope("self", False)).read_states())
    policies = [
        PRESETS["growth"],
        PRESETS["growth"].with_switches({"customer_discounts": "instead"}),
    ]
    found = [history.customers_at(NOON, policy)[0].minor for policy in policies]
    # 10.00 less 10 %, then less 20 %; or less 10 % alone.
    assert found == [720, 900]


def test_a_subscription_of_a_deleted_customer_keeps_its_past_and_ends_when_it_says(database):
    ended = {"status": "canceled", "ended_at": NOON + 10 * DAY}
    receive(
        database,
        an_event("customer.created", a_customer(), id="evt_customer"),
        an_event(TOLD, a_subscription(), id="evt_sub"),
        an_event(
            "customer.subscription.deleted",
            a_subscription(**ended),
            id="evt_end",
            created=NOON + 10 * DAY,
        ),
        an_event("customer.deleted", a_customer(), id="evt_gone", created=NOON + 10 * DAY),
    )
    assert mrr_by_day(database, (0, 9, 10)) == [1000, 1000, 0]


def test_a_subscription_that_nobody_told_of_but_a_backfill_is_known_from_its_start(database):
    found = a_subscription(trial_start=NOON, trial_end=NOON + 14 * DAY)
    body = orjson.dumps(found)
    asked = datetime.fromtimestamp(NOON + 40 * DAY, UTC)
    key = ObjectKey("self", False, "subscription", "sub_1")
    state = Fetched(key, found, body, NEW, asked, asked)
    apply_fetched(BillingStore(database), [state], source="backfill", now=asked)
    assert mrr_by_day(database, (-1, 0, 13, 14, 40)) == [0, 0, 1000, 1000]


def test_what_a_schedule_plans_counts_when_it_happens(database):
    planned = {
        "id": "sub_sched_1",
        "object": "subscription_schedule",
        "created": NOON,
        "customer": "cus_1",
        "status": "active",
        "subscription": "sub_1",
        "phases": [{"start_date": NOON + 10 * DAY, "items": [{"price": "price_9"}]}],
    }
    changed = a_subscription(schedule="sub_sched_1", items=items_at(4000))
    receive(
        database,
        an_event(TOLD, a_subscription(schedule="sub_sched_1"), id="evt_sub"),
        an_event("subscription_schedule.created", planned, id="evt_plan"),
        an_event(TOLD, changed, id="evt_phase", created=NOON + 10 * DAY),
    )
    assert mrr_by_day(database, (0, 9, 10)) == [1000, 1000, 4000]
