"""What the typed columns hold, written out by hand; the shapes of old and new versions alike."""

import json
from pathlib import Path

import polars as pl
import pytest
import stripe as sdk

from growth_pipeline.billing.columns import (
    COLUMNS,
    COMMON,
    SCHEMAS,
    kept_fields,
    told_values,
    typed_values,
)
from growth_pipeline.billing.objects import BY_RESOURCE
from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.stripe_api.versions import adapter_for
from growth_pipeline_tests.fakes import version_shapes as shapes
from growth_pipeline_tests.fakes.stripe_events import (
    NEW,
    NOON,
    OLD,
    a_charge,
    a_price,
    a_subscription,
    an_invoice,
    an_invoice_payment,
)

FIXTURES = Path(__file__).parents[3] / "shared" / "contracts" / "stripe-fixtures.json"


def read(resource, found, *, version=NEW, parent=None):
    values = typed_values(resource, adapter_for(version), found, parent)
    return dict(zip(COLUMNS[resource], values, strict=True))


def told(row):
    """The columns that are not null."""
    return {name: value for name, value in row.items() if value is not None}


# --- the registry --------------------------------------------------------------------------------


def test_every_kind_of_object_has_columns_and_a_schema():
    nested = {"subscription_items", "invoice_line_items", "discounts"}
    assert set(COLUMNS) == set(BY_RESOURCE) | nested
    assert set(SCHEMAS) == set(BY_RESOURCE)
    keys = ["account_id", "livemode", "id", "created", "api_version"]
    for resource, schema in SCHEMAS.items():
        assert list(schema)[:5] == keys
        assert list(schema) == [*COMMON, *COLUMNS[resource]]


# Our columns that are no fields of the newest version: moved ones, nested ones, and our own words.
OURS = {
    "payment_intents": set(),
    "charges": {"invoice"},
    "invoices": {
        *("subscription", "payment_intent", "finalized_at", "paid_at", "voided_at"),
        "marked_uncollectible_at",
    },
    "invoice_payments": {
        *("payment_type", "payment_intent", "charge", "payment_record"),
        *("paid_at", "canceled_at"),
    },
    "subscriptions": {
        *("items_count", "paused_reason", "pause_collection_behavior"),
        *("pause_collection_resumes_at", "cancellation_reason", "cancellation_feedback"),
    },
    "customers": set(),
    "refunds": set(),
    "disputes": {"withdrawn_minor", "reinstated_minor", "evidence_due_by"},
    "balance_transactions": set(),
    "payouts": set(),
    "credit_notes": set(),
    "checkout_sessions": set(),
    "products": set(),
    "prices": {"recurring_interval", "recurring_interval_count", "recurring_usage_type"},
    "coupons": set(),
    "promotion_codes": {"coupon"},
    "payment_methods": {
        f"card_{name}" for name in "brand funding country exp_month exp_year".split()
    },
    "events": {"object_id", "rendered_version", "request_id"},
    "invoice_items": {
        *("subscription", "subscription_item", "price", "is_proration"),
        *("period_start", "period_end"),
    },
    "subscription_schedules": {"current_phase_start", "current_phase_end"},
    "plans": set(),
    "subscription_items": {
        *("product", "currency", "unit_amount_decimal", "trial_start", "trial_end"),
        *("recurring_interval", "recurring_interval_count", "recurring_usage_type"),
        "billing_scheme",
    },
    "invoice_line_items": {
        *("price", "unit_amount_decimal", "subscription_item", "invoice_item", "is_proration"),
        *("period_start", "period_end"),
    },
    "discounts": {"coupon", "starts_at", "ends_at"},
}
TYPES = {
    "payment_intents": sdk.PaymentIntent,
    "charges": sdk.Charge,
    "invoices": sdk.Invoice,
    "invoice_payments": sdk.InvoicePayment,
    "subscriptions": sdk.Subscription,
    "customers": sdk.Customer,
    "refunds": sdk.Refund,
    "disputes": sdk.Dispute,
    "balance_transactions": sdk.BalanceTransaction,
    "payouts": sdk.Payout,
    "credit_notes": sdk.CreditNote,
    "checkout_sessions": sdk.checkout.Session,
    "products": sdk.Product,
    "prices": sdk.Price,
    "coupons": sdk.Coupon,
    "promotion_codes": sdk.PromotionCode,
    "payment_methods": sdk.PaymentMethod,
    "events": sdk.Event,
    "invoice_items": sdk.InvoiceItem,
    "subscription_schedules": sdk.SubscriptionSchedule,
    "plans": sdk.Plan,
    "subscription_items": sdk.SubscriptionItem,
    "invoice_line_items": sdk.InvoiceLineItem,
    "discounts": sdk.Discount,
}


