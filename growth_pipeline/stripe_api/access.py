"""With which key and address Stripe is asked; wrong ones are refused before any request."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.core.ids import Scope

if TYPE_CHECKING:
    from pydantic import SecretStr

_ACCOUNT = re.compile(r"acct_\w+", re.ASCII)
_KEY = re.compile(r"(?P<kind>sk|rk)_(?P<mode>live|test)_\w+", re.ASCII)
_KINDS = {"sk": "secret", "rk": "restricted"}


@dataclass(frozen=True)
class StripeAccess:
    """Where Stripe is, with which key, which version, and how fast. The key is in no repr.

    `account_id` names the account of the key, `connected_account` the connected one that is read
    with it (Stripe Connect), None to read the key's own.
    Raises: ConfigurationError if the key is none of Stripe's, is of the other mode than
    `livemode`, or would travel unencrypted. Units: requests a second, seconds.
    `concurrent_requests` bounds how many are on their way at once; processes that name the same
    `budget_folder` share the requests a second.
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
    connected_account: str | None = None
    concurrent_requests: int = 24
    budget_folder: Path | None = None

    def __post_init__(self) -> None:
        _check_key(self.api_key, self.scope.mode)
        _check_base(self.api_base)
        _check_account(self.connected_account)

    @property
    def scope(self) -> Scope:
        """Account and mode of everything read with this access."""
        return Scope(self.connected_account or self.account_id, self.livemode)

    @property
    def key_scope(self) -> Scope:
        """Account and mode of the key: all accounts it reads share its budget of requests.

        Stripe may count requests for connected accounts apart; one budget is the safe reading.
        """
        return Scope(self.account_id, self.livemode)

    @property
    def account_headers(self) -> dict[str, str]:
        """Headers that name the account to read; none for the key's own."""
        return {"Stripe-Account": self.connected_account} if self.connected_account else {}

    def of_account(self, account_id: str) -> StripeAccess:
        """The same access to one account: the key's own, or one connected to it."""
        connected = None if account_id == self.account_id else account_id
        return replace(self, connected_account=connected)

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


class AccessSettings(Protocol):
    """What the settings say about reaching Stripe. Units: requests a second, seconds."""

    @property
    def api_key(self) -> SecretStr | None:
        """Key that Stripe is asked with; None for none."""
        ...

    @property
    def api_base(self) -> str:
        """Address of Stripe's API."""
        ...

    @property
    def api_version(self) -> str:
        """Version that objects are rendered in."""
        ...

    @property
    def account_id(self) -> str:
        """Account of the key."""
        ...

    @property
    def livemode(self) -> bool:
        """Mode of the key."""
        ...

    @property
    def account_requests_per_second(self) -> float:
        """Bound for the whole account."""
        ...

    @property
    def endpoint_requests_per_second(self) -> float:
        """Bound for one endpoint."""
        ...

    @property
    def timeout_seconds(self) -> float:
        """Time-out of one request."""
        ...

    @property
    def retry_seconds(self) -> float:
        """How long one request is tried again."""
        ...

    @property
    def concurrent_requests(self) -> int:
        """How many are on their way at once."""
        ...


def access_of(stripe: AccessSettings, state_dir: Path) -> StripeAccess:
    """The access that the settings name, to the key's own account.

    Everything that asks Stripe gets it here, so that all processes of one state folder spend from
    one budget. Raises: ConfigurationError as `StripeAccess`, also without a key.
    """
    return StripeAccess(
        api_key=stripe.api_key.get_secret_value() if stripe.api_key else "",
        api_base=stripe.api_base,
        api_version=stripe.api_version,
        account_id=stripe.account_id,
        livemode=stripe.livemode,
        requests_per_second=stripe.account_requests_per_second,
        endpoint_requests_per_second=stripe.endpoint_requests_per_second,
        timeout_seconds=stripe.timeout_seconds,
        retry_seconds=stripe.retry_seconds,
        concurrent_requests=stripe.concurrent_requests,
        budget_folder=state_dir.resolve() / "limits",
    )


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


def _check_account(account: str | None) -> None:
    if account is not None and _ACCOUNT.fullmatch(account) is None:
        raise ConfigurationError(
            "GROWTH_STRIPE__CONNECTED_ACCOUNTS names something that is no account id",
            remedy="list ids as acct_..., separated by commas",
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
