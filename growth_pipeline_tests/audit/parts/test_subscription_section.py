"""Subscriptions on three sides: Stripe's list, the mirror, the application. Worked by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from growth_pipeline.audit.codes import CODES, Cause, Severity
from growth_pipeline.audit.confirm import Asker
from growth_pipeline.audit.evidence import Frame
from growth_pipeline.audit.findings import Finding, Verdict
from growth_pipeline.audit.parts.subscription_records import Records
from growth_pipeline.audit.parts.subscription_section import examine_subscriptions
from growth_pipeline.audit.sections import Section, View
from growth_pipeline.audit.sources import read_sources
from growth_pipeline.audit.window import Window
from growth_pipeline.billing.columns import SCHEMAS
from growth_pipeline.storage.sql import load_sql
from growth_pipeline_tests.audit.company import (
    AS_OF,
    NOON,
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    VERSION,
    Company,
    epoch,
)
from growth_pipeline_tests.audit.subscribers import (
    PERIOD_END,
    PERIOD_START,
    Subscribers,
    a_price,
    a_subscription,
    an_item,
)

DAY = timedelta(days=1)
WINDOW = Window(
    start=epoch(OCTOBER.start),
    end=epoch(OCTOBER.end),
    as_of=epoch(AS_OF),
    cutoff=epoch(AS_OF - timedelta(hours=1)),
)


@pytest.fixture
def side(company) -> Subscribers:
    return Subscribers(company)


def findings(company: Company, **how: Any) -> list[Finding]:
    """Findings of this part, by the subscription they are about."""
    found = company.audit(**how).findings
    own = [one for one in found if CODES[one.code].section == "subscriptions"]
    return sorted(own, key=lambda one: one.object_id)


def told(company: Company, **how: Any) -> list[tuple[str, str, tuple[str, ...], Any]]:
    """Findings as (code, id, further codes, impact by currency)."""
    return [
        (one.code, one.object_id, one.also, None if one.impacts is None else dict(one.impacts))
        for one in findings(company, **how)
    ]


def section(company: Company, **how: Any) -> dict[str, Any]:
    (found,) = [one for one in company.audit(**how).sections if one["section"] == "subscriptions"]
    return {**found, "sides": {name: figures(one) for name, one in found["sides"].items()}}


def figures(side: dict[str, Any]) -> dict[str, Any]:
    return {name: side[name] for name in ("stripe", "database", "currency", "measure")}


def at(moment: datetime) -> int:
    return epoch(moment)


def numbered(number: int, found: dict[str, Any]) -> dict[str, Any]:
    """The same subscription as another customer's."""
    items = [{**one, "id": f"{one['id']}_{number}"} for one in found["items"]["data"]]
    names = {"id": f"sub_{number}", "customer": f"cus_{number}"}
    if found["latest_invoice"]:
        names["latest_invoice"] = f"in_{number}"
    return {**found, **names, "items": {**found["items"], "data": items}}


def ended(**fields: Any) -> dict[str, Any]:
    """A subscription that was cancelled at once, a day after its beginning."""
    end = at(NOON + DAY)
    why = {"reason": fields.pop("reason", "cancellation_requested"), "feedback": None}
    return a_subscription(
        status="canceled", canceled_at=end, ended_at=end, cancellation_details=why, **fields
    )


# --- all sides agree -----------------------------------------------------------------------------


def test_sides_that_agree_have_no_finding_and_equal_figures(company, side):
    side.add(a_subscription(1), row={"mrr_minor": 4900})
    side.add(a_subscription(2, an_item(2, quantity=3)), row={"mrr_minor": 14700})
    audit = company.audit()
    assert audit.verdict is Verdict.PASS
    found = section(company)
    assert (found["judged"], found["not_judged"]) == (2, [])
    assert found["sides"] == {
        "live": {"stripe": 2, "database": 2, "currency": None, "measure": "live subscriptions"},
        "access": {
            "stripe": 2,
            "database": 2,
            "currency": None,
            "measure": "trialing, active or past due at Stripe; with access here",
        },
        "mrr usd": {"stripe": 19600, "database": 19600, "currency": "usd", "measure": "MRR"},
    }


def trialing() -> dict[str, Any]:
    end = at(AS_OF + 9 * DAY)
    item = an_item(1, current_period_end=end)
    begin = at(NOON)
    return a_subscription(
        1, item, status="trialing", trial_start=begin, trial_end=end, latest_invoice=None
    )


def collection_paused() -> dict[str, Any]:
    return a_subscription(pause_collection={"behavior": "void", "resumes_at": None})


