"""Normal life of a company's payments: none of it is a finding above LOW."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from growth_pipeline_tests.acceptance.oracle.base import DAY, GRACE, drop, month_of

if TYPE_CHECKING:
    from growth_pipeline_tests.acceptance.oracle.company import Company


def _plain(company: Company, kind: str) -> None:
    company.pay(kind)


def _failed(company: Company, kind: str) -> None:
    """A failed attempt; half of the books keep such rows."""
    failed = company.pay(
        kind,
        status="failed",
        paid=False,
        captured=False,
        amount_captured=0,
        failure_code="card_declined",
    )
    if company.random.random() < 0.5 and failed.row is not None:
        drop(company.rows, failed.row)
        failed.row = None
        failed.is_heard = False  # whoever hears of it books it


def _failed_then_paid(company: Company, kind: str) -> None:
    """Two attempts of one intent: the intent names the one that worked."""
    from growth_pipeline_tests.acceptance.oracle.company import Payment

    paid = company.pay(kind)
    failed = {
        **paid.charge,
        "id": company.id("ch"),
        "created": paid.charge["created"] - 1,
        "status": "failed",
    }
    failed |= {"paid": False, "captured": False, "amount_captured": 0, "balance_transaction": None}
    first = Payment(failed, None, kind=kind, is_heard=paid.is_heard)
    first.row = company.book(first)
    company.payments.append(first)


def _pending(company: Company, kind: str) -> None:
    company.pay(kind, status="pending", paid=False, captured=False, amount_captured=0)


def _uncaptured(company: Company, kind: str) -> None:
    company.pay(kind, captured=False, amount_captured=0)


def _partly_captured(company: Company, kind: str) -> None:
    currency = company.random.choice(company.currencies)
    amount = company.money(currency)
    company.pay(
        kind, currency=currency, amount=amount, amount_captured=amount // 1000 * 500 or amount
    )


def _refunded(company: Company, kind: str) -> None:
    payment = company.pay(kind)
    for part in (0.25, 0.5)[: company.random.randint(1, 2)]:
        company.refund(payment, max(1, int(payment.amount * part)))


def _refunded_in_full(company: Company, kind: str) -> None:
    payment = company.pay(kind)
    company.refund(payment, payment.amount)


def _refund_pending(company: Company, kind: str) -> None:
    """Waits for less than ten days."""
    payment = company.pay(kind)
    recent = max(payment.charge["created"] + 10, company.as_of - 9 * DAY)
    at = company.random.randint(recent, company.as_of - GRACE - 600)
    company.refund(payment, payment.amount // 2, status="pending", created=at)


def _refund_failed(company: Company, kind: str) -> None:
    company.refund(company.pay(kind), 300, status="failed")


def _disputed(company: Company, kind: str) -> None:
    status = company.random.choice(["needs_response", "lost", "won", "warning_needs_response"])
    company.dispute(company.pay(kind), status)


def _young_refund(company: Company, kind: str) -> None:
    """Refunded minutes before the lists were read: its event is still on the way."""
    payment = company.pay(kind)
    before = payment.row and payment.row["refunded_minor"]
    refund = company.refund(
        payment, 100, created=company.as_of - company.random.randint(60, GRACE - 60)
    )
    payment.lost.add(refund["id"])
    if payment.row is not None:
        payment.row["refunded_minor"] = before


def _young_payment(company: Company, kind: str) -> None:
    """Made minutes before the lists were read; booked by one side, the other, or both."""
    if not company.first < company.as_of < company.until:
        return
    payment = company.pay(kind, created=company.as_of - company.random.randint(60, GRACE - 60))
    payment.is_heard = False
    if payment.row is None or company.random.random() < 0.5:
        drop(company.rows, payment.row)
        payment.row = None
    elif company.random.random() < 0.5:
        drop(company.payments, payment)
        for name, part in (("invoices", payment.invoice), ("invoice_payments", payment.join)):
            if part is not None:
                drop(company.extra[name], part)


def _refunded_after(company: Company, kind: str) -> None:
    """Refunded after the lists were read; the books know already."""
    payment = company.pay(kind)
    company.now[payment.charge["id"]] = {**payment.charge, "amount_refunded": 200}
    if payment.row is not None:
        payment.row |= {"refunded_minor": 200, "written": company.as_of + 300}


def _won_after(company: Company, kind: str) -> None:
    """A dispute that was won after the lists were read; the books know already."""
    payment = company.pay(kind)
    dispute = company.dispute(payment, "needs_response")
    back = company.move(
        payment.amount, dispute["id"], company.as_of + 60, payment.currency, "dispute_reversal"
    )
    company.now[dispute["id"]] = {
        **dispute, "status": "won", "balance_transactions": [*dispute["balance_transactions"], back],
    }  # fmt: skip
    if payment.row is not None:
        payment.row |= {"disputed_minor": 0, "written": company.as_of + 300}


def _cut_off(company: Company, kind: str) -> None:
    """Paid in a month's last seconds, booked in the next month."""
    edges = [*company.months, company.until]
    edge = company.random.choice([at for at in edges if at < company.as_of - DAY])
    payment = company.pay(kind, created=edge - company.random.randint(1, 9))
    if payment.row is not None:
        payment.row["created"] = edge + company.random.randint(0, 9)
    payment.is_heard = (
        False  # the mirror books by Stripe's instant; these books have one of their own
    )
    if edge > company.first:
        month = month_of(edge - 1)
        company.expect_in(month, "period_cutoff", payment.charge["id"], "timing_at_the_cut_off")


KINDS = {
    "plain": 78.0, "failed": 4.0, "failed_then_paid": 4.0, "pending": 1.5, "uncaptured": 1.5, "partly_captured": 2.0,
    "refunded": 3.0, "refunded_in_full": 1.5, "refund_pending": 0.8, "refund_failed": 0.6, "disputed": 1.2,
    "young_refund": 0.5, "young_payment": 0.5, "refunded_after": 0.3, "won_after": 0.2, "cut_off": 0.4,
}  # fmt: skip
MAKERS: dict[str, Callable[[Company, str], None]] = {
    "plain": _plain, "failed": _failed, "failed_then_paid": _failed_then_paid, "pending": _pending,
    "uncaptured": _uncaptured, "partly_captured": _partly_captured, "refunded": _refunded,
    "refunded_in_full": _refunded_in_full, "refund_pending": _refund_pending, "refund_failed": _refund_failed,
    "disputed": _disputed, "young_refund": _young_refund, "young_payment": _young_payment,
    "refunded_after": _refunded_after, "won_after": _won_after, "cut_off": _cut_off,
}  # fmt: skip
