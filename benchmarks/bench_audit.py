"""Audit compare of N against N payments, beside the same full outer join in plain DuckDB.

Both read the same Parquet file and the same frame, in one process, in turns; the best of each
counts. Run: `python benchmarks/bench_audit.py --rows 1000000`. Prints one JSON line; the ratio is
what matters, the milliseconds belong to the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from growth_pipeline.audit.matching import Matcher, Window
from growth_pipeline.audit.sources import Sources, read_sources
from growth_pipeline.billing.columns import SCHEMAS
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import Lake

SCOPE = Scope("acct_bench", True)
MONTH = Month(2025, 10)
AS_OF = datetime(2025, 11, 2, tzinfo=UTC)
START = int(MONTH.start.timestamp())
PLANTED_EVERY = 50_000

# The comparison in its plainest form: the columns of the payments table, nothing around it.
BARE = """
select c.id, b.charge_id
from read_parquet($path, hive_partitioning = false) as c
full outer join books as b on c.id = b.charge_id
where c.id is null
    or b.charge_id is null
    or c.status <> b.status
    or c.captured <> b.captured
    or c.currency <> b.currency
    or c.amount_captured <> b.amount_minor
    or c.amount_refunded <> b.refunded_minor
    or c.customer <> b.customer_id
"""


# The same comparison as the audit's, refunds and disputes from their own objects, in one statement.
SAME = """
with refunded as (
    select charge, sum(amount) filter (where status in ('succeeded', 'pending')) as minor
    from read_parquet($refunds, hive_partitioning = false) group by charge
),
disputed as (
    select charge, sum(withdrawn_minor - reinstated_minor) as minor
    from read_parquet($disputes, hive_partitioning = false) group by charge
)
select c.id, b.charge_id
from read_parquet($path, hive_partitioning = false) as c
left join refunded as r on c.id = r.charge
left join disputed as d on c.id = d.charge
full outer join books as b on c.id = b.charge_id
where c.id is null
    or b.charge_id is null
    or c.status <> b.status
    or (c.captured and c.paid) <> b.captured
    or c.currency <> b.currency
    or c.amount_captured <> b.amount_minor
    or coalesce(r.minor, 0) <> b.refunded_minor
    or coalesce(d.minor, 0) <> b.disputed_minor
    or c.customer <> b.customer_id
    or c.created <> epoch(b.created_at)::bigint
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(Path(folder), given.rows, given.rounds, given.threads)))


def run(folder: Path, rows: int, rounds: int, threads: int) -> dict[str, Any]:
    lake = Lake(str(folder / "lake"))
    books = make_company(lake, rows)
    engine = Engine(threads=threads, temp_dir=folder / "spill")
    sources = read_sources(lake, SCOPE, MONTH, AS_OF)
    window = Window(
        START, int(MONTH.end.timestamp()), int(AS_OF.timestamp()), int(AS_OF.timestamp())
    )
    path = sources.month["charges"].path
    arrow = books.to_arrow(compat_level=pl.CompatLevel.newest())

    def bare() -> int:
        with duckdb.connect(config={"threads": threads}) as connection:
            connection.register("books", arrow)
            return connection.sql(BARE, params={"path": path}).to_arrow_table().num_rows

    def same() -> int:
        paths = {name: sources.month[name].path for name in ("refunds", "disputes")}
        with duckdb.connect(config={"threads": threads}) as connection:
            connection.register("books", arrow)
            return connection.sql(SAME, params={"path": path, **paths}).to_arrow_table().num_rows

    def compare() -> int:
        return len(Matcher(engine, sources, SCOPE, window, books).differing())

    def everything() -> int:
        return audit_queries(engine, sources, window, books)

    best = measure(
        {"bare_join": bare, "same_join": same, "compare": compare, "all_queries": everything},
        rounds,
    )
    found = {"bare_join": bare(), "same_join": same(), "compare": compare()}
    assert len(set(found.values())) == 1, found
    return {
        "bench": "audit",
        "rows": rows,
        "threads": threads,
        "differing": found["compare"],
        **{f"{name}_ms": round(seconds * 1000) for name, seconds in best.items()},
        "compare_to_bare": round(best["compare"] / best["bare_join"], 2),
        "compare_to_same": round(best["compare"] / best["same_join"], 2),
        "all_queries_to_bare": round(best["all_queries"] / best["bare_join"], 2),
    }


def audit_queries(engine: Engine, sources: Sources, window: Window, books: pl.DataFrame) -> int:
    """Every query of an audit: differences, fees, invoices, totals, refunds, balance, details."""
    matcher = Matcher(engine, sources, SCOPE, window, books)
    keys = matcher.differing() | matcher.differing_fees() | set(matcher.unknown_invoices())
    matcher.stripe_totals()
    matcher.booked_totals()
    matcher.balance_check()
    matcher.parts_without_charge()
    matcher.stuck_refunds()
    return len(matcher.charges(keys)) + len(matcher.rows_of(keys))