NORMAL: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "a trial that has access and no MRR yet": (trialing(), {"mrr_minor": 0}),
    "a trial whose price the application counts already": (trialing(), {"mrr_minor": 4900}),
    "a trial without access": (trialing(), None),
    "a first payment under way, with access": (a_subscription(status="incomplete"), {}),
    "a first payment under way, without access": (a_subscription(status="incomplete"), None),
    "a first payment that never came": (a_subscription(status="incomplete_expired"), None),
    "an unpaid renewal, with access": (
        a_subscription(status="past_due"),
        {"access_ends_at": PERIOD_START},
    ),
    "a period that ended with its access, and is not renewed yet": (
        a_subscription(1, an_item(1, current_period_end=at(AS_OF))),
        {"access_ends_at": AS_OF},
    ),
    "an unpaid renewal, without access": (
        a_subscription(status="past_due"),
        {"has_access": False},
    ),
    "a cancellation for the end of the period": (
        a_subscription(cancel_at_period_end=True, cancel_at=at(PERIOD_END), canceled_at=at(NOON)),
        {},
    ),
    "access until a cancellation in the middle of the period": (
        a_subscription(cancel_at=at(AS_OF + DAY), canceled_at=at(NOON)),
        {"access_ends_at": AS_OF + DAY},
    ),
    "a cancellation whose paid period goes on": (ended(), {}),
    "a cancellation without access": (ended(), {"has_access": False, "mrr_minor": 4900}),
    "access without an end": (a_subscription(), {"access_ends_at": None}),
    "an application that keeps neither plan nor seats nor MRR": (
        a_subscription(),
        {"price_id": None, "quantity": None},
    ),
    "one of several plans is named": (
        a_subscription(1, an_item(1), an_item(2, a_price("price_add", 900), 4)),
        {"price_id": "price_add", "quantity": 4, "mrr_minor": 4900 + 4 * 900},
    ),
    "collection paused, with access and MRR": (collection_paused(), {"mrr_minor": 4900}),
    "collection paused, without access": (collection_paused(), None),
    "a free plan without access": (a_subscription(1, an_item(1, a_price(amount=0))), None),
    "a paused subscription without access": (a_subscription(status="paused"), None),
    "an unpaid subscription without access": (a_subscription(status="unpaid"), None),
    "an end of access within the tolerance": (
        a_subscription(),
        {"access_ends_at": PERIOD_END + timedelta(minutes=60)},
    ),
    "a metered plan": (
        a_subscription(1, an_item(1, a_price(usage_type="metered"), None)),
        {"mrr_minor": 0},
    ),
}


def test_normal_life_raises_no_alarm(company, side):
    side.add(a_subscription(99))  # the application tells something
    names = {}
    for number, (name, (subscription, row)) in enumerate(NORMAL.items()):
        names[f"sub_{number}"] = name
        side.add(numbered(number, subscription), is_provided=row is not None, row=row or {})
    assert {names[one.object_id]: one.code for one in findings(company)} == {}
    assert section(company)["judged"] == len(NORMAL) + 1


# --- the mirror ----------------------------------------------------------------------------------


def test_a_live_subscription_that_the_mirror_lacks_is_missing(company, side):
    side.add(is_mirrored=False)
    assert told(company) == [("subscription_missing", "sub_1", (), {"usd": -4900})]
    (found,) = findings(company)
    assert (found.severity, found.cause) == (Severity.HIGH, Cause.NEVER_DELIVERED)
    assert found.evidence["link"] == "https://dashboard.stripe.com/acct_1/subscriptions/sub_1"
    assert found.command == "growth repair --month 2025-10"


def test_an_ended_subscription_that_the_mirror_lacks_is_none(company, side):
    side.add(ended(), is_mirrored=False, is_provided=False)
    assert told(company) == []


def test_a_live_subscription_that_stripe_lacks_is_missing(company, side):
    side.mirrored(a_subscription())
    assert told(company) == [("subscription_missing", "sub_1", (), {"usd": 4900})]
    asked = {"subscriptions": None}
    found = told(company, confirm=lambda resource, _: asked[resource])
    assert found == [("subscription_missing", "sub_1", (), {"usd": 4900})]


def test_a_subscription_that_only_its_list_lacks_makes_the_list_incomplete(company, side):
    subscription = a_subscription()
    side.mirrored(subscription)
    (found,) = company.audit(confirm=lambda *_: subscription).findings
    assert (found.code, found.object_id) == ("source_incomplete", "stripe/subscriptions")
    assert "Stripe knows sub_1, but its list did not hold it" in str(found.evidence["reason"])


