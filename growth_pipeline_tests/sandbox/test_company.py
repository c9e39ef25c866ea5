"""The same company for the same seed; everything a SaaS goes through happens in it."""

import hashlib
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from growth_pipeline.sandbox.company import Company, build
from growth_pipeline.sandbox.lists import RESOURCES
from growth_pipeline.sandbox.store import Store

SMALL = Company(as_of=int(datetime(2026, 3, 20, tzinfo=UTC).timestamp()), months=5, customers=55)


def fingerprint_of(company, folder):
    """Every byte the company would ever answer or send, in one hash."""
    store = Store(folder / f"{company.name}.sqlite")
    build(company, store)
    digest = hashlib.sha256()
    for name, resource in RESOURCES.items():
        for (object_id,) in store.execute(f"select id from {name} order by pos").fetchall():
            digest.update(store.find(resource, object_id).body)
    for row in store.ledger():
        digest.update(repr(row).encode())
    store.close()
    return digest.hexdigest()


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    return fingerprint_of(SMALL, tmp_path_factory.mktemp("known"))


def test_the_same_seed_gives_the_same_bytes(known, tmp_path):
    assert fingerprint_of(SMALL, tmp_path) == known


@pytest.mark.parametrize(
    "change", [{"seed": 2}, {"months": 4}, {"livemode": True}, {"as_of": SMALL.as_of + 3600}]
)
def test_another_seed_span_mode_or_instant_gives_another_company(known, tmp_path, change):
    other = replace(SMALL, **change)
    assert other.name != SMALL.name
    assert fingerprint_of(other, tmp_path) != known


def test_a_bigger_company_begins_with_the_same_customers(tmp_path):
    ids = []
    for scale in (1, 2):
        company = replace(SMALL, scale=scale)
        store = Store(tmp_path / f"{scale}.sqlite")
        build(company, store)
        ids.append([row[0] for row in store.execute("select id from customers order by pos")])
        store.close()
    small, big = ids
    assert len(big) == 2 * len(small)
    assert big[: len(small)] == small


def test_a_big_company_keeps_events_of_the_last_thirty_days_only(tmp_path):
    company = replace(SMALL, all_events=False)
    store = Store(tmp_path / "company.sqlite")
    build(company, store)
    oldest = store.execute("select min(created) from events").fetchone()[0]
    assert company.as_of - 30 * 86400 <= oldest < company.as_of - 25 * 86400
    assert store.execute("select count(*) from charges").fetchone()[0] > 100
    store.close()


def test_the_demo_company_has_the_promised_size(events, objects, company):
    assert 6000 <= len(events) <= 12000
    assert len(objects["customers"]) == 80
    assert company.month_keys[0] == "2025-11"
    assert company.month_keys[-1] == "2026-11"
    assert company.closed_months == company.month_keys[:-1]


def test_every_month_has_payments_in_it(store, company):
    months = Counter(row["month"] for row in store.ledger())
    assert set(months) == set(company.month_keys)
    assert min(months.values()) >= 10


def test_five_currencies_are_paid_in_two_of_them_settled_in_another(objects):
    assert {charge["currency"] for charge in objects["charges"]} == {
        "usd", "eur", "gbp", "jpy", "kwd",
    }  # fmt: skip
    booked = {transaction["id"]: transaction for transaction in objects["balance_transactions"]}
    converted = {
        charge["currency"]
        for charge in objects["charges"]
        if charge["balance_transaction"]
        and booked[charge["balance_transaction"]]["currency"] != charge["currency"]
    }
    assert converted == {"jpy", "kwd"}


def test_subscriptions_end_in_every_status(objects):
    assert {subscription["status"] for subscription in objects["subscriptions"]} == {
        "active", "canceled", "incomplete", "incomplete_expired", "past_due", "paused",
        "trialing", "unpaid",
    }  # fmt: skip


def test_invoices_end_in_every_status(objects):
    assert {invoice["status"] for invoice in objects["invoices"]} == {
        "draft", "open", "paid", "uncollectible", "void",
    }  # fmt: skip


def test_charges_fail_wait_are_authorised_and_captured_in_part(objects):
    charges = objects["charges"]
    assert {charge["status"] for charge in charges} == {"failed", "pending", "succeeded"}
    authorised = [c for c in charges if c["status"] == "succeeded" and not c["captured"]]
    assert authorised
    assert all(c["paid"] and c["amount_captured"] == 0 for c in authorised)
    partly = [c for c in charges if 0 < c["amount_captured"] < c["amount"]]
    assert partly
    assert all(c["amount_refunded"] == 0 and not c["refunded"] for c in partly)


