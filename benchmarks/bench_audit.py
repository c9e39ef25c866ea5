"""The audit of a month of N payments, beside bare DuckDB joins of the same columns.

Everything is real: extract files in a lake, booked rows in Postgres, `run_audit` in a process of
its own whose peak memory is all of it. The bare joins run in another process over the same files,
with the same bounds: every pair of objects that the audit compares, as one plain full outer join.
Run: `python benchmarks/bench_audit.py --rows 5000000`. Prints one JSON line; the ratios and the
memory are what matter, the seconds belong to the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from growth_pipeline.audit.audit import Audit, run_audit
from growth_pipeline.audit.payments.books import BookedPayments
from growth_pipeline.audit.store import AuditStore
from growth_pipeline.billing.columns import SCHEMAS
from growth_pipeline.billing.objects import AUDITED_OBJECTS
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline.settings import EngineSettings
from growth_pipeline.storage.embedded import start_embedded
from growth_pipeline.storage.engine import Engine, SpoolFile
from growth_pipeline.storage.lake import Lake
from growth_pipeline.storage.migrations import migrate
from growth_pipeline.storage.postgres import Database
from growth_pipeline.storage.sql import load_sql

SCOPE = Scope("acct_bench", True)
MONTH = Month(2025, 10)
AS_OF = datetime(2025, 11, 2, tzinfo=UTC)
START = int(MONTH.start.timestamp())
PLANTED_EVERY = 50_000
CHUNK = 500_000

# One payment as DuckDB and Postgres both compute it from its number.
FACTS = """
    'ch_3' || substr(md5('c' || n), 1, 24) as id,
    'pi_3' || substr(md5('p' || n), 1, 24) as payment_intent,
    'txn_3' || substr(md5('t' || n), 1, 24) as balance_transaction,
    'in_3' || substr(md5('i' || n), 1, 24) as invoice_id,
    'cus_' || substr(md5('u' || n {div} 7), 1, 14) as customer,
    {start} + n * 2600000 {div} {rows} as created,
    100 + (n * 7919) % 90000 as amount,
    case when n % 5 = 0 then 'eur' else 'usd' end as currency
"""
COMMON = """
    'acct_bench' as account_id, true as livemode, '2026-10-28.endive' as api_version,
    timestamptz '2025-11-02 00:00:00+00' as fetched_from,
    timestamptz '2025-11-02 00:00:00+00' as fetched_at,
    '{}' as raw
