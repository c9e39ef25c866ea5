"""A small Stripe on loopback whose lists misbehave on demand.

It shares no code with the product. What it accepts as a query comes from the SDK's `*ListParams`,
so a parameter that Stripe does not know is refused here too. A full Stripe is the sandbox.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import stripe.params

from growth_pipeline_tests.fakes.loopback_http import LoopbackServer

KEY = "rk_test_GrowthCanary7Q2mZx"
VERSION = "2026-10-28.endive"

_LIST_PARAMS = {
    "payment_intents": stripe.params.PaymentIntentListParams,
    "charges": stripe.params.ChargeListParams,
    "invoices": stripe.params.InvoiceListParams,
    "invoice_payments": stripe.params.InvoicePaymentListParams,
    "subscriptions": stripe.params.SubscriptionListParams,
    "customers": stripe.params.CustomerListParams,
    "refunds": stripe.params.RefundListParams,
    "disputes": stripe.params.DisputeListParams,
    "balance_transactions": stripe.params.BalanceTransactionListParams,
    "payouts": stripe.params.PayoutListParams,
    "credit_notes": stripe.params.CreditNoteListParams,
    "checkout/sessions": stripe.params.checkout.SessionListParams,
    "products": stripe.params.ProductListParams,
    "prices": stripe.params.PriceListParams,
    "coupons": stripe.params.CouponListParams,
    "promotion_codes": stripe.params.PromotionCodeListParams,
    "payment_methods": stripe.params.PaymentMethodListParams,
    "events": stripe.params.EventListParams,
    "subscription_items": stripe.params.SubscriptionItemListParams,
}
_RANGE = {f"created[{edge}]": "created" for edge in ("gte", "gt", "lte", "lt")}


@dataclass
class Request:
    """One request as it arrived."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]

    @property
    def resource(self) -> str:
        """The list's path below `/v1/`, with two parts for `checkout/sessions`."""
        return _split(self.path)[0]


@dataclass
class Reply:
    """One answer; `declared` is a Content-Length that lies, `pause` the seconds before it."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    declared: int | None = None
    pause: float = 0.0
    drop: bool = False
    drip: float = 0.0


Fault = Callable[["StripeListServer", Request], Reply]


class _Http(LoopbackServer):
    def __init__(self, stripe: StripeListServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stripe = stripe


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Http

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(parts.path, dict(parse_qsl(parts.query)), headers)
        self.server.stripe.requests.append(request)
        self._send(self.server.stripe.answer(request))

    def _send(self, reply: Reply) -> None:
        time.sleep(reply.pause)
        if reply.drop:
            self.close_connection = True
            return
        declared = len(reply.body) if reply.declared is None else reply.declared
        headers = {
            "Date": self.date_time_string(),
            "Content-Type": "application/json",
            "Request-Id": f"req_{len(self.server.stripe.requests)}",
            "Stripe-Version": self.server.stripe.version,
            "Content-Length": str(declared),
        } | reply.headers
        self.send_response_only(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self._write(reply)
        if declared != len(reply.body):
            self.close_connection = True

    def _write(self, reply: Reply) -> None:
        step = 1 if reply.drip else len(reply.body) or 1
        try:
            for start in range(0, len(reply.body), step):
                self.wfile.write(reply.body[start : start + step])
                time.sleep(reply.drip)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Silence."""


class StripeListServer:
    """Lists and objects of one account. `faults` are used up one a request, `key` is its key."""

    def __init__(self) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {}
        self.faults: deque[Fault | None] = deque()
        self.always: Fault | None = None
        self.requests: list[Request] = []
        self.version = VERSION
        self.key = KEY
        self._http = _Http(self)
        self._thread = Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> StripeListServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, request: Request) -> Reply:
        """What a request gets: a planned fault, or the truth."""
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return error(401, "Invalid API Key provided: rk_test_**************2mZx")
        fault = self.faults.popleft() if self.faults else self.always
        return fault(self, request) if fault else self.truth(request)

    def truth(self, request: Request) -> Reply:
        """The page or object as Stripe would give it."""
        if request.headers.get("stripe-version") != self.version:
            return error(400, "Invalid Stripe API version")
        resource, rest = _split(request.path)
        if len(rest) == 1:
            return self._one(resource, unquote(rest[0]))
        if len(rest) == 2 and rest[1] == "lines":
            owner = next(o for o in self.objects[resource] if o["id"] == rest[0])
            return self._page(owner["all_lines"], request)
        if unknown := _unknown_params(resource, request.params):
            return error(400, f"Received unknown parameter: {unknown}")
        return self._page(self._listed(resource, request.params), request)

    def _one(self, resource: str, id: str) -> Reply:
        for found in self.objects.get(resource, []):
            if found["id"] == id:
                return Reply(body=json.dumps(found).encode())
        return error(404, f"No such {resource}: '{id}'", code="resource_missing", param="id")

    def _listed(self, resource: str, params: dict[str, str]) -> list[dict[str, Any]]:
        objects = self.objects.get(resource, [])
        if "subscription" in params:
            return [o for o in objects if o["subscription"] == params["subscription"]]
        if resource == "subscriptions" and params.get("status") != "all":
            objects = [o for o in objects if o["status"] != "canceled"]
        gte, lt = int(params.get("created[gte]", 0)), int(params.get("created[lt]", 2**62))
        # Stripe sorts by time, newest first; what shares a second keeps its order.
        return sorted(
            (found for found in objects if gte <= found["created"] < lt),
            key=lambda found: -found["created"],
        )

    def _page(self, objects: list[dict[str, Any]], request: Request) -> Reply:
        start = 0
        if cursor := request.params.get("starting_after"):
            ids = [found["id"] for found in objects]
            if cursor not in ids:
                return error(
                    400,
                    f"No such object: '{cursor}'",
                    code="resource_missing",
                    param="starting_after",
                )
            start = ids.index(cursor) + 1
        limit = int(request.params.get("limit", 10))
        page = objects[start : start + limit]
        return a_list(page, has_more=start + limit < len(objects), url=request.path)


