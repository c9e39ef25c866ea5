"""What goes wrong on purpose: rate limits, outages, broken answers, missing rights."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from growth_pipeline.sandbox.errors import ApiError

KINDS = (
    "429",
    "500",
    "timeout",
    "truncated",
    "reset",
    "401",
    "403",
    "empty_page",
    "cursor_deleted",
)
_LIMITED = (
    "Request rate limit exceeded. Learn more about rate limits here "
    "https://docs.stripe.com/rate-limits."
)


@dataclass
class Fault:
    """A fault that meets the next requests of one list (`*`: of any), after `skip` good ones."""

    resource: str
    kind: str
    times: int = 1
    skip: int = 0
    retry_after: float | None = None
    seconds: float = 60.0


@dataclass
class Faults:
    """Faults in waiting, oldest first; each request meets at most one."""

    waiting: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Lets a fault wait for its requests.

        Raises: ValueError for a kind that is not known.
        """
        if fault.kind not in KINDS:
            raise ValueError(f"fault {fault.kind!r} is none of {', '.join(KINDS)}")
        self.waiting.append(fault)

    def take(self, resource: str) -> Fault | None:
        """The fault that meets a request now."""
        for fault in self.waiting:
            if fault.resource not in {"*", resource}:
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.times -= 1
            if fault.times <= 0:
                self.waiting.remove(fault)
            return fault
        return None


class Limiter:
    """Stripe's rate limit: so many requests a second for the account, and for each endpoint."""

    def __init__(
        self,
        account: float | None,
        endpoint: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rates = {"global": account, "endpoint": endpoint}
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def admit(self, endpoint: str) -> None:
        """Counts one request.

        Raises: ApiError (429) with the reason in `Stripe-Rate-Limited-Reason`.
        """
        for scope, key in (("global", "*"), ("endpoint", endpoint)):
            rate = self._rates[scope]
            if rate is not None and not self._take(key, rate):
                raise limited(f"{scope}-rate")

    def _take(self, key: str, rate: float) -> bool:
        now = self._clock()
        tokens, then = self._buckets.get(key, (max(rate, 1.0), now))
        tokens = min(max(rate, 1.0), tokens + (now - then) * rate)
        allowed = tokens >= 1
        self._buckets[key] = (tokens - allowed, now)
        return allowed


def limited(reason: str, retry_after: float | None = None) -> ApiError:
    """The answer to one request too many."""
    headers = {"Stripe-Rate-Limited-Reason": reason}
    if retry_after is not None:
        headers["Retry-After"] = f"{retry_after:g}"
    return ApiError(429, _LIMITED, code="rate_limit", headers=headers)


def refusal(fault: Fault, resource: str, account_id: str) -> ApiError | None:
    """The error a fault answers with; None for faults that spoil an answer instead."""
    if fault.kind == "429":
        return limited("endpoint-rate", fault.retry_after)
    if fault.kind == "500":
        message = "An unknown error occurred, please try again."
        return ApiError(500, message, kind="api_error")
    if fault.kind == "401":
        return ApiError(401, "Expired API Key provided: rk_test_***", code="api_key_expired")
    if fault.kind == "403":
        right = f"rak_{resource.removesuffix('s').replace('/', '_')}_read"
        return ApiError(
            403,
            "The provided key 'rk_test_***' does not have the required permissions for this "
            f"endpoint on account '{account_id}'. Having the '{right}' permission would allow "
            "this request to continue.",
            code="permissions_error",
        )
    return None
