"""Subscriptions: started, renewed, changed, paused and ended."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.catalogue import amount_of
from growth_pipeline.sandbox.checkout import attach_card, complete, open_session
from growth_pipeline.sandbox.currencies import rounded
from growth_pipeline.sandbox.given import use_up
from growth_pipeline.sandbox.invoicing import draft, end_subscription, finalise
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.life import Life, Line
from growth_pipeline.sandbox.names import DAY, HOUR, add_months, add_periods
from growth_pipeline.sandbox.phases import follow

_UPDATED = "customer.subscription.updated"
_OVER = {"canceled", "incomplete_expired"}


def subscribe(
    life: Life,
    at: int,
    *,
    plans: Sequence[str],
    quantity: int = 1,
    trial_days: int = 0,
    coupon: str | None = None,
    code: str | None = None,
    checkout: bool = False,
    trial_end_without_method: str = "create_invoice",
) -> None:
    """Starts the customer's subscription, in trial or with a first invoice paid at once.

    `code`: the promotion code that was typed to get the coupon. `checkout`: it begins on a
    Checkout page, opened a moment before.
    """
    subscription_id = life.names.new("sub")
    trial = (at, at + trial_days * DAY) if trial_days else None
    prices = [life.catalogue.price(plan, life.currency) for plan in plans]
    recurring = prices[0]["recurring"]
    end = trial[1] if trial else add_periods(at, recurring["interval"], recurring["interval_count"])
    life.items = [
        shapes.subscription_item(
            life.names.new("si"), subscription_id, of=price, created=at, period=(at, end),
            quantity=None if price["recurring"]["usage_type"] == "metered" else quantity,
        )
        for price in prices
    ]  # fmt: skip
    life.subscription = shapes.subscription(
        subscription_id,
        life.customer["id"],
        currency=life.currency,
        status="trialing" if trial else "incomplete",
        items=_nested(life, subscription_id),
        trial=trial,
        payment_method=life.payment_method,
        created=at,
        livemode=life.livemode,
    )
    life.subscription["trial_settings"]["end_behavior"]["missing_payment_method"] = (
        trial_end_without_method
    )
    ids = [item["id"] for item in life.items]
    life.agreed = {item: (plan, quantity) for item, plan in zip(ids, plans, strict=True)}
    life.note_items(at, "began", currency=life.currency)
    life.note(at, "state", state="trial" if trial else "incomplete")
    life.note(at, "billed", until=end)
    life.cycle = 0 if trial else 1
    invoice_id = life.names.new("in")
    life.subscription["latest_invoice"] = invoice_id
    session = open_session(life, at - 25, mode="subscription", amount=0) if checkout else None
    if coupon:
        _give_discount(life, at, coupon, code)
    life.journal.add(life.subscription, at, "customer.subscription.created", asked=True)
    lines = [Line(item, 0, _trial_of(life, item), (at, end)) for item in life.items]
    if not trial:
        lines = _period_lines(life)
    invoice = draft(
        life, at, lines, reason="subscription_create", period=(at, at), invoice_id=invoice_id
    )
    finalise(life, at, invoice)
    if session:
        _complete(life, at, session, invoice)
    life.later(end, renew)
    if trial:
        life.later(max(at, end - 3 * DAY), _warn_of_trial_end)
    else:
        _use_up_discount(life, at)


def _complete(life: Life, at: int, session: Json, invoice: Json) -> None:
    begun = {"subscription": life.subscription["id"], "invoice": invoice["id"]}
    amounts = {"amount_subtotal": invoice["subtotal"], "amount_total": invoice["total"]}
    paid = "paid" if invoice["total"] else "no_payment_required"
    complete(life, at, session, payment_status=paid, **begun, **amounts)


def _nested(life: Life, subscription_id: str) -> Json:
    url = f"/v1/subscription_items?subscription={subscription_id}"
    return life.journal.set_children(subscription_id, url, life.items)


def nested_items(life: Life) -> Json:
    """The subscription's items as the list that lies in it."""
    return _nested(life, life.subscription["id"])


