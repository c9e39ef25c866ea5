"""Payment intents and charges: attempts that succeed, fail or take days; refunds; disputes."""

from __future__ import annotations

from fractions import Fraction

from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.balance import book_charge, book_dispute, book_refund
from growth_pipeline.sandbox.checkout import (
    bank_account,
    payment_failed,
    payment_succeeded,
    payment_waits,
)
from growth_pipeline.sandbox.currencies import rounded
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.life import Life
from growth_pipeline.sandbox.names import DAY, HOUR

_APPROVED: Json = {
    "advice_code": None,
    "network_advice_code": None,
    "network_decline_code": None,
    "network_status": "approved_by_network",
    "reason": None,
    "risk_level": "normal",
    "risk_score": 12,
    "seller_message": "Payment complete.",
    "type": "authorized",
}
_REFUSED: Json = {
    **_APPROVED,
    "advice_code": "try_again_later",
    "network_decline_code": "51",
    "network_status": "declined_by_network",
    "reason": "insufficient_funds",
    "seller_message": "The bank returned the decline code `insufficient_funds`.",
    "type": "issuer_declined",
}
_REFUSAL = "Your card has insufficient funds."
# Statuses a dispute goes through, each with the days since the dispute was opened.
_DISPUTE_COURSES: dict[str, tuple[tuple[str, int], ...]] = {
    "won": (("under_review", 4), ("won", 18)),
    "lost": (("under_review", 4), ("lost", 16)),
    "inquiry": (("warning_under_review", 3), ("warning_closed", 20)),
    "appealed": (("under_review", 4), ("lost", 14), ("appeal_under_review", 22), ("won", 40)),
    "open": (),
}


def make_intent(
    life: Life,
    at: int,
    amount: int,
    description: str,
    *,
    capture_method: str = "automatic",
    method_type: str = "card",
    asked: bool = True,
) -> Json:
    """A payment intent of the customer, with its first event. `asked`: not by Stripe's billing."""
    is_bank = method_type == "sepa_debit"
    intent = shapes.payment_intent(
        life.names.new("pi"),
        life.customer["id"],
        amount=amount,
        currency=life.currency,
        description=description,
        capture_method=capture_method,
        method_type=method_type,
        payment_method=bank_account(life, at) if is_bank else life.payment_method,
        created=at,
        livemode=life.livemode,
    )
    return life.journal.add(intent, at, "payment_intent.created", asked=asked)


def attempt(life: Life, at: int, intent: Json) -> Json:
    """One attempt to collect an intent; the charge, whose status tells how it went."""
    charge = shapes.charge(
        life.names.new("ch"), intent, life.customer, method=_method(life, intent), created=at
    )
    if life.declines > 0:
        life.declines -= 1
        _refuse(life, at, intent, charge)
    elif intent["payment_method_types"] == ["sepa_debit"]:
        _wait_for_bank(life, at, intent, charge)
    else:
        _approve(life, at, intent, charge)
    return charge


def _method(life: Life, intent: Json) -> Json:
    if intent["payment_method_types"] == ["sepa_debit"]:
        return shapes.sepa_details(last4=life.last4, country=life.country)
    return shapes.card_details(
        intent["amount"], brand="visa", last4=life.last4, country=life.country
    )


def _approve(life: Life, at: int, intent: Json, charge: Json) -> None:
    charge.update(status="succeeded", paid=True, outcome=_APPROVED, receipt_url=_receipt(charge))
    if intent["capture_method"] == "manual":
        life.journal.add(charge, at, "charge.succeeded", asked=True)
        changes = {
            "status": "requires_capture",
            "amount_capturable": intent["amount"],
            "latest_charge": charge["id"],
        }
        life.journal.change(intent, at, changes, "payment_intent.amount_capturable_updated")
        return
    charge.update(captured=True, amount_captured=charge["amount"])
    life.journal.add(charge, at, "charge.succeeded")
    _succeed(life, at, intent, charge)


def _succeed(life: Life, at: int, intent: Json, charge: Json) -> None:
    changes = {
        "status": "succeeded",
        "amount_capturable": 0,
        "amount_received": charge["amount_captured"],
        "latest_charge": charge["id"],
        "last_payment_error": None,
    }
    life.journal.change(intent, at, changes, "payment_intent.succeeded")
    payment_succeeded(life, at, intent)
    # Asynchronous capture: the balance transaction is known a little later.
    life.later(at + 2, settle_charge, charge)


