"""Small answers of stored statements: rows by the names of their columns, and reading safely.

What is too large for memory is copied out: see postgres.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from growth_pipeline.storage.postgres import Connection, Database
from growth_pipeline.storage.sql import load_sql

Row = dict[str, Any]


@contextmanager
def reading(database: Database) -> Iterator[Connection]:
    """A transaction that writes nothing, and in which every statement sees the same instant.

    Raises: what `Database.connection` does.
    """
    with database.connection() as connection:
        connection.execute("set transaction isolation level repeatable read, read only")
        yield connection


def read_rows(database: Database, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
    """Rows of one statement file, from a transaction of its own that writes nothing.

    Shapes: `statement` as `load_sql` takes it; a row has its columns by name.
    """
    with reading(database) as connection:
        return rows_of(connection, statement, parameters)


def rows_of(connection: Connection, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
    """Rows of one statement file, inside a transaction that others began."""
    cursor = connection.execute(load_sql(statement), parameters)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
