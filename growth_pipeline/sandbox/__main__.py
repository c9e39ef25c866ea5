"""`python -m growth_pipeline.sandbox`: serve the company, or tamper with booked rows."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import httpx
import orjson
import psycopg
import typer
import uvicorn
from rich.console import Console

from growth_pipeline.sandbox.application import write as write_application
from growth_pipeline.sandbox.company import Company, build, now_hour
from growth_pipeline.sandbox.control import create_app
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.shapes import API_VERSION
from growth_pipeline.sandbox.store import Store
from growth_pipeline.sandbox.stripe_server import Access, Tenant
from growth_pipeline.sandbox.tamper import MissingRowsError, tamper
from growth_pipeline.sandbox.usage import tell
from growth_pipeline.sandbox.versions import family_of

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
_console = Console(stderr=True, highlight=False)
_STRIPE_RATES = {True: 100.0, False: 25.0}
_ENDPOINT_RATE = 25.0
_MAX_EVENT_SCALE = 50


Port = Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.")]
Seed = Annotated[int, typer.Option(help="Another seed, another company.")]
Months = Annotated[int, typer.Option(min=1, help="Calendar months of history.")]
Customers = Annotated[int, typer.Option(min=1, help="Customers, before --scale.")]
Scale = Annotated[int, typer.Option(min=1, help="Multiplies the customers.")]
AsOf = Annotated[
    str | None, typer.Option(help="ISO instant the history ends at; default: this hour.")
]
Variety = Annotated[
    bool, typer.Option("--variety", help="Customers do anything that contracts allow, at random.")
]
ApiVersion = Annotated[str, typer.Option(help="The account's own API version.")]
Connected = Annotated[
    bool, typer.Option("--connected", help="A second account, connected to the first.")
]
Livemode = Annotated[bool, typer.Option("--livemode/--testmode", help="Mode of the account.")]
ApiKey = Annotated[
    str | None, typer.Option(help="Key to ask with; default: rk_test_sandbox or rk_live_sandbox.")
]
Rate = Annotated[
    float | None,
    typer.Option(min=0, help="Account limit; 0: none; default: Stripe's 100 live, 25 test."),
]
EndpointRate = Annotated[
    float | None,
    typer.Option(min=0, help="Limit of one endpoint; default: 25, or the account limit if given."),
]
Latency = Annotated[float, typer.Option(min=0, help="Added to every answer.")]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Keeps the company here and uses it again; default: a temporary folder."),
]
ReadyFile = Annotated[
    Path | None, typer.Option(help="Written when the server answers: JSON with its url.")
]
Control = Annotated[str, typer.Option(help="Address of the running sandbox.")]
DatabaseUrl = Annotated[
    str,
    typer.Option(envvar="SANDBOX_DATABASE_URL", show_envvar=True, help="The product's database."),
]


@app.command()
def serve(
    *,
    port: Port = 0,
    seed: Seed = 1,
    months: Months = 13,
    customers: Customers = 80,
    scale: Scale = 1,
    variety: Variety = False,
    as_of: AsOf = None,
    api_key: ApiKey = None,
    livemode: Livemode = False,
    api_version: ApiVersion = API_VERSION,
    connected: Connected = False,
    requests_per_second: Rate = None,
    endpoint_requests_per_second: EndpointRate = None,
    latency_ms: Latency = 0.0,
    data_dir: DataDir = None,
    ready_file: ReadyFile = None,
) -> None:
    """Build the company and serve its Stripe API until Ctrl-C or SIGTERM."""
    company = _company(seed, months, customers, scale, as_of, livemode=livemode)
    company = replace(company, variety=variety)
    company = replace(company, api_version=_known(api_version))
    key = api_key or f"rk_{'live' if livemode else 'test'}_sandbox"
    _refuse_other_mode(key, livemode=livemode)
    account = _rate(requests_per_second, _STRIPE_RATES[livemode])
    given = endpoint_requests_per_second
    follows = _ENDPOINT_RATE if requests_per_second is None else requests_per_second
    access = Access(key, account, _rate(given, follows), latency_ms / 1000)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ExitStack() as stack:
        store = _built(stack, company, data_dir)
        others = [
            Tenant(_built(stack, other, data_dir), other)
            for other in ([company.connected] if connected else [])
        ]
        listener = stack.enter_context(socket.create_server(("127.0.0.1", port), backlog=1024))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            create_app(
                store,
                company,
                access,
                connected=others,
                on_ready=lambda: _ready(ready_file, company, url, others),
            ),
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=3,
        )
        # uvicorn ends gracefully on a signal, then raises it again: that must not skip the exits.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        uvicorn.Server(config).run(sockets=[listener])


@app.command()
def generate(
    *,
    seed: Seed = 1,
    months: Months = 13,
    customers: Customers = 80,
    scale: Scale = 1,
    variety: Variety = False,
    as_of: AsOf = None,
    livemode: Livemode = False,
    data_dir: DataDir = None,
) -> None:
    """Build the company only, and print its counts, the seconds and the memory it took."""
    company = _company(seed, months, customers, scale, as_of, livemode=livemode)
    company = replace(company, variety=variety)
    began = time.monotonic()
    with ExitStack() as stack:
        store = _built(stack, company, data_dir)
        figures = {
            "seconds": round(time.monotonic() - began, 2),
            "peak_rss_mb": _peak_rss_mb(),
            "file_mb": store.path.stat().st_size // 1_000_000,
            **store.counts(),
        }
    Console(highlight=False).print_json(orjson.dumps(figures).decode())


@app.command("application")
def application_command(
    *, control: Control, database_url: DatabaseUrl, api_key: str = "rk_test_sandbox"
) -> None:
    """Write what the company's application tells: its users and whom it lets in; twice is once."""
    headers = {"X-Sandbox-Key": api_key}
    try:
        answer = httpx.get(f"{control}/_sandbox/application", headers=headers, trust_env=False)
        answer.raise_for_status()
        count = write_application(database_url, map(orjson.loads, answer.iter_lines()))
    except (httpx.HTTPError, psycopg.Error) as error:
        _console.print(f"application: {error}", style="red")
        raise typer.Exit(1) from None
    _console.print(f"the application has {count} users and entitlements")


