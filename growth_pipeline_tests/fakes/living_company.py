"""A company that lives on a `living_stripe.Account`: seeded, day by day, every kind of object.

What is true in the end is what the account holds; no rule of the product is used to know it.
"""

from __future__ import annotations

import random
from typing import Any

from growth_pipeline_tests.fakes.living_stripe import DAY, Account

Json = dict[str, Any]


def a_list(data: list[Json]) -> Json:
    """A nested list that is whole."""
    return {"object": "list", "has_more": False, "data": data}


def an_item(id: str, price: str = "price_1", quantity: int = 1) -> Json:
    return {
        "id": id,
        "object": "subscription_item",
        "price": {
            "id": price,
            "object": "price",
            "currency": "usd",
            "unit_amount": 1000,
            "unit_amount_decimal": "1000",
            "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
            "type": "recurring",
            "product": "prod_0",
            "active": True,
        },
        "discounts": [],
        "quantity": quantity,
        "current_period_start": 1_893_456_000,
        "current_period_end": 1_896_134_400,
    }


def a_line(id: str, amount: int = 1000) -> Json:
    return {
        "id": id,
        "object": "line_item",
        "amount": amount,
        "currency": "usd",
        "description": id,
        "discounts": [],
        "discount_amounts": [],
        "parent": {
            "type": "subscription_item_details",
            "subscription_item_details": {
                "subscription": "sub_1",
                "subscription_item": "si_1",
                "invoice_item": None,
                "proration": False,
            },
            "invoice_item_details": None,
        },
        "period": {"start": 1_893_456_000, "end": 1_896_134_400},
        "pricing": {
            "type": "price_details",
            "price_details": {"price": "price_1", "product": "prod_0"},
            "unit_amount_decimal": "1000",
        },
        "quantity": 1,
        "taxes": [],
    }


def a_living_customer(id: str, **fields: Any) -> Json:
    return {"id": id, "object": "customer", "email": f"{id}@example.test", "name": id} | fields


def a_living_subscription(id: str, customer: str = "cus_1", **fields: Any) -> Json:
    return {
        "id": id,
        "object": "subscription",
        "customer": customer,
        "status": "active",
        "currency": "usd",
        "start_date": 1_893_456_000,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "ended_at": None,
        "discounts": [],
        "items": a_list([an_item(f"si_{id}")]),
    } | fields


def a_living_invoice(id: str, customer: str = "cus_1", **fields: Any) -> Json:
    return {
        "id": id,
        "object": "invoice",
        "customer": customer,
        "currency": "usd",
        "status": "draft",
        "total": 1000,
        "amount_due": 1000,
        "amount_paid": 0,
        "amount_remaining": 1000,
        "discounts": [],
        "parent": {
            "type": "subscription_details",
            "subscription_details": {"subscription": "sub_1", "metadata": {}},
            "quote_details": None,
        },
        "hosted_invoice_url": f"https://pay.example.test/{id}",
        "lines": a_list([a_line(f"il_{id}")]),
    } | fields


def a_living_intent(id: str, customer: str = "cus_1", **fields: Any) -> Json:
    return {
        "id": id,
        "object": "payment_intent",
        "customer": customer,
        "currency": "usd",
        "amount": 1000,
        "amount_received": 0,
        "status": "requires_payment_method",
        "latest_charge": None,
    } | fields


def a_living_charge(id: str, intent: str | None = None, **fields: Any) -> Json:
    return {
        "id": id,
        "object": "charge",
        "payment_intent": intent,
        "customer": "cus_1",
        "currency": "usd",
        "amount": 1000,
        "amount_captured": 1000,
        "amount_refunded": 0,
        "balance_transaction": None,
        "captured": True,
        "paid": True,
        "refunded": False,
        "disputed": False,
        "status": "succeeded",
    } | fields


def a_living_refund(id: str, charge: str, **fields: Any) -> Json:
    return {
        "id": id,
        "object": "refund",
        "charge": charge,
        "payment_intent": None,
        "currency": "usd",
        "amount": 400,
        "status": "succeeded",
        "balance_transaction": None,
    } | fields


def a_living_dispute(id: str, charge: str, **fields: Any) -> Json:
    return {
        "id": id,
        "object": "dispute",
        "charge": charge,
        "payment_intent": None,
        "currency": "usd",
        "amount": 1000,
        "status": "needs_response",
        "reason": "fraudulent",
        "balance_transactions": [],
    } | fields


