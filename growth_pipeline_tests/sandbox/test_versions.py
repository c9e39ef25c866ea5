"""Older API versions: the same facts in the places where they were then."""

from collections import defaultdict
from copy import deepcopy

import httpx
import pytest

from growth_pipeline.sandbox.company import Company
from growth_pipeline.sandbox.control import create_app
from growth_pipeline.sandbox.lists import RESOURCES
from growth_pipeline.sandbox.stripe_server import Access
from growth_pipeline.sandbox.versions import family_of, render_event
from growth_pipeline_tests.fakes.local_server import serving
from growth_pipeline_tests.fakes.webhook_receiver import WebhookReceiver
from growth_pipeline_tests.sandbox.conftest import AS_OF, KEY
from growth_pipeline_tests.sandbox.test_events import undo, without_nulls
from growth_pipeline_tests.sandbox.test_webhooks import deliver, ids_of

PRE_BASIL, BASIL, CLOVER = "2025-02-24.acacia", "2025-08-27.basil", "2025-09-30.clover"
DAHLIA, ENDIVE = "2026-06-24.dahlia", "2026-10-28.endive"


def read(api, path, version, **params):
    """All objects of a list in a version, by id."""
    found = {}
    params = {"limit": 100, "status": "all"} | params if path == "subscriptions" else params
    while True:
        answer = api.get(f"/v1/{path}", params=params, headers={"Stripe-Version": version})
        assert answer.status_code == 200, answer.text
        assert answer.headers["stripe-version"] == version
        page = answer.json()
        found |= {obj["id"]: obj for obj in page["data"]}
        if not page["has_more"]:
            return found
        params = {**params, "limit": 100, "starting_after": page["data"][-1]["id"]}


@pytest.mark.parametrize(
    ("version", "family"),
    [
        ("2022-11-15", 0),
        ("2024-06-20", 0),
        ("2024-09-30.acacia", 0),
        (PRE_BASIL, 0),
        ("2025-03-31.basil", 1),
        (CLOVER, 2),
        ("2026-03-25.dahlia", 3),
        (ENDIVE, 4),
        ("2020-08-27", None),
        ("2025-03-31.clover", None),
        ("2026-11-25.endive", None),
        ("2026-10-28", None),
        ("", None),
    ],
)
def test_a_versions_family_is_that_of_its_name_and_time(version, family):
    assert family_of(version) == family


def test_before_basil_a_subscription_has_the_period_itself(api, objects):
    old = read(api, "subscriptions", PRE_BASIL)
    for now in objects["subscriptions"]:
        item = now["items"]["data"][0]
        was = old[now["id"]]
        assert was["current_period_start"] == item["current_period_start"]
        assert was["current_period_end"] == item["current_period_end"]
        assert not {"current_period_start", "current_period_end"} & was["items"]["data"][0].keys()
        assert (was["discount"] or {}).get("id") == (now["discounts"] or [None])[0]
    new = read(api, "subscriptions", BASIL)
    assert "current_period_end" not in next(iter(new.values()))


def test_before_basil_an_invoice_names_its_subscription_its_intent_and_its_charge(api, objects):
    intents = {join["invoice"]: join["payment"]["payment_intent"]
               for join in objects["invoice_payments"]}  # fmt: skip
    charges = {}
    for charge in sorted(objects["charges"], key=lambda charge: charge["created"]):
        charges[charge["payment_intent"]] = charge["id"]
    old = read(api, "invoices", PRE_BASIL)
    for now in objects["invoices"]:
        was = old[now["id"]]
        details = now["parent"]["subscription_details"]
        assert was["subscription"] == details["subscription"]
        assert was["payment_intent"] == intents.get(now["id"])
        assert was["charge"] == charges.get(was["payment_intent"])
        assert was["paid"] == (now["status"] == "paid")
        assert not {"parent", "total_taxes"} & was.keys()


def test_before_basil_a_line_has_its_price_whole_and_says_what_it_is(api, objects):
    prices = {price["id"]: price for price in objects["prices"]}
    lines = {line["id"]: line for line in objects["invoice_lines"]}
    kinds = set()
    for invoice in read(api, "invoices", PRE_BASIL).values():
        for was in invoice["lines"]["data"]:
            now = lines[was["id"]]
            details = now["parent"]["subscription_item_details"]
            assert was["price"] == prices[now["pricing"]["price_details"]["price"]]
            assert was["proration"] == details["proration"]
            assert was["subscription"] == details["subscription"]
            assert was["subscription_item"] == details["subscription_item"]
            assert was.get("invoice_item") == details["invoice_item"]
            kinds.add((was["type"], was["proration"]))
    assert kinds == {("subscription", False), ("invoiceitem", True)}


def test_before_basil_what_was_not_captured_counted_as_refunded(api, objects):
    old = read(api, "charges", PRE_BASIL)
    intents = {intent["id"]: intent for intent in objects["payment_intents"]}
    partly = released = 0
    for now in objects["charges"]:
        was = old[now["id"]]
        rest = 0
        if now["captured"]:
            rest = now["amount"] - now["amount_captured"]
        elif now["status"] == "succeeded":
            canceled = intents[now["payment_intent"]]["status"] == "canceled"
            rest = now["amount"] if canceled else 0
            released += canceled
        partly += 0 < rest < now["amount"]
        assert was["amount_refunded"] == now["amount_refunded"] + rest
        assert was["refunded"] == (was["amount_refunded"] == was["amount"])
        # What stays with the company is the same in both, whichever is read.
        assert now["amount_captured"] - now["amount_refunded"] == (
            (was["amount"] - was["amount_refunded"]) if now["captured"] else 0
        )
    assert partly
    assert released