def test_refunds_succeed_wait_and_fail(objects):
    assert {refund["status"] for refund in objects["refunds"]} == {"succeeded", "pending", "failed"}
    full = [charge for charge in objects["charges"] if charge["refunded"]]
    part = [c for c in objects["charges"] if 0 < c["amount_refunded"] < c["amount"]]
    assert full
    assert part


def test_disputes_are_won_lost_open_and_inquiries(objects):
    statuses = {dispute["status"] for dispute in objects["disputes"]}
    assert statuses >= {"won", "lost", "needs_response", "warning_closed"}
    inquiries = [d for d in objects["disputes"] if d["status"].startswith("warning")]
    assert all(dispute["balance_transactions"] == [] for dispute in inquiries)


def test_prices_are_monthly_yearly_weekly_per_seat_and_tiered(objects):
    subscribed = {
        item["price"]["id"]: item["price"] for item in objects["subscription_items"]
    }.values()
    assert {price["recurring"]["interval"] for price in subscribed} == {"month", "year", "week"}
    assert {price["tiers_mode"] for price in subscribed} == {None, "graduated", "volume"}
    assert any(price["recurring"]["interval_count"] == 3 for price in subscribed)
    assert any(item["quantity"] > 1 for item in objects["subscription_items"])


def test_some_nested_lists_are_longer_than_what_they_show(objects):
    long_subscriptions = [s for s in objects["subscriptions"] if s["items"]["has_more"]]
    long_invoices = [i for i in objects["invoices"] if i["lines"]["has_more"]]
    assert long_subscriptions
    assert long_invoices
    assert all(len(i["lines"]["data"]) == 10 for i in long_invoices)


def test_trials_pauses_discounts_and_changes_of_plan_happen(events):
    types = Counter(event["type"] for event in events)
    assert types.keys() >= {
        "charge.captured", "charge.dispute.closed", "charge.dispute.created",
        "charge.dispute.funds_reinstated", "charge.dispute.funds_withdrawn",
        "charge.dispute.updated", "charge.expired", "charge.failed", "charge.pending",
        "charge.refund.updated", "charge.refunded", "charge.succeeded", "charge.updated",
        "checkout.session.async_payment_failed", "checkout.session.async_payment_succeeded",
        "checkout.session.completed", "checkout.session.expired",
        "coupon.created", "coupon.deleted", "coupon.updated", "credit_note.created",
        "credit_note.voided", "customer.created", "customer.deleted", "customer.discount.created",
        "customer.discount.deleted", "customer.subscription.created",
        "customer.subscription.deleted", "customer.subscription.paused",
        "customer.subscription.resumed", "customer.subscription.trial_will_end",
        "customer.subscription.updated", "customer.updated", "invoice.created", "invoice.deleted",
        "invoice.finalized", "invoice.marked_uncollectible", "invoice.paid",
        "invoice.payment_failed", "invoice.payment_succeeded", "invoice.updated",
        "invoice.voided", "invoice_payment.paid", "invoiceitem.created", "invoiceitem.deleted",
        "payment_method.attached", "payment_method.detached", "payment_method.updated",
        "payment_intent.amount_capturable_updated",
        "payment_intent.canceled", "payment_intent.created", "payment_intent.payment_failed",
        "payment_intent.processing", "payment_intent.succeeded", "payout.canceled",
        "payout.created",
        "payout.failed", "payout.paid", "payout.reconciliation_completed", "payout.updated",
        "plan.created", "plan.deleted", "plan.updated",
        "price.created", "price.deleted", "price.updated",
        "product.created", "product.deleted", "product.updated",
        "promotion_code.created", "promotion_code.updated",
        "refund.created", "refund.failed", "refund.updated",
        "subscription_schedule.canceled", "subscription_schedule.created",
        "subscription_schedule.released", "subscription_schedule.updated",
    }  # fmt: skip
    prorations = [
        line
        for event in events
        if event["type"] == "invoice.created"
        for line in event["data"]["object"]["lines"]["data"]
        if line["parent"]["subscription_item_details"]["proration"]
    ]
    assert any(line["amount"] < 0 for line in prorations)
    assert any(line["amount"] > 0 for line in prorations)


def test_a_deleted_customer_is_a_stub(objects):
    stubs = [customer for customer in objects["customers"] if customer.get("deleted")]
    assert stubs
    assert all(set(stub) == {"id", "object", "deleted"} for stub in stubs)