"""
REFUND = "case when n % 20 = 0 then amount // 2 else 0 end"
RESOURCES = {
    "charges": f"""
        select *, amount as amount_captured, {REFUND} as amount_refunded, true as captured,
            true as paid, 'succeeded' as status,
            false as refunded, n % 500 = 1 as disputed from facts
    """,
    "payment_intents": """
        select * replace (payment_intent as id), id as latest_charge, 'succeeded' as status,
            amount as amount_received from facts
    """,
    "invoices": """
        select * replace (invoice_id as id), 'paid' as status, amount as total,
            amount as amount_due, amount as amount_paid,
            0 as amount_remaining, created as paid_at from facts
    """,
    "invoice_payments": """
        select * replace ('inpay_' || n as id), invoice_id as invoice, 'paid' as status,
            amount as amount_paid, amount as amount_requested, created as paid_at from facts
    """,
    "refunds": f"""
        select * replace ('re_' || n as id, {REFUND} as amount), id as charge, 'succeeded' as status
        from facts where n % 20 = 0
    """,
    "disputes": """
        select * replace ('dp_' || n as id), id as charge, amount as withdrawn_minor,
            amount as reinstated_minor, 'won' as status from facts where n % 500 = 1
    """,
    "balance_transactions": f"""
        select * replace (balance_transaction as id), id as source, amount * 3 // 100 as fee,
            amount - amount * 3 // 100 as net, 'charge' as type, 'charge' as reporting_category,
            'available' as status, created as available_on from facts
        union all
        select * replace ('txn_re' || n as id, -({REFUND}) as amount), 're_' || n as source,
            0 as fee, -({REFUND}) as net, 'refund' as type, 'refund' as reporting_category,
            'available' as status, created as available_on from facts where n % 20 = 0
    """,
}  # fmt: skip

# Every pair of objects that the audit compares, in its plainest form.
BARE = {
    "payments": """
        with refunded as (
            select charge, sum(amount) filter (where status in ('succeeded', 'pending')) as minor
            from read_parquet($refunds, hive_partitioning = false) group by charge
        ),
        disputed as (
            select charge, sum(withdrawn_minor - reinstated_minor) as minor
            from read_parquet($disputes, hive_partitioning = false) group by charge
        )
        select c.id, b.charge_id
        from read_parquet($charges, hive_partitioning = false) as c
        left join refunded as r on c.id = r.charge
        left join disputed as d on c.id = d.charge
        full outer join read_parquet($books, hive_partitioning = false) as b on c.id = b.charge_id
        where c.id is null
            or b.charge_id is null
            or c.status <> b.status
            or (c.captured and c.paid) <> b.captured
            or c.currency <> b.currency
            or c.amount_captured <> b.amount_minor
            or coalesce(r.minor, 0) <> b.refunded_minor
            or coalesce(d.minor, 0) <> b.disputed_minor
            or c.customer <> b.customer_id
            or c.created <> b.created
    """,
    "fees": """
        select t.id, b.charge_id
        from read_parquet($balance_transactions, hive_partitioning = false) as t
        full outer join read_parquet($books, hive_partitioning = false) as b
            on t.source = b.charge_id
        where t.type = 'charge'
            and (
                t.fee <> b.fee_minor or t.net <> b.net_minor or t.currency <> b.settlement_currency
            )
    """,
    "balance": """
        select t.id, c.id
        from read_parquet($balance_transactions, hive_partitioning = false) as t
        full outer join read_parquet($charges, hive_partitioning = false) as c on t.source = c.id
        where t.amount - t.fee <> t.net
            or (t.type = 'charge' and c.id is null)
            or (t.currency = c.currency and t.type = 'charge' and t.amount <> c.amount_captured)
    """,
    "booked_invoices": """
        select i.id, b.invoice_id
        from read_parquet($invoices, hive_partitioning = false) as i
        full outer join read_parquet($books, hive_partitioning = false) as b on i.id = b.invoice_id
        where i.id is null
    """,
    "paid_invoices": """
        with paid as (
            select invoice, sum(amount_paid) as minor
            from read_parquet($invoice_payments, hive_partitioning = false)
            where status = 'paid' group by invoice
        )
        select i.id, p.invoice
        from read_parquet($invoices, hive_partitioning = false) as i
        full outer join paid as p on i.id = p.invoice
        where i.status = 'paid' and (p.invoice is null or p.minor <> i.amount_paid)
    """,
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=500_000)
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    arguments.add_argument("--memory-limit", default=EngineSettings().memory_limit)
    arguments.add_argument("--folder", type=Path, help="keep the company here, or use it again")
    arguments.add_argument("--child", choices=("audit", "bare"), help=argparse.SUPPRESS)
    arguments.add_argument("--url", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.child:
        print(json.dumps({"audit": audit, "bare": bare}[given.child](given)))
    else:
        print(json.dumps(run(given)))


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Make the company, then audit and bare joins in turns, each in a fresh process."""
    folder = given.folder or Path(tempfile.mkdtemp(prefix="bench-audit-"))
    is_made = (folder / "lake").exists()
    server = start_embedded(folder)
    try:
        url = server.url("postgres")
        migrate(url)
        if not is_made:
            make_files(Lake(str(folder / "lake")), given.rows)
            make_books(url, given.rows)
        results: dict[str, list[dict[str, Any]]] = {"bare": [], "audit": []}
        for _ in range(given.rounds):
            for name, told in results.items():
                told.append(child(name, given, folder, url))
    finally:
        server.stop()
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    return summary(given, results)