def test_statuses_that_differ(company, side):
    cases = [
        ("canceled", "active", Severity.HIGH, {"usd": 4900}),
        ("active", "canceled", Severity.HIGH, {"usd": -4900}),
        ("active", "past_due", Severity.MEDIUM, {}),
        ("active", "trialing", Severity.MEDIUM, {"usd": -4900}),
        ("canceled", "incomplete_expired", Severity.MEDIUM, {}),
    ]
    for number, (theirs, ours, *_) in enumerate(cases):
        stripe = numbered(number, a_subscription(status=theirs))
        side.add(stripe, mirror={**stripe, "status": ours}, is_provided=False)
    found = findings(company)
    assert {one.code for one in found} == {"subscription_status"}
    assert [(one.severity, one.impacts) for one in found] == [case[2:] for case in cases]
    assert found[0].evidence["details"]["subscription_status"] == {
        "stripe": "canceled",
        "mirror": "active",
    }


def test_a_plan_that_the_mirror_and_the_application_have_not_heard_of(company, side):
    before = a_subscription(1, an_item(1, a_price("price_old", 1900), 2))
    now = a_subscription(1, an_item(1, a_price("price_new", 4800), 2))
    row = {"price_id": "price_old", "mrr_minor": 3800}
    side.add(now, mirror=before, row=row)
    assert told(company) == [("tier_mismatch", "sub_1", ("mrr_drift",), {"usd": -5800})]
    (found,) = findings(company)
    assert found.evidence["details"]["tier_mismatch"] == {
        "stripe": ["price_new"],
        "application": "price_old",
    }


def test_seats_that_only_the_mirror_has_not_heard_of(company, side):
    side.add(a_subscription(1, an_item(1, quantity=7)), mirror=a_subscription(1, an_item(1)))
    assert told(company) == [("quantity_mismatch", "sub_1", (), {"usd": -6 * 4900})]


def test_a_renewal_that_the_mirror_has_not_heard_of(company, side):
    late = an_item(1, current_period_end=at(PERIOD_END + 31 * DAY))
    found = a_subscription(1, late)
    side.add(found, mirror=a_subscription())
    assert told(company) == [("period_mismatch", "sub_1", (), {})]


def test_a_price_that_differs_in_the_mirror_drifts(company, side):
    """The same price id at another amount: a row of the mirror that was changed by hand."""
    side.add(mirror=a_subscription(1, an_item(1, a_price(amount=4000))))
    assert told(company) == [("mrr_drift", "sub_1", (), {"usd": -900})]


def test_an_item_that_is_gone_from_the_mirror_is_another_plan(company, side):
    both = a_subscription(1, an_item(1), an_item(2, a_price("price_add", 900)))
    side.add(both, mirror=a_subscription(1, an_item(1)), row={"mrr_minor": 5800})
    assert told(company) == [("tier_mismatch", "sub_1", (), {"usd": -900})]


# --- access --------------------------------------------------------------------------------------


def test_access_that_ended_before_a_period_that_is_over_was_missing(company, side):
    ended = an_item(1, current_period_end=at(AS_OF - timedelta(minutes=1)))
    early = AS_OF - timedelta(minutes=2)
    side.add(a_subscription(1, ended), row={"access_ends_at": early})
    side.add(a_subscription(2, ended), row={"has_access": False})
    assert told(company) == [("paid_not_provisioned", f"sub_{number}", (), {}) for number in (1, 2)]


def test_who_pays_has_access(company, side):
    for number, row in enumerate((None, {"has_access": False}, {"access_ends_at": AS_OF})):
        found = numbered(number, a_subscription())
        side.add(found, is_provided=row is not None, row=row or {})
    side.add(a_subscription(9), row={"access_ends_at": PERIOD_END})
    assert told(company) == [
        ("paid_not_provisioned", f"sub_{number}", (), {}) for number in range(3)
    ]
    assert {(one.severity, one.cause) for one in findings(company)} == {
        (Severity.HIGH, Cause.HANDLED_WRONG)
    }


def test_who_has_not_paid_the_newest_invoice_need_not_have_access(company, side):
    subscription = a_subscription(collection_method="send_invoice")
    side.listed(subscription)
    side.mirrored(subscription)
    side.invoice("in_1", status="open")
    side.add(a_subscription(2))
    assert told(company) == []
    money = dict.fromkeys(("total", "amount_due", "amount_paid"), 4900)
    company.other("invoices", id="in_1", status="paid", currency="usd", **money)
    assert told(company) == [("paid_not_provisioned", "sub_1", (), {})]


