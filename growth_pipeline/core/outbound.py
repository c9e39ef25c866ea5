"""Which addresses outside may be called by a setting: public ones by https, nothing inside.

Pure: a URL or an address in, a reason against it out. Who resolves a name and connects is
alerts/outbound.py. Source: OWASP, "Server Side Request Forgery Prevention Cheat Sheet".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

ALLOWED_PORTS: Final = (443, 8443)
_LONGEST_URL = 2048
_HTTP_PORT = 80
_LOCAL_NAMES = ("localhost",)
# A name as DNS writes it. Its last label holds a letter at its beginning, so that no spelling of a
# number (0x7f000001, 2130706433, 0177.1) is a name.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?\Z")
# Nothing below a space, no space, no backslash, no sign outside ASCII: parsers differ about them.
_PLAIN = re.compile(r"[!-\[\]-~]+\Z")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# A translator of IPv6-only networks: the last four bytes are the IPv4 address that is meant.
_TRANSLATED = IPv6Network("64:ff9b::/96")
_NOT_ORDINARY = (
    IPv6Network("2001::/23"),  # Teredo and other tunnels, ORCHID, benchmarks
    IPv6Network("2001:db8::/32"),
    IPv6Network("2002::/16"),  # 6to4: an IPv4 address in disguise
    IPv6Network("3fff::/20"),
)
# Named here too, because Python's releases differ about what of IANA's registry they know.
_NOT_ORDINARY_4 = tuple(
    IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
        "168.63.129.16/32",  # public by number, but answered by the cloud's own host
    )
)


@dataclass(frozen=True)
class Target:
    """Where a URL leads. `host` is a DNS name in lower case, or an address without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def is_address(self) -> bool:
        """Whether the host is an address, so that nothing has to be resolved."""
        return _address(self.host) is not None


class ForbiddenTargetError(ValueError):
    """The URL may not be called. The sentence gives the reason, never the URL: it is a secret."""


def read_target(url: str, *, allow_loopback: bool = False) -> Target:
    """Where a URL leads, if it may be called as far as its text can tell.

    `allow_loopback` is for tests: this machine's own addresses, by plain http too and at any port.
    Raises: ForbiddenTargetError.
    """
    if len(url) > _LONGEST_URL or not _PLAIN.match(url):
        raise ForbiddenTargetError("the URL is too long or holds signs that no URL has")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise ForbiddenTargetError("the URL cannot be read") from None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ForbiddenTargetError("the URL does not begin with https://")
    if "@" in parts.netloc or "%" in parts.netloc:
        raise ForbiddenTargetError("the URL holds a user name or an escaped host")
    target = Target(parts.scheme, host, port or (443 if parts.scheme == "https" else _HTTP_PORT))
    if allow_loopback and is_local(host):
        return target
    _check_outside(target)
    return target


def is_local(host: str) -> bool:
    """Whether a host is this machine, by its plain name or address."""
    address = _address(host)
    return host in _LOCAL_NAMES or (address is not None and address.is_loopback)


def is_public(address: str) -> bool:
    """Whether an address lies in the internet at large.

    Not so: private, loopback, link-local, shared, multicast, reserved and documentation ranges, a
    cloud's metadata service, and IPv6 spellings of any of them. Source: IANA's registries of
    special-purpose addresses.
    """
    found = _address(address)
    if found is None:
        return False
    if isinstance(found, IPv4Address):
        return found.is_global and not any(found in net for net in _NOT_ORDINARY_4)
    if found in _TRANSLATED:
        return is_public(str(IPv4Address(int(found) & 0xFFFFFFFF)))
    ordinary = found in _GLOBAL_UNICAST and not any(found in net for net in _NOT_ORDINARY)
    return ordinary and found.is_global


def _check_outside(target: Target) -> None:
    if target.scheme != "https":
        raise ForbiddenTargetError("the URL does not begin with https://")
    if target.port not in ALLOWED_PORTS:
        ports = " or ".join(str(port) for port in ALLOWED_PORTS)
        raise ForbiddenTargetError(f"the URL's port is not {ports}")
    if target.is_address:
        if not is_public(target.host):
            raise ForbiddenTargetError("the URL's host is not a public address")
    elif not _NAME.match(target.host):
        raise ForbiddenTargetError("the URL's host is not a full name such as hooks.slack.com")


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
