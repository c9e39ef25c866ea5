"""R21: migrations killed at any statement, by any means, end in the schema of a fresh install.

SIGKILL of the migrator, pg_terminate_backend and a lock timeout before the statements of the
migrations and before their COMMIT (with --full every one by each means, else the newest file's and
20 others by one of them);
several migrators at once, some killed; a failing file stops.
The schema is compared from Postgres's catalogs, read here, not from what the migrator says.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from growth_pipeline.core.errors import ConfigurationError, GrowthError
from growth_pipeline.storage.migrations import MigrationError, migrate, pending, statements_of

FOLDER = Path(__file__).parents[2] / "sql/migrations"
NAMES = [path.stem for path in sorted(FOLDER.glob("*.sql"))]

# A parent that has imported everything and forks one migrator for each order: a kill costs
# milliseconds, and no thread of the test process is forked.
MIGRATORS = """
import json, os, signal, sys
import alembic.runtime.migration, alembic.script.base, sqlalchemy.dialects.postgresql.psycopg
from growth_pipeline.storage.migrations import migrate

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what stamina says of a lock that is waited for is no answer

def work(order):
    def die(name, number):
        if (name, number) == (order["name"], order["number"]):
            os.kill(os.getpid(), signal.SIGKILL)
    def die_after(name):
        die(name, "committed")
    migrate(order["url"], on_statement=die, on_progress=die_after)

for line in sys.stdin:
    orders = json.loads(line)
    children = []
    for order in orders:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work(order)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    print(json.dumps(codes), file=answers, flush=True)
"""

# Everything of our schemas that a migration can leave different, one row a thing.
CATALOG = """
with ours as (select oid, nspname from pg_namespace where nspname not like 'pg\\_%' and nspname <> 'information_schema'),
rel as (select c.*, o.nspname from pg_class c join ours o on o.oid = c.relnamespace)
select 'schema', n.nspname, concat_ws(' ', n.nspacl::text, obj_description(n.oid, 'pg_namespace'))
    from pg_namespace n join ours using (oid)
union all select 'relation', nspname || '.' || relname, concat_ws(' ', relkind, relpersistence, relrowsecurity,
    relforcerowsecurity, relispartition, reloptions::text, relacl::text, pg_get_userbyid(relowner), obj_description(oid, 'pg_class'))
    from rel
union all select 'column', nspname || '.' || relname || '.' || attname, concat_ws(' ', attnum, format_type(atttypid, atttypmod),
    attnotnull, attidentity, attgenerated, attisdropped, attcollation, pg_get_expr(adbin, adrelid), col_description(rel.oid, attnum))
    from rel join pg_attribute a on a.attrelid = rel.oid and attnum > 0
    left join pg_attrdef d on d.adrelid = rel.oid and d.adnum = attnum
union all select 'constraint', nspname || '.' || relname || '.' || conname, concat_ws(' ', contype, convalidated, pg_get_constraintdef(k.oid))
    from pg_constraint k join rel on rel.oid = k.conrelid
union all select 'index', nspname || '.' || relname, concat_ws(' ', indisvalid, indisready, indislive, pg_get_indexdef(indexrelid))
    from pg_index i join rel on rel.oid = i.indexrelid
union all select 'view', nspname || '.' || relname, pg_get_viewdef(oid) from rel where relkind in ('v', 'm')
union all select 'policy', nspname || '.' || relname || '.' || polname, concat_ws(' ', polcmd, polpermissive, polroles::text,
    pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) from pg_policy p join rel on rel.oid = p.polrelid
union all select 'trigger', nspname || '.' || relname || '.' || tgname, concat_ws(' ', tgenabled, pg_get_triggerdef(t.oid))
    from pg_trigger t join rel on rel.oid = t.tgrelid where not tgisinternal
union all select 'function', nspname || '.' || proname, concat_ws(' ', pg_get_functiondef(f.oid), f.proacl::text)
    from pg_proc f join ours on ours.oid = f.pronamespace where prokind in ('f', 'p')
