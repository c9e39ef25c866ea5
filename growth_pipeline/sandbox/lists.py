"""The lists the server has, and by what each can be filtered.

Which query parameters Stripe knows is not written here: the installed SDK says it
(`list_params.py`). This table says what a known parameter compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from growth_pipeline.sandbox.journal import Json


@dataclass(frozen=True)
class Resource:
    """One kind of object.

    `sdk`: its name in the SDK's parameter types. `address`: of its list below `/v1/` where that is
    not its name. `columns`: column -> dotted path in the object, `^` for the parent's id.
    `same`, `among`, `ranges`: parameter -> column, for equality, for a list of values, for bounds;
    `flags`: parameter -> SQL that holds when it is true. `indexed`: columns by which big companies
    are searched too. `oldest_first`: children keep their parent's order; every other list is
    newest first.
    """

    name: str
    object: str
    sdk: str
    columns: Mapping[str, str] = field(default_factory=dict)
    same: Mapping[str, str] = field(default_factory=dict)
    among: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, str] = field(default_factory=lambda: {"created": "created"})
    flags: Mapping[str, str] = field(default_factory=dict)
    indexed: tuple[str, ...] = ()
    oldest_first: bool = False
    address: str = ""

    @property
    def path(self) -> str:
        """Address of the list below `/v1/`."""
        return self.address or self.name


def _by_name(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_ALL = (
    Resource("products", "product", "Product",
             columns=_by_name("active", "shippable", "type", "url"),
             same=_by_name("active", "shippable", "type", "url"), among={"ids": "id"}),
    Resource("prices", "price", "Price",
             columns=_by_name("active", "currency", "lookup_key", "product", "type") | {
                 "recurring_interval": "recurring.interval",
                 "recurring_meter": "recurring.meter",
                 "recurring_usage_type": "recurring.usage_type",
             },
             same=_by_name("active", "currency", "product", "type") | {
                 "recurring.interval": "recurring_interval",
                 "recurring.meter": "recurring_meter",
                 "recurring.usage_type": "recurring_usage_type",
             },
             among={"lookup_keys": "lookup_key"}),
    Resource("coupons", "coupon", "Coupon"),
    Resource("customers", "customer", "Customer",
             columns=_by_name("email", "test_clock"), same=_by_name("email", "test_clock")),
    Resource("subscriptions", "subscription", "Subscription",
             columns=_by_name("collection_method", "customer", "customer_account", "status",
                              "test_clock") | {
                 "automatic_tax": "automatic_tax.enabled",
                 "current_period_start": "items.data.0.current_period_start",
                 "current_period_end": "items.data.0.current_period_end",
             },
             same=_by_name("collection_method", "customer", "customer_account", "test_clock") | {
                 "automatic_tax.enabled": "automatic_tax",
             },
             ranges=_by_name("created", "current_period_start", "current_period_end"),
             indexed=("customer",)),
    Resource("subscription_items", "subscription_item", "SubscriptionItem",
             columns=_by_name("subscription") | {"price": "price.id"},
             same=_by_name("subscription"), ranges={}, indexed=("subscription", "price"),
             oldest_first=True),
    Resource("invoices", "invoice", "Invoice",
             columns=_by_name("collection_method", "customer", "customer_account", "due_date",
                              "status") | {
                 "subscription": "parent.subscription_details.subscription",
             },
             same=_by_name("collection_method", "customer", "customer_account", "status",
                           "subscription"),
             ranges=_by_name("created", "due_date"), indexed=("customer", "subscription")),
    Resource("invoice_lines", "line_item", "InvoiceListLines",
             columns=_by_name("invoice"), same=_by_name("invoice"), ranges={},
             indexed=("invoice",), oldest_first=True),
    Resource("invoice_payments", "invoice_payment", "InvoicePayment",
             columns=_by_name("invoice", "status") | {
                 "payment_type": "payment.type",
                 "payment_intent": "payment.payment_intent",
                 "payment_record": "payment.payment_record",
             },
             same=_by_name("invoice", "status") | {
                 "payment.type": "payment_type",
                 "payment.payment_intent": "payment_intent",
                 "payment.payment_record": "payment_record",
             },
             indexed=("invoice", "payment_intent")),
    Resource("payment_intents", "payment_intent", "PaymentIntent",
             columns=_by_name("customer", "customer_account"),
             same=_by_name("customer", "customer_account"), indexed=("customer",)),
    Resource("charges", "charge", "Charge",
             columns=_by_name("customer", "payment_intent", "transfer_group"),
             same=_by_name("customer", "payment_intent", "transfer_group"),
             indexed=("customer", "payment_intent")),
    Resource("refunds", "refund", "Refund",
             columns=_by_name("charge", "payment_intent"),
             same=_by_name("charge", "payment_intent"), indexed=("charge",)),
    Resource("disputes", "dispute", "Dispute",
             columns=_by_name("charge", "payment_intent"),
             same=_by_name("charge", "payment_intent"), indexed=("charge",)),
    Resource("balance_transactions", "balance_transaction", "BalanceTransaction",
             columns=_by_name("currency", "source", "type", "net", "available_on") | {
                 "payout": "",
             },
             same=_by_name("currency", "payout", "source", "type"),
             indexed=("payout", "source")),
    Resource("payouts", "payout", "Payout",
             columns=_by_name("arrival_date", "destination", "status"),
             same=_by_name("destination", "status"),
             ranges=_by_name("created", "arrival_date")),
    Resource("credit_notes", "credit_note", "CreditNote",
             columns=_by_name("customer", "customer_account", "invoice"),
             same=_by_name("customer", "customer_account", "invoice"), indexed=("invoice",)),
    Resource("credit_note_lines", "credit_note_line_item", "CreditNoteListLines",
             columns={"credit_note": "^"}, same=_by_name("credit_note"), ranges={},
             indexed=("credit_note",), oldest_first=True),
    Resource("checkout_sessions", "checkout.session", "checkout.Session",
             address="checkout/sessions",
             columns=_by_name("customer", "customer_account", "payment_intent", "payment_link",
                              "status", "subscription") | {"email": "customer_details.email"},
             same=_by_name("customer", "customer_account", "payment_intent", "payment_link",
                           "status", "subscription") | {"customer_details.email": "email"},
             indexed=("customer", "payment_intent", "subscription")),
    Resource("promotion_codes", "promotion_code", "PromotionCode",
             columns=_by_name("active", "code", "customer", "customer_account") | {
                 "coupon": "promotion.coupon",
             },
             same=_by_name("active", "code", "coupon", "customer", "customer_account")),
    Resource("payment_methods", "payment_method", "PaymentMethod",
             columns=_by_name("allow_redisplay", "customer", "customer_account", "type"),
             same=_by_name("allow_redisplay", "customer", "customer_account", "type"),
             ranges={}, indexed=("customer",)),
    Resource("invoice_items", "invoiceitem", "InvoiceItem", address="invoiceitems",
             columns=_by_name("customer", "customer_account", "invoice"),
             same=_by_name("customer", "customer_account", "invoice"),
             flags={"pending": "invoice is null"}, indexed=("customer", "invoice")),
    Resource("subscription_schedules", "subscription_schedule", "SubscriptionSchedule",
             columns=_by_name("canceled_at", "completed_at", "customer", "customer_account",
                              "released_at", "status"),
             same=_by_name("customer", "customer_account"),
             ranges=_by_name("canceled_at", "completed_at", "created", "released_at"),
             flags={"scheduled": "status = 'not_started'"}, indexed=("customer",)),
    Resource("plans", "plan", "Plan", columns=_by_name("active", "product"),
             same=_by_name("active", "product")),
    Resource("webhook_endpoints", "webhook_endpoint", "WebhookEndpoint", ranges={}),
    Resource("events", "event", "Event", columns=_by_name("type"),
             same={"type": "type", "delivery_success": "delivered"}, among={"types": "type"}),
    # Found by expanding only; it has no list and no address at Stripe either.
    Resource("discounts", "discount", ""),
)  # fmt: skip
RESOURCES = {resource.name: resource for resource in _ALL}
BY_OBJECT = {resource.object: resource for resource in _ALL}
# Children are listed at an address of their own.
CHILDREN = {
    "subscription": "subscription_items",
    "invoice": "invoice_lines",
    "credit_note": "credit_note_lines",
}


@dataclass(frozen=True)
class Nested:
    """A list below one object: its kind, the column that names the owner, its SDK parameters."""

    resource: Resource
    owner: str
    params: str


# List and last step of the address -> what is listed there.
NESTED = {
    ("invoices", "lines"): Nested(RESOURCES["invoice_lines"], "invoice", "InvoiceListLinesParams"),
    ("credit_notes", "lines"): Nested(
        RESOURCES["credit_note_lines"], "credit_note", "CreditNoteListLinesParams"
    ),
    ("charges", "refunds"): Nested(RESOURCES["refunds"], "charge", "ChargeListRefundsParams"),
    ("customers", "payment_methods"): Nested(
        RESOURCES["payment_methods"], "customer", "CustomerListPaymentMethodsParams"
    ),
}
_UNLISTED = {"discounts", "invoice_lines", "credit_note_lines"}
_PATHS = {resource.path: resource for resource in _ALL if resource.name not in _UNLISTED}


@dataclass(frozen=True)
class Place:
    """Where an address leads: a list, one object of it, or a list below that object."""

    resource: Resource
    object_id: str = ""
    nested: Nested | None = None

    @property
    def endpoint(self) -> str:
        """Name of the operation, as rate limits count it: ids do not matter."""
        below = self.nested.resource.name if self.nested else "one" if self.object_id else "list"
        return f"{self.resource.path}/{below}"


def locate(path: str) -> Place | None:
    """The place of an address below `/v1/`, such as `checkout/sessions/cs_1`; None is a 404."""
    steps = [step for step in path.split("/") if step]
    for count in (2, 1):
        resource = _PATHS.get("/".join(steps[:count]))
        rest = steps[count:]
        if resource is None or len(rest) > 2:  # noqa: PLR2004 - an id and a nested list
            continue
        nested = NESTED.get((resource.name, rest[1])) if rest[1:] else None
        if rest[1:] and nested is None:
            return None
        return Place(resource, rest[0] if rest else "", nested)
    return None


def dig(obj: Any, path: str) -> Any:
    """Value at a dotted path; None where a step is missing. A number steps into a list."""
    for step in path.split("."):
        if isinstance(obj, list):
            obj = obj[int(step)] if step.isdigit() and int(step) < len(obj) else None
        else:
            obj = obj.get(step) if isinstance(obj, dict) else None
    return obj


def column_values(resource: Resource, obj: Json, parent: str | None = None) -> tuple[Any, ...]:
    """What the store keeps beside an object to find it by, in the order of `columns`."""
    return tuple(
        parent if path == "^" else dig(obj, path) if "." in path else obj.get(path)
        for path in resource.columns.values()
    )
