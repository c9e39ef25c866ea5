"""The kinds around the payments: checkout, credit notes, catalogue, schedules, payment methods."""

from collections import Counter, defaultdict

import pytest
import stripe

MIRRORED = (
    "payment_intents", "charges", "invoices", "invoice_payments", "subscriptions", "customers",
    "refunds", "disputes", "balance_transactions", "payouts", "credit_notes",
    "checkout/sessions", "products", "prices", "coupons", "promotion_codes", "payment_methods",
    "events", "invoiceitems", "subscription_schedules", "plans", "webhook_endpoints",
)  # fmt: skip


def get(api, path, **params):
    answer = api.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("path", MIRRORED)
def test_every_kind_has_a_list_and_its_objects_an_address(api, path):
    page = get(api, f"/v1/{path}", limit=1, **{"status": "all"} if path == "subscriptions" else {})
    (obj,) = page["data"]
    assert page["url"] == f"/v1/{path}"
    assert get(api, f"/v1/{path}/{obj['id']}") == obj


@pytest.mark.parametrize(
    ("path", "params"), [("invoices", {}), ("subscriptions", {"status": "all"})]
)
def test_discounts_come_whole_in_lists_when_asked_for(api, objects, path, params):
    found = {}
    while True:
        page = get(api, f"/v1/{path}", limit=100, **{"expand[0]": "data.discounts"}, **params)
        found |= {obj["id"]: obj["discounts"] for obj in page["data"]}
        if not page["has_more"]:
            break
        params = {**params, "starting_after": page["data"][-1]["id"]}
    assert any(found.values())
    for obj in objects[path]:
        assert [discount["id"] for discount in found[obj["id"]]] == obj["discounts"]
        assert all(discount["object"] == "discount" for discount in found[obj["id"]])


@pytest.mark.parametrize(
    ("path", "nested", "below"),
    [
        ("invoices", "lines", "/v1/invoices/{}/lines"),
        ("credit_notes", "lines", "/v1/credit_notes/{}/lines"),
        ("subscriptions", "items", "/v1/subscription_items?subscription={}"),
    ],
)
def test_nested_lists_beyond_ten_are_read_at_their_own_address(api, objects, path, nested, below):
    long = [obj for obj in objects[path] if obj[nested]["has_more"]]
    assert long
    for obj in long[:5]:
        url = below.format(obj["id"])
        assert obj[nested]["url"] == url
        address, _, owner = url.partition("?subscription=")
        params = {"subscription": owner} if owner else {}
        first = get(api, address, limit=10, **params)
        assert (first["data"], first["has_more"]) == (obj[nested]["data"], True)
        rest = get(api, address, limit=100, starting_after=first["data"][-1]["id"], **params)
        ids = [child["id"] for child in first["data"] + rest["data"]]
        assert len(ids) == len(set(ids)) > 10
        assert not rest["has_more"]


def test_a_credit_note_is_the_sum_of_its_lines_and_its_refund(objects):
    refunds = {refund["id"]: refund for refund in objects["refunds"]}
    kinds = set()
    for note in objects["credit_notes"]:
        kinds.add((note["type"], note["status"]))
        if not note["lines"]["has_more"]:
            assert note["amount"] == sum(line["amount"] for line in note["lines"]["data"])
        assert note["amount"] == note["pre_payment_amount"] + note["post_payment_amount"]
        for part in note["refunds"]:
            assert part["amount_refunded"] == refunds[part["refund"]]["amount"] == note["amount"]
    assert kinds == {
        ("post_payment", "issued"),
        ("pre_payment", "issued"),
        ("pre_payment", "void"),
    }


def test_an_invoice_knows_what_was_credited(objects):
    credited = Counter()
    for note in objects["credit_notes"]:
        if note["status"] == "issued":
            credited[note["invoice"], note["type"]] += note["amount"]
    for invoice in objects["invoices"]:
        before = invoice["pre_payment_credit_notes_amount"]
        after = invoice["post_payment_credit_notes_amount"]
        assert before == credited[invoice["id"], "pre_payment"]
        assert after == credited[invoice["id"], "post_payment"]


def test_checkout_sessions_are_complete_expired_or_open_still(objects, company):
    intents = {intent["id"]: intent for intent in objects["payment_intents"]}
    seen = set()
    for session in objects["checkout_sessions"]:
        seen.add((session["mode"], session["status"], session["payment_status"]))
        if session["mode"] == "payment" and session["status"] == "complete":
            intent = intents[session["payment_intent"]]
            assert intent["amount"] == session["amount_total"]
            assert (intent["status"] == "succeeded") == (session["payment_status"] == "paid")
        assert (session["status"] != "open") or session["expires_at"] > company.as_of
    assert seen == {
        ("payment", "complete", "paid"),
        ("payment", "complete", "unpaid"),
        ("payment", "expired", "unpaid"),
        ("payment", "open", "unpaid"),
        ("subscription", "complete", "paid"),
        ("subscription", "complete", "no_payment_required"),
    }


def test_a_session_that_a_bank_must_pay_tells_of_it_days_later(events):
    courses = defaultdict(list)
    for event in events:
        if event["type"].startswith("checkout.session."):
            courses[event["data"]["object"]["id"]].append(event["type"][17:])
    assert {tuple(course) for course in courses.values()} == {
        ("completed",),
        ("expired",),
        ("completed", "async_payment_succeeded"),
        ("completed", "async_payment_failed"),
    }


