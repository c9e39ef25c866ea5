"""R24: nobody sees or changes what is not theirs, by any path; a weaker schema is caught.

From the catalogs: every table, view, sequence and function, six actors, every command; the same with
all four commands granted to everybody by mistake. On a server of its own, as roles are a server's,
in a database where Supabase's roles came after the migrations and one where they were there before.
Mutants: some of each kind, with --full every one that the catalogs give.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from growth_pipeline.storage.embedded import start_embedded
from growth_pipeline.storage.migrations import migrate
from growth_pipeline_tests.acceptance.access_probes import BOB, Matrix, fill_tables
from growth_pipeline_tests.acceptance.access_rules import (
    DEFINERS,
    OWN_ROWS,
    OWNER,
    WITHOUT_POLICY,
    Connection,
    grants_of,
    policies_of,
    problems_of_catalog,
    relations_of,
)

DATABASES = ("roles_came_later", "roles_were_there")
SUPABASE = (
    "create role anon nologin; create role authenticated nologin;"
    "create role service_role nologin bypassrls; create role growth_ro nologin"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """Two migrated databases of an owner without special rights; in one, roles come afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="growth-r24-"))
    started = start_embedded(folder)
    try:
        with psycopg.connect(started.url("postgres"), autocommit=True) as admin:
            admin.execute("alter system set fsync = off")
            admin.execute("select pg_reload_conf()")
            admin.execute(f"create role {OWNER} login; create role nobody_in_particular")
            for name in DATABASES:
                admin.execute(f"create database {name} owner {OWNER}")
            first, second = (_as_owner(started.url(name)) for name in DATABASES)
            migrate(first)
            with psycopg.connect(started.url(DATABASES[0])) as connection:
                assert problems_of_catalog(connection, present=()) == []
            admin.execute(SUPABASE)
            migrate(second)
        with psycopg.connect(first) as connection:
            connection.execute("select cohorts.grant_readers()")
        yield started
    finally:
        started.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _as_owner(url: str) -> str:
    return url.replace("postgres@", f"{OWNER}@", 1)


@contextmanager
def filled(server: Any, name: str) -> Iterator[Connection]:
    """A superuser in a database with rows of Ann's and Bob's in every table; all is undone."""
    with psycopg.connect(server.url(name)) as connection:
        fill_tables(connection)
        connection.execute("set local session_replication_role = origin")
        yield connection
        connection.rollback()


@pytest.mark.parametrize("name", DATABASES)
def test_the_catalogs_grant_what_the_rules_say_and_nothing_else(server, name, acceptance_line):
    with psycopg.connect(server.url(name)) as connection:
        violations = problems_of_catalog(connection)
        relations = relations_of(connection)
    acceptance_line(
        "R24", part=f"catalogs, {name}", load={"relations": len(relations)}, violations=violations
    )


def unfilled(connection: Connection) -> list[str]:
    """Tables and views that nothing could leak from, because nothing is in them."""
    matrix = Matrix(connection)
    found = [name for name, kind in relations_of(connection) if kind in "rpv"]
    return [f"{name} holds no row" for name in found if not matrix.count(name)]


@pytest.mark.parametrize("name", [DATABASES[0], pytest.param(DATABASES[1], marks=pytest.mark.full)])
def test_no_actor_gets_a_row_that_is_not_theirs_by_any_command(server, name, acceptance_line):
    with filled(server, name) as connection:
        matrix = Matrix(connection)
        relations = relations_of(connection)
        matrix.problems += unfilled(connection)
        matrix.try_installed(relations)
        matrix.try_calls()
        matrix.try_tokens()
    acceptance_line(
        "R24",
        part=f"as installed, {name}",
        load={"relations": len(relations), "tries": matrix.tried},
        violations=matrix.problems[:20],
    )


@pytest.mark.parametrize("name", [pytest.param(DATABASES[0], marks=pytest.mark.full), DATABASES[1]])
def test_row_security_holds_alone_when_all_was_granted_by_mistake(server, name, acceptance_line):
    with filled(server, name) as connection:
        matrix = Matrix(connection)
        relations = relations_of(connection)
        matrix.try_granted(relations)
    acceptance_line(
        "R24",
        part=f"granted by mistake, {name}",
        load={"relations": len(relations), "tries": matrix.tried},
        violations=matrix.problems[:20],
    )


# --- mutants -----------------------------------------------------------------------------------


