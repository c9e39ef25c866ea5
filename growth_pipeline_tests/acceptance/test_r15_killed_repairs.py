"""R15 for audit and repair: killed at any operation, the next run ends as if it had run once.

SIGKILL before and after every exchange with the database, request to Stripe and file operation of an
audit, of the showing of a plan, and of carrying it out. Right after the kill all of it is done or
nothing; the same command again ends in the state of an undisturbed run, byte for byte. With --full
at every operation, else at 30 drawn by the seed.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from growth_pipeline.storage.postgres import Database
from growth_pipeline_tests.fakes.living_stripe import Account, LivingStripe
from growth_pipeline_tests.fakes.repaired_company import AS_OF, LATER, NOON, Spoiled, spoil_a_little

STEPS = ("audit", "plan", "apply")
# The instants between which an answer was given depend on how long the request took; a row's number
# on how often a transaction was begun.
TIMED = ("first_from", "state_from")
Dump = dict[str, list[str]]
DRAWN = {"audit": 6, "plan": 8, "apply": 16}  # the fast tier's points
AT_ONCE = 4  # points at a time: processes mostly wait for the disk
NUMBER = re.compile(r'"payment_id": \d+')
FOLDER = re.compile(r'(?<=")[^"]*(?=/lake/)')


@pytest.fixture(scope="module")
def workers() -> Iterator[subprocess.Popen[str]]:
    """Carries out audits and repairs, each in a child of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "growth_pipeline_tests.fakes.repair_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@dataclass
class Stand:
    """A company at one step: a database to copy and a folder with the files of its lake."""

    server: Any
    stripe: LivingStripe
    workers: subprocess.Popen[str]
    database: str
    folder: Path

    def copy(self, folder: Path) -> Stand:
        """The same company in a database and a folder of its own."""
        name = f"growth_r15_{uuid.uuid4().hex[:12]}"
        execute(self.server, f"create database {name} template {self.database}")
        shutil.copytree(self.folder, folder)
        return Stand(self.server, self.stripe, self.workers, name, folder)

    def drop(self) -> None:
        """Remove its database and its files."""
        execute(self.server, f"drop database {self.database} with (force)")
        shutil.rmtree(self.folder)

    def order(self, step: str, *, kill_at: int = 0, place: str = "before") -> dict[str, Any]:
        """What a worker is told: carry out a step, or be killed on the way."""
        return {
            "do": step,
            "database": self.server.url(self.database),
            "stripe": self.stripe.url,
            "folder": str(self.folder),
            "run_id": "run",
            "now": (AS_OF if step == "audit" else LATER).isoformat(),
            "kill_at": kill_at,
            "place": place,
        }

    def dump(self) -> Dump:
        """Every row of every table, and every file, but for what the clock and the sequence give."""
        with psycopg.connect(self.server.url(self.database)) as connection:
            tables = connection.execute(
                "select schemaname || '.' || tablename from pg_tables"
                " where schemaname in ('audit', 'billing', 'stripe') order by 1"
            ).fetchall()
            found = {}
            for (table,) in tables:
                rows = connection.execute(
                    f"select (to_jsonb(t) - %s::text[])::text from {table} t", [list(TIMED)]
                ).fetchall()
                texts = (NUMBER.sub('"payment_id": 0', row[0]) for row in rows)
                found[table] = sorted(FOLDER.sub("", text) for text in texts)
        found["files"] = sorted(
            str(path.relative_to(self.folder))
            for path in (self.folder / "lake").rglob("*")
            if path.is_file()
        )
        return found


def carry_out(workers: subprocess.Popen[str], *orders: dict[str, Any]) -> list[dict[str, Any]]:
    """Carry out orders, all at once; what each answered."""
    assert workers.stdin is not None
    assert workers.stdout is not None
    workers.stdin.write(json.dumps(orders) + "\n")
    workers.stdin.flush()
    answers: list[dict[str, Any]] = json.loads(workers.stdout.readline())
    assert [answer for answer in answers if "error" in answer] == []
    return answers


