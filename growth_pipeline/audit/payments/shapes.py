"""A payment from the typed columns of one Stripe object, whether a file or Stripe's answer has it.

Grain: a charge; an intent, an invoice or an invoice payment only where no charge exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from growth_pipeline.audit.payments.sides import StripePayment

_INTENT_STATUSES: Final = {"processing": "pending", "canceled": "failed"}
_INVOICE_PAYMENT_STATUSES: Final = {"paid": "succeeded", "canceled": "failed"}
_INVOICE_STATUSES: Final = {"paid": "succeeded", "void": "failed", "uncollectible": "failed"}


def charge_payment(row: Mapping[str, Any]) -> StripePayment:
    """A charge alone, from its typed columns: refunds by its own sum, no disputes."""
    return StripePayment(
        object="charge",
        id=row["id"],
        created=row["created"],
        status=row["status"],
        captured=row["captured"],
        paid=row["paid"],
        currency=row["currency"],
        asked_minor=row["amount"],
        captured_minor=row["amount_captured"],
        refunded_minor=row["amount_refunded"],
        customer=row["customer"],
        invoice=row["invoice"],
        payment_intent=row["payment_intent"],
    )


def intent_payment(row: Mapping[str, Any]) -> StripePayment:
    """A payment intent without a charge: no money moved, whatever it waits for."""
    return StripePayment(
        object="payment_intent",
        id=row["id"],
        created=row["created"],
        status=_INTENT_STATUSES.get(row["status"], row["status"]),
        captured=False,
        paid=False,
        currency=row["currency"],
        asked_minor=row["amount"],
        captured_minor=0,
        customer=row["customer"],
        payment_intent=row["id"],
    )


def invoice_payment(row: Mapping[str, Any]) -> StripePayment:
    """An invoice without a charge: paid by balance, out of band or in parts, or not paid."""
    status = _INVOICE_STATUSES.get(row["status"] or "", "pending")
    return StripePayment(
        object="invoice",
        id=row["id"],
        created=row["created"],
        status=status,
        captured=status == "succeeded",
        paid=status == "succeeded",
        currency=row["currency"],
        asked_minor=row["amount_paid"],
        captured_minor=row["amount_paid"],
        customer=row["customer"],
        invoice=row["id"],
        payment_intent=row["payment_intent"],
    )


def paid_outside(row: Mapping[str, Any]) -> StripePayment:
    """An invoice payment without a charge: recorded from outside Stripe, or not paid yet."""
    status = _INVOICE_PAYMENT_STATUSES.get(row["status"], "pending")
    paid = row["amount_paid"] or 0
    return StripePayment(
        object="invoice_payment",
        id=row["id"],
        created=row["created"],
        status=status,
        captured=status == "succeeded",
        paid=status == "succeeded",
        currency=row["currency"],
        asked_minor=row["amount_requested"] or paid,
        captured_minor=paid,
        invoice=row["invoice"],
        payment_intent=row["payment_intent"],
    )
