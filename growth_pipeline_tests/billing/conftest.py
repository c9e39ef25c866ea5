from __future__ import annotations

from collections.abc import Iterator

import pytest

from growth_pipeline.stripe_api.client import StripeReader
from growth_pipeline_tests.fakes.fast_access import fast_access
from growth_pipeline_tests.fakes.living_stripe import Account, LivingStripe


@pytest.fixture
def stripe(account: Account) -> Iterator[LivingStripe]:
    """A Stripe on loopback that shows the account of a test's own fixture `account`."""
    with LivingStripe(account) as server:
        yield server


@pytest.fixture
def reader(stripe: LivingStripe) -> Iterator[StripeReader]:
    """Reads that Stripe."""
    with StripeReader(fast_access(stripe.url)) as opened:
        yield opened
