"""MRR out of invoices, by hand, and against a plain loop over days."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from growth_pipeline.core.recurring import Discount, Item, Price, Subscription, Tier, mrr
from growth_pipeline.revenue.history import SubscriptionHistory, SubscriptionState
from growth_pipeline.revenue.invoice_basis import (
    Facts,
    InvoiceLine,
    Refund,
    less_refunds,
    needs_invoices,
    on_invoices,
    scaled,
    states_under,
)
from growth_pipeline.revenue.movements import Cause
from growth_pipeline.revenue.policies import PRESETS, MrrPolicy
from growth_pipeline.revenue.spells import spells_of

CHARTMOGUL = PRESETS["chartmogul"]
PROFITWELL = PRESETS["profitwell"]
DAY = 86_400


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def a_price(amount: int | None, interval: str = "month", currency: str = "usd") -> Price:
    unit = None if amount is None else Fraction(amount)
    return Price("price_1", currency, interval=interval, unit_amount=unit)


def a_line(start: str, end: str, amount: int | None, *, interval="month", item="si_1", **more):
    return InvoiceLine(
        *("acct", "cus_1", "sub_1", item), a_price(amount, interval), 1, at(start), at(end), **more
    )


def a_state(start: str, end: str | None = None, **more) -> SubscriptionState:
    terms = Subscription("active", "usd", (Item("si_1", a_price(9_999)),))
    terms = replace(terms, **{key: more.pop(key) for key in ("status", "items") if key in more})
    until = None if end is None else at(end)
    return SubscriptionState("sub_1", "cus_1", at(start), until, terms, account_id="acct", **more)


def values(states, policy, *days: str) -> list[Fraction | None]:
    """Exact MRR of the one subscription at the begin of days; 0 where nothing is known of it."""
    history = SubscriptionHistory(states)
    found = (history.live_at(at(day)).get("cus_1", {}).get("sub_1") for day in days)
    return [
        Fraction(0) if one is None else mrr(one, at=at(day), terms=policy.terms)
        for one, day in zip(found, days, strict=True)
    ]


def test_a_year_that_was_billed_is_a_twelfth_a_month_until_it_is_over():
    line = a_line("2031-01-15", "2032-01-15", 118_800, interval="year")
    states = on_invoices([a_state("2031-01-15")], [line], CHARTMOGUL)
    assert values(states, CHARTMOGUL, "2031-01-15", "2032-01-14", "2032-01-15") == [9900, 9900, 0]


def test_what_was_billed_counts_and_not_what_the_price_says_now():
    lines = [a_line("2031-01-01", "2031-02-01", 1000), a_line("2031-02-01", "2031-03-01", 1500)]
    states = on_invoices([a_state("2031-01-01")], lines, CHARTMOGUL)
    assert values(states, CHARTMOGUL, "2031-01-31", "2031-02-01", "2031-02-28") == [
        *(1000, 1500, 1500)
    ]


def test_a_new_line_of_an_item_takes_the_place_of_one_that_still_runs():
    year = a_line("2031-01-10", "2032-01-10", 12_000, interval="year")
    months = [a_line("2031-01-01", "2031-02-01", 1500), year]
    states = on_invoices([a_state("2031-01-01")], months, CHARTMOGUL)
    assert values(states, CHARTMOGUL, "2031-01-09", "2031-01-10", "2031-01-20") == [
        *(1500, 1000, 1000)
    ]


def test_the_later_of_two_lines_that_begin_at_once_counts():
    twice = [a_line("2031-01-01", "2031-02-01", 1500), a_line("2031-01-01", "2031-02-01", 1200)]
    assert values(
        on_invoices([a_state("2031-01-01")], twice, CHARTMOGUL), CHARTMOGUL, "2031-01-05"
    ) == [1200]


@pytest.mark.parametrize(
    ("discounts", "expected"),
    [("all", 500), ("recurring", 700), ("forever", 900), ("none", 1000)],
)
def test_a_line_is_net_of_the_discounts_that_the_policy_takes(discounts, expected):
    policy = replace(CHARTMOGUL, discounts=discounts)
    line = a_line(
        *("2031-01-01", "2031-02-01", 1000),
        taken_off=(("once", 200), ("repeating", 200), ("forever", 100)),
    )
    states = on_invoices([a_state("2031-01-01")], [line], policy)
    assert values(states, policy, "2031-01-05") == [expected]


@pytest.mark.parametrize(
    ("discounts", "expected"), [("all", 800), ("none", 1000), ("recurring", None)]
)
def test_a_discount_of_unknown_duration_is_unknown_only_where_the_duration_decides(
    discounts, expected
):
    policy = replace(CHARTMOGUL, discounts=discounts)
    line = a_line("2031-01-01", "2031-02-01", 1000, taken_off=((None, 200),))
    states = on_invoices([a_state("2031-01-01")], [line], policy)
    assert values(states, policy, "2031-01-05") == [expected]


def test_status_and_cancellation_stay_the_subscriptions():
    line = a_line("2031-01-01", "2031-02-01", 1000)
    states = [
        a_state("2031-01-01", "2031-01-10"),
        a_state("2031-01-10", None, status="canceled", ended_at=at("2031-01-10"), reason="x"),
    ]
    found = on_invoices(states, [line], CHARTMOGUL)
    assert values(found, CHARTMOGUL, "2031-01-09", "2031-01-10") == [1000, 0]
    assert {(one.ended_at, one.reason) for one in found if one.terms.status == "canceled"} == {
        (at("2031-01-10"), "x")
    }


def test_a_subscription_of_which_only_invoices_are_known_is_assumed_to_run():
    line = a_line("2031-01-01", "2031-02-01", 1000, invoice_id="in_1")
    (found,) = states_under([], CHARTMOGUL, Facts({"sub_1": [line]}))
    assert (found.is_assumed, found.told_by, found.account_id) == (True, "in_1", "acct")
    assert values([found], CHARTMOGUL, "2031-01-05", "2031-02-01") == [1000, 0]


def test_an_unknown_price_stays_unknown():
    line = a_line("2031-01-01", "2031-02-01", None)
    states = on_invoices([a_state("2031-01-01")], [line], CHARTMOGUL)
    assert values(states, CHARTMOGUL, "2031-01-05") == [None]


def test_policies_on_subscriptions_get_their_states_back():
    states = [a_state("2031-01-01")]
    assert not needs_invoices(PRESETS["growth"])
    assert states_under(states, PRESETS["growth"], Facts()) == states
    assert needs_invoices(CHARTMOGUL)
    assert needs_invoices(PROFITWELL)


def test_a_bill_that_does_not_come_ends_mrr_and_a_cancellation_says_why():
    line = a_line("2031-01-01", "2031-02-01", 1000)
    running = [a_state("2031-01-01")]
    (spell,) = spells_of(on_invoices(running, [line], CHARTMOGUL), CHARTMOGUL)
    assert (spell.minor, spell.until_at, spell.ends_by) == (1000, at("2031-02-01"), Cause.UNKNOWN)
    left = a_state("2031-02-01", None, status="canceled", reason="cancellation_requested")
    states = on_invoices([a_state("2031-01-01", "2031-02-01"), left], [line], CHARTMOGUL)
    assert [one.ends_by for one in spells_of(states, CHARTMOGUL)] == [Cause.VOLUNTARY]


def test_a_year_given_back_after_its_subscription_ended_is_gone_from_the_refund_on():
    year_end = at("2032-01-01")
    states = [
        a_state("2031-01-01", "2031-03-01", period_end=year_end),
        a_state("2031-03-01", None, status="canceled", canceled_at=at("2031-03-01")),
    ]
    whole = spells_of(states_under(states, PROFITWELL, Facts()), PROFITWELL)
    assert [one.until_at for one in whole] == [year_end]
    refund = Refund("sub_1", at("2031-03-05"), year_end, Fraction(1), True)
    less = states_under(states, PROFITWELL, Facts(refunds={"sub_1": [refund]}))
    assert [one.until_at for one in spells_of(less, PROFITWELL)] == [at("2031-03-05")]


# --- refunds -------------------------------------------------------------------------------------


def test_a_refund_lowers_mrr_by_its_share_from_its_day_to_the_end_of_the_service():
    line = a_line("2031-01-01", "2031-02-01", 1000)
    refund = Refund("sub_1", at("2031-01-10"), at("2031-02-01"), Fraction(1, 4), False)
    later = replace(refund, refunded_at=at("2031-01-20"))
    facts = Facts({"sub_1": [line]}, {"sub_1": [refund, later]})
    found = states_under([a_state("2031-01-01")], CHARTMOGUL, facts)
    assert values(
        found, CHARTMOGUL, "2031-01-09", "2031-01-10", "2031-01-19", "2031-01-20", "2031-02-01"
    ) == [1000, 750, 750, 500, 0]


def test_more_given_back_than_billed_is_zero_and_never_below():
    refund = Refund("sub_1", at("2031-01-10"), at("2031-02-01"), Fraction(3, 2), False)
    policy = replace(CHARTMOGUL, basis="subscription")
    found = less_refunds([a_state("2031-01-01")], [refund], policy)
    assert values(found, policy, "2031-01-09", "2031-01-10", "2031-02-01") == [9999, 0, 9999]


def test_only_a_year_that_was_cancelled_is_deducted_from_its_cancellation_on():
    start, year_end = "2031-01-01", at("2032-01-01")
    yearly = Refund("sub_1", at("2031-03-01"), year_end, Fraction(1), True)
    kept = [a_state(start, period_end=year_end)]
    assert less_refunds(kept, [yearly], PROFITWELL) == kept
    asked = [
        a_state(start, "2031-04-01", period_end=year_end),
        a_state("2031-04-01", None, canceled_at=at("2031-04-01"), period_end=year_end),
    ]
    found = less_refunds(asked, [yearly], PROFITWELL)
    assert values(found, PROFITWELL, "2031-03-31", "2031-04-01") == [9999, 0]
    assert less_refunds(asked, [replace(yearly, is_yearly=False)], PROFITWELL) == asked
    # What is paid for ends with the refund: churn at the end of the paid period comes then.
    assert {one.period_end for one in found} == {at("2031-04-01")}


def test_a_part_of_a_cancelled_year_lowers_it_and_the_next_year_is_whole():
    year_end = at("2032-01-01")
    half = Refund("sub_1", at("2031-03-01"), year_end, Fraction(1, 2), True)
    states = [a_state("2031-01-01", canceled_at=at("2031-02-01"), period_end=year_end)]
    found = less_refunds(states, [half], PROFITWELL)
    assert values(found, PROFITWELL, "2031-02-28", "2031-03-01", "2032-01-01") == [
        *(9999, Fraction(9999, 2), 9999)
    ]
    assert {one.period_end for one in found} == {year_end}


def test_scaled_terms_are_worth_exactly_that_much_whatever_their_prices_and_discounts(seed):
    random_ = random.Random(seed)
    for _ in range(200):
        items = tuple(_random_item(random_, f"si_{number}") for number in range(3))
        terms = Subscription(
            *("active", "usd", items, _some_discounts(random_), _some_discounts(random_)),
        )
        factor = Fraction(random_.randrange(0, 50), random_.randrange(1, 50))
        policy = MrrPolicy(customer_discounts=random_.choice(["stack", "instead"]))
        whole = mrr(terms, at=0, terms=policy.terms)
        assert whole is not None
        assert mrr(scaled(terms, factor), at=0, terms=policy.terms) == whole * factor


def _random_item(random_, key):
    tiers = tuple(
        Tier(up_to, Fraction(random_.randrange(300)), Fraction(random_.randrange(90)))
        for up_to in (3, 8, None)
    )
    mode = random_.choice([None, "volume", "graduated"])
    price = Price(
        *("p", "usd", "prod"),
        interval=random_.choice(["day", "week", "month", "year"]),
        interval_count=random_.randrange(1, 4),
        unit_amount=None if mode else Fraction(random_.randrange(9_000), 7),
        mode=mode,
        tiers=tiers if mode else (),
    )
    return Item(key, price, random_.randrange(12), _some_discounts(random_))


def _some_discounts(random_):
    return tuple(
        Discount("forever", percent_off=Fraction(random_.randrange(101)))
        if random_.random() < 0.5
        else Discount("forever", amounts_off={"usd": random_.randrange(2_000)})
        for _ in range(random_.randrange(3))
    )


def test_any_lines_and_refunds_give_what_a_loop_over_days_gives(seed):
    """The loop: of each item the line that began last and still runs, less what was given back."""
    random_ = random.Random(seed)
    start = at("2031-01-01")
    for _ in range(60):
        lines = []
        for item in ("si_1", "si_2"):
            for day in random_.sample(range(60), random_.randrange(1, 5)):
                line = a_line("2031-01-01", "2031-01-02", random_.randrange(5_000), item=item)
                end = day + random_.randrange(1, 40)
                bounds = {"from_at": start + day * DAY, "until_at": start + end * DAY}
                lines.append(replace(line, **bounds))
        refunds = [
            Refund("sub_1", start + day * DAY, start + (day + 20) * DAY, Fraction(1, 3), False)
            for day in random_.sample(range(60), random_.randrange(3))
        ]
        stop = random_.randrange(30, 90)
        running = replace(a_state("2031-01-01"), until_at=start + stop * DAY)
        facts = Facts({"sub_1": lines}, {"sub_1": refunds})
        found = states_under([running], CHARTMOGUL, facts)
        history = SubscriptionHistory(found)
        for day in range(100):
            now = start + day * DAY
            expected = Fraction(0)
            for item in ("si_1", "si_2"):
                begun = [one for one in lines if one.item_id == item and one.from_at <= now]
                last = max(begun, key=lambda one: one.from_at, default=None)
                if last is not None and now < last.until_at and day < stop:
                    expected += last.price.unit_amount or 0
            back = sum(
                one.share for one in refunds if one.refunded_at <= now < one.until_at
            ) or Fraction(0)
            terms = history.live_at(now).get("cus_1", {}).get("sub_1")
            told = Fraction(0) if terms is None else mrr(terms, at=now, terms=CHARTMOGUL.terms)
            assert told == expected * (1 - back), (day, seed)
