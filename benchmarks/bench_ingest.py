"""Durable events per second on one core, beside a bare COPY of the same rows on the same Postgres.

Three parties, each on cores of its own: the web app (one core), the sender, Postgres. The COPY runs
on the app's core: the same rows into a table of the same shape and indexes, no HTTP, no JSON to
check, no look for repeats. Both take turns in one run, so that a slow moment hits both; the share
is what matters. `per_core_second` counts the processor time of the app alone: it holds on a busy
machine too. Durable means what it means in production: Postgres as the product starts it, and the
run ends with an error when a commit would not wait for the disk.

Run: `python benchmarks/bench_ingest.py`. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psycopg

from growth_pipeline.storage.embedded import start_embedded
from growth_pipeline.storage.migrations import migrate
from growth_pipeline_tests.fakes.ingest_server import basic, create_key
from growth_pipeline_tests.fakes.receiver_process import HOST, ReceiverProcess

GOAL = 10_000
CORES = sorted(os.sched_getaffinity(0))
COLUMNS = (
    "source_id, message_id, key_id, type, event, user_id, anonymous_id, occurred_at, received_at,"
    " sent_at, flags, properties, body"
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=4)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--connections", type=int, default=8)
    options.add_argument("--batch", type=int, default=100, help="events of one request")
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
    """The app has one core to itself; the others share what is left."""
    if len(CORES) < 3:
        return {"app": {CORES[0]}}.get(party, set(CORES))
    return {"app": {CORES[0]}, "sender": {CORES[1]}, "postgres": set(CORES[2:])}[party]


def run(url: str, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    durable = durability(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table public.copied (like events.events including all)")
    key = create_key(url).key
    app = ReceiverProcess(url, folder, core=next(iter(cores_of("app"))))
    app.set("GROWTH_EVENTS__KEY_EVENTS_PER_SECOND", "0")
    ours: list[dict[str, float]] = []
    bare: list[float] = []
    with app:
        for number in range(given.rounds):
            used = app.cpu_seconds()
            sent = in_child("sender", send, app.port, key, number, given)
            ours.append(sent | {"cpu": app.cpu_seconds() - used})
            bare.append(in_child("app", copy, url))
    check(url, sum(one["events"] for one in ours))
    return report(ours, bare, given) | durable


def durability(url: str) -> dict[str, str]:
    """What Postgres waits for before it says a commit is done, as any session is told."""
    names = ("fsync", "synchronous_commit", "full_page_writes")
    with psycopg.connect(url) as connection:
        found = {name: connection.execute(f"show {name}").fetchone() for name in names}
    told = {name: row[0] for name, row in found.items() if row is not None}
    if told != dict.fromkeys(names, "on"):
        raise SystemExit(f"commits do not wait for the disk: {told}")
    return told


def in_child(party: str, job: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function in a fresh process on the cores of a party."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(run_on, cores_of(party), job, *arguments).result()


def run_on(cores: set[int], job: Callable[..., Any], *arguments: Any) -> Any:
    os.sched_setaffinity(0, cores)
    return job(*arguments)


def send(port: int, key: str, number: int, given: argparse.Namespace) -> dict[str, float]:
    """Connections that send batch after batch; events that were answered with 200."""
    return asyncio.run(_send(port, key, number, given))


async def _send(port: int, key: str, number: int, given: argparse.Namespace) -> dict[str, float]:
    turn = itertools.count()
    waits: list[float] = []
    end = time.perf_counter() + given.seconds
    head = (
        f"POST /v1/batch HTTP/1.1\r\nHost: app\r\nAuthorization: {basic(key)['Authorization']}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    )

    async def work() -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        while (began := time.perf_counter()) < end:
            body = a_batch(f"{number}-{next(turn)}", given.batch)
            writer.write(f"{head}{len(body)}\r\n\r\n".encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            assert await reader.readexactly(length) == b'{"success":true}'
            waits.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(given.connections)))
    seconds = time.perf_counter() - began
    waits.sort()
    p99 = 1000 * waits[int(0.99 * len(waits))]
    return {"events": len(waits) * given.batch, "seconds": seconds, "p99_ms": p99}


def a_batch(name: str, size: int) -> bytes:
    """A request as SDKs send it, each event of about 400 bytes."""
    call = (
        '{"type":"track","event":"Project Created","userId":"user_%(n)d",'
        '"messageId":"%(id)s-%(n)d",'
        '"timestamp":"2026-10-05T10:00:00.000Z","integrations":{},"anonymousId":null,'
        '"context":{"library":{"name":"analytics-python","version":"2.4.0"}},'
        '"properties":{"project_id":"prj_%(n)08d","template":"blank","source":"dashboard",'
        '"seats":%(n)d,"is_first":false}}'
    )
    calls = ",".join(call % {"n": n, "id": name} for n in range(size))
    return f'{{"batch":[{calls}],"sentAt":"2026-10-05T10:00:01.000Z"}}'.encode()


def copy(url: str) -> float:
    """Rows a second of one COPY of rows that came over HTTP; reading them is not counted."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(f"select {COLUMNS} from events.events limit 50000").fetchall()
        dumped = [
            (*row[:11], None if row[11] is None else json.dumps(row[11]), row[12]) for row in rows
        ]
        connection.execute("truncate public.copied")
        connection.commit()
        began = time.perf_counter()
        with connection.cursor().copy(f"copy public.copied ({COLUMNS}) from stdin") as stream:
            for row in dumped:
                stream.write_row(row)
        connection.commit()
        return len(rows) / (time.perf_counter() - began)


def check(url: str, acknowledged: float) -> None:
    """A rate without the rows counts nothing."""
    with psycopg.connect(url) as connection:
        found = connection.execute("select count(*) from events.events").fetchone()
    assert found == (acknowledged,), (found, acknowledged)


def report(
    ours: list[dict[str, float]], bare: list[float], given: argparse.Namespace
) -> dict[str, Any]:
    rates = [one["events"] / one["seconds"] for one in ours]
    per_core = statistics.median(one["events"] / one["cpu"] for one in ours)
    return {
        "events_per_second": round(statistics.median(rates)),
        "per_core_second": round(per_core),
        "goal": GOAL,
        "is_met": per_core >= GOAL,
        "bare_copy_per_second": round(statistics.median(bare)),
        "share_of_copy": round(
            statistics.median(rate / base for rate, base in zip(rates, bare, strict=True)), 2
        ),
        "p99_ms": round(statistics.median(one["p99_ms"] for one in ours), 1),
        "batch": given.batch,
        "connections": given.connections,
        "cores": len(CORES),
    }


if __name__ == "__main__":
    main()
