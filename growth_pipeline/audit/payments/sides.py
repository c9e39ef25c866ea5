"""A payment as each side has it, and the pair of both. What the audit compares; no rule of judging.

Contract: docs/metrics.md, "Payments".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FAILED_REFUNDS: Final = frozenset({"failed", "canceled"})


@dataclass(frozen=True, slots=True)
class StripePayment:
    """One payment as Stripe has it, whatever API version it was read in.

    Grain: one charge; a payment intent, invoice payment or invoice only where no charge exists.
    Units: minor units of `currency`; fee and net in `settlement_currency`. None is unknown.
    """

    object: str
    id: str
    created: int
    status: str
    captured: bool
    paid: bool
    currency: str
    asked_minor: int
    captured_minor: int
    refunded_minor: int = 0
    disputed_minor: int = 0
    reinstated_minor: int = 0
    failed_refunds: tuple[int, ...] = ()
    fee_minor: int | None = None
    net_after_fee_minor: int | None = None
    settlement_currency: str | None = None
    tax_minor: int | None = None
    customer: str | None = None
    invoice: str | None = None
    payment_intent: str | None = None

    @property
    def settled(self) -> bool:
        """Whether the money counts: succeeded, paid and captured."""
        return self.status == "succeeded" and self.paid and self.captured

    @property
    def net_minor(self) -> int:
        """Gross less refunds and disputed funds; 0 while not settled."""
        if not self.settled:
            return 0
        return self.captured_minor - self.refunded_minor - self.disputed_minor


@dataclass(frozen=True, slots=True)
class BookedRow:
    """One row of billing.payments. Units: minor units of `currency`; instants in Unix seconds."""

    payment_id: int
    account_id: str
    livemode: bool
    charge_id: str | None
    payment_intent_id: str | None
    invoice_id: str | None
    customer_id: str | None
    status: str
    captured: bool
    currency: str
    amount_minor: int
    refunded_minor: int
    disputed_minor: int
    fee_minor: int | None
    net_minor: int | None
    settlement_currency: str | None
    created: int
    written_by: str
    written: int
    invoice_payment_id: str | None = None

    @property
    def settled(self) -> bool:
        """Whether the books count the money."""
        return self.status == "succeeded" and self.captured

    @property
    def counted_minor(self) -> int:
        """Gross less refunds and disputed funds as booked; 0 while not settled."""
        if not self.settled:
            return 0
        return self.amount_minor - self.refunded_minor - self.disputed_minor

    @property
    def object(self) -> str:
        """What the row is matched by: charge, else payment intent, invoice payment, invoice."""
        if self.charge_id is not None:
            return "charge"
        if self.payment_intent_id is not None:
            return "payment_intent"
        return "invoice" if self.invoice_payment_id is None else "invoice_payment"

    @property
    def object_id(self) -> str:
        """The Stripe id the row is matched by."""
        named = (self.charge_id, self.payment_intent_id, self.invoice_payment_id, self.invoice_id)
        return next((one for one in named if one is not None), "")


@dataclass(frozen=True, slots=True)
class Pair:
    """Everything known about one payment: Stripe's side, all rows of the books, what was asked.

    Without `stripe` the id is unknown to Stripe in this account and mode; then `rows` are those of
    the audited month. With `stripe`, `rows` are all rows of the payment, whatever month they bear.
    `leak` is livemode_leak or account_leak: the rows belong to another scope's object, or, where
    the month has no row, `leaked_rows` of another scope hold this payment.
    """

    stripe: StripePayment | None
    rows: tuple[BookedRow, ...]
    month_start: int
    month_end: int
    as_of: int
    leak: str | None = None
    leaked_rows: tuple[BookedRow, ...] = ()
    orphans: tuple[str, ...] = ()

    @property
    def object(self) -> str:
        """Stripe's word for what the pair is about."""
        return self.stripe.object if self.stripe else self.rows[0].object

    @property
    def object_id(self) -> str:
        """Stripe id of the pair."""
        return self.stripe.id if self.stripe else self.rows[0].object_id

    def in_month(self, row: BookedRow) -> bool:
        """Whether the books give the row to the audited month."""
        return self.month_start <= row.created < self.month_end
