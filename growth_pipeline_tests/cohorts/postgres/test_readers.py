"""Who sees what, on a server with Supabase's roles and on one where they come later."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from growth_pipeline.cohorts.cohort_store import Answer, CohortStore
from growth_pipeline.cohorts.definition import RetentionDefinition
from growth_pipeline.storage.embedded import start_embedded
from growth_pipeline.storage.migrations import migrate
from growth_pipeline.storage.postgres import Database
from growth_pipeline_tests.cohorts.postgres.company import ADOPT, TABLES, Company

MAY = datetime(2031, 5, 1, tzinfo=UTC)
ROLES = (
    "create role anon nologin; create role authenticated nologin;"
    "create role service_role nologin bypassrls; create role growth_ro nologin;"
    "create role analyst in role growth_ro"
)
TABLES_OF_OURS = ("calendar", "user_cohorts", "definitions", "retention_metrics", "cohort_overview")
CELL = """
insert into cohorts.definitions values ('signup', 'month', '', '2031-06-02', '{}', '2031-06-02');
insert into cohorts.retention_metrics
(entry, grain, cohort_start, period_index, cohort_size, users, rate, state, final)
values ('signup', 'month', '2031-05-01', 0, 2, 1, 0.5, 'closed', true)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A server of its own: roles belong to the whole server."""
    folder = Path(tempfile.mkdtemp(prefix="growth-roles-"))
    started = start_embedded(folder)
    try:
        with psycopg.connect(started.url("postgres"), autocommit=True) as admin:
            admin.execute("alter system set fsync = off")
            admin.execute("select pg_reload_conf()")
            admin.execute("create role growth_owner login; create role nobody_in_particular")
            for name in ("before", "after"):
                admin.execute(f"create database roles_{name} owner growth_owner")
            migrate(as_owner(started.url("roles_before")))
            admin.execute(ROLES)
            migrate(as_owner(started.url("roles_after")))
        yield started
    finally:
        started.stop()
        shutil.rmtree(folder, ignore_errors=True)


def as_owner(url: str) -> str:
    return url.replace("postgres@", "growth_owner@", 1)


def seen_by(company: Company, role: str, statement: str, claims: str | None = None) -> Any:
    """Rows as a role sees them, or the name of the error."""
    connection = company.connection
    with connection.transaction(force_rollback=True):
        if claims is not None:
            connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
        connection.execute(f"set local role {role}")
        try:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else cursor.rowcount
        except psycopg.Error as error:
            return type(error).__name__


@pytest.fixture(params=["roles_before", "roles_after"])
def company(request, server) -> Iterator[Company]:
    """Two users in a database of a plain owner; looked at by a superuser, who may become anyone."""
    with psycopg.connect(as_owner(server.url(request.param)), autocommit=True) as owner:
        if owner.execute("select to_regclass('app.users')").fetchone() == (None,):
            owner.execute(TABLES)
        owner.execute(ADOPT)
        Company(owner).sign_up(("ann", MAY), ("bob", MAY))
        owner.execute(CELL)
        owner.execute("select cohorts.grant_readers()")
        with psycopg.connect(server.url(request.param)) as connection:
            yield Company(connection)
            connection.rollback()
        owner.execute(
            "drop trigger growth_note_user on app.users; delete from app.users;"
            "truncate cohorts.definitions cascade; truncate cohorts.user_cohorts;"
            "truncate activity.user_numbers"
        )


@pytest.mark.parametrize("role", ["growth_ro", "service_role", "analyst"])
def test_readers_see_everything_and_write_nothing(company, role):
    for table in TABLES_OF_OURS:
        assert len(seen_by(company, role, f"select * from cohorts.{table}")) > 0, table
        if table != "cohort_overview":
            refused = seen_by(company, role, f"delete from cohorts.{table}")
            assert refused == "InsufficientPrivilege", table
    assert seen_by(company, role, "select cohorts.get_cohort_size('2031-05-01')") == [(2,)]
    assert seen_by(company, role, "select cohorts.assign_all_users()") == "InsufficientPrivilege"
    assert (
        seen_by(company, role, "select * from cohorts.misplaced_users") == "InsufficientPrivilege"
    )


@pytest.mark.parametrize("role", ["anon", "nobody_in_particular"])
def test_everybody_else_sees_nothing(company, role):
    for table in TABLES_OF_OURS:
        refused = seen_by(company, role, f"select * from cohorts.{table}", '{"sub": "ann"}')
        assert refused == "InsufficientPrivilege", table
    refused = seen_by(company, role, "select cohorts.get_cohort_size('2031-05-01')")
    assert refused == "InsufficientPrivilege"


@pytest.mark.parametrize("role", ["anon", "nobody_in_particular", "authenticated"])
def test_a_grant_by_mistake_shows_nothing_of_others(company, role):
    company.connection.execute(f"grant usage on schema cohorts to {role}")
    company.connection.execute(f"grant select on all tables in schema cohorts to {role}")
    for table in TABLES_OF_OURS:
        assert seen_by(company, role, f"select * from cohorts.{table}") == [], table
        own = seen_by(company, role, f"select * from cohorts.{table}", '{"sub": "ann"}')
        assert len(own) == (role == "authenticated" and table == "user_cohorts"), table


@pytest.mark.parametrize(
    ("claims", "users"),
    [
        ('{"sub": "ann"}', ["ann"]),
        ('{"sub": "bob", "role": "service_role"}', ["bob"]),
        ('{"sub": "zoe"}', []),
        ('{"sub": ""}', []),
        ('{"sub": null}', []),
        ('{"sub": ["ann"]}', []),
        ('{"sub": {"ann": "bob"}}', []),
        ("{}", []),
        ("[]", []),
        ('"ann"', []),
        ("null", []),
        ("", []),
        (None, []),
        ("{not json", []),
        ('{"sub": "ann\\u0000"}', []),
        ("[" * 20_000, []),
    ],
)
def test_a_user_of_supabase_sees_the_row_of_the_token_and_no_other(company, claims, users):
    seen = seen_by(
        company, "authenticated", "select user_id from cohorts.user_cohorts order by 1", claims
    )
    assert seen == [(user,) for user in users]
    for statement in (
        "select * from cohorts.retention_metrics",
        "select * from cohorts.cohort_overview",
        "select cohorts.get_cohort_size('2031-05-01')",
        "select cohorts.calculate_retention_rate('2031-05-01', 0)",
        "select cohorts.assign_user_to_cohort('zoe', now())",
        "insert into cohorts.user_cohorts (user_number, entered_on, week_start, month_start)"
        " values (9, '2031-05-01', '2031-04-28', '2031-05-01')",
        "update cohorts.user_cohorts set user_id = 'ann'",
        "delete from cohorts.user_cohorts",
        "truncate cohorts.user_cohorts",
    ):
        refused = seen_by(company, "authenticated", statement, claims)
        assert refused == "InsufficientPrivilege", statement


def test_the_service_of_supabase_may_assign_a_user(company):
    statement = (
        "select user_id, month_start from cohorts.assign_user_to_cohort('zoe', '2031-06-01Z')"
    )
    assert seen_by(company, "service_role", statement) == [("zoe", date(2031, 6, 1))]
    assert seen_by(company, "growth_ro", statement) == "InsufficientPrivilege"


def test_policies_and_functions_are_the_same_whenever_the_roles_came(server):
    found = []
    for name in ("roles_before", "roles_after"):
        with psycopg.connect(server.url(name)) as connection:
            found.append(
                connection.execute(
                    "select tablename, policyname, cmd, roles::text, qual, with_check from pg_policies"
                    " where schemaname = 'cohorts' union all"
                    " select p.proname, '', '', '', pg_get_functiondef(p.oid), '' from pg_proc as p"
                    " where p.pronamespace = 'cohorts'::regnamespace order by 1, 2"
                ).fetchall()
            )
    assert found[0] == found[1]
    assert sum(row[1] != "" for row in found[0]) >= 5


def test_every_table_of_cohorts_forces_row_security(server):
    with psycopg.connect(server.url("roles_before")) as connection:
        tables = connection.execute(
            "select relname, relrowsecurity and relforcerowsecurity from pg_class"
            " where relnamespace = 'cohorts'::regnamespace and relkind = 'r'"
        ).fetchall()
    assert len(tables) == 8
    assert all(forced for _, forced in tables)


def test_an_owner_without_special_rights_publishes_reads_back_and_counts(company, server):
    url = as_owner(server.url(company.connection.info.dbname))
    months = RetentionDefinition(as_of=datetime(2031, 7, 1, tzinfo=UTC), grain="month")
    with Database(url) as database:
        store = CohortStore(database)
        cells = store.read(months)
        changed = cells.with_columns(pl.lit(2, pl.Int64).alias("users"))
        done = store.publish([Answer(months, changed)], now=MAY)
        assert (cells.height, set(done.written.values())) == (1, {1})
        assert store.read(months)["users"].to_list() == [2]
        with database.connection() as connection:
            connection.execute("insert into app.acts values ('ann', '2031-06-03Z', 'use')")
            found = connection.execute(
                "select cohort_size, users, rate from cohorts.measure_cell('2031-05-09', 1)"
            ).fetchall()
            connection.execute("delete from app.acts")
    assert found == [(2, 1, Decimal("0.5"))]
