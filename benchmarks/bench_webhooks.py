"""Durable webhooks per second on one core, beside bare insert loops on the same Postgres.

Three parties, each on cores of its own: the receiver (one core), the sender, Postgres. The bare
loops run on the receiver's core: the same rows into the same table, no HTTP, no signature. All take
turns in one run, so that a slow moment of the disk hits all of them; the ratios are what matters.
`share_by_cpu` is the share that processor time alone would allow: it holds on a busy machine too.

Run: `python benchmarks/bench_webhooks.py`. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psycopg
import uvloop

from growth_pipeline.storage.embedded import start_embedded
from growth_pipeline.storage.migrations import migrate
from growth_pipeline_tests.fakes.receiver_process import HOST, ApplierProcess, ReceiverProcess
from growth_pipeline_tests.fakes.webhook_sender import load_events, run_load

INSERT = """
insert into billing.inbox
(account_id, livemode, event_id, type, api_version, created_at, received_at, source, body)
values ('self', false, %s, 'customer.created', '2026-10-28.endive', now(), now(),
'webhook', %s) on conflict do nothing
"""
BATCH = 100
GOAL = 0.7
LATENCY_GOAL_MS = 25
CORES = sorted(os.sched_getaffinity(0))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=4)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--size", type=int, default=2500, help="bytes of one event")
    options.add_argument("--connections", type=int, nargs="+", default=[16, 64])
    given = options.parse_args()
    os.sched_setaffinity(0, cores_of("postgres"))  # the server inherits it
    with tempfile.TemporaryDirectory(prefix="growth-bench-") as folder:
        server = start_embedded(Path(folder))
        try:
            url = server.url("growth")
            migrate(url)
            print(json.dumps(run(url, Path(folder), given)))
        finally:
            server.stop()


def cores_of(party: str) -> set[int]:
    """The receiver has one core to itself; the others share what is left."""
    if len(CORES) < 3:
        return {"receiver": {CORES[0]}}.get(party, set(CORES))
    return {"receiver": {CORES[0]}, "sender": {CORES[1]}, "postgres": set(CORES[2:])}[party]


def run(url: str, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    receiver_core = next(iter(cores_of("receiver")))
    results: dict[str, list[dict[str, float]]] = {}
    with ReceiverProcess(url, folder, core=receiver_core) as receiver:
        for number in range(given.rounds):
            for connections in given.connections:
                prefix = f"evt_{number}_{connections}"
                jobs: dict[str, Callable[[], dict[str, float]]] = {
                    "bare": lambda c=connections, p=prefix: in_child(
                        "receiver", bare, url, c, given.seconds, given.size, f"{p}_bare"
                    ),
                    "receiver": lambda c=connections, p=prefix: webhooks(
                        receiver, c, given.seconds, given.size, p
                    ),
                }
                for name, job in jobs.items():
                    results.setdefault(f"{name}_{connections}", []).append(job())
            results.setdefault("applying_16", []).append(
                while_applying(url, folder, receiver, given, f"evt_{number}_applying")
            )
            for name, each in (("bare_1", bare), ("bare_batches", batches)):
                results.setdefault(name, []).append(
                    in_child(
                        "receiver", each, url, 1, given.seconds / 2, given.size, f"{name}_{number}"
                    )
                )
    return report(results, given)


def in_child(party: str, job: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """Run a coroutine function in a fresh process on the cores of a party."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(run_on, cores_of(party), job, *arguments).result()


def run_on(cores: set[int], job: Callable[..., Any], *arguments: Any) -> Any:
    os.sched_setaffinity(0, cores)
    return uvloop.run(job(*arguments))


def webhooks(
    receiver: ReceiverProcess, connections: int, seconds: float, size: int, prefix: str
) -> dict[str, float]:
    used = receiver.cpu_seconds()
    done = in_child("sender", send, receiver.port, connections, seconds, size, prefix)
    done["cpu_us"] = 1e6 * (receiver.cpu_seconds() - used) / max(1, done["events"])
    return done


