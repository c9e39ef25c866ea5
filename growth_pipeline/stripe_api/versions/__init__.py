"""Adapters: the same questions about a Stripe object, answered for each family of API versions.

No code outside this folder reads a field that moved between versions. Decision 0018.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.stripe_api.versions.adapter import (
    Object,
    PaymentOfInvoice,
    VersionAdapter,
    field_of,
    id_of,
)
from growth_pipeline.stripe_api.versions.basil import Basil
from growth_pipeline.stripe_api.versions.clover import Clover, Dahlia
from growth_pipeline.stripe_api.versions.endive import Endive
from growth_pipeline.stripe_api.versions.pre_basil import PreBasil

__all__ = [
    "FAMILIES",
    "Family",
    "Object",
    "PaymentOfInvoice",
    "VersionAdapter",
    "adapter_for",
    "family_of",
    "field_of",
    "id_of",
]


class Family(NamedTuple):
    """Versions of one shape. `suffix` is empty for dates without a name; `since` its first date."""

    suffix: str
    since: date
    adapter: type[VersionAdapter]

    @property
    def name(self) -> str:
        """The family's name in sentences and reports."""
        return self.suffix or "unnamed"


# Oldest first. Acacia named the releases and moved nothing; a name is valid until the next one.
FAMILIES: Final = (
    Family("", date(2022, 11, 15), PreBasil),
    Family("acacia", date(2024, 9, 30), PreBasil),
    Family("basil", date(2025, 3, 31), Basil),
    Family("clover", date(2025, 9, 30), Clover),
    Family("dahlia", date(2026, 3, 25), Dahlia),
    Family("endive", date(2026, 9, 30), Endive),
)
_VERSION: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\.([a-z]+))?", re.ASCII)


@lru_cache(maxsize=128)
def adapter_for(api_version: str) -> VersionAdapter:
    """The adapter of an API version such as `2026-10-28.endive` or `2022-11-15`.

    Raises: UnknownValueError, not retryable: fields of an unknown version are not guessed.
    """
    family = family_of(api_version)
    if family is None:
        named = ", ".join(family.suffix for family in FAMILIES if family.suffix)
        raise UnknownValueError(
            f"Stripe API version {api_version!r} is not known",
            remedy=f"pin a version since {FAMILIES[0].since} of one of these families: the dates "
            f"without a name, {named}",
        )
    return family.adapter(api_version)


def family_of(api_version: str) -> Family | None:
    """The family of an API version; None if it is none that we know."""
    match = _VERSION.fullmatch(api_version)
    if match is None:
        return None
    try:
        released = date.fromisoformat(match[1])
    except ValueError:
        return None
    newest = next((family for family in reversed(FAMILIES) if family.since <= released), None)
    return newest if newest is not None and newest.suffix == (match[2] or "") else None
