"""The questions every version family answers, and how fields are read without inventing nulls.

A question is here if Stripe moved its answer between two families, or if only one of them has it.
Money is whole minor units of the object's currency, times are epoch seconds, spans half-open.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final, NamedTuple

from growth_pipeline.core.errors import UnknownValueError

Object = dict[str, Any]

# Kinds that name their discounts one by one; a customer has at most one, in every version.
_MANY_DISCOUNTS: Final = frozenset(
    {"invoice", "subscription", "subscription_item", "line_item", "invoiceitem"}
)


class PaymentOfInvoice(NamedTuple):
    """One way in which an invoice was, or may be, paid.

    Shapes: `id` is None where the version has no invoice payments. At most one of the three
    references is set: payment intent, charge, or a payment record made outside Stripe.
    `amount_paid` is None until it is paid. `status` is `open`, `paid`, `canceled` or a later word.
    """

    id: str | None
    payment_intent: str | None
    charge: str | None
    payment_record: str | None
    amount_paid: int | None
    is_default: bool
    status: str


class VersionAdapter(ABC):
    """Answers about objects rendered in one API version.

    None always means that the object has no such thing, or that its version does not tell.
    Raises (all methods): UnknownValueError if a field the version promises is absent.
    """

    def __init__(self, api_version: str) -> None:
        self.api_version = api_version

    @abstractmethod
    def subscription_of(self, found: Object) -> str | None:
        """Subscription of an invoice, invoice line, invoice item or subscription item.

        None for what was made by hand.
        """

    @abstractmethod
    def subscription_item_of(self, line: Object) -> str | None:
        """Subscription item that an invoice line or invoice item bills."""

    @abstractmethod
    def invoice_item_of(self, line: Object) -> str | None:
        """Invoice item that an invoice line comes from; None for a line of a whole period."""

    @abstractmethod
    def invoice_of(self, charge: Object) -> str | None:
        """Invoice a charge or payment intent says it pays; since basil neither says it."""

    @abstractmethod
    def payments_of(self, invoice: Object) -> tuple[PaymentOfInvoice, ...] | None:
        """How an invoice is paid; None where its version names payments only when expanded."""

    @abstractmethod
    def payment_intent_of(self, invoice: Object) -> str | None:
        """Payment intent of the default payment; None if there is none or it is not told."""

    @abstractmethod
    def refunded_of(self, charge: Object) -> int:
        """Money given back of what was captured. Units: minor units of the charge's currency."""

    def is_refunded(self, charge: Object) -> bool:
        """Whether everything that was captured was given back."""
        return bool(field_of(charge, "refunded", self.api_version))

    @abstractmethod
    def refunds_of(self, credit_note: Object) -> tuple[str, ...]:
        """Ids of the refunds made with a credit note."""

    @abstractmethod
    def tax_of(self, found: Object) -> int:
        """Tax in or on an invoice, invoice line or credit note; 0 if there is none."""

    @abstractmethod
    def period_of(self, subscription: Object, item: Object) -> tuple[int, int]:
        """Current period of a subscription item, half-open epoch seconds."""

    @abstractmethod
    def discounts_of(self, found: Object) -> tuple[str | Object, ...]:
        """Discounts of an invoice, a line, a subscription, an item or a customer.

        Shapes: in Stripe's order; each is an id, or the whole discount where it is expanded.
        """

    @abstractmethod
    def coupon_of(self, found: Object) -> str | None:
        """Coupon of a discount or a promotion code."""

    @abstractmethod
    def is_proration(self, line: Object) -> bool | None:
        """Whether an invoice line or invoice item bills a part of a period after a change.

        None if the line comes from something that this version of ours does not know.
        """

    @abstractmethod
    def price_of(self, found: Object) -> str | None:
        """Price of a subscription item, an invoice line or an invoice item."""

    @abstractmethod
    def unit_amount_of(self, found: Object) -> str | None:
        """Amount of one unit of an item, line or price: minor units as Stripe's decimal string.

        Up to twelve decimals, so it is no number. None for tiers, and for amounts set by hand.
        """

    def quantity_of(self, found: Object) -> int | None:
        """Quantity of an item or line; None for metered prices, which have no quantity."""
        quantity = found.get("quantity")
        if quantity is not None and type(quantity) is not int:
            raise wrong_shape(found, "quantity", "a whole number", self.api_version)
        return quantity

    def trial_of(self, subscription: Object, item: Object) -> tuple[int, int] | None:
        """Trial of a subscription item, half-open epoch seconds; until dahlia the subscription's.

        None if it never had one. The end is planned: a trial may be cut short.
        """
        begin, end = subscription.get("trial_start"), subscription.get("trial_end")
        return None if begin is None or end is None else (int(begin), int(end))

    def paused_reason_of(self, subscription: Object) -> str | None:
        """Why a subscription in status `paused` is so; until dahlia no version tells.

        A trial that ended without a payment method was once the only way; it no longer is, also
        not for those who still read an old version.
        """
        return None


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


def list_of(owner: Object, value: Any, name: str, api_version: str) -> list[Any]:
    """A field's list; null is an empty one. Raises: UnknownValueError for anything else."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong_shape(owner, name, "a list", api_version)
    return value


def sum_amounts(owner: Object, name: str, api_version: str) -> int:
    """Sum of `amount` over a list of an object that must be there; null is an empty list."""
    parts = list_of(owner, field_of(owner, name, api_version), name, api_version)
    return sum(int(field_of(part, "amount", api_version)) for part in parts)


def has_many_discounts(found: Object) -> bool:
    """Whether a kind of object names its discounts in a list, at least since basil."""
    return found.get("object") in _MANY_DISCOUNTS


def wrong_shape(found: Object, name: str, expected: str, api_version: str) -> UnknownValueError:
    """The error of a field that is there in a shape its version does not have."""
    return UnknownValueError(
        f"{found.get('object', 'object')} {found.get('id')}: {name} is not {expected}, which API "
        f"version {api_version} promises",
        remedy="check that GROWTH_STRIPE__API_VERSION is the version Stripe answers in",
    )
