"""Statements about subscriptions and customers: what the mirror has, what the application tells.

Reads only. Each part names the statements that it needs; no rule lives here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from growth_pipeline.storage.postgres import Database
from growth_pipeline.storage.rows import Row, read_rows


class ApplicationStore:
    """The mirror's and the application's rows. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Rows of one statement of sql/audit/, from one transaction that writes nothing."""
        return read_rows(self._database, f"audit/{statement}", parameters)