def test_stripe_is_asked_about_an_invoice_that_nobody_else_knows(company, side):
    subscription = a_subscription(latest_invoice="in_9")
    side.listed(subscription)
    side.mirrored(subscription)
    side.add(a_subscription(2))
    answers = {"sub_1": subscription, "in_9": {"id": "in_9", "status": "paid"}}
    assert told(company, confirm=lambda _, key: answers[key]) == [
        ("paid_not_provisioned", "sub_1", (), {})
    ]
    answers["in_9"]["status"] = "open"
    assert told(company, confirm=lambda _, key: answers[key]) == []


def test_who_has_access_pays(company, side):
    cases = [
        (ended(), {"access_ends_at": None, "mrr_minor": 5000}, {"usd": 5000}),
        (ended(), {"access_ends_at": None}, {"usd": 4900}),
        (ended(), {"access_ends_at": PERIOD_END + DAY}, {"usd": 4900}),
        (ended(reason="payment_failed"), {}, {"usd": 4900}),
        (ended(reason=None), {}, {"usd": 4900}),
        (a_subscription(status="unpaid"), {}, {"usd": 4900}),
        (a_subscription(status="paused"), {}, {"usd": 4900}),
        (a_subscription(status="incomplete_expired"), {}, {"usd": 4900}),
    ]
    for number, (subscription, row, _) in enumerate(cases):
        side.add(numbered(number, subscription), row=row)
    found = findings(company)
    assert {one.code for one in found} == {"provisioned_not_paid"}
    assert [one.impacts for one in found] == [impact for *_, impact in cases]


def test_an_unpaid_renewal_gives_access_for_30_days(company, side):
    company.as_of = datetime(2025, 12, 20, 12, tzinfo=UTC)
    company.months = [*company.months, NOVEMBER.next]
    period = {
        "current_period_start": at(NOON + 31 * DAY),
        "current_period_end": at(NOON + 92 * DAY),
    }
    late = a_subscription(1, an_item(1, **period), status="past_due", latest_invoice="in_late")
    side.listed(late)
    side.mirrored(late)
    side.provided(late, mrr_minor=4900)
    unpaid = {"status": "open", "subscription": "sub_1", "attempt_count": 2, "currency": "usd"}
    company.mirrored("invoice", "in_late", **unpaid)
    for days, expected in ((29, []), (30, ["provisioned_not_paid"])):
        with company.database.connection() as connection:
            connection.execute(
                "update stripe.invoices set created_at = %s where id = 'in_late'",
                [company.as_of - days * DAY],
            )
        assert [code for code, *_ in told(company)] == expected


def test_an_access_to_nothing_is_unpaid(company, side):
    side.provided(has_access=True, user_id="user_1", mrr_minor=700, currency="usd")
    side.provided(has_access=True, user_id="user_2")
    side.provided(has_access=True, user_id="team", mrr_minor=0, currency="usd")
    side.provided(has_access=False, user_id="user_3")
    side.provided(has_access=True, user_id="user_4", access_ends_at=AS_OF - DAY)
    side.provided(has_access=True, user_id="user_5", written_at=AS_OF - timedelta(minutes=59))
    side.provided(has_access=True, user_id="user_6", written_at=SEPTEMBER.start)
    found = findings(company)
    assert [(one.code, one.object, one.impacts) for one in found] == [
        ("provisioned_not_paid", "entitlement", {"usd": 700}),
    ]
    assert section(company)["not_judged"] == [
        "Accesses to no subscription whose mrr_minor is null: 1. Whether they should be paid "
        "(provisioned_not_paid) is not told: write 0 for those that are free."
    ]
    assert found[0].evidence["application"]["user_id"] == "user_1"
    assert found[0].action.endswith(f"Row of billing.entitlements: id {found[0].object_id}.")


def test_an_access_to_a_subscription_that_nobody_knows_is_missing_in_stripe(company, side):
    side.provided(subscription_id="sub_none", has_access=True, mrr_minor=1900, currency="usd")
    expected = ("subscription_missing", "sub_none", ("provisioned_not_paid",), {"usd": 1900})
    assert told(company) == [expected]
    assert told(company, confirm=lambda *_: None) == [expected]
    known = a_subscription(created=at(SEPTEMBER.start))
    assert told(company, confirm=lambda *_: known) == []


