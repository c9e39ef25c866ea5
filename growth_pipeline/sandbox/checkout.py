"""Checkout: the page where customers pay or subscribe; and the payment methods they leave there."""

from __future__ import annotations

from typing import Any

from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.life import Life
from growth_pipeline.sandbox.names import DAY

_PAID = {"payment_status": "paid"}


def attach_card(life: Life, at: int) -> None:
    """The customer's card on file becomes a payment method that Stripe knows."""
    if life.payment_method is not None:
        card = _card(life, life.payment_method, at)
        life.journal.add(card, at, "payment_method.attached", asked=True)


def _card(life: Life, method_id: str, at: int) -> Json:
    return shapes.payment_method(
        method_id,
        life.customer,
        last4=life.last4,
        country=life.country,
        created=at,
        livemode=life.livemode,
    )


def bank_account(life: Life, at: int) -> str:
    """Id of the customer's bank account for debits; attached when it is first used."""
    if life.bank_account is None:
        life.bank_account = life.names.new("pm")
        account = shapes.bank_account(_card(life, life.bank_account, at))
        life.journal.add(account, at, "payment_method.attached", asked=True)
    return life.bank_account


def renew_card(life: Life, at: int) -> None:
    """The bank issues the same card with a later expiry."""
    if life.payment_method is not None:
        method = life.journal.objects[life.payment_method]
        changes = {"card": {**method["card"], "exp_year": method["card"]["exp_year"] + 4}}
        life.journal.change(method, at, changes, "payment_method.updated")


def detach_all(life: Life, at: int) -> None:
    """A customer who goes leaves no payment method behind."""
    for method in list(life.journal.objects.values()):
        if method["object"] == "payment_method" and method["customer"]:
            life.journal.change(method, at, {"customer": None}, "payment_method.detached")


def open_session(
    life: Life, at: int, *, mode: str, amount: int, method_type: str = "card", **known: Any
) -> Json:
    """A Checkout page for the customer; no event tells of it until it ends.

    `amount` in minor units of the customer's currency. `known`: what else is known already.
    """
    mark = "live" if life.livemode else "test"
    session = shapes.checkout_session(
        f"cs_{mark}_{life.names.digits()}",
        life.customer,
        mode=mode,
        amount=amount,
        currency=life.currency,
        method_type=method_type,
        discounts=known.pop("discounts", []),
        created=at,
        expires=at + DAY,
        livemode=life.livemode,
    )
    session.update(known)
    return life.journal.add(session, at)


def abandon(life: Life, at: int, *, cents: int = 4900) -> None:
    """The customer opens a Checkout page and leaves; a day later it expires."""
    session = open_session(life, at, mode="payment", amount=cents)
    life.later(at + DAY, _expire, session)


def _expire(life: Life, at: int, session: Json) -> None:
    changes = {"status": "expired", "url": None}
    life.journal.change(session, at, changes, "checkout.session.expired")


def complete(life: Life, at: int, session: Json, **known: Any) -> None:
    """The customer is through; `known`: the subscription, the payment, whether it is paid."""
    changes = {"status": "complete", "url": None, **known}
    life.journal.change(session, at, changes, "checkout.session.completed")


def payment_succeeded(life: Life, at: int, intent: Json) -> None:
    """The payment of a session has arrived: with its completion, or days after it."""
    session = life.sessions.get(intent["id"])
    if session is None:
        return
    if session["status"] == "open":
        complete(life, at, session, payment_intent=intent["id"], **_PAID)
    else:
        life.journal.change(session, at, _PAID, "checkout.session.async_payment_succeeded")


def payment_waits(life: Life, at: int, intent: Json) -> None:
    """The customer is through, but the bank has not paid yet."""
    session = life.sessions.get(intent["id"])
    if session is not None:
        complete(life, at, session, payment_intent=intent["id"])


def payment_failed(life: Life, at: int, intent: Json) -> None:
    """The bank refuses what a completed session had promised."""
    session = life.sessions.get(intent["id"])
    if session is not None and session["status"] == "complete":
        life.journal.tell(session, at, "checkout.session.async_payment_failed")
