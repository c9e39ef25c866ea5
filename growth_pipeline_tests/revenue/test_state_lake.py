"""States in the lake: what was written is what is read, whole, in parts, and while others write."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from growth_pipeline.core.recurring import Discount, Item, Price, Subscription, Tier
from growth_pipeline.revenue.history import SubscriptionState
from growth_pipeline.revenue.state_lake import (
    BUCKETS,
    bucket_of,
    manifests_of,
    read_customers,
    read_marks,
    write_states,
)

AS_OF = datetime(2031, 3, 1, tzinfo=UTC)
KNOWN_AT = datetime(2031, 3, 1, 6, 30, tzinfo=UTC)


def discounts(rng):
    percent = Discount("forever", percent_off=Fraction(rng.randrange(1, 100), 3))
    amount = Discount(
        *("repeating", None, {"usd": 500, "jpy": 700}),
        starts=rng.randrange(100),
        ends=200,
        products=frozenset({"prod_2", "prod_1"}),
    )
    return tuple(rng.sample([percent, amount, Discount("once", starts=3)], rng.randrange(4)))


def an_item(rng, id):
    tiers = (Tier(10, Fraction(5)), Tier(None, Fraction(1, 7), Fraction(900)))
    price = rng.choice(
        [
            Price("price_1", "usd", "prod_1", "month", 1, Fraction("1000.5")),
            Price("price_2", "usd", None, "year", 2, None, mode="graduated", tiers=tiers),
            Price("price_3", "usd", interval="week", unit_amount=None, is_metered=True),
            Price("price_4", "usd", interval="day", unit_amount=Fraction(1, 3), divide_by=9),
        ]
    )
    free_until = rng.choice([None, 77])
    return Item(id, price, rng.choice([None, 0, 7]), discounts(rng), free_until)


def a_state(rng, customer, subscription, start, end):
    terms = Subscription(
        status=rng.choice(["active", "past_due", "canceled"]),
        currency="usd",
        items=tuple(an_item(rng, f"si_{n}_{subscription}") for n in range(rng.randrange(4))),
        discounts=discounts(rng),
        customer_discounts=discounts(rng),
        is_collection_paused=rng.random() < 0.5,
        past_due_since=rng.choice([None, 12]),
    )
    return SubscriptionState(
        *(subscription, customer, start, end, terms, rng.random() < 0.5, "self"),
        told_by=rng.choice(["evt_1", "fetch"]),
        reason=rng.choice([None, "payment_failed"]),
        canceled_at=rng.choice([None, 11]),
        cancels_at=rng.choice([None, 22]),
        ended_at=rng.choice([None, 33]),
        period_end=rng.choice([None, 44]),
    )


def a_company(rng, customers):
    """States by customer, in the order in which they are read."""
    found = {}
    for customer in customers:
        states = []
        for number in range(rng.randrange(1, 4)):
            edges = sorted(rng.sample(range(1000), rng.randrange(1, 5)))
            ends = [*edges[1:], None]
            states += [
                a_state(rng, customer, f"sub_{customer}_{number}", start, end)
                for start, end in zip(edges, ends, strict=True)
            ]
        found["self", customer] = states
    return found


def everything(company):
    return [state for states in company.values() for state in states]


def write(lake, states, **options):
    return write_states(lake, states, as_of=AS_OF, known_at=KNOWN_AT, **options)


def test_nothing_was_read_before_the_first_states_were_written(lake):
    assert read_marks(lake) is None
    assert list(read_customers(lake)) == []


def test_what_is_written_is_read_back_by_customer(lake, seed):
    rng = random.Random(seed)
    company = a_company(rng, [f"cus_{number}" for number in range(60)])
    marks = write(lake, rng.sample(everything(company), len(everything(company))))
    assert dict(read_customers(lake)) == company
    assert read_marks(lake) == marks
    assert (marks.as_of, marks.known_at) == (AS_OF, KNOWN_AT)
    assert marks.states == len(everything(company))
    some = [("self", "cus_7"), ("self", "cus_31"), ("self", "cus_unknown"), ("other", "cus_8")]
    assert dict(read_customers(lake, some)) == {key: company[key] for key in some[:2]}
    assert list(read_customers(lake, [])) == []


def test_news_of_some_leave_the_same_files_as_writing_all(tmp_path, lake, seed):
    rng = random.Random(seed)
    names = [f"cus_{number}" for number in range(40)]
    company = a_company(rng, names)
    write(lake, everything(company))
    for _ in range(4):
        changed = rng.sample(names, rng.randrange(6))
        gone = {("self", name) for name in changed[:1]}
        told = a_company(rng, changed[1:])
        company = {key: told.get(key, held) for key, held in company.items() if key not in gone}
        company |= told
        marks = write(lake, everything(told), changed={*told, *gone})
    other = type(lake)(str(tmp_path / "other"))
    assert write(other, everything(company)) == marks
    assert dict(read_customers(lake)) == dict(read_customers(other)) == company


def test_the_hash_tells_states_apart_and_not_the_order_in_which_they_came(tmp_path, lake, seed):
    rng = random.Random(seed)
    states = everything(a_company(rng, ["cus_1", "cus_2", "cus_3"]))

    def hash_of(told):
        return write(type(lake)(str(tmp_path / str(rng.random()))), told).sha256

    expected = hash_of(states)
    assert hash_of(rng.sample(states, len(states))) == expected
    place = rng.randrange(len(states))
    other = replace(states[place], period_end=(states[place].period_end or 0) + 1)
    assert hash_of([*states[:place], other, *states[place + 1 :]]) != expected


def test_a_writer_that_dies_between_two_buckets_leaves_what_was_sealed_before(lake, seed):
    rng = random.Random(seed)
    company = a_company(rng, [f"cus_{number}" for number in range(60)])
    before = write(lake, everything(company))
    files = {one.partition["bucket"]: one.path for one in manifests_of(lake)}

    class Killed(Exception):
        pass

    class DyingLake(type(lake)):
        written = 0

        def write_partition(self, *told, **named):
            self.written += 1
            if self.written > BUCKETS // 2:
                raise Killed
            return super().write_partition(*told, **named)

    with pytest.raises(Killed):
        write(DyingLake(lake.url), everything(a_company(rng, ["cus_1", "cus_2"])))
    assert read_marks(lake) == before
    assert {one.partition["bucket"]: one.path for one in manifests_of(lake)} == files
    assert dict(read_customers(lake)) == company


def test_customers_are_spread_over_the_buckets():
    held = [0] * BUCKETS
    for number in range(32_000):
        held[bucket_of("self", f"cus_{number}")] += 1
    assert min(held) > 800
    assert max(held) < 1200


def test_equal_terms_of_different_subscriptions_are_one_text(lake):
    price = Price("price_1", "usd", "prod_1", "month", 1, Fraction(1000))
    states = [
        SubscriptionState(
            f"sub_{n}", "cus_1", 0, None, Subscription("active", "usd", (Item(f"si_{n}", price),))
        )
        for n in range(5)
    ]
    write(lake, states)
    (texts,) = [
        frame["terms"].to_list() for frame in map(lake.read, manifests_of(lake)) if frame.height
    ]
    assert len(texts) == 5
    assert len(set(texts)) == 1
