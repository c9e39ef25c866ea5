"""Empty forms of Stripe's objects, as API version 2026-10-28.endive has them.

Only shapes belong here: which keys exist and what they hold at birth. What happens to an object
later is in the modules about lives. Source: Stripe API reference, one heading per object.
"""

from growth_pipeline.sandbox.shapes.balance import (
    balance_transaction,
    payout,
)
from growth_pipeline.sandbox.shapes.billing import (
    customer,
    invoice,
    invoice_line,
    invoice_payment,
    subscription,
    subscription_item,
)
from growth_pipeline.sandbox.shapes.catalogue import (
    account,
    coupon,
    discount,
    plan,
    price,
    product,
    promotion_code,
    webhook_endpoint,
)
from growth_pipeline.sandbox.shapes.checkout import (
    bank_account,
    checkout_session,
    payment_method,
)
from growth_pipeline.sandbox.shapes.credits import (
    credit_note,
    credit_note_line,
    invoice_item,
)
from growth_pipeline.sandbox.shapes.payments import (
    card_details,
    charge,
    dispute,
    payment_intent,
    refund,
    sepa_details,
)
from growth_pipeline.sandbox.shapes.phases import phase, subscription_schedule

API_VERSION = "2026-10-28.endive"

__all__ = [
    "API_VERSION",
    "account",
    "balance_transaction",
    "bank_account",
    "card_details",
    "charge",
    "checkout_session",
    "coupon",
    "credit_note",
    "credit_note_line",
    "customer",
    "discount",
    "dispute",
    "invoice",
    "invoice_item",
    "invoice_line",
    "invoice_payment",
    "payment_intent",
    "payment_method",
    "payout",
    "phase",
    "plan",
    "price",
    "product",
    "promotion_code",
    "refund",
    "sepa_details",
    "subscription",
    "subscription_item",
    "subscription_schedule",
    "webhook_endpoint",
]
