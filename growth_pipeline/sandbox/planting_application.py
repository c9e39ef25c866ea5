"""What somebody changes by hand in the application: who has access to what, and who is whose user.

Each change gives one finding about a subscription or a customer of a closed month.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from growth_pipeline.sandbox.application import ENTITLEMENTS, USERS, WORTH
from growth_pipeline.sandbox.catalogue import PLANS, amount_of
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.names import DAY, HOUR, add_months, month_key, month_start
from growth_pipeline.sandbox.planter import BY_HAND, UNSAID, Planter

_LOOKED_AT = 5000  # customers, so that a company of millions is planted as fast
_INTERVALS = {"month", "year"}
_QUIET = 6 * HOUR


@dataclass(frozen=True)
class Holding:
    """One customer as the application and Stripe have it: user, access, subscription."""

    user: Json
    access: Json
    subscription: Json

    @property
    def id(self) -> str:
        """Id of the subscription."""
        return str(self.subscription["id"])

    @property
    def month(self) -> str:
        """Month in which the subscription began."""
        return month_key(self.subscription["created"])

    @property
    def is_paying(self) -> bool:
        """Active, with access, and worth something."""
        is_in = self.subscription["status"] == "active" and self.access["has_access"]
        return bool(is_in and self.access["mrr_minor"] > 0)

    @property
    def is_plain(self) -> bool:
        """Paying for one item at a price per unit, without a discount or a planned change."""
        sub = self.subscription
        items = sub["items"]["data"]
        one = len(items) == 1 and items[0]["price"]["billing_scheme"] == "per_unit"
        interval = one and items[0]["price"]["recurring"]["interval"] in _INTERVALS
        planned = sub["cancel_at"] or sub["schedule"] or sub["discounts"]
        return bool(self.is_paying and interval and not planned)


@dataclass(frozen=True)
class _Change:
    """A class of discrepancy: which customers can carry it, and what is changed.

    `thing`: "subscription" or "customer", whose month counts by its own creation.
    """

    code: str
    severity: str
    thing: str
    fits: Callable[[Holding], bool]
    plant: Callable[[Planter, Holding], tuple[int, str]]
    cause: str = BY_HAND


def plant_application(planter: Planter, newest_first: Sequence[str]) -> None:
    """One problem of each class, in the newest closed month that has a fitting customer."""
    holdings = list(islice(_holdings(planter), _LOOKED_AT))
    for change in _CHANGES:
        for month in newest_first:
            fitting = [one for one in holdings if change.fits(one) and _belongs(one, change, month)]
            row = planter.choose(change.code, [{"id": one.id, "of": one} for one in fitting], "id")
            if row is not None:
                _record(planter, change, row["of"], month)
                break


def _holdings(planter: Planter) -> Iterator[Holding]:
    """Customers with a subscription, in the order in which they came."""
    users: dict[str, Json] = {}
    for table, row in planter.store.application():
        if table == USERS.name:
            users[row["user_id"]] = row
            continue
        body = planter.find("subscriptions", row["subscription_id"])
        if body is not None and _is_quiet(planter, body):
            yield Holding(users[row["user_id"]], row, body)


def _is_quiet(planter: Planter, subscription: Json) -> bool:
    """Whether nothing happened lately: what changes just now is not judged by an audit."""
    events = planter.store.events_of(subscription["id"])
    items = subscription["items"]["data"]
    newest = max([item["current_period_start"] for item in items] + [one.created for one in events])
    return bool(newest < planter.company.as_of - _QUIET)


def _belongs(holding: Holding, change: _Change, month: str) -> bool:
    """Whether the object began in a month, clear of its edges, and has not changed just now."""
    created = holding.subscription["created"]
    if change.thing == "customer":
        created = holding.user["written_at"] if holding.user["deleted_at"] is None else created
    start = month_start(month) + HOUR
    return bool(start <= created < add_months(month_start(month), 1) - DAY)


def _record(planter: Planter, change: _Change, holding: Holding, month: str) -> None:
    minor, how = change.plant(planter, holding)
    currency = holding.subscription["currency"] if change.thing == "subscription" else None
    thing_id = holding.id if change.thing == "subscription" else holding.user["customer_id"]
    planter.add(
        change.code,
        change.severity,
        (change.thing, thing_id),
        month,
        currency=currency,
        impacts={currency: minor} if currency else {},
        how=how,
        cause=change.cause,
    )


# --- access --------------------------------------------------------------------------------------


def _set_access(planter: Planter, holding: Holding, **values: Any) -> None:
    key = {name: holding.access[name] for name in ENTITLEMENTS.key}
    changed = {**values, "written_by": "hand"}
    planter.step(action="set", table=ENTITLEMENTS.name, key=key, set=changed)


def _no_access(planter: Planter, holding: Holding) -> tuple[int, str]:
    _set_access(planter, holding, has_access=False)
    return 0, "a paying customer is locked out by hand"


def _access_for_ever(planter: Planter, holding: Holding) -> tuple[int, str]:
    worth = holding.access[WORTH]
    _set_access(planter, holding, has_access=True, access_ends_at=None, mrr_minor=worth)
    return worth, "a customer whose subscription is cancelled is let in again by hand"


def _other_plan(planter: Planter, holding: Holding) -> tuple[int, str]:
    """Another plan of the same interval, a price per unit too."""
    item = holding.subscription["items"]["data"][0]
    plan = item["price"]["lookup_key"].rsplit("_", 1)[0]
    interval = plan.rsplit("_", 1)[1]
    other = f"{'starter' if plan.startswith('pro') else 'pro'}_{interval}"
    currency = holding.subscription["currency"]
    (price_id,) = planter.store.execute(
        "select id from prices where lookup_key = ?", (f"{other}_{currency}",)
    ).fetchone()
    months = 12 if interval == "yearly" else 1
    now, then = (amount_of(PLANS[one], item["quantity"], currency) for one in (plan, other))
    # Halves of minor units go to the even one, as everywhere.
    provided, paid = round(then / months), round(now / months)
    _set_access(planter, holding, price_id=price_id, mrr_minor=provided)
    return provided - paid, f"the plan {other} is provided by hand instead of {plan}"


def _more_seats(planter: Planter, holding: Holding) -> tuple[int, str]:
    quantity = holding.access["quantity"]
    single = holding.access["mrr_minor"] // quantity
    more = {"quantity": quantity + 3, "mrr_minor": single * (quantity + 3)}
    _set_access(planter, holding, **more)
    return 3 * single, "three seats more are provided by hand"


def _longer_access(planter: Planter, holding: Holding) -> tuple[int, str]:
    ends_at = holding.access["access_ends_at"] + 100 * DAY
    _set_access(planter, holding, access_ends_at=ends_at)
    return 0, "access ends a hundred days later by hand"


def _drifted(planter: Planter, holding: Holding) -> tuple[int, str]:
    _set_access(planter, holding, mrr_minor=holding.access["mrr_minor"] + 500)
    return 500, "the stored MRR is changed by hand"


def _ended(holding: Holding) -> bool:
    sub = holding.subscription
    is_gone = holding.user["deleted_at"] is not None
    return bool(sub["status"] == "canceled" and holding.access[WORTH] > 0 and not is_gone)


# --- users ---------------------------------------------------------------------------------------


def _key_of_user(holding: Holding) -> Json:
    return {name: holding.user[name] for name in USERS.key}


def _without_user(planter: Planter, holding: Holding) -> tuple[int, str]:
    planter.step(action="remove", table=USERS.name, key=_key_of_user(holding))
    return 0, "the user of a paying customer is removed by hand"


def _second_user(planter: Planter, holding: Holding) -> tuple[int, str]:
    second = {**holding.user, "user_id": planter.names.new("user")}
    planter.step(action="add", table=USERS.name, row=second)
    return 0, "a second user is mapped to the customer by hand"


def _still_there(planter: Planter, holding: Holding) -> tuple[int, str]:
    planter.step(
        action="set", table=USERS.name, key=_key_of_user(holding), set={"deleted_at": None}
    )
    return 0, "the user of a deleted customer is brought back by hand"


def _other_mail(planter: Planter, holding: Holding) -> tuple[int, str]:
    changed = {"email": f"other.{holding.user['email']}"}
    planter.step(action="set", table=USERS.name, key=_key_of_user(holding), set=changed)
    return 0, "the user's e-mail address is changed by hand"


def _simple_plan(holding: Holding) -> bool:
    if not holding.is_plain:
        return False
    price = holding.subscription["items"]["data"][0]["price"]
    return price["lookup_key"].rsplit("_", 1)[0] in {
        *("starter_monthly", "starter_yearly", "pro_monthly", "pro_yearly"),
    }


_CHANGES = (
    # The rare ones first.
    _Change("customer_deleted", "MEDIUM", "customer",
            lambda one: one.user["deleted_at"] is not None, _still_there, UNSAID),
    _Change("provisioned_not_paid", "HIGH", "subscription", _ended, _access_for_ever),
    _Change("tier_mismatch", "HIGH", "subscription", _simple_plan, _other_plan),
    _Change("quantity_mismatch", "HIGH", "subscription",
            lambda one: one.is_plain and one.access["mrr_minor"] % one.access["quantity"] == 0,
            _more_seats),
    _Change("period_mismatch", "MEDIUM", "subscription",
            lambda one: one.is_plain, _longer_access),
    _Change("mrr_drift", "HIGH", "subscription", lambda one: one.is_plain, _drifted),
    _Change("paid_not_provisioned", "HIGH", "subscription",
            lambda one: one.is_plain, _no_access),
    _Change("customer_unmapped", "MEDIUM", "customer",
            lambda one: one.is_paying, _without_user, UNSAID),
    _Change("customer_shared", "MEDIUM", "customer",
            lambda one: one.is_paying, _second_user, UNSAID),
    _Change("email_differs", "LOW", "customer",
            lambda one: one.is_paying, _other_mail, UNSAID),
)  # fmt: skip
CODES = tuple(change.code for change in _CHANGES)
