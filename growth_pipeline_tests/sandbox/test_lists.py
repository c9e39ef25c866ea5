"""Lists over HTTP: pages, cursors, filters, expansion; compared with plain loops over the truth."""

import httpx
import pytest
import stripe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from growth_pipeline.sandbox.lists import RESOURCES

UNLISTED = {"discounts", "invoice_lines", "credit_note_lines", "subscription_items"}
LISTED = sorted(set(RESOURCES) - UNLISTED)
BY_TIME = [name for name in LISTED if name != "events"]
# What Stripe lists without a filter by time.
WHOLE = {"payment_methods", "webhook_endpoints"}


def get(api, path, **params):
    answer = api.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def walk(api, path, **params):
    """All objects of a list, page after page."""
    found = []
    while True:
        page = get(api, path, **params)
        found += page["data"]
        if not page["has_more"]:
            return found
        assert page["data"]
        params["starting_after"] = page["data"][-1]["id"]


@pytest.fixture(scope="module")
def whole(api):
    """Every list read to its end, newest first."""
    extra = {"subscriptions": {"status": "all"}}
    return {
        name: walk(api, f"/v1/{RESOURCES[name].path}", limit=100, **extra.get(name, {}))
        for name in LISTED
    }


def made(obj):
    """When an object was made; invoice items call it `date`."""
    return obj["date"] if obj["object"] == "invoiceitem" else obj["created"]


def params_of(name, **params):
    return {"status": "all", **params} if name == "subscriptions" else params


@pytest.mark.parametrize("name", LISTED)
def test_a_list_gives_each_object_once_newest_first(whole, name):
    created = [made(obj) for obj in whole[name]]
    assert created
    assert created == sorted(created, reverse=True)
    assert len({obj["id"] for obj in whole[name]}) == len(created)


@pytest.mark.parametrize("name", BY_TIME)
def test_a_list_gives_all_that_is_not_deleted(whole, objects, name):
    alive = {obj["id"]: obj for obj in objects[name] if not obj.get("deleted")}
    assert {obj["id"]: obj for obj in whole[name]} == alive


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_page_size_and_window_gives_the_same_objects_in_the_same_order(api, whole, data):
    name = data.draw(st.sampled_from(sorted(set(LISTED) - WHOLE)))
    times = sorted({made(obj) for obj in whole[name]})
    gte, lt = sorted(data.draw(st.tuples(st.sampled_from(times), st.sampled_from(times))))
    limit = data.draw(st.integers(7, 100))
    bounds = {"created[gte]": gte, "created[lt]": lt}
    found = walk(api, f"/v1/{RESOURCES[name].path}", limit=limit, **params_of(name), **bounds)
    assert found == [obj for obj in whole[name] if gte <= made(obj) < lt]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_both_cursors_are_exclusive_and_meet_at_any_object(api, whole, data):
    name = data.draw(st.sampled_from(LISTED))
    place = data.draw(st.integers(0, len(whole[name]) - 1))
    limit = data.draw(st.integers(1, 30))
    cursor, path = whole[name][place]["id"], f"/v1/{RESOURCES[name].path}"
    after = get(api, path, limit=limit, starting_after=cursor, **params_of(name))
    assert after["data"] == whole[name][place + 1 : place + 1 + limit]
    assert after["has_more"] == (place + 1 + limit < len(whole[name]))
    before = get(api, path, limit=limit, ending_before=cursor, **params_of(name))
    assert before["data"] == whole[name][max(0, place - limit) : place]
    assert before["has_more"] == (place > limit)


def test_created_takes_an_instant_and_all_four_bounds(api, whole):
    charges = whole["charges"]
    at = charges[len(charges) // 2]["created"]
    comparisons = {
        "created": lambda c: c == at,
        "created[gt]": lambda c: c > at,
        "created[gte]": lambda c: c >= at,
        "created[lt]": lambda c: c < at,
        "created[lte]": lambda c: c <= at,
    }
    for param, holds in comparisons.items():
        found = walk(api, "/v1/charges", limit=100, **{param: at})
        assert found == [charge for charge in charges if holds(charge["created"])]


def test_a_page_holds_ten_unless_told_otherwise(api):
    page = get(api, "/v1/charges")
    assert (len(page["data"]), page["has_more"], page["url"]) == (10, True, "/v1/charges")
    assert page["object"] == "list"


@pytest.mark.parametrize("limit", [0, -1, 101, 1000])
def test_a_limit_outside_one_to_a_hundred_is_refused(api, limit):
    answer = api.get("/v1/charges", params={"limit": limit})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "limit")


