"""What operating asks of a database: does it exist, which version, whose rows it holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import errors, sql

from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.storage.postgres import connect, rights_error
from growth_pipeline.storage.sql import load_sql

Mode = Literal["demo", "real"]

SCHEMAS = (
    *("activity", "alerts", "audit", "billing", "cohorts", "events", "marts", "operate"),
    *("insights", "lifecycle", "revenue", "stripe"),
)


def claim_mode(url: str, mode: Mode) -> None:
    """Say that a migrated database is for a demo or for real data; for ever.

    Raises: ConfigurationError when it is already for the other one.
    """
    with connect(url) as connection:
        try:
            connection.execute(
                load_sql("operate/claim_mode"), {"mode": mode, "now": datetime.now(UTC)}
            )
        except errors.InsufficientPrivilege as error:
            raise rights_error(error) from error
    check_mode(url, mode)


def check_mode(url: str, mode: Mode) -> None:
    """See that a migrated database is not for the other of demo and real data; writes nothing.

    Raises: ConfigurationError when it is.
    """
    with connect(url) as connection:
        try:
            row = connection.execute(load_sql("operate/read_mode")).fetchone()
        except errors.InsufficientPrivilege as error:
            raise rights_error(error) from error
    if row is not None and row[0] != mode:
        raise ConfigurationError(
            f"this database holds {'a demo' if row[0] == 'demo' else 'real data'}, "
            f"and {'a demo' if mode == 'demo' else 'real data'} never goes into the same one",
            remedy="set GROWTH_DATABASE_URL to another database",
        )


def ensure_database(url: str, name: str) -> str:
    """Address of the database `name` on the server of `url`; it is made if it is missing.

    Raises: ConfigurationError when the role may not make it.
    """
    wanted = psycopg.conninfo.conninfo_to_dict(url)
    with connect(url, autocommit=True) as connection:
        there = connection.execute("select 1 from pg_database where datname = %s", [name])
        if there.fetchone() is None:
            try:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            except errors.DuplicateDatabase:
                pass  # another process made it meanwhile
            except errors.InsufficientPrivilege:
                raise ConfigurationError(
                    f"Dagster's database {name} is missing and {wanted.get('user', 'this role')} "
                    "may not make it",
                    remedy=f"create database {name} owner {wanted.get('user', 'growth')}; "
                    "or set GROWTH_DAGSTER_DATABASE_URL",
                ) from None
    return _with_database(url, name)


def server_version(url: str) -> int:
    """Major version of the server, as in 18. Raises: as `connect`."""
    with connect(url) as connection:
        return connection.info.server_version // 10_000


def tables_without_row_security(url: str, schemas: Sequence[str] = SCHEMAS) -> list[str]:
    """Our tables that row security does not bind; should be empty."""
    statement = load_sql("operate/tables_without_row_security")
    with connect(url) as connection:
        rows = connection.execute(statement, {"schemas": list(schemas)}).fetchall()
    return [str(row[0]) for row in rows]


def _with_database(url: str, name: str) -> str:
    """The address with another database; the rest of it stays as it was written."""
    parts = urlsplit(url)
    changed = urlunsplit(parts._replace(path=f"/{quote(name)}"))
    if not parts.netloc:  # urlunsplit drops the empty authority of postgresql:///database
        changed = changed.replace(f"{parts.scheme}:/", f"{parts.scheme}:///", 1)
    return changed
