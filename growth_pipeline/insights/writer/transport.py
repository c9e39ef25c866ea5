"""The wire to Claude: one checked public address, our own few headers, a bounded answer.

Imported only when something is asked, as it needs the SDK's HTTP library.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import httpx2

from growth_pipeline.core.outbound import (
    ForbiddenTargetError,
    Target,
    is_local,
    is_public,
    read_target,
)

Resolve = Callable[[str, int], Sequence[str]]

LARGEST_ANSWER: Final = 2_000_000
# What may go with a question. The SDK would add names of this machine's system, and the
# environment whatever it likes.
_HEADERS: Final = (
    *("host", "accept", "connection", "content-type", "content-length"),
    *("authorization", "x-api-key", "anthropic-version", "user-agent"),
)
_ADDRESSES_TRIED: Final = 3


class ForbiddenAddressError(httpx2.TransportError):
    """The URL leads, or its name resolves, to where nothing may be sent; nothing was sent."""


class AnswerTooLargeError(httpx2.TransportError):
    """The answer is larger than any that is asked for; the rest of it was not read."""


class AnswerEncodedError(httpx2.TransportError):
    """The answer is compressed, though that was not asked for: its size cannot be bounded."""


def resolve(host: str, port: int) -> list[str]:
    """Every address of a name, in the system's order. Raises: OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class ClaudeTransport(httpx2.BaseTransport):
    """Sends a question only where it may go, and reads no more than an answer may hold.

    A name is resolved once and every address of it is checked. `credentials`: headers that carry
    our key, as the SDK makes them of it. `allow_loopback` is for tests. Raises what httpx2 raises,
    and the errors above.
    """

    def __init__(
        self,
        credentials: Mapping[str, str],
        *,
        allow_loopback: bool = False,
        resolve: Resolve = resolve,
        inner: httpx2.BaseTransport | None = None,
    ) -> None:
        self._credentials = credentials
        self._allow_loopback = allow_loopback
        self._resolve = resolve
        self._inner = inner or httpx2.HTTPTransport(trust_env=False)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer of the first checked address that takes the connection."""
        target, addresses = self._addresses_of(str(request.url))
        for address in addresses[:_ADDRESSES_TRIED]:
            try:
                response = self._inner.handle_request(self._aimed(request, target, address))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if address == addresses[:_ADDRESSES_TRIED][-1]:
                    raise
            else:
                return _bounded(response)
        raise httpx2.ConnectError("the name has no address", request=request)

    def close(self) -> None:
        """Closes the connections, also one that is being read in another thread."""
        self._inner.close()

    def _addresses_of(self, url: str) -> tuple[Target, list[str]]:
        try:
            target = read_target(url, allow_loopback=self._allow_loopback)
        except ForbiddenTargetError as error:
            raise ForbiddenAddressError(str(error)) from None
        addresses = [target.host] if target.is_address else self._look_up(target)
        if not all(self._may_reach(target, address) for address in addresses):
            raise ForbiddenAddressError("the URL's host has an address that is not public")
        return target, addresses

    def _look_up(self, target: Target) -> list[str]:
        try:
            return list(self._resolve(target.host, target.port))
        except (OSError, UnicodeError):
            raise httpx2.ConnectError("the URL's host does not resolve") from None

    def _may_reach(self, target: Target, address: str) -> bool:
        if self._allow_loopback and is_local(target.host):
            return is_local(address)
        return is_public(address)

    def _aimed(self, request: httpx2.Request, target: Target, address: str) -> httpx2.Request:
        """The same question to one address; name and certificate stay those of the URL."""
        extensions = dict(request.extensions)
        if not target.is_address:
            extensions["sni_hostname"] = target.host
        kept = {name: request.headers[name] for name in _HEADERS if name in request.headers}
        return httpx2.Request(
            request.method,
            request.url.copy_with(host=address),
            headers={**kept, "accept-encoding": "identity", **_lower(self._credentials)},
            stream=request.stream,
            extensions=extensions,
        )


class _BoundedStream(httpx2.SyncByteStream):
    """A body that ends in an error where it becomes too large."""

    def __init__(self, inner: httpx2.SyncByteStream) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        read = 0
        for chunk in self._inner:
            read += len(chunk)
            if read > LARGEST_ANSWER:
                raise AnswerTooLargeError("the answer is too large")
            yield chunk

    def close(self) -> None:
        self._inner.close()


def _bounded(response: httpx2.Response) -> httpx2.Response:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        response.close()
        raise AnswerEncodedError("the answer is compressed")
    if not isinstance(response.stream, httpx2.SyncByteStream):
        raise httpx2.ReadError("the answer cannot be read")
    return httpx2.Response(
        response.status_code,
        headers=response.headers,
        stream=_BoundedStream(response.stream),
        extensions=response.extensions,
    )


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
