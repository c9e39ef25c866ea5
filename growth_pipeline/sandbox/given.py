"""Coupons beside the first one of a subscription: for an item, the whole, or the customer."""

from __future__ import annotations

from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.life import Given, Life

_UPDATED = "customer.subscription.updated"
_OVER = {"canceled", "incomplete_expired"}


def give(life: Life, at: int, given: Given) -> None:
    """A coupon comes into use; its end, if it has one, is only a matter of time."""
    discount = given.discount
    life.note(
        at,
        "given",
        level=_level(given),
        id=discount["id"],
        item=given.item,
        until=discount["end"],
        terms=life.catalogue.terms[given.coupon],
    )
    life.journal.add(discount, at, "customer.discount.created", asked=True)
    _put(life, at, given, there=True)
    if discount["end"]:
        life.later(discount["end"], take_back, discount["id"])


def use_up(life: Life, at: int) -> None:
    """Coupons for one invoice are gone with it."""
    for given in list(life.given):
        if life.catalogue.terms[given.coupon]["duration"] == "once":
            take_back(life, at, given.discount["id"])


def _level(given: Given) -> str:
    if given.discount["subscription"] is None:
        return "customer"
    return "contract" if given.item is None else "item"


def _put(life: Life, at: int, given: Given, *, there: bool) -> None:
    """Says of what the coupon lowers that it has it, or has it no more."""
    discount, sub = given.discount, life.subscription
    life.given = [one for one in life.given if one.discount is not discount]
    if there:
        life.given.append(given)
    if discount["subscription"] is None:
        whole = discount if there else None
        life.journal.change(life.customer, at, {"discount": whole}, "customer.updated")
        return
    if given.item is None:
        kept = [one for one in sub["discounts"] if one != discount["id"]]
        changes: Json = {"discounts": [*kept, *([discount["id"]] if there else ())]}
    else:
        life.items = [_with(item, given, there=there) for item in life.items]
        changes = {"items": _nested(life)}
    life.journal.change(sub, at, changes, _UPDATED, asked=True)


def _with(item: Json, given: Given, *, there: bool) -> Json:
    if item["id"] != given.item:
        return item
    kept = [one for one in item["discounts"] if one != given.discount["id"]]
    return {**item, "discounts": [*kept, *([given.discount["id"]] if there else ())]}


def take_back(life: Life, at: int, discount_id: str) -> None:
    """A coupon whose time is over, or that the company takes back."""
    given = next((one for one in life.given if one.discount["id"] == discount_id), None)
    if given is None or (given.discount["subscription"] and life.subscription["status"] in _OVER):
        return
    life.note(at, "taken", level=_level(given), id=discount_id)
    if not life.is_gone:
        life.journal.tell(given.discount, at, "customer.discount.deleted")
        _put(life, at, given, there=False)


def _nested(life: Life) -> Json:
    subscription_id = life.subscription["id"]
    url = f"/v1/subscription_items?subscription={subscription_id}"
    return life.journal.set_children(subscription_id, url, life.items)