def while_applying(
    url: str, folder: Path, receiver: ReceiverProcess, given: argparse.Namespace, prefix: str
) -> dict[str, float]:
    """The same at 16 connections while the applier works off all that came before, beside it."""
    with ApplierProcess(url, folder):  # on Postgres' cores: it inherits ours
        return webhooks(receiver, 16, given.seconds, given.size, prefix)


async def send(
    port: int, connections: int, seconds: float, size: int, prefix: str
) -> dict[str, float]:
    events = load_events(size, prefix=prefix)
    load = await run_load(HOST, port, events, connections=connections, seconds=seconds)
    return {
        "rate": load.rate, "p50": load.wait(0.5), "p99": load.wait(0.99),
        "events": len(load.acknowledged), "failed": load.refused + load.cut,
    }  # fmt: skip


async def bare(
    url: str, connections: int, seconds: float, size: int, prefix: str
) -> dict[str, float]:
    """Connections that insert one event and commit, again and again."""
    events = load_events(size, prefix=prefix)
    waits: list[float] = []
    end = time.perf_counter() + seconds

    async def work() -> None:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            while (began := time.perf_counter()) < end:
                name, body = next(events)
                await connection.execute(INSERT, (name, body), binary=True, prepare=True)
                waits.append(time.perf_counter() - began)

    used = time.process_time()
    await asyncio.gather(*(work() for _ in range(connections)))
    used = time.process_time() - used
    waits.sort()
    return {
        "rate": len(waits) / seconds,
        "p99": 1000 * waits[int(0.99 * len(waits))],
        "cpu_us": 1e6 * used / len(waits),
    }


async def batches(url: str, _: int, seconds: float, size: int, prefix: str) -> dict[str, float]:
    """One connection, a hundred events a commit: what the table takes if the disk hardly counts."""
    events, count = load_events(size, prefix=prefix), 0
    end = time.perf_counter() + seconds
    async with await psycopg.AsyncConnection.connect(url) as connection:
        while time.perf_counter() < end:
            async with connection.transaction(), connection.cursor() as cursor:
                await cursor.executemany(INSERT, list(islice(events, BATCH)))
            count += BATCH
    return {"rate": count / seconds}


def report(results: dict[str, list[dict[str, float]]], given: argparse.Namespace) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for connections in given.connections:
        ours, base = results[f"receiver_{connections}"], results[f"bare_{connections}"]
        shares = [mine["rate"] / bare["rate"] for mine, bare in zip(ours, base, strict=True)]
        figures[f"{connections} connections"] = {
            "share": round(statistics.median(shares), 2),
            "shares": [round(share, 2) for share in shares],
            "per_second": round(statistics.median(item["rate"] for item in ours)),
            "bare_per_second": round(statistics.median(item["rate"] for item in base)),
            "p50_ms": round(statistics.median(item["p50"] for item in ours), 1),
            "p99_ms": round(statistics.median(item["p99"] for item in ours), 1),
            "bare_p99_ms": round(statistics.median(item["p99"] for item in base), 1),
            "cpu_us": round(statistics.median(item["cpu_us"] for item in ours)),
            "bare_cpu_us": round(statistics.median(item["cpu_us"] for item in base)),
            "share_by_cpu": round(
                statistics.median(item["cpu_us"] for item in base)
                / statistics.median(item["cpu_us"] for item in ours),
                2,
            ),
            "failed": sum(item["failed"] for item in ours),
        }
    return {
        "bench": "webhooks",
        "cores": len(CORES),
        "load": [round(value, 1) for value in os.getloadavg()],
        "body_bytes": given.size,
        **figures,
        "16 connections, applying": {
            name: round(statistics.median(item[name] for item in results["applying_16"]), 1)
            for name in ("rate", "p50", "p99")
        },
        "bare_1_per_second": round(statistics.median(i["rate"] for i in results["bare_1"])),
        "bare_batches_per_second": round(
            statistics.median(i["rate"] for i in results["bare_batches"])
        ),
        "goal": {"share": GOAL, "p99_ms": LATENCY_GOAL_MS},
    }


if __name__ == "__main__":
    main()
