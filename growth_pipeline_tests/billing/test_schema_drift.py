"""The sentinel of moved fields: what a sudden fall is, and what is chance or habit."""

import random
import typing
from math import comb

import pytest
import stripe

from growth_pipeline.billing.schema_drift import (
    FillRate,
    StatusCount,
    find_falls,
    unknown_statuses,
)

OLD, NEW = "2026-06-24.dahlia", "2026-10-28.endive"


def days(first, last, objects, filled, version=OLD, field="customer"):
    """One row a day, from `first` to `last` days ago."""
    return [
        FillRate("charges", field, version, day, objects, filled) for day in range(first, last + 1)
    ]


def test_a_field_that_a_new_version_no_longer_fills_is_found_on_its_first_day():
    rates = [*days(1, 34, 20, 19), *days(0, 0, 20, 0, version=NEW)]
    (fall,) = find_falls(rates)
    assert (fall.resource, fall.field, fall.api_version, fall.days) == (
        "charges",
        "customer",
        NEW,
        1,
    )
    assert str(fall) == (
        "charges.customer: 95% filled before, 0% of 20 objects in 2026-10-28.endive in 1 d"
    )


def test_a_small_company_is_told_within_a_week():
    rates = [*days(7, 34, 1, 1), *days(0, 5, 1, 0, version=NEW)]
    (fall,) = find_falls(rates)
    assert (fall.days, fall.objects) == (7, 6)


def test_objects_of_the_old_version_beside_the_new_one_do_not_hide_the_fall():
    rates = [*days(0, 34, 500, 490), *days(0, 1, 30, 0, version=NEW)]
    assert [(fall.api_version, fall.field) for fall in find_falls(rates)] == [(NEW, "customer")]


def test_a_fall_without_a_new_version_is_found_too():
    rates = [*days(2, 34, 50, 48), *days(0, 1, 50, 3)]
    assert [fall.api_version for fall in find_falls(rates)] == [OLD]


def test_each_field_of_each_version_is_told_once():
    rates = [
        *days(7, 34, 50, 48),
        *days(7, 34, 50, 48, field="payment_intent"),
        *days(0, 6, 50, 0),
        *days(0, 6, 50, 0, field="payment_intent"),
    ]
    assert [fall.field for fall in find_falls(rates)] == ["customer", "payment_intent"]


@pytest.mark.parametrize(
    "rates",
    [
        [],
        days(0, 6, 50, 0),  # nothing older to judge by
        [*days(7, 34, 1, 1)[:19], *days(0, 6, 50, 0)],  # too little of it
        days(7, 34, 50, 48),  # nothing new
        days(0, 34, 50, 0),  # never filled
        [*days(7, 34, 50, 48), *days(0, 0, 5, 0)],  # five objects prove nothing
        [*days(7, 34, 50, 48), *days(0, 6, 50, 30)],  # a habit that changes, no moved field
        [*days(7, 34, 50, 5), *days(0, 0, 20, 0)],  # seldom filled before
    ],
)
def test_nothing_is_told_where_nothing_is_proven(rates):
    assert find_falls(rates) == []


def test_chance_alone_is_hardly_ever_taken_for_a_fall(seed):
    """A chance of 1e-6 in each of 4 windows of 2,000 companies: three falls in one run of 10^7."""
    generator = random.Random(seed)
    told = []
    for _ in range(2_000):
        share, objects = generator.uniform(0, 1), generator.choice((1, 3, 10, 40))
        rates = [
            FillRate("charges", "customer", OLD, day, objects, filled)
            for day in range(35)
            for filled in [sum(generator.random() < share for _ in range(objects))]
        ]
        told += find_falls(rates)
    assert len(told) <= 2, told


def test_what_chance_explains_in_a_small_company_is_no_fall():
    """71 of 84 before, 8 of 21 now: five standard deviations, and yet 1 in 21,000 by chance."""
    rates = [*days(7, 7, 84, 71), *days(0, 0, 21, 8)]
    ways = [comb(79, filled) * comb(26, 21 - filled) for filled in range(9)]
    assert sum(ways) / comb(105, 21) == pytest.approx(1 / 21_000, rel=0.02)
    assert find_falls(rates) == []


# --- statuses ------------------------------------------------------------------------------------

SDK_CLASSES = {
    "subscription": stripe.Subscription,
    "invoice": stripe.Invoice,
    "payment_intent": stripe.PaymentIntent,
    "charge": stripe.Charge,
    "dispute": stripe.Dispute,
    "credit_note": stripe.CreditNote,
    "checkout.session": stripe.checkout.Session,
    "subscription_schedule": stripe.SubscriptionSchedule,
}


@pytest.mark.parametrize("kind", SDK_CLASSES)
def test_every_status_that_the_installed_sdk_names_is_known(kind):
    named = literals(SDK_CLASSES[kind].__annotations__["status"])
    assert named, "the SDK names none"
    assert unknown_statuses(StatusCount(kind, status, 1, "x_1") for status in named) == []


def literals(annotation):
    parts = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return set(parts)
    return set().union(*(literals(part) for part in parts)) if parts else set()


def test_a_status_that_nobody_knows_is_told_with_an_example():
    dormant = StatusCount("subscription", "dormant", 3, "sub_1")
    assert unknown_statuses([StatusCount("subscription", "active", 9, "sub_2"), dormant]) == [
        dormant
    ]


def test_a_word_is_a_status_of_its_own_kind_only():
    (found,) = unknown_statuses([StatusCount("charge", "trialing", 1, "ch_1")])
    assert found.object == "charge"
