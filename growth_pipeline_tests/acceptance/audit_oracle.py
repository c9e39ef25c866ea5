"""Companies whose right answer is known: Stripe objects, booked rows, and what an audit must find.

It shares no code with the product and imports nothing of it. Every expected impact is written down
where its defect is planted, from the change itself, never from a formula over both sides.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

VERSION = "2026-10-28.endive"
RESOURCES = (
    "payment_intents", "charges", "invoices", "subscriptions", "customers", "refunds", "disputes",
    "balance_transactions",
)  # fmt: skip
DAY = 86_400
SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER = (
    int(datetime(2025, month, 1, tzinfo=UTC).timestamp()) for month in (9, 10, 11, 12)
)
GRACE = 3600
# Minor units an amount must be a multiple of: three-decimal ones end in 0, ISK has no cents.
CURRENCIES = {"usd": 1, "eur": 1, "gbp": 1, "jpy": 1, "krw": 1, "kwd": 10, "bhd": 10, "isk": 100}

Object = dict[str, Any]
Row = dict[str, Any]


@dataclass(frozen=True, order=True)
class Expected:
    """One finding that must come, exactly once."""

    code: str
    object_id: str
    impact: tuple[tuple[str, int], ...] = ()


def impact(**by_currency: int) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((currency, minor) for currency, minor in by_currency.items() if minor))


@dataclass
class Payment:
    """One payment and everything that belongs to it."""

    charge: Object
    row: Row | None
    refunds: list[Object] = field(default_factory=list)
    disputes: list[Object] = field(default_factory=list)
    balance: Object | None = None
    kind: str = "plain"

    @property
    def currency(self) -> str:
        return str(self.charge["currency"])

    @property
    def amount(self) -> int:
        return int(self.charge["amount_captured"])


class Company:
    """One account in one mode. `rows` are its books; `expected` what an audit of October must find."""

    def __init__(
        self,
        seed: int,
        *,
        account: str,
        payments: int,
        livemode: bool = True,
        as_of: int = NOVEMBER + 4 * DAY,
        noise: float = 1.0,
    ) -> None:
        self.random = random.Random(f"{seed}/{account}/{livemode}")
        self.account, self.livemode, self.as_of = account, livemode, as_of
        self.payments: list[Payment] = []
        self.rows: list[Row] = []
        self.extra: dict[str, list[Object]] = {name: [] for name in RESOURCES}
        self.now: dict[str, Object] = {}  # objects as they are after the lists were read
        self.expected: list[Expected] = []
        self._number = 0
        self._customers = [self._customer(at) for at in range(max(5, payments // 8))]
        kinds, weights = zip(*_KINDS.items(), strict=True)
        weights = tuple(
            w if kind == "plain" else w * noise for kind, w in zip(kinds, weights, strict=True)
        )
        for kind in self.random.choices(kinds, weights, k=payments):
            _MAKERS[kind](self, kind)
        for _ in range(max(2, payments // 200)):
            self._neighbours()

    # --- making objects ---------------------------------------------------------------------

    def id(self, prefix: str) -> str:
        self._number += 1
        letters = "".join(
            self.random.choices("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789", k=14)
        )
        return f"{prefix}_{letters}{self._number}"

    def money(self, currency: str) -> int:
        unit = CURRENCIES[currency]
        return (
            int(self.random.randint(5, 400)) * 100 * unit
            if unit > 1
            else self.random.randint(500, 90_000)
        )

    def instant(self) -> int:
        """An instant of October that is old enough to be judged."""
        return self.random.randint(OCTOBER + 60, min(NOVEMBER, self.as_of - GRACE) - 7200)

    def _customer(self, at: int) -> str:
        customer = {
            "id": self.id("cus"), "object": "customer", "created": self.random.randint(SEPTEMBER, OCTOBER + DAY),
            "email": f"c{at}@example.com", "name": f"Customer {at}", "currency": None, "delinquent": False,
            "livemode": self.livemode,
        }  # fmt: skip
        if self.random.random() < 0.6:  # the others are older, or deleted: no list holds them
            self.extra["customers"].append(customer)
        return str(customer["id"])

    def pay(self, kind: str = "plain", **fields: Any) -> Payment:
        """A settled payment, or what `fields` make of it, with its intent, fee, invoice and row."""
        currency = fields.pop("currency", None) or self.random.choice(list(CURRENCIES))
        amount = fields.pop("amount", None) or self.money(currency)
        created = fields.pop("created", None) or self.instant()
        charge: Object = {
            "id": self.id("ch"), "object": "charge", "created": created, "livemode": self.livemode,
            "amount": amount, "amount_captured": amount, "amount_refunded": 0, "currency": currency,
            "captured": True, "paid": True, "status": "succeeded", "refunded": False, "disputed": False,
            "customer": self.random.choice(self._customers), "payment_intent": self.id("pi"),
            "balance_transaction": None, "failure_code": None, "failure_message": None,
            "metadata": {"note": "=1+1"}, **fields,
        }  # fmt: skip
        payment = Payment(charge, None, kind=kind)
        if charge["status"] == "succeeded" and charge["captured"]:
            payment.balance = self.move(
                charge["amount_captured"], charge["id"], created, currency, "charge"
            )
            charge["balance_transaction"] = payment.balance["id"]
        self._intent(charge)
        payment.row = self.book(payment)
        self.payments.append(payment)
        return payment

    def _intent(self, charge: Object) -> None:
        status = {
            "succeeded": "succeeded",
            "pending": "processing",
            "failed": "requires_payment_method",
        }
        self.extra["payment_intents"].append(
            {
                "id": charge["payment_intent"], "object": "payment_intent", "created": charge["created"] - 2,
                "livemode": self.livemode, "amount": charge["amount"], "amount_received": charge["amount_captured"],
                "currency": charge["currency"], "customer": charge["customer"], "latest_charge": charge["id"],
                "status": status[charge["status"]] if charge["captured"] or charge["status"] != "succeeded" else "requires_capture",
            }
        )  # fmt: skip

    def move(self, amount: int, source: str, created: int, currency: str, category: str) -> Object:
        """A balance transaction; the account settles euros in euros and everything else in dollars."""
        settled = "eur" if currency == "eur" else "usd"
        fee = abs(amount) * 29 // 1000 + 30 if category == "charge" else 0
        kind = {"charge": "charge", "refund": "refund", "refund_failure": "refund_failure"}.get(
            category, "adjustment"
        )
        return {
            "id": self.id("txn"), "object": "balance_transaction", "created": created, "amount": amount, "fee": fee,
            "net": amount - fee, "currency": settled, "type": kind, "reporting_category": category, "source": source,
            "status": "available", "available_on": created + 2 * DAY, "exchange_rate": None,
        }  # fmt: skip

    def refund(
        self,
        payment: Payment,
        amount: int,
        *,
        status: str = "succeeded",
        created: int | None = None,
    ) -> Object:
        refund: Object = {
            "id": self.id("re"), "object": "refund", "amount": amount, "charge": payment.charge["id"],
            "payment_intent": payment.charge["payment_intent"], "currency": payment.currency, "status": status,
            "created": created or self._later(payment), "balance_transaction": None, "failure_balance_transaction": None,
        }  # fmt: skip
        balance = self.move(-amount, refund["id"], refund["created"], payment.currency, "refund")
        refund["balance_transaction"] = balance["id"]
        self.extra["balance_transactions"].append(balance)
        if status == "failed":
            back = self.move(
                amount, refund["id"], refund["created"] + 60, payment.currency, "refund_failure"
            )
            refund["failure_balance_transaction"] = back["id"]
            self.extra["balance_transactions"].append(back)
        if status in {"succeeded", "pending"}:
            payment.charge["amount_refunded"] += amount
            payment.charge["refunded"] = payment.charge["amount_refunded"] == payment.amount
            if payment.row is not None:
                payment.row["refunded_minor"] += amount
        payment.refunds.append(refund)
        return refund

    def dispute(self, payment: Payment, status: str, *, created: int | None = None) -> Object:
        """`lost` and `needs_response` keep the money away, `won` gave it back, a warning moved none."""
        dispute: Object = {
            "id": self.id("dp"), "object": "dispute", "amount": payment.amount, "charge": payment.charge["id"],
            "payment_intent": payment.charge["payment_intent"], "currency": payment.currency, "status": status,
            "created": created or self._later(payment), "livemode": self.livemode, "balance_transactions": [],
            "reason": "fraudulent",
        }  # fmt: skip
        at = dispute["created"]
        if not status.startswith("warning"):
            dispute["balance_transactions"].append(
                self.move(-payment.amount, dispute["id"], at, payment.currency, "dispute")
            )
        if status == "won":
            back = self.move(
                payment.amount, dispute["id"], at + 60, payment.currency, "dispute_reversal"
            )
            dispute["balance_transactions"].append(back)
        self.extra["balance_transactions"] += dispute["balance_transactions"]
        payment.charge["disputed"] = True
        if payment.row is not None and status in {"lost", "needs_response"}:
            payment.row["disputed_minor"] += payment.amount
        payment.disputes.append(dispute)
        return dispute

    def _later(self, payment: Payment) -> int:
        return self.random.randint(payment.charge["created"] + 10, self.as_of - GRACE - 600)

    def book(self, payment: Payment) -> Row:
        """The row that right books hold for a payment, kept in `rows`."""
        charge, balance = payment.charge, payment.balance
        knows_fee = balance is not None and self.random.random() < 0.7
        row: Row = {
            "account_id": self.account, "livemode": self.livemode, "charge_id": charge["id"],
            "payment_intent_id": charge["payment_intent"], "invoice_id": None, "customer_id": charge["customer"],
            "status": charge["status"], "captured": charge["captured"], "currency": charge["currency"],
            "amount_minor": charge["amount_captured"] if charge["captured"] else charge["amount"],
            "refunded_minor": 0, "disputed_minor": 0,
            "fee_minor": balance["fee"] if balance and knows_fee else None,
            "net_minor": balance["net"] if balance and knows_fee else None,
            "settlement_currency": balance["currency"] if balance and knows_fee else None,
            "created": charge["created"], "written_by": "mirror", "written": charge["created"] + 20,
        }  # fmt: skip
        if self.random.random() < 0.6:
            row["invoice_id"] = self._invoice(charge)
        self.rows.append(row)
        return row

    def _invoice(self, charge: Object) -> str:
        """The invoice a charge paid; made an hour before, maybe in the month before."""
        amount = charge["amount"]
        paid = charge["status"] == "succeeded"
        invoice = {
            "id": self.id("in"), "object": "invoice", "created": charge["created"] - 3600, "livemode": self.livemode,
            "customer": charge["customer"], "currency": charge["currency"], "total": amount, "amount_due": amount,
            "total_excluding_tax": amount, "amount_paid": amount if paid else 0, "amount_remaining": 0 if paid else amount,
            "status": "paid" if paid else "open", "billing_reason": "subscription_cycle", "parent": None,
            "lines": {"object": "list", "data": [], "has_more": False, "url": "/v1/invoices/lines"},
        }  # fmt: skip
        self.extra["invoices"].append(invoice)
        return str(invoice["id"])

    def _neighbours(self) -> None:
        """Payments of the months before and after; they belong to other audits."""
        self.pay("neighbour", created=self.random.randint(SEPTEMBER + DAY, OCTOBER - 100))
        if self.as_of > NOVEMBER + DAY:
            self.pay(
                "neighbour", created=self.random.randint(NOVEMBER + 100, self.as_of - 2 * GRACE)
            )

    # --- what Stripe answers ----------------------------------------------------------------

    def lists(self) -> dict[str, list[Object]]:
        """All objects by list, newest first, as Stripe's lists give them."""
        found = {name: list(objects) for name, objects in self.extra.items()}
        for payment in self.payments:
            found["charges"].append(payment.charge)
            found["refunds"] += payment.refunds
            found["disputes"] += payment.disputes
            found["balance_transactions"] += [payment.balance] if payment.balance else []
        return {
            name: sorted(objects, key=lambda o: (-o["created"], o["id"]))
            for name, objects in found.items()
        }

    # --- what the totals must say -----------------------------------------------------------

    def totals(self) -> dict[str, dict[str, tuple[int, int, int, int]]]:
        """Both sides of October by currency: payments, gross, refunded, disputed, by plain loops.

        Left out: what is in its grace period, and payments with a refund in its grace period.
        """
        unripe = {one.charge["id"] for one in self.payments if one.kind == "young_refund"}
        sides: dict[str, dict[str, list[int]]] = {"stripe": {}, "booked": {}}
        for payment in self.payments:
            charge = self.now.get(payment.charge["id"], payment.charge)
            counts = charge["status"] == "succeeded" and charge["captured"]
            if counts and self._is_judged(charge["created"]) and charge["id"] not in unripe:
                gone = sum(self._withdrawn(one) for one in payment.disputes)
                money = (1, charge["amount_captured"], charge["amount_refunded"], gone)
                _add(sides["stripe"], charge["currency"], money)
        for row in self.rows:
            ours = (row["account_id"], row["livemode"]) == (self.account, self.livemode)
            counts = row["status"] == "succeeded" and row["captured"]
            if (
                ours
                and counts
                and self._is_judged(row["created"])
                and row["charge_id"] not in unripe
            ):
                money = (1, row["amount_minor"], row["refunded_minor"], row["disputed_minor"])
                _add(sides["booked"], row["currency"], money)
        return {
            name: {c: (sums[0], sums[1], sums[2], sums[3]) for c, sums in side.items()}
            for name, side in sides.items()
        }

    def _is_judged(self, created: int) -> bool:
        return OCTOBER <= created < min(NOVEMBER, self.as_of - GRACE)

    def _withdrawn(self, dispute: Object) -> int:
        status = self.now.get(dispute["id"], dispute)["status"]
        return int(dispute["amount"]) if status in {"lost", "needs_response"} else 0

    def take(
        self, kind: str = "plain", *, accept: Callable[[Payment], bool] = lambda _: True
    ) -> Payment:
        """A payment of October that nothing was done to yet."""
        for payment in self.random.sample(self.payments, len(self.payments)):
            at = payment.charge["created"]
            if payment.kind == kind and OCTOBER <= at < NOVEMBER - 7200 and accept(payment):
                payment.kind = f"taken {kind}"
                return payment
        raise LookupError(f"no payment of kind {kind} is left: make the company larger")

    def expect(self, code: str, object_id: str, **by_currency: int) -> None:
        self.expected.append(Expected(code, object_id, impact(**by_currency)))


