"""The sandbox's own addresses, `/_sandbox/...`: deliveries, faults, the truth. Not Stripe's."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from itertools import islice
from typing import Any, TypeVar

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from growth_pipeline.sandbox.company import Company, endpoint_of
from growth_pipeline.sandbox.faults import Fault
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.lists import RESOURCES
from growth_pipeline.sandbox.names import DAY
from growth_pipeline.sandbox.planting import plant
from growth_pipeline.sandbox.store import Store
from growth_pipeline.sandbox.stripe_server import Access, StripeServer, Tenant
from growth_pipeline.sandbox.usage import PEOPLE, calls_of
from growth_pipeline.sandbox.versions import family_of
from growth_pipeline.sandbox.view import event_body
from growth_pipeline.sandbox.webhooks import Deliveries, Delivery, Form, Order

_Made = TypeVar("_Made", Order, Fault)
_BLOCK = 2000
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class WrongRequestError(Exception):
    """A control request that cannot be meant so; its text says why."""


def create_app(
    store: Store,
    company: Company,
    access: Access,
    *,
    connected: Sequence[Tenant] = (),
    on_ready: Callable[[], None] | None = None,
) -> Starlette:
    """The whole server: Stripe's API under `/v1`, the controls under `/_sandbox`.

    `connected`: accounts that the key may ask about by `Stripe-Account`.
    """
    own = Tenant(store, company)
    stripe = StripeServer(own, access, connected)
    controls = _Controls((own, *connected), access, stripe)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if on_ready:
            on_ready()
        yield
        controls.deliveries.stop()

    def control(path: str, method: str, act: Callable[[Request, Json], Response]) -> Route:
        return Route(f"/_sandbox/{path}", controls.guarded(act), methods=[method])

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/v1/{path:path}", stripe.answer, methods=_METHODS),
            Route("/v2/core/events/{id}", stripe.answer_thin, methods=_METHODS),
            control("deliveries", "POST", controls.start_delivery),
            control("webhook_endpoints", "POST", controls.put_endpoint),
            control("deliveries/{id}", "GET", controls.show_delivery),
            control("deliveries/{id}", "DELETE", controls.stop_delivery),
            control("events", "GET", controls.show_events),
            control("truth", "GET", controls.show_truth),
            control("application", "GET", controls.show_application),
            control("contracts", "GET", controls.show_contracts),
            control("usage", "GET", controls.show_usage),
            control("plant", "POST", controls.plant),
            control("faults", "POST", controls.add_fault),
            control("faults", "GET", controls.show_faults),
            control("faults", "DELETE", controls.clear_faults),
            control("requests", "GET", controls.show_requests),
        ],
    )


class _Controls:
    """What the control addresses do. All answers are JSON."""

    def __init__(self, tenants: Sequence[Tenant], access: Access, stripe: StripeServer) -> None:
        self.deliveries = Deliveries()
        self._tenants = {tenant.account_id: tenant for tenant in tenants}
        self._own = tenants[0]
        self._key = access.api_key
        self._stripe = stripe

    def guarded(self, act: Callable[[Request, Json], Response]) -> Callable[[Request], Any]:
        """The same action behind the key, with its JSON body read."""

        async def answer(request: Request) -> Response:
            given = request.headers.get("x-sandbox-key", "")
            if not hmac.compare_digest(given.encode(), self._key.encode()):
                return _json({"error": "send the API key in X-Sandbox-Key"}, 401)
            try:
                raw = await request.body()
                body = orjson.loads(raw) if raw else {}
                if not isinstance(body, dict):
                    raise WrongRequestError("the body must be a JSON object")
                return act(request, body)
            except (WrongRequestError, orjson.JSONDecodeError, TypeError, ValueError) as error:
                return _json({"error": str(error)}, 400)

        return answer

    # --- deliveries ----------------------------------------------------------------------------

    def start_delivery(self, _: Request, body: Json) -> Response:
        """Begins to send events; planted losses are never sent."""
        if body.get("drop") == "planted":
            del body["drop"]
        for key in ("drop", "types"):
            if body.get(key) is not None:
                body[key] = frozenset(_ids(body[key], key))
        body["off"] = self._times_off(body.pop("off_days", None), body.get("off", ()))
        order = _made(Order, body)
        tenant = self._tenant(order.account)
        version = order.api_version or tenant.company.api_version
        if family_of(version) is None:
            raise WrongRequestError(f"{version} is no API version")
        form = Form(order, tenant.store, version)
        delivery = Delivery(order, form, on_acknowledged=tenant.store.mark_delivered)
        return _json({"delivery_id": self.deliveries.start(delivery)}, 202)

    def _tenant(self, account_id: str | None) -> Tenant:
        if account_id is None:
            return self._own
        if account_id not in self._tenants:
            known = ", ".join(self._tenants)
            raise WrongRequestError(f"{account_id} is no account here; there are: {known}")
        return self._tenants[account_id]

    def _times_off(self, days: float | None, spans: Any) -> tuple[tuple[int, int], ...]:
        """When the endpoint was disabled: in the last `days`, and in spans of epoch seconds."""
        off = [(int(start), int(end)) for start, end in spans]
        if days is not None:
            as_of = self._own.company.as_of
            off.append((as_of - round(days * DAY), as_of))
        return tuple(off)

    def show_delivery(self, request: Request, _: Json) -> Response:
        """How far a delivery is."""
        progress = self.deliveries.describe(request.path_params["id"])
        return _json(progress) if progress else _json({"error": "no such delivery"}, 404)

    def stop_delivery(self, request: Request, _: Json) -> Response:
        """Sends nothing more of a delivery."""
        delivery = self.deliveries.by_id.get(request.path_params["id"])
        if delivery is None:
            return _json({"error": "no such delivery"}, 404)
        delivery.stop()
        return self.show_delivery(request, {})

    def put_endpoint(self, _: Request, body: Json) -> Response:
        """Registers a webhook endpoint, or changes the one with this address."""
        unknown = set(body) - {"url", "api_version", "enabled_events", "status"}
        if unknown or not isinstance(body.get("url"), str):
            raise WrongRequestError("give url; and api_version, enabled_events, status if you like")
        endpoint = endpoint_of(self._own.company, **body)
        self._own.store.put(RESOURCES["webhook_endpoints"], endpoint)
        return _json(endpoint)

    def show_events(self, request: Request, _: Json) -> Response:
        """All events in order of time, one JSON object a line; lost ones too."""
        tenant = self._tenant(request.query_params.get("account"))
        store, version = tenant.store, tenant.company.api_version
        lines = (event_body(store, event.body, version) + b"\n" for event in store.events())
        return StreamingResponse(_in_blocks(lines), media_type="application/x-ndjson")

    # --- the truth -----------------------------------------------------------------------------

    def show_truth(self, request: Request, _: Json) -> Response:
        """The expected ledger (before tampering), what was planted, the months."""
        month = request.query_params.get("month")
        tenant = self._tenant(request.query_params.get("account"))
        truth = _in_blocks(self._truth(tenant, month))
        return StreamingResponse(truth, media_type="application/json")

    def _truth(self, tenant: Tenant, month: str | None) -> Iterator[bytes]:
        company = tenant.company
        planting = tenant.store.fact("planting") or {"problems": [], "tampering": []}
        head = {
            "account_id": company.account.id,
            "livemode": company.livemode,
            "api_version": company.api_version,
            "as_of": company.as_of,
            "months": company.month_keys,
            "closed_months": company.closed_months,
            "planted": [p for p in planting["problems"] if month in {None, p["month"]}],
            "tampering": planting["tampering"],
        }
        yield orjson.dumps(head)[:-1] + b',"payments":['
        separator = b""
        for row in tenant.store.ledger(month):
            yield separator + orjson.dumps(row)
            separator = b","
        yield b"]}"

    def show_application(self, request: Request, _: Json) -> Response:
        """What the company's application holds, one `[table, row]` a line; before tampering."""
        tenant = self._tenant(request.query_params.get("account"))
        lines = (orjson.dumps(row) + b"\n" for row in tenant.store.application())
        return StreamingResponse(_in_blocks(lines), media_type="application/x-ndjson")

    def show_contracts(self, request: Request, _: Json) -> Response:
        """What customers agreed to, one thing that happened a line."""
        tenant = self._tenant(request.query_params.get("account"))
        lines = (orjson.dumps(row) + b"\n" for row in tenant.store.contracts())
        return StreamingResponse(_in_blocks(lines), media_type="application/x-ndjson")

    def show_usage(self, request: Request, _: Json) -> Response:
        """What people did in the product, one call of the Segment protocol a line."""
        tenant = self._tenant(request.query_params.get("account"))
        lines = (
            orjson.dumps(call) + b"\n"
            for person in tenant.store.fact(PEOPLE)
            for call in calls_of(person, tenant.company.as_of)
        )
        return StreamingResponse(_in_blocks(lines), media_type="application/x-ndjson")

    def plant(self, _: Request, body: Json) -> Response:
        """Chooses the discrepancies; call it before the delivery that is to lose events."""
        months = body.get("months")
        if months is not None:
            unknown = set(_ids(months, "months")) - set(self._own.company.closed_months)
            if unknown:
                raise WrongRequestError(f"{', '.join(sorted(unknown))}: not a closed month here")
        return _json(plant(self._own.store, self._own.company, months))

    # --- faults --------------------------------------------------------------------------------

    def add_fault(self, _: Request, body: Json) -> Response:
        """Lets the next requests of a list go wrong."""
        self._stripe.faults.add(_made(Fault, body))
        return self.show_faults(_, body)

    def show_faults(self, _: Request, __: Json) -> Response:
        """The faults that still wait."""
        return _json({"waiting": [vars(fault) for fault in self._stripe.faults.waiting]})

    def clear_faults(self, _: Request, __: Json) -> Response:
        """Takes all faults away."""
        self._stripe.faults.waiting.clear()
        return self.show_faults(_, {})

    def show_requests(self, _: Request, __: Json) -> Response:
        """Answered requests by list and status."""
        return _json({"answered": dict(sorted(self._stripe.answered.items()))})


def _in_blocks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in larger pieces: each piece of a stream costs a change of threads."""
    while block := b"".join(islice(pieces, _BLOCK)):
        yield block


def _ids(value: Any, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise WrongRequestError(f"{name} must be a list of strings")
    return value


def _made(kind: type[_Made], body: Json) -> _Made:
    known = {one.name for one in fields(kind)}
    unknown = set(body) - known
    if unknown:
        allowed = ", ".join(sorted(known))
        raise WrongRequestError(f"unknown: {', '.join(sorted(unknown))}; known: {allowed}")
    return kind(**body)


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")
