"""Invoices: drafted, finalised, collected, and what follows when collection fails."""

from __future__ import annotations

from collections.abc import Sequence

from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.catalogue import discount_of
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.life import Given, Life, Line
from growth_pipeline.sandbox.names import DAY, HOUR
from growth_pipeline.sandbox.payments import attempt, cancel_intent, make_intent
from growth_pipeline.sandbox.phases import release

_RETRY_DAYS = (3, 5, 7)
_PAID = ("invoice.updated", "invoice.paid", "invoice.payment_succeeded")


def draft(
    life: Life,
    at: int,
    lines: Sequence[Line],
    *,
    reason: str,
    period: tuple[int, int],
    invoice_id: str | None = None,
) -> Json:
    """A draft invoice with its lines. Its total is the sum of the lines less their discounts."""
    invoice_id = invoice_id or life.names.new("in")
    made = [_line(life, at, invoice_id, line) for line in lines]
    amounts = _discount_amounts(made)
    invoice = shapes.invoice(
        invoice_id,
        life.customer,
        currency=life.currency,
        reason=reason,
        subscription_id=life.subscription["id"],
        lines=life.journal.set_children(invoice_id, f"/v1/invoices/{invoice_id}/lines", made),
        subtotal=sum(line["amount"] for line in made),
        discount_amounts=amounts,
        discounts=[part["discount"] for part in amounts],
        period=period,
        created=at,
        livemode=life.livemode,
    )
    invoice["automatically_finalizes_at"] = at + HOUR
    return life.journal.add(invoice, at, "invoice.created")


def _line(life: Life, at: int, invoice_id: str, line: Line) -> Json:
    if line.invoice_item:
        # Stripe has no event for an invoice item that finds its invoice.
        life.journal.objects[line.invoice_item]["invoice"] = invoice_id
    made = shapes.invoice_line(
        life.names.new("il"),
        invoice_id,
        line.item,
        amount=line.amount,
        description=line.description,
        period=line.period,
        invoice_item_id=line.invoice_item,
        credited_invoice=line.credits,
        livemode=life.livemode,
    )
    if line.invoice_item is None:
        made["discount_amounts"] = _discounts_on(life, at, line)
    return made


def _discounts_on(life: Life, at: int, line: Line) -> list[Json]:
    """What coupons take off a line: those of its item first, then those of the whole."""
    in_use = [Given(life.discount, life.coupon or "", None)] if life.discount else []
    found: list[Json] = []
    left = line.amount
    for given in sorted([*in_use, *life.given], key=lambda one: one.item is None):
        coupon = life.catalogue.coupons[given.coupon]
        products = (coupon.get("applies_to") or {}).get("products")
        is_for = products is None or line.item["price"]["product"] in products
        if given.item in {None, line.item["id"]} and is_for and _runs(given.discount, at):
            amount = discount_of(coupon, left, life.currency)
            left -= amount
            found += [{"amount": amount, "discount": given.discount["id"]}] if amount else []
    return found


def _runs(discount: Json, at: int) -> bool:
    return discount["end"] is None or at < discount["end"]


def _discount_amounts(lines: Sequence[Json]) -> list[Json]:
    sums: dict[str, int] = {}
    for line in lines:
        for part in line["discount_amounts"]:
            sums[part["discount"]] = sums.get(part["discount"], 0) + part["amount"]
    return [{"amount": amount, "discount": discount} for discount, amount in sums.items()]


def finalise(life: Life, at: int, invoice: Json) -> None:
    """Turns a draft into a bill and tries to collect it; paused collection keeps or ends it."""
    behaviour = (life.subscription["pause_collection"] or {}).get("behavior")
    if life.subscription["status"] == "unpaid" or behaviour == "keep_as_draft":
        changes = {"auto_advance": False, "automatically_finalizes_at": None}
        life.journal.change(invoice, at, changes, "invoice.updated")
        return
    _open(life, at, invoice)
    if behaviour:
        _give_up(life, at, invoice, void=behaviour == "void", why="subscription_paused")
    elif invoice["amount_due"] == 0:
        _pay(life, at, invoice, attempted=False)
    else:
        _ask_for_payment(life, at, invoice)


def _open(life: Life, at: int, invoice: Json) -> None:
    start = life.customer["balance"]
    after = invoice["total"] + start
    life.invoice_count += 1
    prefix = life.customer["invoice_prefix"]
    changes = {
        "status": "open",
        "number": f"{prefix}-{life.invoice_count:04d}",
        "amount_due": max(0, after),
        "amount_remaining": max(0, after),
        "automatically_finalizes_at": None,
        "effective_at": at,
        "starting_balance": start,
        "ending_balance": min(0, after),
        "status_transitions": {**invoice["status_transitions"], "finalized_at": at},
    }
    life.journal.change(invoice, at, changes, "invoice.finalized")
    new: Json = {"balance": min(0, after), "currency": life.currency}
    if any(life.customer[key] != value for key, value in new.items()):
        life.journal.change(life.customer, at, new, "customer.updated")


def _ask_for_payment(life: Life, at: int, invoice: Json) -> None:
    new = invoice["billing_reason"] == "subscription_create"
    description = "Subscription creation" if new else "Subscription update"
    intent = make_intent(life, at, invoice["amount_due"], description, asked=False)
    join = shapes.invoice_payment(
        life.names.new("inpay"), invoice, intent["id"], created=at, livemode=life.livemode
    )
    life.joins[invoice["id"]] = life.journal.add(join, at)
    collect(life, at, invoice)


