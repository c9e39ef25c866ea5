"""What held of a subscription when: events and fetched states in, states in order of time out."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from growth_pipeline.billing.fold import Snapshot
from growth_pipeline.billing.subscription_history import history_of
from growth_pipeline.billing.subscription_terms import Catalogue
from growth_pipeline_tests.fakes.stripe_events import NEW, NOON, a_price, a_subscription

DAY = 86_400


def an_event(day, **fields):
    at = datetime.fromtimestamp(NOON + day * DAY, UTC)
    return Snapshot(
        "subscription",
        "sub_1",
        a_subscription(**fields),
        NEW,
        at,
        at,
        "event",
        event_id=f"evt_{day}",
        event_type="customer.subscription.updated",
    )


def a_fetch(day, **fields):
    at = datetime.fromtimestamp(NOON + day * DAY, UTC)
    payload = a_subscription(**fields)
    end = at + timedelta(seconds=2)
    return Snapshot("subscription", "sub_1", payload, NEW, at, end, "fetch")


def items_at(amount):
    found = a_subscription()["items"]
    priced = a_price(unit_amount=amount, unit_amount_decimal=str(amount))
    return {**found, "data": [{**one, "price": priced} for one in found["data"]]}


def told(*snapshots):
    """(first day, day of the end, status, unit amount, assumed) of each state."""
    return [
        (
            (one.from_at - NOON) / DAY,
            None if one.until_at is None else (one.until_at - NOON) / DAY,
            one.terms.status,
            one.terms.items[0].price.unit_amount,
            one.is_assumed,
        )
        for one in history_of(snapshots, Catalogue())
    ]


def test_each_change_begins_a_state_and_repeats_do_not():
    assert told(
        an_event(0),
        an_event(3, items=items_at(2000)),
        an_event(4, items=items_at(2000), metadata={"note": "nothing of its worth"}),
        an_event(9, items=items_at(2000), status="canceled", ended_at=NOON + 9 * DAY),
    ) == [
        (0, 3, "active", 1000, False),
        (3, 9, "active", 2000, False),
        (9, None, "canceled", 2000, False),
    ]


def test_the_order_of_arrival_does_not_matter(seed):
    states = [an_event(0), an_event(3, items=items_at(2000)), an_event(5, status="past_due")]
    expected = told(*states)
    random.Random(seed).shuffle(states)
    assert told(*states) == expected


def test_time_before_the_first_word_is_assumed_from_the_dates_it_names():
    assert told(a_fetch(40, trial_start=NOON, trial_end=NOON + 14 * DAY)) == [
        (0, 14, "trialing", 1000, True),
        (14, 40, "active", 1000, True),
        (40, None, "active", 1000, False),
    ]


def test_an_end_counts_from_when_it_ended_and_not_from_when_it_was_heard_of():
    ended = {"status": "canceled", "ended_at": NOON + 20 * DAY}
    assert told(a_fetch(40, **ended)) == [
        (0, 20, "active", 1000, True),
        (20, None, "canceled", 1000, False),
    ]
    assert told(an_event(0), a_fetch(30), a_fetch(40, **ended)) == [
        (0, 20, "active", 1000, False),
        (20, None, "canceled", 1000, False),
    ]


def test_past_due_knows_since_when_through_all_its_states():
    states = history_of(
        [
            an_event(0),
            an_event(5, status="past_due"),
            an_event(7, status="past_due", items=items_at(2000)),
            an_event(9),
            an_event(30, status="past_due"),
        ],
        Catalogue(),
    )
    since = [one.terms.past_due_since for one in states]
    days = [None if one is None else (one - NOON) / DAY for one in since]
    assert days == [None, 5, 5, None, 30]


def test_a_list_of_items_that_is_cut_off_leaves_the_price_unknown():
    cut = {**items_at(2000), "has_more": True}
    assert told(an_event(0), an_event(3, items=cut)) == [
        (0, 3, "active", Fraction(1000), False),
        (3, None, "active", None, False),
    ]


def test_nothing_told_is_no_history():
    assert told() == []


def test_on_every_day_holds_what_was_told_last_before_it(seed):
    dice = random.Random(seed)
    for _ in range(40):
        days = sorted(dice.sample(range(60), dice.randrange(1, 8)))
        steps = [(day, dice.choice((1000, 2000, 3000)), dice.random() < 0.5) for day in days]
        states = history_of(
            [
                (an_event if is_event else a_fetch)(day, items=items_at(amount))
                for day, amount, is_event in dice.sample(steps, len(steps))
            ],
            Catalogue(),
        )
        for asked in range(61):
            # Before the first word what it says is assumed.
            expected = steps[0][1]
            for day, amount, _ in steps:
                if day <= asked:
                    expected = amount
            at = NOON + asked * DAY
            held = [
                one.terms.items[0].price.unit_amount
                for one in states
                if one.from_at <= at and (one.until_at is None or at < one.until_at)
            ]
            assert held == [expected], (seed, steps, asked)


def an_update(day, previous, **fields):
    return replace(an_event(day, **fields), previous=previous)


def test_the_first_word_tells_what_it_changed():
    before = items_at(500)
    assert told(an_update(10, {"items": {"data": before["data"]}}, items=items_at(2000))) == [
        (0, 10, "active", 500, True),
        (10, None, "active", 2000, False),
    ]


def test_an_activation_that_is_the_first_word_was_incomplete_before():
    assert told(an_update(2, {"status": "incomplete"})) == [
        (0, 2, "incomplete", 1000, True),
        (2, None, "active", 1000, False),
    ]


def test_a_trial_that_was_given_later_does_not_reach_back_to_the_start():
    trial = {"trial_start": NOON + 5 * DAY, "trial_end": NOON + 9 * DAY}
    assert told(a_fetch(40, **trial)) == [
        (0, 5, "active", 1000, True),
        (5, 9, "trialing", 1000, True),
        (9, 40, "active", 1000, True),
        (40, None, "active", 1000, False),
    ]


def test_what_stripe_paused_at_the_end_of_a_trial_was_never_paid_for():
    trial = {"trial_start": NOON, "trial_end": NOON + 14 * DAY}
    assert told(a_fetch(40, status="paused", **trial)) == [
        (0, 14, "trialing", 1000, True),
        (14, 40, "paused", 1000, True),
        (40, None, "paused", 1000, False),
    ]


def gone(day):
    at = datetime.fromtimestamp(NOON + day * DAY, UTC)
    end = at + timedelta(seconds=2)
    return Snapshot("subscription", "sub_1", {}, NEW, at, end, "fetch", is_tombstone=True)


def test_an_id_that_stripe_no_longer_knows_ended_when_that_was_first_seen():
    assert told(an_event(0), gone(30), gone(50)) == [
        (0, 30, "active", 1000, False),
        (30, None, "canceled", 1000, False),
    ]
    ended = {"status": "canceled", "ended_at": NOON + 20 * DAY}
    assert told(an_event(0), an_event(20, **ended), gone(30)) == [
        (0, 20, "active", 1000, False),
        (20, None, "canceled", 1000, False),
    ]
    assert told(gone(30)) == []


def test_renewals_are_one_state_that_is_paid_up_to_the_end_of_the_last():
    month = 30 * DAY
    renewals = []
    for number in range(24):
        period = {
            "current_period_start": NOON + number * month,
            "current_period_end": NOON + (number + 1) * month,
        }
        items = items_at(1000)
        items["data"] = [{**one, **period} for one in items["data"]]
        renewals.append(an_event(number * 30, items=items, latest_invoice=f"in_{number}"))
    (state,) = history_of(renewals, Catalogue())
    assert (state.from_at, state.until_at, state.told_by) == (NOON, None, "evt_0")
    assert state.period_end == NOON + 24 * month


def test_a_cancellation_says_when_it_was_asked_for_and_until_when_it_runs():
    asked = {"canceled_at": NOON + 5 * DAY, "cancellation_details": {"reason": "too_late"}}
    period_end = NOON + 31 * DAY
    states = history_of(
        [
            an_event(0),
            an_event(5, cancel_at_period_end=True, **asked),
            an_event(7),
            an_event(9, cancel_at=NOON + 50 * DAY, **asked),
            an_event(50, status="canceled", ended_at=NOON + 50 * DAY, **asked),
        ],
        Catalogue(),
    )
    assert [(one.canceled_at, one.cancels_at, one.ended_at, one.reason) for one in states] == [
        (None, None, None, None),
        (NOON + 5 * DAY, period_end, None, "too_late"),
        (None, None, None, None),
        (NOON + 5 * DAY, NOON + 50 * DAY, None, "too_late"),
        (NOON + 5 * DAY, NOON + 50 * DAY, NOON + 50 * DAY, "too_late"),
    ]


def test_items_come_and_go_and_a_quantity_of_none_stays_an_item():
    def items(*told):
        found = a_subscription()["items"]
        rows = [{**found["data"][0], "id": id, "quantity": quantity} for id, quantity in told]
        return {**found, "data": rows}

    states = history_of(
        [
            an_event(0, items=items(("si_1", 2))),
            an_event(1, items=items(("si_1", 0))),
            an_event(2, items=items(("si_1", 0), ("si_2", 3))),
            an_event(3, items=items(("si_2", 3))),
        ],
        Catalogue(),
    )
    assert [[(one.id, one.quantity) for one in state.terms.items] for state in states] == [
        [("si_1", 2)],
        [("si_1", 0)],
        [("si_1", 0), ("si_2", 3)],
        [("si_2", 3)],
    ]


def test_items_that_an_event_leaves_out_are_assumed_from_the_next_whole_state():
    found = a_subscription()["items"]
    template = found["data"][0]

    def items(numbers, *, has_more=False):
        made = {1: 0, 2: 0, 3: 4}  # the third was added on day 4
        data = [
            {
                **template,
                "id": f"si_{number}",
                "created": NOON + made[number] * DAY,
                "price": a_price(unit_amount=number, unit_amount_decimal=str(number)),
            }
            for number in numbers
        ]
        return {**found, "data": data, "has_more": has_more}

    states = history_of(
        [
            an_event(0, items=items([1], has_more=True)),
            an_event(5, items=items([1], has_more=True)),
            a_fetch(9, items=items([1, 2, 3])),
        ],
        Catalogue(),
    )
    told_of = [
        (
            (state.from_at - NOON) // DAY,
            sum(item.price.unit_amount for item in state.terms.items),
            state.is_assumed,
        )
        for state in states
    ]
    # The start: items 1 and 2; from day 5 on 1, 2 and 3, which day 9 confirms.
    assert told_of == [(0, 3, True), (5, 6, True), (9, 6, False)]


def test_without_any_whole_state_items_that_are_left_out_stay_unknown():
    found = {**a_subscription()["items"], "has_more": True}
    states = history_of([an_event(0, items=found)], Catalogue())
    assert states[0].terms.items[0].price.unit_amount is None
