"""One company whose right answer is known: its payments at Stripe and in the books, month by month.

Normal life is in `life.py`, subscriptions in `plans.py`, payouts and credit notes in `money.py`,
events in `events.py`, defects in `defects.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from growth_pipeline_tests.acceptance.oracle.base import (
    CURRENCIES,
    DAY,
    GRACE,
    NOVEMBER,
    OCTOBER,
    RESOURCES,
    SEVERITY,
    Expected,
    Object,
    Row,
    impact,
    month_after,
    month_of,
)

_OLD = 200  # customers beyond this many are in a list: Stripe is asked about the others


@dataclass
class Payment:
    """One payment and everything that belongs to it. `lost`: objects whose events never arrived."""

    charge: Object
    row: Row | None
    refunds: list[Object] = field(default_factory=list)
    disputes: list[Object] = field(default_factory=list)
    balance: Object | None = None
    kind: str = "plain"
    intent: Object | None = None
    invoice: Object | None = None
    join: Object | None = None
    is_heard: bool = False
    lost: set[str] = field(default_factory=set)

    @property
    def currency(self) -> str:
        return str(self.charge["currency"])

    @property
    def amount(self) -> int:
        return int(self.charge["amount_captured"])

    def bill(self, company: Company) -> None:
        """The invoice that the charge paid; made an hour before, maybe in the month before."""
        charge = self.charge
        self.invoice = company.invoice(
            charge["customer"], charge["currency"], self.amount, created=charge["created"] - 3600, paid=True
        )  # fmt: skip
        self.join = company.invoice_payment(self.invoice, charge, self.amount)
        if self.row is not None:
            self.row["invoice_id"] = self.invoice["id"]


class Company:
    """One account in one mode. `rows` are its books; `expected` what audits of its months must find.

    Its payments lie in the months from `first` to `until` (exclusive), by default in October 2025.
    `heard` is the share of payments whose events reached the product. Subscriptions, payouts, credit
    notes and an application that tells who has access come with `whole.py`.
    """

    def __init__(
        self,
        seed: int,
        *,
        account: str,
        payments: int,
        livemode: bool = True,
        as_of: int = NOVEMBER + 4 * DAY,
        noise: float = 1.0,
        first: int = OCTOBER,
        until: int = NOVEMBER,
        currencies: tuple[str, ...] = tuple(CURRENCIES),
        heard: float = 0.0,
    ) -> None:
        from growth_pipeline_tests.acceptance.oracle.life import KINDS, MAKERS

        self.random = random.Random(f"{seed}/{account}/{livemode}")
        self.account, self.livemode, self.as_of = account, livemode, as_of
        self.first, self.until = first, until
        self.currencies, self.heard = currencies, heard
        self.focus = (first, until)
        self.payments: list[Payment] = []
        self.rows: list[Row] = []
        self.extra: dict[str, list[Object]] = {name: [] for name in RESOURCES}
        self.retired: list[Object] = []  # answered one by one, in no list of these months
        self.now: dict[str, Object] = {}  # objects as they are after the lists were read
        self.told: list[Object] = []  # events that nothing else gives rise to
        self.unheard: dict[str, str] = {}  # event id -> why it did not arrive
        self.entitlements: list[Row] = []
        self.users: list[Row] = []
        self.plans: list[Any] = []  # see plans.py
        self.shop: dict[tuple[int, str], Object] = {}  # prices by their place in the list, currency
        self.payouts: list[Object] = []
        self.hidden: dict[str, Object] = {}  # what Stripe filters by and does not show, by id
        self.expected: list[Expected] = []
        self._kinds: dict[tuple[int, int, str], list[Payment]] = {}
        self._number = 0
        customers = range(min(2_000, max(5, payments // 8)))
        self.customers = [self._customer(at) for at in customers]
        kinds, weights = zip(*KINDS.items(), strict=True)
        weights = tuple(
            w if kind == "plain" else w * noise for kind, w in zip(kinds, weights, strict=True)
        )
        for kind in self.random.choices(kinds, weights, k=payments):
            MAKERS[kind](self, kind)
        for _ in range(max(2, payments // 200)):
            self._neighbours()

    # --- time -------------------------------------------------------------------------------

    @property
    def months(self) -> list[int]:
        """First seconds of the months with payments."""
        found = [self.first]
        while month_after(found[-1]) < self.until:
            found.append(month_after(found[-1]))
        return found

    @contextmanager
    def within(self, month: int) -> Iterator[None]:
        """Meanwhile everything that is made or taken belongs to one month."""
        before, self.focus = self.focus, (month, month_after(month))
        try:
            yield
        finally:
            self.focus = before

    def instant(self) -> int:
        """An instant of the months in focus that is old enough to be judged."""
        start, end = self.focus
        return self.random.randint(start + 60, min(end, self.as_of - GRACE) - 7200)

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

    def _customer(self, at: int) -> str:
        """A customer, and the user it belongs to. Of the first, four in ten are older than all lists."""
        is_listed = at > _OLD or self.random.random() < 0.6
        start = self.first - 30 * DAY if is_listed else self.first - 300 * DAY
        customer = {
            "id": self.id("cus"), "object": "customer", "created": self.random.randint(start, start + 29 * DAY),
            "email": f"c{at}@example.com", "name": f"Customer {at}", "currency": None, "delinquent": False,
            "balance": 0, "discount": None, "livemode": self.livemode, "metadata": {},
        }  # fmt: skip
        (self.extra["customers"] if is_listed else self.retired).append(customer)
        self.user(customer)
        return str(customer["id"])

    def user(self, customer: Object, **changed: Any) -> Row:
        """A user of the application with the customer it pays as."""
        row: Row = {
            "account_id": self.account, "livemode": self.livemode, "user_id": self.id("user"),
            "email": customer["email"], "customer_id": customer["id"], "deleted": None,
            "written": customer["created"] + 5, **changed,
        }  # fmt: skip
        self.users.append(row)
        return row

    def pay(self, kind: str = "plain", **fields: Any) -> Payment:
        """A settled payment, or what `fields` make of it, with its intent, fee, invoice and row."""
        currency = fields.pop("currency", None) or self.random.choice(self.currencies)
        amount = fields.pop("amount", None) or self.money(currency)
        created = fields.pop("created", None) or self.instant()
        charge: Object = {
            "id": self.id("ch"), "object": "charge", "created": created, "livemode": self.livemode,
            "amount": amount, "amount_captured": amount, "amount_refunded": 0, "currency": currency,
            "captured": True, "paid": True, "status": "succeeded", "refunded": False, "disputed": False,
            "customer": self.random.choice(self.customers), "payment_intent": self.id("pi"),
            "balance_transaction": None, "failure_code": None, "failure_message": None,
            "metadata": {"note": "=1+1"}, **fields,
        }  # fmt: skip
        payment = Payment(charge, None, kind=kind, is_heard=self.random.random() < self.heard)
        if charge["status"] == "succeeded" and charge["captured"]:
            payment.balance = self.move(
                charge["amount_captured"], charge["id"], created, currency, "charge"
            )
            charge["balance_transaction"] = payment.balance["id"]
        payment.intent = self._intent(charge)
        payment.row = self.book(payment)
        self.payments.append(payment)
        return payment

    def _intent(self, charge: Object) -> Object:
        status = {
            "succeeded": "succeeded",
            "pending": "processing",
            "failed": "requires_payment_method",
        }[charge["status"]]
        if charge["status"] == "succeeded" and not charge["captured"]:
            status = "requires_capture"
        intent = {
            "id": charge["payment_intent"], "object": "payment_intent", "created": charge["created"] - 2,
            "livemode": self.livemode, "amount": charge["amount"], "amount_received": charge["amount_captured"],
            "currency": charge["currency"], "customer": charge["customer"], "latest_charge": charge["id"],
            "canceled_at": None, "cancellation_reason": None, "status": status, "metadata": {},
        }  # fmt: skip
        self.extra["payment_intents"].append(intent)
        return intent

    def move(self, amount: int, source: str | None, created: int, currency: str, category: str) -> Object:  # fmt: skip
        """A balance transaction; the account settles euros in euros and everything else in dollars."""
        settled = "eur" if currency == "eur" else "usd"
        fee = abs(amount) * 29 // 1000 + 30 if category == "charge" else 0
        kind = {"dispute": "adjustment", "dispute_reversal": "adjustment"}.get(category, category)
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
            "reason": None,
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
            "reason": "fraudulent", "evidence_details": {"due_by": None},
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
        """Some time after a payment, within sixty days."""
        at = int(payment.charge["created"])
        return self.random.randint(at + 10, min(self.as_of - GRACE - 600, at + 60 * DAY))

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
        self.rows.append(row)
        payment.row = row
        if self.random.random() < 0.6 and charge["status"] == "succeeded" and charge["captured"]:
            payment.bill(self)
        return row

    def invoice(
        self, customer: str, currency: str, total: int, *, created: int, paid: bool, **changed: Any
    ) -> Object:
        """An invoice over one amount, listed; `paid` in full or open."""
        at = created + 3600 if paid else None
        invoice = {
            "id": self.id("in"), "object": "invoice", "created": created, "livemode": self.livemode,
            "customer": customer, "currency": currency, "total": total, "subtotal": total, "amount_due": total,
            "total_excluding_tax": total, "amount_paid": total if paid else 0, "amount_remaining": 0 if paid else total,
            "status": "paid" if paid else "open", "billing_reason": "manual", "parent": None,
            "number": f"N-{self._number}", "collection_method": "charge_automatically", "attempt_count": 1,
            "starting_balance": 0, "ending_balance": 0, "next_payment_attempt": None, "due_date": None,
            "period_start": created, "period_end": created, "discounts": [],
            "status_transitions": {"finalized_at": created, "paid_at": at, "voided_at": None, "marked_uncollectible_at": None},
            "pre_payment_credit_notes_amount": 0, "post_payment_credit_notes_amount": 0,
            "lines": {"object": "list", "data": [], "has_more": False, "url": "/v1/invoices/lines"}, **changed,
        }  # fmt: skip
        self.extra["invoices"].append(invoice)
        return invoice

    def invoice_payment(
        self, invoice: Object, charge: Object, amount: int, *, paid: bool = True
    ) -> Object:
        """What joins an invoice and the payment intent that paid it, or is to pay it."""
        at = charge["created"] if paid else None
        join = {
            "id": self.id("inpay"), "object": "invoice_payment", "created": invoice["created"] + 1,
            "livemode": self.livemode, "invoice": invoice["id"], "currency": invoice["currency"],
            "amount_requested": amount, "amount_paid": amount if paid else None, "is_default": True,
            "status": "paid" if paid else "open",
            "status_transitions": {"paid_at": at, "canceled_at": None},
            "payment": {"type": "payment_intent", "payment_intent": charge["payment_intent"]},
        }  # fmt: skip
        self.extra["invoice_payments"].append(join)
        return join

    def _neighbours(self) -> None:
        """Payments of the months before and after; they belong to other audits."""
        before = month_of(self.first - DAY)
        self.pay("neighbour", created=self.random.randint(before + DAY, self.first - 100))
        if self.as_of > self.until + DAY:
            self.pay(
                "neighbour", created=self.random.randint(self.until + 100, self.as_of - 2 * GRACE)
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

    def totals(self, month: int | None = None) -> dict[str, dict[str, tuple[int, int, int, int]]]:
        """Both sides of a month by currency: payments, gross, refunded, disputed, by plain loops.

        Left out: what is in its grace period, and payments with a refund in its grace period.
        """
        month = self.first if month is None else month
        unripe = {one.charge["id"] for one in self.payments if one.kind == "young_refund"}
        sides: dict[str, dict[str, list[int]]] = {"stripe": {}, "booked": {}}
        for payment in self.payments:
            charge = self.now.get(payment.charge["id"], payment.charge)
            counts = charge["status"] == "succeeded" and charge["captured"]
            if counts and self._is_judged(charge["created"], month) and charge["id"] not in unripe:
                gone = sum(self._withdrawn(one) for one in payment.disputes)
                money = (1, charge["amount_captured"], charge["amount_refunded"], gone)
                _add(sides["stripe"], charge["currency"], money)
        for row in self.rows:
            ours = (row["account_id"], row["livemode"]) == (self.account, self.livemode)
            counts = row["status"] == "succeeded" and row["captured"]
            if (
                ours
                and counts
                and self._is_judged(row["created"], month)
                and row["charge_id"] not in unripe
            ):
                money = (1, row["amount_minor"], row["refunded_minor"], row["disputed_minor"])
                _add(sides["booked"], row["currency"], money)
        return {
            name: {c: (sums[0], sums[1], sums[2], sums[3]) for c, sums in side.items()}
            for name, side in sides.items()
        }

    def _is_judged(self, created: int, month: int) -> bool:
        return month <= created < min(month_after(month), self.as_of - GRACE)

    def _withdrawn(self, dispute: Object) -> int:
        status = self.now.get(dispute["id"], dispute)["status"]
        return int(dispute["amount"]) if status in {"lost", "needs_response"} else 0

    # --- planting ---------------------------------------------------------------------------

    def take(
        self, kind: str = "plain", *, accept: Callable[[Payment], bool] = lambda _: True
    ) -> Payment:
        """A payment of the months in focus that nothing was done to yet; its events are heard."""
        fitting = self._of_kind(kind)
        few = self.random.sample(fitting, min(len(fitting), 100))
        for payment in (*few, *fitting):
            if payment.kind == kind and accept(payment):
                payment.kind = f"taken {kind}"
                payment.is_heard = True
                return payment
        raise LookupError(f"no payment of kind {kind} is left: make the company larger")

    def _of_kind(self, kind: str) -> list[Payment]:
        """Payments of a kind in the months in focus; some of them may be taken meanwhile."""
        key = (*self.focus, kind)
        if key not in self._kinds:
            start, end = self.focus
            self._kinds[key] = [
                one for one in self.payments
                if one.kind == kind and start <= one.charge["created"] < end - 7200
            ]  # fmt: skip
        return self._kinds[key]

    def moves(self) -> list[Object]:
        """All balance transactions, in no order."""
        own = [payment.balance for payment in self.payments if payment.balance]
        return [*self.extra["balance_transactions"], *own]

    def expect(self, code: str, object_id: str, cause: str = "", /, severity: str = "", **money: int) -> None:  # fmt: skip
        """A finding of the month in focus."""
        self.expect_in(self.focus[0], code, object_id, cause, severity, **money)

    def expect_in(
        self, month: int, code: str, object_id: str, cause: str = "", severity: str = "", /, **money: int
    ) -> None:  # fmt: skip
        """A finding of any month; `money` is its impact by currency, minor units."""
        named = Expected(code, object_id, impact(**money), severity or SEVERITY[code], cause, month)
        self.expected.append(named)


def _add(sums: dict[str, list[int]], currency: str, money: tuple[int, int, int, int]) -> None:
    known = sums.setdefault(currency, [0, 0, 0, 0])
    for place, part in enumerate(money):
        known[place] += part