def execute(server: Any, statement: str) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture(scope="module")
def stripe() -> Iterator[LivingStripe]:
    with LivingStripe(Account(NOON)) as running:
        yield running


@pytest.fixture(scope="module")
def stands(
    postgres_server: Any,
    migrated_template: str,
    workers: subprocess.Popen[str],
    stripe: LivingStripe,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[Stand]]:
    """The company before the audit, after it, after the plan was shown, and after the repair."""
    root = tmp_path_factory.mktemp("stands")
    name = f"growth_r15_{uuid.uuid4().hex[:12]}"
    execute(postgres_server, f"create database {name} template {migrated_template}")
    first = Stand(postgres_server, stripe, workers, name, root / "0")
    with Database(postgres_server.url(name)) as database:
        company = Spoiled(stripe, database, root / "0")
        spoil_a_little(company)
        company.extract()
    made = [first]
    for step in STEPS:
        made.append(made[-1].copy(root / str(len(made))))
        carry_out(workers, made[-1].order(step))
    yield made
    for stand in made:
        stand.drop()


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
        # The commit and what stands around it are the last operations of a step: always some.
        chosen += chance.sample(own[-8:], 2) + chance.sample(own[:-8], most - 2)
    return chosen


def changed_tables(one: Dump, other: Dump) -> list[str]:
    return [name for name in one if one[name] != other[name]]


def faults_of(before: Dump, left: Dump, ended: Dump, after: Dump) -> list[str]:
    """What is wrong with what a kill left, and with how the next run ended."""
    faults = []
    tables = [name for name in left if name != "files"]
    if any(left[name] not in (before[name], after[name]) for name in tables) or not (
        all(left[name] == before[name] for name in tables)
        or all(left[name] == after[name] for name in tables)
    ):
        faults.append(f"half of it is there: {changed_tables(left, before)}")
    if set(left["files"]) - {*before["files"], *after["files"]}:
        faults.append("files that nobody names")
    if differing := changed_tables(ended, after):
        faults.append(f"another end than undisturbed: {differing}")
    return faults


def test_killed_anywhere_an_audit_a_plan_and_a_repair_are_done_whole_or_not_at_all(
    stands, workers, tmp_path, seed, full, acceptance_line
):
    dumps = [stand.dump() for stand in stands]
    assert changed_tables(dumps[2], dumps[1]) == ["audit.repair_plans"]
    assert {"billing.payments", "audit.repairs", "audit.repair_rows"} <= set(
        changed_tables(dumps[3], dumps[2])
    )
    counts = {}
    for place, step in enumerate(STEPS):
        trial = stands[place].copy(tmp_path / f"count-{step}")
        (answer,) = carry_out(workers, trial.order(step))
        counts[step] = answer["operations"]
        trial.drop()
    violations: list[str] = []
    kills = done_before = 0
    points = drawn(counts, seed, full=full)
    for begin in range(0, len(points), AT_ONCE):
        some = points[begin : begin + AT_ONCE]
        copies = [
            stands[STEPS.index(step)].copy(tmp_path / str(begin + number))
            for number, (step, _, _) in enumerate(some)
        ]
        orders = [
            copy.order(step, kill_at=at, place=place)
            for copy, (step, at, place) in zip(copies, some, strict=True)
        ]
        kills += sum(answer["killed"] for answer in carry_out(workers, *orders))
        left = [copy.dump() for copy in copies]
        carry_out(workers, *(order | {"kill_at": 0} for order in orders))
        for point, found, copy in zip(some, left, copies, strict=True):
            place = STEPS.index(point[0])
            done_before += found == dumps[place + 1]
            faults = faults_of(dumps[place], found, copy.dump(), dumps[place + 1])
            violations += [f"{point} of {counts[point[0]]}: {fault}" for fault in faults]
            copy.drop()

    acceptance_line(
        "R15",
        case="audit, plan, repair",
        load={"findings": 5, "operations": counts},
        faults={"SIGKILL": kills, "of these after the commit": done_before},
        violations=violations,
    )
    assert kills >= 28
