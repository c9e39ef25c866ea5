"""The wire to Kit: one checked public address, a bounded answer, and a hard end of every call.

Asynchronous, because only a cancelled task is sure to send nothing more: a thread that is given up
would still write its request a moment later.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

import httpx

from growth_pipeline.core.outbound import (
    ForbiddenTargetError,
    Target,
    is_local,
    is_public,
    read_target,
)

LARGEST_ANSWER: Final = 8_000_000
_ADDRESSES_TRIED: Final = 3


class ForbiddenAddressError(httpx.TransportError):
    """The URL leads, or its name resolves, to where nothing may be sent; nothing was sent."""


class KitTransport(httpx.AsyncBaseTransport):
    """Sends a request only where it may go. `allow_loopback` is for tests.

    Raises from a request: ForbiddenAddressError before anything is sent, and what httpx raises.
    """

    def __init__(self, *, allow_loopback: bool = False) -> None:
        self._allow_loopback = allow_loopback
        self._inner = httpx.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer of the first checked address that takes the connection."""
        target, addresses = await self._addresses_of(str(request.url))
        for address in addresses:
            try:
                return await self._inner.handle_async_request(_aimed(request, target, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if address == addresses[-1]:
                    raise
        raise httpx.ConnectError("the name has no address", request=request)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._inner.aclose()

    async def _addresses_of(self, url: str) -> tuple[Target, Sequence[str]]:
        try:
            target = read_target(url, allow_loopback=self._allow_loopback)
        except ForbiddenTargetError as error:
            raise ForbiddenAddressError(str(error)) from None
        found = [target.host] if target.is_address else await _look_up(target)
        if not all(self._may_reach(target, address) for address in found):
            raise ForbiddenAddressError("the URL's host has an address that is not public")
        return target, found[:_ADDRESSES_TRIED]

    def _may_reach(self, target: Target, address: str) -> bool:
        if self._allow_loopback and is_local(target.host):
            return is_local(address)
        return is_public(address)


async def read_answer(
    client: httpx.AsyncClient, request: httpx.Request, *, within: float
) -> tuple[int, bytes]:
    """Status and body of an answer that is whole `within` so many seconds, connecting included.

    Raises: TimeoutError; httpx.DecodingError for a body longer than any honest one; what httpx
    raises.
    """
    async with asyncio.timeout(within):
        response = await client.send(request, stream=True)
        try:
            body = b""
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise httpx.DecodingError("the answer is too long", request=request)
            return response.status_code, body
        finally:
            await response.aclose()


async def _look_up(target: Target) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            target.host, target.port, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError):
        raise httpx.ConnectError("the URL's host does not resolve") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _aimed(request: httpx.Request, target: Target, address: str) -> httpx.Request:
    """The same request to an address; certificate and Host stay those of the name."""
    host = f"[{address}]" if ":" in address else address
    return httpx.Request(
        request.method,
        request.url.copy_with(host=host),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": target.host},
    )
