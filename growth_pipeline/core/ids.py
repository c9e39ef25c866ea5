"""Keys that rows are known by: the scope of a Stripe account and mode, and fingerprints."""

from __future__ import annotations

import hashlib
from typing import NamedTuple


class Scope(NamedTuple):
    """One Stripe account in one mode. Every row's key begins with it.

    The same id may exist in test and live mode and in two accounts. Source: docs/stripe.md, "Keys".
    """

    account_id: str
    livemode: bool

    @property
    def mode(self) -> str:
        """`live` or `test`, as Stripe calls the modes."""
        return "live" if self.livemode else "test"


def fingerprint(*parts: str) -> str:
    """Stable short name of one problem: equal parts give equal text on every machine.

    Shapes: 16 hexadecimal digits. Parts are length-prefixed: ("a", "bc") is not ("ab", "c").
    """
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(joined.encode()).hexdigest()[:16]
