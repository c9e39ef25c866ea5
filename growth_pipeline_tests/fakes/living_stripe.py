"""A Stripe on loopback whose account lives: objects change, each change is an event, old ones vanish.

Truth is kept by a plain dictionary; nothing is shared with the product. Its clock is simulated,
also in the `Date` header. Events are listed for 30 days, as Stripe does.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import stripe.params
import stripe.params.checkout

from growth_pipeline_tests.fakes import stripe_events as shapes
from growth_pipeline_tests.fakes.stripe_list_server import (
    KEY,
    Reply,
    Request,
    StripeListServer,
    error,
)

Json = dict[str, Any]
DAY = 86_400
KEPT = 30 * DAY

PATHS = {
    "customer": "customers",
    "subscription": "subscriptions",
    "invoice": "invoices",
    "invoice_payment": "invoice_payments",
    "payment_intent": "payment_intents",
    "charge": "charges",
    "refund": "refunds",
    "dispute": "disputes",
    "payout": "payouts",
    "balance_transaction": "balance_transactions",
    "credit_note": "credit_notes",
    "checkout.session": "checkout/sessions",
    "product": "products",
    "price": "prices",
    "coupon": "coupons",
    "promotion_code": "promotion_codes",
    "subscription_schedule": "subscription_schedules",
    "invoiceitem": "invoiceitems",
    "plan": "plans",
    "event": "events",
}
_PARAMS = {
    "customers": stripe.params.CustomerListParams,
    "subscriptions": stripe.params.SubscriptionListParams,
    "invoices": stripe.params.InvoiceListParams,
    "invoice_payments": stripe.params.InvoicePaymentListParams,
    "payment_intents": stripe.params.PaymentIntentListParams,
    "charges": stripe.params.ChargeListParams,
    "refunds": stripe.params.RefundListParams,
    "disputes": stripe.params.DisputeListParams,
    "payouts": stripe.params.PayoutListParams,
    "balance_transactions": stripe.params.BalanceTransactionListParams,
    "credit_notes": stripe.params.CreditNoteListParams,
    "checkout/sessions": stripe.params.checkout.SessionListParams,
    "products": stripe.params.ProductListParams,
    "prices": stripe.params.PriceListParams,
    "coupons": stripe.params.CouponListParams,
    "promotion_codes": stripe.params.PromotionCodeListParams,
    "subscription_schedules": stripe.params.SubscriptionScheduleListParams,
    "invoiceitems": stripe.params.InvoiceItemListParams,
    "plans": stripe.params.PlanListParams,
    "events": stripe.params.EventListParams,
    "subscription_items": stripe.params.SubscriptionItemListParams,
}
_NESTED = {"invoices": "lines", "subscriptions": "items"}
_INSIDE = 10


@dataclass
class Account:
    """What is true, at the simulated instant `now` (epoch seconds)."""

    now: int
    objects: dict[tuple[str, str], Json] = field(default_factory=dict)
    deleted: dict[tuple[str, str], Json] = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)
    receiver_is_on: bool = True
    delivered: list[bytes] = field(default_factory=list)

    def create(self, payload: Json, type: str | None = None) -> Json:
        """Make an object; its family's `created` event, or the one named, tells of it."""
        made = copy.deepcopy(payload) | {"created": self.now, "livemode": False}
        self.objects[made["object"], made["id"]] = made
        self.tell(type or f"{_family(made['object'])}.created", made)
        return made

    def change(self, kind: str, id: str, type: str | None, **changes: Any) -> None:
        """Change fields; the event of this type tells of it, None for a change without event."""
        state = self.objects[kind, id]
        previous = {}
        for name, value in changes.items():
            if state.get(name) != value:
                previous[name] = copy.deepcopy(state.get(name))
                state[name] = copy.deepcopy(value)
        if type is not None:
            self.tell(type, state, previous if type.endswith(".updated") else None)

    def delete(self, kind: str, id: str) -> None:
        """Delete an object; its `deleted` event shows it for the last time."""
        gone = self.objects.pop((kind, id))
        self.deleted[kind, id] = gone
        self.tell(f"{_family(kind)}.deleted", gone)

    def tell(self, type: str, payload: Json, previous: Json | None = None) -> Json:
        """One event; delivered at once while the receiver is on."""
        event = json.loads(
            shapes.an_event(
                type,
                as_told(payload),
                id=f"evt_{len(self.events):08}",
                created=self.now,
                previous=_cut(payload["object"], payload["id"], previous),
            )
        )
        self.events.append(event)
        if self.receiver_is_on:
            self.delivered.append(json.dumps(event).encode())
        event["_delivered"] = self.receiver_is_on
        return event

    def listed_events(self) -> list[Json]:
        """Events that Stripe still lists, newest first."""
        return [event for event in reversed(self.events) if event["created"] > self.now - KEPT]

    def take_delivered(self) -> list[bytes]:
        """Bodies that reached the receiver since the last call."""
        taken, self.delivered = self.delivered, []
        return taken


