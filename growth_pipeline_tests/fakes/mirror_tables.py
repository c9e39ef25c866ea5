"""Empties the mirror's tables between two tries of one test."""

from __future__ import annotations

from typing import Any

import psycopg


def forget(connection: psycopg.Connection[Any], *others: str) -> None:
    """Empty every table of schema `stripe`, and the named others."""
    rows = connection.execute("select tablename from pg_tables where schemaname = 'stripe'")
    tables = [f"stripe.{name}" for (name,) in rows]
    connection.execute("truncate " + ", ".join([*tables, *others]))
