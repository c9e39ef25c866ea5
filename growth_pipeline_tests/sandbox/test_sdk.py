"""Held to the truth from outside: the installed SDK and Stripe's published fixtures."""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
import stripe
import stripe.checkout
from stripe._object_classes import get_object_class

from growth_pipeline.sandbox.lists import RESOURCES
from growth_pipeline.sandbox.view import View
from growth_pipeline_tests.sandbox.sdk_shapes import problems

FIXTURES = Path(__file__).parents[3] / "shared" / "contracts" / "stripe-fixtures.json"
LISTS = [name for name in RESOURCES if name != "events"]
SDK_CLASSES = {
    "products": stripe.Product,
    "prices": stripe.Price,
    "coupons": stripe.Coupon,
    "customers": stripe.Customer,
    "subscriptions": stripe.Subscription,
    "subscription_items": stripe.SubscriptionItem,
    "invoices": stripe.Invoice,
    "invoice_lines": stripe.InvoiceLineItem,
    "invoice_payments": stripe.InvoicePayment,
    "payment_intents": stripe.PaymentIntent,
    "charges": stripe.Charge,
    "refunds": stripe.Refund,
    "disputes": stripe.Dispute,
    "balance_transactions": stripe.BalanceTransaction,
    "payouts": stripe.Payout,
    "credit_notes": stripe.CreditNote,
    "credit_note_lines": stripe.CreditNoteLineItem,
    "checkout_sessions": stripe.checkout.Session,
    "promotion_codes": stripe.PromotionCode,
    "payment_methods": stripe.PaymentMethod,
    "invoice_items": stripe.InvoiceItem,
    "subscription_schedules": stripe.SubscriptionSchedule,
    "plans": stripe.Plan,
    "webhook_endpoints": stripe.WebhookEndpoint,
    "discounts": stripe.Discount,
}
# Keys of the newest API (endive) that the fixtures of July 2026 do not have yet: the SDK has them.
NEWER_KEYS = {
    "subscription.items.data.billed_until",
    "subscription.items.data.current_trial",
    "subscription.status_details",
    "subscription.trial_settings.end_behavior.billing_cycle_anchor",
    "subscription_item.billed_until",
    "subscription_item.current_trial",
    "dispute.evidence_details.submission_method",
    "subscription_schedule.pause_schedules",
    "invoice.status_details",
}
# Optional keys that the fixtures' single sample of an object happens not to show.
UNSHOWN_KEYS = {
    "charge.payment_method_details.sepa_debit",
    "charge.outcome.risk_level",
    "charge.outcome.risk_score",
    "customer.customer_account",
    "invoice.lines.data.pricing.price_details",
    "invoice_payment.payment.payment_intent",
    "invoiceitem.parent.subscription_details.subscription_item",
    "invoiceitem.pricing.price_details",
    "payment_method.sepa_debit",
    "line_item.pricing.price_details",
    "payment_intent.last_payment_error.advice_code",
    "payment_intent.last_payment_error.charge",
    "payment_intent.last_payment_error.code",
    "payment_intent.last_payment_error.decline_code",
    "payment_intent.last_payment_error.doc_url",
    "payment_intent.last_payment_error.message",
    "refund.destination_details.card.reference",
    "refund.destination_details.card.reference_status",
    "refund.destination_details.card.reference_type",
    "refund.failure_balance_transaction",
    "refund.failure_reason",
    "refund.pending_reason",
}