union all select 'type', nspname || '.' || typname, concat_ws(' ', typtype, typcategory, format_type(typbasetype, typtypmod))
    from pg_type t join ours on ours.oid = t.typnamespace
union all select 'sequence', schemaname || '.' || sequencename, concat_ws(' ', data_type, start_value, increment_by, last_value)
    from pg_sequences
union all select 'extension', extname, extversion from pg_extension
order by 1, 2, 3
"""


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query).fetchall()


def schema_of(url: str) -> list[tuple[Any, ...]]:
    return ask(url, CATALOG)


def history_of(url: str) -> list[tuple[Any, ...]]:
    """Which files were applied, each with its hash, and alembic's version."""
    return [
        *ask(url, "select name, sha256, count(*) from growth.migrations group by 1, 2 order by 1"),
        *ask(url, "select version_num, count(*) from growth.schema_version group by 1"),
    ]


@pytest.fixture(scope="module")
def fresh(postgres_server, migrated_template: str) -> dict[str, Any]:
    url = postgres_server.url(migrated_template)
    found = {"schema": schema_of(url), "history": history_of(url)}
    assert len(found["schema"]) > 100
    assert [row[0] for row in found["history"][:-1]] == NAMES
    assert {row[-1] for row in found["history"]} == {1}
    return found


@pytest.fixture(scope="module")
def points(postgres_server) -> list[tuple[str, int]]:
    """Every statement of every migration and the moment before its COMMIT, as a run meets them."""
    name = "growth_r21_points"
    ask_admin(postgres_server, f"create database {name}")
    seen: list[tuple[str, int]] = []
    migrate(
        postgres_server.url(name), on_statement=lambda file, number: seen.append((file, number))
    )
    ask_admin(postgres_server, f"drop database {name} with (force)")
    assert [file for file, number in seen if number == 1] == NAMES
    return seen


@pytest.fixture(scope="module")
def chosen(points: list[tuple[str, int]], seed: int, full: bool) -> dict[str, Any]:
    """Where to strike, by either means: all points of the newest file and 20 others.

    In the fast tier each point is for one of the two, drawn by seed; with --full all are for both.
    """
    if full:
        return {"SIGKILL": points, "terminate": points}
    chance = random.Random(seed)
    newest = [point for point in points if point[0] == NAMES[-1]]
    older = chance.sample(points[: -len(newest)], 20)
    chance.shuffle(newest)
    drawn = older + newest
    return {"SIGKILL": sorted(drawn[::2]), "terminate": sorted(drawn[1::2])}


def ask_admin(server: Any, statement: str) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(statement)


