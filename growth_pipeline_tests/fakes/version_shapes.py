"""One business case in the shapes of each family of API versions, written by hand.

The case: subscription `sub_1` of 2 x 10.00 USD a month with a coupon, one plan change in mid-month,
one invoice with four lines paid by card, one charge captured in part, one credit note refunded.
Sources: stripe-python 5.5 (2022-11-15), 11.6 (acacia), 12.5 (basil), 13.2 (clover), 15.3 (dahlia)
and 16.1 (endive), read as types; Stripe's changelog for what moved.
"""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

# One version of each family, and the newest release of names that had several.
OLD = ("2022-11-15", "2024-06-20", "2024-09-30.acacia", "2025-02-24.acacia")
BASIL = ("2025-03-31.basil", "2025-08-27.basil")
CLOVER = ("2025-09-30.clover", "2025-10-29.clover")
DAHLIA = ("2026-03-25.dahlia", "2026-06-24.dahlia")
ENDIVE = ("2026-09-30.endive", "2026-10-28.endive")
SINCE_CLOVER = (*CLOVER, *DAHLIA, *ENDIVE)
SINCE_BASIL = (*BASIL, *SINCE_CLOVER)
ALL = (*OLD, *SINCE_BASIL)

PERIOD = (1_790_000_000, 1_792_592_000)
TRIAL = (1_789_000_000, 1_790_000_000)


def price() -> Object:
    """The price, which looks the same in all versions."""
    return {
        "id": "price_1",
        "object": "price",
        "currency": "usd",
        "product": "prod_1",
        "unit_amount": 1000,
        "unit_amount_decimal": "1000",
    }


def coupon() -> Object:
    """20 % off."""
    return {"id": "LAUNCH20", "object": "coupon", "percent_off": 20.0}


def discount(version: str) -> Object:
    """The subscription's discount, whole."""
    common = {"id": "di_1", "object": "discount", "customer": "cus_1", "promotion_code": None}
    common |= {"start": PERIOD[0], "end": None, "subscription": "sub_1"}
    if version in SINCE_CLOVER:
        return common | {"source": {"type": "coupon", "coupon": "LAUNCH20"}}
    return common | {"coupon": coupon()}


def promotion_code(version: str) -> Object:
    """A code for the coupon."""
    common = {"id": "promo_1", "object": "promotion_code", "code": "LAUNCH"}
    if version in SINCE_CLOVER:
        return common | {"promotion": {"type": "coupon", "coupon": "LAUNCH20"}}
    return common | {"coupon": coupon()}


def subscription_item(version: str) -> Object:
    """Its only item."""
    common = {
        "id": "si_1",
        "object": "subscription_item",
        "subscription": "sub_1",
        "price": price(),
        "quantity": 2,
    }
    if version in SINCE_BASIL:
        common |= {"current_period_start": PERIOD[0], "current_period_end": PERIOD[1]}
        common |= {"discounts": []}
    if version in ENDIVE:
        common |= {"current_trial": None}
    return common


def subscription(version: str) -> Object:
    """The subscription."""
    items = {"object": "list", "data": [subscription_item(version)], "has_more": False}
    common = {
        "id": "sub_1",
        "object": "subscription",
        "status": "active",
        "trial_start": TRIAL[0],
        "trial_end": TRIAL[1],
        "items": items,
    }
    if version in SINCE_BASIL:
        return common | {"discounts": ["di_1"]}
    common |= {"current_period_start": PERIOD[0], "current_period_end": PERIOD[1]}
    common |= {"discount": discount(version)}
    # The list came to the old versions later; 2022-11-15 is shown as it was at first.
    return common | ({"discounts": ["di_1"]} if "acacia" in version else {})


def period_line(version: str) -> Object:
    """Invoice line of a whole period: 2 x 10.00, tax 3.80."""
    tax = {"amount": 380}
    common = {"id": "il_1", "object": "line_item", "amount": 2000, "quantity": 2, "discounts": []}
    if version in SINCE_BASIL:
        details = {
            "subscription": "sub_1",
            "subscription_item": "si_1",
            "invoice_item": None,
            "proration": False,
        }
        return common | {
            "parent": _parent("subscription_item_details", details),
            "pricing": _pricing("1000"),
            "taxes": [tax],
        }
    return common | {
        "type": "subscription",
        "subscription": "sub_1",
        "subscription_item": "si_1",
        "proration": False,
        "price": price(),
        "tax_amounts": [tax],
    }


