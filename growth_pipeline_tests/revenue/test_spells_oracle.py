"""Spells of random customers against a plain look at each instant, which knows no spells.

The loop asks of one second: which state holds, does it count, what is it worth. It shares no code
with the product; every instant at which anything is told to change is asked, and the second before.
"""

import random
from fractions import Fraction
from itertools import pairwise

import pytest

from growth_pipeline.core.recurring import Discount, Item, Price, Subscription
from growth_pipeline.revenue.history import SubscriptionState
from growth_pipeline.revenue.policies import PRESETS
from growth_pipeline.revenue.spells import spells_of

DAY = 86_400
LENGTH = 120
A_MONTH = {"month": Fraction(1), "year": Fraction(1, 12), "week": Fraction(52, 12)}
TAKEN = {
    "none": (),
    "forever": ("forever",),
    "recurring": ("forever", "repeating"),
    "all": ("forever", "repeating", "once"),
}
SWITCHES = {
    "trials": ["in", "out"],
    "past_due_grace_days": ["none", "0", "15", "30"],
    "pause_collection": ["paused", "stays"],
    "customer_discounts": ["stack", "instead"],
    "discounts": list(TAKEN),
    "level": ["customer", "customer", "subscription"],
    "churn_at": ["ended_at", "cancel_request", "period_end"],
}


def a_policy(rng):
    told = {name: rng.choice(values) for name, values in SWITCHES.items() if rng.random() < 0.5}
    return rng.choice([PRESETS["growth"], PRESETS["stripe"], PRESETS["profitwell"]]).with_switches(
        told
    )


def a_moment(rng, low=0, high=LENGTH):
    return rng.randrange(low, high) * DAY + rng.choice([0, 0, 0, 1, 43_200])


def some_discounts(rng, chance):
    found = []
    while rng.random() < chance:
        starts = rng.choice([None, a_moment(rng)])
        ends = rng.choice([None, (starts or 0) + a_moment(rng, 1, 40)])
        duration = rng.choice(["once", "repeating", "forever"])
        found.append(Discount(duration, Fraction(rng.choice([10, 20, 25, 33])), {}, starts, ends))
    return tuple(found)


def some_items(rng, sub, currency):
    found = []
    for number in range(rng.randrange(1, 4)):
        unit = Fraction(rng.choice([0, 999, 1000, 2900, Fraction(1, 3)]))
        if rng.random() < 0.05:
            unit = None
        price = Price(f"price_{unit}", currency, "prod", rng.choice([*A_MONTH]), unit_amount=unit)
        free_until = a_moment(rng) if rng.random() < 0.1 else None
        discounts = some_discounts(rng, 0.1)
        found.append(
            Item(f"si_{sub}_{number}", price, rng.choice([0, 1, 1, 3]), discounts, free_until)
        )
    return tuple(found)


def a_subscription(rng, number):
    """States one after the other, seldom with a gap; perhaps ended for good."""
    currency = rng.choice(["usd", "usd", "jpy"])
    at, found, since = a_moment(rng, 0, 60), [], None
    of_customer = some_discounts(rng, 0.2)
    items, discounts = some_items(rng, number, currency), some_discounts(rng, 0.3)
    while True:
        status = rng.choice(["active"] * 4 + ["past_due", "past_due", "trialing", "unpaid"])
        status = rng.choice([status] * 5 + ["canceled"])
        since = (since or at) if status == "past_due" else None
        if rng.random() < 0.4:
            items = some_items(rng, number, currency)
        asked = at + rng.choice([-5, 0, 0, 3]) * DAY if rng.random() < 0.25 else None
        is_last = status == "canceled" or rng.random() < 0.2
        until = None if is_last else at + a_moment(rng, 1, 30)
        if until is not None and rng.random() < 0.05:
            until = at  # over in the second in which it began
        is_paused = rng.random() < 0.1
        terms = Subscription(status, currency, items, discounts, of_customer, is_paused, since)
        found.append(
            SubscriptionState(
                *(f"sub_{number}", "cus_1", at, until, terms),
                canceled_at=asked,
                cancels_at=None if asked is None or rng.random() < 0.2 else asked + 20 * DAY,
                period_end=at + a_moment(rng, 1, 50),
            )
        )
        if is_last:
            return found
        at = until + (DAY if rng.random() < 0.1 else 0)


# --- what a plain look says ----------------------------------------------------------------------


def holding(rows, at):
    return next(
        (r for r in rows if r.from_at <= at and (r.until_at is None or at < r.until_at)), None
    )


def seen(rows, at, policy):
    """The state that a policy sees at an instant."""
    row = holding(rows, at)
    if row is None:
        return None
    if policy.churn_at == "cancel_request" and row.cancels_at and row.canceled_at is not None:
        return None if row.canceled_at <= at else row
    if policy.churn_at == "period_end" and row.terms.status == "canceled":
        before = next(
            (r for r in rows if r.until_at == row.from_at and r.from_at < row.from_at), None
        )
        return before if before and at < before.period_end else row
    return row


