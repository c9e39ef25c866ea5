"""The one door to URLs that a setting names: Slack, GitHub, heartbeat. Public addresses only.

A name is resolved once, every address it has is checked, and the connection goes to a checked
address: a name that answers otherwise a moment later changes nothing. Redirects are not followed.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import httpx

from growth_pipeline.core.outbound import (
    ForbiddenTargetError,
    Target,
    is_local,
    is_public,
    read_target,
)

Resolve = Callable[[str, int], Sequence[str]]

# Addresses of one name that are tried in turn, when one of them refuses the connection.
_ADDRESSES_TRIED: Final = 3
_ANSWER_BYTES: Final = 1 << 20


class ForbiddenAddressError(httpx.TransportError):
    """The URL leads, or its name resolves, to where nothing may be sent; nothing was taken."""


def resolve(host: str, port: int) -> list[str]:
    """Every address of a name, in the system's order. Raises: OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class OutboundTransport(httpx.BaseTransport):
    """Sends a request only where it may go; every request of a client passes here.

    `allow_loopback` is for tests. Raises from a request: ForbiddenAddressError before anything is
    sent, and what httpx raises.
    """

    def __init__(
        self,
        *,
        allow_loopback: bool = False,
        resolve: Resolve = resolve,
        inner: httpx.BaseTransport | None = None,
    ) -> None:
        self._allow_loopback = allow_loopback
        self._resolve = resolve
        self._inner = inner or httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer of the first checked address that takes the connection."""
        target, addresses = self.addresses_of(str(request.url))
        for address in addresses[:_ADDRESSES_TRIED]:
            try:
                response = self._inner.handle_request(_aimed(request, target, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if address == addresses[:_ADDRESSES_TRIED][-1]:
                    raise
            else:
                _refuse_redirect(response)
                return response
        raise httpx.ConnectError("the name has no address", request=request)

    def addresses_of(self, url: str) -> tuple[Target, list[str]]:
        """Where a URL leads and the addresses it may be sent to; nothing is sent.

        Raises: ForbiddenAddressError when the text or any of the addresses is not allowed,
        httpx.ConnectError when the name does not resolve.
        """
        try:
            target = read_target(url, allow_loopback=self._allow_loopback)
        except ForbiddenTargetError as error:
            raise ForbiddenAddressError(str(error)) from None
        addresses = [target.host] if target.is_address else self._look_up(target)
        if not all(self._may_reach(target, address) for address in addresses):
            raise ForbiddenAddressError("the URL's host has an address that is not public")
        return target, addresses

    def close(self) -> None:
        """Closes the connections."""
        self._inner.close()

    def _look_up(self, target: Target) -> list[str]:
        try:
            return list(self._resolve(target.host, target.port))
        except (OSError, UnicodeError):
            raise httpx.ConnectError("the URL's host does not resolve") from None

    def _may_reach(self, target: Target, address: str) -> bool:
        if self._allow_loopback and is_local(target.host):
            return is_local(address)
        return is_public(address)


def open_client(transport: httpx.BaseTransport, *, timeout_seconds: float) -> httpx.Client:
    """A client that follows no redirect and knows no proxy, cookie or password file."""
    return httpx.Client(
        transport=transport, timeout=timeout_seconds, follow_redirects=False, trust_env=False
    )


def call(
    client: httpx.Client, method: str, url: str, *, json: Any = None, content: bytes | None = None
) -> httpx.Response:
    """Status and headers of the answer. Its body is not read: nothing of it is ever shown."""
    headers = {} if content is None else {"Content-Type": "application/octet-stream"}
    with client.stream(method, url, json=json, content=content, headers=headers) as response:
        return response


def ask(
    client: httpx.Client, url: str, form: Mapping[str, str], *, token: str
) -> tuple[httpx.Response, bytes]:
    """An answer with its body, of which nothing is ever shown. Raises: what httpx raises.

    A body longer than any honest one is no answer: httpx.DecodingError.
    """
    body = b""
    headers = {"Authorization": f"Bearer {token}"}
    with client.stream("POST", url, data=form, headers=headers) as response:
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _ANSWER_BYTES:
                raise httpx.DecodingError("the answer is too long", request=response.request)
    return response, body


def _refuse_redirect(response: httpx.Response) -> None:
    """Where an answer leads was in no setting, so nobody has checked it."""
    if HTTPStatus.MULTIPLE_CHOICES <= response.status_code < HTTPStatus.BAD_REQUEST:
        response.close()
        raise ForbiddenAddressError(
            f"the URL answered {response.status_code}, a redirect, which is not followed"
        )


def _aimed(request: httpx.Request, target: Target, address: str) -> httpx.Request:
    """The same request to one address; name, certificate and Host header stay those of the URL."""
    extensions = dict(request.extensions)
    if not target.is_address:
        extensions["sni_hostname"] = target.host
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions=extensions,
    )