def proration_line(version: str) -> Object:
    """Invoice line that gives back the rest of the old price: -5.00."""
    common = {"id": "il_2", "object": "line_item", "amount": -500, "quantity": 1, "discounts": []}
    if version in SINCE_BASIL:
        details = {
            "subscription": "sub_1",
            "subscription_item": "si_1",
            "invoice_item": "ii_2",
            "proration": True,
        }
        return common | {
            "parent": _parent("subscription_item_details", details),
            "pricing": _pricing("-500"),
            "taxes": [],
        }
    return common | {
        "type": "invoiceitem",
        "subscription": "sub_1",
        "subscription_item": "si_1",
        "invoice_item": "ii_2",
        "proration": True,
        "price": price() | {"unit_amount": -500, "unit_amount_decimal": "-500"},
        "tax_amounts": [],
    }


def one_off_line(version: str) -> Object:
    """Invoice line of an invoice item that belongs to no subscription: 3.00, set by hand."""
    common = {"id": "il_3", "object": "line_item", "amount": 300, "quantity": 1, "discounts": []}
    if version in SINCE_BASIL:
        details = {"invoice_item": "ii_3", "subscription": None, "proration": False}
        return common | {
            "parent": _parent("invoice_item_details", details),
            "pricing": None,
            "taxes": None,
        }
    return common | {
        "type": "invoiceitem",
        "subscription": None,
        "invoice_item": "ii_3",
        "proration": False,
        "price": None,
        "tax_amounts": [],
    }


def invoice_item(version: str) -> Object:
    """The invoice item of the proration."""
    common = {
        "id": "ii_2",
        "object": "invoiceitem",
        "amount": -500,
        "quantity": 1,
        "proration": True,
        "discounts": [],
    }
    if version in SINCE_BASIL:
        details = {"subscription": "sub_1", "subscription_item": "si_1"}
        return common | {
            "parent": _parent("subscription_details", details),
            "pricing": _pricing("-500"),
        }
    return common | {
        "subscription": "sub_1",
        "subscription_item": "si_1",
        "price": price() | {"unit_amount_decimal": "-500"},
    }


def invoice(version: str) -> Object:
    """The paid invoice; since basil as Stripe gives it when asked for its payments."""
    lines = [period_line(version), proration_line(version), one_off_line(version)]
    common = {
        "id": "in_1",
        "object": "invoice",
        "status": "paid",
        "amount_paid": 2180,
        "lines": {"object": "list", "data": lines, "has_more": False},
        "discounts": ["di_1"],
    }
    taxes = [{"amount": 300}, {"amount": 80}]
    if version in SINCE_BASIL:
        return common | {
            "parent": _parent("subscription_details", {"subscription": "sub_1"}),
            "payments": {"object": "list", "data": [invoice_payment()], "has_more": False},
            "total_taxes": taxes,
        }
    return common | {
        "subscription": "sub_1",
        "payment_intent": "pi_1",
        "charge": "ch_1",
        "paid": True,
        "paid_out_of_band": False,
        "discount": discount(version),
        "total_tax_amounts": taxes,
    }


def invoice_payment() -> Object:
    """The invoice's payment; the object exists since basil."""
    return {
        "id": "inpay_1",
        "object": "invoice_payment",
        "invoice": "in_1",
        "is_default": True,
        "status": "paid",
        "amount_paid": 2180,
        "payment": {"type": "payment_intent", "payment_intent": "pi_1"},
    }


def charge(version: str) -> Object:
    """30.00 authorised, 18.00 captured, 5.00 of it given back."""
    common = {"id": "ch_2", "object": "charge", "amount": 3000, "amount_captured": 1800}
    if version in SINCE_BASIL:
        return common | {"amount_refunded": 500}
    return common | {"amount_refunded": 1700, "invoice": "in_1"}


def credit_note(version: str) -> Object:
    """3.00 and tax of 0.57 credited, refunded to the card."""
    common = {"id": "cn_1", "object": "credit_note", "invoice": "in_1", "amount": 357}
    if version in SINCE_BASIL:
        refunds = [{"amount_refunded": 357, "refund": "re_1"}]
        return common | {"refunds": refunds, "total_taxes": [{"amount": 57}]}
    return common | {"refund": "re_1", "tax_amounts": [{"amount": 57}]}


def _parent(kind: str, details: Object) -> Object:
    return {"type": kind, kind: details}


def _pricing(unit_amount: str) -> Object:
    details = {"price": "price_1", "product": "prod_1"}
    return {"type": "price_details", "price_details": details, "unit_amount_decimal": unit_amount}
