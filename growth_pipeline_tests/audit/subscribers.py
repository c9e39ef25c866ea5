"""Subscriptions of a test's company on all sides: Stripe's list, the mirror, the application.

Every default agrees on all sides, so a test shows only what differs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from growth_pipeline.billing.columns import COLUMNS, typed_values
from growth_pipeline.stripe_api.versions import adapter_for
from growth_pipeline_tests.audit.company import NOON, VERSION, Company, epoch

MONTH_SECONDS = 30 * 86_400
PERIOD_START = NOON
PERIOD_END = NOON + timedelta(days=31)


def a_price(price_id: str = "price_pro", amount: int | str = 4900, **fields: Any) -> dict[str, Any]:
    interval = fields.pop("interval", "month")
    count = fields.pop("interval_count", 1)
    usage = fields.pop("usage_type", "licensed")
    return {
        "id": price_id,
        "object": "price",
        "product": "prod_pro",
        "currency": "usd",
        "billing_scheme": "per_unit",
        "unit_amount_decimal": str(amount),
        "recurring": {"interval": interval, "interval_count": count, "usage_type": usage},
        "tiers_mode": None,
        "transform_quantity": None,
        **fields,
    }


def an_item(
    number: int, price: Mapping[str, Any] | None = None, quantity: int | None = 1, **fields: Any
) -> dict[str, Any]:
    return {
        "id": f"si_{number}",
        "object": "subscription_item",
        "created": epoch(NOON),
        "current_period_start": epoch(PERIOD_START),
        "current_period_end": epoch(PERIOD_END),
        "current_trial": None,
        "discounts": [],
        "price": dict(price or a_price()),
        "quantity": quantity,
        **fields,
    }


def a_subscription(number: int = 1, *items: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "id": f"sub_{number}",
        "object": "subscription",
        "created": epoch(NOON),
        "customer": f"cus_{number}",
        "status": "active",
        "currency": "usd",
        "start_date": epoch(NOON),
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"reason": None, "feedback": None},
        "collection_method": "charge_automatically",
        "discounts": [],
        "ended_at": None,
        "items": {"object": "list", "data": list(items or [an_item(number)]), "has_more": False},
        "latest_invoice": f"in_{number}",
        "pause_collection": None,
        "schedule": None,
        "status_details": None,
        "trial_start": None,
        "trial_end": None,
        **fields,
    }


class Subscribers:
    """Puts subscriptions into a company's list, mirror and application."""

    def __init__(self, company: Company) -> None:
        self.company = company

    def add(
        self,
        subscription: Mapping[str, Any] | None = None,
        *,
        mirror: Mapping[str, Any] | None = None,
        row: Mapping[str, Any] | None = None,
        is_mirrored: bool = True,
        is_provided: bool = True,
        **told: Any,
    ) -> dict[str, Any]:
        """One subscription on all sides. `mirror`: what the mirror has instead, `row`: the row."""
        found = dict(subscription or a_subscription())
        self.listed(found)
        if is_mirrored:
            self.mirrored(mirror or found, **told)
        if is_provided:
            self.provided(found, **(row or {}))
        if found["latest_invoice"]:
            self.invoice(found["latest_invoice"])
        return found

    def listed(self, found: Mapping[str, Any]) -> None:
        version = adapter_for(VERSION)
        values = typed_values("subscriptions", version, dict(found))
        columns = dict(zip(COLUMNS["subscriptions"], values, strict=True))
        own = {name: found[name] for name in ("id", "created")}
        self.company.objects["subscriptions"].append({**own, **columns, "raw": json.dumps(found)})

    def mirrored(self, found: Mapping[str, Any], **told: Any) -> None:
        """The mirror's rows of a subscription and its items; discounts as ids, as events have them."""
        version = adapter_for(VERSION)
        payload = {**found, "discounts": [_id(one) for one in found["discounts"]]}
        self._insert("subscriptions", payload, None, {"state_from": NOON, **told})
        for item in found["items"]["data"]:
            parent = {"subscription": found["id"]}
            values = typed_values("subscription_items", version, item, dict(found))
            row = dict(zip(COLUMNS["subscription_items"], values, strict=True)) | parent
            self._write("stripe.subscription_items", {**_common(item), **_timed(row)})

    def _insert(
        self, resource: str, found: Mapping[str, Any], parent: Any, told: Mapping[str, Any]
    ) -> None:
        values = typed_values(resource, adapter_for(VERSION), dict(found), parent)
        row = dict(zip(COLUMNS[resource], values, strict=True))
        state = {"state_at": told["state_from"], "origin": "event", "event_id": "evt_1", **told}
        created = datetime.fromtimestamp(found["created"], UTC)
        self._write(
            f"stripe.{resource}", {**_common(found), **_timed(row), **state, "created_at": created}
        )

    def invoice(self, invoice_id: str, *, status: str = "paid") -> None:
        self.company.mirrored("invoice", invoice_id, status=status, currency="usd")

    def provided(self, found: Mapping[str, Any] | None = None, **row: Any) -> None:
        """A row of billing.entitlements, by default what the subscription is worth."""
        items = found["items"]["data"] if found else []
        told = (
            {
                "subscription_id": found["id"],
                "customer_id": found["customer"],
                "user_id": found["customer"].replace("cus", "user"),
                "price_id": items[0]["price"]["id"],
                "quantity": items[0]["quantity"],
                "access_ends_at": datetime.fromtimestamp(items[0]["current_period_end"], UTC),
                "currency": found["currency"],
            }
            if found
            else {}
        )
        self._write(
            "billing.entitlements",
            {
                **self.company.scope._asdict(),
                "has_access": True,
                "written_at": NOON + timedelta(minutes=1),
                **told,
                **row,
            },
        )

    def user(self, number: int, customer: str | None, **row: Any) -> None:
        """A row of billing.user_customers."""
        self._write(
            "billing.user_customers",
            {
                **self.company.scope._asdict(),
                "user_id": f"user_{number}",
                "email": f"user{number}@example.com",
                "customer_id": customer,
                "written_at": NOON,
                **row,
            },
        )

    def coupon(self, coupon_id: str, **terms: Any) -> None:
        """A coupon of the mirror."""
        self.company.mirrored("coupon", coupon_id, **{"duration": "forever", **terms})

    def discount(self, discount_id: str, coupon: str, subscription: str, **row: Any) -> None:
        """A discount of the mirror."""
        self._write(
            "stripe.discounts",
            {
                **self.company.scope._asdict(),
                "parent_object": "subscription",
                "parent_id": subscription,
                "owner_id": subscription,
                "id": discount_id,
                "coupon": coupon,
                "api_version": VERSION,
                "applied_at": NOON,
                **row,
            },
        )

    def _write(self, table: str, row: Mapping[str, Any]) -> None:
        row = {**self.company.scope._asdict(), **row}
        names, values = ", ".join(row), ", ".join(f"%({name})s" for name in row)
        with self.company.database.connection() as connection:
            connection.execute(f"insert into {table} ({names}) values ({values})", row)


def _id(one: Any) -> Any:
    return one["id"] if isinstance(one, dict) else one


def _common(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": found["id"],
        "api_version": VERSION,
        "payload": Jsonb(dict(found)),
        "applied_at": NOON,
    }


def _timed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Instants as a table has them."""
    instants = {
        *("start_date", "canceled_at", "ended_at", "cancel_at", "trial_start", "trial_end"),
        *("billing_cycle_anchor", "pause_collection_resumes_at", "created"),
        *("current_period_start", "current_period_end"),
    }
    return {
        name: datetime.fromtimestamp(value, UTC) if name in instants and value else value
        for name, value in row.items()
    }