def plain(value):
    """A SDK object as JSON has it: decimals are strings there."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return str(value) if isinstance(value, Decimal) else value


def test_every_list_is_judged():
    assert set(SDK_CLASSES) == set(LISTS)


@pytest.mark.parametrize("name", LISTS)
def test_every_object_survives_the_sdk(objects, name):
    assert objects[name]
    for obj in objects[name]:
        loaded = get_object_class("V1", obj["object"]).construct_from(obj, "rk_test_x")
        assert type(loaded) is SDK_CLASSES[name]
        assert plain(loaded.to_dict()) == obj


def test_events_of_every_type_survive_the_sdk(events):
    first = {event["type"]: event for event in reversed(events)}
    for event in [*first.values(), *events[::11]]:
        loaded = stripe.Event.construct_from(event, "rk_test_x")
        assert plain(loaded.to_dict()) == event
        assert loaded.type == event["type"]


@pytest.mark.parametrize("name", LISTS)
def test_keys_types_and_words_are_those_of_the_sdk(objects, name):
    found = Counter(
        problem
        for obj in objects[name]
        if not obj.get("deleted")
        for problem in problems(obj, SDK_CLASSES[name], obj["object"])
    )
    assert found == Counter()


def test_event_types_are_known_to_the_sdk(events):
    for event in events:
        envelope = {**event, "data": {}}
        assert list(problems(envelope["type"], stripe.Event.__annotations__["type"], "type")) == []


def test_the_account_is_known_to_the_sdk(api):
    account = api.get("/v1/account").json()
    assert list(problems(account, stripe.Account, "account")) == []


# --- the published fixtures ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fixtures():
    if not FIXTURES.exists():
        pytest.skip("Stripe's fixtures are not on this machine")
    return json.loads(FIXTURES.read_text())["resources"]


def differences(obj, fixture, where, *, allowed=frozenset(NEWER_KEYS | UNSHOWN_KEYS)):
    """Keys that a fixture lacks and values of another JSON type; null agrees with everything."""
    for key, value in obj.items():
        path = f"{where}.{key}"
        if key not in fixture:
            if path not in allowed:
                yield f"{path}: not in the fixture"
        elif isinstance(value, dict) and isinstance(fixture[key], dict):
            if key != "metadata" and fixture[key]:
                yield from differences(value, fixture[key], path, allowed=allowed)
        elif isinstance(value, list) and isinstance(fixture[key], list):
            yield from element_differences(value, fixture[key], path, allowed)
        elif kind_differs(value, fixture[key]):
            yield f"{path}: {value!r} against {fixture[key]!r}"


def kind_differs(value, sample):
    """Whether two values are of other JSON types; an id and the object it names are not."""
    if isinstance(sample, dict) and {"id", "object"} <= sample.keys():
        return not isinstance(value, (str, dict, type(None)))
    return None not in (value, sample) and kind(value) != kind(sample)


def element_differences(values, samples, path, allowed):
    for value in values:
        if isinstance(value, dict) and samples and isinstance(samples[0], dict):
            yield from differences(value, samples[0], path, allowed=allowed)


def kind(value):
    return "number" if type(value) in {int, float} else type(value).__name__


@pytest.mark.parametrize("name", [name for name in LISTS if name != "events"])
def test_keys_and_types_agree_with_stripes_fixtures(objects, fixtures, name):
    found = Counter(
        difference
        for obj in objects[name]
        if not obj.get("deleted")
        for difference in differences(obj, fixtures[obj["object"]], obj["object"])
    )
    assert found == Counter()


@pytest.mark.parametrize("name", [name for name in LISTS if name != "events"])
def test_in_dahlia_objects_have_nothing_that_the_fixtures_of_its_time_lack(store, fixtures, name):
    view = View(store, "2026-06-24.dahlia", "2026-06-24.dahlia")
    found = Counter()
    for (object_id,) in store.execute(f"select id from {name} where hidden = 0").fetchall():
        obj = orjson.loads(view.find(RESOURCES[name], object_id).body)
        fixture = fixtures[obj["object"]]
        found.update(differences(obj, fixture, obj["object"], allowed=UNSHOWN_KEYS))
    assert found == Counter()


def test_events_and_stubs_agree_with_stripes_fixtures(objects, events, fixtures):
    assert set(events[0]) == set(fixtures["event"])
    stub = next(customer for customer in objects["customers"] if customer.get("deleted"))
    assert set(stub) == set(fixtures["deleted_customer"])


def test_the_lists_of_exceptions_hold_nothing_superfluous(objects, fixtures):
    used = set()
    for listed in objects.values():
        for obj in listed:
            used |= set(_paths(obj, obj["object"]))
    assert used >= NEWER_KEYS | UNSHOWN_KEYS


def _paths(obj, where):
    for key, value in obj.items():
        yield f"{where}.{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{where}.{key}")
        for element in value if isinstance(value, list) else ():
            if isinstance(element, dict):
                yield from _paths(element, f"{where}.{key}")
