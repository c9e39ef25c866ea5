"""Versions since 2025-03-31.basil: several payments per invoice, periods on items, `parent`.

Source: Stripe changelog, "Multiple partial payments on invoices", "Subscription item billing
periods", "Partially capturing or canceling payments".
"""

from __future__ import annotations

from growth_pipeline.stripe_api.versions.adapter import Object, VersionAdapter, field_of, id_of


class Basil(VersionAdapter):
    """2025-03-31.basil and the releases of its name."""

    def subscription_of(self, invoice: Object) -> str | None:
        """`invoice.parent.subscription_details.subscription`."""
        parent = field_of(invoice, "parent", self.api_version)
        if parent is None or parent.get("type") != "subscription_details":
            return None
        details = field_of(parent, "subscription_details", self.api_version)
        return id_of(field_of(details, "subscription", self.api_version))

    def invoice_of(self, charge: Object) -> str | None:
        """Not told by a charge any more; invoice payments are the join."""
        return None

    def payment_intent_of(self, invoice: Object) -> str | None:
        """Of the default one among `invoice.payments`, where these were expanded."""
        for invoice_payment in (invoice.get("payments") or {}).get("data", []):
            payment = field_of(invoice_payment, "payment", self.api_version)
            is_default = field_of(invoice_payment, "is_default", self.api_version)
            if is_default and payment.get("type") == "payment_intent":
                return id_of(field_of(payment, "payment_intent", self.api_version))
        return None

    def refunded_of(self, charge: Object) -> int:
        """`amount_refunded`; an uncaptured rest is no refund here."""
        return int(field_of(charge, "amount_refunded", self.api_version))

    def period_of(self, subscription: Object, item: Object) -> tuple[int, int]:
        """The item's own period; items of one subscription may differ."""
        return (
            int(field_of(item, "current_period_start", self.api_version)),
            int(field_of(item, "current_period_end", self.api_version)),
        )


class Clover(Basil):
    """2025-09-30.clover: moved coupons, which no question asks for yet."""


class Dahlia(Clover):
    """2026-03-25.dahlia: decimals became a type of the SDK; the JSON is the same."""


class Endive(Dahlia):
    """2026-09-30.endive: new statuses, no moved field."""
