"""Extracts against a real HTTP server and a real lake. Expected rows are written out by hand."""

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import stripe as sdk

from growth_pipeline.billing.extract import (
    SCHEMAS,
    STRIPE_OBJECTS,
    Part,
    extract_lists,
    extract_month,
)
from growth_pipeline.billing.objects import BY_RESOURCE
from growth_pipeline.core.errors import ExitCode, UnknownValueError, UsageError
from growth_pipeline.core.periods import Month
from growth_pipeline.stripe_api.client import StripeAccess, StripeReader
from growth_pipeline.stripe_api.errors import (
    StripeAuthError,
    StripeError,
    StripeIncompleteError,
    StripePermissionError,
)
from growth_pipeline_tests.fakes import stripe_list_server as fake
from growth_pipeline_tests.fakes.fast_access import fast_access

OCTOBER = Month(2025, 10)
START = 1_759_276_800
NOW = datetime(2025, 12, 24, 10, 30, tzinfo=UTC)


@pytest.fixture
def stripe() -> Iterator[fake.StripeListServer]:
    with fake.StripeListServer() as server:
        yield server


@pytest.fixture
def open_access(stripe) -> StripeAccess:
    """Access to the server of this test."""
    return an_access(stripe)


def an_access(stripe: fake.StripeListServer) -> StripeAccess:
    return fast_access(stripe.url, api_version=stripe.version, retry_seconds=0.5)


@pytest.fixture
def extract(stripe, lake):
    """Extracts one resource and month from the server into the lake of this test."""

    def run(resource: str, month: Month | None = OCTOBER, *, now: datetime = NOW, **options: Any):
        with StripeReader(an_access(stripe)) as reader:
            return extract_month(resource, month, reader=reader, lake=lake, now=now, **options)

    return run


def _a_charge(n: int = 1, **fields: Any) -> dict[str, Any]:
    charge = {
        "id": f"ch_{n:05d}",
        "object": "charge",
        "created": START + n,
        "livemode": False,
        "amount": 3000,
        "amount_captured": 1800,
        "amount_refunded": 500,
        "balance_transaction": "txn_1",
        "captured": True,
        "currency": "usd",
        "customer": {"id": "cus_1", "object": "customer"},
        "disputed": False,
        "failure_code": None,
        "paid": True,
        "payment_intent": "pi_1",
        "refunded": False,
        "status": "succeeded",
    }
    return charge | fields