def test_an_access_to_a_subscription_of_another_month_belongs_to_that_month(company, side):
    side.add(a_subscription(created=at(SEPTEMBER.start)), is_mirrored=False, row={"mrr_minor": 1})
    assert told(company) == []


# --- plan, seats, period, MRR as the application has them ---------------------------------------------


def test_another_plan_is_worth_what_its_price_says(company, side):
    company.mirrored("price", "price_max", **a_price("price_max", 9900))
    side.add(row={"price_id": "price_max", "mrr_minor": 4900})
    assert told(company) == [("tier_mismatch", "sub_1", (), {"usd": 5000})]


def test_a_plan_that_nobody_can_price_is_worth_the_stored_mrr_or_unknown(company, side):
    side.add(a_subscription(1), row={"price_id": "price_x", "mrr_minor": 6900})
    side.add(a_subscription(2), row={"price_id": "price_x"})
    assert told(company) == [
        ("tier_mismatch", "sub_1", ("mrr_drift",), {"usd": 2000}),
        ("tier_mismatch", "sub_2", (), None),
    ]


def test_more_seats_than_are_paid(company, side):
    side.add(a_subscription(1, an_item(1, quantity=3)), row={"quantity": 8})
    assert told(company) == [("quantity_mismatch", "sub_1", (), {"usd": 5 * 4900})]


def test_seats_of_a_trial_move_no_mrr(company, side):
    side.add(trialing(), row={"quantity": 8})
    assert told(company) == [("quantity_mismatch", "sub_1", (), {})]


def test_an_access_that_ends_at_another_time_than_the_paid_period(company, side):
    side.add(row={"access_ends_at": PERIOD_END + timedelta(minutes=60, seconds=1)})
    assert told(company) == [("period_mismatch", "sub_1", (), {})]
    (found,) = findings(company)
    assert found.severity is Severity.MEDIUM
    assert found.evidence["details"]["period_mismatch"] == {
        "stripe": ["2025-11-15T12:00:00+00:00"],
        "application": "2025-11-15T13:00:01+00:00",
    }


def test_stored_mrr_that_is_not_the_subscriptions(company, side):
    side.add(row={"mrr_minor": 4901})
    assert told(company) == [("mrr_drift", "sub_1", (), {"usd": 1})]


def test_a_value_with_decimals_may_be_rounded_either_way(company, side):
    """18.30 a year is 152.5 a month: 152 by half-even, 153 by half-up."""
    for number, stored in enumerate((151, 152, 153, 154)):
        yearly = an_item(1, a_price(amount=1830, interval="year"))
        side.add(numbered(number, a_subscription(1, yearly)), row={"mrr_minor": stored})
    assert told(company) == [
        ("mrr_drift", "sub_0", (), {"usd": -1}),
        ("mrr_drift", "sub_3", (), {"usd": 2}),
    ]


def test_stored_mrr_in_another_currency_counts_in_both(company, side):
    side.add(row={"mrr_minor": 4500, "currency": "eur"})
    assert told(company) == [("mrr_drift", "sub_1", (), {"eur": 4500, "usd": -4900})]


def a_discounted(coupon: str = "HALF", **bounds: Any) -> dict[str, Any]:
    discount = {
        "id": "di_1",
        "object": "discount",
        "start": at(NOON),
        "end": None,
        "promotion_code": None,
        "source": {"type": "coupon", "coupon": coupon},
        **bounds,
    }
    return a_subscription(discounts=[discount])


def test_a_discount_lowers_mrr_on_all_sides(company, side):
    side.coupon("HALF", percent_off=50.0)
    side.discount("di_1", "HALF", "sub_1")
    side.add(a_discounted(), row={"mrr_minor": 2450})
    assert told(company) == []
    assert section(company)["sides"]["mrr usd"]["stripe"] == 2450


def test_mrr_without_its_discount_drifts(company, side):
    side.coupon("HALF", percent_off=50.0)
    side.discount("di_1", "HALF", "sub_1")
    side.add(a_discounted(), row={"mrr_minor": 4900})
    assert told(company) == [("mrr_drift", "sub_1", (), {"usd": 2450})]


def test_a_discount_that_ran_out_in_the_period_may_still_be_stored(company, side):
    """The next bill brings the full price; until then both amounts are right."""
    side.coupon("HALF", percent_off=50.0, duration="repeating")
    side.discount("di_1", "HALF", "sub_1", ends_at=NOON + DAY)
    ran_out = a_discounted(end=at(NOON + DAY))
    side.add(ran_out, row={"mrr_minor": 2450})
    assert told(company) == []


