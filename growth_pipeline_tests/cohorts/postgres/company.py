"""A company's tables, as `growth adopt` would adopt them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

TABLES = """
create schema app;
create table app.users (id text primary key, created_at timestamptz);
create table app.acts (who text, at timestamptz, what text)
"""
ADOPT = """
create or replace view activity.source_users as
select id as user_id, created_at as signed_up_at, null::text as email from app.users;
create or replace view activity.source_events as
select who as user_id, at as occurred_at, what as event, null::timestamptz as received_at from app.acts;
create trigger growth_note_user after insert on app.users
for each row execute function activity.note_user('id', 'created_at')
"""


class Company:
    """Speaks to its own tables; reads ours where a test looks."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def sign_up(self, *rows: tuple[str, datetime]) -> None:
        with self.connection.cursor() as cursor:
            cursor.executemany("insert into app.users values (%s, %s)", rows)

    def act(self, *rows: tuple[str, datetime, str]) -> None:
        with self.connection.cursor() as cursor:
            cursor.executemany("insert into app.acts values (%s, %s, %s)", rows)

    def ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

    def cohorts(self) -> dict[str, Any]:
        """User -> month of the cohort of the sign-up."""
        return dict(
            self.ask("select user_id, month_start from cohorts.user_cohorts where entry = 'signup'")
        )