def a_living_payout(id: str, **fields: Any) -> Json:
    return {
        "id": id,
        "object": "payout",
        "currency": "usd",
        "amount": 5000,
        "status": "pending",
        "automatic": True,
        "arrival_date": 1_893_456_000,
        "type": "bank_account",
        "method": "standard",
    } | fields


def a_living_payment(id: str, invoice: str, intent: str, **fields: Any) -> Json:
    """One invoice payment."""
    return {
        "id": id,
        "object": "invoice_payment",
        "invoice": invoice,
        "currency": "usd",
        "amount_requested": 1000,
        "amount_paid": None,
        "is_default": True,
        "payment": {"type": "payment_intent", "payment_intent": intent},
        "status": "open",
    } | fields


def a_living_product(id: str, **fields: Any) -> Json:
    return {"id": id, "object": "product", "name": id, "active": True} | fields


def a_living_coupon(id: str, **fields: Any) -> Json:
    return {
        "id": id,
        "object": "coupon",
        "duration": "once",
        "percent_off": 10.0,
        "valid": True,
        "name": id,
    } | fields


def a_living_session(id: str, **fields: Any) -> Json:
    return {
        "id": id,
        "object": "checkout.session",
        "mode": "subscription",
        "status": "open",
        "payment_status": "unpaid",
        "currency": "usd",
        "customer": "cus_1",
    } | fields


