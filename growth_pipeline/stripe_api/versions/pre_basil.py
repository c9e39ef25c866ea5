"""Versions from 2022-11-15 to 2025-02-24.acacia: one payment per invoice, fields on top level.

Source: Stripe changelog of basil, which moved them; types of stripe-python 5.5 and 11.6.
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

_TAX_LISTS: Final = {"invoice": "total_tax_amounts"}
# Kinds that had one discount on top level; their lists of discounts came later, or beside it.
_ONE_DISCOUNT: Final = frozenset({"invoice", "subscription"})


class PreBasil(VersionAdapter):
    """Everything from 2022-11-15 until 2025-03-31.basil."""

    def subscription_of(self, found: Object) -> str | None:
        """`subscription`."""
        return id_of(field_of(found, "subscription", self.api_version))

    def subscription_item_of(self, line: Object) -> str | None:
        """`subscription_item`; lines of no subscription leave it out."""
        return id_of(line.get("subscription_item"))

    def invoice_item_of(self, line: Object) -> str | None:
        """`line.invoice_item`; lines of a whole period leave it out."""
        return id_of(line.get("invoice_item"))

    def invoice_of(self, charge: Object) -> str | None:
        """`invoice`."""
        return id_of(field_of(charge, "invoice", self.api_version))

    def payments_of(self, invoice: Object) -> tuple[PaymentOfInvoice, ...] | None:
        """The one payment of an invoice, from its payment intent or its charge."""
        intent = id_of(field_of(invoice, "payment_intent", self.api_version))
        charge = id_of(field_of(invoice, "charge", self.api_version))
        if intent is None and charge is None:
            return ()
        status = self._payment_status(invoice)
        return (
            PaymentOfInvoice(
                id=None,
                payment_intent=intent,
                charge=None if intent else charge,
                payment_record=None,
                amount_paid=int(field_of(invoice, "amount_paid", self.api_version))
                if status == "paid"
                else None,
                is_default=True,
                status=status,
            ),
        )

    def _payment_status(self, invoice: Object) -> str:
        if field_of(invoice, "paid", self.api_version):
            return "canceled" if invoice.get("paid_out_of_band") else "paid"
        return "canceled" if field_of(invoice, "status", self.api_version) == "void" else "open"

    def payment_intent_of(self, invoice: Object) -> str | None:
        """`invoice.payment_intent`."""
        return id_of(field_of(invoice, "payment_intent", self.api_version))

    def refunded_of(self, charge: Object) -> int:
        """`amount_refunded` less the part of the authorisation that was never captured.

        A partial capture counted its rest as a refund: authorised 30.00, captured 18.00 says
        refunded 12.00 although nothing was given back.
        """
        amount, captured, refunded = (
            int(field_of(charge, name, self.api_version))
            for name in ("amount", "amount_captured", "amount_refunded")
        )
        return max(0, refunded - (amount - captured))

    def is_refunded(self, charge: Object) -> bool:
        """`refunded`, but of an authorisation that was cancelled, where nothing was captured."""
        captured = int(field_of(charge, "amount_captured", self.api_version))
        return captured > 0 and super().is_refunded(charge)

    def refunds_of(self, credit_note: Object) -> tuple[str, ...]:
        """`credit_note.refund`: at most one."""
        refund = id_of(field_of(credit_note, "refund", self.api_version))
        return () if refund is None else (refund,)

    def tax_of(self, found: Object) -> int:
        """Sum of `total_tax_amounts` of an invoice, of `tax_amounts` of lines and credit notes."""
        name = _TAX_LISTS.get(found.get("object", ""), "tax_amounts")
        return sum_amounts(found, name, self.api_version)

    def period_of(self, subscription: Object, item: Object) -> tuple[int, int]:
        """The subscription's own period; all its items share it."""
        return (
            int(field_of(subscription, "current_period_start", self.api_version)),
            int(field_of(subscription, "current_period_end", self.api_version)),
        )

    def discounts_of(self, found: Object) -> tuple[str | Object, ...]:
        """`discounts`, and `discount` where the list lacks it: older releases have only that."""
        listed: list[Any] = []
        if has_many_discounts(found):
            listed = list_of(found, found.get("discounts"), "discounts", self.api_version)
        single = (
            field_of(found, "discount", self.api_version)
            if found.get("object") in _ONE_DISCOUNT
            else found.get("discount")
        )
        if single is None:
            return tuple(listed)
        # The same discount is in both places, in the list as its id: the whole object tells more.
        merged = [single if id_of(one) == id_of(single) else one for one in listed]
        return tuple(merged) if single in merged else (*merged, single)

    def coupon_of(self, found: Object) -> str | None:
        """`coupon`, which is always whole."""
        return id_of(field_of(found, "coupon", self.api_version))

    def is_proration(self, line: Object) -> bool | None:
        """`proration`."""
        return bool(field_of(line, "proration", self.api_version))

    def price_of(self, found: Object) -> str | None:
        """`price`; an item made before prices existed names its plan, whose id is the price's."""
        price = id_of(field_of(found, "price", self.api_version))
        return price or id_of(found.get("plan"))

    def unit_amount_of(self, found: Object) -> str | None:
        """`unit_amount_decimal` of a price, or of the price of an item or line."""
        if found.get("object") == "price":
            return _text(field_of(found, "unit_amount_decimal", self.api_version))
        price = field_of(found, "price", self.api_version)
        if price is None:
            return None
        return _text(field_of(price, "unit_amount_decimal", self.api_version))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