class Migrators:
    """Migrator processes: each may be told at which statement to die by SIGKILL."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", MIGRATORS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, url: str, *deaths: tuple[str, int | str] | None) -> list[int]:
        """One migrator a death, all at once; their exit codes, -9 for the killed."""
        orders = [
            {"url": url, "name": death[0] if death else "", "number": death[1] if death else 0}
            for death in deaths
        ]
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(orders) + "\n")
        self.process.stdin.flush()
        codes: list[int] = json.loads(self.process.stdout.readline())
        return codes


@pytest.fixture
def migrators() -> Iterator[Migrators]:
    started = Migrators()
    yield started
    started.process.communicate(timeout=30)


def differences(url: str, fresh: dict[str, Any]) -> list[str]:
    found = {"schema": schema_of(url), "history": history_of(url)}
    return [
        f"{kind}: {row}" for kind, rows in fresh.items() for row in set(rows) ^ set(found[kind])
    ] + (["pending"] if pending(url) else [])


def applied(url: str) -> int:
    return len(NAMES) - len(pending(url))


def test_a_migrator_killed_at_any_statement_is_run_again_and_goes_on(
    empty_database_url, fresh, chosen, migrators, acceptance_line
):
    violations: list[str] = []
    for name, number in chosen["SIGKILL"]:
        before = NAMES.index(name)
        if migrators.run(empty_database_url, (name, number)) != [-9]:
            violations.append(f"{name} #{number}: not killed")
        if applied(empty_database_url) != before:
            violations.append(f"{name} #{number}: something of it stayed")
    for name in NAMES[applied(empty_database_url) :]:
        if migrators.run(empty_database_url, (name, "committed")) != [-9]:
            violations.append(f"{name}: not killed after its commit")
    violations += differences(empty_database_url, fresh)

    assert migrators.run(empty_database_url, None) == [0]
    acceptance_line(
        "R21",
        case="SIGKILL before statements, before and after COMMIT",
        load={"migrations": len(NAMES)},
        faults={"SIGKILL": len(chosen["SIGKILL"]) + 1},
        violations=violations,
    )


def test_a_backend_terminated_at_any_statement_fails_the_migration_clearly(
    empty_database_url, fresh, chosen, acceptance_line
):
    violations: list[str] = []
    for name, number in chosen["terminate"]:

        def terminate(file: str, at: int, point: tuple[str, int] = (name, number)) -> None:
            if (file, at) == point:
                ask(
                    empty_database_url,
                    "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()",
                )

        try:
            migrate(empty_database_url, on_statement=terminate)
            violations.append(f"{name} #{number}: no error")
        except MigrationError as error:
            if (
                name not in str(error)
                or "growth migrate" not in error.remedy
                or not error.retryable
            ):
                violations.append(f"{name} #{number}: unclear: {error} / {error.remedy}")
        if applied(empty_database_url) != NAMES.index(name):
            violations.append(f"{name} #{number}: something of it stayed")
    migrate(empty_database_url)
    violations += differences(empty_database_url, fresh)

    acceptance_line(
        "R21",
        case="pg_terminate_backend before statements and COMMIT",
        load={"migrations": len(NAMES)},
        faults={"terminated": len(chosen["terminate"])},
        violations=violations,
    )


class EnoughError(Exception):
    """Ends a migrator after one file."""


def migrate_one(url: str) -> None:
    def stop(_: str) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        migrate(url, on_progress=stop)


LOCKED = 21_000  # advisory locks from this number on stand for what a statement may wait for


LOCK = r"select pg_advisory_xact_lock\((\d+)\);"


def with_a_lock_before_each_statement(folder: Path) -> Path:
    """Our migrations, each statement behind a lock that a test can hold."""
    number = LOCKED
    for path in sorted(FOLDER.glob("*.sql")):
        pieces = []
        for _, statement in statements_of(path.read_text()):
            pieces.append(f"select pg_advisory_xact_lock({number});\n{statement};\n")
            number += 1
        (folder / path.name).write_text("".join(pieces))
    return folder


def test_a_lock_held_at_any_statement_is_given_way_to_and_waited_for(
    empty_database_url, tmp_path, fresh, seed, *, full, acceptance_line
):
    folder = with_a_lock_before_each_statement(tmp_path)
    locks = {path: re.findall(LOCK, path.read_text()) for path in folder.iterdir()}
    numbers = [LOCKED + n for n in range(sum(map(len, locks.values())))]
    chosen = numbers if full else random.Random(seed).sample(numbers, 8)
    refused: list[int] = []
    with psycopg.connect(empty_database_url, autocommit=True) as holder:
        wanted = {
            (path.stem, 2 * place + 1): int(number)
            for path, found in locks.items()
            for place, number in enumerate(found)
        }

        def hold_once(name: str, number: int) -> None:
            holder.execute("select pg_advisory_unlock_all()")
            lock = wanted.get((name, number))
            if lock in chosen and lock not in refused:
                refused.append(lock)
                holder.execute("select pg_advisory_lock(%s)", [lock])

        done = migrate(
            empty_database_url, directory=folder, on_statement=hold_once, lock_timeout="30ms"
        )

    assert done == NAMES
    assert sorted(refused) == sorted(chosen)
    violations = [str(row) for row in set(schema_of(empty_database_url)) ^ set(fresh["schema"])]
    violations += [str(row) for row in history_of(empty_database_url) if row[-1] != 1]
    acceptance_line(
        "R21",
        case="lock timeout at statements",
        load={"migrations": len(NAMES)},
        faults={"lock timeouts": len(refused)},
        violations=violations,
    )


def test_migrators_at_once_apply_each_file_once_even_if_some_are_killed(
    postgres_server, fresh, points, *, seed, full, migrators, acceptance_line
):
    chance = random.Random(seed)
    violations: list[str] = []
    kills = 0
    rounds, at_once = (20, 5) if full else (2, 3)
    for turn in range(rounds):
        name = f"growth_r21_at_once_{turn}"
        ask_admin(postgres_server, f"create database {name}")
        url = postgres_server.url(name)
        deaths = [
            chance.choice(points) if chance.random() < 0.5 else None for _ in range(at_once - 1)
        ]
        codes = migrators.run(url, None, *deaths)
        kills += codes.count(-9)
        if set(codes) - {0, -9} or codes[0] != 0:
            violations.append(f"round {turn}: exit codes {codes}")
        violations += differences(url, fresh)
        ask_admin(postgres_server, f"drop database {name} with (force)")

    acceptance_line(
        "R21",
        case="migrators at once",
        load={"rounds": rounds, "migrators": at_once},
        faults={"SIGKILL": kills},
        violations=violations,
    )


def test_a_migrator_killed_while_a_statement_waits_in_the_server_is_overtaken_by_the_next(
    empty_database_url, fresh, migrators, acceptance_line
):
    """The server goes on with the orphaned statement; the next migrator waits for its end."""
    violations: list[str] = []
    migrate_one(empty_database_url)
    with psycopg.connect(empty_database_url) as orphan:
        # What a killed migrator leaves in the server for a moment: its lock and half a file.
        from growth_pipeline.storage import migrations

        orphan.execute("select pg_advisory_xact_lock(%s)", [migrations._LOCK])
        orphan.execute("create schema audit")
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys; from growth_pipeline.storage.migrations import migrate; print(migrate(sys.argv[1]))",
                empty_database_url,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=3)
        orphan.rollback()
    output = process.communicate(timeout=60)[0]
    if process.returncode != 0 or str(NAMES[1:]) not in output:
        violations.append(f"exit {process.returncode}: {output}")
    violations += differences(empty_database_url, fresh)
    acceptance_line(
        "R21",
        case="orphaned statement",
        load={"migrations": len(NAMES)},
        faults={"orphans": 1},
        violations=violations,
    )


def test_a_failed_file_raises_every_time_until_it_is_mended(
    empty_database_url, tmp_path, fresh, acceptance_line
):
    violations: list[str] = []
    for path in FOLDER.glob("*.sql"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    broken = tmp_path / f"{len(NAMES) + 1:04d}_break_things.sql"
    broken.write_text("create schema half;\ncreate table half.table_of (n nonsense);\n")
    for _ in range(3):
        try:
            migrate(empty_database_url, directory=tmp_path)
            violations.append("no error")
        except MigrationError as error:
            if f"{broken.stem}, line 2" not in str(error) or isinstance(error, ConfigurationError):
                violations.append(f"unclear: {error}")
        except GrowthError as error:
            violations.append(f"another error: {error}")
    violations += differences(empty_database_url, fresh)
    broken.write_text("create schema half;\n")

    assert migrate(empty_database_url, directory=tmp_path) == [broken.stem]
    acceptance_line(
        "R21",
        case="a failing file",
        load={"migrations": len(NAMES) + 1},
        faults={"failures": 3},
        violations=violations,
    )
