"""API versions: which there are, and what objects looked like in the older ones.

Everything happens in the newest version; an older one is what it looks like after going back
family by family. Source: Stripe's changelog, one entry per release name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import orjson

from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.journal import Json, old_values
from growth_pipeline.sandbox.lists import BY_OBJECT, RESOURCES, Resource
from growth_pipeline.sandbox.store import Condition, Store

# First release of each name; a name ends where the next one begins.
_NAMES = (
    ("acacia", "2024-09-30"),
    ("basil", "2025-03-31"),
    ("clover", "2025-09-30"),
    ("dahlia", "2026-03-25"),
    ("endive", "2026-09-30"),
)
_UNNAMED = {"2022-11-15", "2023-08-16", "2023-10-16", "2024-04-10", "2024-06-20"}
NEWEST = 4
_BASIL, _CLOVER, _DAHLIA = 1, 2, 3
_FAMILIES = {name: number for number, (name, _) in enumerate(_NAMES)}
_APPEALS = {"appeal_needs_response", "appeal_under_review"}
_ALWAYS = 2**62


@cache
def family_of(version: str) -> int | None:
    """Number of a version's family: 0 before basil, 1 basil ... 4 endive; None if there is none.

    A named version must fall in its name's time and not be newer than the newest one.
    """
    if version in _UNNAMED:
        return 0
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)\.([a-z]+)", version)
    if found is None or found[2] not in _FAMILIES:
        return None
    number = _FAMILIES[found[2]]
    newest = shapes.API_VERSION.partition(".")[0]
    following = _NAMES[number + 1][1] if number < NEWEST else "9999"
    fits = _NAMES[number][1] <= found[1] < following and found[1] <= newest
    return number if fits else None


class Past:
    """Looks up what older versions show beside an object, as it was at an epoch second."""

    def __init__(self, store: Store, at: int = _ALWAYS) -> None:
        self._store = store
        self._at = at

    def get(self, kind: str, object_id: str | None) -> Json | None:
        """An object of the newest version as it is today; None where there is none."""
        row = self._store.find(BY_OBJECT[kind], object_id) if object_id else None
        return None if row is None else orjson.loads(row.body)

    def discount(self, ids: list[Any]) -> Json | None:
        """The first of some discounts, whole, as basil shows it."""
        first = self.get("discount", ids[0] if ids else None)
        return first and render(first, _BASIL, self)

    def intent_of(self, invoice_id: str) -> str | None:
        """The payment intent of an invoice."""
        join = self._newest(RESOURCES["invoice_payments"], "invoice", invoice_id)
        return str(join["payment"]["payment_intent"]) if join else None

    def invoice_of(self, intent_id: str | None) -> str | None:
        """The invoice that a payment intent is to pay."""
        if intent_id is None:
            return None
        join = self._newest(RESOURCES["invoice_payments"], "payment_intent", intent_id)
        return str(join["invoice"]) if join else None

    def charge_of(self, intent_id: str | None) -> str | None:
        """The latest charge of a payment intent."""
        if intent_id is None:
            return None
        charge = self._newest(RESOURCES["charges"], "payment_intent", intent_id)
        return str(charge["id"]) if charge else None

    def is_canceled(self, intent_id: str) -> bool:
        """Whether a payment intent had been canceled."""
        canceled_at = (self.get("payment_intent", intent_id) or {}).get("canceled_at")
        return canceled_at is not None and canceled_at <= self._at

    def _newest(self, resource: Resource, column: str, value: str) -> Json | None:
        conditions = [Condition(f"{column} = ?", (value,)), Condition("created <= ?", (self._at,))]
        bodies = self._store.page(resource, conditions, 1).bodies
        return orjson.loads(bodies[0]) if bodies else None


_Step = Callable[[Json, Past], None]

# Family that is left -> object -> dotted paths of keys that came with it, or during the one before.
# Lists on the way are gone through. Read off the SDKs of the families' releases.
_ADDED: dict[int, dict[str, tuple[str, ...]]] = {
    NEWEST: {
        "dispute": ("evidence_details.submission_method",),
        "invoice": ("status_details",),
        "subscription": ("status_details", "trial_settings.end_behavior.billing_cycle_anchor"),
        "subscription_item": ("billed_until", "current_trial"),
        "subscription_schedule": ("pause_schedules",),
    },
    _CLOVER: {
        "charge": ("payment_method_details.sepa_debit.expected_debit_date",),
        "credit_note": ("refunds.type",),
        "credit_note_line_item": ("metadata",),
        "dispute": ("payment_method_details.card.network",),
        "invoiceitem": ("net_amount", "quantity_decimal"),
        "line_item": ("quantity_decimal", "subtotal"),
        "refund": ("customer", "payment_method"),
        "subscription": (
            "billing_mode.flexible",
            "billing_schedules",
            "invoice_settings.custom_fields",
            "invoice_settings.description",
            "invoice_settings.footer",
            "managed_payments",
        ),
        "subscription_schedule": (
            "billing_mode.flexible",
            "default_settings.invoice_settings.custom_fields",
            "default_settings.invoice_settings.description",
            "default_settings.invoice_settings.footer",
        ),
    },
    _BASIL: {
        "balance_transaction": ("balance_type",),
        "charge": ("billing_details.tax_id",),
        "credit_note": ("post_payment_amount", "pre_payment_amount"),
        "invoice": ("amount_overpaid", "automatic_tax.provider"),
        "payment_intent": ("excluded_payment_method_types",),
        "payment_method": ("billing_details.tax_id",),
        "payout": ("payout_method",),
        "refund": ("pending_reason",),
        "subscription": ("billing_mode",),
        "subscription_item": ("current_period_end", "current_period_start"),
        "subscription_schedule": ("billing_mode",),
    },
}
_ADDED_EVERYWHERE = {_CLOVER: ("customer_account",)}


def _drop(value: Any, path: str) -> None:
    if isinstance(value, list):
        for element in value:
            _drop(element, path)
    elif isinstance(value, dict):
        key, _, rest = path.partition(".")
        if rest:
            _drop(value.get(key), rest)
        else:
            value.pop(key, None)


# --- endive to dahlia ----------------------------------------------------------------------------


def _dispute_before_endive(dispute: Json, _: Past) -> None:
    if dispute["status"] in _APPEALS:
        dispute["status"] = "lost"


# --- clover to basil -----------------------------------------------------------------------------


def _discount_before_clover(discount: Json, past: Past) -> None:
    discount["coupon"] = _whole_coupon(discount.pop("source")["coupon"], past)


def _code_before_clover(code: Json, past: Past) -> None:
    code["coupon"] = _whole_coupon(code.pop("promotion")["coupon"], past)


def _whole_coupon(coupon: Any, past: Past) -> Any:
    return coupon if isinstance(coupon, dict) else past.get("coupon", coupon)


# --- basil to what was before --------------------------------------------------------------------


def _subscription_before_basil(sub: Json, past: Past) -> None:
    items = sub["items"]["data"]
    for key in ("current_period_start", "current_period_end"):
        sub[key] = items[0][key] if items else None
    sub["discount"] = past.discount(sub["discounts"])


def _invoice_before_basil(invoice: Json, past: Past) -> None:
    details = (invoice.pop("parent") or {}).get("subscription_details") or {}
    intent = past.intent_of(invoice["id"])
    invoice |= {
        "application_fee_amount": None,
        "charge": past.charge_of(intent),
        "discount": past.discount(invoice["discounts"]),
        "paid": invoice["status"] == "paid",
        "paid_out_of_band": False,
        "payment_intent": intent,
        "quote": None,
        "subscription": details.get("subscription"),
        "subscription_details": {"metadata": details.get("metadata")},
        "tax": None,
        "total_tax_amounts": [],
    }
    invoice.pop("total_taxes")


def _line_before_basil(line: Json, past: Past) -> None:
    details = line.pop("parent")["subscription_item_details"]
    price = past.get("price", line.pop("pricing")["price_details"]["price"])
    line |= {
        "amount_excluding_tax": line["amount"],
        "plan": price and shapes.plan(price),
        "price": price,
        "proration": details["proration"],
        "proration_details": details["proration_details"],
        "subscription": details["subscription"],
        "subscription_item": details["subscription_item"],
        "tax_amounts": [],
        "tax_rates": [],
        "type": "invoiceitem" if details["invoice_item"] else "subscription",
        "unit_amount_excluding_tax": price and price["unit_amount_decimal"],
    }
    if details["invoice_item"]:
        line["invoice_item"] = details["invoice_item"]
    line.pop("taxes")


def _invoice_item_before_basil(item: Json, past: Past) -> None:
    details = item.pop("parent")["subscription_details"]
    price = past.get("price", item.pop("pricing")["price_details"]["price"])
    item |= {
        "plan": price and shapes.plan(price),
        "price": price,
        "subscription": details["subscription"],
        "subscription_item": details["subscription_item"],
        "unit_amount": price and price["unit_amount"],
        "unit_amount_decimal": price and price["unit_amount_decimal"],
    }


def _charge_before_basil(charge: Json, past: Past) -> None:
    """What was not captured, or let go, counted as refunded."""
    charge["invoice"] = past.invoice_of(charge["payment_intent"])
    if charge["captured"]:
        charge["amount_refunded"] += charge["amount"] - charge["amount_captured"]
    elif charge["status"] == "succeeded" and past.is_canceled(charge["payment_intent"]):
        charge["amount_refunded"] = charge["amount"]
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]


def _intent_before_basil(intent: Json, past: Past) -> None:
    intent["invoice"] = past.invoice_of(intent["id"])


def _credit_note_before_basil(note: Json, _: Past) -> None:
    refunds = note.pop("refunds")
    note["refund"] = refunds[0]["refund"] if refunds else None
    note["tax_amounts"] = note.pop("total_taxes")


def _credit_note_line_before_basil(line: Json, _: Past) -> None:
    line["tax_amounts"] = line.pop("taxes")


# Family that is left -> object -> what is not only added.
_STEPS: dict[int, dict[str, _Step]] = {
    NEWEST: {"dispute": _dispute_before_endive},
    _CLOVER: {"discount": _discount_before_clover, "promotion_code": _code_before_clover},
    _BASIL: {
        "charge": _charge_before_basil,
        "credit_note": _credit_note_before_basil,
        "credit_note_line_item": _credit_note_line_before_basil,
        "invoice": _invoice_before_basil,
        "invoiceitem": _invoice_item_before_basil,
        "line_item": _line_before_basil,
        "payment_intent": _intent_before_basil,
        "subscription": _subscription_before_basil,
    },
}
# What could be expanded before basil and has moved since.
BEFORE_BASIL = {
    "charge": {"invoice": "invoice"},
    "credit_note": {"refund": "refund"},
    "invoice": {"charge": "charge", "payment_intent": "payment_intent",
                "subscription": "subscription"},
    "payment_intent": {"invoice": "invoice"},
}  # fmt: skip


def is_told(event_type: str, version: str) -> bool:
    """Whether a version has events of a type: invoice payments came with basil."""
    return family_of(version) != 0 or not event_type.startswith("invoice_payment.")


def render(obj: Json, family: int, past: Past) -> Json:
    """An object, with all objects in it, as a family shows it; the given one may be changed."""
    for left in range(NEWEST, family, -1):
        _leave(obj, left, past)
    return obj


def _leave(value: Any, family: int, past: Past) -> None:
    """Takes a value one family back; what contains comes before what is contained."""
    if isinstance(value, list):
        for element in value:
            _leave(element, family, past)
    if not isinstance(value, dict):
        return
    kind = value.get("object", "")
    if kind in BY_OBJECT and not value.get("deleted"):
        if step := _STEPS.get(family, {}).get(kind):
            step(value, past)
        for path in (*_ADDED.get(family, {}).get(kind, ()), *_ADDED_EVERYWHERE.get(family, ())):
            _drop(value, path)
    for part in value.values():
        _leave(part, family, past)


def render_event(event: Json, version: str, store: Store) -> Json:
    """An event as an endpoint or account of a version gets it; previous attributes too."""
    family = family_of(version)
    event["api_version"] = version
    if family is None or family == NEWEST:
        return event
    data, past = event["data"], Past(store, event["created"])
    before = orjson.dumps(_undone(data["object"], data.get("previous_attributes", {})))
    data["object"] = render(data["object"], family, past)
    if "previous_attributes" in data:
        # What is looked up may have changed too, since the event before this one.
        since = Past(store, store.told_before(event["id"]) or event["created"])
        earlier = render(orjson.loads(before), family, since)
        data["previous_attributes"] = old_values(earlier, data["object"])
    return event


def _undone(obj: Json, previous: Json) -> Json:
    """The object before an update."""
    before = dict(obj)
    for key, value in previous.items():
        now = before.get(key)
        is_hash = isinstance(value, dict) and isinstance(now, dict)
        before[key] = _undone(now, value) if is_hash and now is not None else value
    return before
