"""Query parameters: exactly those of the SDK's types are taken, each of them is there."""

from contextlib import suppress
from functools import reduce

import pytest
import stripe.params
from hypothesis import given
from hypothesis import strategies as st
from stripe._request_options import RequestOptions

from growth_pipeline.sandbox.errors import ApiError
from growth_pipeline.sandbox.list_params import check, parse
from growth_pipeline.sandbox.lists import RESOURCES

LISTED = sorted(set(RESOURCES) - {"discounts", "invoice_lines", "credit_note_lines"})
OPTIONS = set(RequestOptions.__annotations__)


def keys_of(name):
    """Read off the SDK's class itself, not by the sandbox's code."""
    kind = reduce(getattr, name.split("."), stripe.params)
    return set(kind.__annotations__) - OPTIONS


def a_value_for(key):
    values = {
        "limit": "3",
        "status": {"subscriptions": "active", "checkout_sessions": "complete"},
        "active": "true",
        "shippable": "true",
        "delivery_success": "true",
        "collection_method": "charge_automatically",
        "created": "1",
        "allow_redisplay": "always",
        "canceled_at": "1",
        "completed_at": "1",
        "released_at": "1",
        "pending": "true",
        "scheduled": "true",
        "due_date": "1",
        "arrival_date": "1",
        "current_period_start": "1",
        "current_period_end": "1",
    }
    return values.get(key, "nothing_has_this")


@pytest.mark.parametrize("name", LISTED)
def test_every_parameter_the_sdk_knows_is_taken(api, name):
    needed = {"subscription": "sub_none"} if name == "subscription_items" else {}
    for key in sorted(keys_of(f"{RESOURCES[name].sdk}ListParams")):
        if key in {"starting_after", "ending_before", "expand"}:
            continue
        value = a_value_for(key)
        if isinstance(value, dict):
            value = value.get(name, "paid")
        pairs = {
            "ids": {"ids[]": "x"},
            "types": {"types[]": "charge.failed"},
            "lookup_keys": {"lookup_keys[]": "x"},
            "recurring": {"recurring[interval]": "month"},
            "payment": {"payment[type]": "payment_intent"},
            "automatic_tax": {"automatic_tax[enabled]": "true"},
            "customer_details": {"customer_details[email]": "a@b.example"},
            "type": {
                "type": {"products": "service", "payment_methods": "card"}.get(name, "recurring")
            },
        }.get(key, {key: value})
        answer = api.get(f"/v1/{RESOURCES[name].path}", params={**needed, **pairs})
        assert answer.status_code == 200, (key, answer.text)


@pytest.mark.parametrize("name", LISTED)
@pytest.mark.parametrize("key", ["modified", "updated", "page", "offset", "api_key", "created_gte"])
def test_what_the_sdk_does_not_know_is_refused(api, name, key):
    assert key not in keys_of(f"{RESOURCES[name].sdk}ListParams")
    answer = api.get(f"/v1/{RESOURCES[name].path}", params={key: "1"})
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("parameter_unknown", key)
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("charges", "status"),
        ("payment_intents", "status"),
        ("refunds", "status"),
        ("customers", "status"),
        ("subscription_items", "created"),
        ("invoices", "charge"),
    ],
)
def test_filters_people_wish_for_do_not_exist(api, name, key):
    answer = api.get(f"/v1/{name}", params={key: "1"})
    assert answer.json()["error"]["code"] == "parameter_unknown"


@pytest.mark.parametrize(
    "query",
    [
        "created=yesterday",
        "created[gte]=1.5",
        "created[since]=5",
        "limit=ten",
        "limit[]=5",
        "status=paid",
        "automatic_tax[enabled]=perhaps",
        "created=5&created[gte]=5",
        "customer[id]=cus_1",
    ],
)
def test_values_of_the_wrong_form_are_refused(api, query):
    answer = api.get(f"/v1/subscriptions?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_retrieving_takes_expand_alone(api):
    charge = api.get("/v1/charges", params={"limit": 1}).json()["data"][0]["id"]
    error = api.get(f"/v1/charges/{charge}", params={"limit": 1}).json()["error"]
    assert error["code"] == "parameter_unknown"


def test_brackets_become_nested_values():
    pairs = [("created[gte]", "5"), ("expand[]", "a"), ("expand[1]", "b"), ("limit", "7")]
    assert parse(pairs) == {"created": {"gte": "5"}, "expand": ["a", "b"], "limit": "7"}
    checked = check({"created": {"gte": "5"}, "limit": "7"}, "ChargeListParams")
    assert checked == {"created.gte": 5, "limit": 7}


@given(st.lists(st.tuples(st.text(), st.text())))
def test_no_query_string_whatever_breaks_the_parser(pairs):
    with suppress(ApiError):
        check(parse(pairs), "SubscriptionListParams")
