"""Subscriptions of a company: at Stripe, in the events it sent, and what the application provides.

Monthly values are written down from the price list, never computed from a subscription: `PRICES`
says what each costs a month.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from growth_pipeline_tests.acceptance.oracle.base import DAY, GRACE, HOUR, Object, Row, drop
from growth_pipeline_tests.acceptance.oracle.company import Company
from growth_pipeline_tests.acceptance.oracle.events import an_event


@dataclass(frozen=True)
class Price:
    """One price: minor units per unit and period, and what that is in a month."""

    product: str
    unit: int
    interval: str
    count: int
    monthly: int


PRICES: Final = (
    Price("starter", 1_900, "month", 1, 1_900),
    Price("starter", 22_800, "year", 1, 1_900),
    Price("pro", 4_800, "month", 1, 4_800),
    Price("pro", 14_400, "month", 3, 4_800),
    Price("pro", 57_600, "year", 1, 4_800),
    Price("team", 1_200, "month", 1, 1_200),
    Price("weekly", 300, "week", 1, 1_300),  # 52 weeks of 3.00 are 12 months of 13.00
)
_DAYS: Final = {"month": 30, "year": 365, "week": 7}


@dataclass
class Plan:
    """One subscription with its customer, its user and what the application provides for it.

    `told`: the states that events told, oldest first, each with its event's type and instant. A
    fate other than "heard" of a place in `told` is in `fates`.
    """

    subscription: Object
    customer: Object
    monthly: int
    entitlement: Row | None
    user: Row | None
    kind: str
    told: list[tuple[str, Object, int]] = field(default_factory=list)
    fates: dict[int, str] = field(default_factory=dict)
    is_customer_told: bool = False

    @property
    def id(self) -> str:
        return str(self.subscription["id"])

    @property
    def currency(self) -> str:
        return str(self.subscription["currency"])


def add_plans(company: Company, count: int) -> list[Plan]:
    """`count` subscriptions of normal life; the company's users and access are told from now on."""
    _open_shop(company)
    kinds, weights = zip(*_KINDS.items(), strict=True)
    plans = [_MAKERS[kind](company, kind) for kind in company.random.choices(kinds, weights, k=count)]  # fmt: skip
    company.plans = plans
    return plans


def tell_plans(company: Company) -> None:
    """The events of all subscriptions and their customers, once nothing changes any more."""
    for plan in company.plans:
        if not plan.told:
            continue
        at = plan.told[0][2]
        if not plan.is_customer_told:
            _tell(company, "customer.created", plan.customer, at - 20)
        for place, (kind, state, when) in enumerate(plan.told):
            event = an_event(company, kind, state, when, event_id=f"evt_{place}_{plan.id}")
            company.told.append(event)
            if place in plan.fates:
                company.unheard[event["id"]] = plan.fates[place]


def _tell(company: Company, kind: str, thing: Object, at: int) -> None:
    company.told.append(an_event(company, kind, thing, at))


def _open_shop(company: Company) -> None:
    shop: dict[tuple[int, str], Object] = {}
    at = company.first - 60 * DAY
    for number, price in enumerate(PRICES):
        for currency in company.currencies:
            shop[number, currency] = _price(company, price, number, currency, at)
            company.retired.append(shop[number, currency])
            _tell(company, "price.created", shop[number, currency], at)
    for percent in (50.0, 25.0):
        coupon = {
            "id": f"OFF{percent:.0f}", "object": "coupon", "created": at, "livemode": company.livemode, "name": None,
            "duration": "forever", "duration_in_months": None, "percent_off": percent, "amount_off": None,
            "currency": None, "valid": True, "max_redemptions": None, "times_redeemed": 0, "redeem_by": None,
            "metadata": {},
        }  # fmt: skip
        company.retired.append(coupon)
        _tell(company, "coupon.created", coupon, at)
    company.shop = shop


def _price(company: Company, price: Price, number: int, currency: str, at: int) -> Object:
    return {
        "id": f"price_{number}{currency}{company.random.randrange(10**9)}", "object": "price", "created": at,
        "livemode": company.livemode, "product": f"prod_{price.product}", "active": True, "currency": currency,
        "type": "recurring", "billing_scheme": "per_unit", "unit_amount": price.unit,
        "unit_amount_decimal": str(price.unit), "tiers_mode": None, "lookup_key": None, "nickname": None,
        "transform_quantity": None, "custom_unit_amount": None, "tax_behavior": "unspecified", "metadata": {},
        "recurring": {
            "interval": price.interval, "interval_count": price.count, "usage_type": "licensed", "meter": None,
            "trial_period_days": None,
        },
    }  # fmt: skip


