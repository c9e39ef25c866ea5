"""MRR of many subscriptions: a rebuild, and one more day, against a bare scan of the same Parquet.

Seeded states of subscriptions over 24 months go into the lake as the pipeline writes them.
Then: `scan` reads every column of these files in the embedded engine and hashes it; `spells`
computes every spell of MRR; `publish` puts spells and days into Postgres, in one transaction;
`movements` all periods and figures of them; `day` is one more day on which some customers changed,
`quiet_day` one on which nobody did. Each is a share of the scan.

Run: `python benchmarks/bench_mrr.py`; options: docs/benchmarks.md. Prints one JSON line of ratios.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from growth_pipeline.core.recurring import Discount, Item, Price, Subscription
from growth_pipeline.revenue.history import SubscriptionState
from growth_pipeline.revenue.movements_store import MovementsStore
from growth_pipeline.revenue.policies import PRESETS
from growth_pipeline.revenue.publish import CODE_VERSION, spells_under
from growth_pipeline.revenue.published.publish import publish_movements
from growth_pipeline.revenue.spell_store import Published, SpellStore
from growth_pipeline.revenue.state_lake import (
    StatesRead,
    manifests_of,
    read_customers,
    write_states,
)
from growth_pipeline.storage.embedded import start_embedded
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import Lake
from growth_pipeline.storage.migrations import migrate
from growth_pipeline.storage.postgres import Database

DAY = 86_400
START = datetime(2029, 1, 1, tzinfo=UTC)
POLICY = PRESETS["growth"]
PRICES = [
    Price(f"price_{n}", currency, f"prod_{n % 4}", interval=interval, unit_amount=Fraction(amount))
    for n, (currency, interval, amount) in enumerate(
        [
            *(("usd", "month", 1900), ("usd", "month", 4900), ("usd", "year", 49_000)),
            *(("eur", "month", 1700), ("eur", "year", 45_000), ("jpy", "month", 2900)),
            ("usd", "week", 700),
        ]
    )
]


def states(subscriptions: int, months: int, seed: int) -> Iterator[SubscriptionState]:
    """About 2.5 states a subscription: begun, changed, past due, discounted, ended."""
    rng = random.Random(seed)
    for number in range(subscriptions):
        at = int(START.timestamp()) + rng.randrange(months * 30 * DAY)
        price = rng.choice(PRICES)
        for step in range(rng.randrange(1, 5)):
            last = rng.random() < 0.4
            until = None if last else at + rng.randrange(5 * DAY, 200 * DAY)
            discounts: tuple[Discount, ...] = ()
            if rng.random() < 0.1:
                discounts = (Discount("repeating", Fraction(20), starts=at, ends=at + 90 * DAY),)
            status = "past_due" if rng.random() < 0.05 else "active"
            item = Item(f"si_{number:07}", price, rng.randrange(1, 8))
            terms = Subscription(
                status,
                price.currency,
                (item,),
                discounts,
                past_due_since=at if status == "past_due" else None,
            )
            yield SubscriptionState(
                *(f"sub_{number:07}", f"cus_{number * 9 // 10:07}", at, until, terms),
                account_id="self",
                told_by=f"evt_{number}_{step}",
            )
            if until is None:
                break
            at = until
            price = rng.choice([one for one in PRICES if one.currency == price.currency])


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    start = time.perf_counter()
    done = work()
    return time.perf_counter() - start, done


def scan(lake: Lake) -> float:
    """Seconds of the best of five bare scans that look at every value."""
    paths = [manifest.path for manifest in manifests_of(lake)]
    connection = duckdb.connect(config={"threads": 4})
    query = "select bit_xor(hash(t)) from read_parquet(?) as t"
    return min(timed(lambda: connection.execute(query, [paths]).fetchall())[0] for _ in range(5))


def published(marks: StatesRead, day: int = 0) -> Published:
    """What the pipeline says of a publication, some days later."""
    return Published(
        policy=POLICY.definition,
        options=POLICY.resolved(),
        tz="UTC",
        as_of=marks.as_of + timedelta(days=day),
        known_at=marks.known_at + timedelta(days=day),
        inputs_sha256=marks.sha256,
        code_version=CODE_VERSION,
    )


def changed_of(lake: Lake, how_many: int, at: int) -> dict[Any, list[SubscriptionState]]:
    """Some customers, each with one more seat from an instant on."""
    found = {}
    for customer, rows in read_customers(lake):
        last = rows[-1]
        if last.until_at is None and last.from_at < at:
            item = last.terms.items[0]
            more = replace(last.terms, items=(replace(item, quantity=(item.quantity or 0) + 1),))
            ended = replace(last, until_at=at)
            found[customer] = [*rows[:-1], ended, replace(last, from_at=at, terms=more)]
        if len(found) == how_many:
            break
    return found


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subscriptions", type=int, default=5_000)
    parser.add_argument("--months", type=int, default=24)
    parser.add_argument("--changed", type=int, default=200)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = measure(given, Path(folder))
    sys.stdout.write(json.dumps(told) + "\n")


def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Everything, against one server."""
    lake = Lake(str(folder / "lake"))
    as_of = START + timedelta(days=30 * given.months)
    marks = write_states(
        lake, states(given.subscriptions, given.months, given.seed), as_of=as_of, known_at=as_of
    )
    bare = scan(lake)
    server = start_embedded(folder / "state")
    try:
        migrate(server.url("growth"))
        with Database(server.url("growth")) as database:
            return _measured(given, lake, marks, bare, database, folder)
    finally:
        server.stop()


def _measured(
    given: argparse.Namespace,
    lake: Lake,
    marks: StatesRead,
    bare: float,
    database: Database,
    folder: Path,
) -> dict[str, Any]:
    store = SpellStore(database)
    spells, held = timed(lambda: list(spells_under(read_customers(lake), POLICY, None)))
    publish, done = timed(lambda: store.publish(POLICY, held, published=published(marks)))
    engine = Engine(temp_dir=folder / "spill")
    moves, _ = timed(
        lambda: publish_movements(engine, MovementsStore(database, []), now=marks.as_of)
    )
    days, quiet = [], []
    for day in range(1, given.days + 1):
        at = int(marks.as_of.timestamp()) + (day - 1) * DAY + DAY // 2
        changed = changed_of(lake, given.changed, at)

        def one_more_day(day: int = day, changed: Any = changed) -> None:
            rows = (state for states in changed.values() for state in states)
            write_states(
                lake, rows, as_of=marks.as_of, known_at=marks.known_at, changed=list(changed)
            )
            found = spells_under(read_customers(lake, list(changed)), POLICY, None)
            store.publish(POLICY, found, published=published(marks, day), changed=list(changed))

        days.append(timed(one_more_day)[0])
        later = published(marks, day)
        quiet.append(
            timed(lambda later=later: store.publish(POLICY, (), published=later, changed=[]))[0]
        )
    seconds = {
        "spells": spells,
        "publish": publish,
        "rebuild": spells + publish,
        "movements": moves,
        "day": median(days),
        "quiet_day": median(quiet),
    }
    return {
        "subscriptions": given.subscriptions,
        "states": marks.states,
        "spells": done.spells,
        "days": done.days,
        "times_the_scan": {name: round(took / bare, 1) for name, took in seconds.items()},
        "share_of_rebuild": {
            name: round(seconds[name] / seconds["rebuild"], 4) for name in ("day", "quiet_day")
        },
        "within": {
            "rebuild_30_s": seconds["rebuild"] < 30,
            "day_1_s": seconds["day"] < 1,
        },
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


if __name__ == "__main__":
    main()
