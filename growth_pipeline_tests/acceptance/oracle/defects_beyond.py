"""Defects beside the payments: subscriptions, access, customers, invoices, payouts, events."""

from __future__ import annotations

from typing import Any, Final

from growth_pipeline_tests.acceptance.oracle.base import DAY, HOUR, Object, drop
from growth_pipeline_tests.acceptance.oracle.company import Company
from growth_pipeline_tests.acceptance.oracle.defects import (
    AT_STRIPE,
    FAILED,
    LOST,
    Defect,
    Lenders,
)
from growth_pipeline_tests.acceptance.oracle.events import an_event
from growth_pipeline_tests.acceptance.oracle.money import credit, recorded, with_invoice
from growth_pipeline_tests.acceptance.oracle.plans import Plan, end_plan, provided, subscribe

# --- the mirror lacks what Stripe has, or has what Stripe lacks --------------------------------------


def _planted(company: Company, **how: Any) -> Plan:
    plan = subscribe(company, "planted", **how)
    company.plans.append(plan)
    return plan


def _not_heard(fate: str) -> Defect:
    """The event of a new subscription was lost, or came in and was not applied."""

    def plant(company: Company, _: Lenders) -> None:
        plan = _planted(company)
        plan.fates = {0: fate}
        cause = LOST if fate == "lost" else FAILED
        company.expect("subscription_missing", plan.id, cause, **{plan.currency: -plan.monthly})

    return plant


def _unknown_to_stripe(company: Company, _: Lenders) -> None:
    """An event told of a subscription that Stripe does not know in this account."""
    plan = _planted(company)
    drop(company.extra["subscriptions"], plan.subscription)
    company.expect("subscription_missing", plan.id, "", **{plan.currency: plan.monthly})


def _end_not_heard(company: Company, _: Lenders) -> None:
    plan = _planted(company)
    before = plan.monthly
    end_plan(company, plan)
    plan.fates = {1: "lost"}
    company.expect("subscription_status", plan.id, LOST, **{plan.currency: before})


def _failure_not_heard(company: Company, _: Lenders) -> None:
    """Past due at Stripe, active in the mirror: not final, and the same MRR on both sides."""
    plan = _planted(company)
    begun = dict(plan.subscription)
    since = max(company.as_of - 5 * DAY, plan.subscription["created"] + HOUR)
    plan.subscription["status"] = "past_due"
    plan.told = [
        ("customer.subscription.created", begun, begun["created"] + 1),
        ("customer.subscription.updated", plan.subscription, since),
    ]
    item = plan.subscription["items"]["data"][0]
    length = item["current_period_end"] - item["current_period_start"]
    item |= {"current_period_start": since, "current_period_end": since + length}
    provided(plan, access_ends_at=since + length)
    plan.fates = {1: "lost"}
    company.expect("subscription_status", plan.id, LOST, severity="MEDIUM")


def _change_not_heard(field: str) -> Defect:
    """The event of an upgrade was lost: mirror and application have the old plan, or fewer seats."""

    def plant(company: Company, _: Lenders) -> None:
        plan = _planted(company, number=0, quantity=2)
        before = {**plan.subscription, "items": dict(plan.subscription["items"])}
        item = before["items"]["data"][0]
        price = company.shop[2, plan.currency]
        change: Object = {"price": price} if field == "price" else {"quantity": 7}
        plan.subscription["items"] = {**before["items"], "data": [{**item, **change}]}
        at = before["created"]
        plan.told = [
            ("customer.subscription.created", before, at + 1),
            ("customer.subscription.updated", plan.subscription, at + HOUR),
        ]
        plan.fates = {1: "lost"}
        code = "tier_mismatch" if field == "price" else "quantity_mismatch"
        missing = 2 * (4_800 - 1_900) if field == "price" else 5 * 1_900
        company.expect(code, plan.id, LOST, **{plan.currency: -missing})

    return plant


# --- the application provides something else ------------------------------------------------------


def _no_access(how: str) -> Defect:
    def plant(company: Company, _: Lenders) -> None:
        plan = _planted(company)
        if how == "row":
            drop(company.entitlements, plan.entitlement)
        else:
            provided(plan, has_access=False)
        company.expect("paid_not_provisioned", plan.id, "")

    return plant


