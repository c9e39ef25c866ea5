"""Forms of the account, its products, prices and coupons."""

from __future__ import annotations

from typing import Any

from growth_pipeline.sandbox.journal import Json


def account(account_id: str, *, created: int) -> Json:
    """The company's own account."""
    return {
        "id": account_id,
        "object": "account",
        "business_profile": {"name": "Sandbox Company", "url": None, "mcc": None},
        "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": "US",
        "created": created,
        "default_currency": "usd",
        "details_submitted": True,
        "email": "owner@sandbox.example",
        "metadata": {},
        "payouts_enabled": True,
        "settings": {
            "branding": {
                "icon": None,
                "logo": None,
                "primary_color": None,
                "secondary_color": None,
            },
            "card_payments": {"statement_descriptor_prefix": None},
            "dashboard": {"display_name": "Sandbox Company", "timezone": "Etc/UTC"},
            "payments": {"statement_descriptor": "SANDBOX COMPANY"},
        },
        "type": "standard",
    }


def product(product_id: str, name: str, *, created: int, livemode: bool) -> Json:
    """A product; `default_price` is set when its first price exists."""
    return {
        "id": product_id,
        "object": "product",
        "active": True,
        "created": created,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": livemode,
        "marketing_features": [],
        "metadata": {},
        "name": name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": created,
        "url": None,
    }


def price(
    price_id: str,
    product_id: str,
    *,
    lookup_key: str,
    currency: str,
    unit_amount: int | None,
    interval: str | None,
    interval_count: int,
    tiers_mode: str | None,
    created: int,
    livemode: bool,
) -> Json:
    """A price: recurring if it has an interval, tiered if it has a mode (then without amount)."""
    recurring = {
        "interval": interval,
        "interval_count": interval_count,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }
    return {
        "id": price_id,
        "object": "price",
        "active": True,
        "billing_scheme": "tiered" if tiers_mode else "per_unit",
        "created": created,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": livemode,
        "lookup_key": lookup_key,
        "metadata": {},
        "nickname": None,
        "product": product_id,
        "recurring": recurring if interval else None,
        "tax_behavior": "unspecified",
        "tiers_mode": tiers_mode,
        "transform_quantity": None,
        "type": "recurring" if interval else "one_time",
        "unit_amount": unit_amount,
        "unit_amount_decimal": None if unit_amount is None else str(unit_amount),
    }


def plan(of: Json) -> Json:
    """The older form of a recurring price, which subscription items still carry."""
    recurring = of["recurring"]
    return {
        "id": of["id"],
        "object": "plan",
        "active": of["active"],
        "amount": of["unit_amount"],
        "amount_decimal": of["unit_amount_decimal"],
        "billing_scheme": of["billing_scheme"],
        "created": of["created"],
        "currency": of["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": of["livemode"],
        "metadata": {},
        "meter": None,
        "nickname": of["nickname"],
        "product": of["product"],
        "tiers_mode": of["tiers_mode"],
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def coupon(coupon_id: str, name: str, *, created: int, livemode: bool, **terms: Any) -> Json:
    """A coupon. `terms`: duration, and percent_off or amount_off with its currency."""
    return {
        "id": coupon_id,
        "object": "coupon",
        "amount_off": None,
        "created": created,
        "currency": None,
        "duration": "once",
        "duration_in_months": None,
        "livemode": livemode,
        "max_redemptions": None,
        "metadata": {},
        "name": name,
        "percent_off": None,
        "redeem_by": None,
        "times_redeemed": 0,
        "valid": True,
        **terms,
    }


def promotion_code(
    code_id: str, code: str, coupon_id: str, *, created: int, livemode: bool
) -> Json:
    """A word that customers type to get a coupon."""
    return {
        "id": code_id,
        "object": "promotion_code",
        "active": True,
        "code": code,
        "created": created,
        "customer": None,
        "customer_account": None,
        "expires_at": None,
        "livemode": livemode,
        "max_redemptions": None,
        "metadata": {},
        "promotion": {"coupon": coupon_id, "type": "coupon"},
        "restrictions": {
            "first_time_transaction": False,
            "minimum_amount": None,
            "minimum_amount_currency": None,
        },
        "times_redeemed": 0,
    }


def webhook_endpoint(
    endpoint_id: str,
    url: str,
    *,
    api_version: str | None,
    enabled_events: list[str],
    status: str,
    created: int,
    livemode: bool,
) -> Json:
    """Where the account's events go; without a version the endpoint speaks the account's."""
    return {
        "id": endpoint_id,
        "object": "webhook_endpoint",
        "api_version": api_version,
        "application": None,
        "created": created,
        "description": None,
        "enabled_events": enabled_events,
        "livemode": livemode,
        "metadata": {},
        "status": status,
        "url": url,
    }


def discount(
    discount_id: str,
    coupon_id: str,
    *,
    customer_id: str,
    subscription_id: str,
    start: int,
    end: int | None,
    promotion_code: str | None = None,
) -> Json:
    """A coupon in use by a subscription. It has no list and no address of its own."""
    return {
        "id": discount_id,
        "object": "discount",
        "checkout_session": None,
        "customer": customer_id,
        "customer_account": None,
        "end": end,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": promotion_code,
        "source": {"coupon": coupon_id, "type": "coupon"},
        "start": start,
        "subscription": subscription_id,
        "subscription_item": None,
    }
