"""Credit notes: on paid invoices with a refund or a credit, on open ones to lower them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.currencies import rounded
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.life import Life
from growth_pipeline.sandbox.names import DAY
from growth_pipeline.sandbox.payments import refund

_UPDATED = "invoice.updated"


def credit_paid(life: Life, at: int, *, share: Fraction, refunded: bool = True) -> None:
    """Credits a share of the newest paid invoice: by a refund, or to the customer's balance."""
    charge = life.last_settled_charge()
    invoice = _paid_by(life, charge) if charge else None
    if charge is None or invoice is None or invoice["total_discount_amounts"]:
        return
    amounts = _shares(life, invoice, share)
    total = sum(amounts)
    if not 0 < total <= charge["amount_captured"]:
        return
    refunds = []
    if refunded and (done := refund(life, at, charge, total)):
        refunds = [{"amount_refunded": total, "refund": done["id"], "type": "refund"}]
    note = _note(life, at, invoice, amounts, refunds, reason="product_unsatisfactory")
    credited = invoice["post_payment_credit_notes_amount"] + total
    if not refunded:
        note["customer_balance_transaction"] = life.names.new("cbtxn")
        balance = {"balance": life.customer["balance"] - total}
        life.journal.change(life.customer, at, balance, "customer.updated")
    life.journal.add(note, at, "credit_note.created", asked=True)
    life.journal.change(invoice, at, {"post_payment_credit_notes_amount": credited}, _UPDATED)


def _paid_by(life: Life, charge: Json) -> Json | None:
    for invoice_id, join in life.joins.items():
        if join["payment"]["payment_intent"] == charge["payment_intent"]:
            return life.journal.objects[invoice_id]
    return None


def _shares(life: Life, invoice: Json, share: Fraction) -> list[int]:
    lines = life.journal.children[invoice["id"]]
    return [rounded(line["amount"] * share, life.currency) for line in lines]


def _note(
    life: Life,
    at: int,
    invoice: Json,
    amounts: Sequence[int],
    refunds: list[Json],
    *,
    reason: str | None,
) -> Json:
    note_id = life.names.new("cn")
    made = [
        shapes.credit_note_line(life.names.new("cnli"), line, amount=amount, livemode=life.livemode)
        for line, amount in zip(life.journal.children[invoice["id"]], amounts, strict=True)
    ]
    life.credit_count += 1
    return shapes.credit_note(
        note_id,
        invoice,
        number=f"{invoice['number']}-CN-{life.credit_count:02d}",
        lines=life.journal.set_children(note_id, f"/v1/credit_notes/{note_id}/lines", made),
        amount=sum(amounts),
        refunds=refunds,
        reason=reason,
        created=at,
        livemode=life.livemode,
    )


def credit_open(life: Life, at: int, *, share: Fraction, void_after: int = 0) -> None:
    """Lowers the newest open invoice by a share; `void_after` days later that is taken back."""
    invoice = next((i for i in _newest_first(life, "invoice") if i["status"] == "open"), None)
    if invoice is None:
        return
    amounts = _shares(life, invoice, share)
    note = _note(life, at, invoice, amounts, [], reason=None)
    life.journal.add(note, at, "credit_note.created", asked=True)
    _lower(life, at, invoice, note["amount"])
    if void_after:
        life.later(at + void_after * DAY, _void, note, invoice)


def _newest_first(life: Life, kind: str) -> list[Json]:
    return [obj for obj in reversed(life.journal.objects.values()) if obj["object"] == kind]


def _lower(life: Life, at: int, invoice: Json, amount: int) -> None:
    changes = {
        "amount_due": invoice["amount_due"] - amount,
        "amount_remaining": invoice["amount_remaining"] - amount,
        "pre_payment_credit_notes_amount": invoice["pre_payment_credit_notes_amount"] + amount,
    }
    life.journal.change(invoice, at, changes, _UPDATED)


def _void(life: Life, at: int, note: Json, invoice: Json) -> None:
    if invoice["status"] != "open":
        return
    changes = {"status": "void", "voided_at": at}
    life.journal.change(note, at, changes, "credit_note.voided", asked=True)
    _lower(life, at, invoice, -note["amount"])
