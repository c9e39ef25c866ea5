"""What counts 1 to 4 is not sent, nor what shows such a cell by subtraction."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from growth_pipeline.insights.facts import Kind
from growth_pipeline.insights.writer.small_cells import sendable
from growth_pipeline_tests.fakes.growth_digests import a_digest, a_fact, money, steady

SIZES = (0, 0, 5, 8, 8, 20, 60, 60, 90, 3, 1)
GAINS = ("mrr_new", "mrr_reactivation", "mrr_expansion", "mrr_contraction", "mrr_churn")


def sent(*facts):
    return [fact.fact_id for fact in sendable(a_digest(*facts))]


@pytest.mark.parametrize(
    ("count", "leaves"), [(0, True), *((n, False) for n in range(1, 5)), (5, True)]
)
def test_a_count_from_one_to_four_stays(count, leaves):
    assert sent(a_fact("signups", steady(count, before=0))) == (["signups"] if leaves else [])


@pytest.mark.parametrize("week", [-5, -4, -3, -2])
def test_a_small_count_in_a_week_of_the_baselines_keeps_the_fact_here(week):
    values = steady(40)
    values[week] = 3
    assert sent(a_fact("signups", values)) == []


def test_a_small_count_long_ago_does_not_matter():
    assert sent(a_fact("signups", [1, 2, 3, 4, 50, 50, 50, 50, 50])) == ["signups"]


def test_a_mean_below_five_stays_though_no_week_counts_one_to_four():
    assert sent(a_fact("signups", [9, 9, 9, 9, 0, 0, 0, 6, 30])) == []


def test_money_of_few_customers_stays():
    assert sent(money("mrr.usd", steady(90_000), steady(3))) == []
    assert sent(money("mrr.usd", steady(90_000), steady(5))) == ["mrr.usd"]


def test_money_of_nobody_knows_how_many_customers_stays():
    assert sent(money("mrr.usd", steady(90_000), None)) == []
    assert sent(money("refunds.usd", steady(0), None)) == ["refunds.usd"]


@pytest.mark.parametrize(("numerator", "leaves"), [(0, True), (3, False), (50, True), (97, False)])
def test_a_rate_whose_part_or_rest_is_small_stays(numerator, leaves):
    fact = a_fact("retention.day7", steady(numerator), of=steady(100))
    assert sent(fact) == (["retention.day7"] if leaves else [])


def test_what_is_not_known_is_not_sent():
    assert sent(a_fact("signups", [*steady(50)[:-1], None])) == []


def test_a_part_alone_too_small_takes_the_next_smallest_with_it():
    facts = [
        a_fact("events", steady(300)),
        a_fact("events.billing", steady(3), part_of="events"),
        a_fact("events.support", steady(20), part_of="events"),
        a_fact("events.other", steady(277), part_of="events"),
    ]
    assert sent(*facts) == ["events", "events.other"]


def test_two_small_parts_that_are_a_small_cell_together_take_a_third():
    facts = [
        a_fact("events", steady(300)),
        a_fact("events.billing", steady(1), part_of="events"),
        a_fact("events.support", steady(2), part_of="events"),
        a_fact("events.activation", steady(20), part_of="events"),
        a_fact("events.other", steady(277), part_of="events"),
    ]
    assert sent(*facts) == ["events", "events.other"]


def test_when_all_other_parts_are_nothing_the_whole_stays_too():
    facts = [
        money("mrr.usd", steady(90_000, before=80_000), steady(100)),
        money("mrr_new.usd", steady(10_000, before=0), steady(2, before=0), part_of="mrr.usd"),
        money("mrr_churn.usd", steady(0), steady(0), part_of="mrr.usd"),
    ]
    assert sent(*facts) == ["mrr_churn.usd"]


def test_returning_users_do_not_show_a_few_new_ones():
    facts = [
        a_fact("active_week", steady(100), kind=Kind.STOCK),
        a_fact("new_users", steady(3)),
        a_fact("resurrecting_users", steady(0)),
        a_fact("returning_users", steady(97)),
    ]
    assert sent(*facts) == ["active_week", "resurrecting_users"]


def test_a_mean_of_days_and_the_other_days_do_not_show_one_day():
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
    facts = [
        a_fact("dau.sunday", steady(4), kind=Kind.STOCK, grain="day"),
        *(a_fact(f"dau.{day}", steady(60), kind=Kind.STOCK, grain="day") for day in days),
        a_fact("dau", steady(Decimal(364) / 7), kind=Kind.STOCK),
    ]
    left = sent(*facts)
    assert "dau.sunday" not in left
    assert "dau" in left
    assert len(left) == 1 + len(days) - 1


def test_a_funnel_does_not_show_the_few_who_left_between_two_stages():
    facts = [
        a_fact("funnel.1.entered", steady(200)),
        a_fact("funnel.1.2", steady(150), of=steady(200)),
        a_fact("funnel.1.3", steady(148), of=steady(200)),
        a_fact("funnel.1.4", steady(90), of=steady(200)),
    ]
    assert sent(*facts) == ["funnel.1.entered", "funnel.1.2", "funnel.1.4"]


def test_a_month_and_its_last_week_do_not_differ_by_a_few_users():
    assert sent(a_fact("mau", steady(203)), a_fact("wau", steady(200))) == ["mau"]


def test_no_small_cell_can_be_reckoned_from_what_is_sent(seed):
    """In every week: the parts that stay are two or more, and five or more together."""
    chance = random.Random(seed)
    for _ in range(500):
        parts = {name: [chance.choice(SIZES) for _ in range(9)] for name in GAINS}
        whole = [sum(week) for week in zip(*parts.values(), strict=True)]
        left = sent(
            a_fact("events", whole),
            *(a_fact(name, sizes, part_of="events") for name, sizes in parts.items()),
        )
        stay = [name for name in GAINS if name not in left]
        told_weeks = range(-5, 0)
        for name in set(left) & set(parts):
            assert not any(0 < parts[name][week] < 5 for week in told_weeks)
        if "events" in left and stay:
            assert len(stay) > 1, (parts, left)
            for week in told_weeks:
                together = sum(parts[name][week] for name in stay)
                assert together == 0 or together >= 5, (week, parts, left)


def test_large_parts_all_leave(seed):
    """The other way round: where nothing is small, nothing stays."""
    chance = random.Random(seed)
    parts = {name: [chance.randint(5, 99) for _ in range(9)] for name in GAINS}
    whole = [sum(week) for week in zip(*parts.values(), strict=True)]
    facts = [a_fact(name, sizes, part_of="events") for name, sizes in parts.items()]
    assert sent(a_fact("events", whole), *facts) == ["events", *GAINS]
