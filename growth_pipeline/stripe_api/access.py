"""With which key and address Stripe is asked; wrong ones are refused before any request."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.core.ids import Scope

_KEY = re.compile(r"(?P<kind>sk|rk)_(?P<mode>live|test)_\w+", re.ASCII)
_KINDS = {"sk": "secret", "rk": "restricted"}


@dataclass(frozen=True)
class StripeAccess:
    """Where Stripe is, with which key, which version, and how fast. The key is in no repr.

    Raises: ConfigurationError if the key is none of Stripe's, is of the other mode than
    `livemode`, or would travel unencrypted. Units: requests a second, seconds.
    """

    api_key: str = field(repr=False)
    api_base: str
    api_version: str
    account_id: str
    livemode: bool
    requests_per_second: float
    endpoint_requests_per_second: float
    timeout_seconds: float
    retry_seconds: float

    def __post_init__(self) -> None:
        _check_key(self.api_key, self.scope.mode)
        _check_base(self.api_base)

    @property
    def scope(self) -> Scope:
        """Account and mode of everything read with this access."""
        return Scope(self.account_id, self.livemode)

    @property
    def key_kind(self) -> str:
        """`restricted` or `secret`; a restricted key is the one to use."""
        return _KINDS[self.api_key[:2]]

    @property
    def host(self) -> str:
        """Host name of the address, for messages."""
        return urlsplit(self.api_base).hostname or ""

    @property
    def is_local(self) -> bool:
        """Whether Stripe is played by a server on this machine."""
        return _is_loopback(self.host)


def _check_key(api_key: str, configured: str) -> None:
    match = _KEY.fullmatch(api_key)
    if match is None:
        fault = "is not a restricted or secret key of Stripe" if api_key else "is missing"
        raise ConfigurationError(
            f"GROWTH_STRIPE__API_KEY {fault}",
            remedy="set it to a restricted key with read rights (rk_live_... or rk_test_...)",
        )
    mode = match["mode"]
    if mode != configured:
        raise ConfigurationError(
            f"GROWTH_STRIPE__API_KEY is a {mode} mode key, but {configured} mode is configured",
            remedy=f"set a {configured} mode key, or configure {mode} mode",
        )


def _check_base(api_base: str) -> None:
    parts = urlsplit(api_base)
    if not parts.hostname or parts.scheme not in {"http", "https"}:
        raise ConfigurationError(
            "GROWTH_STRIPE__API_BASE is not a web address",
            remedy="set it to https://api.stripe.com, or leave it out",
        )
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ConfigurationError(
            f"GROWTH_STRIPE__API_BASE ({parts.hostname}) would send the key unencrypted",
            remedy="use https; plain http is allowed on this machine only",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
