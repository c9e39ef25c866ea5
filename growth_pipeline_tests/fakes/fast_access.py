"""How tests reach a Stripe on loopback: without limits, and giving up soon."""

from __future__ import annotations

from typing import Any

from growth_pipeline.stripe_api.access import StripeAccess
from growth_pipeline_tests.fakes.stripe_list_server import KEY, VERSION


def fast_access(url: str, **others: Any) -> StripeAccess:
    """Key and address of account acct_1 in test mode; `others` say what differs."""
    usual = {
        "api_key": KEY,
        "api_base": url,
        "api_version": VERSION,
        "account_id": "acct_1",
        "livemode": False,
        "requests_per_second": 5_000,
        "endpoint_requests_per_second": 5_000,
        "timeout_seconds": 5,
        "retry_seconds": 0.2,
    }
    return StripeAccess(**{**usual, **others})
