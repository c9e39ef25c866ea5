"""Versions up to 2025-02-24.acacia: one payment per invoice, periods on the subscription."""

from __future__ import annotations

from growth_pipeline.stripe_api.versions.adapter import Object, VersionAdapter, field_of, id_of


class PreBasil(VersionAdapter):
    """Everything released before 2025-03-31.basil."""

    def subscription_of(self, invoice: Object) -> str | None:
        """`invoice.subscription`."""
        return id_of(field_of(invoice, "subscription", self.api_version))

    def invoice_of(self, charge: Object) -> str | None:
        """`charge.invoice`."""
        return id_of(field_of(charge, "invoice", self.api_version))

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

    def period_of(self, subscription: Object, item: Object) -> tuple[int, int]:
        """The subscription's own period; all its items share it."""
        return (
            int(field_of(subscription, "current_period_start", self.api_version)),
            int(field_of(subscription, "current_period_end", self.api_version)),
        )
