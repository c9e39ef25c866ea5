"""The questions every version family answers, and how fields are read without inventing nulls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from growth_pipeline.core.errors import UnknownValueError

Object = dict[str, Any]


class VersionAdapter(ABC):
    """Answers about objects rendered in one API version.

    Raises (all methods): UnknownValueError if a field the version promises is absent.
    """

    def __init__(self, api_version: str) -> None:
        self.api_version = api_version

    @abstractmethod
    def subscription_of(self, invoice: Object) -> str | None:
        """Subscription that made the invoice; None for an invoice made by hand."""

    @abstractmethod
    def invoice_of(self, charge: Object) -> str | None:
        """Invoice the charge says it pays; None where the version no longer says it."""

    @abstractmethod
    def payment_intent_of(self, invoice: Object) -> str | None:
        """Payment intent of the default payment; None if there is none or it is not told."""

    @abstractmethod
    def refunded_of(self, charge: Object) -> int:
        """Money given back of what was captured. Units: minor units of the charge's currency."""

    @abstractmethod
    def period_of(self, subscription: Object, item: Object) -> tuple[int, int]:
        """Current period of a subscription item, half-open epoch seconds."""


def field_of(value: Any, name: str, api_version: str) -> Any:
    """Field of an object that must be there, null or not.

    Raises: UnknownValueError naming object, field and version; absent is not null.
    """
    if isinstance(value, dict) and name in value:
        return value[name]
    whose = f"{value.get('object', 'object')} {value.get('id')}" if isinstance(value, dict) else ""
    raise UnknownValueError(
        f"{whose or 'an object'} has no field {name!r}, which API version {api_version} promises",
        remedy="check that GROWTH_STRIPE__API_VERSION is the version Stripe answers in",
    )


def id_of(reference: str | Object | None) -> str | None:
    """Id of a reference, which is an id, the expanded object, or null."""
    if isinstance(reference, dict):
        return str(reference["id"])
    return reference