def test_before_basil_payments_name_their_invoice(api, objects):
    invoices = {
        join["payment"]["payment_intent"]: join["invoice"] for join in objects["invoice_payments"]
    }
    for path, key in (("charges", "payment_intent"), ("payment_intents", "id")):
        for obj in read(api, path, PRE_BASIL).values():
            assert obj["invoice"] == invoices.get(obj[key])
        assert "invoice" not in next(iter(read(api, path, BASIL).values()))


def test_before_clover_a_discount_and_a_code_hold_their_coupon_whole(api, objects):
    coupons = {coupon["id"]: coupon for coupon in objects["coupons"]}
    for version in (PRE_BASIL, BASIL):
        params = {"expand[]": "data.discounts"}
        found = [
            discount
            for obj in read(api, "invoices", version, **params).values()
            for discount in obj["discounts"]
        ]
        assert found
        assert all(discount["coupon"] == coupons[discount["coupon"]["id"]] for discount in found)
        for code in read(api, "promotion_codes", version).values():
            assert code["coupon"] == coupons[code["coupon"]["id"]]
            assert "promotion" not in code
    for code in read(api, "promotion_codes", CLOVER).values():
        assert code["promotion"]["coupon"] in coupons


def test_before_endive_a_pause_has_no_reason_and_an_appeal_no_status(api, objects):
    assert any(sub["status_details"] for sub in objects["subscriptions"])
    for sub in read(api, "subscriptions", DAHLIA).values():
        assert "status_details" not in sub
        assert "current_trial" not in sub["items"]["data"][0]
    statuses = {dispute["status"] for dispute in read(api, "disputes", DAHLIA).values()}
    assert not any(status.startswith("appeal") for status in statuses)


def test_what_moved_can_be_expanded_where_it_was(api, objects):
    paid = next(i for i in objects["invoices"] if i["amount_paid"])
    params = {"expand[]": "payment_intent.latest_charge"}
    headers = {"Stripe-Version": PRE_BASIL}
    was = api.get(f"/v1/invoices/{paid['id']}", params=params, headers=headers).json()
    assert was["payment_intent"]["latest_charge"]["invoice"] == paid["id"]
    now = api.get(f"/v1/invoices/{paid['id']}", params=params)
    assert now.status_code == 400


def test_before_basil_there_are_no_invoice_payments(api):
    headers = {"Stripe-Version": PRE_BASIL}
    assert api.get("/v1/invoice_payments", headers=headers).status_code == 404
    assert api.get("/v1/invoice_payments", headers={"Stripe-Version": BASIL}).status_code == 200


@pytest.mark.parametrize("version", [PRE_BASIL, BASIL, CLOVER, DAHLIA])
def test_undoing_an_update_gives_the_snapshot_before_in_every_version(store, events, version):
    histories = defaultdict(list)
    for event in events[::-1][:4000][::-1]:
        shown = render_event(deepcopy(event), version, store)
        assert shown["api_version"] == version
        obj = shown["data"]["object"]
        histories[obj["object"], obj["id"]].append(shown)
    checked = 0
    for history in histories.values():
        before = last = None
        for event in history:
            snapshot = event["data"]["object"]
            if last is not None and snapshot != last:
                before = last
            last = snapshot
            if event["type"].endswith(".updated") and before is not None:
                undone = undo(snapshot, event["data"]["previous_attributes"])
                assert without_nulls(undone) == without_nulls(before), event["type"]
                checked += 1
    assert checked > 500


def test_events_are_written_in_the_accounts_version_whatever_is_asked(fresh_store):
    company = Company(as_of=AS_OF, api_version=PRE_BASIL)
    with serving(create_app(fresh_store, company, Access(KEY))) as url:
        headers = {"Authorization": f"Bearer {KEY}", "X-Sandbox-Key": KEY}
        with httpx.Client(base_url=url, headers=headers) as client:
            for version in ({}, {"Stripe-Version": ENDIVE}):
                params = {"type": "invoice.paid", "limit": 100}
                page = client.get("/v1/events", params=params, headers=version).json()
                assert {event["api_version"] for event in page["data"]} == {PRE_BASIL}
                assert all("subscription" in event["data"]["object"] for event in page["data"])
            plain = client.get("/v1/invoices").json()["data"]
            types = {e["type"] for e in client.get("/v1/events?limit=100").json()["data"]}
    assert "payment_intent" in plain[0]
    assert not any(one.startswith("invoice_payment.") for one in types)


def test_an_endpoint_of_a_version_gets_events_in_it(spoiled):
    receiver = WebhookReceiver()
    with serving(receiver.app) as url:
        deliver(spoiled, url, api_version=BASIL, types=["customer.discount.created"])
        body = {"url": f"{url}/webhooks", "secret": "whsec_x", "api_version": "yesterday"}
        assert spoiled.post("/_sandbox/deliveries", json=body).status_code == 400
    assert ids_of(receiver)
    for one in receiver.received:
        assert b'"api_version":"2025-08-27.basil"' in one.body
        assert b'"percent_off"' in one.body or b'"amount_off"' in one.body


def test_every_list_can_be_read_in_every_version(api):
    listed = set(RESOURCES) - {"discounts", "invoice_lines", "credit_note_lines"}
    for name in sorted(listed - {"subscription_items", "invoice_payments"}):
        for version in (PRE_BASIL, BASIL, CLOVER, DAHLIA):
            read(api, RESOURCES[name].path, version, limit=100)