@pytest.mark.parametrize(
    ("kind", "name", "path"),
    [
        ("product", "products", "products"),
        ("price", "prices", "prices"),
        ("coupon", "coupons", "coupons"),
        ("plan", "plans", "plans"),
        ("invoice", "invoices", "invoices"),
        ("invoiceitem", "invoice_items", "invoiceitems"),
    ],
)
def test_what_was_deleted_is_not_found_and_not_listed(api, events, objects, kind, name, path):
    deleted = {e["data"]["object"]["id"] for e in events if e["type"] == f"{kind}.deleted"}
    gone = deleted - {obj["id"] for obj in objects[name]}
    assert gone
    for object_id in gone:
        answer = api.get(f"/v1/{path}/{object_id}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "resource_missing")


@pytest.mark.parametrize(
    "event_type",
    [
        "product.deleted", "price.deleted", "coupon.deleted", "customer.deleted",
        "customer.subscription.deleted",
    ],
)  # fmt: skip
def test_things_end_in_the_last_days_and_just_before_the_events_that_stripe_keeps(
    events, company, event_type
):
    days = [
        (company.as_of - event["created"]) / 86400
        for event in events
        if event["type"] == event_type
    ]
    assert any(ago < 4 for ago in days)
    assert any(30 < ago < 31 for ago in days)


def test_a_plan_is_the_older_form_of_a_recurring_price(objects):
    prices = {price["id"]: price for price in objects["prices"] if price["recurring"]}
    assert {plan["id"] for plan in objects["plans"]} == prices.keys()
    for plan in objects["plans"]:
        price = prices[plan["id"]]
        assert plan["amount"] == price["unit_amount"]
        assert plan["active"] == price["active"]
        assert plan["interval"] == price["recurring"]["interval"]


def test_what_paid_is_a_payment_method_of_its_customer_until_the_customer_goes(objects):
    methods = {method["id"]: method for method in objects["payment_methods"]}
    gone = {customer["id"] for customer in objects["customers"] if customer.get("deleted")}
    for charge in objects["charges"]:
        method = methods[charge["payment_method"]]
        assert method["type"] == charge["payment_method_details"]["type"]
        assert method["customer"] == (None if charge["customer"] in gone else charge["customer"])


def test_payment_methods_are_listed_below_their_customer_too(api, objects):
    method = next(one for one in objects["payment_methods"] if one["type"] == "sepa_debit")
    found = get(api, f"/v1/customers/{method['customer']}/payment_methods", type="sepa_debit")
    assert found["data"] == [method]
    assert api.get("/v1/customers/cus_none/payment_methods").status_code == 404


def test_prorations_are_invoice_items_pending_until_they_are_billed(api, objects):
    lines = {
        line["parent"]["subscription_item_details"]["invoice_item"]: line
        for line in objects["invoice_lines"]
    }
    billed = [item for item in objects["invoice_items"] if item["id"] in lines]
    assert billed
    for item in billed:
        line = lines[item["id"]]
        assert (line["amount"], line["invoice"]) == (item["amount"], item["invoice"])
    pending = get(api, "/v1/invoiceitems", limit=100, pending="true")["data"]
    waiting = {item["id"] for item in objects["invoice_items"] if item["invoice"] is None}
    assert {item["id"] for item in pending} == waiting


def test_a_planned_price_is_the_items_price_after_the_next_renewal(events, objects):
    ended = {schedule["status"] for schedule in objects["subscription_schedules"]}
    assert ended == {"active", "canceled", "released"}
    moves = [event for event in events if event["type"] == "subscription_schedule.updated"]
    assert moves
    for move in moves:
        schedule = move["data"]["object"]
        prices = [
            event["data"]["object"]["items"]["data"][0]["price"]["id"]
            for event in events
            if event["type"] == "customer.subscription.updated"
            and event["created"] == move["created"]
            and event["data"]["object"]["id"] == schedule["subscription"]
        ]
        assert prices[-1] == schedule["phases"][1]["items"][0]["price"]


def test_the_account_has_one_pinned_endpoint_until_told_otherwise(spoiled, company):
    (endpoint,) = get(spoiled, "/v1/webhook_endpoints")["data"]
    assert endpoint["api_version"] == company.account.api_version
    body = {"url": "https://other.example/hook", "api_version": None, "status": "disabled"}
    made = spoiled.post("/_sandbox/webhook_endpoints", json=body).json()
    listed = {one["id"]: one for one in get(spoiled, "/v1/webhook_endpoints")["data"]}
    assert listed == {endpoint["id"]: endpoint, made["id"]: made}
    assert (made["api_version"], made["status"]) == (None, "disabled")
    spoiled.post("/_sandbox/webhook_endpoints", json={**body, "status": "enabled"})
    assert get(spoiled, f"/v1/webhook_endpoints/{made['id']}")["status"] == "enabled"
    for wrong in ({}, {"url": 5}, {"url": "https://x.example", "colour": "red"}):
        assert spoiled.post("/_sandbox/webhook_endpoints", json=wrong).status_code == 400


def test_the_sdk_reads_the_new_lists(address, objects):
    client = stripe.StripeClient("rk_test_sandbox", base_addresses={"api": address})
    sessions = client.v1.checkout.sessions.list({"limit": 100}).auto_paging_iter()
    assert {session.id for session in sessions} == {
        session["id"] for session in objects["checkout_sessions"]
    }
    note = next(one for one in objects["credit_notes"] if one["lines"]["has_more"])
    lines = client.v1.credit_notes.line_items.list(note["id"], {"limit": 100})
    assert len(lines.data) > 10
