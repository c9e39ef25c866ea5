"""The kinds of Stripe object that are extracted; light, because code locations load it."""

STRIPE_OBJECTS = (
    "payment_intents",
    "charges",
    "invoices",
    "subscriptions",
    "customers",
    "refunds",
    "disputes",
    "balance_transactions",
)
