"""Stripe's API over HTTP, as far as one reads it: lists, single objects, errors and limits."""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.company import EVENT_DAYS, Company
from growth_pipeline.sandbox.errors import ApiError, missing
from growth_pipeline.sandbox.expand import expand, split_paths
from growth_pipeline.sandbox.faults import Fault, Faults, Limiter, refusal
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.list_params import MAX_TYPES, check, limit_of, parse
from growth_pipeline.sandbox.lists import BY_OBJECT, RESOURCES, Resource
from growth_pipeline.sandbox.names import DAY, Names
from growth_pipeline.sandbox.store import Condition, Page, Row, Store

_LISTED = frozenset(RESOURCES) - {"discounts", "invoice_lines"}
_PAGING = frozenset({"limit", "starting_after", "ending_before", "expand"})
_BOUNDS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_ENDED = "status in ('canceled', 'incomplete_expired')"


@dataclass(frozen=True)
class Access:
    """Who may ask how often. Rates in requests a second; None is no limit.

    `latency_seconds`: added to every answer, as a network far away would.
    """

    api_key: str
    requests_per_second: float | None = None
    endpoint_requests_per_second: float | None = None
    latency_seconds: float = 0.0


class StripeServer:
    """Answers requests to `/v1/...` from a company's store."""

    def __init__(self, store: Store, company: Company, access: Access) -> None:
        self.faults = Faults()
        self.answered: Counter[str] = Counter()
        self._store = store
        self._company = company
        self._access = access
        self._limiter = Limiter(access.requests_per_second, access.endpoint_requests_per_second)
        self._names = Names(company.seed, "requests")

    async def answer(self, request: Request) -> Response:
        """One request's answer, errors included."""
        if self._access.latency_seconds:
            await asyncio.sleep(self._access.latency_seconds)
        request_id = self._names.new("req")
        headers = {
            "Request-Id": request_id,
            "Stripe-Request-Id": request_id,
            "Stripe-Version": shapes.API_VERSION,
        }
        steps = [step for step in request.path_params["path"].split("/") if step]
        endpoint = steps[0] if steps else ""
        try:
            self._authenticate(request.headers)
            self._check_version(request.headers.get("stripe-version"))
            self._limiter.admit(f"{endpoint}/{'one' if len(steps) > 1 else 'list'}")
            fault = self.faults.take(endpoint)
            body = await self._body(request, steps, fault)
            status = 200
        except ApiError as error:
            status, body = error.status, orjson.dumps({"error": error.body})
            headers |= error.headers
            fault = None
        self.answered[f"{endpoint} {status}"] += 1
        if fault and fault.kind == "reset":
            headers["Content-Length"] = str(len(body) + 1)  # the server breaks the connection
        return Response(body, status, headers, media_type="application/json")

    def _authenticate(self, headers: Mapping[str, str]) -> None:
        value = _key_in(headers.get("authorization", ""))
        if not value:
            raise ApiError(
                401,
                "You did not provide an API key. You need to provide your API key in the "
                "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
                "YOUR_SECRET_KEY').",
            )
        if not hmac.compare_digest(value.encode(), self._access.api_key.encode()):
            shown = f"{value[:8]}***{value[-4:]}"
            raise ApiError(401, f"Invalid API Key provided: {shown}")

    def _check_version(self, version: str | None) -> None:
        if version not in {None, shapes.API_VERSION}:
            message = (
                f"Invalid Stripe API version: {version}. This company speaks {shapes.API_VERSION}."
            )
            raise ApiError(400, message, code="invalid_api_version", param="Stripe-Version")

    async def _body(self, request: Request, steps: list[str], fault: Fault | None) -> bytes:
        if fault:
            refused = refusal(fault, steps[0], self._company.account.id)
            if refused:
                raise refused
            if fault.kind == "timeout":
                await asyncio.sleep(fault.seconds)
        query = parse(request.query_params.multi_items())
        if fault and fault.kind == "cursor_deleted" and "starting_after" in query:
            raise missing(steps[0], query["starting_after"], param="starting_after", status=400)
        body = self._route(request.method, request.url.path, steps, query)
        if fault and fault.kind == "empty_page":
            return body[: body.index(b'"data":[') + 8] + b'],"has_more":true}'
        return body[: len(body) // 2] if fault and fault.kind == "truncated" else body

    def _route(self, method: str, path: str, steps: list[str], query: Json) -> bytes:
        if method == "GET" and steps == ["account"]:
            created = self._company.start
            return orjson.dumps(shapes.account(self._company.account.id, created=created))
        if method == "GET" and steps and steps[0] in _LISTED:
            resource = RESOURCES[steps[0]]
            if len(steps) == 1:
                return self._list(resource, path, query)
            if len(steps) == 2:  # noqa: PLR2004 - /v1/<list>/<id>
                return self._one(resource, steps[1], query)
            if steps[0] == "invoices" and steps[2:] == ["lines"]:
                return self._lines(steps[1], path, query)
        raise ApiError(404, f"Unrecognized request URL ({method}: {path}).")

    # --- one object ----------------------------------------------------------------------------

    def _one(self, resource: Resource, object_id: str, query: Json) -> bytes:
        checked = check(query, f"{resource.sdk}RetrieveParams")
        row = self._store.find(resource, object_id)
        if row is None or (resource.name == "events" and row.created < self._oldest_event):
            raise missing(resource.object, object_id)
        return self._expanded([row.body], resource.object, checked, in_list=False)[0]

    def _expanded(
        self, bodies: list[bytes], kind: str, checked: Json, *, in_list: bool
    ) -> list[bytes]:
        paths = split_paths(kind, checked.get("expand", []), in_list=in_list)
        if not paths:
            return bodies
        objects = [orjson.loads(body) for body in bodies]
        for obj in objects:
            for steps in paths:
                expand(self._store, obj, steps)
        return [orjson.dumps(obj) for obj in objects]

    @property
    def _oldest_event(self) -> int:
        return self._company.as_of - EVENT_DAYS * DAY

    # --- lists ---------------------------------------------------------------------------------

    def _list(self, resource: Resource, path: str, query: Json) -> bytes:
        checked = check(query, f"{resource.sdk}ListParams")
        conditions = _conditions(resource, checked)
        if resource.name == "subscription_items" and "subscription" not in checked:
            message = "Missing required param: subscription."
            raise ApiError(400, message, code="parameter_missing", param="subscription")
        if resource.name == "events":
            conditions.append(Condition("created >= ?", (self._oldest_event,)))
        return self._page(resource, path, checked, conditions)

    def _lines(self, invoice_id: str, path: str, query: Json) -> bytes:
        checked = check(query, "InvoiceListLinesParams")
        if self._store.find(RESOURCES["invoices"], invoice_id) is None:
            raise missing("invoice", invoice_id)
        conditions = [Condition("invoice = ?", (invoice_id,))]
        return self._page(BY_OBJECT["line_item"], path, checked, conditions)

    def _page(
        self, resource: Resource, path: str, checked: Json, conditions: list[Condition]
    ) -> bytes:
        limit = limit_of(checked)
        if "starting_after" in checked and "ending_before" in checked:
            raise ApiError(400, "You may only specify one of these: ending_before, starting_after.")
        page: Page = self._store.page(
            resource,
            conditions,
            limit,
            after=self._cursor(resource, checked, "starting_after"),
            before=self._cursor(resource, checked, "ending_before"),
        )
        bodies = self._expanded(page.bodies, resource.object, checked, in_list=True)
        head = orjson.dumps({"object": "list", "url": path})[:-1]
        more = b"true" if page.has_more else b"false"
        return b'%s,"data":[%s],"has_more":%s}' % (head, b",".join(bodies), more)

    def _cursor(self, resource: Resource, checked: Json, name: str) -> Row | None:
        if name not in checked:
            return None
        row = self._store.find(resource, checked[name])
        if row is None or row.hidden:
            raise missing(resource.object, checked[name], param=name, status=400)
        return row


def _key_in(header: str) -> str:
    """The key of a Bearer or Basic header; empty if there is none."""
    kind, _, value = header.partition(" ")
    if kind.lower() != "basic":
        return value
    try:
        return base64.b64decode(value).decode().partition(":")[0]
    except ValueError:
        return ""


def _conditions(resource: Resource, checked: Json) -> list[Condition]:
    conditions = []
    for param, value in checked.items():
        name, _, bound = param.partition(".")
        if name in _PAGING:
            continue
        if resource.name == "subscriptions" and name in {"status", "price", "plan"}:
            conditions += _subscription_condition(name, value)
        elif name in resource.ranges:
            sign = _BOUNDS.get(bound, "=")
            conditions.append(Condition(f"{resource.ranges[name]} {sign} ?", (value,)))
        elif name in resource.among:
            conditions.append(_among(name, resource.among[name], value))
        else:
            conditions.append(Condition(f"{resource.same[param]} = ?", (value,)))
    if resource.name == "subscriptions" and "status" not in checked:
        conditions.append(Condition("status <> 'canceled'"))
    return conditions


def _among(name: str, column: str, values: list[Any]) -> Condition:
    if name == "types" and len(values) > MAX_TYPES:
        raise ApiError(400, f"You may list at most {MAX_TYPES} types.", param="types")
    return Condition(f"{column} in ({', '.join('?' * len(values))})", tuple(values))


def _subscription_condition(name: str, value: str) -> list[Condition]:
    if name in {"price", "plan"}:
        held = "select 1 from subscription_items i where i.subscription = subscriptions.id"
        return [Condition(f"exists ({held} and i.price = ?)", (value,))]
    if value == "all":
        return []
    if value == "ended":
        return [Condition(_ENDED)]
    return [Condition("status = ?", (value,))]
