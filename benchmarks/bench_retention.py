"""Retention against the best hand-written query; the daily refresh against a rebuild; and ingest.

1. `engines`: users and events of Day 0-30, Week 0-12 and Month 0-12 over the same Parquet files, by
   the product and by hand on each embedded engine that is there (`retention_by_hand.py`), in turns,
   each in a process of its own. Times are shares of the fastest hand-written one.
2. `refresh`: the lake, Postgres and both checks after each day of a month, and everything anew, as
   the asset does it. `share` is what the median day takes of that.
3. `history`: the same refresh, in the lake alone, after longer and longer histories of equal days,
   as shares of the shortest; `--picture` draws it.
4. `ingest`: `bench_ingest.py`, with `--ingest`.

Run: `python benchmarks/bench_retention.py`; what its options mean: docs/benchmarks.md. Prints one
JSON line of ratios: seconds say more of a machine and its load than of the product.
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
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median
from typing import Any

import duckdb
import polars as pl
from retention_by_hand import MEMORY, Facts, Found, engines, versions

from growth_pipeline.cohorts.checks import check_postgres, check_refresh
from growth_pipeline.cohorts.cohort_store import CohortStore
from growth_pipeline.cohorts.definition import RetentionDefinition
from growth_pipeline.cohorts.refresh.facts import ACTIVITY, USERS
from growth_pipeline.cohorts.refresh.run import Refreshed, Wanted, answers_of, refresh
from growth_pipeline.cohorts.retention.grains import measure_grains
from growth_pipeline.cohorts.retention.measure import RetentionFacts
from growth_pipeline.core.calendar import calendar_table
from growth_pipeline.core.charts import amount_chart, render_png, render_svg
from growth_pipeline.storage.embedded import start_embedded
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import Lake
from growth_pipeline.storage.migrations import migrate
from growth_pipeline.storage.postgres import Database

EPOCH = date(1970, 1, 1)
START = date(2029, 1, 1)
FIRST = (START - EPOCH).days
ENTRY_DAYS = 700
AS_OF = datetime(2032, 6, 1, tzinfo=UTC)
NOW = datetime(2040, 1, 1, tzinfo=UTC)
GRAINS = ("day", "week", "month")
MONTH = 31  # days in a row: always with a week's end and a month's
OURS = "growth_pipeline"
NEW_USERS = 100  # of so many active users one is new

# --- 1. the product and hand-written queries ------------------------------------------------------


def make_files(folder: Path, rows: int, users: int) -> None:
    """Users who enter evenly over the days, each active on as many days, in files by month."""
    folder.mkdir(parents=True)
    bounds = {"memory_limit": MEMORY, "temp_directory": str(folder / "spill")}
    connection = duckdb.connect(config={**bounds, "preserve_insertion_order": False})
    connection.execute("set enable_progress_bar = false")
    connection.execute(
        f"copy (select i::int as user_number, ({FIRST} + i * {ENTRY_DAYS} // {users})::int"
        f" as entry_day, null::varchar as segment from range({users}) as r(i))"
        f" to '{folder / 'users.parquet'}' (format parquet)"
    )
    connection.execute(
        "copy (select user_number, day, (1 + hash(user_number, day) % 5)::bigint as events,"
        " day // 30 as part from (select i::int as user_number,"
        f" ({FIRST} + i * {ENTRY_DAYS} // {users} + j * (1 + i % 9)"
        " + hash(i, j) % (1 + i % 9))::int"
        f" as day from range({users}) as r(i), range({rows // users}) as q(j)))"
        f" to '{folder / 'activity'}' (format parquet, partition_by (part))"
    )
    connection.close()


def definitions() -> list[RetentionDefinition]:
    """The standard questions."""
    return [RetentionDefinition(as_of=AS_OF, grain=grain) for grain in GRAINS]


def facts_in(folder: Path) -> Facts:
    """What `make_files` made."""
    activity = sorted(str(path) for path in (folder / "activity").rglob("*.parquet"))
    days = FIRST - 1, FIRST + ENTRY_DAYS + 9 * 366
    week, month = (calendar_table(*days, one) for one in definitions()[1:])
    calendar = week.select("day", week="period").join(
        month.select("day", month="period"), on="day", maintain_order="left"
    )
    return Facts(str(folder / "users.parquet"), activity, calendar, folder / "spill")


def by_us(facts: Facts) -> Found:
    """The product, with every cell."""
    engine = Engine(MEMORY, temp_dir=facts.spill)
    asked = RetentionFacts([facts.users], facts.activity)
    day, week, month = measure_grains(engine, asked, definitions())
    users = [sum(cell.users or 0 for cell in one.cells) for one in (day, week, month)]
    return Found(*users, events=sum(cell.events or 0 for cell in day.cells))


def contend(name: str, tiny: Path, folder: Path) -> dict[str, Any]:
    """One turn of one contender, after a tiny one that loads what it needs."""
    work = {**engines(), OURS: by_us}[name]
    work(facts_in(tiny))
    facts = facts_in(folder)
    begun, cpu = time.perf_counter(), time.process_time()
    found = work(facts)
    return {
        "seconds": time.perf_counter() - begun,
        "cpu": time.process_time() - cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "found": found,
    }


def compare(folder: Path, rows: int, users: int, turns: int) -> dict[str, Any]:
    """Contenders in turns, the best turn of each."""
    # In a child, because a process that starts another hands its own peak of memory on to it.
    in_child(make_files, folder / "tiny", 5_000, 500)
    in_child(make_files, folder / "large", rows, users)
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in (*engines(), OURS)}
    for _ in range(turns):
        for name, runs in told.items():
            runs.append(in_child(contend, name, folder / "tiny", folder / "large"))
    answers = {name: run["found"] for name, runs in told.items() for run in runs}
    if len(set(answers.values())) != 1:
        raise SystemExit(f"the answers differ: {answers}")
    best = {
        name: {key: min(run[key] for run in runs) for key in ("seconds", "cpu")}
        for name, runs in told.items()
    }
    yardstick = min((name for name in best if name != OURS), key=lambda n: best[n]["seconds"])
    missing = {"duckdb", "polars", "chdb"} - told.keys()
    return {
        "yardstick": yardstick,
        "ratio": shares(best, yardstick, "seconds")[OURS],
        "time": shares(best, yardstick, "seconds"),
        "cpu": shares(best, yardstick, "cpu"),
        "peak_gib": {
            name: round(max(r["peak"] for r in runs) / 2**20, 2) for name, runs in told.items()
        },
        "versions": versions() | dict.fromkeys(sorted(missing), "not installed, not measured"),
    }


def shares(best: dict[str, dict[str, float]], yardstick: str, key: str) -> dict[str, float]:
    """Of each contender in terms of one."""
    return {name: round(one[key] / best[yardstick][key], 2) for name, one in best.items()}


def in_child(job: Callable[..., Any], *arguments: Any) -> Any:
    """In a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(job, *arguments).result()