def is_counted(row, at, policy):
    if row is None or (row.terms.is_collection_paused and policy.pause_collection == "paused"):
        return False
    if row.terms.status == "past_due" and policy.past_due_grace_days is not None:
        return at - row.terms.past_due_since < policy.past_due_grace_days * DAY
    allowed = ["active", "past_due"] + (["trialing"] if policy.trials == "in" else [])
    return row.terms.status in allowed


def worth(row, item, at, policy):
    if item.price.unit_amount is None and not (item.free_until and at < item.free_until):
        return None
    value = (item.price.unit_amount or 0) * item.quantity * A_MONTH[item.price.interval]
    if item.free_until is not None and at < item.free_until:
        return Fraction(0)
    whole = row.terms.discounts or row.terms.customer_discounts
    if policy.customer_discounts == "stack":
        whole = row.terms.discounts + row.terms.customer_discounts
    for one in item.discounts + whole:
        late = one.starts is not None and at < one.starts
        over = one.ends is not None and at >= one.ends
        if one.duration in TAKEN[policy.discounts] and not late and not over:
            value = value * (100 - one.percent_off) / 100
    return value


def looked_up(subscriptions, at, policy):
    """(currency, subscription, item) -> exact value of what counts; None where unknown."""
    found = {}
    for rows in subscriptions:
        row = seen(rows, at, policy)
        if is_counted(row, at, policy):
            values = {item.id: worth(row, item, at, policy) for item in row.terms.items}
            unknown = None in values.values()
            for id_, value in values.items():
                key = row.terms.currency, row.subscription_id, id_
                found[key] = None if unknown else value
    return found


def half_even(value):
    below = value.numerator // value.denominator
    rest = value - below
    up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and below % 2 == 1)
    return below + up


def moments(subscriptions):
    found = set()
    for row in (row for rows in subscriptions for row in rows):
        terms = row.terms
        known = [row.from_at, row.until_at, row.canceled_at, row.period_end]
        if terms.past_due_since is not None:
            known += [terms.past_due_since + days * DAY for days in (0, 15, 30)]
        discounts = [*terms.discounts, *terms.customer_discounts]
        for item in terms.items:
            known.append(item.free_until)
            discounts += item.discounts
        known += [at for one in discounts for at in (one.starts, one.ends)]
        found |= {at + more for at in known if at is not None for more in (-1, 0)}
    return sorted(found)


# --- the comparison ------------------------------------------------------------------------------


def live(spells, at):
    return [s for s in spells if s.from_at <= at and (s.until_at is None or at < s.until_at)]


def check_amounts(spells, subscriptions, at, policy):
    found = live(spells, at)
    expected = looked_up(subscriptions, at, policy)
    keys = [(s.currency, s.subscription_id, s.item.id) for s in found]
    assert sorted(keys) == sorted(expected)
    groups = {}
    for key, spell in zip(keys, found, strict=True):
        assert spell.exact == expected[key]
        row = seen(subscriptions[int(key[1][4:])], at, policy)
        is_asked = row.canceled_at is None or row.canceled_at <= at
        assert spell.cancels_at == (row.cancels_at if is_asked else None)
        level = key[1] if policy.level == "subscription" else ""
        groups.setdefault((key[0], level), []).append(spell)
    for group in groups.values():
        if None in [s.exact for s in group]:
            assert {s.minor for s in group} == {None}
            continue
        exact = sum(s.exact for s in group)
        assert sum(s.minor for s in group) == half_even(exact)
        # Largest remainder: less than one minor unit from the fair part of the rounded sum.
        for spell in group:
            assert abs(spell.minor * exact - half_even(exact) * spell.exact) < max(exact, 1)


def check_shape(spells, subscriptions, policy):
    by_item = {}
    for spell in spells:
        assert spell.until_at is None or spell.from_at < spell.until_at
        by_item.setdefault((spell.subscription_id, spell.item.id), []).append(spell)
        rows = subscriptions[int(spell.subscription_id[4:])]
        ends = spell.until_at is not None and not is_counted(
            seen(rows, spell.until_at, policy), spell.until_at, policy
        )
        assert (spell.ends_by is not None) == ends
    for rows in by_item.values():
        for one, following in pairwise(sorted(rows, key=lambda s: s.from_at)):
            assert one.until_at is not None
            assert one.until_at <= following.from_at


@pytest.mark.parametrize("turn", range(60))
def test_spells_say_what_a_look_at_each_instant_says(seed, turn):
    rng = random.Random(f"{seed} {turn}")
    policy = a_policy(rng)
    subscriptions = [a_subscription(rng, number) for number in range(rng.randrange(1, 5))]
    states = [row for rows in subscriptions for row in rows]
    rng.shuffle(states)
    spells = spells_of(states, policy)
    check_shape(spells, subscriptions, policy)
    for at in moments(subscriptions):
        check_amounts(spells, subscriptions, at, policy)
