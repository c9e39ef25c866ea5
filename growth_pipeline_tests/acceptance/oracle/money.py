"""Invoices paid in odd ways, credit notes, and the account's balance with its payouts."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from growth_pipeline_tests.acceptance.oracle.base import DAY, HOUR, Object, drop, month_of
from growth_pipeline_tests.acceptance.oracle.company import Company, Payment
from growth_pipeline_tests.acceptance.oracle.events import an_event

WEEK: Final = 7 * DAY
# Movements that are no payment: type, and what their source is (None: nothing).
_OTHER_MOVES: Final = (
    ("stripe_fee", None), ("adjustment", None), ("topup", "tu"), ("transfer", "tr"), ("application_fee", "fee"),
    ("tax_fee", None), ("reserve_transaction", "rsv"), ("connect_collection_transfer", None),
)  # fmt: skip


def add_money(company: Company, count: int) -> None:
    """`count` odd invoices and credit notes of normal life, and movements that are no payments."""
    makers = (_in_parts, _by_balance, _out_of_band, _of_nothing, _credited, _credit_taken_back)
    for number in range(count):
        makers[number % len(makers)](company)
    for kind, prefix in _OTHER_MOVES:
        source = company.id(prefix) if prefix else None
        minor = company.random.choice([-1, 1]) * company.random.randint(100, 900)
        moved = company.move(minor, source, company.instant(), "usd", kind)
        company.extra["balance_transactions"].append(moved | {"fee": 0, "net": minor})


# --- invoices ------------------------------------------------------------------------------------


def _in_parts(company: Company) -> None:
    """One invoice, paid by two payments."""
    first, second = (_plain_without_invoice(company) for _ in range(2))
    second.charge["currency"] = first.currency
    second.is_heard = first.is_heard  # what is heard of an invoice in part is a finding
    for row in (first.row, second.row):
        assert row is not None
        row["currency"] = first.currency
    if second.intent is not None:
        second.intent["currency"] = first.currency
    invoice = company.invoice(
        first.charge["customer"], first.currency, first.amount + second.amount,
        created=min(first.charge["created"], second.charge["created"]) - 60, paid=True,
    )  # fmt: skip
    for payment in (first, second):
        payment.invoice = invoice
        payment.join = company.invoice_payment(invoice, payment.charge, payment.amount)
        assert payment.row is not None
        payment.row["invoice_id"] = invoice["id"]


def _plain_without_invoice(company: Company) -> Payment:
    """A payment whose own invoice, if it has one, is none of ours."""
    payment = company.pay("in parts", currency="usd")
    for name, part in (("invoices", payment.invoice), ("invoice_payments", payment.join)):
        if part is not None:
            drop(company.extra[name], part)
    payment.invoice = payment.join = None
    return payment


def _paid_without_charge(company: Company, **changed: Any) -> Object:
    currency = company.random.choice(company.currencies)
    created = company.instant() - 7200
    invoice = company.invoice(
        company.random.choice(company.customers), currency, company.money(currency),
        created=max(created, company.focus[0] + 30), paid=True,
    )  # fmt: skip
    invoice |= changed
    company.expect_in(month_of(invoice["created"]), "invoice_paid_no_charge", invoice["id"], "happened_at_stripe")  # fmt: skip
    return invoice


def _by_balance(company: Company) -> None:
    """The customer had credit: nothing was due."""
    invoice = _paid_without_charge(company)
    invoice |= {
        "starting_balance": -invoice["total"],
        "amount_due": 0,
        "amount_paid": 0,
        "amount_remaining": 0,
    }


def _of_nothing(company: Company) -> None:
    """A trial's invoice over 0."""
    _paid_without_charge(company, total=0, subtotal=0, amount_due=0, amount_paid=0)


def _out_of_band(company: Company) -> None:
    """Paid by bank transfer, outside Stripe."""
    invoice = _paid_without_charge(company)
    company.told += recorded(company, invoice)


def recorded(company: Company, invoice: Object) -> list[Object]:
    """The record of a bank transfer that paid an invoice, and the events that tell of both."""
    record = {"type": "payment_record", "payment_record": company.id("prec")}
    join = company.invoice_payment(invoice, {"created": invoice["created"], "payment_intent": None}, invoice["total"])  # fmt: skip
    join["payment"] = record
    at = invoice["status_transitions"]["paid_at"]
    return [
        an_event(company, "invoice.paid", invoice, at),
        an_event(company, "invoice_payment.paid", join, at),
    ]


# --- credit notes --------------------------------------------------------------------------------


