"""Invoices as the mirror of a real Postgres has them: what was billed, for how long, given back."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from growth_pipeline.core.ids import Scope
from growth_pipeline.revenue.history_store import HistoryStore
from growth_pipeline.revenue.invoice_basis import Facts, Refund, states_under
from growth_pipeline.revenue.invoice_store import InvoiceStore
from growth_pipeline.revenue.policies import PRESETS
from growth_pipeline.revenue.spells import mrr_at, spells_of
from growth_pipeline_tests.fakes.living_company import a_line, a_list
from growth_pipeline_tests.fakes.stripe_events import (
    NOON,
    a_charge,
    a_price,
    a_refund,
    a_subscription,
    an_event,
    an_invoice,
    an_invoice_payment,
)
from growth_pipeline_tests.revenue.test_history_store import receive

DAY = 86_400
MONTH = 30 * DAY
CHARTMOGUL = PRESETS["chartmogul"]
SCOPE = Scope("self", False)


def billed(key, start, end, amount=1000, **more):
    line = a_line(f"il_{key}", amount)
    parent = more.pop("parent", {})
    line["parent"]["subscription_item_details"] |= {"subscription_item": "si_sub_1", **parent}
    return line | {"period": {"start": start, "end": end}, **more}


def invoice_of(key, *lines, at=NOON, **more):
    found = an_invoice(key, status="paid", created=at, lines=a_list(list(lines)))
    return an_event("invoice.paid", found | more, id=f"evt_{key}", created=at)


@pytest.fixture
def store(database):
    return InvoiceStore(database, SCOPE)


def test_months_that_follow_each_other_are_one_and_a_new_amount_is_another(database, store):
    price = an_event("price.created", a_price(product="prod_9"), id="evt_price")
    edges = [NOON + number * MONTH for number in range(4)]
    receive(
        database,
        price,
        invoice_of("in_1", billed("1", edges[0], edges[1]), at=edges[0]),
        invoice_of("in_2", billed("2", edges[1], edges[2]), at=edges[1]),
        invoice_of("in_3", billed("3", edges[2], edges[3], 1600, quantity=2), at=edges[2]),
    )
    (lines,) = store.read_facts(CHARTMOGUL).lines.values()
    assert [(one.from_at, one.until_at, one.quantity, one.price.unit_amount) for one in lines] == [
        (edges[0], edges[2], 1, 1000),
        (edges[2], edges[3], 2, 800),
    ]
    assert {(one.customer_id, one.item_id, one.price.product) for one in lines} == {
        ("cus_1", "si_sub_1", "prod_9")
    }


def test_voided_bills_prorations_and_what_is_of_no_subscription_are_no_service(database, store):
    lasting = (NOON, NOON + MONTH)
    manual = billed("4", *lasting)
    manual["parent"] = {
        "type": "invoice_item_details",
        "subscription_item_details": None,
        "invoice_item_details": {"invoice_item": "ii_1", "subscription": None, "proration": False},
    }
    receive(
        database,
        an_event("price.created", a_price(), id="evt_price"),
        invoice_of("in_1", billed("1", *lasting, 700), status="void"),
        invoice_of("in_2", billed("2", *lasting, 800, parent={"proration": True}), manual),
        invoice_of("in_3", billed("3", *lasting, 900), status="draft"),
    )
    (lines,) = store.read_facts(CHARTMOGUL).lines.values()
    assert [(one.invoice_id, one.price.unit_amount) for one in lines] == [("in_3", 900)]


def test_a_line_is_net_of_tax_inside_it_and_names_its_discounts_with_their_duration(
    database, store
):
    coupon = {"id": "co_1", "object": "coupon", "created": NOON, "duration": "repeating"}
    coupon |= {"percent_off": 10, "amount_off": None, "currency": None, "duration_in_months": 3}
    discount = {"id": "di_1", "object": "discount", "customer": "cus_1", "start": NOON}
    discount |= {"end": None, "source": {"type": "coupon", "coupon": coupon}}
    receive(
        database,
        an_event("price.created", a_price(), id="evt_price"),
        an_event("coupon.created", coupon, id="evt_coupon"),
        an_event(
            "customer.subscription.created", a_subscription(discounts=[discount]), id="evt_sub"
        ),
        invoice_of(
            "in_1",
            billed(
                *("1", NOON, NOON + MONTH, 1190),
                taxes=[
                    {"amount": 190, "tax_behavior": "inclusive"},
                    {"amount": 50, "tax_behavior": "exclusive"},
                ],
                discount_amounts=[
                    {"amount": 100, "discount": "di_1"},
                    {"amount": 30, "discount": "di_unknown"},
                    {"amount": 0, "discount": "di_1"},
                ],
            ),
        ),
    )
    ((line,),) = store.read_facts(CHARTMOGUL).lines.values()
    assert line.price.unit_amount == 1000
    assert line.taken_off == (("repeating", 100), (None, 30))


def test_a_price_that_nobody_told_is_unknown_and_never_zero(database, store):
    receive(database, invoice_of("in_1", billed("1", NOON, NOON + MONTH)))
    ((line,),) = store.read_facts(CHARTMOGUL).lines.values()
    assert line.price.unit_amount is None


def test_a_refund_takes_its_share_of_the_service_it_paid_for(database, store):
    end = NOON + MONTH
    receive(
        database,
        an_event("price.created", a_price(), id="evt_price"),
        an_event("customer.subscription.created", a_subscription(), id="evt_sub"),
        invoice_of(
            "in_1",
            billed("1", NOON, end, 1000),
            billed("2", NOON, end - DAY, 250, parent={"subscription_item": "si_2"}),
            total=1250,
        ),
        an_event("invoice_payment.paid", an_invoice_payment(amount_paid=1000), id="evt_pay"),
        an_event("charge.refunded", a_charge(amount_refunded=400), id="evt_charge"),
        an_event("refund.created", a_refund(created=NOON + 5 * DAY), id="evt_refund"),
        an_event(
            "refund.failed", a_refund("re_2", status="failed", created=NOON + DAY), id="evt_failed"
        ),
    )
    facts = store.read_facts(CHARTMOGUL)
    # 4.00 of 10.00 that was captured, which paid 10.00 of a bill of 12.50: 8 of 25.
    assert facts.refunds == {
        "sub_1": [Refund("sub_1", NOON + 5 * DAY, end, Fraction(8, 25), False)]
    }
    states = list(HistoryStore(database, SCOPE).read_states())
    spells = spells_of(states_under(states, CHARTMOGUL, facts), CHARTMOGUL)
    days = [NOON, NOON + 5 * DAY - 1, NOON + 5 * DAY, end - DAY, end]
    # 12.50 less 32 % of it; 10.00 less 32 % of it once the shorter service is over.
    assert [sum(mrr_at(spells, day).values()) for day in days] == [1250, 1250, 850, 680, 0]


def test_nothing_is_read_for_a_policy_that_asks_for_no_invoice(database, store):
    receive(database, invoice_of("in_1", billed("1", NOON, NOON + MONTH)))
    assert store.read_facts(PRESETS["growth"]) == Facts()
    only_refunds = replace(CHARTMOGUL, basis="subscription")
    assert store.read_facts(only_refunds).lines == {}
