"""Versions since 2025-03-31.basil: several payments per invoice, periods on items, `parent`.

Source: Stripe changelog, "Multiple partial payments on invoices", "Subscription item billing
periods", "Partially capturing or canceling payments"; types of stripe-python 12.5.
"""

from __future__ import annotations

from typing import Any, Final

from growth_pipeline.stripe_api.versions.adapter import (
    Object,
    PaymentOfInvoice,
    VersionAdapter,
    field_of,
    has_many_discounts,
    id_of,
    list_of,
    sum_amounts,
)

# What a line, an invoice or an invoice item may come from. Another type is not guessed at.
_LINE_PARENTS: Final = ("subscription_item_details", "invoice_item_details")
_SUBSCRIPTION_PARENTS: Final = ("subscription_details", *_LINE_PARENTS)
_TAX_LISTS: Final = {"invoice": "total_taxes", "credit_note": "total_taxes"}


class Basil(VersionAdapter):
    """2025-03-31.basil and the releases of its name."""

    def subscription_of(self, found: Object) -> str | None:
        """`parent.subscription_details.subscription`, or that of the line's parent.

        A subscription item kept its own `subscription`.
        """
        if found.get("object") == "subscription_item":
            return id_of(field_of(found, "subscription", self.api_version))
        details = self._parent_of(found, _SUBSCRIPTION_PARENTS)
        if details is None:
            return None
        return id_of(field_of(details, "subscription", self.api_version))

    def subscription_item_of(self, line: Object) -> str | None:
        """`parent.subscription_item_details.subscription_item`; an item's `subscription_details`.

        The parent of a line from an invoice item names the subscription, not its item.
        """
        parents = ("subscription_details", "subscription_item_details")
        details = self._parent_of(line, parents)
        return None if details is None else id_of(details.get("subscription_item"))

    def invoice_item_of(self, line: Object) -> str | None:
        """`invoice_item` of either parent; a proration has it in both."""
        details = self._parent_of(line, _LINE_PARENTS)
        return None if details is None else id_of(details.get("invoice_item"))

    def invoice_of(self, charge: Object) -> str | None:
        """Not told by a charge or payment intent any more; invoice payments are the join."""
        return None

    def payments_of(self, invoice: Object) -> tuple[PaymentOfInvoice, ...] | None:
        """`invoice.payments`, which is there only when asked for."""
        payments = invoice.get("payments")
        if payments is None:
            return None
        listed = field_of(payments, "data", self.api_version)
        return tuple(self._payment(found) for found in listed)

    def _payment(self, found: Object) -> PaymentOfInvoice:
        payment = field_of(found, "payment", self.api_version)
        kind = field_of(payment, "type", self.api_version)
        told = {kind: id_of(payment.get(kind))}
        return PaymentOfInvoice(
            id=id_of(found.get("id")),
            payment_intent=told.get("payment_intent"),
            charge=told.get("charge"),
            payment_record=told.get("payment_record"),
            amount_paid=found.get("amount_paid"),
            is_default=bool(field_of(found, "is_default", self.api_version)),
            status=str(field_of(found, "status", self.api_version)),
        )

    def payment_intent_of(self, invoice: Object) -> str | None:
        """Of the default one among `invoice.payments`, where these were expanded."""
        for found in (invoice.get("payments") or {}).get("data", []):
            payment = field_of(found, "payment", self.api_version)
            is_default = field_of(found, "is_default", self.api_version)
            if is_default and payment.get("type") == "payment_intent":
                return id_of(field_of(payment, "payment_intent", self.api_version))
        return None

    def refunded_of(self, charge: Object) -> int:
        """`amount_refunded`; an uncaptured rest is no refund here."""
        return int(field_of(charge, "amount_refunded", self.api_version))

    def refunds_of(self, credit_note: Object) -> tuple[str, ...]:
        """`credit_note.refunds`; an entry without `refund` was paid back outside Stripe."""
        entries = list_of(
            credit_note,
            field_of(credit_note, "refunds", self.api_version),
            "refunds",
            self.api_version,
        )
        refunds = [id_of(entry.get("refund")) for entry in entries]
        return tuple(refund for refund in refunds if refund is not None)

    def tax_of(self, found: Object) -> int:
        """Sum of `total_taxes` of invoices and credit notes, of `taxes` of their lines."""
        name = _TAX_LISTS.get(found.get("object", ""), "taxes")
        return sum_amounts(found, name, self.api_version)

    def period_of(self, subscription: Object, item: Object) -> tuple[int, int]:
        """The item's own period; items of one subscription may differ."""
        return (
            int(field_of(item, "current_period_start", self.api_version)),
            int(field_of(item, "current_period_end", self.api_version)),
        )

    def discounts_of(self, found: Object) -> tuple[str | Object, ...]:
        """`discounts`; a customer still has one `discount`."""
        if not has_many_discounts(found):
            single = found.get("discount")
            return () if single is None else (single,)
        discounts = field_of(found, "discounts", self.api_version)
        return tuple(list_of(found, discounts, "discounts", self.api_version))

    def coupon_of(self, found: Object) -> str | None:
        """`coupon`, which is always whole."""
        return id_of(field_of(found, "coupon", self.api_version))

    def is_proration(self, line: Object) -> bool | None:
        """`proration` of the line's parent; an invoice item kept its own.

        A line without parent was written by hand, which is no proration.
        """
        if line.get("object") == "invoiceitem":
            return bool(field_of(line, "proration", self.api_version))
        if field_of(line, "parent", self.api_version) is None:
            return False
        details = self._parent_of(line, _LINE_PARENTS)
        return None if details is None else bool(field_of(details, "proration", self.api_version))

    def price_of(self, found: Object) -> str | None:
        """`pricing.price_details.price`; a subscription item kept its whole `price`."""
        if found.get("object") == "subscription_item":
            return id_of(field_of(found, "price", self.api_version))
        pricing = field_of(found, "pricing", self.api_version)
        details = None if pricing is None else pricing.get("price_details")
        return None if details is None else id_of(field_of(details, "price", self.api_version))

    def unit_amount_of(self, found: Object) -> str | None:
        """`pricing.unit_amount_decimal`, or that of the price itself or of an item's price."""
        if found.get("object") in {"price", "subscription_item"}:
            holder = found if found["object"] == "price" else found.get("price")
        else:
            holder = field_of(found, "pricing", self.api_version)
            if holder is None:
                return None
        amount = field_of(holder, "unit_amount_decimal", self.api_version)
        return None if amount is None else str(amount)

    def _parent_of(self, found: Object, types: tuple[str, ...]) -> Any:
        """The details of what an object comes from; None if that is nothing of these types."""
        parent = field_of(found, "parent", self.api_version)
        if parent is None:
            return None
        kind = field_of(parent, "type", self.api_version)
        return field_of(parent, kind, self.api_version) if kind in types else None
