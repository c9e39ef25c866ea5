"""Writing states in bulk into schema `stripe`, beside a bare COPY and upsert of the same JSON.

Both write the same payloads of 2 KB into the same Postgres, in turns; a bare row has a key and the
payload, ours all typed columns, indexes and constraints. Run: `python benchmarks/bench_tables.py
--objects 20000`. Prints one JSON line; the ratio and the client's CPU per object are what matters.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from growth_pipeline.billing.fold import Snapshot, State
from growth_pipeline.billing.tables import ObjectKey, take_newer
from growth_pipeline.storage.embedded import start_embedded
from growth_pipeline.storage.migrations import migrate
from growth_pipeline.storage.postgres import Connection, Database, raw_json, upsert

VERSION = "2026-10-28.endive"
START = datetime(2026, 10, 1, tzinfo=UTC)
BATCH = 2_000
PAYLOAD_BYTES = 2_000

Batch = Mapping[ObjectKey, State]


def a_charge(number: int, second: int) -> dict[str, Any]:
    """A charge filled up to the size of a real one with text that does not compress well."""
    charge: dict[str, Any] = {
        "id": f"ch_{number:09d}",
        "object": "charge",
        "amount": 1000 + second,
        "amount_captured": 1000 + second,
        "amount_refunded": 0,
        "balance_transaction": f"txn_{number:09d}",
        "captured": True,
        "created": int(START.timestamp()) + number,
        "currency": "usd",
        "customer": f"cus_{number % 5000:06d}",
        "disputed": False,
        "failure_code": None,
        "paid": True,
        "payment_intent": f"pi_{number:09d}",
        "refunded": False,
        "status": "succeeded",
    }
    missing = PAYLOAD_BYTES - len(orjson.dumps(charge))
    charge["metadata"] = {
        f"key_{place}": f"{pow(7919, number + place, 2**127 - 1):032x}"
        for place in range(missing // 46)
    }
    return charge


def batches(count: int, second: int) -> list[Batch]:
    """All states as told at a second, in batches."""
    instant = START + timedelta(seconds=second)

    def states() -> Iterator[tuple[ObjectKey, State]]:
        for number in range(count):
            charge = a_charge(number, second)
            told = Snapshot(
                object="charge",
                object_id=charge["id"],
                payload=charge,
                api_version=VERSION,
                state_from=instant,
                state_at=instant,
                origin="fetch",
            )
            yield ObjectKey("acct_bench", True, "charge", charge["id"]), State(told)

    rest = states()
    return [dict(chunk) for chunk in iter(lambda: list(islice(rest, BATCH)), [])]


def take(connection: Connection, batch: Batch) -> int:
    """Ours."""
    return len(take_newer(connection, batch, now=START))


def write_bare(connection: Connection, batch: Batch) -> int:
    """The least there is to do: COPY and one upsert of key and payload."""
    rows = [
        (key.account_id, key.livemode, key.id, raw_json(orjson.dumps(state.snapshot.payload)))
        for key, state in batch.items()
    ]
    return upsert(
        connection,
        "bare",
        ("account_id", "livemode", "id", "payload"),
        ("text", "bool", "text", "jsonb"),
        rows,
        key=("account_id", "livemode", "id"),
    )


def measure(
    database: Database, write: Callable[[Connection, Batch], int], work: list[Batch]
) -> dict[str, float]:
    """Objects per second, and CPU of this process for each object in microseconds."""
    began, cpu, written = time.perf_counter(), time.process_time(), 0
    for batch in work:
        with database.connection() as connection:
            written += write(connection, batch)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    total = sum(map(len, work))
    assert written in {0, total}
    return {"per_second": round(total / seconds), "cpu_us": round(1e6 * cpu / total, 1)}


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=20_000)
    count = parser.parse_args().objects
    folder = Path(tempfile.mkdtemp(prefix="growth-bench-"))
    server = start_embedded(folder)
    try:
        migrate(server.url("postgres"))
        with Database(server.url("postgres")) as database:
            with database.connection() as connection:
                connection.execute(
                    "create table bare (account_id text, livemode boolean, id text, payload jsonb,"
                    " primary key (account_id, livemode, id))"
                )
            first, newer = batches(count, 1), batches(count, 5)
            ours = {"inserted": measure(database, take, first)}
            bare = {"inserted": measure(database, write_bare, first)}
            ours["updated"] = measure(database, take, newer)
            bare["updated"] = measure(database, write_bare, newer)
            ours["known"] = measure(database, take, newer)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    share = {
        name: round(ours[name]["per_second"] / bare[name]["per_second"], 2)
        for name in ("inserted", "updated")
    }
    result = {"bench": "tables", "objects": count, "ours": ours, "bare": bare, "share": share}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