def _refuse(life: Life, at: int, intent: Json, charge: Json) -> None:
    failure = {"failure_code": "card_declined", "failure_message": _REFUSAL}
    charge.update(status="failed", outcome=_REFUSED, **failure)
    life.journal.add(charge, at, "charge.failed")
    error = {
        "advice_code": "try_again_later",
        "charge": charge["id"],
        "code": "card_declined",
        "decline_code": "insufficient_funds",
        "doc_url": "https://stripe.com/docs/error-codes/card-declined",
        "message": _REFUSAL,
        "type": "card_error",
    }
    changes = {
        "status": "requires_payment_method",
        "latest_charge": charge["id"],
        "last_payment_error": error,
    }
    life.journal.change(intent, at, changes, "payment_intent.payment_failed")


def _wait_for_bank(life: Life, at: int, intent: Json, charge: Json) -> None:
    life.journal.add(charge, at, "charge.pending", asked=True)
    changes = {"status": "processing", "latest_charge": charge["id"]}
    life.journal.change(intent, at, changes, "payment_intent.processing")
    payment_waits(life, at, intent)
    life.later(at + 4 * DAY, bank_answers, intent, charge)


def bank_answers(life: Life, at: int, intent: Json, charge: Json) -> None:
    """A bank debit that was pending is paid, or comes back unpaid."""
    if life.bank_refuses:
        life.bank_refuses = False
        _bank_refuses(life, at, intent, charge)
        return
    changes = {
        "status": "succeeded",
        "paid": True,
        "captured": True,
        "amount_captured": charge["amount"],
        "outcome": _APPROVED,
        "receipt_url": _receipt(charge),
    }
    life.journal.change(charge, at, changes, "charge.succeeded")
    _succeed(life, at, intent, charge)


def _bank_refuses(life: Life, at: int, intent: Json, charge: Json) -> None:
    message = "The customer's account has insufficient funds to cover this payment."
    failure = {"failure_code": "insufficient_funds", "failure_message": message}
    life.journal.change(charge, at, {"status": "failed", **failure}, "charge.failed")
    error = {
        "charge": charge["id"],
        "code": "insufficient_funds",
        "doc_url": "https://docs.stripe.com/error-codes#insufficient-funds",
        "message": message,
        "type": "card_error",
    }
    changes = {"status": "requires_payment_method", "last_payment_error": error}
    life.journal.change(intent, at, changes, "payment_intent.payment_failed")
    payment_failed(life, at, intent)


def settle_charge(life: Life, at: int, charge: Json) -> None:
    """The balance transaction of a captured charge arrives."""
    transaction = book_charge(life.journal, charge, at)
    changes = {"balance_transaction": transaction["id"]}
    life.journal.change(charge, at, changes, "charge.updated")


def capture(life: Life, at: int, intent: Json, share: Fraction) -> None:
    """Takes all or a part of an authorised amount; the rest is let go, without a refund."""
    charge = life.journal.objects[intent["latest_charge"]]
    amount = rounded(charge["amount"] * share, charge["currency"])
    changes = {"captured": True, "amount_captured": amount}
    life.journal.change(charge, at, changes, "charge.captured", asked=True)
    _succeed(life, at, intent, charge)


def release(life: Life, at: int, intent: Json, *, expired: bool = False) -> None:
    """Lets an authorised amount go, on request or because its time is over."""
    if expired:
        life.journal.tell(life.journal.objects[intent["latest_charge"]], at, "charge.expired")
    cancel_intent(life, at, intent, "automatic" if expired else "requested_by_customer")


def cancel_intent(life: Life, at: int, intent: Json, reason: str) -> None:
    """Ends an intent that was not paid."""
    changes = {
        "status": "canceled",
        "amount_capturable": 0,
        "canceled_at": at,
        "cancellation_reason": reason,
    }
    life.journal.change(intent, at, changes, "payment_intent.canceled")


def refund_last(
    life: Life, at: int, *, share: Fraction = Fraction(1), outcome: str = "succeeds"
) -> None:
    """Refunds a share of the newest settled charge. `outcome`: succeeds, waits or fails."""
    charge = life.last_settled_charge()
    if charge is not None:
        refund(life, at, charge, rounded(charge["amount_captured"] * share, life.currency), outcome)


