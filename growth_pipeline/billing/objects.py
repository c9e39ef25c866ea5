"""The kinds of Stripe object we know: their lists, and their tables; light, for code locations.

One registry for extracts, mirror, backfill and sweep. Columns of each kind: columns.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Listing(StrEnum):
    """How Stripe lists a kind: by `created`, only whole, or not at all."""

    BY_CREATION = "by_creation"
    WHOLE = "whole"
    NONE = "none"


@dataclass(frozen=True)
class Kind:
    """One kind of Stripe object.

    `object` is Stripe's own name of it. `resource` is ours, in the plural: the dataset
    `stripe/<resource>` of the lake, the asset `<resource>_extract`, the table `stripe.<resource>`.
    `path` is its list below `/v1/`, `params` what its list is always asked with, `nested` the
    lists inside it that Stripe cuts off after ten.
    """

    object: str
    resource: str
    path: str
    listing: Listing = Listing.BY_CREATION
    params: Mapping[str, str] = field(default_factory=dict)
    nested: tuple[str, ...] = ()


def _expanding(*names: str) -> dict[str, str]:
    return {f"expand[{place}]": f"data.{name}" for place, name in enumerate(names)}


KINDS: Final = (
    Kind("payment_intent", "payment_intents", "payment_intents"),
    Kind("charge", "charges", "charges"),
    Kind("invoice", "invoices", "invoices", params=_expanding("discounts"), nested=("lines",)),
    Kind("invoice_payment", "invoice_payments", "invoice_payments"),
    # The default list of subscriptions hides the cancelled ones.
    Kind(
        "subscription",
        "subscriptions",
        "subscriptions",
        params={"status": "all", **_expanding("discounts")},
        nested=("items",),
    ),
    Kind("customer", "customers", "customers"),
    Kind("refund", "refunds", "refunds"),
    Kind("dispute", "disputes", "disputes"),
    Kind("balance_transaction", "balance_transactions", "balance_transactions"),
    Kind("payout", "payouts", "payouts"),
    Kind("credit_note", "credit_notes", "credit_notes", nested=("lines",)),
    Kind("checkout.session", "checkout_sessions", "checkout/sessions"),
    Kind("product", "products", "products"),
    # No event and no plain list tells tiers, without which a tiered price is unknown.
    Kind("price", "prices", "prices", params=_expanding("tiers")),
    # The same of the products that a coupon is for.
    Kind("coupon", "coupons", "coupons", params=_expanding("applies_to")),
    Kind("promotion_code", "promotion_codes", "promotion_codes"),
    Kind("payment_method", "payment_methods", "payment_methods", Listing.WHOLE),
    Kind("event", "events", "events"),
    Kind("invoiceitem", "invoice_items", "invoiceitems", Listing.NONE),
    Kind("subscription_schedule", "subscription_schedules", "subscription_schedules", Listing.NONE),
    Kind("plan", "plans", "plans", Listing.NONE),
)
BY_OBJECT: Final[Mapping[str, Kind]] = {kind.object: kind for kind in KINDS}
BY_RESOURCE: Final[Mapping[str, Kind]] = {kind.resource: kind for kind in KINDS}

# Kinds whose months are extracted, in the order of their assets, and those extracted whole.
STRIPE_OBJECTS: Final = tuple(k.resource for k in KINDS if k.listing is Listing.BY_CREATION)
WHOLE_OBJECTS: Final = tuple(k.resource for k in KINDS if k.listing is Listing.WHOLE)

# Kinds that an audit compares with the books.
AUDITED_OBJECTS: Final = (
    "payment_intents",
    "charges",
    "invoices",
    "subscriptions",
    "customers",
    "refunds",
    "disputes",
    "balance_transactions",
    "invoice_payments",
    "credit_notes",
    "payouts",
)

# Kinds that a backfill brings into the mirror, in the order of applying. Charges come last: when
# their payments are booked, refunds, disputes and fees are known already. Events are no state of
# an object: what webhooks missed of them, the sweep puts into the inbox.
BACKFILLED: Final = (
    *(name for name in (*STRIPE_OBJECTS, *WHOLE_OBJECTS) if name not in {"charges", "events"}),
    "charges",
)

# Kinds of which Stripe deletes no object in live mode. A deleted customer is still answered, as a
# stub that says so. Source: Stripe API reference; docs/stripe.md, "Deletions".
KEPT_FOR_EVER: Final = frozenset(
    {
        *("balance_transaction", "charge", "checkout.session", "credit_note", "customer"),
        *("dispute", "invoice_payment", "payment_intent", "payout", "refund", "subscription"),
    }
)
