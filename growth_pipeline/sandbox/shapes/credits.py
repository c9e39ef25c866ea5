"""Forms of credit notes and invoice items."""

from __future__ import annotations

from growth_pipeline.sandbox.journal import Json


def credit_note_line(line_id: str, of: Json, *, amount: int, livemode: bool) -> Json:
    """What a credit note gives back of an invoice line (`of`)."""
    return {
        "id": line_id,
        "object": "credit_note_line_item",
        "amount": amount,
        "description": of["description"],
        "discount_amount": 0,
        "discount_amounts": [],
        "invoice_line_item": of["id"],
        "livemode": livemode,
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": of["quantity"],
        "tax_rates": [],
        "taxes": [],
        "type": "invoice_line_item",
        "unit_amount": None,
        "unit_amount_decimal": None,
    }


def credit_note(
    note_id: str,
    of: Json,
    *,
    number: str,
    lines: Json,
    amount: int,
    refunds: list[Json],
    reason: str | None,
    created: int,
    livemode: bool,
) -> Json:
    """A credit note of an invoice (`of`): after its payment if it is paid, else before."""
    is_paid = of["status"] == "paid"
    return {
        "id": note_id,
        "object": "credit_note",
        "amount": amount,
        "amount_shipping": 0,
        "created": created,
        "currency": of["currency"],
        "customer": of["customer"],
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": created,
        "invoice": of["id"],
        "lines": lines,
        "livemode": livemode,
        "memo": None,
        "metadata": {},
        "number": number,
        "out_of_band_amount": None,
        "pdf": f"https://pay.stripe.com/credit_notes/{note_id}/pdf",
        "post_payment_amount": amount if is_paid else 0,
        "pre_payment_amount": 0 if is_paid else amount,
        "pretax_credit_amounts": [],
        "reason": reason,
        "refunds": refunds,
        "shipping_cost": None,
        "status": "issued",
        "subtotal": amount,
        "subtotal_excluding_tax": amount,
        "total": amount,
        "total_excluding_tax": amount,
        "total_taxes": [],
        "type": "post_payment" if is_paid else "pre_payment",
        "voided_at": None,
    }


def invoice_item(
    item_id: str,
    of: Json,
    customer_id: str,
    *,
    amount: int,
    description: str,
    period: tuple[int, int],
    date: int,
    livemode: bool,
) -> Json:
    """An amount for a subscription item (`of`) that waits for the next invoice: a proration."""
    price = of["price"]
    return {
        "id": item_id,
        "object": "invoiceitem",
        "amount": amount,
        "currency": price["currency"],
        "customer": customer_id,
        "customer_account": None,
        "date": date,
        "description": description,
        "discountable": False,
        "discounts": [],
        "invoice": None,
        "livemode": livemode,
        "metadata": {},
        "net_amount": amount,
        "parent": {
            "subscription_details": {
                "subscription": of["subscription"],
                "subscription_item": of["id"],
            },
            "type": "subscription_details",
        },
        "period": {"end": period[1], "start": period[0]},
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "proration": True,
        "quantity": of["quantity"],
        "quantity_decimal": str(of["quantity"]),
        "tax_rates": [],
        "test_clock": None,
    }