TYPED = {
    "charges": (
        _a_charge(),
        {
            "payment_intent": "pi_1",
            "invoice": None,
            "customer": "cus_1",
            "currency": "usd",
            "amount": 3000,
            "amount_captured": 1800,
            "amount_refunded": 500,
            "captured": True,
            "paid": True,
            "status": "succeeded",
            "refunded": False,
            "disputed": False,
            "balance_transaction": "txn_1",
            "failure_code": None,
        },
    ),
    "payment_intents": (
        {
            "id": "pi_1",
            "object": "payment_intent",
            "created": START,
            "amount": 3000,
            "amount_received": 1800,
            "currency": "jpy",
            "customer": None,
            "latest_charge": {"id": "ch_1"},
            "status": "succeeded",
        },
        {
            "customer": None,
            "currency": "jpy",
            "amount": 3000,
            "amount_received": 1800,
            "status": "succeeded",
            "latest_charge": "ch_1",
        },
    ),
    "invoices": (
        {
            "id": "in_1",
            "object": "invoice",
            "created": START,
            "customer": "cus_1",
            "parent": {
                "type": "subscription_details",
                "subscription_details": {"subscription": "sub_1"},
            },
            "currency": "eur",
            "total": 1190,
            "amount_due": 1190,
            "amount_paid": 1000,
            "amount_remaining": 190,
            "status": "open",
            "billing_reason": "subscription_cycle",
            "lines": {"data": [], "has_more": False, "url": "/v1/invoices/in_1/lines"},
        },
        {
            "customer": "cus_1",
            "subscription": "sub_1",
            "payment_intent": None,
            "currency": "eur",
            "total": 1190,
            "amount_due": 1190,
            "amount_paid": 1000,
            "amount_remaining": 190,
            "status": "open",
            "billing_reason": "subscription_cycle",
        },
    ),
    "subscriptions": (
        {
            "id": "sub_1",
            "object": "subscription",
            "created": START,
            "customer": "cus_1",
            "status": "canceled",
            "currency": "usd",
            "start_date": START - 5,
            "canceled_at": START + 5,
            "ended_at": None,
            "cancel_at_period_end": False,
            "items": {
                "data": [{"id": "si_1"}, {"id": "si_2"}],
                "has_more": False,
                "url": "/v1/subscription_items",
            },
        },
        {
            "customer": "cus_1",
            "status": "canceled",
            "currency": "usd",
            "start_date": START - 5,
            "canceled_at": START + 5,
            "ended_at": None,
            "cancel_at_period_end": False,
            "items_count": 2,
        },
    ),
    "customers": (
        {
            "id": "cus_1",
            "object": "customer",
            "created": START,
            "email": "zoë@example.test",
            "delinquent": False,
        },
        {
            "email": "zoë@example.test",
            "name": None,
            "currency": None,
            "delinquent": False,
            "deleted": False,
        },
    ),
    "refunds": (
        {
            "id": "re_1",
            "object": "refund",
            "created": START,
            "charge": "ch_1",
            "payment_intent": "pi_1",
            "currency": "usd",
            "amount": 500,
            "status": "failed",
            "balance_transaction": "txn_1",
            "failure_balance_transaction": "txn_2",
        },
        {
            "charge": "ch_1",
            "payment_intent": "pi_1",
            "currency": "usd",
            "amount": 500,
            "status": "failed",
            "balance_transaction": "txn_1",
            "failure_balance_transaction": "txn_2",
        },
    ),
    "disputes": (
        {
            "id": "dp_1",
            "object": "dispute",
            "created": START,
            "charge": "ch_1",
            "payment_intent": "pi_1",
            "currency": "eur",
            "amount": 900,
            "status": "won",
            # In the settlement currency: 9.00 eur are 9.72 usd. The disputed amount counts.
            "balance_transactions": [
                {"id": "txn_1", "amount": -972},
                {"id": "txn_2", "amount": 972},
            ],
        },
        {
            "charge": "ch_1",
            "payment_intent": "pi_1",
            "currency": "eur",
            "amount": 900,
            "status": "won",
            "withdrawn_minor": 900,
            "reinstated_minor": 900,
        },
    ),
    "balance_transactions": (
        {
            "id": "txn_1",
            "object": "balance_transaction",
            "created": START,
            "currency": "usd",
            "amount": 1000,
            "fee": 59,
            "net": 941,
            "type": "charge",
            "reporting_category": "charge",
            "source": "ch_1",
            "status": "available",
            "available_on": START + 172_800,
            "exchange_rate": 1.0801,
        },
        {
            "currency": "usd",
            "amount": 1000,
            "fee": 59,
            "net": 941,
            "type": "charge",
            "reporting_category": "charge",
            "source": "ch_1",
            "status": "available",
            "available_on": START + 172_800,
            "exchange_rate": 1.0801,
        },
    ),
    "invoice_payments": (
        {
            "id": "inpay_1",
            "object": "invoice_payment",
            "created": START,
            "invoice": "in_1",
            "payment": {"type": "payment_intent", "payment_intent": "pi_1"},
            "currency": "usd",
            "amount_requested": 1190,
            "amount_paid": None,
            "is_default": True,
            "status": "open",
            "status_transitions": {"paid_at": None, "canceled_at": None},
        },
        {"invoice": "in_1", "payment_intent": "pi_1", "amount_requested": 1190, "status": "open"},
    ),
    "payouts": (
        {
            "id": "po_1",
            "object": "payout",
            "created": START,
            "amount": -500,
            "currency": "usd",
            "status": "paid",
            "automatic": True,
            "arrival_date": START + 86_400,
            "balance_transaction": {"id": "txn_9", "object": "balance_transaction"},
        },
        {"amount": -500, "automatic": True, "arrival_date": START + 86_400}
        | {"balance_transaction": "txn_9", "failure_code": None},
    ),
    "credit_notes": (
        {
            "id": "cn_1",
            "object": "credit_note",
            "created": START,
            "invoice": "in_1",
            "currency": "usd",
            "amount": 300,
            "total": 300,
            "status": "issued",
            "lines": {"data": [], "has_more": False, "url": "/v1/credit_notes/cn_1/lines"},
        },
        {"invoice": "in_1", "amount": 300, "total": 300, "status": "issued", "voided_at": None},
    ),
    "checkout_sessions": (
        {
            "id": "cs_1",
            "object": "checkout.session",
            "created": START,
            "mode": "subscription",
            "status": "complete",
            "payment_status": "paid",
            "client_reference_id": "user-7",
            "subscription": "sub_1",
        },
        {"mode": "subscription", "client_reference_id": "user-7", "subscription": "sub_1"},
    ),
    "products": (
        {"id": "team", "object": "product", "created": START, "name": "Team", "active": False},
        {"name": "Team", "active": False, "default_price": None},
    ),
    "prices": (
        {
            "id": "price_1",
            "object": "price",
            "created": START,
            "product": "team",
            "active": True,
            "currency": "usd",
            "type": "recurring",
            "unit_amount": None,
            "unit_amount_decimal": "0.05",
            "recurring": {"interval": "month", "interval_count": 3, "usage_type": "licensed"},
        },
        {"product": "team", "unit_amount": None, "type": "recurring"},
    ),
    "coupons": (
        {
            "id": "SPRING",
            "object": "coupon",
            "created": START,
            "duration": "repeating",
            "duration_in_months": 3,
            "percent_off": 12.5,
        },
        {"duration": "repeating", "duration_in_months": 3, "percent_off": 12.5},
    ),
    "promotion_codes": (
        {
            "id": "promo_1",
            "object": "promotion_code",
            "created": START,
            "code": "HELLO",
            "active": True,
            "promotion": {"type": "coupon", "coupon": "SPRING"},
        },
        {"code": "HELLO", "coupon": "SPRING", "active": True},
    ),
    "events": (
        {
            "id": "evt_1",
            "object": "event",
            "created": START,
            "type": "charge.succeeded",
            "api_version": "2025-03-31.basil",
            "data": {"object": {"id": "ch_1", "object": "charge"}},
            "request": {"id": None, "idempotency_key": None},
        },
        {"type": "charge.succeeded", "object": "charge", "object_id": "ch_1"}
        | {"rendered_version": "2025-03-31.basil", "request_id": None},
    ),
}


