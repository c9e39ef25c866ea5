"""What customers do beside subscribing: sign up, buy once, authorise, change their data, leave."""

from __future__ import annotations

from fractions import Fraction

from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.checkout import attach_card, detach_all, open_session
from growth_pipeline.sandbox.currencies import list_price
from growth_pipeline.sandbox.invoicing import end_subscription
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.life import FIRST_NAMES, LAST_NAMES, Life
from growth_pipeline.sandbox.names import DAY, HOUR
from growth_pipeline.sandbox.payments import attempt, capture, make_intent, release


def sign_up(life: Life, at: int) -> None:
    """The customer appears."""
    name = f"{life.rng.choice(FIRST_NAMES)} {life.rng.choice(LAST_NAMES)}"
    digits = life.names.digits()
    customer = shapes.customer(
        f"cus_{digits}",
        name=name,
        email=f"{name.lower().replace(' ', '.')}.{digits[:6]}@customer.example",
        country=life.country,
        invoice_prefix=digits[:8].upper(),
        payment_method=life.payment_method,
        created=at,
        livemode=life.livemode,
    )
    life.customer = life.journal.add(customer, at, "customer.created", asked=True)
    attach_card(life, at)


def change_email(life: Life, at: int) -> None:
    """The customer gives another e-mail address."""
    new = {"email": f"new.{life.customer['email']}"}
    life.journal.change(life.customer, at, new, "customer.updated", asked=True)


def leave(life: Life, at: int) -> None:
    """The customer is deleted; a running subscription is cancelled first."""
    if life.subscription and life.subscription["status"] not in {"canceled", "incomplete_expired"}:
        end_subscription(life, at, "cancellation_requested")
    for item in list(life.journal.objects.values()):
        if item["object"] == "invoiceitem" and item["invoice"] is None:
            life.journal.delete(item, at, "invoiceitem.deleted")
    detach_all(life, at)
    life.left_at = at
    gone = {"id": life.customer["id"], "object": "customer", "deleted": True}
    life.journal.delete(life.customer, at, "customer.deleted", answer=gone)


def delete_draft(life: Life, at: int) -> None:
    """The company deletes a draft invoice that was never sent."""
    for invoice in life.journal.objects.values():
        if invoice["object"] == "invoice" and invoice["status"] == "draft":
            life.journal.delete(invoice, at, "invoice.deleted")
            return


def buy(
    life: Life,
    at: int,
    *,
    cents: int,
    method: str = "card",
    declines: int = 0,
    bank_refuses: bool = False,
) -> None:
    """A purchase by Checkout; a declined attempt is tried again within minutes.

    `bank_refuses`: days later the bank says that it does not pay.
    """
    life.declines += declines
    life.bank_refuses = bank_refuses
    amount = list_price(cents, life.currency)
    session = open_session(life, at, mode="payment", amount=amount, method_type=method)
    life.later(at + 95, _confirm, session, method)


def _confirm(life: Life, at: int, session: Json, method: str) -> None:
    intent = make_intent(
        life,
        at,
        session["amount_total"],
        "One-off purchase",
        capture_method="automatic_async",
        method_type=method,
    )
    life.sessions[intent["id"]] = session
    pay(life, at, intent["id"])


def pay(life: Life, at: int, intent_id: str) -> None:
    """Attempts an intent until it is accepted."""
    charge = attempt(life, at, life.journal.objects[intent_id])
    if charge["status"] == "failed":
        life.later(at + 90, pay, intent_id)


def authorise(
    life: Life, at: int, *, cents: int, share: Fraction | None = None, then: str = "capture"
) -> None:
    """Holds an amount on the card. `then`: capture a share two days later, cancel, expire, wait."""
    intent = make_intent(
        life,
        at,
        list_price(cents, life.currency),
        "Order with later delivery",
        capture_method="manual",
    )
    attempt(life, at, intent)
    if then == "capture":
        life.later(at + 2 * DAY, capture, intent, share or Fraction(1))
    elif then == "cancel":
        life.later(at + DAY + HOUR, release, intent)
    elif then == "expire":
        life.later(at + 7 * DAY, release, intent, expired=True)
