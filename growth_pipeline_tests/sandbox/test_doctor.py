"""The doctor's questions about webhook endpoints, asked of a server that answers as Stripe does."""

from dataclasses import replace

import pytest

from growth_pipeline.operate.doctor import examine_stripe, examine_webhooks
from growth_pipeline.sandbox.company import build
from growth_pipeline.sandbox.control import create_app
from growth_pipeline.sandbox.store import Store
from growth_pipeline.sandbox.stripe_server import Access, Tenant
from growth_pipeline.settings import Settings
from growth_pipeline_tests.fakes.local_server import serving
from growth_pipeline_tests.sandbox.conftest import KEY

OURS = "https://app.example/webhooks/stripe"


def checks_of(address, **stripe):
    given = {"api_key": KEY, "api_base": address, "webhook_secrets": "whsec_GrowthCanary1"}
    settings = Settings(_env_file=None, stripe=given | stripe)
    return [(check.name, check.state) for check in examine_webhooks(settings)]


def test_an_endpoint_that_is_pinned_to_our_version_is_in_order(address):
    assert checks_of(address) == [("webhooks", "ok"), ("webhook endpoint", "ok")]


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"api_version": None}, "warn"),
        ({"api_version": "2026-03-25.dahlia"}, "warn"),
        ({"status": "disabled"}, "fail"),
        ({"enabled_events": ["charge.succeeded"]}, "warn"),
    ],
)
def test_an_endpoint_that_was_changed_at_stripe_is_noticed(spoiled, change, state):
    changed = spoiled.post("/_sandbox/webhook_endpoints", json={"url": OURS, **change})
    assert changed.status_code == 200
    assert checks_of(str(spoiled.base_url).rstrip("/"))[1:] == [("webhook endpoint", state)]


def test_without_a_key_stripe_is_not_asked():
    assert checks_of("http://127.0.0.1:1", api_key=None) == [("webhooks", "ok")]


def test_a_key_without_the_right_to_read_endpoints_is_a_warning_with_a_remedy(spoiled):
    fault = {"kind": "403", "resource": "webhook_endpoints", "times": 5}
    assert spoiled.post("/_sandbox/faults", json=fault).status_code < 300
    assert checks_of(str(spoiled.base_url).rstrip("/"))[1:] == [("webhook endpoint", "warn")]


@pytest.fixture
def platform(store, company, tmp_path):
    """Address of a server with a second account, and that account's id."""
    tenant = Tenant(Store(tmp_path / "other.sqlite"), replace(company, months=1).connected)
    build(tenant.company, tenant.store)
    with serving(create_app(store, company, Access(KEY), connected=[tenant])) as url:
        yield url, tenant.account_id
    tenant.store.close()


def test_every_kind_we_read_and_every_connected_account_is_asked_for(platform):
    url, connected = platform
    settings = Settings(
        _env_file=None,
        stripe={
            "api_key": KEY,
            "api_base": url,
            "connected_accounts": f"{connected},acct_stranger",
            "requests_per_second": 1000,
            "endpoint_requests_per_second": 1000,
        },
    )
    checks = {check.name: check for check in examine_stripe(settings)}
    assert checks["stripe"].sentence.endswith("all 18 sources")
    assert checks[f"account {connected}"].state == "ok"
    assert checks["account acct_stranger"].state == "fail"
    assert "acct_stranger" in checks["account acct_stranger"].sentence