def _give_discount(life: Life, at: int, coupon_id: str, code: str | None) -> None:
    coupon = life.catalogue.coupons[coupon_id]
    months = coupon["duration_in_months"]
    life.discount = shapes.discount(
        life.names.new("di"),
        coupon_id,
        customer_id=life.customer["id"],
        subscription_id=life.subscription["id"],
        start=at,
        end=add_months(at, months) if months else None,
        promotion_code=life.catalogue.codes[code]["id"] if code else None,
    )
    life.coupon = coupon_id
    about = {"id": life.discount["id"], "until": life.discount["end"]}
    terms = life.catalogue.terms[coupon_id]
    life.note(at, "given", level="contract", item=None, terms=terms, **about)
    life.journal.add(life.discount, at, "customer.discount.created", asked=True)
    life.subscription["discounts"] = [life.discount["id"]]


def _use_up_discount(life: Life, at: int) -> None:
    """Ends a discount that was for one invoice, or whose time is over."""
    if life.discount is None:
        return
    once = life.catalogue.coupons[life.discount["source"]["coupon"]]["duration"] == "once"
    if once or (life.discount["end"] or at + 1) <= at:
        life.note(at, "taken", level="contract", id=life.discount["id"])
        life.journal.tell(life.discount, at, "customer.discount.deleted")
        kept = [one for one in life.subscription["discounts"] if one != life.discount["id"]]
        life.journal.change(life.subscription, at, {"discounts": kept}, _UPDATED)
        life.discount = None


def _warn_of_trial_end(life: Life, at: int) -> None:
    if life.subscription["status"] == "trialing":
        life.journal.tell(life.subscription, at, "customer.subscription.trial_will_end")


def _name_of(life: Life, item: Json) -> str:
    return life.catalogue.plan_of(item["price"]).product


def _trial_of(life: Life, item: Json) -> str:
    return f"Trial period for {_name_of(life, item)}"


def _amount(life: Life, item: Json) -> int:
    return amount_of(life.catalogue.plan_of(item["price"]), item["quantity"], life.currency)


def _period_lines(life: Life) -> list[Line]:
    return [
        Line(
            item,
            _amount(life, item),
            f"{item['quantity']} x {_name_of(life, item)}",
            (item["current_period_start"], item["current_period_end"]),
        )
        for item in life.items
    ]


def renew(life: Life, at: int) -> None:
    """The end of a period or trial: the next period begins, or the subscription ends."""
    sub = life.subscription
    if sub["status"] in _OVER | {"paused"} or at != life.items[0]["current_period_end"]:
        return
    if sub["cancel_at_period_end"]:
        end_subscription(life, at, "cancellation_requested")
    elif sub["status"] == "trialing" and life.payment_method is None:
        _end_trial_without_method(life, at)
    else:
        _use_up_discount(life, at)
        _begin_period(life, at, reason="subscription_cycle", changes=follow(life, at))


def _begin_period(life: Life, at: int, *, reason: str, changes: Json | None = None) -> None:
    sub = life.subscription
    status = "active" if sub["status"] in {"trialing", "paused"} else sub["status"]
    before = life.items[0]["current_period_start"]
    new = {"billing_cycle_anchor": sub["billing_cycle_anchor"], **(changes or {})}
    period = _next_period(life, at, new["billing_cycle_anchor"])
    life.note_items(at)
    if status != sub["status"]:
        life.note(at, "state", state=status)
    life.note(at, "billed", until=period[1])
    _move_items(life, period)
    lines = [*life.pending_lines, *_period_lines(life)]
    life.pending_lines = []
    invoice = draft(life, at, lines, reason=reason, period=(before, at))
    moved = {
        "items": _nested(life, sub["id"]),
        "latest_invoice": invoice["id"],
        "status": status,
        **new,
    }
    life.journal.change(sub, at, moved, _UPDATED)
    use_up(life, at)
    life.later(at + HOUR, finalise, invoice)
    life.later(period[1], renew)