def collect(life: Life, at: int, invoice: Json) -> None:
    """One attempt to collect an open invoice."""
    if invoice["status"] != "open":
        return
    intent = life.journal.objects[life.joins[invoice["id"]]["payment"]["payment_intent"]]
    if attempt(life, at, intent)["status"] == "succeeded":
        _pay(life, at, invoice, attempted=True)
    else:
        _fail(life, at, invoice)


def _pay(life: Life, at: int, invoice: Json, *, attempted: bool) -> None:
    join = life.joins.get(invoice["id"])
    if join:
        paid = {
            "status": "paid",
            "amount_paid": invoice["amount_due"],
            "status_transitions": {"canceled_at": None, "paid_at": at},
        }
        life.journal.change(join, at, paid, "invoice_payment.paid")
    changes = {
        "status": "paid",
        "amount_paid": invoice["amount_due"],
        "amount_remaining": 0,
        "attempted": True,
        "attempt_count": invoice["attempt_count"] + attempted,
        "auto_advance": False,
        "next_payment_attempt": None,
        "status_transitions": {**invoice["status_transitions"], "paid_at": at},
    }
    life.journal.change(invoice, at, changes, *_PAID)
    if life.subscription["status"] in {"incomplete", "past_due", "unpaid"}:
        life.past_due_since = None
        life.note(at, "state", state="active")
        life.journal.change(
            life.subscription, at, {"status": "active"}, "customer.subscription.updated"
        )
    _set_delinquent(life, at, delinquent=False)


def _fail(life: Life, at: int, invoice: Json) -> None:
    attempts = invoice["attempt_count"] + 1
    first = invoice["billing_reason"] == "subscription_create"
    retries = attempts <= len(_RETRY_DAYS) and not first
    next_at = at + _RETRY_DAYS[attempts - 1] * DAY if retries else None
    changes = {"attempted": True, "attempt_count": attempts, "next_payment_attempt": next_at}
    life.journal.change(invoice, at, changes, "invoice.updated", "invoice.payment_failed")
    if first:
        life.later(at + 23 * HOUR, expire_first, invoice)
        return
    if life.subscription["status"] == "active":
        life.past_due_since = at
        life.note(at, "state", state="past_due")
        life.journal.change(
            life.subscription, at, {"status": "past_due"}, "customer.subscription.updated"
        )
    _set_delinquent(life, at, delinquent=True)
    if next_at:
        life.later(next_at, collect, invoice)
    else:
        _end_dunning(life, at, invoice)


def _end_dunning(life: Life, at: int, invoice: Json) -> None:
    """All retries failed: the account's setting says what becomes of the subscription."""
    if life.subscription["status"] != "past_due":
        return
    if life.gives_up == "unpaid":
        life.note(at, "state", state="unpaid")
        life.journal.change(
            life.subscription, at, {"status": "unpaid"}, "customer.subscription.updated"
        )
    elif life.gives_up == "cancel":
        end_subscription(life, at, "payment_failed")
        _give_up(life, at, invoice, void=False, why="max_payment_attempts")


def expire_first(life: Life, at: int, invoice: Json) -> None:
    """A subscription whose first invoice was not paid within 23 hours ends before it began."""
    if life.subscription["status"] != "incomplete":
        return
    life.note(at, "state", state="ended", reason="expired")
    changes = {"status": "incomplete_expired", "ended_at": at}
    life.journal.change(life.subscription, at, changes, "customer.subscription.updated")
    _give_up(life, at, invoice, void=True, why="")


def end_subscription(life: Life, at: int, reason: str) -> None:
    """Cancels the subscription now; Stripe calls the event `deleted`, the object stays."""
    life.note(at, "state", state="ended", reason=reason)
    changes = {
        "status": "canceled",
        "canceled_at": life.subscription["canceled_at"] or at,
        "ended_at": at,
        "cancellation_details": {**life.subscription["cancellation_details"], "reason": reason},
    }
    asked = reason == "cancellation_requested" and not life.subscription["cancel_at_period_end"]
    release(life, at, canceled=True)
    life.journal.change(
        life.subscription, at, changes, "customer.subscription.deleted", asked=asked
    )


def _give_up(life: Life, at: int, invoice: Json, *, void: bool, why: str) -> None:
    status = "void" if void else "uncollectible"
    stamp = "voided_at" if void else "marked_uncollectible_at"
    changes = {
        "status": status,
        "auto_advance": False,
        "next_payment_attempt": None,
        "status_details": None if void else {"uncollectible": {"reason": why}},
        "status_transitions": {**invoice["status_transitions"], stamp: at},
    }
    last = "invoice.voided" if void else "invoice.marked_uncollectible"
    life.journal.change(invoice, at, changes, "invoice.updated", last)
    join = life.joins.get(invoice["id"])
    if void and join:
        gone = {"status": "canceled", "status_transitions": {"canceled_at": at, "paid_at": None}}
        life.journal.change(join, at, gone)
        intent = life.journal.objects[join["payment"]["payment_intent"]]
        cancel_intent(life, at, intent, "void_invoice")


def _set_delinquent(life: Life, at: int, *, delinquent: bool) -> None:
    if life.customer["delinquent"] != delinquent:
        life.journal.change(life.customer, at, {"delinquent": delinquent}, "customer.updated")
