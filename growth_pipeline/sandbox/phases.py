"""Subscription schedules: another price planned for the next period, and what becomes of it."""

from __future__ import annotations

from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.life import Life
from growth_pipeline.sandbox.names import add_periods

_UPDATED = "customer.subscription.updated"


def plan_change(life: Life, at: int, *, to: str) -> None:
    """Plans another price, of the same interval, from the next period on."""
    sub = life.subscription
    if sub["status"] != "active" or sub["schedule"]:
        return
    item, price = life.items[0], life.catalogue.price(to, life.currency)
    end = item["current_period_end"]
    later = add_periods(end, price["recurring"]["interval"], price["recurring"]["interval_count"])
    now = (item["current_period_start"], end)
    phases = [
        shapes.phase(item["price"], quantity=item["quantity"], period=now),
        shapes.phase(price, quantity=item["quantity"], period=(end, later)),
    ]
    schedule = shapes.subscription_schedule(
        life.names.new("sub_sched"), sub, phases=phases, created=at, livemode=life.livemode
    )
    life.journal.add(schedule, at, "subscription_schedule.created", asked=True)
    life.journal.change(sub, at, {"schedule": schedule["id"]}, _UPDATED, asked=True)


def follow(life: Life, at: int) -> Json:
    """At a renewal: the planned price begins, or the schedule is over; changes of the subscription.

    The first item is replaced here; the caller begins the period.
    """
    schedule = life.journal.objects.get(life.subscription["schedule"] or "")
    if schedule is None:
        return {}
    if schedule["current_phase"]["end_date"] == schedule["phases"][-1]["end_date"]:
        return release(life, at)
    phase = schedule["phases"][-1]
    price = _price(life, phase)
    first = life.items[0]
    plan = next(key for (key, _), one in life.catalogue.prices.items() if one is price)
    life.agreed[first["id"]] = (plan, life.agreed[first["id"]][1])
    life.items[0] = {**first, "price": price, "plan": shapes.plan(price)}
    current = {"end_date": phase["end_date"], "start_date": phase["start_date"]}
    life.journal.change(schedule, at, {"current_phase": current}, "subscription_schedule.updated")
    return {}


def _price(life: Life, phase: Json) -> Json:
    wanted = phase["items"][0]["price"]
    return next(price for price in life.catalogue.prices.values() if price["id"] == wanted)


def release(life: Life, at: int, *, canceled: bool = False) -> Json:
    """Ends the schedule; the subscription goes on without it, unless it ends itself."""
    schedule = life.journal.objects.get(life.subscription["schedule"] or "")
    if schedule is None:
        return {}
    if canceled:
        ended: Json = {"status": "canceled", "canceled_at": at}
    else:
        ended = {
            "status": "released",
            "released_at": at,
            "released_subscription": life.subscription["id"],
            "subscription": None,
        }
    event_type = f"subscription_schedule.{ended['status']}"
    life.journal.change(schedule, at, {**ended, "current_phase": None}, event_type)
    return {} if canceled else {"schedule": None}