def _add(sums: dict[str, list[int]], currency: str, money: tuple[int, int, int, int]) -> None:
    known = sums.setdefault(currency, [0, 0, 0, 0])
    for place, part in enumerate(money):
        known[place] += part


# --- normal life: none of this is a finding above LOW --------------------------------------------


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
        company.rows.remove(failed.row)
        failed.row = None


def _failed_then_paid(company: Company, kind: str) -> None:
    """Two attempts of one intent: the intent names the one that worked."""
    paid = company.pay(kind)
    failed = {
        **paid.charge,
        "id": company.id("ch"),
        "created": paid.charge["created"] - 1,
        "status": "failed",
    }
    failed |= {"paid": False, "captured": False, "amount_captured": 0, "balance_transaction": None}
    first = Payment(failed, None, kind=kind)
    first.row = company.book(first)
    company.payments.append(first)


def _pending(company: Company, kind: str) -> None:
    company.pay(kind, status="pending", paid=False, captured=False, amount_captured=0)


def _uncaptured(company: Company, kind: str) -> None:
    company.pay(kind, captured=False, amount_captured=0)


def _partly_captured(company: Company, kind: str) -> None:
    currency = company.random.choice(list(CURRENCIES))
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
    company.refund(payment, 100, created=company.as_of - company.random.randint(60, GRACE - 60))
    if payment.row is not None:
        payment.row["refunded_minor"] = before