def measure(jobs: dict[str, Callable[[], int]], rounds: int) -> dict[str, float]:
    """Best seconds of each, taken in turns so that a busy moment hits all of them."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            elapsed = time.perf_counter() - started
            best[name] = min(best.get(name, elapsed), elapsed)
    return best


def make_company(lake: Lake, rows: int) -> pl.DataFrame:
    """Write the month's files, and return the booked rows: equal but for a few planted amounts."""
    number = pl.int_range(0, rows, eager=True).alias("n")
    base = pl.DataFrame({"n": number}).with_columns(
        id=pl.format("ch_3{}Ab", pl.col("n").hash(1).cast(pl.String)),
        payment_intent=pl.format("pi_3{}Ab", pl.col("n").hash(2).cast(pl.String)),
        balance_transaction=pl.format("txn_3{}Ab", pl.col("n").hash(3).cast(pl.String)),
        invoice_id=pl.format("in_3{}Ab", pl.col("n").hash(4).cast(pl.String)),
        customer=pl.format("cus_{}", pl.col("n") // 7),
        created=START + pl.col("n") * 2_600_000 // rows,
        amount=100 + pl.col("n").hash(5).mod(90_000).cast(pl.Int64),
        currency=pl.when(pl.col("n") % 5 == 0).then(pl.lit("eur")).otherwise(pl.lit("usd")),
        is_refunded=pl.col("n") % 20 == 0,
        is_disputed=pl.col("n") % 500 == 1,
        account_id=pl.lit(SCOPE.account_id),
        livemode=pl.lit(value=True),
        api_version=pl.lit("2026-10-28.endive"),
        fetched_from=pl.lit(AS_OF).dt.cast_time_unit("us"),
        fetched_at=pl.lit(AS_OF).dt.cast_time_unit("us"),
        raw=pl.lit('{"object":"charge","padding":"' + "x" * 400 + '"}'),
    )
    refund = pl.when("is_refunded").then(pl.col("amount") // 2).otherwise(0)
    write(
        lake,
        "charges",
        base.with_columns(
            amount_captured="amount",
            amount_refunded=refund,
            captured=pl.lit(value=True),
            paid=pl.lit(value=True),
            status=pl.lit("succeeded"),
            refunded=pl.lit(value=False),
            disputed="is_disputed",
        ),
    )
    write(
        lake,
        "refunds",
        base.filter("is_refunded").with_columns(
            id=pl.format("re_{}", "n"),
            charge="id",
            amount=pl.col("amount") // 2,
            status=pl.lit("succeeded"),
        ),
    )
    write(
        lake,
        "disputes",
        base.filter("is_disputed").with_columns(
            id=pl.format("dp_{}", "n"),
            charge="id",
            withdrawn_minor="amount",
            reinstated_minor="amount",
        ),
    )
    fee = pl.col("amount") * 3 // 100
    write(
        lake,
        "balance_transactions",
        base.with_columns(
            id="balance_transaction", source="id", fee=fee, net=pl.col("amount") - fee,
            type=pl.lit("charge"), reporting_category=pl.lit("charge"),
        ),
    )  # fmt: skip
    write(lake, "invoices", base.with_columns(id="invoice_id"))
    for resource in ("payment_intents", "customers", "subscriptions"):
        write(lake, resource, base.head(0))
    wrong = pl.col("n") % PLANTED_EVERY == 7
    return (
        base.with_columns(
            amount_minor=pl.when(wrong).then(pl.col("amount") + 5).otherwise("amount")
        )
        .select(
            payment_id="n",
            charge_id="id",
            payment_intent_id="payment_intent",
            invoice_id="invoice_id",
            customer_id="customer",
            status=pl.lit("succeeded"),
            captured=pl.lit(value=True),
            currency="currency",
            amount_minor="amount_minor",
            refunded_minor=refund,
            disputed_minor=pl.lit(0, dtype=pl.Int64),
            fee_minor=fee,
            net_minor=pl.col("amount") - fee,
            settlement_currency="currency",
            created_at=pl.from_epoch("created", time_unit="s")
            .dt.replace_time_zone("UTC")
            .dt.cast_time_unit("us"),
            written_by=pl.lit("mirror"),
            written_at=pl.from_epoch("created", time_unit="s")
            .dt.replace_time_zone("UTC")
            .dt.cast_time_unit("us"),
        )
        .sample(fraction=1, shuffle=True, seed=7)
    )


def write(lake: Lake, resource: str, frame: pl.DataFrame) -> None:
    columns = {name: pl.lit(None, dtype=kind) for name, kind in SCHEMAS[resource].items()}
    whole = frame.with_columns(**{n: c for n, c in columns.items() if n not in frame.columns})
    certificate = {
        "window": [START, int(MONTH.end.timestamp())],
        "complete": True,
        "has_more": False,
        "api_version": "2026-10-28.endive",
        "as_of": AS_OF.isoformat(),
        "fetched_from": AS_OF.isoformat(),
    }
    partition = {"account": SCOPE.account_id, "mode": SCOPE.mode, "month": MONTH.key}
    lake.write_partition(
        f"stripe/{resource}", partition, [whole.select(*SCHEMAS[resource])], certificate
    )
    later = {**certificate, "window": [int(MONTH.end.timestamp()), int(AS_OF.timestamp())]}
    empty = whole.select(*SCHEMAS[resource]).head(0)
    lake.write_partition(
        f"stripe/{resource}", {**partition, "month": MONTH.next.key}, [empty], later
    )


if __name__ == "__main__":
    main()
