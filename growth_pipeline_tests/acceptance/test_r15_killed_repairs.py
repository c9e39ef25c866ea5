"""R15 for audit and repair: killed at any operation, the next run ends as if it had run once.

SIGKILL before and after every exchange with the database, request to Stripe and file operation of an
audit, of the showing of a plan, and of carrying it out. Right after the kill all of it is done or
nothing; the same command again ends in the state of an undisturbed run, byte for byte. With --full
at every operation, else at 30 drawn by the seed.
"""

from __future__ import annotations

import random
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from growth_pipeline.storage.postgres import Database
from growth_pipeline_tests.fakes.living_stripe import Account, LivingStripe
from growth_pipeline_tests.fakes.orders_process import OrdersProcess, orders_process
from growth_pipeline_tests.fakes.repaired_company import (
    AS_OF,
    LATER,
    NOON,
    Spoiled,
    spoil_a_little,
)

Dump = dict[str, list[str]]
STEPS = ("audit", "plan", "apply")
DRAWN = {"audit": 6, "plan": 8, "apply": 16}  # the fast tier's points
AT_ONCE = 4  # points at a time: processes mostly wait for the disk
# The instants between which an answer was given depend on how long the request took; a row's number
# on how often a transaction was begun; the folder is a test's own.
TIMED = ("first_from", "state_from")
NUMBER = re.compile(r'"payment_id": \d+')
FOLDER = re.compile(r'(?<=")[^"]*(?=/lake/)')


@pytest.fixture(scope="module")
def workers() -> Iterator[OrdersProcess]:
    """Carries out audits and repairs, each in a child of its own."""
    with orders_process("repair_process") as process:
        yield process


def carry_out(workers: OrdersProcess, *orders: dict[str, Any]) -> list[dict[str, Any]]:
    """Carry out orders, all at once; what each answered."""
    answers: list[dict[str, Any]] = workers.carry_out(orders)
    assert [answer for answer in answers if "error" in answer] == []
    return answers


@dataclass
class Place:
    """A company in a database and a folder; both remember how they were at each step."""

    url: str
    stripe_url: str
    folder: Path

    def order(self, step: str, *, kill_at: int = 0, place: str = "before") -> dict[str, Any]:
        """What a worker is told: carry out a step, or be killed on the way."""
        return {
            "do": step,
            "database": self.url,
            "stripe": self.stripe_url,
            "folder": str(self.folder / "now"),
            "run_id": "run",
            "now": (AS_OF if step == "audit" else LATER).isoformat(),
            "kill_at": kill_at,
            "place": place,
        }

    def remember(self, number: int) -> None:
        """Keep every row and file as they are before a step."""
        with psycopg.connect(self.url) as connection:
            connection.execute(f"create schema saved_{number}")
            for table in tables_of(connection):
                connection.execute(f"create table {saved(number, table)} as table {table}")
        shutil.copytree(self.folder / "now", self.folder / str(number))

    def go_back(self, number: int) -> None:
        """Every row and file as they were before a step.

        Copies within one database: a new database for each kill costs a checkpoint.
        """
        with psycopg.connect(self.url) as connection:
            connection.execute("set session_replication_role = replica")
            for table in tables_of(connection):
                columns = ", ".join(columns_of(connection, table))
                connection.execute(f"delete from {table}")
                connection.execute(
                    f"insert into {table} ({columns}) overriding system value"
                    f" select {columns} from {saved(number, table)}"
                )
        shutil.rmtree(self.folder / "now")
        shutil.copytree(self.folder / str(number), self.folder / "now")

    def dump(self) -> Dump:
        """Every row of every table, and every file, but for what the clock and the sequence give."""
        found = {}
        with psycopg.connect(self.url) as connection:
            connection.execute("set transaction isolation level repeatable read")
            for table in tables_of(connection):
                rows = connection.execute(
                    f"select (to_jsonb(t) - %s::text[])::text from {table} t", [list(TIMED)]
                ).fetchall()
                texts = (NUMBER.sub('"payment_id": 0', row[0]) for row in rows)
                found[table] = sorted(FOLDER.sub("", text) for text in texts)
        lake = self.folder / "now" / "lake"
        files = (path for path in lake.rglob("*") if path.is_file())
        found["files"] = sorted(str(path.relative_to(lake)) for path in files)
        return found


def tables_of(connection: Any) -> list[str]:
    rows = connection.execute(
        "select schemaname || '.' || tablename from pg_tables"
        " where schemaname in ('audit', 'billing', 'stripe') order by 1"
    ).fetchall()
    return [row[0] for row in rows]


def columns_of(connection: Any, table: str) -> list[str]:
    rows = connection.execute(
        "select quote_ident(attname) from pg_attribute where attrelid = %s::regclass"
        " and attnum > 0 and not attisdropped and attgenerated = '' order by attnum",
        [table],
    ).fetchall()
    return [row[0] for row in rows]