def _young_payment(company: Company, kind: str) -> None:
    """Made minutes before the lists were read; booked by one side, the other, or both."""
    if not OCTOBER < company.as_of < NOVEMBER:
        return
    payment = company.pay(kind, created=company.as_of - company.random.randint(60, GRACE - 60))
    if payment.row is None or company.random.random() < 0.5:
        company.rows.remove(payment.row)  # type: ignore[arg-type]
        payment.row = None
    elif company.random.random() < 0.5:
        company.payments.remove(payment)
        company.extra["invoices"] = [
            i for i in company.extra["invoices"] if i["id"] != payment.row["invoice_id"]
        ]


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
    """Paid in the month's last seconds, booked in the next month; or the same a month earlier."""
    if company.as_of < NOVEMBER + DAY or company.random.random() < 0.5:
        payment = company.pay(kind, created=OCTOBER - company.random.randint(1, 9))
        if payment.row is not None:
            payment.row["created"] = OCTOBER + company.random.randint(0, 9)
        return
    payment = company.pay(kind, created=NOVEMBER - company.random.randint(1, 9))
    if payment.row is not None:
        payment.row["created"] = NOVEMBER + company.random.randint(0, 9)
    company.expect("period_cutoff", payment.charge["id"])


_KINDS = {
    "plain": 78.0, "failed": 4.0, "failed_then_paid": 4.0, "pending": 1.5, "uncaptured": 1.5, "partly_captured": 2.0,
    "refunded": 3.0, "refunded_in_full": 1.5, "refund_pending": 0.8, "refund_failed": 0.6, "disputed": 1.2,
    "young_refund": 0.5, "young_payment": 0.5, "refunded_after": 0.3, "won_after": 0.2, "cut_off": 0.4,
}  # fmt: skip
_MAKERS: dict[str, Callable[[Company, str], None]] = {
    "plain": _plain, "failed": _failed, "failed_then_paid": _failed_then_paid, "pending": _pending,
    "uncaptured": _uncaptured, "partly_captured": _partly_captured, "refunded": _refunded,
    "refunded_in_full": _refunded_in_full, "refund_pending": _refund_pending, "refund_failed": _refund_failed,
    "disputed": _disputed, "young_refund": _young_refund, "young_payment": _young_payment,
    "refunded_after": _refunded_after, "won_after": _won_after, "cut_off": _cut_off,
}  # fmt: skip


