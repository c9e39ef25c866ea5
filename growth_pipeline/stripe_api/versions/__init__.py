"""Adapters: the same questions about a Stripe object, answered for each family of API versions.

No code outside this folder reads a field that moved between versions.
"""

from __future__ import annotations

import re
from datetime import date

from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.stripe_api.versions.adapter import Object, VersionAdapter, field_of, id_of
from growth_pipeline.stripe_api.versions.basil import Basil, Clover, Dahlia, Endive
from growth_pipeline.stripe_api.versions.pre_basil import PreBasil

__all__ = ["Object", "VersionAdapter", "adapter_for", "field_of", "id_of"]

# Releases had no name before acacia; acacia still has every field where it always was.
_FIRST_NAMED = date(2024, 9, 30)
_FAMILIES: dict[str, type[VersionAdapter]] = {
    "acacia": PreBasil,
    "basil": Basil,
    "clover": Clover,
    "dahlia": Dahlia,
    "endive": Endive,
}
_VERSION = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\.([a-z]+))?", re.ASCII)


def adapter_for(api_version: str) -> VersionAdapter:
    """The adapter of an API version such as `2026-10-28.endive` or `2022-11-15`.

    Raises: UnknownValueError, not retryable: fields of an unknown version are not guessed.
    """
    match = _VERSION.fullmatch(api_version)
    family = _family(match[1], match[2]) if match else None
    if family is None:
        raise UnknownValueError(
            f"Stripe API version {api_version!r} is not known",
            remedy="pin one of these families: " + ", ".join(["dates before acacia", *_FAMILIES]),
        )
    return family(api_version)


def _family(day: str, name: str | None) -> type[VersionAdapter] | None:
    try:
        released = date.fromisoformat(day)
    except ValueError:
        return None
    if name is None:
        return PreBasil if released < _FIRST_NAMED else None
    return _FAMILIES.get(name) if released >= _FIRST_NAMED else None