def refund(
    life: Life, at: int, charge: Json, amount: int, outcome: str = "succeeds"
) -> Json | None:
    """One refund, bounded by what is left of the charge; its later states are queued.

    None where nothing is left.
    """
    amount = min(amount, charge["amount_captured"] - charge["amount_refunded"])
    if amount <= 0:
        return None
    new = shapes.refund(
        life.names.new("re"), charge, amount=amount, reason="requested_by_customer", created=at
    )
    if outcome == "waits":
        new.update(status="pending", pending_reason="processing")
        life.later(at + 3 * DAY, refund_arrives, new)
    else:
        new["balance_transaction"] = book_refund(life.journal, new, at)["id"]
        life.later(at + DAY + HOUR, refund_is_referenced, new)
    if outcome == "fails":
        life.later(at + 6 * DAY, refund_fails, new, charge)
    life.journal.add(new, at, "refund.created", asked=True)
    _set_refunded(life, at, charge, amount, "charge.refunded")
    return new


def refund_arrives(life: Life, at: int, waiting: Json) -> None:
    """A pending refund is paid."""
    transaction = book_refund(life.journal, waiting, at)
    changes = {
        "status": "succeeded",
        "balance_transaction": transaction["id"],
        "pending_reason": None,
    }
    life.journal.change(waiting, at, changes, "refund.updated", "charge.refund.updated")


def refund_is_referenced(life: Life, at: int, done: Json) -> None:
    """The bank gives its reference number for a refund."""
    card = {
        **done["destination_details"]["card"],
        "reference": done["id"][-11:],
        "reference_status": "available",
    }
    changes = {"destination_details": {"card": card, "type": "card"}}
    life.journal.change(done, at, changes, "refund.updated", "charge.refund.updated")


def refund_fails(life: Life, at: int, done: Json, charge: Json) -> None:
    """A refund that had succeeded comes back: the money is with the company again."""
    changes = {
        "status": "failed",
        "failure_reason": "expired_or_canceled_card",
        "failure_balance_transaction": book_refund(life.journal, done, at, failed=True)["id"],
    }
    types = ("refund.updated", "refund.failed", "charge.refund.updated")
    life.journal.change(done, at, changes, *types)
    _set_refunded(life, at, charge, -done["amount"], "charge.updated")


def _set_refunded(life: Life, at: int, charge: Json, more: int, event_type: str) -> None:
    refunded = charge["amount_refunded"] + more
    changes = {"amount_refunded": refunded, "refunded": refunded == charge["amount"]}
    life.journal.change(charge, at, changes, event_type, asked=event_type == "charge.refunded")


def dispute_last(life: Life, at: int, *, outcome: str) -> None:
    """The cardholder disputes the newest settled charge. `outcome`: a course of a dispute."""
    charge = life.last_settled_charge()
    if charge is None:
        return
    inquiry = outcome == "inquiry"
    new = shapes.dispute(
        life.names.new("dp"),
        charge,
        reason="product_not_received" if inquiry else "fraudulent",
        status="warning_needs_response" if inquiry else "needs_response",
        due_by=at + 9 * DAY,
        created=at,
    )
    types = ["charge.dispute.created"]
    if not inquiry:
        new["balance_transactions"] = [book_dispute(life.journal, new, at)]
        types.append("charge.dispute.funds_withdrawn")
    life.journal.add(new, at, *types)
    life.journal.change(charge, at, {"disputed": True}, "charge.updated")
    for status, days in _DISPUTE_COURSES[outcome]:
        life.later(at + days * DAY + life.rng.randrange(HOUR), dispute_moves, new, status)


def dispute_moves(life: Life, at: int, dispute: Json, status: str) -> None:
    """A dispute reaches its next status; a won one brings the money back."""
    changes: Json = {"status": status}
    types = ["charge.dispute.updated"]
    if status.endswith("under_review"):
        changes["evidence_details"] = {
            **dispute["evidence_details"],
            "has_evidence": True,
            "submission_count": 1,
            "submission_method": "manual",
        }
    else:
        types.append("charge.dispute.closed")
    if status == "won":
        back = book_dispute(life.journal, dispute, at, returned=True)
        changes["balance_transactions"] = [*dispute["balance_transactions"], back]
        types.append("charge.dispute.funds_reinstated")
    life.journal.change(dispute, at, changes, *types)


def _receipt(charge: Json) -> str:
    return f"https://pay.stripe.com/receipts/{charge['id']}"