def subscribe(
    company: Company,
    kind: str = "active",
    *,
    status: str = "active",
    number: int | None = None,
    quantity: int | None = None,
    created: int | None = None,
    customer: Object | None = None,
    currency: str | None = None,
    **changed: Any,
) -> Plan:
    """A subscription with its customer, user, access and the event of its beginning."""
    number = company.random.randrange(len(PRICES)) if number is None else number
    quantity = company.random.randint(1, 4) if quantity is None else quantity
    at = created or _instant(company, PRICES[number])
    currency = currency or company.random.choice(company.currencies)
    customer = customer or _new_customer(company, at - 30)
    price = company.shop[number, currency]
    period = _period(company, PRICES[number], at)
    subscription: Object = {
        "id": company.id("sub"), "object": "subscription", "created": at, "livemode": company.livemode,
        "customer": customer["id"], "status": status, "currency": currency, "start_date": at, "canceled_at": None,
        "ended_at": None, "cancel_at": None, "cancel_at_period_end": False, "billing_cycle_anchor": at,
        "trial_start": None, "trial_end": None, "collection_method": "charge_automatically", "discounts": [],
        "pause_collection": None, "status_details": None, "latest_invoice": None, "schedule": None, "metadata": {},
        "cancellation_details": {"comment": None, "feedback": None, "reason": None}, **changed,
    }  # fmt: skip
    subscription["items"] = {
        "object": "list", "has_more": False, "url": "/v1/subscription_items",
        "data": [_item(company, subscription["id"], price, quantity, at, period)],
    }  # fmt: skip
    company.extra["subscriptions"].append(subscription)
    monthly = PRICES[number].monthly * quantity
    plan = Plan(subscription, customer, monthly, None, None, kind)
    plan.user = company.user(customer)
    plan.entitlement = _provide(company, plan, price["id"], quantity, period[1])
    plan.told.append(("customer.subscription.created", subscription, at + 1))
    if status != "trialing":
        subscription["latest_invoice"] = _first_payment(
            company, plan, PRICES[number].unit * quantity
        )
    return plan


def _first_payment(company: Company, plan: Plan, amount: int) -> str:
    """The payment of the first bill; it is heard of like the subscription."""
    payment = company.pay(
        "of a plan", customer=plan.customer["id"], currency=plan.currency, amount=amount,
        created=plan.subscription["created"] + 5,
    )  # fmt: skip
    payment.is_heard = True
    if payment.invoice is None:
        payment.bill(company)
    assert payment.invoice is not None
    payment.invoice["billing_reason"] = "subscription_create"
    return str(payment.invoice["id"])


def _instant(company: Company, price: Price) -> int:
    """An instant from which no period begins in the grace period."""
    length = _DAYS[price.interval] * price.count * DAY
    while (company.as_of - (at := company.instant())) % length < 3 * GRACE:
        pass
    return at


