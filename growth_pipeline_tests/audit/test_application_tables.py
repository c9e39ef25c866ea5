"""The two tables that an application writes, as docs/tables.md tells people to."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


def statements(language: str) -> list[str]:
    section = PAGE.read_text().split("## What the application tells")[1]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def test_a_role_of_the_application_writes_as_the_page_says_and_sees_nothing_else(database_url):
    (grants,) = statements("postgresql")
    with psycopg.connect(database_url) as connection:
        connection.execute(grants)
        connection.execute("set role application")
        for statement in statements("sql"):
            connection.execute(statement)
            connection.execute(statement)  # the same row again
        for table in ("entitlements", "user_customers"):
            found = connection.execute(f"select count(*) from billing.{table}").fetchone()
            assert found == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select 1 from billing.payments")
        connection.rollback()  # the role is the server's, not this database's


def test_stored_mrr_names_its_currency(database_url):
    with psycopg.connect(database_url) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "insert into billing.entitlements (account_id, livemode, has_access, mrr_minor)"
            " values ('acct_1', true, true, 100)"
        )


def test_both_tables_force_row_security_and_say_their_grain(database_url):
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "select relname, relrowsecurity and relforcerowsecurity, obj_description(oid)"
            " from pg_class where oid in"
            " ('billing.entitlements'::regclass, 'billing.user_customers'::regclass)"
            " order by relname"
        ).fetchall()
    assert [(name, secured) for name, secured, _ in found] == [
        ("entitlements", True),
        ("user_customers", True),
    ]
    assert all(comment.startswith("Grain: ") for *_, comment in found)


@pytest.mark.parametrize("table", ["entitlements", "user_customers"])
def test_the_page_tells_every_column(database_url, table):
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "select column_name from information_schema.columns"
            " where table_schema = 'billing' and table_name = %s",
            [table],
        ).fetchall()
    section = PAGE.read_text().split(f"### `billing.{table}`")[1].split("\n### ")[0]
    named = set(re.findall(r"`(\w+)`", section))
    assert {name for (name,) in rows} <= named
