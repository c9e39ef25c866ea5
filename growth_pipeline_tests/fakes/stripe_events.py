"""Stripe objects and events as plain dictionaries, with only what a test must see spelled out.

Shapes follow API version 2026-10-28.endive; `OLD` is a version before basil, with its old fields.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import orjson

NEW = "2026-10-28.endive"
OLD = "2022-11-15"
NOON = 1_893_499_200  # 2030-01-01T12:00:00Z
NOW = datetime(2030, 1, 2, tzinfo=UTC)


def a_charge(id: str = "ch_1", **fields: Any) -> dict[str, Any]:
    """A captured payment of 10.00 usd."""
    charge: dict[str, Any] = {
        "id": id,
        "object": "charge",
        "amount": 1000,
        "amount_captured": 1000,
        "amount_refunded": 0,
        "balance_transaction": None,
        "captured": True,
        "created": NOON,
        "currency": "usd",
        "customer": "cus_1",
        "disputed": False,
        "livemode": False,
        "paid": True,
        "payment_intent": f"pi_of_{id}",
        "refunded": False,
        "status": "succeeded",
    }
    return charge | fields


def a_refund(id: str = "re_1", charge: str = "ch_1", **fields: Any) -> dict[str, Any]:
    refund: dict[str, Any] = {
        "id": id,
        "object": "refund",
        "amount": 400,
        "balance_transaction": None,
        "charge": charge,
        "created": NOON,
        "currency": "usd",
        "payment_intent": f"pi_of_{charge}",
        "status": "succeeded",
    }
    return refund | fields


def a_dispute(id: str = "dp_1", charge: str = "ch_1", *moved: int, **fields: Any) -> dict[str, Any]:
    """A dispute of 10.00 usd; `moved` are the amounts of its balance transactions."""
    dispute: dict[str, Any] = {
        "id": id,
        "object": "dispute",
        "amount": 1000,
        "balance_transactions": [
            {"id": f"txn_{id}_{n}", "object": "balance_transaction", "amount": amount}
            for n, amount in enumerate(moved)
        ],
        "charge": charge,
        "created": NOON,
        "currency": "usd",
        "status": "needs_response",
    }
    return dispute | fields


def a_price(id: str = "price_1", **fields: Any) -> dict[str, Any]:
    """10.00 usd a month."""
    price: dict[str, Any] = {
        "id": id,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": NOON,
        "currency": "usd",
        "product": "prod_1",
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
        "type": "recurring",
        "unit_amount": 1000,
        "unit_amount_decimal": "1000",
    }
    return price | fields


def a_subscription(id: str = "sub_1", **fields: Any) -> dict[str, Any]:
    subscription: dict[str, Any] = {
        "id": id,
        "object": "subscription",
        "created": NOON,
        "currency": "usd",
        "customer": "cus_1",
        "status": "active",
        "quantity": 1,
        "start_date": NOON,
        "cancel_at_period_end": False,
        "discounts": [],
        "items": {
            "object": "list",
            "has_more": False,
            "data": [
                {
                    "id": f"si_{id}",
                    "object": "subscription_item",
                    "current_period_start": NOON,
                    "current_period_end": NOON + 2_678_400,
                    "discounts": [],
                    "price": a_price(),
                    "quantity": 1,
                    "subscription": id,
                }
            ],
        },
    }
    return subscription | fields


def an_invoice(id: str = "in_1", **fields: Any) -> dict[str, Any]:
    invoice: dict[str, Any] = {
        "id": id,
        "object": "invoice",
        "amount_due": 1000,
        "amount_paid": 0,
        "amount_remaining": 1000,
        "created": NOON,
        "currency": "usd",
        "customer": "cus_1",
        "discounts": [],
        "parent": {
            "type": "subscription_details",
            "subscription_details": {"subscription": "sub_1"},
        },
        "status": "draft",
        "total": 1000,
    }
    return invoice | fields


def an_invoice_payment(
    id: str = "inpay_1", invoice: str = "in_1", intent: str = "pi_of_ch_1", **fields: Any
) -> dict[str, Any]:
    payment: dict[str, Any] = {
        "id": id,
        "object": "invoice_payment",
        "amount_paid": 1000,
        "created": NOON,
        "currency": "usd",
        "invoice": invoice,
        "is_default": True,
        "payment": {"type": "payment_intent", "payment_intent": intent},
        "status": "paid",
    }
    return payment | fields


def a_customer(id: str = "cus_1", **fields: Any) -> dict[str, Any]:
    customer: dict[str, Any] = {
        "id": id,
        "object": "customer",
        "created": NOON,
        "email": "ada@example.test",
        "name": "Ada",
    }
    return customer | fields


def an_event(
    type: str,
    object: dict[str, Any] | None,
    *,
    id: str = "evt_1",
    created: int = NOON,
    version: str | None = NEW,
    previous: dict[str, Any] | None = None,
    livemode: bool = False,
    **fields: Any,
) -> bytes:
    """The raw body Stripe sends for one event."""
    data: dict[str, Any] = {"object": object}
    if previous is not None:
        data["previous_attributes"] = previous
    event = {
        "id": id,
        "object": "event",
        "api_version": version,
        "created": created,
        "data": data,
        "livemode": livemode,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type,
    }
    return orjson.dumps(event | fields)


def a_thin_event(
    type: str, object: str, object_id: str, *, id: str = "evt_1", at: int = NOON, **fields: Any
) -> bytes:
    """The raw body of an event that names an object without carrying it."""
    event = {
        "id": id,
        "object": "v2.core.event",
        "created": f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}.250Z",
        "livemode": False,
        "reason": None,
        "related_object": {
            "id": object_id,
            "type": object,
            "url": f"/v1/{object}s/{object_id}",
        },
        "type": type,
    }
    return orjson.dumps(event | fields)


def sign(body: bytes, secret: str, at: int) -> str:
    """A `Stripe-Signature` header, made from the documented recipe without the SDK."""
    signed = hmac.new(secret.encode(), str(at).encode() + b"." + body, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"