def test_every_list_that_has_months_is_tried():
    assert set(TYPED) == set(STRIPE_OBJECTS)


@pytest.mark.parametrize("resource", TYPED)
def test_an_object_becomes_one_row_with_stripes_columns(stripe, lake, extract, resource):
    found, expected = TYPED[resource]
    stripe.objects[BY_RESOURCE[resource].path] = [found]
    frame = lake.read(extract(resource))
    assert dict(frame.schema) == SCHEMAS[resource]
    (row,) = frame.to_dicts()
    assert {name: row[name] for name in expected} == expected
    assert set(row) == set(SCHEMAS[resource])
    assert row["fetched_from"] < row["fetched_at"]
    assert (row["account_id"], row["livemode"], row["api_version"]) == (
        "acct_1",
        False,
        fake.VERSION,
    )
    assert (row["id"], row["created"]) == (found["id"], found["created"])
    assert row["raw"].startswith(f'{{"id":"{found["id"]}"')


@pytest.mark.parametrize("resource", STRIPE_OBJECTS)
def test_a_month_without_objects_is_a_file_without_rows_that_keeps_its_columns(
    lake, extract, resource
):
    manifest = extract(resource)
    assert manifest.row_count == 0
    assert dict(lake.read(manifest).schema) == SCHEMAS[resource]
    assert manifest.certificate["complete"] is True
    assert (manifest.certificate["first_id"], manifest.certificate["last_id"]) == (None, None)