@pytest.mark.parametrize("resource", COLUMNS)
def test_columns_bear_the_names_of_the_sdk_but_where_it_is_decided_otherwise(resource):
    known = {
        name for base in TYPES[resource].__mro__ for name in getattr(base, "__annotations__", {})
    }
    assert set(COLUMNS[resource]) - known == OURS[resource]


def test_money_and_instants_are_whole_numbers_in_files():
    for columns in COLUMNS.values():
        for name, column in columns.items():
            if column.postgres_type == "timestamptz":
                assert column.type == pl.Int64(), name
            if column.postgres_type == "numeric":
                assert (name, column.type) == ("unit_amount_decimal", pl.String())


@pytest.mark.parametrize("resource", TYPES)
@pytest.mark.skipif(not FIXTURES.exists(), reason="Stripe's fixtures are not beside the project")
def test_stripes_own_fixtures_can_be_read(resource):
    fixtures = json.loads(FIXTURES.read_text())["resources"]
    name = {"invoice_line_items": "line_item", "invoice_items": "invoiceitem"}.get(resource)
    kind = BY_RESOURCE.get(resource)
    found = fixtures[name or (kind.object if kind else resource.removesuffix("s"))]
    parent = fixtures["subscription"] if resource == "subscription_items" else None
    assert len(read(resource, found, parent=parent)) == len(COLUMNS[resource])


# --- kinds, by hand ------------------------------------------------------------------------------


def test_an_invoice_tells_its_dates_from_its_transitions():
    transitions = {"finalized_at": NOON + 1, "paid_at": NOON + 2, "voided_at": None}
    invoice = an_invoice(status_transitions=transitions, number="A-1", starting_balance=-250)
    assert told(read("invoices", invoice)) == {
        "customer": "cus_1",
        "subscription": "sub_1",
        "currency": "usd",
        "total": 1000,
        "amount_due": 1000,
        "amount_paid": 0,
        "amount_remaining": 1000,
        "status": "draft",
        "number": "A-1",
        "starting_balance": -250,
        "finalized_at": NOON + 1,
        "paid_at": NOON + 2,
    }


def test_an_invoice_payment_says_what_paid_it():
    requested = {"amount_requested": 1000, "status_transitions": {"paid_at": NOON}}
    assert told(read("invoice_payments", an_invoice_payment(**requested))) == {
        "invoice": "in_1",
        "payment_type": "payment_intent",
        "payment_intent": "pi_of_ch_1",
        "currency": "usd",
        "amount_requested": 1000,
        "amount_paid": 1000,
        "is_default": True,
        "status": "paid",
        "paid_at": NOON,
    }
    outside = an_invoice_payment(payment={"type": "payment_record", "payment_record": "pr_1"})
    row = read("invoice_payments", outside)
    assert (row["payment_type"], row["payment_record"]) == ("payment_record", "pr_1")
    assert (row["payment_intent"], row["charge"]) == (None, None)


def test_a_paused_subscription_says_why():
    subscription = a_subscription(
        status="paused",
        status_details={"paused": {"subscription": {"type": "pause_requested"}}},
        pause_collection={"behavior": "void", "resumes_at": NOON + 9},
        cancellation_details={"reason": "payment_failed", "feedback": "too_expensive"},
    )
    row = read("subscriptions", subscription)
    assert row["paused_reason"] == "pause_requested"
    assert (row["pause_collection_behavior"], row["pause_collection_resumes_at"]) == (
        "void",
        NOON + 9,
    )
    assert (row["cancellation_reason"], row["cancellation_feedback"]) == (
        "payment_failed",
        "too_expensive",
    )


@pytest.mark.parametrize("version", shapes.ALL)
def test_an_item_says_the_same_in_every_version(version):
    item, subscription = shapes.subscription_item(version), shapes.subscription(version)
    row = told(read("subscription_items", item, version=version, parent=subscription))
    assert row == {
        "price": "price_1",
        "product": "prod_1",
        "currency": "usd",
        "quantity": 2,
        "unit_amount_decimal": "1000",
        "current_period_start": shapes.PERIOD[0],
        "current_period_end": shapes.PERIOD[1],
        "trial_start": shapes.TRIAL[0],
        "trial_end": shapes.TRIAL[1],
    }


@pytest.mark.parametrize("version", shapes.ALL)
def test_lines_say_the_same_in_every_version(version):
    currency = {"currency": "usd"}
    whole = read("invoice_line_items", shapes.period_line(version) | currency, version=version)
    assert told(whole) == {
        "currency": "usd",
        "amount": 2000,
        "quantity": 2,
        "price": "price_1",
        "unit_amount_decimal": "1000",
        "subscription": "sub_1",
        "subscription_item": "si_1",
        "is_proration": False,
    }
    part = read("invoice_line_items", shapes.proration_line(version) | currency, version=version)
    assert (part["invoice_item"], part["is_proration"], part["amount"]) == ("ii_2", True, -500)
    own = read("invoice_line_items", shapes.one_off_line(version) | currency, version=version)
    assert told(own) == {
        "currency": "usd",
        "amount": 300,
        "quantity": 1,
        "invoice_item": "ii_3",
        "is_proration": False,
    }