def test_mrr_under_an_unknown_coupon_is_unknown_and_not_judged(company, side):
    side.add(a_discounted("GONE"), row={"mrr_minor": 1})
    assert told(company) == []
    assert section(company)["sides"]["mrr usd"] == {
        "stripe": None,
        "database": None,
        "currency": "usd",
        "measure": "MRR",
    }


def test_tiers_come_from_the_mirrors_price(company, side):
    tiered = a_price("price_t", 0, billing_scheme="tiered", tiers_mode="volume")
    tiered["unit_amount_decimal"] = None
    tiers = [
        {"up_to": 10, "unit_amount": 500, "flat_amount": None},
        {"up_to": None, "unit_amount": 300, "flat_amount": 1000},
    ]
    company.mirrored("price", "price_t", **{**tiered, "tiers": tiers})
    side.add(a_subscription(1, an_item(1, tiered, 20)), row={"mrr_minor": 7000})
    assert told(company) == []
    assert section(company)["sides"]["mrr usd"]["stripe"] == 7000


def test_a_coupon_whose_products_are_not_told_leaves_several_products_unknown(company, side):
    side.coupon("HALF", percent_off=50.0)
    side.discount("di_1", "HALF", "sub_1")
    other = an_item(2, a_price("price_b", 100, product="prod_b"))
    found = {**a_discounted(), "items": {"data": [an_item(1), other], "has_more": False}}
    side.add(found, row={"mrr_minor": 1})
    assert told(company) == []


# --- two subscriptions where one is meant --------------------------------------------------------------


def twice(side: Subscribers, **second: Any) -> None:
    side.add(a_subscription(1))
    later = a_subscription(2, created=at(NOON) + 600, customer="cus_1", **second)
    side.add(later)


def test_the_younger_of_two_subscriptions_to_a_product_is_the_surplus(company, side):
    twice(side)
    assert told(company) == [("duplicate_subscription", "sub_2", (), {"usd": 4900})]
    (found,) = findings(company)
    assert (found.severity, found.cause) == (Severity.MEDIUM, Cause.AT_STRIPE)
    assert found.evidence["details"]["duplicate_subscription"] == {"with": ["sub_1"]}


@pytest.mark.parametrize("known_by", ["file", "mirror"])
def test_the_older_one_may_be_of_another_month(company, side, known_by):
    older = a_subscription(1, created=at(SEPTEMBER.start))
    if known_by == "file":
        side.listed(older)
    else:
        side.mirrored(older)
    side.add(a_subscription(2, customer="cus_1"))
    assert told(company) == [("duplicate_subscription", "sub_2", (), {"usd": 4900})]
    gone = {**older, "status": "canceled"}
    assert told(company, confirm=lambda _, key: {"sub_1": gone}.get(key)) == []


def test_replaced_ended_and_other_subscriptions_double_nothing(company, side):
    seconds = [
        {"status": "canceled", "ended_at": at(NOON + DAY)},
        {"cancel_at": at(PERIOD_END), "cancel_at_period_end": True},
        {"cancel_at_period_end": True},
        {"status": "incomplete"},
        {"items": {"data": [an_item(2, a_price(product="prod_other"))], "has_more": False}},
    ]
    for number, fields in enumerate(seconds):
        first = numbered(number, a_subscription())
        side.add(first)
        later = numbered(number + 50, a_subscription(created=at(NOON) + 600, **fields))
        has_row = later["status"] not in {"canceled", "incomplete"}
        side.add({**later, "customer": first["customer"]}, is_provided=has_row)
    assert told(company) == []


def left_and_came_back(side: Subscribers, number: int = 1) -> None:
    """Cancelled since September's file was frozen, and subscribed again; the mirror knows."""
    gone_at = at(NOON - DAY)
    old = numbered(number, a_subscription(created=at(SEPTEMBER.start), latest_invoice=None))
    side.listed(old)
    side.company.objects["subscriptions"][-1]["fetched_from"] = SEPTEMBER.end
    gone = {**old, "status": "canceled", "canceled_at": gone_at, "ended_at": gone_at}
    side.mirrored(gone, state_from=NOON - DAY)
    again = numbered(number + 50, a_subscription())
    side.add({**again, "customer": old["customer"]})


def test_a_customer_who_left_and_came_back_has_one_subscription_and_costs_no_question(
    company, side
):
    for number in range(1, 4):
        left_and_came_back(side, number)
    asked = []

    def confirm(_: str, key: str) -> None:
        asked.append(key)

    assert told(company) == []
    assert told(company, confirm=confirm) == []
    assert asked == []