def _period(company: Company, price: Price, at: int) -> tuple[int, int]:
    """The period that runs when the lists are read."""
    length = _DAYS[price.interval] * price.count * DAY
    rounds = max(0, (company.as_of - at) // length)
    return at + rounds * length, at + (rounds + 1) * length


def _item(
    company: Company, owner: str, price: Object, quantity: int, at: int, period: tuple[int, int]
) -> Object:
    return {
        "id": company.id("si"), "object": "subscription_item", "created": at, "subscription": owner, "price": price,
        "quantity": quantity, "current_period_start": period[0], "current_period_end": period[1],
        "current_trial": None, "discounts": [], "metadata": {}, "tax_rates": [],
    }  # fmt: skip


def _new_customer(company: Company, at: int) -> Object:
    name = company.id("cus")
    customer = {
        "id": name, "object": "customer", "created": at, "email": f"{name[-12:].lower()}@example.com",
        "name": f"Customer of {name[-6:]}", "currency": None, "delinquent": False, "balance": 0, "discount": None,
        "livemode": company.livemode, "metadata": {},
    }  # fmt: skip
    company.extra["customers"].append(customer)
    return customer


def _provide(company: Company, plan: Plan, price: str, quantity: int, ends_at: int) -> Row:
    """What the application gives for a subscription that is paid."""
    row: Row = {
        "account_id": company.account, "livemode": company.livemode, "subscription_id": plan.id,
        "customer_id": plan.customer["id"], "user_id": plan.user["user_id"] if plan.user else None,
        "has_access": True, "price_id": price, "quantity": quantity, "access_ends_at": ends_at,
        "mrr_minor": plan.monthly, "currency": plan.currency, "written": plan.subscription["created"] + 30,
    }  # fmt: skip
    company.entitlements.append(row)
    return row


def provided(plan: Plan, **changed: Any) -> None:
    """The application gives something else."""
    assert plan.entitlement is not None
    plan.entitlement.update(changed)


# --- normal life ---------------------------------------------------------------------------------


def _active(company: Company, kind: str) -> Plan:
    return subscribe(company, kind)


def _trialing(company: Company, kind: str) -> Plan:
    """A trial that runs: access, and no MRR yet."""
    latest = min(company.focus[1] - 7200, company.as_of - 2 * GRACE)
    at = company.random.randint(max(company.focus[0] + 60, latest - 10 * DAY), latest)
    ends = company.as_of + 9 * DAY
    plan = subscribe(
        company, kind, status="trialing", created=at, trial_start=at, trial_end=ends,
        billing_cycle_anchor=ends,
    )  # fmt: skip
    plan.subscription["items"]["data"][0] |= {
        "current_period_start": at,
        "current_period_end": ends,
    }
    plan.monthly = 0
    provided(plan, mrr_minor=0, access_ends_at=ends)
    return plan


def _not_begun(company: Company, kind: str) -> Plan:
    """The first payment failed: expired after 23 hours, no access."""
    plan = subscribe(company, kind, status="incomplete_expired")
    plan.subscription["ended_at"] = plan.subscription["created"] + 23 * HOUR
    plan.monthly = 0
    drop(company.entitlements, plan.entitlement)
    plan.entitlement = None
    return plan


def _past_due(company: Company, kind: str) -> Plan:
    """Its renewal failed some days ago: access goes on while Stripe tries again."""
    plan = subscribe(company, kind, status="past_due")
    since = company.as_of - company.random.randint(2, 9) * DAY
    item = plan.subscription["items"]["data"][0]
    length = item["current_period_end"] - item["current_period_start"]
    item |= {"current_period_start": since, "current_period_end": since + length}
    provided(plan, access_ends_at=since + length)
    before = {**plan.subscription, "status": "active"}
    at = max(since, plan.subscription["created"]) + 60
    plan.told = [
        ("customer.subscription.created", before, plan.subscription["created"] + 1),
        ("customer.subscription.updated", plan.subscription, at),
    ]
    return plan


def _canceled(company: Company, kind: str) -> Plan:
    """Cancelled at once: no access."""
    plan = subscribe(company, kind)
    end_plan(company, plan)
    provided(plan, has_access=False, mrr_minor=0, access_ends_at=plan.subscription["ended_at"])
    return plan


def end_plan(company: Company, plan: Plan) -> None:
    """Stripe ends a subscription some hours after its beginning."""
    begun = dict(plan.subscription)
    at = plan.subscription["created"] + company.random.randint(1, 30) * 300
    plan.subscription |= {
        "status": "canceled", "canceled_at": at, "ended_at": at,
        "cancellation_details": {"comment": None, "feedback": None, "reason": "cancellation_requested"},
    }  # fmt: skip
    plan.monthly = 0
    plan.told = [
        ("customer.subscription.created", begun, plan.subscription["created"] + 1),
        ("customer.subscription.deleted", plan.subscription, at + 1),
    ]


def _leaves_later(company: Company, kind: str) -> Plan:
    """Cancelled for the end of its period: access and MRR until then."""
    plan = subscribe(company, kind)
    end = plan.subscription["items"]["data"][0]["current_period_end"]
    plan.subscription |= {
        "cancel_at_period_end": True, "cancel_at": end, "canceled_at": plan.subscription["created"] + 600,
    }  # fmt: skip
    return plan


def _discounted(company: Company, kind: str) -> Plan:
    """Half price for ever."""
    plan = subscribe(company, kind, quantity=2)
    plan.subscription["discounts"] = [
        {
            "id": company.id("di"), "object": "discount", "customer": plan.customer["id"], "promotion_code": None,
            "subscription": plan.id, "subscription_item": None, "invoice": None, "invoice_item": None,
            "checkout_session": None, "start": plan.subscription["created"], "end": None,
            "source": {"type": "coupon", "coupon": "OFF50"},
        }
    ]  # fmt: skip
    plan.monthly //= 2
    provided(plan, mrr_minor=plan.monthly)
    return plan


def _swapped(company: Company, kind: str) -> Plan:
    """Another plan and more seats since an hour after the beginning, with prorations."""
    plan = subscribe(company, kind, number=0, quantity=1)
    before = {**plan.subscription, "items": {**plan.subscription["items"]}}
    item = plan.subscription["items"]["data"][0]
    price = company.shop[2, plan.currency]
    plan.subscription["items"] = {
        **before["items"],
        "data": [{**item, "price": price, "quantity": 3}],
    }
    plan.monthly = 3 * PRICES[2].monthly
    provided(plan, price_id=price["id"], quantity=3, mrr_minor=plan.monthly)
    at = plan.subscription["created"] + HOUR
    changes = ("customer.subscription.updated", plan.subscription, at)
    plan.told = [("customer.subscription.created", before, at - HOUR + 1), changes]
    return plan


def _unpaid(company: Company, kind: str) -> Plan:
    """All retries failed: no access any more."""
    plan = subscribe(company, kind, status="unpaid")
    plan.monthly = 0
    provided(plan, has_access=False, mrr_minor=0, access_ends_at=plan.subscription["created"] + DAY)
    return plan


def _paused(company: Company, kind: str) -> Plan:
    plan = subscribe(company, kind, status="paused")
    since = plan.subscription["created"] + HOUR
    reason = {
        "subscription": {"type": "pause_requested"},
        "transitioned_at": since,
        "type": "subscription",
    }
    plan.subscription["status_details"] = {"paused": reason}
    plan.monthly = 0
    provided(plan, has_access=False, mrr_minor=0, access_ends_at=since)
    return plan


def _gone(company: Company, kind: str) -> Plan:
    """The customer was deleted with everything, and so was the user."""
    plan = _canceled(company, kind)
    drop(company.extra["customers"], plan.customer)
    stub = {"id": plan.customer["id"], "object": "customer", "deleted": True}
    company.retired.append(stub)
    assert plan.user is not None
    at = plan.subscription["ended_at"] + 60
    plan.user["deleted"] = at
    deleted = {**plan.customer, "created": plan.customer["created"]}
    _tell(company, "customer.deleted", deleted, at)
    return plan


def _young(company: Company, kind: str) -> Plan:
    """Begun minutes before the lists were read: neither events nor access are there yet."""
    if not company.first < company.as_of < company.until:
        return _active(company, kind)
    at = company.as_of - company.random.randint(60, GRACE - 60)
    plan = subscribe(company, kind, created=at)
    drop(company.entitlements, plan.entitlement)
    plan.fates = {0: "lost"}
    return plan


def _ended_after(company: Company, kind: str) -> Plan:
    """Cancelled after the lists were read; the mirror and the application know already."""
    plan = subscribe(company, kind)
    at = company.as_of + 200
    ended = {**plan.subscription, "status": "canceled", "canceled_at": at, "ended_at": at}
    company.now[plan.id] = ended
    plan.told.append(("customer.subscription.deleted", ended, at + 1))
    provided(plan, has_access=False, mrr_minor=0, access_ends_at=at, written=at + 20)
    return plan


_KINDS: Final = {
    "active": 60.0, "trialing": 5.0, "incomplete_expired": 3.0, "past_due": 3.0, "canceled": 8.0, "leaves_later": 4.0,
    "discounted": 6.0, "swapped": 5.0, "unpaid": 2.0, "paused": 2.0, "gone": 2.0, "young": 1.0, "ended_after": 1.0,
}  # fmt: skip
_MAKERS: Final[dict[str, Callable[[Company, str], Plan]]] = {
    "active": _active, "trialing": _trialing, "incomplete_expired": _not_begun, "past_due": _past_due,
    "canceled": _canceled, "leaves_later": _leaves_later, "discounted": _discounted, "swapped": _swapped,
    "unpaid": _unpaid, "paused": _paused, "gone": _gone, "young": _young, "ended_after": _ended_after,
}  # fmt: skip
