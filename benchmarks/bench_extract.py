"""Lists of N objects into Parquet, from a local Stripe with its latency and its limits.

The server is a process of its own: 60 ms an answer, 100 requests a second for the account, 25 for
an endpoint, pages of 100 whole objects. What counts are ratios to what the limits allow, requests
to the least possible, and CPU an object; `auto_paging_iter` of Stripe's SDK runs beside it.
Run: `python benchmarks/bench_extract.py --objects 20000`. Prints one JSON line a run.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

KEY = "rk_live_BenchExtract0001"
VERSION = "2026-10-28.endive"
START, END = 1_759_276_800, 1_761_955_200  # October 2025
NOW = datetime(2025, 12, 1, tzinfo=UTC)
LISTS = ("payment_intents", "charges", "invoices", "subscriptions")
PAGE = 100
STATE_COLUMNS = ("id", "api_version", "fetched_from", "fetched_at", "raw")
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


# --- the server ----------------------------------------------------------------------------------


class Bucket:
    """Tokens at a rate, at most a second's worth saved."""

    def __init__(self, rate: float) -> None:
        self.rate = self.tokens = rate
        self.at = time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self.tokens = min(self.rate, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Lists:
    """Lists of equally spaced objects, made when asked for, so that the server stays small."""

    def __init__(self, count: int, latency: float, account: float, endpoint: float) -> None:
        self.count = count
        self.latency = latency
        self.account = Bucket(account)
        self.endpoints = {name: Bucket(endpoint) for name in LISTS}
        self.forms = forms()
        self.answers = {name: {200: 0, 429: 0} for name in LISTS}

    def answer(self, target: str) -> tuple[int, bytes]:
        parts = urlsplit(target)
        if parts.path == "/stats":
            return 200, json.dumps(self.answers).encode()
        name = parts.path.removeprefix("/v1/")
        reason = self._over(name)
        self.answers[name][429 if reason else 200] += 1
        if reason:
            return 429, b'{"error": {"message": "Too many requests", "type": "api_error"}}'
        return 200, self._page(name, dict(parse_qsl(parts.query)))

    def _over(self, name: str) -> bool:
        return not (self.endpoints[name].take() and self.account.take())

    def _page(self, name: str, params: dict[str, str]) -> bytes:
        prefix, form = self.forms[name]
        low = self._index(int(params.get("created[gte]", START)))
        high = self._index(int(params.get("created[lt]", END)))
        if cursor := params.get("starting_after"):
            high = min(high, int(cursor.rpartition("_")[2]))
        last = max(low, high - int(params.get("limit", 10)))
        data = b",".join(
            form % (b"%s_%09d" % (prefix, n), self._created(n), self._order(n))
            for n in range(high - 1, last - 1, -1)
        )
        more = b"true" if last > low else b"false"
        head = b'{"object":"list","url":"/v1/%s","has_more":%s,"data":[' % (name.encode(), more)
        return head + data + b"]}"

    def _created(self, n: int) -> int:
        return START + n * (END - START) // self.count

    def _order(self, n: int) -> bytes:
        """Something that differs from object to object, or files would shrink to nothing."""
        return hashlib.sha256(b"%d" % n).hexdigest().encode()

    def _index(self, second: int) -> int:
        """The first object of that second or later."""
        return max(0, min(self.count, -(-(second - START) * self.count // (END - START))))


class Http(asyncio.Protocol):
    """Just enough HTTP/1.1 to answer GET on connections that stay open."""

    def __init__(self, lists: Lists) -> None:
        self.lists = lists
        self.received = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, _, self.received = self.received.partition(b"\r\n\r\n")
            status, body = self.lists.answer(head.split(b" ", 2)[1].decode())
            date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
            limited = "Stripe-Rate-Limited-Reason: endpoint-rate\r\n" if status == 429 else ""
            head_line = (
                f"HTTP/1.1 {status} OK\r\nDate: {date}\r\nContent-Type: application/json\r\n"
                f"Stripe-Version: {VERSION}\r\n{limited}Content-Length: {len(body)}\r\n\r\n"
            ).encode()
            asyncio.get_running_loop().call_later(
                self.lists.latency, self.transport.write, head_line + body
            )


def forms() -> dict[str, tuple[bytes, bytes]]:
    """Id prefix and JSON of one object of each list, with places for id and second."""
    from growth_pipeline.sandbox import shapes

    price = shapes.price(
        "price_1",
        "prod_1",
        lookup_key="team-monthly",
        currency="usd",
        unit_amount=4900,
        interval="month",
        interval_count=1,
        tiers_mode=None,
        created=START,
        livemode=True,
    )
    item = shapes.subscription_item(
        "si_1", "sub_1", of=price, quantity=3, created=START, period=(START, END)
    )
    customer = shapes.customer(
        "cus_1",
        name="Aurora Example GmbH",
        email="billing@aurora.example",
        country="DE",
        invoice_prefix="A1B2C3D4",
        payment_method="pm_1",
        created=START,
        livemode=True,
    )
    intent = shapes.payment_intent(
        "pi_1",
        "cus_1",
        amount=14_700,
        currency="usd",
        description="Subscription update",
        capture_method="automatic_async",
        method_type="card",
        payment_method="pm_1",
        created=START,
        livemode=True,
    )
    card = shapes.card_details(14_700, brand="visa", last4="4242", country="DE")
    charge = shapes.charge("ch_1", intent, customer, method=card, created=START)
    line = shapes.invoice_line(
        "il_1",
        "in_1",
        item,
        amount=14_700,
        description="3 x Team (at $49.00 / month)",
        period=(START, END),
        invoice_item_id=None,
        credited_invoice=None,
        livemode=True,
    )
    one_item = {
        "object": "list",
        "data": [item],
        "has_more": False,
        "url": "/v1/subscription_items",
    }
    lines = {"object": "list", "data": [line], "has_more": False, "url": "/v1/invoices/in_1/lines"}
    subscription = shapes.subscription(
        "sub_1",
        "cus_1",
        currency="usd",
        status="active",
        items=one_item,
        trial=None,
        payment_method="pm_1",
        created=START,
        livemode=True,
    )
    invoice = shapes.invoice(
        "in_1",
        customer,
        currency="usd",
        reason="subscription_cycle",
        subscription_id="sub_1",
        lines=lines,
        subtotal=14_700,
        discount_amounts=[],
        discounts=[],
        period=(START, END),
        created=START,
        livemode=True,
    )
    made = {
        "payment_intents": (b"pi", intent),
        "charges": (b"ch", charge),
        "invoices": (b"in", invoice),
        "subscriptions": (b"sub", subscription),
    }
    return {name: (prefix, _form(found)) for name, (prefix, found) in made.items()}


def _form(found: dict[str, Any]) -> bytes:
    """One object as a format of bytes: id, second and order number come in this order."""
    ordered = {"id": "@id@", "object": found["object"], "created": "@at@"}
    rest = {name: found[name] for name in found if name not in {*ordered, "metadata"}}
    marked = json.dumps({**ordered, "metadata": {"order": "@n@"}, **rest}, separators=(",", ":"))
    form = marked.encode().replace(b"%", b"%%").replace(b'"@at@"', b"%d")
    return form.replace(b"@id@", b"%s").replace(b"@n@", b"%s")


async def serve(given: argparse.Namespace) -> None:
    lists = Lists(given.objects, given.latency, given.account, given.endpoint)
    server = await asyncio.get_running_loop().create_server(
        lambda: Http(lists), "127.0.0.1", 0, backlog=512
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# --- the clients ---------------------------------------------------------------------------------


def extract(given: argparse.Namespace) -> dict[str, Any]:
    """The product: the given lists of one month into the lake."""
    from growth_pipeline.billing.extract import Part, extract_lists
    from growth_pipeline.core.periods import Month
    from growth_pipeline.storage.lake import Lake
    from growth_pipeline.stripe_api.access import StripeAccess

    access = StripeAccess(
        api_key=KEY,
        api_base=given.base,
        api_version=VERSION,
        account_id="acct_bench",
        livemode=True,
        requests_per_second=given.account,
        endpoint_requests_per_second=given.endpoint,
        timeout_seconds=30,
        retry_seconds=60,
        budget_folder=Path(given.folder) / "limits",
    )
    lake = Lake(str(Path(given.folder) / "lake"))
    parts = [Part(name, Month(2025, 10)) for name in given.lists]
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    done = list(
        extract_lists(
            parts,
            accesses=[access],
            lake=lake,
            now=NOW,
            checkpoints=Path(given.folder) / "extracts",
        )
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    failed = [str(one.error) for one in done if one.error]
    if failed:
        raise SystemExit("; ".join(failed))
    manifests = [one.manifest for one in done if one.manifest]
    return {
        "objects": sum(one.row_count for one in manifests),
        "requests": sum(one.certificate["request_count"] for one in manifests),
        "windows": sum(len(one.certificate["windows"]) for one in manifests),
        "seconds": seconds,
        "cpu_seconds": _cpu(after) - _cpu(before),
        "peak_rss_mb": after.ru_maxrss * RSS_UNIT / 1e6,
        "rss_before_mb": before.ru_maxrss * RSS_UNIT / 1e6,
        "parquet_mb": sum(one.byte_count for one in manifests) / 1e6,
    }


def extract_into_postgres(given: argparse.Namespace) -> dict[str, Any]:
    """The product's backfill way: the lists into the lake, and from there into the mirror."""
    import orjson

    from growth_pipeline.billing.ledger import Fetched, apply_fetched
    from growth_pipeline.billing.objects import BY_RESOURCE
    from growth_pipeline.billing.store import BillingStore
    from growth_pipeline.billing.tables import ObjectKey
    from growth_pipeline.storage.embedded import start_embedded
    from growth_pipeline.storage.lake import Lake
    from growth_pipeline.storage.migrations import migrate
    from growth_pipeline.storage.postgres import Database

    server = start_embedded(Path(given.folder) / "postgres")
    try:
        migrate(server.url("growth"))
        result = extract(given)
        lake = Lake(str(Path(given.folder) / "lake"))
        manifests = [one for name in given.lists for one in lake.manifests(f"stripe/{name}")]
        before = resource.getrusage(resource.RUSAGE_SELF)
        started = time.perf_counter()
        with Database(server.url("growth")) as database:
            store = BillingStore(database)
            for manifest in manifests:
                kind = BY_RESOURCE[manifest.dataset.removeprefix("stripe/")].object
                states = (
                    Fetched(
                        ObjectKey("acct_bench", True, kind, id),
                        orjson.loads(raw),
                        raw.encode(),
                        version,
                        began,
                        ended,
                    )
                    for frame in lake.read_batches(manifest, STATE_COLUMNS)
                    for id, version, began, ended, raw in frame.iter_rows()
                )
                apply_fetched(store, states, source="backfill", now=NOW)
        seconds = time.perf_counter() - started
        cpu = _cpu(resource.getrusage(resource.RUSAGE_SELF)) - _cpu(before)
        return result | {"apply_seconds": seconds, "apply_cpu_seconds": cpu}
    finally:
        server.stop()


def page_with_sdk(given: argparse.Namespace) -> dict[str, Any]:
    """What most people write: the SDK's `auto_paging_iter`, one list after the other."""
    import stripe

    client = stripe.StripeClient(KEY, base_addresses={"api": given.base}, stripe_version=VERSION)
    stripe.enable_telemetry = False
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    objects = 0
    for name in given.lists:
        params = {"limit": PAGE, "created": {"gte": START, "lt": END}}
        found = getattr(client.v1, name).list(params).auto_paging_iter()
        objects += sum(1 for _, _ in zip(range(given.objects), found, strict=False))
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = time.perf_counter() - started
    return {"objects": objects, "seconds": seconds, "cpu_seconds": _cpu(after) - _cpu(before)}


def _cpu(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


# --- the benchmark -------------------------------------------------------------------------------


def run(given: argparse.Namespace) -> dict[str, Any]:
    """One measurement: a fresh server and a fresh client process."""
    rates = ["--account", str(given.account), "--endpoint", str(given.endpoint)]
    served = [*rates, "--objects", str(given.objects), "--latency", str(given.latency)]
    server = subprocess.Popen(
        [sys.executable, __file__, "--role", "server", *served], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        base = f"http://127.0.0.1:{int(server.stdout.readline())}"
        role = "postgres" if given.postgres else "extract"
        ours = _client(role, base, given, given.objects)
        answers = _stats(base)
        sdk = _client("sdk", base, given, given.sdk_objects) if given.sdk_objects else None
    finally:
        server.terminate()
        server.wait()
    ceiling = PAGE * min(given.account, given.endpoint * len(given.lists))
    least = len(given.lists) * -(-given.objects // PAGE)
    per_second = ours["objects"] / ours["seconds"]
    result = {
        "lists": len(given.lists),
        "objects_a_list": given.objects,
        "complete": ours["objects"] == given.objects * len(given.lists),
        "objects_per_second": round(per_second),
        "share_of_ceiling": round(per_second / ceiling, 3),
        "requests_to_least": round(ours["requests"] / least, 3),
        "windows": ours["windows"],
        "answers_429": sum(one["429"] for one in answers.values()),
        "cpu_us_per_object": round(ours["cpu_seconds"] / ours["objects"] * 1e6, 1),
        "peak_rss_mb": round(ours["peak_rss_mb"]),
        "rss_before_mb": round(ours["rss_before_mb"]),
        "parquet_mb": round(ours["parquet_mb"], 1),
        "seconds": round(ours["seconds"], 2),
    }
    if given.postgres:
        both = ours["objects"] / (ours["seconds"] + ours["apply_seconds"])
        result["into_postgres_per_second"] = round(ours["objects"] / ours["apply_seconds"])
        result["apply_cpu_us"] = round(ours["apply_cpu_seconds"] / ours["objects"] * 1e6)
        result["share_with_postgres"] = round(both / ceiling, 3)
    if sdk:
        rate = sdk["objects"] / sdk["seconds"]
        result["auto_paging_iter_per_second"] = round(rate)
        result["auto_paging_iter_cpu_us"] = round(sdk["cpu_seconds"] / sdk["objects"] * 1e6)
        result["times_faster"] = round(per_second / rate, 1)
    return result


def _client(role: str, base: str, given: argparse.Namespace, objects: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-extract-") as folder:
        asked = ["--role", role, "--base", base, "--folder", folder, "--objects", str(objects)]
        rates = ["--account", str(given.account), "--endpoint", str(given.endpoint)]
        done = subprocess.run(
            [sys.executable, __file__, *asked, *rates, "--lists", *given.lists],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _stats(base: str) -> dict[str, dict[str, int]]:
    import httpx

    answers: dict[str, dict[str, int]] = httpx.get(f"{base}/stats", trust_env=False).json()
    return answers


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--objects", type=int, default=20_000)
    arguments.add_argument("--lists", nargs="+", default=list(LISTS), choices=LISTS)
    arguments.add_argument("--latency", type=float, default=0.06, help="seconds an answer takes")
    arguments.add_argument("--account", type=float, default=100, help="requests a second")
    arguments.add_argument("--endpoint", type=float, default=25, help="requests a second")
    arguments.add_argument("--sdk-objects", type=int, default=1_000, help="of each list; 0: none")
    arguments.add_argument("--postgres", action="store_true", help="then into the mirror, too")
    arguments.add_argument("--role", default="bench", help=argparse.SUPPRESS)
    arguments.add_argument("--base", default="", help=argparse.SUPPRESS)
    arguments.add_argument("--folder", default="", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.role == "server":
        asyncio.run(serve(given))
        return
    roles = {
        "bench": run,
        "extract": extract,
        "postgres": extract_into_postgres,
        "sdk": page_with_sdk,
    }
    print(json.dumps(roles[given.role](given)))


if __name__ == "__main__":
    main()