def _access_after_the_end(company: Company, _: Lenders) -> None:
    plan = _planted(company)
    before = plan.monthly
    end_plan(company, plan)
    provided(plan, access_ends_at=None)
    company.expect("provisioned_not_paid", plan.id, "", **{plan.currency: before})


def _another_plan(company: Company, _: Lenders) -> None:
    plan = _planted(company, number=0, quantity=1)
    price = company.shop[2, plan.currency]
    provided(plan, price_id=price["id"], mrr_minor=4_800)
    company.expect("tier_mismatch", plan.id, "", **{plan.currency: 4_800 - 1_900})


def _more_seats(company: Company, _: Lenders) -> None:
    plan = _planted(company, number=5, quantity=3)
    provided(plan, quantity=8, mrr_minor=8 * 1_200)
    company.expect("quantity_mismatch", plan.id, "", **{plan.currency: 5 * 1_200})


def _longer_access(company: Company, _: Lenders) -> None:
    plan = _planted(company)
    assert plan.entitlement is not None
    provided(plan, access_ends_at=plan.entitlement["access_ends_at"] + 40 * DAY)
    company.expect("period_mismatch", plan.id, "")


def _drifted(company: Company, _: Lenders) -> None:
    plan = _planted(company)
    provided(plan, mrr_minor=plan.monthly + 700)
    company.expect("mrr_drift", plan.id, "", **{plan.currency: 700})


def _twice(company: Company, _: Lenders) -> None:
    """Two checkouts of one customer: the second one is the surplus."""
    first = _planted(company, number=2, quantity=1)
    at = first.subscription["created"] + 1800
    second = _planted(
        company, number=2, quantity=1, created=at, customer=first.customer, currency=first.currency
    )
    drop(company.users, second.user)
    company.expect("duplicate_subscription", second.id, AT_STRIPE, **{second.currency: second.monthly})  # fmt: skip


# --- customers -----------------------------------------------------------------------------------


def _without_user(company: Company, _: Lenders) -> None:
    plan = _planted(company)
    drop(company.users, plan.user)
    company.expect("customer_unmapped", plan.customer["id"], "")


def _of_two_users(company: Company, _: Lenders) -> None:
    plan = _planted(company)
    company.user(plan.customer)
    company.expect("customer_shared", plan.customer["id"], "")


def _deleted(company: Company, _: Lenders) -> None:
    """The customer was deleted at Stripe; the user still points at it."""
    plan = _planted(company)
    end_plan(company, plan)
    provided(plan, has_access=False, mrr_minor=0, access_ends_at=plan.subscription["ended_at"])
    drop(company.extra["customers"], plan.customer)
    company.retired.append({"id": plan.customer["id"], "object": "customer", "deleted": True})
    at = plan.subscription["ended_at"] + 60
    company.told.append(an_event(company, "customer.deleted", plan.customer, at))
    company.expect("customer_deleted", plan.customer["id"], "")


def _other_mail(company: Company, _: Lenders) -> None:
    plan = _planted(company)
    assert plan.user is not None
    plan.user["email"] = f"other.{plan.user['email']}"
    company.expect("email_differs", plan.customer["id"], "")


def _renamed(company: Company, _: Lenders) -> None:
    """The customer's name changed at Stripe, and the event of it never came."""
    plan = _planted(company)
    before = dict(plan.customer)
    plan.customer["name"] = "Renamed"
    at = plan.subscription["created"] + HOUR
    company.told.append(an_event(company, "customer.created", before, before["created"] + 1))
    lost = an_event(company, "customer.updated", plan.customer, at)
    company.told.append(lost)
    company.unheard[lost["id"]] = "lost"
    plan.is_customer_told = True
    company.expect("stale_row", plan.customer["id"], LOST)


# --- invoices and credit notes ------------------------------------------------------------------------


def _paid_in_part_only(company: Company, _: Lenders) -> None:
    """Stripe says that an invoice is paid, and one of its payments is not there."""
    payment = with_invoice(company)
    invoice, join = payment.invoice, payment.join
    assert invoice is not None
    assert join is not None
    missing = 50
    invoice |= {key: invoice[key] + missing for key in ("total", "amount_due", "amount_paid")}
    company.expect("invoice_payment_sum", invoice["id"], AT_STRIPE, **{invoice["currency"]: -missing})  # fmt: skip