@pytest.mark.parametrize("version", shapes.ALL)
def test_discounts_and_codes_name_their_coupon_in_every_version(version):
    discount = read("discounts", shapes.discount(version), version=version)
    assert told(discount)["starts_at"] == shapes.PERIOD[0]
    assert discount["ends_at"] is None
    code = read(
        "promotion_codes", shapes.promotion_code(version) | {"active": True}, version=version
    )
    assert code["code"] == "LAUNCH"
    assert {discount["coupon"], code["coupon"]} == {"LAUNCH20"}


def test_a_price_of_a_fraction_of_a_cent_keeps_its_decimals():
    row = read("prices", a_price(unit_amount=None, unit_amount_decimal="0.000000000001"))
    assert (row["unit_amount"], row["unit_amount_decimal"]) == (None, "0.000000000001")
    assert (row["recurring_interval"], row["recurring_interval_count"]) == ("month", 1)
    assert read("prices", a_price(recurring=None))["recurring_interval"] is None


def test_an_event_names_the_version_of_its_body():
    event = {
        "id": "evt_1",
        "object": "event",
        "api_version": OLD,
        "data": {"object": {"id": "ch_1", "object": "charge"}},
        "request": None,
        "type": "charge.succeeded",
    }
    assert told(read("events", event)) == {
        "type": "charge.succeeded",
        "object": "charge",
        "object_id": "ch_1",
        "rendered_version": OLD,
    }


# --- payment methods -----------------------------------------------------------------------------

CARD = {
    "id": "pm_1",
    "object": "payment_method",
    "billing_details": {"email": "ada@example.test", "name": "Ada"},
    "card": {
        "brand": "visa",
        "checks": {"cvc_check": "pass"},
        "country": "DE",
        "exp_month": 8,
        "exp_year": 2031,
        "fingerprint": "fp_secret",
        "funding": "credit",
        "last4": "4242",
        "wallet": {"dynamic_last4": "1881"},
    },
    "created": NOON,
    "customer": {"id": "cus_1", "object": "customer", "email": "ada@example.test"},
    "livemode": False,
    "metadata": {"iban": "DE00"},
    "type": "card",
}


def test_of_a_payment_method_only_harmless_facts_are_kept():
    kept = kept_fields("payment_methods", CARD)
    assert kept == {
        "id": "pm_1",
        "object": "payment_method",
        "type": "card",
        "customer": "cus_1",
        "created": NOON,
        "livemode": False,
        "card": {
            "brand": "visa",
            "funding": "credit",
            "country": "DE",
            "exp_month": 8,
            "exp_year": 2031,
        },
    }
    assert told(read("payment_methods", kept)) == {
        "type": "card",
        "customer": "cus_1",
        "card_brand": "visa",
        "card_funding": "credit",
        "card_country": "DE",
        "card_exp_month": 8,
        "card_exp_year": 2031,
    }
    debit = kept_fields("payment_methods", {"id": "pm_2", "type": "sepa_debit", "sepa_debit": {}})
    assert debit == {"id": "pm_2", "type": "sepa_debit"}


def test_an_event_of_a_payment_method_keeps_no_more_of_it():
    data = {"object": CARD, "previous_attributes": {"card": {"last4": "1881"}}}
    event = {"id": "evt_1", "object": "event", "type": "payment_method.updated", "data": data}
    kept = kept_fields("events", event)
    assert kept["data"] == {"object": kept_fields("payment_methods", CARD)}
    assert {**kept, "data": None} == {**event, "data": None}
    other = event | {"data": {"object": a_charge()}}
    assert kept_fields("events", other) is other


def test_of_other_objects_everything_is_kept():
    charge = a_charge()
    assert kept_fields("charges", charge) is charge


# --- what cannot be read -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "found", "said"),
    [
        (
            "invoices",
            {"id": "in_1", "parent": None, "currency": "usd"},
            "in_1 has no field 'total'",
        ),
        ("payouts", {"id": "po_1", "currency": "usd", "amount": "1"}, "'amount' is str, not int"),
        ("prices", a_price(product=None), "field 'product' is null, not str"),
        ("prices", a_price(recurring="month"), "'recurring_interval' is in a shape"),
        ("plans", {"id": "gold", "active": True, "currency": "usd"}, "no field 'interval'"),
    ],
)
def test_what_stripe_promises_is_never_null(resource, found, said):
    with pytest.raises(UnknownValueError, match=said):
        read(resource, found)


def test_of_a_deleted_object_what_is_told_is_kept_and_the_rest_null():
    values = told_values("prices", adapter_for(NEW), {"id": "price_1", "currency": "usd"})
    row = dict(zip(COLUMNS["prices"], values, strict=True))
    assert told(row) == {"currency": "usd"}
