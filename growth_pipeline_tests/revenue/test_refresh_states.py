"""A refresh of states reads what is new; the result is that of reading everything."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.ids import Scope
from growth_pipeline.revenue.history_store import HistoryStore
from growth_pipeline.revenue.invariants import STATE_RULES
from growth_pipeline.revenue.publish import refresh_states
from growth_pipeline.revenue.state_lake import read_customers, read_marks, write_states
from growth_pipeline.revenue.state_rules import faults_of_states
from growth_pipeline_tests.fakes.stripe_events import NOON, a_customer, a_subscription, an_event
from growth_pipeline_tests.revenue.test_known_at import (
    SCOPE,
    TOLD,
    a_discount,
    at,
    fetch,
    items_at,
    receive,
    states,
    store_events,
)

DAY = 86_400


def everything(lake):
    return [state for _, held in read_customers(lake) for state in held]


def by_customer(found):
    return sorted(found, key=lambda one: (one.customer_id, one.subscription_id, one.from_at))


def happen(database, rng, day, number):
    """Something of one subscription or its customer is told, on its day or some days later."""
    happened = NOON + max(0, day - rng.randrange(4)) * DAY
    whose, name = f"cus_{number % 5}", f"evt_{day}_{number}"
    found = a_subscription(
        f"sub_{number}",
        customer=whose,
        items=items_at(rng.choice([1000, 2000])),
        status=rng.choice(["active", "past_due", "canceled"]),
    )
    discount = a_discount(rng.choice([10, 50]), happened, id=f"di_{name}", customer=whose)
    customer = a_customer(whose, discount=rng.choice([None, discount]))

    def tell(type, one, id=name, day=day):
        receive(database, an_event(type, one, id=id, created=happened), day=day)

    match rng.randrange(5):
        case 0:
            tell(TOLD, found)
        case 1:
            tell("customer.updated", customer)
        case 2:
            fetch(database, found, day=day)
        case 3:
            tell(TOLD, {**found, "discounts": [f"di_{name}"]})
            given = {**discount, "subscription": found["id"]}
            tell("customer.discount.created", given, id=f"{name}_d", day=day + 1)
        case 4:
            tell("customer.deleted", customer)


def test_news_bring_the_lake_to_what_reading_everything_gives(database, tmp_path, lake, seed):
    rng = random.Random(seed)
    for day in range(1, 16):
        for number in rng.sample(range(9), rng.randrange(1, 4)):
            happen(database, rng, day, number)
        if rng.random() < 0.7 and states(database):
            refresh_states(database, lake, [SCOPE], now=at(day))
    known_at = at(20)
    refresh_states(database, lake, [SCOPE], now=known_at)
    other = type(lake)(str(tmp_path / "other"))
    refresh_states(database, other, [SCOPE], now=known_at, anew=True)
    marks, anew = read_marks(lake), read_marks(other)
    assert (marks.sha256, marks.states, marks.known_at) == (anew.sha256, anew.states, known_at), (
        seed
    )
    assert faults_of_states(database, lake, [SCOPE]) == {rule: [] for rule in STATE_RULES}
    assert by_customer(everything(lake)) == by_customer(states(database)), seed


def test_a_refresh_reads_the_customers_with_news_and_no_other(database, lake):
    bodies = [
        an_event(TOLD, a_subscription(f"sub_{n}", customer=f"cus_{n}"), id=f"evt_{n}", created=NOON)
        for n in range(5)
    ]
    receive(database, *bodies, day=1)
    assert refresh_states(database, lake, [SCOPE], now=at(2)).customers is None
    changed = a_subscription("sub_3", customer="cus_3", items=items_at(2000))
    receive(database, an_event(TOLD, changed, id="evt_9", created=NOON + 3 * DAY), day=3)
    done = refresh_states(database, lake, [SCOPE], now=at(4))
    assert (done.customers, done.marks.states) == (1, 6)
    again = refresh_states(database, lake, [SCOPE], now=at(5))
    assert (again.customers, again.marks.sha256) == (0, done.marks.sha256)


def test_a_state_that_comes_back_after_another_is_news(database, tmp_path, lake):
    fetch(database, a_subscription(), day=1)
    receive(
        database, an_event(TOLD, a_subscription(items=items_at(2000)), created=NOON + DAY), day=1
    )
    for day in (3, 5, 7):
        fetch(database, a_subscription(items=items_at(1000 if day != 5 else 2000)), day=day)
        refresh_states(database, lake, [SCOPE], now=at(day))
        assert everything(lake) == states(database)
    begun = [(one.from_at - NOON) // DAY for one in everything(lake)]
    assert begun == [0, 0, 1, 2, 4, 6]


def test_states_say_what_was_known_when_they_were_read_and_nothing_that_waits(database, lake):
    receive(database, an_event(TOLD, a_subscription(), id="evt_1", created=NOON), day=1)
    late = a_subscription(items=items_at(2000))
    store_events(database, an_event(TOLD, late, id="evt_2", created=NOON + DAY), day=2)
    now = at(2) + timedelta(minutes=5)
    marks = refresh_states(database, lake, [SCOPE], now=now).marks
    assert marks.known_at < at(2)
    apply_waiting(BillingStore(database), now=now)
    assert everything(lake) == states(database, known_at=marks.known_at)
    marks = refresh_states(database, lake, [SCOPE], now=now + timedelta(minutes=1)).marks
    assert everything(lake) == states(database, known_at=marks.known_at) == states(database)
    assert len(everything(lake)) == 2


def test_accounts_are_read_side_by_side_and_news_of_one_leave_the_other(database, lake):
    scopes = [SCOPE, Scope("acct_2", False)]

    def tell(account, id, amount, day):
        body = an_event(
            TOLD, a_subscription(items=items_at(amount)), id=id, created=NOON + day * DAY
        )
        BillingStore(database).insert_events(
            [received_event(parse_envelope(body), body, account_id=account, received_at=at(day))]
        )
        apply_waiting(BillingStore(database), now=at(day))

    tell("self", "evt_1", 1000, 1)
    tell("acct_2", "evt_2", 3000, 1)
    refresh_states(database, lake, scopes, now=at(2))
    tell("acct_2", "evt_3", 4000, 3)
    assert refresh_states(database, lake, scopes, now=at(4)).customers == 1
    found = {
        key: [one.terms.items[0].price.unit_amount for one in held]
        for key, held in read_customers(lake)
    }
    # The first word is assumed back to the start.
    assert found == {("self", "cus_1"): [1000, 1000], ("acct_2", "cus_1"): [3000, 3000, 4000]}


@pytest.mark.parametrize("batch", [1, 2, 500])
def test_batches_of_any_size_read_the_same(database, batch):
    bodies = [
        an_event(TOLD, a_subscription(f"sub_{n}", customer=f"cus_{n % 3}"), id=f"evt_{n}")
        for n in range(7)
    ]
    receive(database, *bodies, day=1)
    found = [
        (one.customer_id, one.subscription_id)
        for one in HistoryStore(database, SCOPE).read_states(batch=batch)
    ]
    assert found == sorted((f"cus_{n % 3}", f"sub_{n}") for n in range(7))


def test_an_account_that_is_new_is_read_from_the_start(database, lake):
    receive(database, an_event(TOLD, a_subscription(), id="evt_1", created=NOON), day=1)
    other = an_event(TOLD, a_subscription("sub_2"), id="evt_2", created=NOON)
    BillingStore(database).insert_events(
        [received_event(parse_envelope(other), other, account_id="acct_2", received_at=at(1))]
    )
    apply_waiting(BillingStore(database), now=at(1))
    refresh_states(database, lake, [SCOPE], now=at(2))
    done = refresh_states(database, lake, [SCOPE, Scope("acct_2", False)], now=at(3))
    assert done.customers is None
    assert {one.account_id for one in everything(lake)} == {"self", "acct_2"}


def test_states_that_are_missing_overlap_or_leave_a_gap_are_found(database, lake):
    bodies = [
        an_event(TOLD, a_subscription(f"sub_{n}", customer=f"cus_{n}"), id=f"evt_{n}", created=NOON)
        for n in range(5)
    ]
    receive(database, *bodies, day=1)
    marks = refresh_states(database, lake, [SCOPE], now=at(2)).marks
    missing, overlap, gap, twice, whole = states(database)
    end = NOON + DAY
    told = [
        *(replace(overlap, until_at=end + 1), replace(overlap, from_at=end)),
        *(replace(gap, until_at=end - 1), replace(gap, from_at=end)),
        *(replace(twice, until_at=None), replace(twice, from_at=end)),
        *(replace(whole, until_at=end), replace(whole, from_at=end)),
    ]
    write_states(lake, told, as_of=marks.as_of, known_at=marks.known_at)
    assert faults_of_states(database, lake, [SCOPE]) == {
        "each_subscription_has_a_state": [f"self/{missing.subscription_id} has no state"],
        "states_follow_each_other": [
            f"self/{one.subscription_id} is broken at {NOON}" for one in (overlap, gap, twice)
        ],
    }