def _paid_outside_not_heard(company: Company, _: Lenders) -> None:
    """A bank transfer paid an invoice, and nothing of the invoice ever came: no row has its money."""
    start, end = company.focus
    currency = company.random.choice(company.currencies)
    until = min(end, company.as_of - 2 * HOUR)
    invoice = company.invoice(
        company.random.choice(company.customers), currency, company.money(currency),
        created=company.random.randint(start + 60, until - 60), paid=True,
    )  # fmt: skip
    for lost in recorded(company, invoice):
        company.told.append(lost)
        company.unheard[lost["id"]] = "lost"
    company.expect("missing_in_db", invoice["id"], LOST, **{currency: -invoice["amount_paid"]})


def _credit_not_heard(company: Company, _: Lenders) -> None:
    note = credit(company, with_invoice(company), 350)
    lost = an_event(company, "credit_note.created", note, note["created"])
    company.told.append(lost)
    company.unheard[lost["id"]] = "lost"
    company.expect("credit_note_unapplied", note["id"], LOST, **{note["currency"]: 350})


# --- payouts: planted once the balance is paid out -----------------------------------------------------


def _paid_payout(company: Company) -> Object:
    start, end = company.focus
    fitting = [
        one for one in company.payouts
        if start <= one["created"] < end and one["status"] == "paid" and one["automatic"] and "taken" not in one
    ]  # fmt: skip
    payout: Object = company.random.choice(fitting)
    payout["taken"] = True
    return payout


def _line_missing(company: Company, _: Lenders) -> None:
    """One of its lines is not among those that Stripe tells."""
    payout = _paid_payout(company)
    hidden: dict[str, Object] = company.hidden
    lines = [
        one for one in company.moves()
        if hidden.get(one["id"], {}).get("payout") == payout["id"] and one["type"] != "payout" and one["net"]
    ]  # fmt: skip
    missing = company.random.choice(lines)
    del hidden[missing["id"]]
    company.expect("payout_unbalanced", payout["id"], AT_STRIPE, **{payout["currency"]: -missing["net"]})  # fmt: skip


def _returned(status: str) -> Defect:
    def plant(company: Company, _: Lenders) -> None:
        payout = _paid_payout(company)
        at = min(payout["arrival_date"] + DAY, company.as_of - 2 * HOUR)
        category = "payout_failure" if status == "failed" else "payout_cancel"
        back = company.move(payout["amount"], payout["id"], at, payout["currency"], category)
        company.extra["balance_transactions"].append(back)
        payout |= {"status": status, "failure_balance_transaction": back["id"]}
        company.expect("payout_failed", payout["id"], AT_STRIPE, **{payout["currency"]: payout["amount"]})  # fmt: skip

    return plant


def _late(company: Company, _: Lenders) -> None:
    payout = _paid_payout(company)
    arrival = min(payout["arrival_date"], company.as_of - 6 * DAY)
    payout |= {
        "status": "in_transit",
        "reconciliation_status": "in_progress",
        "arrival_date": arrival,
    }
    company.expect("payout_late", payout["id"], AT_STRIPE)


# --- events --------------------------------------------------------------------------------------


def _of_unknown_version(company: Company, _: Lenders) -> None:
    """An event in a form that no adapter knows; the object's other events tell all of it."""
    plan = _planted(company)
    at = plan.subscription["created"] + 2
    odd = an_event(company, "customer.updated", plan.customer, at)
    odd["api_version"] = "2031-01-01.unheard"
    company.told.append(odd)
    company.expect("unknown_version", odd["id"], "delivered_and_quarantined")


BEYOND: Final[tuple[Defect, ...]] = (
    _not_heard("lost"),
    _not_heard("failed"),
    _unknown_to_stripe,
    _end_not_heard,
    _failure_not_heard,
    _change_not_heard("price"),
    _change_not_heard("quantity"),
    _no_access("row"),
    _no_access("flag"),
    _access_after_the_end,
    _another_plan,
    _more_seats,
    _longer_access,
    _drifted,
    _twice,
    _without_user,
    _of_two_users,
    _deleted,
    _other_mail,
    _renamed,
    _paid_in_part_only,
    _paid_outside_not_heard,
    _credit_not_heard,
    _of_unknown_version,
)
OF_PAYOUTS: Final[tuple[Defect, ...]] = (
    _line_missing,
    _returned("failed"),
    _returned("canceled"),
    _late,
)
