"""Stages of random companies, told bit by bit in any order, against plain loops and against anew.

Every fact is a row where the product finds it, in a real Postgres. Refreshes run hourly and after
days of silence; now and then everything is read anew, and nothing may be other than it was.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.ids import Scope
from growth_pipeline.events.activity.activity_store import ActivityStore
from growth_pipeline.lifecycle.refresh.refresh import refresh_stages
from growth_pipeline.lifecycle.rules import LifecycleRules
from growth_pipeline.revenue.policies import policy_named
from growth_pipeline.storage.postgres import Connection, Database
from growth_pipeline_tests.acceptance.lifecycle_world import (
    ACTIVATION,
    FEATURES,
    START,
    Told,
    Truth,
    World,
    as_row,
)
from growth_pipeline_tests.acceptance.oracle_lifecycle import ONE, history_of, next_change

SCOPE = Scope("self", False)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Asia/Kolkata")
TABLES = ("readings", "news", "user_days", "last_uses", "billing_spans", "users", "transitions")
USERS = """
select n.user_key, u.stage, u.since_on, u.first_on
from lifecycle.users as u inner join activity.user_numbers as n using (user_number) order by 1"""
TRANSITIONS = """
select n.user_key, t.day, t.from_stage, t.to_stage, t.evidence
from lifecycle.transitions as t inner join activity.user_numbers as n using (user_number)
where t.superseded_at is null order by n.user_key, t.day"""
USER_DAYS = """
select n.user_key, d.day, d.features, d.milestones
from lifecycle.user_days as d inner join activity.user_numbers as n using (user_number) order by 1, 2"""
LAST_USES = """
select n.user_key, d.what, d.last_on
from lifecycle.last_uses as d inner join activity.user_numbers as n using (user_number) order by 1, 2"""
SPANS = """
select n.user_key, s.kind, s.why, s.from_on, s.until_on
from lifecycle.billing_spans as s inner join activity.user_numbers as n using (user_number)
order by 1, 2, 3, 4"""
DUE = """
select n.user_key, least(u.next_due_on, min(w.from_on))
from lifecycle.users as u
inner join activity.user_numbers as n using (user_number)
left join lifecycle.news as w using (user_number)
group by n.user_key, u.next_due_on"""
QUERIES = (USERS, TRANSITIONS, USER_DAYS, LAST_USES, SPANS)


COMPANIES = [*range(5), *(pytest.param(number, marks=pytest.mark.full) for number in range(5, 60))]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", COMPANIES)
def test_stages_told_bit_by_bit_are_those_of_plain_loops_and_of_everything_anew(
    number: int, database_url: str, seed: int, acceptance_line: Callable[..., str]
) -> None:
    counted: Counter[str] = Counter()
    chance = random.Random(f"{seed} company {number}")
    world = World.at_random(chance, ZONES[number % len(ZONES)], users=10)
    with MortalDatabase(database_url, max_size=4) as database:
        wrong = [*Play(world, database, chance, counted).run()]
    sys.stdout.write("\n".join(wrong[:12]) + "\n")
    acceptance_line("stages refreshed", violations=len(wrong), zone=world.tz, load=dict(counted))


class KilledError(Exception):
    """The process that refreshes is gone."""


class MortalDatabase(Database):
    """Gone before the transaction after so many; `dies_after` None: never."""

    dies_after: int | None = None

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        if self.dies_after == 0:
            raise KilledError
        if self.dies_after is not None:
            self.dies_after -= 1
        with super().connection() as connection:
            yield connection


@dataclass
class Play:
    """One company, told and refreshed in turns."""

    world: World
    database: MortalDatabase
    chance: random.Random
    counted: Counter[str]
    deleted: dict[str, date] = field(default_factory=dict)
    written: int = 0

    def __post_init__(self) -> None:
        self.rules = LifecycleRules(
            tz=self.world.tz,
            features=FEATURES,
            activation=ACTIVATION,
            policy=policy_named("growth"),
        )
        self.activity, self.billing = ActivityStore(self.database), BillingStore(self.database)

    def run(self) -> Iterator[str]:
        waiting = list(self.world.told)
        now, night = START, START
        last = waiting[-1].at + timedelta(days=2)
        while waiting or now < last:
            now = self.next_turn(now)
            while waiting and waiting[0].at <= now:
                self.write(waiting.pop(0), now)
            apply_waiting(self.billing, now=now)
            if now - night >= timedelta(days=1):
                night = now
                self.number(now)
            self.refresh(now)
            if self.chance.random() < 0.04:
                yield from self.compare_anew(now)
        yield from self.compare_anew(now)
        yield from self.compare_truth(now)

    def next_turn(self, now: datetime) -> datetime:
        hours = self.chance.choice((1, 1, 1, 5, 24, 30, 24 * 6, 24 * 11))
        return now + timedelta(hours=hours, seconds=self.chance.randrange(3600))

    def refresh(self, now: datetime, *, anew: bool = False) -> None:
        """One refresh, or one that dies; whether it is begun again at once is chance."""
        self.database.dies_after = self.chance.choice((None, None, None, self.chance.randrange(12)))
        try:
            self.refresh_whole(now, anew=anew)
        except KilledError:
            self.counted["killed"] += 1
        self.database.dies_after = None

    def refresh_whole(self, now: datetime, *, anew: bool = False) -> None:
        done = refresh_stages(
            self.database,
            [SCOPE],
            self.rules,
            now=now,
            anew=anew,
            batch=self.chance.choice((1, 3, 2000)),
        )
        self.counted["refreshes"] += 1
        self.counted["superseded"] += done.superseded
        self.counted["looked_at"] += done.looked_at

    def number(self, now: datetime) -> None:
        """What the asset of users does every night."""
        self.activity.number_users(now=now)
        gone = self.rows("select user_key from activity.user_numbers where deleted_at is not null")
        names = {self.name(key) for (key,) in gone}
        today = now.astimezone(ZoneInfo(self.world.tz)).date()
        self.deleted = {name: self.deleted.get(name, today) for name in names}

    def name(self, key: bytes) -> str:
        return {hash_of(f"user-{n}"): f"user-{n}" for n in range(100)}[bytes(key)]

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.database.connection() as connection:
            return connection.execute(query, values).fetchall()

    def do(self, statement: str, *values: Any) -> None:
        with self.database.connection() as connection:
            connection.execute(statement, values)

    def write(self, told: Told, now: datetime) -> None:
        self.counted[told.what] += 1
        getattr(self, f"write_{told.what}")(now, **told.details)

    def write_call(self, now: datetime, **call: Any) -> None:
        self.written += 1
        self.do(
            "insert into events.events (source_id, message_id, type, event, user_id, anonymous_id,"
            " occurred_at, received_at, properties, body)"
            " values (1, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
            *as_row(call, self.written, now),
        )

    def write_import(self, now: datetime, *, user: str, joined: datetime | None, rows: Any) -> None:
        sha = hashlib.sha256(f"{user} {now}".encode()).hexdigest()
        self.activity.import_rows("users", "users.csv", sha, [(user, joined)], now=now)
        self.activity.import_rows("activity", "activity.csv", sha, rows, now=now)

    def write_forget(self, now: datetime, *, user: str) -> None:
        self.do("delete from activity.imported_users where user_id = %s", user)

    def write_merge(self, now: datetime, *, user: str, into: str) -> None:
        self.activity.merge(user, into, now=now)

    def write_exclude(self, now: datetime, *, user: str) -> None:
        self.activity.exclude(user, "internal", now=now)

    def write_include(self, now: datetime, *, user: str) -> None:
        self.do("delete from activity.excluded_users where user_key = %s", hash_of(user))

    def write_customer(self, now: datetime, *, user: str, customer: str | None) -> None:
        self.do(
            "insert into billing.user_customers (account_id, livemode, user_id, customer_id)"
            " values (%s, %s, %s, %s) on conflict (account_id, livemode, user_id)"
            " do update set customer_id = excluded.customer_id",
            *(*SCOPE, user, customer),
        )

    def write_stripe(self, now: datetime, *, body: bytes) -> None:
        event = received_event(
            parse_envelope(body), body, account_id=SCOPE.account_id, received_at=now
        )
        self.billing.insert_events([event])

    def compare_anew(self, now: datetime) -> Iterator[str]:
        """What everything read anew makes other than it was; then on as before, or from there."""
        self.number(now)
        self.refresh_whole(now)
        self.counted["anew"] += 1
        before = [self.rows(query) for query in QUERIES]
        with self.database.connection() as connection:
            connection.execute("create schema kept")
            for table in TABLES:
                connection.execute(f"create table kept.{table} as table lifecycle.{table}")
        if self.chance.random() < 0.3:
            self.refresh(now, anew=True)  # may die
        self.refresh_whole(now, anew=True)
        for old, new in zip(before, [self.rows(query) for query in QUERIES], strict=True):
            yield from self.unlike(f"{now}: by news", old, "anew", new)
        with self.database.connection() as connection:
            if self.chance.random() < 0.7:
                for table in TABLES:
                    connection.execute(f"truncate lifecycle.{table}")
                    connection.execute(
                        f"insert into lifecycle.{table} overriding system value table kept.{table}"
                    )
            connection.execute("drop schema kept cascade")

    def unlike(self, left: str, old: Any, right: str, new: Any) -> Iterator[str]:
        """Rows of users whose rows are not the same on both sides."""
        for key in sorted({row[0] for row in [*old, *new]}):
            mine = [tuple(row[1:]) for row in old if row[0] == key]
            theirs = [tuple(row[1:]) for row in new if row[0] == key]
            if mine != theirs:
                some = (
                    [row for row in mine if row not in theirs],
                    [r for r in theirs if r not in mine],
                )
                yield f"{self.name(key)}: {left} {some[0]}, {right} {some[1]}"

    def compare_truth(self, now: datetime) -> Iterator[str]:
        last = now.astimezone(ZoneInfo(self.world.tz)).date() - ONE
        numbered = {
            self.name(key): at.astimezone(ZoneInfo(self.world.tz)).date()
            for key, at in self.rows("select user_key, numbered_at from activity.user_numbers")
        }
        truth = Truth(self.world, self.world.told, numbered, self.deleted, last)
        days = truth.days()
        lives = {user: truth.life(user, days.get(user, {})) for user in truth.counting()}
        told = {user: history_of(life, last) for user, life in lives.items()}
        for history in told.values():
            self.counted["transitions"] += len(history)
            self.counted.update(f"row {row}" for _, _, row in history)
        users = [
            (hash_of(user), history[-1][1], history[-1][0], lives[user].first)
            for user, history in told.items()
            if history
        ]
        yield from self.unlike("loops", users, "product", self.rows(USERS))
        moved = [
            (hash_of(user), day, before, stage, row)
            for user, history in told.items()
            for before, (day, stage, row) in zip(
                [None, *(one[1] for one in history)], history, strict=False
            )
        ]
        found = [(*row[:4], row[4]["row"]) for row in self.rows(TRANSITIONS)]
        yield from self.unlike("loops", moved, "product", found)
        active = [
            (
                hash_of(user),
                day,
                *([n for n in sorted(done) if n in s] for s in (FEATURES, ACTIVATION)),
            )
            for user, of in days.items()
            for day, done in sorted(of.items())
        ]
        yield from self.unlike("loops", active, "product", self.rows(USER_DAYS))
        uses = [
            (hash_of(user), what, max(of))
            for user, life in lives.items()
            for what, of in sorted({"": life.active, **life.uses}.items())
            if of
        ]
        yield from self.unlike("loops", uses, "product", self.rows(LAST_USES))
        spans = [
            (hash_of(user), kind, why, *span)
            for user in lives
            for kind, of in sorted(truth.spans(user).items())
            for why, some in sorted(of.items())
            for span in some
        ]
        yield from self.unlike("loops", spans, "product", joined(self.rows(SPANS)))
        due = {self.name(key): day for key, day in self.rows(DUE)}
        for user, life in lives.items():
            change = next_change(life, last) if told[user] else None
            if change and (due.get(user) is None or due[user] > change):
                yield f"{user} changes on {change} and is looked at on {due.get(user)}"


def joined(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Spans that touch, as one."""
    found: list[tuple[Any, ...]] = []
    for row in rows:
        if found and found[-1][:3] == row[:3] and found[-1][4] == row[3]:
            found[-1] = (*found[-1][:4], row[4])
        else:
            found.append(tuple(row))
    return found


def hash_of(id: str) -> bytes:
    return hashlib.sha256(id.encode()).digest()