def _next_period(life: Life, at: int, anchor: int) -> tuple[int, int]:
    recurring = life.items[0]["price"]["recurring"]
    life.cycle += 1
    count = recurring["interval_count"] * life.cycle
    return at, add_periods(anchor, recurring["interval"], count)


def _move_items(life: Life, period: tuple[int, int]) -> None:
    moved = {"current_period_start": period[0], "current_period_end": period[1]}
    life.items = [{**item, **moved} for item in life.items]


def _end_trial_without_method(life: Life, at: int) -> None:
    behaviour = life.subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if behaviour == "pause":
        pause(life, at, why="trial_end_without_payment_method")
    else:
        end_subscription(life, at, "payment_failed")


def change_plan(
    life: Life, at: int, *, to: str = "", quantity: int | None = None, bill: str = "later"
) -> None:
    """Another plan or quantity for the first item, with prorations.

    `bill`: `now` makes an invoice at once, `later` puts the prorations on the next one.
    """
    sub, old = life.subscription, life.items[0] if life.items else {}
    if not old or sub["status"] not in {"active", "trialing", "past_due"}:
        return
    price = life.catalogue.price(to, life.currency) if to else old["price"]
    new = {
        **old,
        "price": price,
        "plan": shapes.plan(price),
        "quantity": quantity or old["quantity"],
    }
    agreed, seats = life.agreed[old["id"]]
    life.agreed[old["id"]] = (to or agreed, quantity or seats)
    life.note_items(at)
    same_cycle = all(
        price["recurring"][key] == old["price"]["recurring"][key]
        for key in ("interval", "interval_count")
    )
    if sub["status"] == "trialing":
        life.items[0] = new
        changes = {"items": _nested(life, sub["id"])}
        life.journal.change(sub, at, changes, _UPDATED, asked=True)
    elif same_cycle:
        _prorate(life, at, old, new, bill_now=bill == "now")
    else:
        _restart_cycle(life, at, old, new)


def _credit(life: Life, at: int, old: Json) -> Line:
    line = Line(
        old,
        -_share_left(life, at, old),
        f"Unused time on {_name_of(life, old)}",
        (at, old["current_period_end"]),
        credits=life.subscription["latest_invoice"],
    )
    return _waiting(life, at, line)


def _waiting(life: Life, at: int, line: Line) -> Line:
    """The same line, held by an invoice item until it is billed."""
    item = shapes.invoice_item(
        life.names.new("ii"),
        line.item,
        life.customer["id"],
        amount=line.amount,
        description=line.description,
        period=line.period,
        date=at,
        livemode=life.livemode,
    )
    life.journal.add(item, at, "invoiceitem.created")
    return line._replace(invoice_item=item["id"])


def _share_left(life: Life, at: int, item: Json) -> int:
    start, end = item["current_period_start"], item["current_period_end"]
    return rounded(_amount(life, item) * Fraction(end - at, end - start), life.currency)


def _prorate(life: Life, at: int, old: Json, new: Json, *, bill_now: bool) -> None:
    sub = life.subscription
    end = new["current_period_end"]
    debit = Line(
        new,
        _share_left(life, at, new),
        f"Remaining time on {new['quantity']} x {_name_of(life, new)}",
        (at, end),
    )
    lines = [_credit(life, at, old), _waiting(life, at, debit)]
    life.items = [new, *life.items[1:]]
    changes: Json = {"items": _nested(life, sub["id"])}
    if bill_now:
        invoice = draft(life, at, lines, reason="subscription_update", period=(at, at))
        changes["latest_invoice"] = invoice["id"]
    else:
        life.pending_lines += lines
    life.journal.change(sub, at, changes, _UPDATED, asked=True)
    if bill_now:
        finalise(life, at, invoice)


def _restart_cycle(life: Life, at: int, old: Json, new: Json) -> None:
    """A plan with another interval begins its own cycle at once; the old one is credited."""
    life.pending_lines.append(_credit(life, at, old))
    life.items = [new, *life.items[1:]]
    life.cycle = 0
    _begin_period(life, at, reason="subscription_update", changes={"billing_cycle_anchor": at})