def credit(company: Company, payment: Payment, amount: int, **changed: Any) -> Object:
    """A credit note on the invoice of a payment, given to the customer's balance."""
    invoice = payment.invoice
    assert invoice is not None
    invoice["post_payment_credit_notes_amount"] += amount
    note = {
        "id": company.id("cn"), "object": "credit_note", "created": payment.charge["created"] + 900,
        "livemode": company.livemode, "invoice": invoice["id"], "customer": invoice["customer"],
        "currency": invoice["currency"], "amount": amount, "subtotal": amount, "total": amount, "status": "issued",
        "type": "post_payment", "reason": None, "number": f"{invoice['number']}-CN", "out_of_band_amount": None,
        "customer_balance_transaction": company.id("cbtxn"), "voided_at": None, "refunds": [], "memo": None,
        "discount_amount": 0, "discount_amounts": [], "total_taxes": [], "metadata": {},
        "lines": {"object": "list", "data": [], "has_more": False, "url": "/v1/credit_notes/lines"}, **changed,
    }  # fmt: skip
    company.extra["credit_notes"].append(note)
    return note


def with_invoice(company: Company) -> Payment:
    """A payment of the months in focus that paid an invoice of the same month."""
    start = company.focus[0]
    return company.take(
        accept=lambda one: one.invoice is not None and one.invoice["created"] > start
    )


def _credited(company: Company) -> None:
    note = credit(company, with_invoice(company), 100)
    company.told.append(an_event(company, "credit_note.created", note, note["created"]))


def _credit_taken_back(company: Company) -> None:
    note = credit(company, with_invoice(company), 200)
    event = an_event(company, "credit_note.created", note, note["created"])
    company.told.append(event)
    note |= {"status": "void", "voided_at": note["created"] + HOUR}
    company.told.append(an_event(company, "credit_note.voided", note, note["created"] + HOUR))


# --- payouts -------------------------------------------------------------------------------------


def pay_out(company: Company) -> list[Object]:
    """Weekly payouts of all that is available; call it when nothing else moves the balance.

    The money of a payout is the sum of its lines, counted line by line. Its lines are in `hidden`:
    Stripe tells them to who asks for the payout's, and shows no field.
    """
    moves = sorted(company.moves(), key=lambda one: str(one["id"]))
    lines: dict[tuple[str, int], list[Object]] = defaultdict(list)
    for move in moves:
        lines[move["currency"], (move["available_on"] // WEEK + 1) * WEEK].append(move)
    hidden: dict[str, Object] = {}
    payouts = []
    for (currency, at), some in sorted(lines.items(), key=lambda one: one[0]):
        amount = sum(one["net"] for one in some)
        if at < company.as_of - HOUR and amount > 0:
            payouts.append(_payout(company, currency, at, amount))
            hidden |= {one["id"]: {"payout": payouts[-1]["id"]} for one in some}
            hidden[payouts[-1]["balance_transaction"]] = {"payout": payouts[-1]["id"]}
    payouts += [_by_hand(company)]
    company.hidden = hidden
    company.payouts = payouts
    return payouts


def _payout(company: Company, currency: str, at: int, amount: int) -> Object:
    arrival = at + 2 * DAY
    payout = {
        "id": company.id("po"), "object": "payout", "created": at, "livemode": company.livemode, "amount": amount,
        "currency": currency, "status": "paid", "automatic": True, "arrival_date": arrival, "type": "bank_account",
        "method": "standard", "reconciliation_status": "completed", "balance_transaction": None,
        "failure_balance_transaction": None, "failure_code": None, "failure_message": None, "metadata": {},
    }  # fmt: skip
    if arrival > company.as_of - HOUR:
        payout |= {"status": "in_transit", "reconciliation_status": "in_progress"}
    moved = company.move(-amount, payout["id"], at, currency, "payout")
    payout["balance_transaction"] = moved["id"]
    company.extra["balance_transactions"].append(moved)
    company.extra["payouts"].append(payout)
    return payout


def _by_hand(company: Company) -> Object:
    """A payout somebody asked for: Stripe itemises none of those."""
    payout = _payout(company, "usd", company.instant(), 5_000)
    payout |= {"automatic": False, "reconciliation_status": "not_applicable", "status": "paid"}
    return payout


def tell_payouts(company: Company) -> None:
    """The events of payouts, as they stand now."""
    kinds = {"paid": "payout.paid", "failed": "payout.failed", "canceled": "payout.canceled"}
    for payout in company.payouts:
        kind = kinds.get(payout["status"], "payout.created")
        at = min(max(payout["created"], payout["arrival_date"]), company.as_of - HOUR - 60)
        company.told.append(an_event(company, kind, payout, at))