def test_a_mirror_that_missed_an_end_does_not_override_a_newer_file(company, side):
    gone_at = at(NOON - DAY)
    old = a_subscription(created=at(SEPTEMBER.start), latest_invoice=None)
    side.mirrored(old, state_from=SEPTEMBER.start)
    side.listed({**old, "status": "canceled", "canceled_at": gone_at, "ended_at": gone_at})
    side.add(a_subscription(2, customer="cus_1"))
    assert told(company) == []


def test_the_second_oldest_is_doubled_where_stripe_says_that_the_oldest_ended(company, side):
    oldest = a_subscription(1, created=at(SEPTEMBER.start), latest_invoice=None)
    side.mirrored(oldest)
    second = side.add(a_subscription(2, customer="cus_1"))
    third = side.add(a_subscription(3, customer="cus_1", created=at(NOON) + 60))
    answers = {"sub_1": {**oldest, "status": "canceled"}, "sub_2": second, "sub_3": third}
    (found,) = findings(company, confirm=lambda _, key: answers.get(key))
    assert (found.code, found.object_id) == ("duplicate_subscription", "sub_3")
    assert found.evidence["details"]["duplicate_subscription"] == {"with": ["sub_2"]}


def without_questions(company: Company) -> Section:
    """This part of an audit that may ask, but whose questions are used up."""
    company.write()
    view = View(
        scope=company.scope,
        month=OCTOBER,
        window=WINDOW,
        sources=read_sources(company.lake, company.scope, OCTOBER, company.as_of),
        engine=company.engine,
        store=company.store,
        asker=Asker(lambda *_: None, reference_limit=0),
        frame=Frame(company.scope, OCTOBER),
    )
    return examine_subscriptions(view)


def left_open(code: str, number: int) -> str:
    return (
        f"Subscriptions that may be {code}, but about which Stripe gave no answer: {number}. "
        "An audit asks about a limited number of objects."
    )


def test_a_double_that_stripe_could_not_be_asked_about_is_no_finding(company, side):
    twice(side)
    found = without_questions(company)
    assert (found.findings, found.problems) == ((), ())
    assert found.not_judged == (left_open("duplicate_subscription", 1),)


def test_high_candidates_beyond_the_questions_are_counted_and_leave_no_verdict(company, side):
    side.provided(subscription_id="sub_none", has_access=True, mrr_minor=1900, currency="usd")
    side.mirrored(a_subscription(7))
    side.add(is_provided=False)
    with company.database.connection() as connection:
        connection.execute("delete from stripe.invoices")
    end = AS_OF + timedelta(minutes=5)
    now = a_subscription(3, status="past_due")
    side.add(a_subscription(3), mirror=now, state_from=end, origin="fetch", event_id=None)
    found = without_questions(company)
    assert found.findings == ()
    assert found.not_judged == (
        left_open("subscription_missing", 2),
        left_open("subscription_status", 1),
        left_open("paid_not_provisioned", 1),
    )
    assert [(one.resource, one.reason) for one in found.problems] == [
        (
            "invoices",
            "Stripe gave no answer about 1 subscriptions that may be paid_not_provisioned: "
            "extract the month again",
        ),
        (
            "subscriptions",
            "Stripe gave no answer about 2 subscriptions that may be subscription_missing: "
            "extract the month again",
        ),
    ]


# --- too young, under way, asked again ------------------------------------------------------------------


def test_a_young_subscription_is_not_judged(company, side):
    company.as_of = NOON + timedelta(minutes=59)
    side.add(is_mirrored=False, is_provided=False)
    side.provided(subscription_id="sub_0", has_access=False)
    assert told(company) == []
    company.as_of = NOON + timedelta(minutes=61)
    assert [code for code, *_ in told(company)] == ["subscription_missing"]


def test_a_change_within_the_grace_period_is_left_to_the_next_audit(company, side):
    end = at(AS_OF - timedelta(minutes=59))
    late = a_subscription(status="canceled", canceled_at=end, ended_at=end)
    side.add(late, mirror=a_subscription())
    assert told(company) == []
    assert section(company)["not_judged"] == [
        "Subscriptions that seem to differ, but changed in the grace period or after their list "
        "was read: 1. The next audit judges them."
    ]


def test_a_change_that_came_after_the_list_is_left_to_the_next_audit(company, side):
    end = AS_OF + timedelta(minutes=5)
    now = a_subscription(status="canceled", canceled_at=at(end), ended_at=at(end))
    side.add(mirror=now, row={"has_access": False, "mrr_minor": 0}, state_from=end)
    assert told(company) == []
    assert told(company, confirm=lambda *_: now) == []


