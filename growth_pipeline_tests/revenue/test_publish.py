"""From events to published MRR on a real Postgres: whole and by news, days against a plain loop."""

import random
from datetime import UTC, date, datetime, timedelta

import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.revenue.policies import PRESETS
from growth_pipeline.revenue.publish import CODE_VERSION, publish_mrr, refresh_states
from growth_pipeline.revenue.spell_store import SpellStore
from growth_pipeline_tests.fakes.stripe_events import (
    NOON,
    a_price,
    a_subscription,
    an_event,
)

DAY = 86_400
TOLD = "customer.subscription.updated"
SCOPES = [Scope("self", False)]
GROWTH = [PRESETS["growth"]]


def at(day):
    return datetime.fromtimestamp(NOON + day * DAY, UTC)


def items_at(amount):
    found = a_subscription()["items"]
    priced = a_price(unit_amount=amount, unit_amount_decimal=str(amount))
    return {**found, "data": [{**one, "price": priced} for one in found["data"]]}


def receive(database, *events, day):
    store = BillingStore(database)
    store.insert_events(
        [
            received_event(parse_envelope(body), body, account_id="self", received_at=at(day))
            for body in events
        ]
    )
    apply_waiting(store, now=at(day))


def told(number, day, amount, status="active", **more):
    subscription = a_subscription(
        f"sub_{number}", customer=f"cus_{number}", items=items_at(amount), status=status, **more
    )
    return an_event(TOLD, subscription, id=f"evt_{number}_{day}", created=NOON + day * DAY)


def refresh(database, lake, day, *, anew=False):
    refresh_states(database, lake, SCOPES, now=at(day), anew=anew)
    return publish_mrr(database, lake, SCOPES, GROWTH, tz="UTC", anew=anew)[0]


def rows(database, statement):
    with database.connection() as connection:
        return connection.execute(statement).fetchall()


def all_rows(database):
    spells = rows(database, "select s.*::text from revenue.mrr_spells as s order by 1")
    return spells, rows(database, "select d.*::text from revenue.mrr_daily as d order by 1")


def test_a_mirror_without_events_has_no_mrr_and_says_what_to_do(database, lake):
    with pytest.raises(GrowthError, match="not known"):
        refresh_states(database, lake, SCOPES, now=at(0))
    with pytest.raises(GrowthError, match="no states"):
        publish_mrr(database, lake, SCOPES, GROWTH, tz="UTC")


def test_days_follow_the_events_and_the_day_that_is_not_over_has_no_row(database, lake):
    receive(
        database, told(1, 0, 1000), told(2, 1, 500, start_date=NOON + DAY), told(1, 3, 2500), day=3
    )
    refresh(database, lake, 3)
    first = at(0).date()
    found = rows(
        database, "select day, mrr_minor, customers, state from revenue.mrr_daily order by day"
    )
    assert found == [
        (first, 1000, 1, "closed"),
        (first + timedelta(days=1), 1500, 2, "closed"),
        (first + timedelta(days=2), 1500, 2, "closed"),
    ]


def test_news_of_some_customers_give_the_same_rows_as_from_the_start(database, lake, seed):
    rng = random.Random(seed)
    day = 0
    known = {}
    for _ in range(6):
        day += rng.randrange(1, 5)
        events = []
        for number in rng.sample(range(8), rng.randrange(1, 5)):
            # Some events come days after they happened.
            happened = max(known.get(number, 0), day - rng.randrange(4))
            status = rng.choice(["active", "active", "past_due", "paused", "trialing"])
            events.append(told(number, happened, rng.choice([900, 1000, 4999]), status))
            known[number] = happened + 1
        receive(database, *events, day=day)
        refresh(database, lake, day)
    by_news = all_rows(database)
    assert by_news[0]
    refresh(database, lake, day, anew=True)
    assert all_rows(database) == by_news


def test_days_are_the_sums_of_spells_counted_one_by_one(database, lake, seed):
    rng = random.Random(seed)
    events = []
    for number in range(12):
        day = rng.randrange(20)
        for _ in range(rng.randrange(1, 5)):
            status = rng.choice(["active", "active", "canceled", "past_due"])
            ended = NOON + day * DAY if status == "canceled" else None
            amount = rng.choice([0, 1000, 333])
            events.append(told(number, day, amount, status, ended_at=ended))
            if ended:
                break
            day += rng.randrange(1, 12)
    events.append(told(99, 60, 1))
    receive(database, *events, day=60)
    refresh(database, lake, 60)
    spells = rows(
        database,
        "select customer_id, subscription_id, from_on, until_on, mrr_minor from revenue.mrr_spells",
    )
    expected = {}
    for number in range(60):
        day = at(0).date() + timedelta(days=number)
        live = [s for s in spells if s[2] <= day and (s[3] is None or day < s[3])]
        if live:
            paying = {s[0] for s in live if s[4] > 0}
            expected[day] = (sum(s[4] for s in live), len(paying), len({s[1] for s in live}))
    found = rows(database, "select day, mrr_minor, customers, subscriptions from revenue.mrr_daily")
    assert {row[0]: tuple(row[1:]) for row in found} == expected


