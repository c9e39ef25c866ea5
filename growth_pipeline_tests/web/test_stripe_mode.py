"""The web app says which of Stripe's modes its database is for, and receives whatever comes."""

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from growth_pipeline.billing.store import BillingStore
from growth_pipeline.web.app import create_app
from growth_pipeline_tests.fakes.stripe_events import a_charge, an_event
from growth_pipeline_tests.fakes.web_server import SECRET, settings_of, signed


@pytest.fixture
def started(database_url, tmp_path, clock):
    """Opens the app with a key, or without; the caller closes it."""

    def start(key):
        settings = settings_of(database_url, tmp_path, SECRET)
        stripe = settings.stripe.model_copy(update={"api_key": key and SecretStr(key)})
        return TestClient(create_app(settings.model_copy(update={"stripe": stripe}), clock=clock))

    return start


def test_the_first_start_with_a_key_binds_the_database(started, database):
    with started(None):
        assert BillingStore(database).bound_livemode() is None
    with started("rk_live_GrowthCanary1"):
        assert BillingStore(database).bound_livemode() is True


def test_with_a_key_of_the_other_mode_events_are_still_received_and_nothing_is_bound_anew(
    started, database
):
    with started("rk_live_GrowthCanary1"):
        pass
    body = an_event("charge.succeeded", a_charge(), livemode=True)
    with started("rk_test_GrowthCanary2") as client:
        assert (
            client.post("/webhooks/stripe", content=body, headers=signed(body)).status_code == 200
        )
    assert BillingStore(database).bound_livemode() is True
    assert sum(BillingStore(database).inbox_counts().values()) == 1
