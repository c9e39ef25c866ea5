"""Stages of many users: what a refresh costs by the news it reads, and by the users there are.

Two companies on one Postgres, one with a tenth of the other's users; each user signed up within a
year and did something on two days, a few pay. After the first build, hours go by: `news` users do
something that is told late, a twentieth of them is new and a twentieth has a changed subscription.
Nothing but the refresh is timed. Turns of all kinds alternate; each figure is a median of them.

Run: `python benchmarks/bench_lifecycle.py`; options: docs/benchmarks.md. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import psycopg

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.ids import Scope
from growth_pipeline.lifecycle.refresh.refresh import Refreshed, refresh_stages
from growth_pipeline.lifecycle.rules import LifecycleRules
from growth_pipeline.revenue.policies import policy_named
from growth_pipeline.storage.embedded import start_embedded
from growth_pipeline.storage.migrations import migrate
from growth_pipeline.storage.postgres import Database

NOW = datetime(2030, 6, 1, 3, tzinfo=UTC)
SCOPE = Scope("self", False)
FEATURES = ("Feature Used", "Report Viewed", "Search Performed", "Comment Added")
RULES = LifecycleRules(
    tz="UTC", features=FEATURES, activation=("Project Created",), policy=policy_named("growth")
)
SIGN_UPS = """
insert into events.events
    (source_id, message_id, type, event, user_id, occurred_at, received_at, body)
select 1, 's' || n, 'track', 'User Signed Up', 'user-' || n, t.at, t.at, '{}'
from generate_series(%(first)s::int, %(last)s::int) as n
cross join lateral (
    select
        %(now)s::timestamptz - interval '12 hours'
        - (n::bigint * 7919 %% 364) * interval '1 day' as at
) as t
order by t.at"""
USES = """
insert into events.events
    (source_id, message_id, type, event, user_id, occurred_at, received_at, body)
select 1, 'e' || k || '-' || n, 'track', (%(features)s::text [])[1 + (n + k) %% 4], 'user-' || n,
    t.at, t.at, '{}'
from generate_series(%(first)s::int, %(last)s::int) as n
cross join generate_series(0, 1) as k
cross join lateral (
    select least(
        %(now)s::timestamptz - interval '12 hours',
        %(now)s::timestamptz - (n::bigint * 7919 %% 364 - k * (1 + n %% 30)) * interval '1 day'
    ) as at
) as t
order by t.at"""
NEWS = """
insert into events.events
    (source_id, message_id, type, event, user_id, occurred_at, received_at, body)
select
    1, 'n' || %(turn)s || '-' || n, 'track', 'Report Viewed', 'user-' || n, %(at)s, %(told)s, '{}'
from unnest(%(users)s::int []) as n"""
CUSTOMERS = """
insert into billing.user_customers (account_id, livemode, user_id, customer_id)
select 'self', false, 'user-' || n, 'cus_' || n from unnest(%(users)s::int []) as n"""


class Company:
    """One company in its own database, and its clock."""

    def __init__(self, url: str, users: int, payers: int, seed: int) -> None:
        self.url, self.database = url, Database(url, max_size=4)
        self.billing = BillingStore(self.database)
        self.users, self.now, self.turn = users, NOW, 0
        self.chance = random.Random(seed)
        self.payers = self.chance.sample(range(users), payers)

    def execute(self, statement: str, **values: Any) -> None:
        with self.database.connection() as connection:
            connection.execute(statement, values)

    def fill(self) -> None:
        told = {"first": 0, "last": self.users - 1, "now": NOW, "features": list(FEATURES)}
        self.execute(SIGN_UPS, **told)
        self.execute(USES, **told)
        self.execute(CUSTOMERS, users=self.payers)
        self.subscribe(self.payers, "created", NOW - timedelta(days=100))
        self.vacuum()

    def vacuum(self) -> None:
        """What autovacuum does by and by."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("vacuum analyze")

    def subscribe(self, payers: list[int], word: str, at: datetime) -> None:
        bodies = [self.subscription(payer, word, int(at.timestamp())) for payer in payers]
        self.billing.insert_events(
            [
                received_event(parse_envelope(one), one, account_id="self", received_at=at)
                for one in bodies
            ]
        )
        apply_waiting(self.billing, now=at)

    def subscription(self, payer: int, word: str, at: int) -> bytes:
        begun = int((NOW - timedelta(days=100)).timestamp())
        price = {
            **{"id": "price_1", "object": "price", "active": True, "billing_scheme": "per_unit"},
            **{"created": begun, "currency": "usd", "product": "prod_1", "type": "recurring"},
            **{"unit_amount": 1000, "unit_amount_decimal": "1000"},
            "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
        }
        item = {
            **{"id": f"si_{payer}", "object": "subscription_item", "quantity": 1},
            **{"current_period_start": begun, "current_period_end": begun + 31_536_000},
            **{"discounts": [], "price": price, "subscription": f"sub_{payer}"},
        }
        subscription = {
            **{"id": f"sub_{payer}", "object": "subscription", "created": begun},
            **{"currency": "usd", "customer": f"cus_{payer}", "start_date": begun},
            **{"cancel_at_period_end": False, "discounts": [], "quantity": 1},
            "status": "active" if word == "created" else "past_due",
            "items": {"object": "list", "has_more": False, "data": [item]},
        }
        event = {
            **{"id": f"evt_{payer}_{at}", "object": "event", "api_version": "2026-10-28.endive"},
            **{"created": at, "data": {"object": subscription}, "livemode": False},
            **{"pending_webhooks": 1, "request": {"id": None, "idempotency_key": None}},
            "type": f"customer.subscription.{word}",
        }
        return orjson.dumps(event)

    def tell(self, news: int) -> None:
        """Three hours later: what so many users did yesterday is told, and some of all else.

        A refresh reads the hour before the last one again, so one goes by unseen.
        """
        self.turn += 1
        self.now += timedelta(hours=2)
        self.refresh()
        self.now += timedelta(hours=1)
        told = self.now - timedelta(minutes=30)
        few = news // 20
        did = self.chance.sample(range(self.users), news - 2 * few)
        at = self.now.replace(hour=2) - timedelta(hours=14)
        self.execute(NEWS, users=did, turn=self.turn, at=at, told=told)
        if few:
            at = {"first": self.users, "last": self.users + few - 1}
            self.users += few
            self.execute(SIGN_UPS, **at, now=told)
            self.subscribe(self.chance.sample(self.payers, few), "updated", told)

    def refresh(self) -> tuple[float, Refreshed]:
        begun = time.perf_counter()
        done = refresh_stages(self.database, [SCOPE], RULES, now=self.now, batch=2000)
        return time.perf_counter() - begun, done


