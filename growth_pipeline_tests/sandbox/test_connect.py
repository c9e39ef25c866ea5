"""A second account, connected to the first: asked for by header, told of by its own endpoint."""

from dataclasses import replace

import httpx
import orjson
import pytest
import stripe

from growth_pipeline.sandbox.company import build
from growth_pipeline.sandbox.control import create_app
from growth_pipeline.sandbox.store import Store
from growth_pipeline.sandbox.stripe_server import Access, Tenant
from growth_pipeline_tests.fakes.local_server import serving
from growth_pipeline_tests.fakes.webhook_receiver import WebhookReceiver
from growth_pipeline_tests.sandbox.conftest import KEY
from growth_pipeline_tests.sandbox.test_webhooks import deliver


@pytest.fixture
def other(company, tmp_path):
    tenant = Tenant(Store(tmp_path / "other.sqlite"), replace(company, months=3).connected)
    build(tenant.company, tenant.store)
    yield tenant
    tenant.store.close()


@pytest.fixture
def platform(fresh_store, company, other):
    """A client of a server with both accounts; no header is the first one."""
    app = create_app(fresh_store, company, Access(KEY), connected=[other])
    headers = {"Authorization": f"Bearer {KEY}", "X-Sandbox-Key": KEY}
    with serving(app) as url, httpx.Client(base_url=url, headers=headers) as client:
        yield client


def ids(client, path, **headers):
    page = client.get(f"/v1/{path}", params={"limit": 100}, headers=headers).json()
    return {obj["id"] for obj in page["data"]}


def test_the_header_chooses_the_account_and_nothing_of_the_other_shows(platform, company, other):
    own, theirs = company.account.id, other.account_id
    assert own != theirs
    assert ids(platform, "customers") == ids(platform, "customers", **{"Stripe-Account": own})
    found = ids(platform, "customers", **{"Stripe-Account": theirs})
    assert found
    assert not found & ids(platform, "customers")
    one = found.pop()
    assert platform.get(f"/v1/customers/{one}").status_code == 404
    headers = {"Stripe-Account": theirs}
    assert platform.get(f"/v1/customers/{one}", headers=headers).status_code == 200
    assert platform.get("/v1/account", headers=headers).json()["id"] == theirs


def test_both_accounts_use_the_same_ids_for_what_is_named_by_hand(platform, other):
    headers = {"Stripe-Account": other.account_id}
    mine = platform.get("/v1/coupons/FRIENDS20").json()
    theirs = platform.get("/v1/coupons/FRIENDS20", headers=headers).json()
    assert mine["created"] != theirs["created"]


def test_an_account_that_is_not_connected_is_refused(platform):
    answer = platform.get("/v1/charges", headers={"Stripe-Account": "acct_other"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (403, "account_invalid")
    assert "acct_other" in error["message"]


def test_connected_accounts_are_listed(platform, company, other):
    listed = platform.get("/v1/accounts").json()
    assert [account["id"] for account in listed["data"]] == [other.account_id]
    assert listed["has_more"] is False
    own = company.account.id
    assert platform.get(f"/v1/accounts/{own}").json()["id"] == own
    assert platform.get("/v1/accounts/acct_other").status_code == 404


def test_a_connect_endpoint_is_told_the_account_and_an_own_one_is_not(platform, other):
    receiver = WebhookReceiver()
    with serving(receiver.app) as url:
        deliver(platform, url, account=other.account_id, limit=50)
        deliver(platform, url, limit=50)
        wrong = {"url": url, "secret": "whsec_x", "account": "acct_other"}
        assert platform.post("/_sandbox/deliveries", json=wrong).status_code == 400
    events = [orjson.loads(one.body) for one in receiver.received]
    accounts = [event.get("account") for event in events]
    assert accounts == [other.account_id] * 50 + [None] * 50
    headers = {"Stripe-Account": other.account_id}
    listed = {e.id for e in other.store.events()}
    assert {event["id"] for event in events[:50]} <= listed
    answer = platform.get("/v1/events", headers=headers).json()
    assert {event["id"] for event in answer["data"]} <= listed


@pytest.mark.parametrize("payload", ["snapshot", "thin"])
def test_a_connect_endpoint_may_get_events_of_the_other_mode(platform, other, payload):
    receiver = WebhookReceiver()
    with serving(receiver.app) as url:
        order = {"account": other.account_id, "payload": payload, "limit": 40}
        deliver(platform, url, other_mode=True, **order)
    for one in receiver.received:
        event = orjson.loads(one.body)
        assert event["livemode"] is True
        assert b'"livemode":false' not in one.body


def test_the_truth_of_each_account_is_its_own(platform, other):
    truth = platform.get("/_sandbox/truth", params={"account": other.account_id}).json()
    assert truth["account_id"] == other.account_id
    assert truth["payments"] == list(other.store.ledger())
    lines = platform.get("/_sandbox/events", params={"account": other.account_id}).text
    assert len(lines.splitlines()) == len(list(other.store.events()))


def test_the_sdk_reads_a_connected_account(platform, other):
    client = stripe.StripeClient(KEY, base_addresses={"api": str(platform.base_url).rstrip("/")})
    account = client.v1.accounts.retrieve_current(options={"stripe_account": other.account_id})
    assert account.id == other.account_id
