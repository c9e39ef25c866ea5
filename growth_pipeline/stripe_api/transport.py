"""One question to Stripe over HTTP: within the rates, in time, asked again while that may help.

What an answer means is in answers.py; this file knows no resource.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

import growth_pipeline
from growth_pipeline.stripe_api.access import StripeAccess
from growth_pipeline.stripe_api.answers import Answer, TryAgain
from growth_pipeline.stripe_api.errors import (
    StripeError,
    StripeIncompleteError,
    StripeUnreachableError,
)
from growth_pipeline.stripe_api.rate_limit import shared_budget

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

# First pause and longest pause between tries. A short retry time shortens both.
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


class StripeTransport:
    """Connections to one address with one key, and the number of requests made over them."""

    def __init__(self, access: StripeAccess, clock: Callable[[], datetime]) -> None:
        import httpx

        self._access = access
        self._clock = clock
        self._budget = shared_budget(
            access.scope,
            access.api_base,
            access.requests_per_second,
            access.endpoint_requests_per_second,
        )
        self._http = httpx.Client(
            base_url=access.api_base,
            headers={
                "Authorization": f"Bearer {access.api_key}",
                "Stripe-Version": access.api_version,
                "User-Agent": f"growth-pipeline/{growth_pipeline.__version__}",
                "Accept": "application/json",
            },
            timeout=access.timeout_seconds,
            # A proxy in the environment is for the world outside, not for this machine.
            trust_env=not access.is_local,
        )
        self.request_count = 0

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def ask(
        self,
        endpoint: str,
        path: str,
        params: Mapping[str, str],
        *,
        subject: str,
        read: Callable[[Answer], T],
        once: bool = False,
    ) -> T:
        """What `read` makes of the answer; asked again until the retry seconds are used up.

        `endpoint` is Stripe's named operation, which its limits count by; `subject` is what was
        asked for, in words. `read` raises TryAgain for an answer that may be better next time.
        Raises: StripeIncompleteError, StripeUnreachableError, and whatever else `read` raises.
        """
        import stamina

        seconds = 0.0 if once else self._access.retry_seconds
        deadline = monotonic() + seconds

        def again(error: Exception) -> bool | float:
            if not isinstance(error, TryAgain):
                return False
            wait = error.retry_after
            return wait is None or (wait if monotonic() + wait < deadline else False)

        tries = 0
        try:
            for attempt in stamina.retry_context(
                on=again,
                attempts=None if seconds else 1,
                timeout=seconds or None,
                wait_initial=min(_FIRST_PAUSE, seconds / 8),
                wait_jitter=min(_FIRST_PAUSE, seconds / 8),
                wait_max=min(_LONGEST_PAUSE, seconds / 4),
            ):
                with attempt:
                    tries += 1
                    return read(self._send(endpoint, path, params))
        except TryAgain as last:
            raise self._gave_up(subject, last, tries) from None
        raise AssertionError("a retry loop either returns or raises")

    def _send(self, endpoint: str, path: str, params: Mapping[str, str]) -> Answer:
        import httpx

        self._budget.wait(endpoint)
        self.request_count += 1
        started = monotonic()
        try:
            with self._http.stream("GET", path, params=dict(params)) as response:
                body = self._read_in_time(response, started)
        except httpx.RequestError as error:
            raise TryAgain(_cause(error), unreachable=True) from None
        return Answer(
            status=response.status_code,
            headers=dict(response.headers),
            body=body,
            received_at=self._clock(),
            elapsed=timedelta(seconds=monotonic() - started),
        )

    def _read_in_time(self, response: httpx.Response, started: float) -> bytes:
        # httpx bounds each read, not their sum: an answer that drips would never end.
        chunks = []
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            if monotonic() - started > self._access.timeout_seconds:
                raise TryAgain(f"did not finish its answer in {self._access.timeout_seconds:g} s")
        return b"".join(chunks)

    def _gave_up(self, subject: str, last: TryAgain, tries: int) -> StripeError:
        asked = "asked once" if tries == 1 else f"asked {tries} times"
        if last.unreachable:
            return StripeUnreachableError(
                f"{subject}: Stripe at {self._access.host} cannot be reached ({asked}): {last}",
                remedy="check the network and GROWTH_STRIPE__API_BASE, then run it again",
            )
        return StripeIncompleteError(
            f"{subject} could not be read to the end: Stripe {last} ({asked})",
            remedy="run it again later; nothing of this reading was kept",
        )


def _cause(error: httpx.RequestError) -> str:
    import httpx

    if isinstance(error, httpx.ConnectTimeout):
        return "the connection timed out"
    if isinstance(error, httpx.TimeoutException):
        return "the answer timed out"
    if isinstance(error, httpx.ConnectError):
        return f"no connection ({error})"
    return f"the connection broke ({type(error).__name__})"