# --- defects: each changes one thing and says what it costs --------------------------------------


def plant(company: Company, *, test_mode: Company, other_account: Company, each: int = 3) -> None:
    """Every defect `each` times in a company; the two others lend their ids for the leaks."""
    for _ in range(each):
        _plant_leaks(company, test_mode, other_account)
        _plant_lone_sides(company)
        _plant_duplicates(company)
        _plant_statuses(company)
        _plant_amounts(company)
        _plant_refunds(company)
        _plant_disputes(company)
        _plant_fees_and_links(company)


def _row(payment: Payment) -> Row:
    assert payment.row is not None
    return payment.row


def _plant_leaks(company: Company, test_mode: Company, other_account: Company) -> None:
    for code, lender in (("livemode_leak", test_mode), ("account_leak", other_account)):
        theirs = lender.take()
        leaked = {
            **_row(theirs),
            "account_id": company.account,
            "livemode": company.livemode,
            "written_by": "import",
        }
        company.rows.append({**leaked, "invoice_id": None})
        company.expect(code, theirs.charge["id"], **{theirs.currency: theirs.amount})
    ours = company.take()
    _row(ours)["livemode"] = not company.livemode
    company.expect("livemode_leak", ours.charge["id"], **{ours.currency: -ours.amount})
    ours = company.take()
    _row(ours)["account_id"] = other_account.account
    company.expect("account_leak", ours.charge["id"], **{ours.currency: -ours.amount})