def mutants_of(connection: Connection) -> dict[str, list[str]]:
    """Kind -> statements, each of which makes the schema weaker; from the catalogs."""
    relations = relations_of(connection)
    tables = [name for name, kind in relations if kind in "rp" and name not in WITHOUT_POLICY]
    return {
        "policy": list(_weaker_policies(connection)),
        "grant": list(_weaker_grants(connection, relations)),
        "FORCE": [
            f"alter table {table} {change} row level security"
            for table in tables
            for change in ("no force", "disable")
        ],
        "security_invoker": [
            f"alter view {name} {change}"
            for name, kind in relations
            if kind == "v"
            for change in ("reset (security_invoker)", "set (security_invoker = false)")
        ],
        "search_path": list(_weaker_functions(connection)),
        "role": list(_stronger_roles()),
        "beside the rules": [
            f"create view public.shortcut as select * from {OWN_ROWS}",
            f"create table public.copied as table {OWN_ROWS}",
            f"create function public.everybody() returns setof {OWN_ROWS} language sql"
            f" security definer as 'table {OWN_ROWS}'",
            f"create rule spy as on insert to {OWN_ROWS} do also notify somebody",
        ],
        "what the matrix alone must see": [
            f"alter table {OWN_ROWS} disable row level security",
            f"alter policy user_cohorts_of_oneself on {OWN_ROWS} using (true)",
            f"create policy another on {OWN_ROWS} for delete to authenticated using (true)",
            f"create policy another on {OWN_ROWS} for insert with check (true)",
            "create or replace function cohorts.is_reader() returns boolean language sql stable"
            " set search_path = pg_catalog, pg_temp as 'select true'",
            "create or replace function cohorts.is_reader() returns boolean language sql stable"
            " set search_path = pg_catalog, pg_temp as $$ select exists (select from pg_roles"
            " where rolname = 'authenticated' and pg_has_role(current_user, oid, 'usage')) $$",
            "create or replace function cohorts.claimed_user() returns text language plpgsql stable"
            f" set search_path = pg_catalog, pg_temp as $$ begin return '{BOB}'; end $$",
            "create or replace function cohorts.claimed_user() returns text language plpgsql stable"
            " set search_path = pg_catalog, pg_temp as $$ begin return coalesce(nullif("
            f"current_setting('request.jwt.claims', true), ''), '{{\"sub\": \"{BOB}\"}}')::jsonb"
            f" ->> 'sub'; exception when others then return '{BOB}'; end $$",
        ],
    }


def _weaker_policies(connection: Connection) -> Iterator[str]:
    for table, name in policies_of(connection):
        yield f"drop policy {name} on {table}"
        yield f"alter policy {name} on {table} to public using (true)"
        yield f"alter policy {name} on {table} to authenticated using (true)"
    for table in sorted({table for table, _ in policies_of(connection)}):
        yield f"create policy another on {table} for select using (true)"


def _weaker_grants(connection: Connection, relations: list[tuple[str, str]]) -> Iterator[str]:
    for kind, name, role, right in sorted(grants_of(connection)):
        noun = "" if kind == "relation" else kind
        yield f"revoke {right} on {noun} {name} from {role}"
    for name, kind in relations:
        noun = "sequence" if kind == "S" else "table"
        for right in ("usage",) if kind == "S" else ("insert", "update", "delete"):
            yield f"grant {right} on {noun} {name} to authenticated"
        yield f"grant select on {noun} {name} to anon"
        yield f"grant all on {noun} {name} to public"
    for schema in sorted({name.split(".")[0] for name, _ in relations}):
        yield f"grant usage on schema {schema} to anon"
        yield f"grant create on schema {schema} to growth_ro"
        yield (
            f"alter default privileges for role {OWNER} in schema {schema}"
            " grant select on tables to anon"
        )
    yield f"grant select (user_id) on {OWN_ROWS} to anon"
    yield f"grant select on {OWN_ROWS} to growth_ro with grant option"


def _stronger_roles() -> Iterator[str]:
    for role in ("anon", "authenticated", "growth_ro"):
        yield f"grant {OWNER} to {role}"
        yield f"grant service_role to {role}"
        yield f"grant pg_read_all_data to {role}"
        yield from (
            f"alter role {role} {right}" for right in ("superuser", "bypassrls", "createrole")
        )
    yield "grant growth_ro to authenticated"
    yield "grant growth_ro to nobody_in_particular"
    yield "alter role service_role superuser"
    yield f"alter role {OWNER} bypassrls"


def _weaker_functions(connection: Connection) -> Iterator[str]:
    rows = connection.execute(
        "select p.oid::regprocedure::text, p.proname, p.proconfig is not null from pg_proc as p"
        " where pg_get_userbyid(p.proowner) = %s",
        [OWNER],
    ).fetchall()
    for signature, name, has_path in rows:
        if has_path:
            yield f"alter function {signature} reset search_path"
            yield f"alter function {signature} set search_path = public, pg_catalog"
        if name in DEFINERS:
            yield f"grant execute on function {signature} to anon"
        else:
            yield f"alter function {signature} security definer"
        yield f"alter function {signature} owner to postgres"


def is_caught(connection: Connection, kind: str, mutant: str) -> bool:
    """Whether the rules, or for what the rules cannot read the matrix, see a weaker schema."""
    with connection.transaction(force_rollback=True):
        connection.execute(mutant)
        if kind != "what the matrix alone must see":
            return bool(problems_of_catalog(connection))
        matrix = Matrix(connection)
        matrix.try_granted([(OWN_ROWS, "r")])
        matrix.try_tokens()
        return bool(matrix.problems)


def test_a_weaker_schema_is_caught(server, seed, full, acceptance_line):
    random_ = random.Random(seed)
    with filled(server, DATABASES[1]) as connection:
        assert problems_of_catalog(connection) == []
        mutants = mutants_of(connection)
        chosen = [
            (kind, one)
            for kind, each in mutants.items()
            for one in (each if full else random_.sample(each, min(len(each), 10)))
        ]
        survivors = [one for kind, one in chosen if not is_caught(connection, kind, one)]
    acceptance_line(
        "R24",
        part="mutants",
        load={"mutants": len(chosen), "of": sum(map(len, mutants.values()))},
        violations=survivors,
    )
