"""A Stripe that only answers: the oracle's companies on loopback, by lists and one by one."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from growth_pipeline_tests.acceptance.oracle import events
from growth_pipeline_tests.acceptance.oracle.base import VERSION, Object
from growth_pipeline_tests.acceptance.oracle.company import Company
from growth_pipeline_tests.fakes.loopback_http import LoopbackServer

_NO_FILTERS = {"created[gte]", "created[lt]", "starting_after", "limit", "status"}
_GONE = {"error": {"code": "resource_missing", "param": "id", "message": "No such object"}}


class OracleStripe:
    """Serves companies on loopback: lists with `created` filters and cursors, single objects, 404s.

    One key a company. The Date header is the company's own instant: its lists were read then.
    Other filters of a list mean that a field of the object has that value, as `payout` of balance
    transactions, which no object shows.
    """

    def __init__(self) -> None:
        self._lists: dict[str, dict[str, list[Object]]] = {}
        self._ages: dict[str, dict[str, list[int]]] = {}
        self._places: dict[str, dict[str, dict[str, int]]] = {}
        self._single: dict[str, dict[tuple[str, str], Object]] = {}
        self._hidden: dict[str, dict[str, Object]] = {}
        self._as_of: dict[str, int] = {}
        self.requests = 0

    def add(self, key: str, company: Company) -> None:
        lists = company.lists() | {"events": events.listed(company)}
        self._lists[key] = lists
        self._ages[key] = {name: [-one["created"] for one in some] for name, some in lists.items()}
        self._places[key] = {
            name: {one["id"]: place for place, one in enumerate(some)}
            for name, some in lists.items()
        }
        self._as_of[key] = company.as_of
        self._hidden[key] = company.hidden
        self._single[key] = {(name, one["id"]): one for name, some in lists.items() for one in some}
        for one in (*company.retired, *company.now.values()):
            self._single[key][(_LIST_OF[one["object"]], one["id"])] = one

    def remove(self, key: str) -> None:
        for known in (
            self._lists,
            self._ages,
            self._places,
            self._single,
            self._hidden,
            self._as_of,
        ):
            known.pop(key)

    def answer(self, key: str, path: str, query: dict[str, list[str]]) -> tuple[int, Object]:
        self.requests += 1
        if key not in self._lists:
            return 401, {"error": {"message": "Invalid API Key"}}
        parts = path.strip("/").split("/")
        if len(parts) == 2:
            return 200, self._page(key, parts[1], query)
        found = self._single[key].get((parts[1], unquote(parts[2])))
        return (404, _GONE) if found is None else (200, found)

    def _page(self, key: str, resource: str, query: dict[str, list[str]]) -> Object:
        ages = self._ages[key][resource]
        start = bisect_left(ages, -int(query.get("created[lt]", ["99999999999"])[0]) + 1)
        end = bisect_left(ages, -int(query.get("created[gte]", ["0"])[0]) + 1)
        if after := query.get("starting_after", [""])[0]:
            start = max(start, self._places[key][resource].get(after, -1) + 1)
        asked = {
            name: values[0] for name, values in query.items()
            if name not in _NO_FILTERS and not name.startswith(("expand", "types"))
        }  # fmt: skip
        if asked:
            listed = self._lists[key][resource][start:end]
            fitting = [one for one in listed if self._fits(key, one, asked)]
            start, end = 0, len(fitting)
        else:
            fitting = self._lists[key][resource]
        last = min(end, start + int(query.get("limit", ["10"])[0]))
        return {
            "object": "list",
            "data": fitting[start:last],
            "has_more": last < end,
            "url": f"/v1/{resource}",
        }

    def _fits(self, key: str, one: Object, asked: dict[str, str]) -> bool:
        known = {**one, **self._hidden[key].get(one["id"], {})}
        known["delivery_success"] = str(one.get("pending_webhooks", 0) == 0).lower()
        return all(str(known.get(name)) == value for name, value in asked.items())

    def date(self, key: str) -> str:
        return format_datetime(datetime.fromtimestamp(self._as_of.get(key, 0), UTC), usegmt=True)

    @contextmanager
    def served(self) -> Iterator[str]:
        """Base address while the server runs."""
        oracle = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                key = self.headers.get("Authorization", "").removeprefix("Bearer ")
                url = urlsplit(self.path)
                status, content = oracle.answer(key, url.path, parse_qs(url.query))
                body = json.dumps(content, separators=(",", ":")).encode()
                self.send_response_only(status)
                for name, value in (
                    ("Date", oracle.date(key)), ("Content-Type", "application/json"), ("Content-Length", str(len(body))),
                    ("Request-Id", f"req_{oracle.requests}"), ("Stripe-Version", VERSION),
                ):  # fmt: skip
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = LoopbackServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


_LIST_OF = {
    "charge": "charges", "payment_intent": "payment_intents", "invoice": "invoices", "dispute": "disputes",
    "refund": "refunds", "customer": "customers", "subscription": "subscriptions", "payout": "payouts",
    "credit_note": "credit_notes", "balance_transaction": "balance_transactions", "price": "prices",
    "invoice_payment": "invoice_payments", "coupon": "coupons", "product": "products",
}  # fmt: skip