@pytest.mark.parametrize(
    ("resource", "type", "ours"),
    [
        # The second set: where our column is not a field of the newest version, by decision.
        ("payment_intents", sdk.PaymentIntent, set()),
        ("charges", sdk.Charge, {"invoice"}),
        (
            "invoices",
            sdk.Invoice,
            {
                *("subscription", "payment_intent", "finalized_at", "paid_at", "voided_at"),
                "marked_uncollectible_at",
            },
        ),
        (
            "subscriptions",
            sdk.Subscription,
            {
                *("items_count", "paused_reason", "cancellation_reason", "cancellation_feedback"),
                *("pause_collection_behavior", "pause_collection_resumes_at"),
            },
        ),
        ("customers", sdk.Customer, set()),
        ("refunds", sdk.Refund, set()),
        ("disputes", sdk.Dispute, {"withdrawn_minor", "reinstated_minor", "evidence_due_by"}),
        ("balance_transactions", sdk.BalanceTransaction, set()),
    ],
)
def test_columns_bear_the_names_that_the_sdk_knows(resource, type, ours):
    known = {name for base in type.__mro__ for name in getattr(base, "__annotations__", {})}
    added = {"account_id", "livemode", "api_version", "fetched_from", "fetched_at", "raw"}
    assert set(SCHEMAS[resource]) - known - added == ours


def test_the_certificate_states_what_was_read(stripe, extract):
    stripe.objects["charges"] = [_a_charge(n) for n in range(250)] + [
        _a_charge(9, id="ch_sept", created=START - 1)
    ]
    stripe.faults.extend([None, fake.status(500)])
    manifest = extract("charges")
    ids = "".join(f"ch_{n:05d}\n" for n in reversed(range(250)))
    certificate = dict(manifest.certificate)
    assert re.fullmatch("[0-9a-f]{32}", certificate.pop("reading"))
    fetched = [
        datetime.fromisoformat(certificate.pop(name)) for name in ("fetched_from", "fetched_to")
    ]
    assert certificate == {
        "resource": "charges",
        "window": [1_759_276_800, 1_761_955_200],
        "windows": [
            {
                "window": [1_759_276_800, 1_761_955_200],
                "pages": 3,
                "objects": 250,
                "first_id": "ch_00249",
                "last_id": "ch_00000",
            }
        ],
        "pages": 3,
        "objects": 250,
        "request_count": 4,
        "first_id": "ch_00249",
        "last_id": "ch_00000",
        "ids_sha256": hashlib.sha256(ids.encode()).hexdigest(),
        "has_more": False,
        "complete": True,
        "api_version": "2026-10-28.endive",
        "as_of": "2025-12-24T10:30:00+00:00",
        "resumed": False,
    }
    assert fetched[0] < fetched[1]
    assert manifest.row_count == 250
    assert manifest.dataset == "stripe/charges"
    assert manifest.partition == {"account": "acct_1", "mode": "test", "month": "2025-10"}


def test_the_running_month_is_read_up_to_the_start_of_the_run(stripe, lake, extract):
    stripe.objects["charges"] = [_a_charge(n) for n in range(20)]
    manifest = extract("charges", now=datetime(2025, 10, 1, 0, 0, 10, 500_000, tzinfo=UTC))
    assert sorted(lake.read(manifest)["id"]) == [f"ch_{n:05d}" for n in range(10)]
    assert manifest.certificate["window"] == [START, START + 10]


def test_the_first_half_second_of_a_month_holds_nothing_and_asks_nothing(stripe, extract):
    manifest = extract("charges", now=datetime(2025, 10, 1, 0, 0, 0, 500_000, tzinfo=UTC))
    assert (manifest.row_count, manifest.certificate["window"]) == (0, [START, START])
    assert stripe.requests == []


def test_a_month_in_the_future_is_one_clear_sentence(stripe, extract):
    with pytest.raises(UsageError, match="month 2031-01 has not begun") as caught:
        extract("charges", Month(2031, 1))
    assert caught.value.exit_code == ExitCode.WRONG_USAGE
    assert "2025-12" in caught.value.remedy
    assert stripe.requests == []


def test_what_is_not_extracted_is_refused_with_what_is(extract):
    with pytest.raises(UsageError, match="'plans' is not extracted") as caught:
        extract("plans")
    assert "balance_transactions" in caught.value.remedy


