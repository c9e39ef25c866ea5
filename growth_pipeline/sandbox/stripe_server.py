"""Stripe's API over HTTP, as far as one reads it: lists, single objects, errors and limits."""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson
from starlette.requests import Request
from starlette.responses import Response

from growth_pipeline.sandbox.api import Api
from growth_pipeline.sandbox.company import Company
from growth_pipeline.sandbox.errors import ApiError, missing
from growth_pipeline.sandbox.faults import Fault, Faults, Limiter, refusal
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.list_params import check, parse
from growth_pipeline.sandbox.lists import RESOURCES, locate
from growth_pipeline.sandbox.names import Names
from growth_pipeline.sandbox.store import Store
from growth_pipeline.sandbox.thin import full, snapshot_id
from growth_pipeline.sandbox.versions import family_of


@dataclass(frozen=True)
class Access:
    """Who may ask how often. Rates in requests a second; None is no limit.

    `latency_seconds`: added to every answer, as a network far away would.
    """

    api_key: str
    requests_per_second: float | None = None
    endpoint_requests_per_second: float | None = None
    latency_seconds: float = 0.0


@dataclass(frozen=True)
class Tenant:
    """One account: its company and where that is kept."""

    store: Store
    company: Company

    @property
    def account_id(self) -> str:
        """Id of the account."""
        return self.company.account.id


class StripeServer:
    """Answers requests to `/v1/...` for the key's own account, and for accounts connected to it."""

    def __init__(self, tenant: Tenant, access: Access, connected: Sequence[Tenant] = ()) -> None:
        self.faults = Faults()
        self.answered: Counter[str] = Counter()
        self._own = tenant
        self._tenants = {one.account_id: one for one in (tenant, *connected)}
        self._access = access
        self._limiters = {
            account_id: Limiter(access.requests_per_second, access.endpoint_requests_per_second)
            for account_id in self._tenants
        }
        self._names = Names(tenant.company.seed, "requests")

    async def answer(self, request: Request) -> Response:
        """One request's answer to an address of the first API, errors included."""
        path = request.path_params["path"]
        place = locate(path)
        label = place.resource.path if place else path.strip("/").partition("/")[0]
        return await self._answer(request, label, place.endpoint if place else label, self._first)

    async def answer_thin(self, request: Request) -> Response:
        """One thin event by its id, at its address in the second API."""
        return await self._answer(request, "v2 events", "v2 events", self._second)

    async def _answer(
        self, request: Request, label: str, endpoint: str, answering: Callable[[Request], bytes]
    ) -> Response:
        if self._access.latency_seconds:
            await asyncio.sleep(self._access.latency_seconds)
        request_id = self._names.new("req")
        headers = {
            "Request-Id": request_id,
            "Stripe-Request-Id": request_id,
            "Stripe-Version": self._version(request),
        }
        try:
            self._authenticate(request.headers)
            self._check_version(self._version(request))
            self._limiters[self._tenant(request).account_id].admit(endpoint)
            fault = self.faults.take(label)
            body = await self._body(request, label, fault, answering)
            status = 200
        except ApiError as error:
            status, body = error.status, orjson.dumps({"error": error.body})
            headers |= error.headers
            fault = None
        self.answered[f"{label} {status}"] += 1
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

    def _version(self, request: Request) -> str:
        return str(request.headers.get("stripe-version", self._own.company.api_version))

    def _check_version(self, version: str) -> None:
        if family_of(version) is None:
            message = f"Invalid Stripe API version: {version}."
            raise ApiError(400, message, code="invalid_api_version", param="Stripe-Version")

    def _tenant(self, request: Request) -> Tenant:
        """The account that a request is about: its own, or the one that a header names."""
        headers = request.headers
        wanted = headers.get("stripe-account") or headers.get("stripe-context")
        if wanted is None:
            return self._own
        if wanted not in self._tenants:
            key = f"{self._access.api_key[:8]}***"
            raise ApiError(
                403,
                f"The provided key '{key}' does not have access to account '{wanted}' (or that "
                "account does not exist). Application access may have been revoked.",
                code="account_invalid",
            )
        return self._tenants[wanted]

    async def _body(
        self,
        request: Request,
        label: str,
        fault: Fault | None,
        answering: Callable[[Request], bytes],
    ) -> bytes:
        if fault:
            refused = refusal(fault, label, self._tenant(request).account_id)
            if refused:
                raise refused
            if fault.kind == "timeout":
                await asyncio.sleep(fault.seconds)
        query = parse(request.query_params.multi_items())
        if fault and fault.kind == "cursor_deleted" and "starting_after" in query:
            raise missing(label, query["starting_after"], param="starting_after", status=400)
        if request.method != "GET":
            message = f"Unrecognized request URL ({request.method}: {request.url.path})."
            raise ApiError(404, message)
        body = answering(request)
        if fault and fault.kind == "empty_page":
            return body[: body.index(b'"data":[') + 8] + b'],"has_more":true}'
        return body[: len(body) // 2] if fault and fault.kind == "truncated" else body

    def _first(self, request: Request) -> bytes:
        path, query = request.path_params["path"], parse(request.query_params.multi_items())
        if path.strip("/").partition("/")[0] == "accounts":
            return self._accounts(path.strip("/").partition("/")[2], query)
        tenant = self._tenant(request)
        return Api(tenant.store, tenant.company, self._version(request)).answer(path, query)

    def _accounts(self, account_id: str, query: Json) -> bytes:
        """An account by its id, or the list of those that are connected."""
        if account_id:
            check(query, "AccountRetrieveParams")
            if account_id not in self._tenants:
                raise missing("account", account_id)
            return orjson.dumps(self._tenants[account_id].company.shown)
        check(query, "AccountListParams")
        connected = [t.company.shown for t in self._tenants.values() if t is not self._own]
        page = {"object": "list", "url": "/v1/accounts", "data": connected, "has_more": False}
        return orjson.dumps(page)

    def _second(self, request: Request) -> bytes:
        tenant, event_id = self._tenant(request), request.path_params["id"]
        context = None if tenant is self._own else tenant.account_id
        row = tenant.store.find(RESOURCES["events"], snapshot_id(event_id) or event_id)
        if row is None or snapshot_id(event_id) is None:
            raise missing("event", event_id)
        return full(row.body, context)


def _key_in(header: str) -> str:
    """The key of a Bearer or Basic header; empty if there is none."""
    kind, _, value = header.partition(" ")
    if kind.lower() != "basic":
        return value
    try:
        return base64.b64decode(value).decode().partition(":")[0]
    except ValueError:
        return ""