class Company:
    """Lives on an account; every random choice comes from the seed."""

    def __init__(self, account: Account, seed: int) -> None:
        self.account = account
        self._random = random.Random(seed)
        self._count = 0

    def found(self, customers: int) -> None:
        """The beginning: some customers with subscriptions, a catalogue."""
        for number in range(5):
            self.account.create(a_living_product(f"prod_{number}"))
            self.account.create(a_living_coupon(f"coupon_{number}"))
            self._later()
        for _ in range(customers):
            self._sign_up()

    def live(self, days: int, deeds_a_day: int) -> None:
        """Some days, each with its deeds at random moments."""
        for _ in range(days):
            midnight = self.account.now - self.account.now % DAY + DAY
            for _ in range(deeds_a_day):
                self._random.choice(self._deeds)(self)
                self._later(DAY // deeds_a_day)
            self.account.now = max(midnight, self.account.now)

    def _later(self, most: int = 60) -> None:
        # Two deeds in five share their second, as at Stripe.
        self.account.now += self._random.randrange(most) if self._random.random() < 0.6 else 0

    def _name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count:05}"

    def _any(self, kind: str, **wanted: Any) -> Json | None:
        fitting = [
            one
            for (name, _), one in self.account.objects.items()
            if name == kind and all(one.get(key) in values for key, values in wanted.items())
        ]
        return self._random.choice(fitting) if fitting else None

    def _sign_up(self) -> None:
        customer = self.account.create(a_living_customer(self._name("cus")))["id"]
        items = [an_item(self._name("si")) for _ in range(self._random.choice((1, 1, 2, 12)))]
        self.account.create(a_living_subscription(self._name("sub"), customer, items=a_list(items)))
        self._later()

    def _change_subscription(self) -> None:
        found = self._any("subscription", status=("active", "past_due"))
        if found is None:
            return
        items = found["items"]["data"]
        if len(items) > 1 and self._random.random() < 0.5:
            changes: Json = {"items": a_list(items[:-1])}
        else:
            changes = {"status": self._random.choice(("active", "past_due", "unpaid"))}
        self.account.change("subscription", found["id"], "customer.subscription.updated", **changes)

    def _cancel(self) -> None:
        found = self._any("subscription", status=("active", "past_due", "unpaid"))
        if found:
            self.account.change(
                "subscription",
                found["id"],
                "customer.subscription.deleted",
                status="canceled",
                ended_at=self.account.now,
            )

    def _edit_customer(self) -> None:
        found = self._any("customer")
        if found:
            email = f"{self._random.randrange(10**6)}@example.test"
            self.account.change("customer", found["id"], "customer.updated", email=email)

    def _delete_customer(self) -> None:
        found = self._any("customer")
        if found:
            for (kind, id_), one in list(self.account.objects.items()):
                open_ = kind == "subscription" and one["status"] != "canceled"
                if open_ and one["customer"] == found["id"]:
                    self.account.change(
                        kind, id_, "customer.subscription.deleted", status="canceled"
                    )
            self.account.delete("customer", found["id"])

    def _draft(self) -> None:
        lines = [a_line(self._name("il")) for _ in range(self._random.choice((1, 2, 25)))]
        self.account.create(a_living_invoice(self._name("in"), lines=a_list(lines)))

    def _finalize(self) -> None:
        found = self._any("invoice", status=("draft",))
        if found is None:
            return
        if self._random.random() < 0.2:
            self.account.delete("invoice", found["id"])
            return
        self.account.change("invoice", found["id"], "invoice.finalized", status="open")

    def _pay(self) -> None:
        """An open invoice is paid: intent, charge, invoice payment, invoice, as Stripe tells it."""
        found = self._any("invoice", status=("open", "uncollectible"))
        if found is None:
            return
        intent, charge = self._name("pi"), self._name("ch")
        self.account.create(a_living_intent(intent))
        self.account.create(a_living_charge(charge, intent), "charge.succeeded")
        self.account.change(
            "payment_intent",
            intent,
            "payment_intent.succeeded",
            status="succeeded",
            amount_received=1000,
            latest_charge=charge,
        )
        self.account.create(
            a_living_payment(
                self._name("inpay"), found["id"], intent, status="paid", amount_paid=1000
            ),
            "invoice_payment.paid",
        )
        self.account.change(
            "invoice",
            found["id"],
            "invoice.paid",
            status="paid",
            amount_paid=1000,
            amount_remaining=0,
        )

    def _give_up(self) -> None:
        found = self._any("invoice", status=("open",))
        if found:
            status, type_ = self._random.choice(
                (("void", "invoice.voided"), ("uncollectible", "invoice.marked_uncollectible"))
            )
            self.account.change("invoice", found["id"], type_, status=status)

    def _try_to_pay(self) -> None:
        self.account.create(a_living_intent(self._name("pi")))

    def _refund(self) -> None:
        found = self._any("charge", status=("succeeded",), amount_refunded=(0, 400))
        if found is None:
            return
        self.account.create(a_living_refund(self._name("re"), found["id"]))
        self.account.change(
            "charge",
            found["id"],
            "charge.refunded",
            amount_refunded=found["amount_refunded"] + 400,
        )

    def _refund_fails(self) -> None:
        found = self._any("refund", status=("succeeded",))
        if found:
            # There and back within one second could be told apart by no event.
            self.account.now += 1
            self.account.change("refund", found["id"], "refund.failed", status="failed")
            charge = self.account.objects["charge", found["charge"]]
            self.account.change(
                "charge",
                charge["id"],
                "charge.updated",
                amount_refunded=charge["amount_refunded"] - 400,
            )
            self.account.now += 1

    def _dispute(self) -> None:
        found = self._any("charge", status=("succeeded",), disputed=(False,))
        if found is None:
            return
        self.account.create(a_living_dispute(self._name("dp"), found["id"]))
        self.account.change("charge", found["id"], "charge.updated", disputed=True)

    def _judge(self) -> None:
        found = self._any("dispute", status=("needs_response", "under_review"))
        if found:
            status = self._random.choice(("won", "lost"))
            self.account.change("dispute", found["id"], "charge.dispute.closed", status=status)

    def _pay_out(self) -> None:
        found = self._any("payout", status=("pending", "in_transit"))
        if found is None or self._random.random() < 0.5:
            self.account.create(a_living_payout(self._name("po")))
            return
        paid = self._random.random() < 0.8
        self.account.change(
            "payout",
            found["id"],
            "payout.paid" if paid else "payout.failed",
            status="paid" if paid else "failed",
        )

    def _tend_catalogue(self) -> None:
        kind = self._random.choice(("product", "coupon"))
        found = self._any(kind)
        if found is None or self._random.random() < 0.4:
            made = a_living_product if kind == "product" else a_living_coupon
            self.account.create(made(self._name(kind)))
        elif self._random.random() < 0.5:
            self.account.change(kind, found["id"], f"{kind}.updated", name=self._name("new"))
        else:
            self.account.delete(kind, found["id"])

    _deeds = (
        *(_sign_up, _change_subscription, _change_subscription, _cancel),
        *(_edit_customer, _delete_customer, _draft, _draft, _finalize, _finalize),
        *(_pay, _pay, _give_up, _try_to_pay, _refund, _refund_fails, _dispute, _judge),
        *(_pay_out, _tend_catalogue),
    )