def _plant_lone_sides(company: Company) -> None:
    """Rows that Stripe does not know, and payments that the books do not know."""
    model = {
        **_row(company.take("plain")),
        "written_by": "hand",
        "fee_minor": None,
        "net_minor": None,
    }
    for ids in (
        {"charge_id": company.id("ch"), "payment_intent_id": None},
        {"charge_id": None, "payment_intent_id": company.id("pi")},
        {"charge_id": None, "payment_intent_id": None, "invoice_id": company.id("in")},
    ):
        row = {**model, "invoice_id": None, **ids, "amount_minor": 4321}
        company.rows.append(row)
        name = row["charge_id"] or row["payment_intent_id"] or row["invoice_id"]
        company.expect("missing_in_stripe", str(name), **{row["currency"]: 4321})
    failed = {
        **model,
        "charge_id": company.id("ch"),
        "invoice_id": None,
        "status": "failed",
        "captured": False,
    }
    company.rows.append(failed)
    company.expect("missing_in_stripe", failed["charge_id"])
    for kind in ("plain", "refunded"):
        payment = company.take(kind)
        company.rows.remove(_row(payment))
        kept = payment.amount - payment.charge["amount_refunded"]
        company.expect("missing_in_db", payment.charge["id"], **{payment.currency: -kept})