def summary(given: argparse.Namespace, results: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Best seconds of each; the worst peak of memory."""
    told = results["bare"] + results["audit"]
    best = {
        name: min(one[name] for one in told if name in one)
        for name in (*results["bare"][0], *results["audit"][0])
    }
    bare_joins = sum(best[f"bare_{name}_s"] for name in BARE)
    judged = best["audit_s"] - best["copy_s"]
    return {
        "bench": "audit",
        "rows": given.rows,
        "threads": given.threads,
        "load": [round(one, 1) for one in os.getloadavg()],
        "engine_memory_limit": given.memory_limit,
        **best,
        "peak_rss_mib": max(one["peak_rss_mib"] for one in results["audit"]),
        "bare_joins_s": round(bare_joins, 2),
        "compare_to_bare_join": round(best["compare_s"] / best["bare_payments_s"], 2),
        "audit_to_bare": round(best["audit_s"] / (bare_joins + best["bare_copy_s"]), 2),
        "audit_without_copy_to_bare_joins": round(judged / bare_joins, 2),
    }


def child(name: str, given: argparse.Namespace, folder: Path, url: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", name, "--folder", str(folder), "--url", url]
    command += ["--rows", str(given.rows), "--threads", str(given.threads)]
    command += ["--memory-limit", given.memory_limit]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


# --- the audit -----------------------------------------------------------------------------------


COMPARE = ("audit/returned_money", "audit/differing_payments")


class TimedEngine(Engine):
    """Knows how long the comparison of the payments took, beside everything else."""

    compare_seconds = 0.0

    def query(self, sql: str, *given: Any, **named: Any) -> pl.DataFrame:
        return self._timed(super().query, sql, *given, **named)

    def query_to_file(self, sql: str, *given: Any, **named: Any) -> SpoolFile:
        return self._timed(super().query_to_file, sql, *given, **named)

    def _timed(self, job: Callable[..., Any], sql: str, *given: Any, **named: Any) -> Any:
        started = time.perf_counter()
        result = job(sql, *given, **named)
        if sql in map(load_sql, COMPARE):
            self.compare_seconds += time.perf_counter() - started
        return result


class TimedStore(AuditStore):
    """Knows how long the booked rows took to come out of Postgres."""

    copy_seconds = 0.0

    def booked_payments(self, *given: Any, **named: Any) -> BookedPayments:
        started = time.perf_counter()
        books = super().booked_payments(*given, **named)
        self.copy_seconds = time.perf_counter() - started
        return books


def audit(given: argparse.Namespace) -> dict[str, Any]:
    """One whole audit, and the peak memory of this process, in which nothing else happened."""
    engine = TimedEngine(
        memory_limit=given.memory_limit, threads=given.threads, temp_dir=given.folder / "spill"
    )
    with Database(given.url) as database:
        store = TimedStore(database)
        started = time.perf_counter()
        done = run_audit(
            MONTH,
            scope=SCOPE,
            lake=Lake(str(given.folder / "lake")),
            store=store,
            engine=engine,
            confirm=None,
            as_of=AS_OF,
            started_at=AS_OF,
            now=AS_OF,
        )
        seconds = time.perf_counter() - started
    check(done, given.rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "audit_s": round(seconds, 2),
        "compare_s": round(engine.compare_seconds, 2),
        "copy_s": round(store.copy_seconds, 2),
        "peak_rss_mib": peak,
        "findings": len(done.findings),
    }


def check(done: Audit, rows: int) -> None:
    """What was planted is what was found; else the figures mean nothing."""
    planted = len(range(7, rows, PLANTED_EVERY))
    assert done.counts == {"amount_mismatch": planted}, done.counts
    assert all(one.remainder == 0 for one in done.totals.values())


# --- the bare joins ------------------------------------------------------------------------------


def bare(given: argparse.Namespace) -> dict[str, Any]:
    """The plain joins over the same files, each measured alone."""
    engine = Engine(temp_dir=given.folder / "spill")
    lake = Lake(str(given.folder / "lake"))
    with Database(given.url) as database, engine.spool() as spool:
        store = TimedStore(database)
        books = store.booked_payments(SCOPE, start=MONTH.start, end=MONTH.end, spool=spool)
        paths: dict[str, object] = {"books": list(books.charged)}
        for name in AUDITED_OBJECTS:
            (manifest,) = (
                one for one in lake.manifests(f"stripe/{name}")
                if one.partition["month"] == MONTH.key
            )  # fmt: skip
            paths[name] = [manifest.path]
        timed: dict[str, Callable[[], int]] = {
            name: lambda sql=sql: join(sql, paths, given, spool.folder)  # type: ignore[misc]
            for name, sql in BARE.items()
        }
        told = {"bare_copy_s": round(store.copy_seconds, 2)}
        return told | {f"bare_{name}_s": round(seconds(job), 2) for name, job in timed.items()}


def join(sql: str, paths: dict[str, object], given: argparse.Namespace, folder: Path) -> int:
    config = {
        "threads": given.threads,
        "memory_limit": given.memory_limit,
        "temp_directory": str(folder),
    }
    wanted = {name: path for name, path in paths.items() if f"${name}," in sql}
    with duckdb.connect(config=config) as connection:
        return int(connection.sql(sql, params=wanted).to_arrow_table().num_rows)


def seconds(job: Callable[[], int]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


# --- the company ---------------------------------------------------------------------------------


def make_files(lake: Lake, rows: int) -> None:
    """The month's files of every audited kind, made in parts; and empty ones of the next month."""
    for name in AUDITED_OBJECTS:
        write(lake, name, frames(name, rows))


def frames(name: str, rows: int) -> Iterator[pl.DataFrame]:
    columns = SCHEMAS[name]
    if name not in RESOURCES:
        yield pl.DataFrame(schema=columns)
        return
    facts = FACTS.format(start=START, rows=rows, div="//")
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for at in range(0, rows, CHUNK):
            numbers = f"range({at}, {min(at + CHUNK, rows)}) as numbers (n)"
            made: pl.DataFrame = connection.sql(
                f"with facts as (select n, {facts}, {COMMON} from {numbers}) {RESOURCES[name]}"
            ).pl()
            known = set(made.columns)
            yield made.select(
                pl.col(column).cast(kind) if column in known else pl.lit(None, kind).alias(column)
                for column, kind in columns.items()
            )


def write(lake: Lake, name: str, made: Iterator[pl.DataFrame]) -> None:
    certificate = {
        "window": [START, int(MONTH.end.timestamp())],
        "complete": True,
        "has_more": False,
        "api_version": "2026-10-28.endive",
        "as_of": AS_OF.isoformat(),
        "fetched_from": AS_OF.isoformat(),
    }
    partition = {"account": SCOPE.account_id, "mode": SCOPE.mode, "month": MONTH.key}
    lake.write_partition(f"stripe/{name}", partition, made, certificate)
    later = {**certificate, "window": [int(MONTH.end.timestamp()), int(AS_OF.timestamp())]}
    lake.write_partition(
        f"stripe/{name}",
        {**partition, "month": MONTH.next.key},
        [pl.DataFrame(schema=SCHEMAS[name])],
        later,
    )


def make_books(url: str, rows: int) -> None:
    """Booked rows as the mirror books them, equal to Stripe's but for a few planted amounts."""
    facts = FACTS.format(start=START, rows=rows, div="/")
    refund = REFUND.replace("//", "/")
    with Database(url) as database, database.connection() as connection:
        connection.execute(
            f"""
            insert into billing.payments (
                account_id, livemode, charge_id, payment_intent_id, invoice_id, customer_id, status,
                captured, currency, amount_minor, refunded_minor, fee_minor, net_minor,
                settlement_currency, created_at, written_by, written_at
            )
            select 'acct_bench', true, id, payment_intent, invoice_id, customer, 'succeeded', true,
                currency,
                case when n % {PLANTED_EVERY} = 7 then amount + 5 else amount end, {refund},
                amount * 3 / 100, amount - amount * 3 / 100, currency, to_timestamp(created),
                'mirror', to_timestamp(created)
            from (
                select n, {facts} from generate_series(0::bigint, {rows - 1}) as numbers (n)
            ) as facts
            """
        )
    with Database(url) as database, database.connection() as connection:
        connection.execute("analyze billing.payments")


if __name__ == "__main__":
    main()