def saved(number: int, table: str) -> str:
    return f"saved_{number}.{table.replace('.', '_')}"


def execute(server: Any, statement: str) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture(scope="module")
def stripe() -> Iterator[LivingStripe]:
    with LivingStripe(Account(NOON)) as running:
        yield running


@dataclass
class Undisturbed:
    """How a run without kills went: what was there before each step and in the end; operations."""

    dumps: list[Dump]
    operations: dict[str, int]
    places: list[Place]


@pytest.fixture(scope="module")
def undisturbed(
    postgres_server: Any,
    migrated_template: str,
    workers: OrdersProcess,
    stripe: LivingStripe,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Undisturbed]:
    """A company, audited, planned and repaired once; copies of it that can go back to each step."""
    root = tmp_path_factory.mktemp("places")
    names = [f"growth_r15_{uuid.uuid4().hex[:12]}" for _ in range(AT_ONCE)]
    execute(postgres_server, f"create database {names[0]} template {migrated_template}")
    first = Place(postgres_server.url(names[0]), stripe.url, root / names[0])
    with Database(first.url) as database:
        company = Spoiled(stripe, database, first.folder / "now")
        spoil_a_little(company)
        company.extract()
    dumps, operations = [first.dump()], {}
    for number, step in enumerate(STEPS):
        first.remember(number)
        (answer,) = carry_out(workers, first.order(step))
        operations[step] = answer["operations"]
        dumps.append(first.dump())
    places = [first]
    for name in names[1:]:
        execute(postgres_server, f"create database {name} template {names[0]}")
        shutil.copytree(first.folder, root / name)
        places.append(Place(postgres_server.url(name), stripe.url, root / name))
    yield Undisturbed(dumps, operations, places)
    for name in names:
        execute(postgres_server, f"drop database {name} with (force)")


def drawn(counts: dict[str, int], seed: int, *, full: bool) -> list[tuple[str, int, str]]:
    """Where processes are killed: (step, n-th operation, before or after it)."""
    points = [
        (step, number, place)
        for step in STEPS
        for number in range(1, counts[step] + 1)
        for place in ("before", "after")
    ]
    if full:
        return points
    chance = random.Random(seed)
    chosen = []
    for step, most in DRAWN.items():
        own = [point for point in points if point[0] == step]
        # The commit and what stands around it are among the last operations: always some of them.
        chosen += [own[-1], *chance.sample(own[-12:-1], 2), *chance.sample(own[:-12], most - 3)]
    return chosen


def changed_tables(one: Dump, other: Dump) -> list[str]:
    return [name for name in one if one[name] != other[name]]


def faults_of(before: Dump, left: Dump, ended: Dump, after: Dump) -> list[str]:
    """What is wrong with what a kill left, and with how the next run ended."""
    faults = []
    tables = [name for name in left if name != "files"]
    if not any(all(left[name] == whole[name] for name in tables) for whole in (before, after)):
        faults.append(f"half of it is there: {changed_tables(left, before)}")
    if differing := changed_tables(ended, after):
        faults.append(f"another end than undisturbed: {differing}")
    return faults


def test_killed_anywhere_an_audit_a_plan_and_a_repair_are_done_whole_or_not_at_all(
    undisturbed, workers, seed, full, acceptance_line
):
    dumps, counts, places = undisturbed.dumps, undisturbed.operations, undisturbed.places
    assert changed_tables(dumps[2], dumps[1]) == ["audit.repair_plans"]
    assert {"billing.payments", "audit.repairs", "audit.repair_rows"} <= set(
        changed_tables(dumps[3], dumps[2])
    )
    violations: list[str] = []
    kills = whole = 0
    points = drawn(counts, seed, full=full)
    for begin in range(0, len(points), AT_ONCE):
        some = points[begin : begin + AT_ONCE]
        orders = []
        for place, (step, at, side) in zip(places, some, strict=False):
            place.go_back(STEPS.index(step))
            orders.append(place.order(step, kill_at=at, place=side))
        kills += sum(answer["killed"] for answer in carry_out(workers, *orders))
        left = [place.dump() for place in places[: len(some)]]
        carry_out(workers, *(order | {"kill_at": 0} for order in orders))
        for point, found, place in zip(some, left, places, strict=False):
            number = STEPS.index(point[0])
            whole += found == dumps[number + 1]
            faults = faults_of(dumps[number], found, place.dump(), dumps[number + 1])
            violations += [f"{point} of {counts[point[0]]}: {fault}" for fault in faults]

    acceptance_line(
        "R15",
        case="audit, plan, repair",
        load={"findings": 5, "operations": counts},
        faults={"SIGKILL": kills, "of these after the commit": whole},
        violations=violations,
    )
    assert (
        kills >= len(points) * 9 // 10
    )  # how often a pool looks at its connections varies a little
