"""A Stripe whose lists misbehave on demand, and readers of it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from growth_pipeline.stripe_api.client import StripeAccess, StripeReader
from growth_pipeline_tests.fakes.stripe_list_server import KEY, VERSION, StripeListServer


@pytest.fixture
def stripe() -> Iterator[StripeListServer]:
    with StripeListServer() as server:
        yield server


@pytest.fixture
def access(stripe: StripeListServer) -> Callable[..., StripeAccess]:
    """Access to the server of this test; any field may be given."""

    def make(**fields: object) -> StripeAccess:
        usual = {
            "api_key": KEY,
            "api_base": stripe.url,
            "api_version": VERSION,
            "account_id": "acct_1",
            "livemode": False,
            "requests_per_second": 5_000,
            "endpoint_requests_per_second": 5_000,
            "timeout_seconds": 5,
            "retry_seconds": 0.6,
        }
        return StripeAccess(**(usual | fields))

    return make


@pytest.fixture
def reader(access: Callable[..., StripeAccess]) -> Iterator[Callable[..., StripeReader]]:
    """Opens readers; they are closed after the test."""
    with ExitStack() as stack:
        yield lambda **fields: stack.enter_context(StripeReader(access(**fields)))
