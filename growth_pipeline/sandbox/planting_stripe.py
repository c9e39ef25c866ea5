"""What is lost beside payments, and what is wrong at Stripe by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.names import DAY, HOUR, add_months, month_key, month_start
from growth_pipeline.sandbox.planter import AT_STRIPE, LOST, Planter

_LISTED_DAYS = 30
_GIVEN_UP_DAYS = 3
_GRACE = HOUR


def plant_losses(planter: Planter, newest_first: Sequence[str]) -> None:
    """One subscription whose end is not heard of, and one credit note, in closed months."""
    for month in newest_first:
        if _lose_an_end(planter, month):
            break
    for month in newest_first:
        if _lose_a_credit_note(planter, month):
            break


def _objects(planter: Planter, table: str, month: str) -> Iterator[Json]:
    """Objects made in a month, clear of its edges; the first five hundred."""
    start, end = month_start(month) + HOUR, add_months(month_start(month), 1) - DAY
    rows = planter.store.execute(
        f"select id from {table} where created between ? and ? and hidden = 0"  # noqa: S608 own names
        " order by created, id limit 500",
        (start, end),
    )
    for (object_id,) in rows.fetchall():
        found = planter.find(table, object_id)
        if found is not None:
            yield found


def _lose_an_end(planter: Planter, month: str) -> bool:
    """The cancellation of a plain monthly subscription that was active until then."""
    fitting = [
        one for one in _objects(planter, "subscriptions", month) if _ended_plainly(planter, one)
    ]
    chosen = planter.choose("subscription_status", fitting, "id")
    if chosen is None:
        return False
    states = planter.snapshots(chosen["id"])
    planter.lose([event_id for event_id, _, state in states if state["status"] == "canceled"])
    item = chosen["items"]["data"][0]
    minor = item["price"]["unit_amount"] * item["quantity"]
    planter.add(
        "subscription_status",
        "HIGH",
        ("subscription", chosen["id"]),
        month,
        currency=chosen["currency"],
        impacts={chosen["currency"]: minor},
        how="every event that tells of the subscription's end is lost",
        cause=LOST,
    )
    return True


def _ended_plainly(planter: Planter, sub: Json) -> bool:
    items = sub["items"]["data"]
    price = items[0]["price"]
    if (
        sub["status"] != "canceled"
        or len(items) > 1
        or sub["discounts"]
        or not price["unit_amount"]
    ):
        return False
    if (price["recurring"]["interval"], price["recurring"]["interval_count"]) != ("month", 1):
        return False
    before = [
        state for _, _, state in planter.snapshots(sub["id"]) if state["status"] != "canceled"
    ]
    if not before:
        return False
    last, ended = before[-1], sub["ended_at"] - _GRACE
    same_items = last["items"]["data"][0]["price"]["id"] == price["id"]
    quiet = last["items"]["data"][0]["quantity"] == items[0]["quantity"] and not last["discounts"]
    planned = last["cancel_at"] or last["pause_collection"] or last["schedule"]
    is_old = ended < planter.company.as_of - DAY
    return bool(last["status"] == "active" and same_items and quiet and not planned and is_old)


def _lose_a_credit_note(planter: Planter, month: str) -> bool:
    fitting = [one for one in _objects(planter, "credit_notes", month) if one["status"] == "issued"]
    chosen = planter.choose("credit_note_unapplied", fitting, "id")
    if chosen is None:
        return False
    planter.lose([event_id for event_id, _, _ in planter.snapshots(chosen["id"])])
    planter.add(
        "credit_note_unapplied",
        "MEDIUM",
        ("credit_note", chosen["id"]),
        month,
        currency=chosen["currency"],
        impacts={chosen["currency"]: chosen["amount"]},
        how="every event of the credit note is lost",
        cause=LOST,
    )
    return True


# --- what is so at Stripe itself -----------------------------------------------------------------


def note_own_problems(planter: Planter) -> None:
    """Payouts that came back, invoices that no charge paid, events that Stripe lists and were lost.

    Nothing is planted: the company's life brings them along, and an audit must tell of them.
    """
    _note_payouts(planter)
    _note_invoices(planter)
    _note_lost_events(planter)


def _bodies(planter: Planter, table: str, where: str = "true") -> Iterator[Json]:
    rows = planter.store.execute(
        f"select id from {table} where hidden = 0 and {where} order by created, id"  # noqa: S608 own names
    )
    for (object_id,) in rows.fetchall():
        found = planter.find(table, object_id)
        if found is not None:
            yield found


def _note_payouts(planter: Planter) -> None:
    for payout in _bodies(planter, "payouts", "status in ('failed', 'canceled')"):
        planter.add(
            "payout_failed",
            "HIGH",
            ("payout", payout["id"]),
            month_key(payout["created"]),
            currency=payout["currency"],
            impacts={payout["currency"]: payout["amount"]},
            how=f"the payout is {payout['status']}: it came back, or was called back",
            cause=AT_STRIPE,
        )


def _note_invoices(planter: Planter) -> None:
    charged = {
        invoice
        for (invoice,) in planter.store.execute(
            "select distinct invoice from invoice_payments where status = 'paid'"
        ).fetchall()
    }
    cutoff = planter.company.as_of - _GRACE
    for invoice in _bodies(planter, "invoices", "status = 'paid'"):
        paid_at = invoice["status_transitions"]["paid_at"] or 0
        if invoice["id"] in charged or max(invoice["created"], paid_at) >= cutoff:
            continue
        planter.add(
            "invoice_paid_no_charge",
            "LOW",
            ("invoice", invoice["id"]),
            month_key(invoice["created"]),
            currency=invoice["currency"],
            impacts={},
            how="nothing was left to charge: a trial, a credit balance, or a total of 0",
            cause=AT_STRIPE,
        )


def _note_lost_events(planter: Planter) -> None:
    """Lost events that Stripe still lists: out of the grace period, younger than thirty days."""
    as_of = planter.company.as_of
    for event_id in planter.planting.lost_events:
        found = planter.store.execute(
            "select created from events where id = ?", (event_id,)
        ).fetchone()
        created = found[0]
        if not as_of - _LISTED_DAYS * DAY <= created < as_of - _GRACE:
            continue
        planter.add(
            "event_gap",
            "HIGH" if created < as_of - _GIVEN_UP_DAYS * DAY else "MEDIUM",
            ("event", event_id),
            month_key(created),
            currency=None,
            impacts={},
            how="the event is lost with what it told",
            cause=LOST,
        )
