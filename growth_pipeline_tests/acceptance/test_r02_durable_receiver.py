"""R02: one worker on one core under load; nothing is acknowledged before it is durable."""

import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from growth_pipeline.storage.embedded import start_embedded
from growth_pipeline.storage.migrations import migrate
from growth_pipeline_tests.fakes.killed_postgres import kill_at_once
from growth_pipeline_tests.fakes.receiver_process import HOST, ReceiverProcess
from growth_pipeline_tests.fakes.webhook_sender import (
    OK,
    Connection,
    CutError,
    load_events,
    run_load,
)

SIZE = 2500
CONNECTIONS = 16
BURST_SECONDS = 20  # a burst has no end of its own: the kill ends it
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


@pytest.fixture
def folder():
    folder = Path(tempfile.mkdtemp(prefix="growth-r02-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server(folder):
    """A Postgres of this test alone, in a list because each kill makes another one."""
    servers = [start_embedded(folder)]
    migrate(servers[0].url("growth"))
    yield servers
    servers[-1].stop()


@pytest.fixture
def receiver(server, folder):
    """A receiver that has one core, and the sender another one if there are several."""
    cores = sorted(os.sched_getaffinity(0))
    with ReceiverProcess(server[-1].url("growth"), folder, core=cores[0]) as receiver:
        yield receiver


def figures_of(load):
    return {
        "per_second": round(load.rate),
        "p50_ms": round(load.wait(0.5), 1),
        "p99_ms": round(load.wait(0.99), 1),
        "failed": load.refused + load.cut,
    }


async def measure(receiver, *, seconds):
    """Full load on few and on many connections, then a steady 200 a second."""
    figures = {}
    for name, options in {
        "16 connections": {"connections": 16},
        "64 connections": {"connections": 64},
        "200 a second": {"connections": 16, "per_second": 200},
    }.items():
        events = load_events(SIZE, prefix="evt_" + name.replace(" ", "_"))
        used = receiver.cpu_seconds()
        load = await run_load(HOST, receiver.port, events, seconds=seconds, **options)
        cpu = 1e6 * (receiver.cpu_seconds() - used) / max(1, len(load.acknowledged))
        figures[name] = figures_of(load) | {"cpu_us": round(cpu)}
    return figures


async def burst(receiver, server, events, after):
    """Load until `after` answers came; with the last of them Postgres is killed, at once."""
    acknowledged = []
    is_killed = False

    async def work():
        nonlocal is_killed
        connection = Connection(HOST, receiver.port)
        end = time.monotonic() + BURST_SECONDS
        while not is_killed and time.monotonic() < end:
            name, body = next(events)
            try:
                status = await connection.post(body)
            except CutError:
                continue
            if status != OK:
                await asyncio.sleep(0.01)
                continue
            acknowledged.append(name)
            if len(acknowledged) == after:
                is_killed = True
                kill_at_once(server)
        connection.close()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    assert is_killed, "the receiver did not answer often enough"
    return acknowledged


def kill_often(receiver, server, folder, kills, seed):
    """Acknowledged events that were gone after a kill, and how many there were."""
    events = load_events(SIZE, prefix=f"evt_kill_{seed}")
    gone, total = [], 0
    for number in range(kills):
        after = 1 + (seed + number * 7919) % 200
        acknowledged = asyncio.run(burst(receiver, server[-1], events, after))
        server.append(start_embedded(folder))
        with psycopg.connect(server[-1].url("growth")) as connection:
            kept = connection.execute(
                "select event_id from billing.inbox where event_id = any(%s)", [acknowledged]
            ).fetchall()
        gone += sorted(set(acknowledged) - {event_id for (event_id,) in kept})
        total += len(acknowledged)
    return gone, total


def settings_problems(server):
    """Postgres settings without which a power cut would take what was acknowledged."""
    with psycopg.connect(server.url("growth")) as connection:
        shown = {
            name: connection.execute("select current_setting(%s)", [name]).fetchone()[0]
            for name in DURABLE
        }
    return [] if shown == DURABLE else [f"settings: {shown}"]


def run(receiver, server, folder, seed, *, seconds, kills):
    figures = asyncio.run(measure(receiver, seconds=seconds))
    violations = settings_problems(server[-1])
    violations += [
        f"{name}: {each['failed']} failed" for name, each in figures.items() if each["failed"]
    ]
    gone, total = kill_often(receiver, server, folder, kills, seed)
    violations += [f"acknowledged but gone: {name}" for name in gone]
    return violations, figures | {
        "kills": kills,
        "acknowledged before kills": total,
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
    }


def test_what_was_acknowledged_outlives_the_database(
    receiver, server, folder, seed, acceptance_line
):
    violations, figures = run(receiver, server, folder, seed, seconds=1.7, kills=20)
    acceptance_line("R02", violations=violations, **figures)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_one_core_receives_as_fast_as_promised(receiver, server, folder, seed, acceptance_line):
    violations, figures = run(receiver, server, folder, seed, seconds=60, kills=200)
    loaded, steady = figures["16 connections"], figures["200 a second"]
    if loaded["per_second"] < 3000 or loaded["p99_ms"] > 25:
        violations.append(f"too slow under load: {loaded}")
    if steady["p99_ms"] > 15:
        violations.append(f"too slow at 200 a second: {steady}")
    acceptance_line("R02", violations=violations, **figures)