def test_two_cursors_at_once_are_refused(api, whole):
    cursor = whole["charges"][0]["id"]
    answer = api.get("/v1/charges", params={"starting_after": cursor, "ending_before": cursor})
    assert answer.status_code == 400


@pytest.mark.parametrize("param", ["starting_after", "ending_before"])
def test_an_unknown_cursor_is_a_missing_resource(api, param):
    error = api.get("/v1/charges", params={param: "ch_never"}).json()["error"]
    assert (error["code"], error["param"]) == ("resource_missing", param)


def test_a_deleted_customer_is_in_no_list_no_cursor_but_can_be_retrieved(api, objects, whole):
    stub = next(customer for customer in objects["customers"] if customer.get("deleted"))
    assert stub["id"] not in {customer["id"] for customer in whole["customers"]}
    answer = api.get("/v1/customers", params={"starting_after": stub["id"]})
    assert answer.json()["error"]["code"] == "resource_missing"
    assert get(api, f"/v1/customers/{stub['id']}") == stub


def test_a_deleted_draft_invoice_is_gone(api, events):
    gone = next(event for event in events if event["type"] == "invoice.deleted")
    answer = api.get(f"/v1/invoices/{gone['data']['object']['id']}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "resource_missing")


@pytest.mark.parametrize("name", BY_TIME)
def test_every_object_can_be_retrieved(api, whole, name):
    for obj in whole[name][::17]:
        assert get(api, f"/v1/{RESOURCES[name].path}/{obj['id']}") == obj


def test_subscriptions_hide_cancelled_ones_unless_asked(api, whole):
    every = whole["subscriptions"]
    assert {s["status"] for s in every} >= {"canceled", "active", "incomplete_expired"}

    def listed(**params):
        return walk(api, "/v1/subscriptions", limit=100, **params)

    assert listed() == [s for s in every if s["status"] != "canceled"]
    for status in {s["status"] for s in every}:
        assert listed(status=status) == [s for s in every if s["status"] == status]
    ended = {"canceled", "incomplete_expired"}
    assert listed(status="ended") == [s for s in every if s["status"] in ended]


FILTERS = [
    ("charges", "customer", lambda o: o["customer"]),
    ("charges", "payment_intent", lambda o: o["payment_intent"]),
    ("payment_intents", "customer", lambda o: o["customer"]),
    ("invoices", "customer", lambda o: o["customer"]),
    ("invoices", "status", lambda o: o["status"]),
    ("invoices", "subscription", lambda o: o["parent"]["subscription_details"]["subscription"]),
    ("invoices", "collection_method", lambda o: o["collection_method"]),
    ("customers", "email", lambda o: o["email"]),
    ("refunds", "charge", lambda o: o["charge"]),
    ("refunds", "payment_intent", lambda o: o["payment_intent"]),
    ("disputes", "charge", lambda o: o["charge"]),
    ("balance_transactions", "type", lambda o: o["type"]),
    ("balance_transactions", "currency", lambda o: o["currency"]),
    ("balance_transactions", "source", lambda o: o["source"]),
    ("payouts", "status", lambda o: o["status"]),
    ("payouts", "arrival_date", lambda o: o["arrival_date"]),
    ("invoice_payments", "invoice", lambda o: o["invoice"]),
    ("invoice_payments", "status", lambda o: o["status"]),
    ("invoice_payments", "payment[payment_intent]", lambda o: o["payment"]["payment_intent"]),
    ("products", "type", lambda o: o["type"]),
    ("prices", "product", lambda o: o["product"]),
    ("prices", "currency", lambda o: o["currency"]),
    ("prices", "recurring[interval]", lambda o: (o["recurring"] or {}).get("interval")),
    ("subscriptions", "customer", lambda o: o["customer"]),
    ("events", "type", lambda o: o["type"]),
]


@pytest.mark.parametrize(("name", "param", "value_of"), FILTERS)
def test_a_filter_keeps_what_has_the_value(api, whole, name, param, value_of):
    values = sorted({value_of(obj) for obj in whole[name]} - {None}, key=str)
    needed = {"payment[type]": "payment_intent"} if param.startswith("payment[") else {}
    for value in values[:4]:
        found = walk(api, f"/v1/{name}", limit=100, **params_of(name), **needed, **{param: value})
        assert found == [obj for obj in whole[name] if value_of(obj) == value]


@pytest.mark.parametrize("name", ["products", "prices"])
def test_active_splits_the_catalogue(api, whole, name):
    for active in (True, False):
        found = walk(api, f"/v1/{name}", limit=100, active=str(active).lower())
        assert found == [obj for obj in whole[name] if obj["active"] is active]
        assert found


def test_lists_of_values_keep_any_of_them(api, whole):
    ids = [product["id"] for product in whole["products"][:3]]
    assert get(api, "/v1/products", **{"ids[]": ids})["data"] == whole["products"][:3]
    types = ["charge.failed", "payout.paid"]
    found = walk(api, "/v1/events", limit=100, **{"types[]": types})
    assert found == [event for event in whole["events"] if event["type"] in types]
    assert api.get("/v1/events", params={"types[]": ["charge.failed"] * 21}).status_code == 400


def test_subscriptions_by_price_and_period(api, whole, objects):
    item = objects["subscription_items"][-1]
    found = walk(api, "/v1/subscriptions", limit=100, status="all", price=item["price"]["id"])
    holders = {
        i["subscription"]
        for i in objects["subscription_items"]
        if i["price"]["id"] == item["price"]["id"]
    }
    assert {subscription["id"] for subscription in found} == holders
    at = item["current_period_end"]
    found = walk(
        api, "/v1/subscriptions", limit=100, status="all", **{"current_period_end[gte]": at}
    )
    assert found == [
        s for s in whole["subscriptions"] if s["items"]["data"][0]["current_period_end"] >= at
    ]


def test_the_lines_of_a_payout_are_its_balance_transactions(api, whole):
    payout = next(p for p in whole["payouts"] if p["reconciliation_status"] == "completed")
    lines = walk(api, "/v1/balance_transactions", limit=100, payout=payout["id"])
    assert sum(line["net"] for line in lines if line["type"] != "payout") == payout["amount"]
    assert [line["net"] for line in lines if line["type"] == "payout"] == [-payout["amount"]]


def test_the_rest_of_a_nested_list_comes_from_its_own_address(api, whole, objects):
    invoice = next(i for i in whole["invoices"] if i["lines"]["has_more"])
    lines = walk(api, invoice["lines"]["url"], limit=7)
    assert lines == [line for line in objects["invoice_lines"] if line["invoice"] == invoice["id"]]
    assert lines[:10] == invoice["lines"]["data"]
    subscription = next(s for s in whole["subscriptions"] if s["items"]["has_more"])
    items = walk(api, "/v1/subscription_items", limit=4, subscription=subscription["id"])
    assert len(items) > 10
    assert items[:10] == subscription["items"]["data"]


def test_items_need_their_subscription(api):
    error = api.get("/v1/subscription_items").json()["error"]
    assert (error["code"], error["param"]) == ("parameter_missing", "subscription")


def test_events_reach_back_thirty_days_and_no_further(api, whole, events, company):
    edge = company.as_of - 30 * 86400
    wanted = [event["id"] for event in events if event["created"] >= edge]
    assert [event["id"] for event in reversed(whole["events"])] == wanted
    old = next(event for event in events if event["created"] < edge)
    assert api.get(f"/v1/events/{old['id']}").status_code == 404


# --- expansion -------------------------------------------------------------------------------------


def test_ids_are_expanded_into_the_objects_they_name(api, whole):
    page = get(api, "/v1/charges", **{"expand[]": ["data.customer", "data.balance_transaction"]})
    for shown, charge in zip(page["data"], whole["charges"], strict=False):
        assert shown["customer"]["id"] == charge["customer"]
        if charge["balance_transaction"]:
            assert shown["balance_transaction"]["net"] is not None
        same = {
            "customer": charge["customer"],
            "balance_transaction": charge["balance_transaction"],
        }
        assert {**shown, **same} == charge


def test_expansion_goes_down_four_levels_through_what_it_expands(api, whole):
    refunds = get(api, "/v1/refunds", **{"expand[]": "data.charge.payment_intent.customer"})
    assert refunds["data"][0]["charge"]["payment_intent"]["customer"]["object"] == "customer"
    paid = next(i for i in whole["invoices"] if i["amount_paid"])
    path = "payments.data.payment.payment_intent"
    shown = get(api, f"/v1/invoices/{paid['id']}", **{"expand[]": path})
    (join,) = shown["payments"]["data"]
    assert join["payment"]["payment_intent"]["amount_received"] == paid["amount_paid"]
    too_deep = api.get("/v1/invoices", params={"expand[]": f"data.{path}"})
    assert too_deep.json()["error"]["code"] == "property_expansion_max_depth"


def test_products_are_reached_from_a_single_subscription_but_not_from_a_list(api, whole):
    path = "items.data.price.product"
    subscription = whole["subscriptions"][0]
    shown = get(api, f"/v1/subscriptions/{subscription['id']}", **{"expand[]": path})
    assert shown["items"]["data"][0]["price"]["product"]["object"] == "product"
    answer = api.get("/v1/subscriptions", params={"expand[]": f"data.{path}"})
    assert answer.json()["error"]["code"] == "property_expansion_max_depth"


def test_discounts_can_be_seen_by_expanding_only(api, whole):
    invoice = next(i for i in whole["invoices"] if i["discounts"])
    shown = get(api, f"/v1/invoices/{invoice['id']}", **{"expand[]": "discounts.source.coupon"})
    assert shown["discounts"][0]["source"]["coupon"]["object"] == "coupon"
    assert api.get(f"/v1/discounts/{invoice['discounts'][0]}").status_code == 404


def test_lists_that_are_left_out_come_when_asked_for(api, objects):
    refunded = next(c for c in objects["charges"] if c["amount_refunded"])
    shown = get(api, f"/v1/charges/{refunded['id']}", **{"expand[]": "refunds"})
    assert [r["charge"] for r in shown["refunds"]["data"]] == [refunded["id"]]
    tiered = next(p for p in objects["prices"] if p["tiers_mode"])
    shown = get(api, f"/v1/prices/{tiered['id']}", **{"expand[]": "tiers"})
    assert shown["tiers"][-1]["up_to"] is None


@pytest.mark.parametrize(
    "path", ["customer", "data.amount", "data.nothing", "data.customer.name", "data"]
)
def test_what_cannot_be_expanded_is_refused(api, path):
    answer = api.get("/v1/charges", params={"expand[]": path})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "expand")


# --- the SDK as the client ---------------------------------------------------------------------------


def test_the_sdk_reads_the_lists_to_their_end(address, whole):
    client = stripe.StripeClient("rk_test_sandbox", base_addresses={"api": address})
    read = [charge.id for charge in client.v1.charges.list({"limit": 100}).auto_paging_iter()]
    assert read == [charge["id"] for charge in whole["charges"]]
    assert client.v1.accounts.retrieve_current().id.startswith("acct_")


def test_an_unknown_address_is_not_found(api):
    for path in (
        "/v1/nothing",
        "/v1/charges/ch_1/refunds",
        "/v1/discounts",
        "/v1/account/x",
        "/v1/",
    ):
        answer = api.get(path)
        assert (answer.status_code, answer.json()["error"]["type"]) == (
            404,
            "invalid_request_error",
        )
    assert api.post("/v1/charges").status_code == 404


def test_a_list_read_while_the_client_keeps_one_connection_open(address):
    with httpx.Client(base_url=address, headers={"Authorization": "Bearer rk_test_sandbox"}) as one:
        assert {one.get("/v1/charges").status_code for _ in range(20)} == {200}