# --- 2. the daily refresh -------------------------------------------------------------------------


def add_day(lake: Lake, number: int, daily: int) -> None:
    """A day on which a hundredth of the active users enters; others come back less and less."""
    day = FIRST + number
    entering = max(1, daily // NEW_USERS)
    known = (number + 1) * entering
    users = pl.DataFrame({"user_number": range(known)}, schema={"user_number": pl.Int32})
    users = users.with_columns(entry_day=(pl.col("user_number") // entering + FIRST).cast(pl.Int32))
    lake.write_partition(USERS, {"part": "all"}, [users], {})
    active = users.select("user_number").filter(
        pl.col("user_number").hash(number) % max(1, known // daily) == 0
    )
    rows = active.with_columns(day=pl.lit(day, pl.Int32), events=pl.lit(1, pl.Int64)).sort(
        "user_number"
    )
    partition = {"day": (START + timedelta(days=number)).isoformat()}
    lake.write_partition(ACTIVITY, partition, [rows], {})


def tell_users(database: Database, number: int, daily: int) -> None:
    """The users of a day in Postgres, as the rollup numbers them; a trigger gives them cohorts."""
    entering = max(1, daily // NEW_USERS)
    with database.connection() as connection:
        connection.execute(
            "insert into activity.user_numbers (user_number, user_key, user_id, signed_up_at)"
            " overriding system value select n, sha256(n::text::bytea), n::text, %(at)s"
            " from generate_series(%(first)s::int, %(last)s::int) as n",
            {
                "first": number * entering,
                "last": (number + 1) * entering - 1,
                "at": datetime.combine(START, datetime.min.time(), UTC) + timedelta(days=number),
            },
        )


def refreshed(lake: Lake, engine: Engine) -> tuple[float, list[Refreshed]]:
    """Seconds of a refresh of all grains in the lake, and what it made."""
    begun = time.perf_counter()
    done = refresh(lake, engine, Wanted(), now=NOW)
    return time.perf_counter() - begun, done


def published(lake: Lake, engine: Engine, store: CohortStore) -> tuple[float, float]:
    """Seconds of all that the asset does, and of the lake alone."""
    in_lake, done = refreshed(lake, engine)
    begun = time.perf_counter()
    answers = answers_of(done)
    store.publish(answers, now=NOW)
    judged = [*check_refresh(done), check_postgres(answers, store)]
    if not all(result.passed for result in judged):
        raise SystemExit(f"a check failed: {judged}")
    return in_lake + time.perf_counter() - begun, in_lake


def refresh_shares(folder: Path, days: int, daily: int) -> dict[str, Any]:
    """A month of days after a history, and everything anew, with Postgres."""
    server = start_embedded(folder / "state")
    try:
        migrate(server.url("growth"))
        with Database(server.url("growth")) as database:
            return _refresh_shares(folder, database, days, daily)
    finally:
        server.stop()


def _refresh_shares(folder: Path, database: Database, days: int, daily: int) -> dict[str, Any]:
    engine = Engine(MEMORY, temp_dir=folder / "engine")
    lake, store = Lake(str(folder / "lake")), CohortStore(database)
    for number in range(days):
        add_day(lake, number, daily)
        tell_users(database, number, daily)
    with database.connection() as connection:
        connection.execute("analyze")
    published(lake, engine, store)
    told: dict[date, tuple[float, float]] = {}
    for number in range(days, days + 2 * MONTH):  # the first month fills the days in short
        add_day(lake, number, daily)
        tell_users(database, number, daily)
        took = published(lake, engine, store)
        if number >= days + MONTH:
            told[START + timedelta(days=number)] = took
    rows = sum(manifest.row_count for manifest in lake.manifests(ACTIVITY))
    forget(folder / "lake", database)
    anew = published(lake, engine, store)
    ends = {day: took for day, took in told.items() if (day + timedelta(days=1)).day == 1}
    other = [took for day, took in told.items() if day not in ends]
    kinds = {"": other, "month_end_": list(ends.values()), "all_": list(told.values())}
    return {
        "rows": rows,
        **{
            f"{kind}{place}share": round(average(took[at] for took in some) / anew[at], 4)
            for kind, some in kinds.items()
            for at, place in enumerate(("", "lake_"))
            for average in (fmean if kind else median,)
        },
        "lake_of_rebuild": round(anew[1] / anew[0], 2),
        "lake_of_refresh": round(median(took[1] / took[0] for took in other), 2),
    }


def forget(lake: Path, database: Database) -> None:
    """All that was published, as before the first refresh."""
    for path in lake.glob("retention_*"):
        shutil.rmtree(path)
    with database.connection() as connection:
        connection.execute("truncate cohorts.retention_metrics, cohorts.definitions cascade")


# --- 3. cost against the length of history --------------------------------------------------------


def history_cost(folder: Path, lengths: Sequence[int], daily: int) -> dict[int, float]:
    """Days of history -> seconds of the median refresh over the month after it."""
    engine = Engine(MEMORY, temp_dir=folder / "engine")
    lake = Lake(str(folder / "lake"))
    costs: dict[int, float] = {}
    written = 0
    for length in sorted(lengths):
        for number in range(written, length):
            add_day(lake, number, daily)
        refreshed(lake, engine)
        took = []
        for number in range(length, length + MONTH):
            add_day(lake, number, daily)
            took.append(refreshed(lake, engine)[0])
        written = length + MONTH
        costs[length] = median(took)
    return costs


def draw(costs: dict[int, float], path: Path) -> None:
    """Milliseconds of a refresh by days of history, on a scale from 0."""
    rows = [{"days": days, "ms": round(1000 * cost, 1)} for days, cost in costs.items()]
    title = "Milliseconds of a day's refresh by days of history"
    spec = amount_chart(rows, place="days", amount="ms", title=title)
    if path.suffix == ".svg":
        path.write_text(render_svg(spec))
    else:
        path.write_bytes(render_png(spec, scale=2))


def history(folder: Path, lengths: Sequence[int], daily: int, picture: Path | None) -> Any:
    """Shares of the shortest."""
    costs = history_cost(folder, lengths, daily)
    if picture is not None:
        draw(costs, picture)
    shortest = costs[min(costs)]
    return {days: round(cost / shortest, 2) for days, cost in costs.items()}


def main() -> None:
    """Run it all in a folder of its own and print one line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=5_000_000, help="of activity; 0: skip")
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--days", type=int, default=120, help="in the lake; 0: no refresh")
    parser.add_argument("--daily", type=int, default=20_000, help="active users of a day there")
    parser.add_argument("--history", type=int, nargs="*", default=[100, 200, 400], help="days")
    parser.add_argument("--history-daily", type=int, default=1_000)
    parser.add_argument("--picture", type=Path, help="of history: .svg or .png")
    parser.add_argument("--ingest", action="store_true")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-retention-"))
    told: dict[str, Any] = {"rows": asked.rows, "users": asked.users}
    told["load_before"] = round(os.getloadavg()[0], 1)
    try:
        if asked.rows:
            told["engines"] = compare(folder / "files", asked.rows, asked.users, asked.turns)
            print(json.dumps(told), file=sys.stderr, flush=True)
        shutil.rmtree(folder / "files", ignore_errors=True)
        if asked.days:
            told["refresh"] = refresh_shares(folder / "refresh", asked.days, asked.daily)
            print(json.dumps(told), file=sys.stderr, flush=True)
        shutil.rmtree(folder / "refresh", ignore_errors=True)
        lengths = [days for days in asked.history if days]
        if lengths:
            told["history"] = history(
                folder / "history", lengths, asked.history_daily, asked.picture
            )
        if asked.ingest:
            command = [sys.executable, str(Path(__file__).with_name("bench_ingest.py"))]
            told["ingest"] = json.loads(subprocess.check_output(command))
        print(json.dumps(told))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