def _plant_duplicates(company: Company) -> None:
    twice = company.take()
    company.rows.append({**_row(twice), "written_by": "import"})
    company.expect("duplicate_row", twice.charge["id"], **{twice.currency: twice.amount})
    thrice = company.take()
    company.rows += [
        {**_row(thrice), "written_by": "hand"},
        {**_row(thrice), "written_by": "import"},
    ]
    company.expect("duplicate_row", thrice.charge["id"], **{thrice.currency: 2 * thrice.amount})
    by_intent = company.take()
    company.rows.append({**_row(by_intent), "charge_id": None, "written_by": "import"})
    company.expect(
        "duplicate_row", by_intent.charge["id"], **{by_intent.currency: by_intent.amount}
    )
    later = company.take()
    company.rows.append({**_row(later), "created": NOVEMBER + 500, "written_by": "import"})
    company.expect("duplicate_row", later.charge["id"], **{later.currency: later.amount})
    loose_later = company.take()
    company.rows.append(
        {**_row(loose_later), "charge_id": None, "created": SEPTEMBER + 500, "written_by": "hand"}
    )
    company.expect(
        "duplicate_row", loose_later.charge["id"], **{loose_later.currency: loose_later.amount}
    )


def _plant_statuses(company: Company) -> None:
    failed = company.take("failed", accept=lambda one: one.row is not None)
    _row(failed).update(status="succeeded", captured=True)
    company.expect(
        "status_mismatch", failed.charge["id"], **{failed.currency: _row(failed)["amount_minor"]}
    )
    for wrong in (
        {"status": "failed", "captured": False},
        {"status": "pending", "captured": False},
        {"status": "paid"},
    ):
        paid = company.take()
        _row(paid).update(wrong)
        company.expect("status_mismatch", paid.charge["id"], **{paid.currency: -paid.amount})
    authorised = company.take("uncaptured")
    _row(authorised)["captured"] = True
    company.expect(
        "uncaptured_booked",
        authorised.charge["id"],
        **{authorised.currency: authorised.charge["amount"]},
    )
    pending = company.take(
        "pending", accept=lambda one: one.charge["created"] < company.as_of - 2 * DAY
    )
    _row(pending).update(status="succeeded", captured=True)
    company.expect(
        "uncaptured_booked", pending.charge["id"], **{pending.currency: pending.charge["amount"]}
    )


