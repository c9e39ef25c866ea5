"""One question to Stripe over HTTP: within the rates, in time, asked again while that may help.

For one thread, or for many questions at once. What an answer means is in answers.py; this file
knows no resource.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import growth_pipeline
from growth_pipeline.stripe_api.access import StripeAccess
from growth_pipeline.stripe_api.answers import Answer, TryAgain
from growth_pipeline.stripe_api.errors import (
    StripeError,
    StripeIncompleteError,
    StripeUnreachableError,
)
from growth_pipeline.stripe_api.rate_limit import RequestBudget, shared_budget

if TYPE_CHECKING:
    import ssl

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
        self._budget = _budget_of(access)
        self._http = httpx.Client(**_client_options(access))
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

        tries = 0
        try:
            for attempt in stamina.retry_context(**_retries(self._access, once=once)):
                with attempt:
                    tries += 1
                    return read(self._send(endpoint, path, params))
        except TryAgain as last:
            raise _gave_up(self._access, subject, last, tries) from None
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
        answer = _answer(response, body, self._clock(), started)
        _tell(self._budget, endpoint, answer)
        return answer

    def _read_in_time(self, response: httpx.Response, started: float) -> bytes:
        # httpx bounds each read, not their sum: an answer that drips would never end.
        chunks = []
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            if monotonic() - started > self._access.timeout_seconds:
                raise TryAgain(_too_slow(self._access))
        return b"".join(chunks)


class AsyncStripeTransport:
    """The same for many questions at once, within one event loop; at most so many are on their way.

    `on_request` is called for each request, tries that failed included. `ask` also tells how long
    the request took, waiting for the rates and for a place not included.
    """

    def __init__(self, access: StripeAccess, clock: Callable[[], datetime]) -> None:

        self._access = access
        self._clock = clock
        self.budget = _budget_of(access)
        # One client a connection: a pool looks at all of its connections before each request. The
        # one that was used last comes first, so few are opened when few are needed.
        self._options = _client_options(access)
        self._clients: list[httpx.AsyncClient] = []
        self._places: asyncio.LifoQueue[httpx.AsyncClient | None] = asyncio.LifoQueue()
        for _ in range(access.concurrent_requests):
            self._places.put_nowait(None)
        self.request_count = 0

    async def close(self) -> None:
        """Closes the connections."""
        for client in self._clients:
            await client.aclose()

    async def ask(
        self,
        endpoint: str,
        path: str,
        params: Mapping[str, str],
        *,
        subject: str,
        read: Callable[[Answer], T],
        on_request: Callable[[], None] = lambda: None,
    ) -> T:
        """What `read` makes of the answer; asked again until the retry seconds are used up.

        Arguments and errors are those of `StripeTransport.ask`.
        """
        import stamina

        tries = 0
        try:
            async for attempt in stamina.retry_context(**_retries(self._access)):
                with attempt:
                    tries += 1
                    return read(await self._send(endpoint, path, params, on_request))
        except TryAgain as last:
            raise _gave_up(self._access, subject, last, tries) from None
        raise AssertionError("a retry loop either returns or raises")

    async def _send(
        self,
        endpoint: str,
        path: str,
        params: Mapping[str, str],
        on_request: Callable[[], None],
    ) -> Answer:
        await self.budget.wait_async(endpoint)
        client = await self._places.get() or self._open()
        try:
            self.request_count += 1
            on_request()
            answer = await self._in_time(self._get(client, path, params))
        finally:
            self._places.put_nowait(client)
        _tell(self.budget, endpoint, answer)
        return answer

    async def _in_time(self, asking: Awaitable[Answer]) -> Answer:
        import httpx

        try:
            # httpx bounds each read, not their sum: an answer that drips would never end.
            async with asyncio.timeout(self._access.timeout_seconds):
                return await asking
        except TimeoutError:
            raise TryAgain(_too_slow(self._access), unreachable=True) from None
        except httpx.RequestError as error:
            raise TryAgain(_cause(error), unreachable=True) from None

    def _open(self) -> httpx.AsyncClient:
        import httpx

        client = httpx.AsyncClient(**self._options)
        self._clients.append(client)
        return client

    async def _get(self, client: httpx.AsyncClient, path: str, params: Mapping[str, str]) -> Answer:
        started = monotonic()
        async with client.stream("GET", path, params=dict(params)) as response:
            # Not `response.content`: a response is part of a cycle, and bodies are large.
            body = b"".join([chunk async for chunk in response.aiter_bytes()])
        return _answer(response, body, self._clock(), started)


def _budget_of(access: StripeAccess) -> RequestBudget:
    return shared_budget(
        access.key_scope,
        access.api_base,
        access.requests_per_second,
        access.endpoint_requests_per_second,
        access.budget_folder,
    )


def _client_options(access: StripeAccess) -> dict[str, Any]:
    return {
        "base_url": access.api_base,
        "headers": {
            "Authorization": f"Bearer {access.api_key}",
            "Stripe-Version": access.api_version,
            "User-Agent": f"growth-pipeline/{growth_pipeline.__version__}",
            "Accept": "application/json",
            **access.account_headers,
        },
        "timeout": access.timeout_seconds,
        "verify": _trusted_certificates(),
        # A proxy in the environment is for the world outside, not for this machine.
        "trust_env": not access.is_local,
    }


@cache
def _trusted_certificates() -> ssl.SSLContext:
    """What connections are checked against: read once in a process, as it takes long."""
    import httpx

    return httpx.create_ssl_context()


def _retries(access: StripeAccess, *, once: bool = False) -> dict[str, Any]:
    """How stamina tries again: while it may help, until the retry seconds are used up."""
    seconds = 0.0 if once else access.retry_seconds
    deadline = monotonic() + seconds

    def again(error: Exception) -> bool | float:
        if not isinstance(error, TryAgain):
            return False
        wait = error.retry_after
        return wait is None or (wait if monotonic() + wait < deadline else False)

    return {
        "on": again,
        "attempts": None if seconds else 1,
        "timeout": seconds or None,
        "wait_initial": min(_FIRST_PAUSE, seconds / 8),
        "wait_jitter": min(_FIRST_PAUSE, seconds / 8),
        "wait_max": min(_LONGEST_PAUSE, seconds / 4),
    }


def _answer(response: httpx.Response, body: bytes, received_at: datetime, started: float) -> Answer:
    return Answer(
        status=response.status_code,
        headers=dict(response.headers),
        body=body,
        received_at=received_at,
        elapsed=timedelta(seconds=monotonic() - started),
    )


def _tell(budget: RequestBudget, endpoint: str, answer: Answer) -> None:
    budget.heard(endpoint, answer.status, answer.headers.get("stripe-rate-limited-reason"))


def _gave_up(access: StripeAccess, subject: str, last: TryAgain, tries: int) -> StripeError:
    asked = "asked once" if tries == 1 else f"asked {tries} times"
    if last.unreachable:
        return StripeUnreachableError(
            f"{subject}: Stripe at {access.host} cannot be reached ({asked}): {last}",
            remedy="check the network and GROWTH_STRIPE__API_BASE, then run it again",
        )
    return StripeIncompleteError(
        f"{subject} could not be read to the end: Stripe {last} ({asked})",
        remedy="run it again later; an unfinished reading never counts",
    )


def _too_slow(access: StripeAccess) -> str:
    return f"did not finish its answer in {access.timeout_seconds:g} s"


def _cause(error: httpx.RequestError) -> str:
    import httpx

    if isinstance(error, httpx.ConnectTimeout):
        return "the connection timed out"
    if isinstance(error, httpx.TimeoutException):
        return "the answer timed out"
    if isinstance(error, httpx.ConnectError):
        return f"no connection ({error})"
    return f"the connection broke ({type(error).__name__})"
