"""What Stripe told: events of a company's objects, as its list has them and as they arrived.

An event tells its object as it was then. Those of objects named in `lost` never arrived, those with
" failed" behind the name arrived and were not applied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from growth_pipeline_tests.acceptance.oracle.base import DAY, EVENT_DAYS, GRACE, VERSION, Object
from growth_pipeline_tests.acceptance.oracle.company import Company, Payment

_CHARGE_TYPES = {"succeeded": "charge.succeeded", "failed": "charge.failed", "pending": "charge.pending"}  # fmt: skip
_INTENT_TYPES = {
    "succeeded": "payment_intent.succeeded", "processing": "payment_intent.processing",
    "requires_payment_method": "payment_intent.payment_failed",
    "requires_capture": "payment_intent.amount_capturable_updated",
}  # fmt: skip
_REFUND_TYPES = {"failed": "refund.failed", "canceled": "refund.updated"}


@dataclass(frozen=True)
class Told:
    """One event and what became of it.

    `heard`; `lost`: it never arrived and Stripe has given up; `refused`: the endpoint did not take
    it and Stripe tries again; `failed`: it is stored and was never applied.
    """

    event: Object
    fate: str = "heard"


def an_event(
    company: Company, type: str, thing: Object, at: int, *, event_id: str = "", **more: Any
) -> Object:
    """An event with its object as it is given; its id follows from what it tells."""
    data: Object = {"object": dict(thing)}
    if type.endswith(".updated"):
        data["previous_attributes"] = more.pop("previous", {})
    return {
        "id": event_id or f"evt_{type.replace('.', '')}_{thing['id']}", "object": "event", "type": type,
        "created": at, "api_version": VERSION, "livemode": company.livemode, "pending_webhooks": 0,
        "request": {"id": None, "idempotency_key": None}, "data": data, **more,
    }  # fmt: skip


def told(company: Company) -> list[Told]:
    """All events of a company, oldest first; what arrived and what did not."""
    found = [one for payment in company.payments if payment.is_heard for one in _of_payment(company, payment)]  # fmt: skip
    found += [Told(one, company.unheard.get(one["id"], "heard")) for one in company.told]
    for one in found:
        one.event["pending_webhooks"] = int(one.fate == "refused")
    return sorted(found, key=lambda one: (one.event["created"], one.event["id"]))


def listed(company: Company) -> list[Object]:
    """Stripe's own list of events: the last thirty days before the lists were read, newest first."""
    since = company.as_of - EVENT_DAYS * DAY
    events = [one.event for one in told(company) if since <= one.event["created"] < company.as_of]
    return sorted(events, key=lambda event: (-event["created"], event["id"]))


def _fate(payment: Payment, object_id: str) -> str:
    if "*" in payment.lost or object_id in payment.lost:
        return "lost"
    return "failed" if f"{object_id} failed" in payment.lost else "heard"


def _of_payment(company: Company, payment: Payment) -> Iterator[Told]:
    charge = payment.charge
    at = charge["created"] + 1
    first = {**charge, "amount_refunded": 0, "refunded": False, "disputed": False}
    if payment.kind == "taken pending first":
        pending = {
            **first,
            "status": "pending",
            "paid": False,
            "captured": False,
            "amount_captured": 0,
        }
        pending["balance_transaction"] = None
        yield Told(an_event(company, "charge.pending", pending, at))
        yield Told(an_event(company, _CHARGE_TYPES[charge["status"]], charge, at + 60), "lost")
        return
    yield Told(an_event(company, _CHARGE_TYPES[charge["status"]], first, at), _fate(payment, charge["id"]))  # fmt: skip
    for thing, kinds in (
        (payment.intent, _INTENT_TYPES),
        (payment.invoice, {"paid": "invoice.paid"}),
    ):
        if thing is not None and thing["status"] in kinds:
            yield Told(an_event(company, kinds[thing["status"]], thing, at), _fate(payment, thing["id"]))  # fmt: skip
    if payment.join is not None and payment.join["status"] == "paid":
        yield Told(an_event(company, "invoice_payment.paid", payment.join, at), _fate(payment, payment.join["id"]))  # fmt: skip
    yield from _of_refunds(company, payment)
    yield from _of_disputes(company, payment)
    yield from _told_after(company, payment)


def _of_refunds(company: Company, payment: Payment) -> Iterator[Told]:
    given_back = 0
    for refund in sorted(payment.refunds, key=lambda one: one["created"]):
        fate = _fate(payment, refund["id"])
        at = refund["created"] + 1
        yield Told(an_event(company, _REFUND_TYPES.get(refund["status"], "refund.created"), refund, at), fate)  # fmt: skip
        if refund["status"] not in {"succeeded", "pending"}:
            continue
        given_back += refund["amount"]
        charge = {**payment.charge, "amount_refunded": given_back, "refunded": given_back == payment.amount}  # fmt: skip
        charge["disputed"] = any(one["created"] <= refund["created"] for one in payment.disputes)
        event = an_event(company, "charge.refunded", charge, at, event_id=f"evt_{refund['id']}")
        yield Told(event, fate)


def _of_disputes(company: Company, payment: Payment) -> Iterator[Told]:
    for dispute in payment.disputes:
        fate = _fate(payment, dispute["id"])
        at = dispute["created"] + 1
        yield Told(an_event(company, "charge.dispute.created", dispute, at), fate)
        charge = {**payment.charge, "disputed": True}
        charge["amount_refunded"] = sum(
            one["amount"] for one in payment.refunds
            if one["created"] <= dispute["created"] and one["status"] in {"succeeded", "pending"}
        )  # fmt: skip
        charge["refunded"] = charge["amount_refunded"] == payment.amount
        yield Told(an_event(company, "charge.updated", charge, at, event_id=f"evt_{dispute['id']}"), fate)  # fmt: skip


def _told_after(company: Company, payment: Payment) -> Iterator[Told]:
    """What changed after the lists were read: no list of events has it yet."""
    at = company.as_of + 250
    if (changed := company.now.get(payment.charge["id"])) is not None:
        yield Told(an_event(company, "charge.refunded", changed, at, event_id=f"evt_after_{changed['id']}"))  # fmt: skip
        refund = {
            "id": f"re_after{changed['id'][3:]}", "object": "refund", "amount": changed["amount_refunded"],
            "charge": changed["id"], "payment_intent": changed["payment_intent"], "currency": changed["currency"],
            "status": "succeeded", "created": at - 1, "balance_transaction": None,
            "failure_balance_transaction": None, "reason": None,
        }  # fmt: skip
        yield Told(an_event(company, "refund.created", refund, at))
    for dispute in payment.disputes:
        if (changed := company.now.get(dispute["id"])) is not None:
            yield Told(an_event(company, "charge.dispute.closed", changed, at))


def expect_gaps(company: Company) -> None:
    """A finding for each event that Stripe lists and nobody has, where its month is audited."""
    from growth_pipeline_tests.acceptance.oracle.base import month_of

    for one in told(company):
        at = one.event["created"]
        in_reach = company.as_of - EVENT_DAYS * DAY <= at < company.as_of - GRACE
        if one.fate in {"lost", "refused"} and in_reach and company.first <= at < company.until:
            severity = "HIGH" if at < company.as_of - 3 * DAY else "MEDIUM"
            company.expect_in(month_of(at), "event_gap", one.event["id"], "never_delivered", severity)  # fmt: skip