def _plant_amounts(company: Company) -> None:
    wrong_currency = company.take(accept=lambda one: one.currency != "usd")
    _row(wrong_currency)["currency"] = "usd"
    amount = wrong_currency.amount
    company.expect(
        "currency_mismatch",
        wrong_currency.charge["id"],
        usd=amount,
        **{wrong_currency.currency: -amount},
    )
    changes: list[Callable[[int], int]] = [
        lambda minor: minor * 100, lambda minor: minor * 1000, lambda minor: -minor, lambda minor: minor + 777,
        lambda minor: minor - 2,
    ]  # fmt: skip
    for change in changes:
        payment = company.take()
        _row(payment)["amount_minor"] = change(payment.amount)
        company.expect(
            "amount_mismatch",
            payment.charge["id"],
            **{payment.currency: change(payment.amount) - payment.amount},
        )
    hundredth = company.take(accept=lambda one: one.amount % 100 == 0)
    _row(hundredth)["amount_minor"] = hundredth.amount // 100
    company.expect(
        "amount_mismatch",
        hundredth.charge["id"],
        **{hundredth.currency: -(hundredth.amount // 100) * 99},
    )
    netted = company.take("refunded")
    given_back = netted.charge["amount_refunded"]
    _row(netted)["amount_minor"] -= given_back
    company.expect("amount_mismatch", netted.charge["id"], **{netted.currency: -given_back})
    part = company.take("partly_captured", accept=lambda one: one.charge["amount"] > one.amount + 1)
    _row(part)["amount_minor"] = part.charge["amount"]
    company.expect(
        "amount_mismatch", part.charge["id"], **{part.currency: part.charge["amount"] - part.amount}
    )
    for step in (1, -1):
        payment = company.take()
        _row(payment)["amount_minor"] += step
        company.expect("amount_rounding", payment.charge["id"], **{payment.currency: step})


def _plant_refunds(company: Company) -> None:
    for part in (1, 2):
        payment = company.take("refunded")
        missing = payment.charge["amount_refunded"] // part
        _row(payment)["refunded_minor"] -= missing
        company.expect("refund_missing", payment.charge["id"], **{payment.currency: missing})
    twice = company.take("refunded_in_full")
    _row(twice)["refunded_minor"] *= 2
    company.expect("refund_excess", twice.charge["id"], **{twice.currency: -twice.amount})
    invented = company.take()
    _row(invented)["refunded_minor"] = 55
    company.expect("refund_excess", invented.charge["id"], **{invented.currency: -55})
    failed = company.take("refund_failed")
    _row(failed)["refunded_minor"] += 300
    company.expect("refund_failed_booked", failed.charge["id"], **{failed.currency: -300})
    early = company.as_of - 12 * DAY
    for status in ("pending", "requires_action"):
        stuck = company.take(accept=lambda one: one.charge["created"] < early - 100)
        refund = company.refund(
            stuck,
            120,
            status=status,
            created=company.random.randint(stuck.charge["created"] + 10, early),
        )
        company.expect("refund_stuck", refund["id"])


def _plant_disputes(company: Company) -> None:
    unknown = company.take()
    company.dispute(unknown, "lost")
    _row(unknown)["disputed_minor"] = 0
    company.expect("dispute_missing", unknown.charge["id"], **{unknown.currency: unknown.amount})
    won = company.take()
    company.dispute(won, "won")
    _row(won)["disputed_minor"] = won.amount
    company.expect("dispute_state", won.charge["id"], **{won.currency: -won.amount})
    warned = company.take()
    company.dispute(warned, "warning_needs_response")
    _row(warned)["disputed_minor"] = warned.amount
    company.expect("dispute_state", warned.charge["id"], **{warned.currency: -warned.amount})


def _plant_fees_and_links(company: Company) -> None:
    estimated = company.take(accept=lambda one: _row(one)["fee_minor"] is not None)
    settled = _row(estimated)["settlement_currency"]
    _row(estimated)["fee_minor"] += 13
    company.expect("fee_mismatch", estimated.charge["id"], **{settled: 13})
    gross = company.take(accept=lambda one: _row(one)["net_minor"] is not None)
    settled, fee = _row(gross)["settlement_currency"], _row(gross)["fee_minor"]
    _row(gross)["net_minor"] += fee
    company.expect("net_mismatch", gross.charge["id"], **{settled: fee})
    for source, category in ((company.id("ch"), "charge"), (company.id("re"), "refund")):
        lost = company.move(900, source, company.instant(), "usd", category)
        company.extra["balance_transactions"].append(lost)
        company.expect("balance_unlinked", lost["id"], usd=lost["net"])
    for reference in ("customer_id", "invoice_id"):
        orphan = company.take()
        _row(orphan)[reference] = company.id("cus" if reference == "customer_id" else "in")
        company.expect("orphan_row", orphan.charge["id"])
    ghost = Payment({"id": company.id("ch"), "payment_intent": None, "created": OCTOBER + DAY, "currency": "usd",
                     "amount_captured": 500, "amount_refunded": 0}, None)  # fmt: skip
    refund = company.refund(ghost, 100, created=company.instant())
    company.extra["refunds"].append(refund)
    company.expect("orphan_row", refund["id"])
    for edge in (NOVEMBER + 40, SEPTEMBER + 40):
        moved = company.take()
        _row(moved)["created"] = edge
        company.expect("period_cutoff", moved.charge["id"])


# --- a Stripe that only answers ------------------------------------------------------------------


class OracleStripe:
    """Serves companies on loopback: lists with `created` filters and cursors, single objects, 404s.

    One key a company. The Date header is the company's own instant: its lists were read then.
    """

    def __init__(self) -> None:
        self._books: dict[str, dict[str, list[Object]]] = {}
        self._single: dict[str, dict[tuple[str, str], Object]] = {}
        self._as_of: dict[str, int] = {}
        self.requests = 0

    def add(self, key: str, company: Company) -> None:
        lists = company.lists()
        self._books[key] = lists
        self._as_of[key] = company.as_of
        objects = {(name, one["id"]): one for name, some in lists.items() for one in some}
        changed = {(name, one): company.now[one] for name, one in objects if one in company.now}
        self._single[key] = {**objects, **changed}

    def remove(self, key: str) -> None:
        for known in (self._books, self._single, self._as_of):
            known.pop(key)  # type: ignore[attr-defined]

    def answer(self, key: str, path: str, query: dict[str, list[str]]) -> tuple[int, Object]:
        self.requests += 1
        if key not in self._books:
            return 401, {"error": {"message": "Invalid API Key"}}
        parts = path.strip("/").split("/")
        if len(parts) == 2:
            return 200, self._page(key, parts[1], query)
        found = self._single[key].get((parts[1], unquote(parts[2])))
        if found is None:
            return 404, {
                "error": {"code": "resource_missing", "param": "id", "message": "No such object"}
            }
        return 200, found

    def _page(self, key: str, resource: str, query: dict[str, list[str]]) -> Object:
        gte, lt = (
            int(query.get(f"created[{edge}]", [default])[0])
            for edge, default in (("gte", "0"), ("lt", "99999999999"))
        )
        objects = [one for one in self._books[key][resource] if gte <= one["created"] < lt]
        after = query.get("starting_after", [""])[0]
        start = (
            next((at + 1 for at, one in enumerate(objects) if one["id"] == after), 0)
            if after
            else 0
        )
        limit = int(query.get("limit", ["10"])[0])
        page = objects[start : start + limit]
        return {
            "object": "list",
            "data": page,
            "has_more": start + limit < len(objects),
            "url": f"/v1/{resource}",
        }

    def date(self, key: str) -> str:
        return format_datetime(datetime.fromtimestamp(self._as_of.get(key, 0), UTC), usegmt=True)

    @contextmanager
    def served(self) -> Iterator[str]:
        """Base address while the server runs."""
        oracle = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                key = self.headers.get("Authorization", "").removeprefix("Bearer ")
                url = urlsplit(self.path)
                status, content = oracle.answer(key, url.path, parse_qs(url.query))
                body = json.dumps(content, separators=(",", ":")).encode()
                self.send_response_only(status)
                for name, value in (
                    ("Date", oracle.date(key)), ("Content-Type", "application/json"), ("Content-Length", str(len(body))),
                    ("Request-Id", f"req_{oracle.requests}"), ("Stripe-Version", VERSION),
                ):  # fmt: skip
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def instant(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