def test_a_list_longer_than_a_frame_is_whole_and_progress_is_told_after_each_page(
    stripe, lake, extract
):
    stripe.objects["charges"] = [_a_charge(n) for n in range(4_150)]
    progress: list[int] = []
    manifest = extract("charges", on_progress=progress.append)
    assert list(lake.read(manifest)["id"]) == [f"ch_{n:05d}" for n in reversed(range(4_150))]
    assert progress == sorted(progress)
    assert (progress[-1], len(progress)) == (4_150, manifest.certificate["pages"])


def test_cancelled_subscriptions_are_in_it(stripe, lake, extract):
    found, _ = TYPED["subscriptions"]
    stripe.objects["subscriptions"] = [found, found | {"id": "sub_2", "status": "active"}]
    assert set(lake.read(extract("subscriptions"))["status"]) == {"canceled", "active"}


def test_a_subscription_with_more_items_than_stripe_nests_is_whole(stripe, lake, extract):
    items = [{"id": f"si_{n}", "subscription": "sub_1", "created": START} for n in range(12)]
    nested = {
        "data": items[:10],
        "has_more": True,
        "url": "/v1/subscription_items?subscription=sub_1",
    }
    stripe.objects["subscriptions"] = [TYPED["subscriptions"][0] | {"items": nested}]
    stripe.objects["subscription_items"] = items
    (row,) = lake.read(extract("subscriptions")).to_dicts()
    assert row["items_count"] == 12
    assert '"id":"si_11"' in row["raw"]
    assert '"has_more":false' in row["raw"]


def test_an_invoice_with_more_lines_than_stripe_nests_is_whole(stripe, lake, extract):
    lines = [{"id": f"il_{n}", "object": "line_item"} for n in range(25)]
    nested = {"data": lines[:10], "has_more": True, "url": "/v1/invoices/in_1/lines"}
    stripe.objects["invoices"] = [TYPED["invoices"][0] | {"lines": nested, "all_lines": lines}]
    (row,) = lake.read(extract("invoices")).to_dicts()
    assert all(f'"id":"il_{n}"' in row["raw"] for n in range(25))


def test_of_credit_notes_the_lines_after_the_tenth_are_there(stripe, lake, extract):
    lines = [{"id": f"cnli_{n}", "object": "credit_note_line_item"} for n in range(25)]
    nested = {"data": lines[:10], "has_more": True, "url": "/v1/credit_notes/cn_1/lines"}
    note = TYPED["credit_notes"][0] | {"lines": nested, "all_lines": lines}
    stripe.objects["credit_notes"] = [note]
    (row,) = lake.read(extract("credit_notes")).to_dicts()
    assert all(f'"id":"cnli_{n}"' in row["raw"] for n in range(25))


def test_discounts_are_asked_for_whole(stripe, extract):
    extract("invoices")
    extract("subscriptions")
    extract("coupons")
    extract("prices")
    assert [request.params.get("expand[0]") for request in stripe.requests] == [
        "data.discounts",
        "data.discounts",
        "data.applies_to",
        "data.tiers",
    ]


def test_a_list_without_months_wants_none_and_one_with_months_wants_one(extract):
    with pytest.raises(UsageError, match="payment_methods is not extracted by month"):
        extract("payment_methods")
    with pytest.raises(UsageError, match="charges is extracted by month"):
        extract("charges", None)


def test_a_failed_extract_goes_on_where_it_was_and_a_new_one_reads_all_again(
    stripe, lake, extract, tmp_path
):
    stripe.objects["charges"] = [_a_charge(n) for n in range(250)]
    stripe.faults.extend([None, None])
    stripe.always = fake.status(500)
    with pytest.raises(StripeIncompleteError, match="; not read: ") as caught:
        extract("charges", checkpoints=tmp_path)
    assert "[2025-10-01T00:00:00Z, 2025-10-01T00:00:51Z)" in str(caught.value)
    stripe.always = None
    stripe.requests.clear()
    manifest = extract("charges", checkpoints=tmp_path)
    assert len(stripe.requests) == 1
    assert manifest.certificate["resumed"] is True
    assert manifest.certificate["objects"] == manifest.row_count == 250
    assert list(tmp_path.rglob("*.pages")) == []
    assert extract("charges", checkpoints=tmp_path).certificate["resumed"] is False