def test_publishing_again_changes_nothing(database, lake):
    receive(database, told(1, 0, 1000), told(2, 5, 500), day=5)
    refresh(database, lake, 5)
    again = refresh(database, lake, 6)
    assert (again.written, again.withdrawn, again.since) == (0, 0, None)
    assert isinstance(rows(database, "select max(day) from revenue.mrr_daily")[0][0], date)


def faults(database, rule):
    return SpellStore(database).faults(rule, "growth@1", SCOPES)


def change(database, statement):
    with database.connection() as connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("rule", "tampering"),
    [
        (
            "items_add_up_to_customers",
            "update revenue.mrr_spells set mrr_minor = mrr_minor + 1 where customer_id = 'cus_1'",
        ),
        (
            "customers_add_up_to_days",
            "update revenue.mrr_daily set customers = 3 where day = (select max(day) from revenue.mrr_daily)",
        ),
        ("mrr_follows_the_mirror", "delete from revenue.mrr_spells where customer_id = 'cus_2'"),
        (
            "mrr_follows_the_mirror",
            "update revenue.mrr_spells set until_at = null, until_on = null where customer_id = 'cus_3'",
        ),
    ],
)
def test_each_invariant_holds_and_sees_what_breaks_it(database, lake, rule, tampering):
    ended = told(3, 2, 700, "canceled", ended_at=NOON + 2 * DAY)
    receive(database, told(1, 0, 1000), told(2, 1, 500), told(3, 0, 700), ended, day=2)
    receive(database, told(1, 5, 900), day=5)
    refresh(database, lake, 5)
    assert faults(database, rule) == []
    change(database, tampering)
    assert faults(database, rule)


def test_a_late_event_restates_the_months_it_touches_and_names_itself(database, lake):
    # at(0) is 1 January. Both months are over when the event of 20 January comes on 10 March.
    receive(database, told(1, 0, 1000), told(2, 67, 500), day=67)
    assert refresh(database, lake, 67).restated == 0
    receive(database, told(1, 19, 3000), day=68)
    assert refresh(database, lake, 68).restated == 2
    found = rows(
        database,
        "select customer_id, period_start, before_minor, now_minor, told_by"
        " from revenue.restatements order by period_start",
    )
    assert found == [
        ("cus_1", date(2030, 1, 1), 1000, 3000, ["evt_1_19"]),
        ("cus_1", date(2030, 2, 1), 1000, 3000, ["evt_1_19"]),
    ]
    assert refresh(database, lake, 69).restated == 0


def test_what_changes_a_month_that_is_not_over_is_no_restatement(database, lake):
    receive(database, told(1, 0, 1000), told(2, 20, 500), day=20)
    refresh(database, lake, 20)
    receive(database, told(1, 10, 3000), day=21)
    assert refresh(database, lake, 21).restated == 0


def test_a_policy_that_is_no_longer_asked_for_is_withdrawn(database, lake):
    receive(database, told(1, 0, 1000), told(2, 5, 500), day=5)
    refresh_states(database, lake, SCOPES, now=at(5))
    publish_mrr(database, lake, SCOPES, [PRESETS["growth"], PRESETS["stripe"]], tz="UTC")
    both = "select policy from revenue.mrr_spells union select policy from revenue.mrr_daily"
    assert sorted(rows(database, both)) == [("growth@1",), ("stripe@1",)]
    publish_mrr(database, lake, SCOPES, [PRESETS["stripe"]], tz="UTC")
    assert rows(database, both) == rows(database, "select policy from revenue.policies")
    assert rows(database, both) == [("stripe@1",)]


def test_other_code_that_counts_otherwise_is_named_as_what_restates(database, lake):
    receive(database, told(1, 0, 1000), told(2, 40, 500), day=40)
    refresh(database, lake, 40)
    change(database, "update revenue.mrr_spells set mrr_minor = 900 where customer_id = 'cus_1'")
    change(
        database,
        "update revenue.policies set code_version = 'older', known_at = known_at + '1 hour'",
    )
    assert refresh(database, lake, 41).restated == 1
    found = rows(database, "select before_minor, now_minor, told_by from revenue.restatements")
    assert found == [(900, 1000, [f"code {CODE_VERSION}"])]
