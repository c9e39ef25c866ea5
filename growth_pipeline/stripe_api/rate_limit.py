"""How often Stripe may be asked: one bucket for the account, one for each endpoint of it.

Buckets live in this process. Processes beside it are held apart by Dagster's pool `stripe_api`.
Source: Stripe documentation, "Rate limits" (100 a second live, 25 in test mode, 25 an endpoint).
"""

from __future__ import annotations

import math
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from growth_pipeline.core.ids import Scope

if TYPE_CHECKING:
    from pyrate_limiter import Limiter

_SMOOTH_FROM = 10  # below that many a second, requests are spaced one by one


class RequestBudget:
    """Lets a request through when neither its endpoint nor the account is over its rate."""

    def __init__(self, account_per_second: float, endpoint_per_second: float) -> None:
        self._account = _limiter(account_per_second)
        self._endpoint_per_second = endpoint_per_second
        self._endpoints: dict[str, Limiter] = {}
        self._lock = Lock()

    def wait(self, endpoint: str) -> None:
        """Returns when one more request to the endpoint is within both rates.

        Ids do not matter to Stripe: every named operation, such as `list charges`, is one endpoint.
        """
        with self._lock:
            limiter = self._endpoints.get(endpoint)
            if limiter is None:
                limiter = self._endpoints[endpoint] = _limiter(self._endpoint_per_second)
        limiter.try_acquire(endpoint)
        self._account.try_acquire("account")


@cache
def shared_budget(
    scope: Scope,
    api_base: str,
    account_per_second: float,
    endpoint_per_second: float,
) -> RequestBudget:
    """The one budget that all readers of a scope in this process spend from."""
    return RequestBudget(account_per_second, endpoint_per_second)


def _limiter(per_second: float) -> Limiter:
    from pyrate_limiter import Limiter, Rate, StateBucket, TokenBucket
    from pyrate_limiter.limiter import SingleBucketFactory

    if per_second < _SMOOTH_FROM:
        rate = Rate(1, math.ceil(1000 / per_second))
    else:
        # A full burst on top of the steady rate would double the first second.
        limit = int(per_second)
        rate = Rate(limit, 1000, burst=max(1, limit // 10))
    bucket = StateBucket([rate], algorithm=TokenBucket())
    # The bucket keeps two numbers, so there is nothing for a background thread to trim.
    return Limiter(SingleBucketFactory(bucket, schedule_leak=False), buffer_ms=1)