@app.command("usage")
def usage_command(
    *,
    control: Control,
    ingest: Annotated[str, typer.Option(help="Address of the product's web app.")],
    write_key: Annotated[
        str,
        typer.Option(envvar="SANDBOX_WRITE_KEY", show_envvar=True, help="Key of its ingest."),
    ],
    api_key: str = "rk_test_sandbox",
) -> None:
    """Tell an event ingest what people did in the company's product; twice is once."""
    headers = {"X-Sandbox-Key": api_key}
    try:
        answer = httpx.get(f"{control}/_sandbox/usage", headers=headers, trust_env=False)
        answer.raise_for_status()
        count = tell(ingest, write_key, map(orjson.loads, answer.iter_lines()))
    except (httpx.HTTPError, RuntimeError) as error:
        _console.print(f"usage: {error}", style="red")
        raise typer.Exit(1) from None
    _console.print(f"{count} product events were told")


@app.command("tamper")
def tamper_command(
    *, control: Control, database_url: DatabaseUrl, api_key: str = "rk_test_sandbox"
) -> None:
    """Write the planted differences into billing.payments; twice is once."""
    headers = {"X-Sandbox-Key": api_key}
    try:
        answer = httpx.get(f"{control}/_sandbox/truth", params={"month": "none"}, headers=headers)
        answer.raise_for_status()
        count = tamper(database_url, answer.json()["tampering"])
    except (httpx.HTTPError, MissingRowsError, psycopg.Error) as error:
        _console.print(f"tamper: {error}", style="red")
        raise typer.Exit(1) from None
    _console.print(f"{count} differences are in billing.payments")


def _company(
    seed: int, months: int, customers: int, scale: int, as_of: str | None, *, livemode: bool
) -> Company:
    return Company(
        as_of=_instant(as_of),
        seed=seed,
        months=months,
        customers=customers,
        scale=scale,
        livemode=livemode,
        all_events=scale <= _MAX_EVENT_SCALE,
    )


def _instant(text: str | None) -> int:
    if text is None:
        return now_hour()
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no ISO instant such as 2026-11-01T00:00:00Z"
        ) from None
    return int(instant.replace(tzinfo=instant.tzinfo or UTC).timestamp())


def _known(version: str) -> str:
    if family_of(version) is None:
        raise typer.BadParameter(f"{version!r} is no API version such as {API_VERSION}")
    return version


def _refuse_other_mode(key: str, *, livemode: bool) -> None:
    other = "_test_" if livemode else "_live_"
    if other in key:
        mode = "live" if livemode else "test"
        raise typer.BadParameter(f"the key is not of {mode} mode, which this account is in")


def _rate(given: float | None, default: float) -> float | None:
    chosen = default if given is None else given
    return chosen or None


def _built(stack: ExitStack, company: Company, data_dir: Path | None) -> Store:
    folder = data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-")))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{company.name}.sqlite"
    if not path.exists():
        fresh = path.with_suffix(".building")
        fresh.unlink(missing_ok=True)
        store = Store(fresh)
        build(company, store, on_progress=_progress)
        store.close()
        fresh.replace(path)
    store = Store(path)
    stack.callback(store.close)
    return store


def _peak_rss_mb() -> int:
    """Most memory this process has held; 0 where the system does not say (it is no Linux)."""
    # Not getrusage: across fork and exec that keeps the parent's peak.
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return int(lines["VmHWM"].split()[0]) // 1024


def _progress(done: int, total: int) -> None:
    if done and done % 10_000 == 0:
        _console.print(f"{done:,} of {total:,} customers")


def _ready(
    ready_file: Path | None, company: Company, url: str, connected: Sequence[Tenant]
) -> None:
    _console.print(f"sandbox company at {url}")
    if ready_file is None:
        return
    facts: Json = {
        "url": url,
        "pid": os.getpid(),
        "account_id": company.account.id,
        "livemode": company.livemode,
        "api_version": company.api_version,
        "connected_account_ids": [tenant.account_id for tenant in connected],
        "as_of": company.as_of,
        "months": company.month_keys,
        "closed_months": company.closed_months,
    }
    fresh = ready_file.with_name(f".{ready_file.name}.{os.getpid()}")
    fresh.write_bytes(orjson.dumps(facts))
    fresh.replace(ready_file)


if __name__ == "__main__":
    app()