def measured(large: Company, small: Company, options: argparse.Namespace) -> dict[str, Any]:
    seconds: dict[str, list[float]] = defaultdict(list)
    looked: dict[str, list[int]] = defaultdict(list)
    kinds = [("large", news) for news in (*options.news, 0)] + [("small", options.news[1])]
    for turn in range(options.turns + 1):
        for size, news in random.Random(turn).sample(kinds, len(kinds)):
            company = large if size == "large" else small
            if company.now.hour > 20:  # the day ends: its own kind of turn
                company.now = company.now.replace(hour=0) + timedelta(days=1, hours=1)
                took, done = company.refresh()
                seconds[f"{size} day"].append(took)
                looked[f"{size} day"].append(done.looked_at)
            company.tell(news)
            took, done = company.refresh()
            if turn:  # the first one warms up
                seconds[f"{size} {news}"].append(took)
                looked[f"{size} {news}"].append(done.looked_at)
    return told(seconds, looked, options)


def told(
    seconds: dict[str, list[float]], looked: dict[str, list[int]], options: argparse.Namespace
) -> dict[str, Any]:
    took = {kind: median(some) for kind, some in seconds.items()}
    middle = took[f"large {options.news[1]}"]
    return {
        "size": round(middle / took[f"small {options.news[1]}"], 2),
        "news": {news: round(took[f"large {news}"] / middle, 3) for news in (*options.news, 0)},
        "seconds": {kind: round(some, 3) for kind, some in took.items()},
        "looked_at": {kind: median(some) for kind, some in looked.items()},
        "all": {kind: [round(one, 3) for one in some] for kind, some in seconds.items()},
    }


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--users", type=int, default=20_000)
    asked.add_argument("--payers", type=float, default=0.02)
    asked.add_argument("--news", type=int, nargs=3, default=[100, 1000, 10_000])
    asked.add_argument("--turns", type=int, default=5)
    asked.add_argument("--seed", type=int, default=8)
    asked.add_argument("--folder", type=Path)
    options = asked.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=options.folder))
    server = start_embedded(folder)
    try:
        line: dict[str, Any] = {"users": options.users, "load_before": os.getloadavg()[0]}
        companies = {}
        for name, users in (("small", options.users // 10), ("large", options.users)):
            url = server.url("growth") if name == "large" else new_database(server)
            migrate(url)
            company = companies[name] = Company(
                url, users, int(users * options.payers), options.seed
            )
            begun = time.perf_counter()
            company.fill()
            line[f"{name}_filled"] = round(time.perf_counter() - begun, 1)
            took, done = company.refresh()
            company.vacuum()
            line[f"{name}_built"] = {"seconds": round(took, 1), "looked_at": done.looked_at}
            print(json.dumps(line), file=sys.stderr)
        line |= measured(companies["large"], companies["small"], options)
        line["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps(line | {"load_after": os.getloadavg()[0]}))
        for company in companies.values():
            company.database.close()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def new_database(server: Any) -> str:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("create database small")
    return str(server.url("small"))


if __name__ == "__main__":
    main()