def a_list(page: list[dict[str, Any]], *, has_more: bool, url: str = "/v1/charges") -> Reply:
    """A list object as an answer."""
    listed = {"object": "list", "url": url, "has_more": has_more, "data": page}
    return Reply(body=json.dumps(listed).encode())


def error(http_status: int, message: str, **fields: Any) -> Reply:
    """An error as Stripe words it."""
    body = {"error": {"type": "invalid_request_error", "message": message} | fields}
    return Reply(status=http_status, body=json.dumps(body).encode())


def _split(path: str) -> tuple[str, list[str]]:
    """A path's list and what follows it: `/v1/invoices/in_1/lines` is `invoices`, `in_1`, `lines`."""
    parts = path.split("/")[2:]
    words = 2 if parts[0] == "checkout" else 1
    return "/".join(parts[:words]), parts[words:]


def _unknown_params(resource: str, params: dict[str, str]) -> str | None:
    known = _LIST_PARAMS[resource].__annotations__
    plain = {name: re.sub(r"^expand\[\d+\]$", "expand", name) for name in params}
    unknown = [name for name in params if _RANGE.get(name, plain[name]) not in known]
    return unknown[0] if unknown else None


# --- faults --------------------------------------------------------------------------------------


def status(code: int, **headers: str) -> Fault:
    """An error answer; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def fault(_: StripeListServer, __: Request) -> Reply:
        reply = error(code, "Try again later")
        reply.headers = named
        return reply

    return fault


def says(http_status: int, message: str, **fields: Any) -> Fault:
    """An error answer with Stripe's own sentence."""
    return lambda _, __: error(http_status, message, **fields)


def html(_: StripeListServer, __: Request) -> Reply:
    """Somebody's login page with 200."""
    return Reply(body=b"<html><body>Sign in</body></html>", headers={"Content-Type": "text/html"})


def cut_json(server: StripeListServer, request: Request) -> Reply:
    """Half of the JSON, with an honest Content-Length."""
    whole = server.truth(request).body
    return Reply(body=whole[: len(whole) // 2])


def cut_body(server: StripeListServer, request: Request) -> Reply:
    """Half of the bytes that Content-Length promises, then the connection ends."""
    whole = server.truth(request).body
    return Reply(body=whole[: len(whole) // 2], declared=len(whole))


def cut_list(server: StripeListServer, request: Request) -> Reply:
    """JSON that is whole but is no list."""
    return Reply(body=b'{"object": "list", "data": null}')


def empty_with_more(_: StripeListServer, __: Request) -> Reply:
    """No objects, and the promise of more."""
    return a_list([], has_more=True)


def repeated_page(server: StripeListServer, request: Request) -> Reply:
    """The first page again, whatever the cursor."""
    without = {k: v for k, v in request.params.items() if k != "starting_after"}
    return server.truth(Request(request.path, without, request.headers))


def repeated_last_page(server: StripeListServer, request: Request) -> Reply:
    """The first page again, and the claim that it is the last."""
    body = json.loads(repeated_page(server, request).body) | {"has_more": False}
    if "starting_after" not in request.params:
        return server.truth(request)
    return Reply(body=json.dumps(body).encode())


def moved_object(server: StripeListServer, request: Request) -> Reply:
    """The page, opened by the object that ended the page before."""
    reply = server.truth(request)
    cursor = request.params.get("starting_after")
    if cursor is None:
        return reply
    moved = [o for o in server.objects[request.resource] if o["id"] == cursor]
    body = json.loads(reply.body)
    return Reply(body=json.dumps(body | {"data": moved + body["data"]}).encode())


def other_window(server: StripeListServer, request: Request) -> Reply:
    """A page that ignores the filter on `created`."""
    without = {k: v for k, v in request.params.items() if not k.startswith("created")}
    return server.truth(Request(request.path, without, request.headers))


def deleted_cursor(server: StripeListServer, request: Request) -> Reply:
    """The cursor object is deleted just before the page is asked for."""
    objects = server.objects.get(request.resource, [])
    cursor = request.params.get("starting_after")
    server.objects[request.resource] = [found for found in objects if found["id"] != cursor]
    return server.truth(request)


def drop(_: StripeListServer, __: Request) -> Reply:
    """The connection ends without an answer."""
    return Reply(drop=True)


def late(seconds: float) -> Fault:
    """The right answer, later than anybody waits."""

    def fault(server: StripeListServer, request: Request) -> Reply:
        reply = server.truth(request)
        reply.pause = seconds
        return reply

    return fault


def dripping(seconds: float) -> Fault:
    """The right answer, one byte every so often, so that no single read is late."""

    def fault(server: StripeListServer, request: Request) -> Reply:
        reply = server.truth(request)
        reply.drip = seconds
        return reply

    return fault