def test_stripe_is_asked_again_before_anything_is_said(company, side):
    side.add(row={"quantity": 5})
    assert told(company, confirm=lambda *_: a_subscription()) == [
        ("quantity_mismatch", "sub_1", (), {"usd": 4 * 4900})
    ]
    now = a_subscription(1, an_item(1, quantity=5))
    assert told(company, confirm=lambda *_: now) == []


def test_an_event_that_stripe_lists_in_the_grace_period_speaks_of_a_change(company, side):
    from growth_pipeline.audit.confirm import StripeNow

    side.add(mirror=a_subscription(1, an_item(1, quantity=2)))
    asked = []

    def pages(resource: str, params: dict[str, str]) -> Any:
        asked.append((resource, dict(params)))
        yield [{"data": {"object": {"id": listed}}}]

    now = StripeNow(lambda *_: a_subscription(), pages)
    listed = "sub_1"
    assert told(company, confirm=now) == []
    listed = "sub_other"
    assert told(company, confirm=now) == [("quantity_mismatch", "sub_1", (), {"usd": 4900})]
    hour = {"created[gte]": at(AS_OF - timedelta(minutes=60)), "created[lt]": at(AS_OF) + 1}
    params = {name: str(value) for name, value in hour.items()}
    assert asked[0] == ("events", {"type": "customer.subscription.updated", **params})


def test_events_that_cannot_be_listed_make_no_source_incomplete(company, side):
    from growth_pipeline.audit.confirm import StripeNow
    from growth_pipeline.core.errors import GrowthError

    side.add(mirror=a_subscription(1, an_item(1, quantity=2)))

    def pages(*_: Any) -> Any:
        raise GrowthError("events: 403, the key lacks the right to read them")
        yield

    found = company.audit(confirm=StripeNow(lambda *_: a_subscription(), pages)).findings
    assert [one.code for one in found] == ["quantity_mismatch"]


# --- nothing told, nothing readable ---------------------------------------------------------------------


def test_an_application_that_tells_nothing_is_not_judged(company, side):
    side.add(is_provided=False)
    assert told(company) == []
    found = section(company)
    assert found["not_judged"] == [
        "Access was not judged: the application has written no row of billing.entitlements for "
        "this account and mode."
    ]
    assert set(found["sides"]) == {"live", "mrr usd"}


def test_rows_of_another_mode_tell_nothing_about_this_one(company, side):
    side.add(is_provided=False)
    side.provided(a_subscription(9), livemode=False)
    assert told(company) == []


def test_an_unreadable_subscription_makes_the_list_incomplete(company, side):
    side.add()
    side.listed(a_subscription(2))
    company.objects["subscriptions"][-1]["raw"] = json.dumps({"id": "sub_2"})
    (found,) = company.audit().findings
    assert (found.code, found.object_id) == ("source_incomplete", "stripe/subscriptions")


def test_a_row_by_hand_is_named_as_the_cause(company, side):
    side.add(row={"quantity": 5, "written_by": "hand"})
    (found,) = findings(company)
    assert found.cause is Cause.WRITTEN_BY_HAND


class ListAlone:
    """A view of one list and the database, as records need it."""

    def __init__(self, company: Company) -> None:
        rows = company.objects["subscriptions"]
        told = {"api_version": VERSION, "fetched_from": AS_OF}
        self._frame = pl.DataFrame(
            [{**told, **one} for one in rows], schema=SCHEMAS["subscriptions"], orient="row"
        )
        self._engine = company.engine
        self.scope = company.scope
        self.store = company.store
        self.window = WINDOW

    def of_month(self, _: str) -> pl.DataFrame:
        return self._frame

    def rows(self, statement: str, tables: Any, params: Any) -> list[dict[str, Any]]:
        return self._engine.query(load_sql(f"audit/{statement}"), tables, params).to_dicts()


@pytest.mark.parametrize("at_once", [1, 2, 5, 6])
def test_a_long_list_is_read_in_parts_that_leave_nothing_out(company, side, at_once):
    for number in range(1, 6):
        side.listed(a_subscription(number))
    records = Records(ListAlone(company), rows_at_once=at_once)
    parts = [[state.id for state in part] for part in records.of_month()]
    assert [one for part in parts for one in part] == [f"sub_{number}" for number in range(1, 6)]
    assert all(len(part) <= at_once for part in parts)
