"""Forms of subscription schedules."""

from __future__ import annotations

from collections.abc import Sequence

from growth_pipeline.sandbox.journal import Json

_SETTINGS: Json = {
    "application_fee_percent": None,
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
    "billing_cycle_anchor": "automatic",
    "billing_thresholds": None,
    "collection_method": "charge_automatically",
    "default_payment_method": None,
    "description": None,
    "invoice_settings": {
        "account_tax_ids": None,
        "custom_fields": None,
        "days_until_due": None,
        "description": None,
        "footer": None,
        "issuer": {"type": "self"},
    },
    "on_behalf_of": None,
    "transfer_data": None,
}


def subscription_schedule(
    schedule_id: str, of: Json, *, phases: Sequence[Json], created: int, livemode: bool
) -> Json:
    """What is planned for a running subscription (`of`), phase by phase; the first one runs."""
    return {
        "id": schedule_id,
        "object": "subscription_schedule",
        "application": None,
        "billing_mode": of["billing_mode"],
        "canceled_at": None,
        "completed_at": None,
        "created": created,
        "current_phase": {
            "end_date": phases[0]["end_date"],
            "start_date": phases[0]["start_date"],
        },
        "customer": of["customer"],
        "customer_account": None,
        "default_settings": _SETTINGS,
        "end_behavior": "release",
        "livemode": livemode,
        "metadata": {},
        "pause_schedules": [],
        "phases": list(phases),
        "released_at": None,
        "released_subscription": None,
        "status": "active",
        "subscription": of["id"],
        "test_clock": None,
    }


def phase(price: Json, *, quantity: int, period: tuple[int, int]) -> Json:
    """One phase of a schedule: a price and quantity for a time."""
    return {
        "add_invoice_items": [],
        "application_fee_percent": None,
        "billing_cycle_anchor": None,
        "billing_thresholds": None,
        "collection_method": None,
        "currency": price["currency"],
        "default_payment_method": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "end_date": period[1],
        "invoice_settings": None,
        "items": [
            {
                "billing_thresholds": None,
                "discounts": [],
                "metadata": {},
                "plan": price["id"],
                "price": price["id"],
                "quantity": quantity,
                "tax_rates": [],
            }
        ],
        "metadata": {},
        "on_behalf_of": None,
        "proration_behavior": "none",
        "start_date": period[0],
        "transfer_data": None,
        "trial_end": None,
    }