class LivingStripe(StripeListServer):
    """The account behind HTTP. `requests` are all that were made, `shown` what lists showed."""

    def __init__(self, account: Account) -> None:
        super().__init__()
        self.account = account
        self.unreadable: set[str] = set()
        self.shown: set[tuple[str, str]] = set()

    def answer(self, request: Request) -> Reply:
        reply = super().answer(request)
        reply.headers = {"Date": formatdate(self.account.now, usegmt=True)} | reply.headers
        return reply

    def truth(self, request: Request) -> Reply:
        if request.headers.get("stripe-version") != self.version:
            return error(400, "Invalid Stripe API version")
        path = request.path.removeprefix("/v1/")
        if path in _PARAMS:
            return self._list(path, request)
        resource, _, rest = path.rpartition("/")
        if resource in _PARAMS:
            return self._retrieve(resource, rest)
        owner_path, _, owner = resource.rpartition("/")
        if _NESTED.get(owner_path) == rest:
            kind = owner_path.removesuffix("s")
            return self._page(self.account.objects[kind, owner][rest]["data"], request)
        return error(404, f"Unrecognized request URL (GET: {request.path})")

    def _list(self, path: str, request: Request) -> Reply:
        if path in self.unreadable:
            return error(403, f"The key lacks the right to read {path}")
        known = _PARAMS[path].__annotations__
        for name in request.params:
            if name.partition("[")[0] not in known:
                return error(400, f"Received unknown parameter: {name}")
        if path == "subscription_items":
            owner = self.account.objects["subscription", request.params["subscription"]]
            return self._page(owner["items"]["data"], request)
        found = list(self._matching(path, request.params))
        self.shown |= {(path, one["id"]) for one in found}
        return self._page([as_told(one) for one in found], request)

    def _matching(self, path: str, params: dict[str, str]) -> Iterator[Json]:
        gte, lt = int(params.get("created[gte]", 0)), int(params.get("created[lt]", 2**62))
        for found in self._newest_first(path):
            if not gte <= found["created"] < lt:
                continue
            if "delivery_success" in params and found["_delivered"] != (
                params["delivery_success"] == "true"
            ):
                continue
            if not _is_of(found, params):
                continue
            if _has_status(path, found, params.get("status")):
                yield found

    def _newest_first(self, path: str) -> list[Json]:
        if path == "events":
            return self.account.listed_events()
        kind = next(kind for kind, its in PATHS.items() if its == path)
        of_kind = [one for (name, _), one in self.account.objects.items() if name == kind]
        return sorted(reversed(of_kind), key=lambda one: -one["created"])

    def _retrieve(self, path: str, id: str) -> Reply:
        kind = next(kind for kind, its in PATHS.items() if its == path)
        found = self.account.objects.get((kind, id))
        if kind == "event":
            listed = self.account.listed_events()
            found = next((event for event in listed if event["id"] == id), None)
        if found is not None:
            return Reply(body=json.dumps(as_told(found)).encode())
        if kind == "customer" and (kind, id) in self.account.deleted:
            gone = {"id": id, "object": kind, "deleted": True}
            return Reply(body=json.dumps(gone).encode())
        return error(404, f"No such {kind}: '{id}'", code="resource_missing", param="id")


def _family(kind: str) -> str:
    return {"subscription": "customer.subscription", "dispute": "charge.dispute"}.get(kind, kind)


def _is_of(found: Json, params: dict[str, str]) -> bool:
    """Whether an object belongs to the ones that a list is asked for: `charge`, `invoice`, ..."""
    paid_by = found.get("payment", {})
    held = found | {f"payment[{name}]": value for name, value in paid_by.items()}
    return all(held.get(name) == params[name] for name in _OWNERS if name in params)


_OWNERS = ("charge", "payment_intent", "invoice", "payment[type]", "payment[payment_intent]")


def _has_status(path: str, found: Json, wanted: str | None) -> bool:
    if path == "subscriptions":
        if wanted is None:
            return found["status"] != "canceled"
        return wanted in ("all", found["status"])
    return wanted is None or found["status"] == wanted


def as_told(found: Json) -> Json:
    """An object as an answer or event holds it: a copy, its inner list cut after ten."""
    told: Json = _cut(found["object"], found["id"], found)
    return told


def _cut(kind: str, id: str, fields: Json | None) -> Any:
    """A copy of fields of an object, without our notes, an inner list cut after ten."""
    if fields is None:
        return None
    shown = {name: copy.deepcopy(v) for name, v in fields.items() if not name.startswith("_")}
    inner = _NESTED.get(PATHS.get(kind, ""))
    if inner in shown:
        data = shown[inner]["data"]
        url = (
            f"/v1/subscription_items?subscription={id}"
            if kind == "subscription"
            else f"/v1/{PATHS[kind]}/{id}/{inner}"
        )
        cut = {"data": data[:_INSIDE], "has_more": len(data) > _INSIDE, "url": url}
        shown[inner] = shown[inner] | cut
    return shown


__all__ = ["DAY", "KEPT", "KEY", "PATHS", "Account", "LivingStripe"]