def test_a_reading_that_was_published_just_before_the_kill_is_not_published_again(
    stripe, extract, tmp_path
):
    stripe.objects["charges"] = [_a_charge(n) for n in range(250)]
    stripe.faults.extend([None, fake.says(403, "Having the 'rak_charge_read' permission")])
    with pytest.raises(StripePermissionError):
        extract("charges", checkpoints=tmp_path)
    (pages,) = tmp_path.rglob("*.pages")
    left = pages.read_bytes()
    first = extract("charges", checkpoints=tmp_path)
    pages.write_bytes(left)  # as if the kill had come before it was removed
    second = extract("charges", checkpoints=tmp_path)
    assert (first.certificate["resumed"], second.certificate["resumed"]) == (True, False)
    assert second.certificate["reading"] != first.certificate["reading"]


def test_a_month_that_closed_meanwhile_is_not_continued(stripe, extract, tmp_path):
    stripe.objects["charges"] = [_a_charge(n) for n in range(250)]
    stripe.faults.extend([None, fake.says(403, "Having the 'rak_charge_read' permission")])
    before_midnight = datetime(2025, 10, 31, 23, 0, tzinfo=UTC)
    with pytest.raises(StripePermissionError):
        extract("charges", now=before_midnight, checkpoints=tmp_path)
    after_midnight = datetime(2025, 11, 1, 1, 0, tzinfo=UTC)
    manifest = extract("charges", now=after_midnight, checkpoints=tmp_path)
    assert manifest.certificate["resumed"] is False
    assert manifest.certificate["window"] == [1_759_276_800, 1_761_955_200]


def test_before_basil_the_old_fields_are_read(stripe, lake, extract):
    stripe.version = "2022-11-15"
    # Authorised 30.00, captured 18.00, of which 5.00 were given back.
    stripe.objects["charges"] = [_a_charge(amount_refunded=1700, invoice="in_1")]
    without_parent = {
        name: value for name, value in TYPED["invoices"][0].items() if name != "parent"
    }
    stripe.objects["invoices"] = [
        without_parent | {"subscription": "sub_1", "payment_intent": "pi_1"}
    ]
    (charge,) = lake.read(extract("charges")).to_dicts()
    (invoice,) = lake.read(extract("invoices")).to_dicts()
    assert (charge["invoice"], charge["amount_refunded"], charge["api_version"]) == (
        "in_1",
        500,
        "2022-11-15",
    )
    assert (invoice["subscription"], invoice["payment_intent"]) == ("sub_1", "pi_1")


def test_a_dispute_that_moved_no_money_withdrew_none(stripe, lake, extract):
    lost = [{"id": "txn_1", "amount": -900}]
    stripe.objects["disputes"] = [
        TYPED["disputes"][0] | {"id": "dp_inquiry", "balance_transactions": []},
        TYPED["disputes"][0] | {"id": "dp_lost", "balance_transactions": lost},
    ]
    rows = {row["id"]: row for row in lake.read(extract("disputes")).to_dicts()}
    assert (rows["dp_inquiry"]["withdrawn_minor"], rows["dp_inquiry"]["reinstated_minor"]) == (0, 0)
    assert (rows["dp_lost"]["withdrawn_minor"], rows["dp_lost"]["reinstated_minor"]) == (900, 0)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"amount": None}, "charge ch_00001: field 'amount' is null, not int"),
        ({"amount": "3000"}, "charge ch_00001: field 'amount' is str, not int"),
        ({"amount": 30.0}, "charge ch_00001: field 'amount' is float, not int"),
        ({"amount": True}, "charge ch_00001: field 'amount' is bool, not int"),
        ({"amount": 2**63}, "charge ch_00001: field 'amount' is"),
        ({"captured": 1}, "charge ch_00001: field 'captured' is int, not bool"),
        ({"customer": 5}, "charge ch_00001: field 'customer' is int, not str"),
        ({"customer": {"object": "customer"}}, "charge ch_00001: field 'customer' is in a shape"),
    ],
)
def test_a_value_of_another_shape_stops_the_extract_and_names_the_object(
    stripe, lake, extract, fields, sentence
):
    stripe.objects["charges"] = [_a_charge(**fields)]
    with pytest.raises(UnknownValueError) as caught:
        extract("charges")
    assert str(caught.value).startswith(sentence)
    assert lake.manifests("stripe/charges") == []