def remove_item(life: Life, at: int) -> None:
    """Takes the second item away; no event of its own says so, only the list without it."""
    if len(life.items) < 2 or life.subscription["status"] != "active":  # noqa: PLR2004
        return
    first, gone, *rest = life.items
    life.items = [first, *rest]
    del life.agreed[gone["id"]]
    life.note_items(at)
    life.pending_lines.append(_credit(life, at, gone))
    changes = {"items": _nested(life, life.subscription["id"])}
    life.journal.change(life.subscription, at, changes, _UPDATED, asked=True)


def pause_collection(life: Life, at: int, *, behaviour: str, days: int) -> None:
    """Invoices go on, but are not collected; the status stays as it is."""
    if life.subscription["status"] in _OVER:
        return
    until = at + days * DAY
    life.note(at, "collection", paused=True)
    changes: Json = {"pause_collection": {"behavior": behaviour, "resumes_at": until}}
    life.journal.change(life.subscription, at, changes, _UPDATED, asked=True)
    life.later(until, resume_collection)


def resume_collection(life: Life, at: int) -> None:
    """Invoices are collected again."""
    if life.subscription["status"] not in _OVER:
        life.note(at, "collection", paused=False)
        life.journal.change(life.subscription, at, {"pause_collection": None}, _UPDATED)


def pause(life: Life, at: int, *, why: str = "pause_requested", days: int = 0) -> None:
    """The subscription stands still, without invoices. `why` is Stripe's reason."""
    if life.subscription["status"] not in {"active", "trialing"}:
        return
    details = {"subscription": {"type": why}, "transitioned_at": at, "type": "subscription"}
    changes = {"status": "paused", "status_details": {"paused": details}}
    life.note(at, "state", state="paused", reason=why)
    asked = why == "pause_requested"
    types = (_UPDATED, "customer.subscription.paused")
    life.journal.change(life.subscription, at, changes, *types, asked=asked)
    if days:
        life.later(at + days * DAY, resume)


def resume(life: Life, at: int) -> None:
    """A paused subscription goes on with a new cycle from now."""
    if life.subscription["status"] != "paused":
        return
    if life.payment_method is None:
        life.payment_method = life.names.new("pm")
        attach_card(life, at)
    life.cycle = 0
    changes = {"billing_cycle_anchor": at, "status_details": None}
    _begin_period(life, at, reason="subscription_update", changes=changes)
    life.journal.tell(life.subscription, at, "customer.subscription.resumed", asked=True)


def cancel(life: Life, at: int, *, when: str = "now", undo_after: int = 0) -> None:
    """The customer cancels: `now`, or at the `period_end` (then it may be taken back)."""
    sub = life.subscription
    if sub["status"] in _OVER:
        return
    if when == "now":
        end_subscription(life, at, "cancellation_requested")
        return
    life.note(at, "cancels", end=life.items[0]["current_period_end"])
    changes = {
        "cancel_at": life.items[0]["current_period_end"],
        "cancel_at_period_end": True,
        "canceled_at": at,
        "cancellation_details": {
            "comment": None,
            "feedback": "too_expensive",
            "reason": "cancellation_requested",
        },
    }
    life.journal.change(sub, at, changes, _UPDATED, asked=True)
    if undo_after:
        life.later(at + undo_after * DAY, take_back_cancellation)


def take_back_cancellation(life: Life, at: int) -> None:
    """The customer stays after all."""
    if life.subscription["status"] in _OVER or not life.subscription["cancel_at_period_end"]:
        return
    life.note(at, "cancels", end=None)
    changes = {
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
    }
    life.journal.change(life.subscription, at, changes, _UPDATED, asked=True)


def end_after_dispute(life: Life, at: int) -> None:
    """The company ends the subscription of a customer who disputed a payment."""
    if life.subscription["status"] not in _OVER:
        end_subscription(life, at, "payment_disputed")
