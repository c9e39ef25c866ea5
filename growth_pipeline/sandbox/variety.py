"""Customers who do anything that contracts allow, at random: for checks of MRR, not for the demo.

What may be sold comes on top of the ordinary price list; what each customer does is drawn from its
own seed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.catalogue import COUPONS, PLANS, Plan, Tier
from growth_pipeline.sandbox.given import give, take_back
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.life import Given, Life
from growth_pipeline.sandbox.names import DAY, HOUR, add_months
from growth_pipeline.sandbox.purchases import leave, sign_up
from growth_pipeline.sandbox.stories import card_declines
from growth_pipeline.sandbox.subscriptions import (
    cancel,
    change_plan,
    end_after_dispute,
    nested_items,
    pause,
    pause_collection,
    remove_item,
    subscribe,
)

EXTRA_PLANS: Final = {
    "daily": Plan("pulse", 50, "day"),
    "ten_days": Plan("pulse", 333, "day", 10),
    "fortnight": Plan("pulse", 777, "week", 2),
    "five_months": Plan("pro", 9999, "month", 5),
    "two_years": Plan("pro", 100001, "year", 2),
    "fine_monthly": Plan("team", 33, thousandths=125),
    "packs_up": Plan("volume", 1750, divide_by=7, round_up=True),
    "packs_down": Plan("volume", 1750, divide_by=7),
    "graduated_yearly": Plan(
        "volume",
        interval="year",
        tiers_mode="graduated",
        tiers=(Tier(3, 4000, 99), Tier(8, 3333), Tier(None, 2500, 1000)),
    ),
    "volume_weekly": Plan(
        "volume",
        interval="week",
        tiers_mode="volume",
        tiers=(Tier(5, 120), Tier(15, 99, 77), Tier(None, 80)),
    ),
    "metered_monthly": Plan("pulse", 3, metered=True),
}
ALL_PLANS: Final = {**PLANS, **EXTRA_PLANS}
_EVER, _LAPSES = {"duration": "forever"}, {"duration": "repeating"}
# None where a coupon is for everything: so Stripe shows it to those who ask.
ALL_COUPONS: Final[dict[str, Json]] = {
    **COUPONS,
    **{
        name: {"name": name, "applies_to": None, **terms}
        for name, terms in {
            "TWENTY": {**_EVER, "percent_off": 20.0},
            "TEN": {**_EVER, "percent_off": 10.0},
            "ODD": {**_LAPSES, "duration_in_months": 2, "percent_off": 33.3},
            "ALL": {**_LAPSES, "duration_in_months": 1, "percent_off": 100.0},
            "LESS7": {**_EVER, "amount_off": 700, "currency": "usd"},
            "LESS3": {**_LAPSES, "duration_in_months": 3, "amount_off": 333, "currency": "eur"},
            "NEXT": {"duration": "once", "percent_off": 40.0},
        }.items()
    },
    "PULSE": {**_EVER, "name": "Pulse", "percent_off": 50.0, "applies_to": ["pulse", "volume"]},
}
_GIFTS: Final = ("TWENTY", "TEN", "ODD", "ALL", "LESS7", "LESS3", "NEXT", "PULSE")
_SOLD: Final = tuple(
    name
    for name, plan in ALL_PLANS.items()
    if plan.interval and not plan.metered and name not in {"daily", "legacy_monthly"}
)
_CURRENCIES: Final = ("usd", "usd", "eur", "jpy", "kwd", "gbp")
_UPDATED: Final = "customer.subscription.updated"
_OVER: Final = {"canceled", "incomplete_expired"}
_MOST_ITEMS: Final = 6


def begin_any(life: Life) -> None:
    """Queues a whole life: a first subscription, and whatever happens until the as-of instant."""
    rng = life.rng
    life.currency = rng.choice(_CURRENCIES)
    life.later(life.signed_up_at, sign_up)
    at = life.signed_up_at + HOUR + rng.randrange(5 * DAY)
    life.later(at, _subscribe_any)
    while (at := at + round(rng.expovariate(1 / (25 * DAY)))) < life.world.as_of:
        life.later(at, rng.choices(_ACTS, _CHANCES)[0])


def _subscribe_any(life: Life, at: int) -> None:
    """A subscription with one to four prices, perhaps a trial, perhaps a coupon."""
    if life.is_gone:
        return
    rng = life.rng
    plans = [rng.choice(_SOLD) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    if rng.random() < 0.03:  # noqa: PLR2004 one in thirty
        plans = ["daily"]
    if rng.random() < 0.1:  # noqa: PLR2004 one in ten
        plans.append("metered_monthly")
    if rng.random() < 0.1:  # noqa: PLR2004 one in ten
        life.declines = 1
    trial = rng.choice((0, 0, 0, 7, 14, 30))
    life.payment_method = None if trial and rng.random() < 0.3 else life.names.new("pm")  # noqa: PLR2004
    subscribe(
        life,
        at,
        plans=plans,
        quantity=rng.choice((1, 1, 2, 3, 5, 11, 23)),
        trial_days=trial,
        coupon=rng.choice((None, None, *_GIFTS)),
        trial_end_without_method=rng.choice(("pause", "cancel")),
    )


def _again(life: Life, at: int) -> None:
    """One that has ended begins anew, perhaps in another currency."""
    if not life.subscription or life.subscription["status"] not in _OVER:
        return
    life.currency = life.rng.choice((life.currency, life.currency, *_CURRENCIES))
    life.given = [one for one in life.given if one.discount["subscription"] is None]
    life.discount, life.pending_lines, life.declines, life.gives_up = None, [], 0, "cancel"
    life.past_due_since = None
    _subscribe_any(life, at)


def _beside(life: Life, at: int) -> None:
    """A second subscription of the same customer, with a life of its own."""
    if life.is_gone or life.has_another:
        return
    life.has_another = True
    other = life.beside()
    other.currency = life.rng.choice((life.currency, life.currency, *_CURRENCIES))
    other.later(at + 60, _subscribe_any)
    then = at
    while (then := then + round(life.rng.expovariate(1 / (25 * DAY)))) < life.world.as_of:
        other.later(then, life.rng.choices(_ACTS, _CHANCES)[0])


# --- what happens to a subscription --------------------------------------------------------------


def _is_live(life: Life) -> bool:
    return bool(life.subscription) and life.subscription["status"] in {
        "active",
        "trialing",
        "past_due",
    }


def _change(life: Life, at: int) -> None:
    """Another price, or quantity, or both, of the first item; billed now or later."""
    rng = life.rng
    if _is_live(life) and life.subscription["schedule"] is None:
        to = rng.choice(("", *rng.sample(_SOLD, 2)))
        bill = rng.choice(("now", "later"))
        change_plan(life, at, to=to, quantity=rng.choice((1, 2, 4, 9, 16, 40)), bill=bill)


def _add_item(life: Life, at: int) -> None:
    """One more price on the same subscription; it is billed from the next period on."""
    if not _is_live(life) or len(life.items) >= _MOST_ITEMS:
        return
    plan, quantity = life.rng.choice(_SOLD), life.rng.choice((1, 2, 6))
    first = life.items[0]
    item = shapes.subscription_item(
        life.names.new("si"),
        life.subscription["id"],
        of=life.catalogue.price(plan, life.currency),
        quantity=quantity,
        created=at,
        period=(first["current_period_start"], first["current_period_end"]),
    )
    life.items = [*life.items, item]
    life.agreed[item["id"]] = (plan, quantity)
    life.note_items(at)
    changes = {"items": nested_items(life)}
    life.journal.change(life.subscription, at, changes, _UPDATED, asked=True)


def _give(life: Life, at: int) -> None:
    """A coupon for one item, the subscription, or everything the customer has."""
    rng = life.rng
    if not _is_live(life):
        return
    coupon = rng.choice(_GIFTS)
    level = rng.choice(("item", "contract", "customer"))
    if level == "customer" and life.customer.get("discount"):
        return
    months = life.catalogue.coupons[coupon]["duration_in_months"]
    discount = shapes.discount(
        life.names.new("di"),
        coupon,
        customer_id=life.customer["id"],
        subscription_id="" if level == "customer" else life.subscription["id"],
        start=at,
        end=add_months(at, months) if months else None,
    )
    item = rng.choice(life.items)["id"] if level == "item" else None
    discount["subscription"] = discount["subscription"] or None
    discount["subscription_item"] = item
    give(life, at, Given(discount, coupon, item))


def _take_any(life: Life, at: int) -> None:
    if _is_live(life) and life.given:
        take_back(life, at, life.rng.choice(life.given).discount["id"])


def _pause_some(life: Life, at: int) -> None:
    if _is_live(life):
        behaviour = life.rng.choice(("void", "keep_as_draft", "mark_uncollectible"))
        pause_collection(life, at, behaviour=behaviour, days=life.rng.choice((3, 20, 45)))


def _stand_still(life: Life, at: int) -> None:
    if _is_live(life):
        pause(life, at, days=life.rng.choice((0, 5, 40)))


def _cancel(life: Life, at: int) -> None:
    if _is_live(life):
        when = life.rng.choice(("now", "period_end", "period_end"))
        undo = life.rng.choice((0, 0, 2, 9))
        if not (when == "period_end" and life.subscription["cancel_at_period_end"]):
            cancel(life, at, when=when, undo_after=undo)


def _declines(life: Life, at: int) -> None:
    rng = life.rng
    gives_up = rng.choice(("cancel", "unpaid", "leave"))
    card_declines(life, at, times=rng.choice((1, 2, 40)), gives_up=gives_up)


def _dispute(life: Life, at: int) -> None:
    if _is_live(life):
        end_after_dispute(life, at)


def _remove(life: Life, at: int) -> None:
    if life.subscription:
        remove_item(life, at)


def _leave(life: Life, at: int) -> None:
    if not life.has_another and not life.is_gone:
        life.has_another = True
        leave(life, at)


_WEIGHTS: Final[dict[Callable[..., None], int]] = {
    _change: 7,
    _add_item: 3,
    _remove: 3,
    _give: 6,
    _take_any: 3,
    _pause_some: 3,
    _stand_still: 2,
    _cancel: 5,
    _declines: 4,
    _dispute: 1,
    _again: 9,
    _beside: 2,
    _leave: 1,
}
_ACTS: Final = list(_WEIGHTS)
_CHANCES: Final = list(_WEIGHTS.values())
