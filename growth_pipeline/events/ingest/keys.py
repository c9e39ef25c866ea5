"""Write keys: how one looks, whose it is, which pages may use it. Pure.

A key says who tells events, and is no secret in a browser; it opens nothing that can be read.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from growth_pipeline.core.errors import UsageError

ANY_ORIGIN: Final = "*"
NO_KEY: Final = 0
"""Where what is counted came with no known key."""

_PREFIX: Final = "gwk_"
_RANDOM_BYTES: Final = 24
_SHOWN: Final = 10
_LONGEST: Final = 256
_ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:.]+\](:\d{1,5})?")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class WriteKey(NamedTuple):
    """One write key that may tell events. `origins` as the key's row has them."""

    key_id: int
    source_id: int
    source: str
    origins: tuple[str, ...] = ()

    def allows(self, origin: str | None) -> bool:
        """Whether a page of this origin may use it; None, a server, always may."""
        return origin is None or ANY_ORIGIN in self.origins or origin.lower() in self.origins


class KeyRing:
    """All active write keys at one moment, by hash."""

    def __init__(self, keys: Mapping[bytes, WriteKey] | None = None) -> None:
        self._keys = dict(keys or {})
        self._origins = {origin for key in self._keys.values() for origin in key.origins}

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: str) -> WriteKey | None:
        """The write key of this text; None for one that is unknown or revoked."""
        return self._keys.get(hash_key(key)) if len(key) <= _LONGEST else None

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may use any key: all a preflight can ask, it shows none."""
        return ANY_ORIGIN in self._origins or origin.lower() in self._origins


def make_key() -> str:
    """A new write key."""
    return _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def hash_key(key: str) -> bytes:
    """What is stored of a key: 192 random bits need no slow hash."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def shown_part(key: str) -> str:
    """The first characters of a key, to tell keys apart."""
    return key[:_SHOWN]


def read_source_name(name: str) -> str:
    """A name of a source. Raises: UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name of a source",
            remedy="use a-z, 0-9, - and _, at most 63 characters: web-app",
        )
    return name


def read_origins(origins: Iterable[str]) -> list[str]:
    """Origins as browsers send them, each once, in order.

    Raises: UsageError for anything that no browser would ever send.
    """
    found: dict[str, None] = {}
    for origin in origins:
        text = origin.strip().lower()
        if text != ANY_ORIGIN and not _ORIGIN.fullmatch(text):
            raise UsageError(
                f"{origin!r} is no origin",
                remedy="write scheme and host without a path: https://app.example, or * for any",
            )
        found[_without_default_port(text)] = None
    return list(found)


def _without_default_port(origin: str) -> str:
    scheme, _, rest = origin.partition("://")
    port = {"http": ":80", "https": ":443"}.get(scheme, "")
    return origin.removesuffix(port) if port and rest.endswith(port) else origin