def test_a_promised_field_that_is_absent_is_not_null(stripe, lake, extract):
    charge = _a_charge()
    del charge["amount_captured"]
    stripe.objects["charges"] = [charge]
    with pytest.raises(UnknownValueError, match="charge ch_00001 has no field 'amount_captured'"):
        extract("charges")
    assert lake.manifests("stripe/charges") == []


def test_odd_text_in_a_name_stops_nothing(stripe, lake, extract):
    names = ["\u0000", "a\nb", "=1+1", "\U0001f600", "\ud83d"]
    stripe.objects["customers"] = [
        {"id": f"cus_{n}", "object": "customer", "created": START, "name": name}
        for n, name in enumerate(names)
    ]
    frame = lake.read(extract("customers"))
    assert sorted(frame["name"]) == sorted([*names[:4], "?"])
    assert any(raw.endswith('"name":"\\ud83d"}') for raw in frame["raw"])


@pytest.mark.parametrize(
    "failure",
    [
        (fake.says(401, "Expired API Key"), StripeAuthError),
        (
            fake.says(403, "Having the 'rak_charge_read' permission would allow this."),
            StripePermissionError,
        ),
        (fake.status(429), StripeIncompleteError),
        (fake.cut_json, StripeIncompleteError),
        (fake.empty_with_more, StripeIncompleteError),
        (fake.drop, StripeIncompleteError),
    ],
)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_reading_that_fails_publishes_nothing_and_keeps_what_was_there(
    stripe, lake, extract, failure, at
):
    fault, error = failure
    stripe.objects["charges"] = [_a_charge(n) for n in range(250)]
    before = extract("charges")
    stripe.objects["charges"].append(_a_charge(251))
    stripe.faults.extend([None] * at)
    stripe.always = fault
    with pytest.raises(error) as caught:
        extract("charges")
    assert str(caught.value).startswith("charges of [2025-10-01T00:00:00Z, 2025-11-01T00:00:00Z)")
    assert isinstance(caught.value, StripeError)
    assert lake.manifests("stripe/charges") == [before]
    lake.verify(before)


def test_a_second_reading_replaces_the_first(stripe, lake, extract):
    stripe.objects["charges"] = [_a_charge(1, amount_refunded=0)]
    extract("charges")
    stripe.objects["charges"] = [_a_charge(1, amount_refunded=700), _a_charge(2)]
    manifest = extract("charges")
    assert lake.manifests("stripe/charges") == [manifest]
    refunded = {row["id"]: row["amount_refunded"] for row in lake.read(manifest).to_dicts()}
    assert refunded == {"ch_00001": 700, "ch_00002": 500}


def test_money_is_whole_numbers_in_every_extract():
    money = ("amount", "fee", "net", "total", "withdrawn", "reinstated")
    types = {
        type
        for schema in SCHEMAS.values()
        for name, type in schema.items()
        if name.startswith(money)
    }
    assert types == {pl.Int64()}


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not tell")
def test_twenty_years_of_many_lists_hold_few_files_open(stripe, lake, open_access, tmp_path):
    stripe.objects["charges"] = [_a_charge(1)]
    months = Month(2006, 1).until(OCTOBER)
    parts = [Part(name, month) for month in months for name in ("charges", "refunds")]
    most, limit = [0], open_files() + 300

    def count(*_: object) -> None:
        most[0] = max(most[0], open_files())

    done = list(
        extract_lists(
            parts,
            accesses=[open_access],
            lake=lake,
            now=NOW,
            checkpoints=tmp_path / "pages",
            on_progress=count,
        )
    )
    assert [one.error for one in done if one.error] == []
    assert len(done) == len(parts) == 476
    assert sum(one.manifest.row_count for one in done if one.manifest) == 1
    assert 0 < most[0] < limit
