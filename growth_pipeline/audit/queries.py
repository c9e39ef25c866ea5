"""How the audit asks the engine: statements of sql/audit/ over whole files and small tables.

What is asked, and what an answer means, is the matter of each part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import polars as pl

from growth_pipeline.billing.columns import SCHEMAS
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import pyarrow as pa

    from growth_pipeline.storage.engine import Spool, SpoolFile


Table: TypeAlias = "Sequence[str] | pl.DataFrame | pa.Table"
Row: TypeAlias = dict[str, Any]


class QueryEngine(Protocol):
    """What is asked of the engine."""

    def query(
        self, sql: str, tables: Mapping[str, Table], params: Mapping[str, object] | None = None
    ) -> pl.DataFrame:
        """Result of one query."""
        ...

    def spool(self) -> Spool:
        """A folder for what is too large for memory."""
        ...

    def query_to_file(
        self, sql: str, tables: Mapping[str, Table], spool: Spool, name: str
    ) -> SpoolFile:
        """Result of one query as a file of the spool."""
        ...


def wanted_ids(ids: set[str]) -> pl.DataFrame:
    """Ids as a table for the engine."""
    return pl.DataFrame({"id": sorted(ids)}, schema={"id": pl.String})


def or_empty(paths: Sequence[str], resource: str) -> Table:
    """The files of a resource, or an empty table with its columns: a query needs them."""
    return paths or pl.DataFrame(schema=SCHEMAS[resource])


def query_rows(
    engine: QueryEngine,
    statement: str,
    tables: Mapping[str, Table],
    params: Mapping[str, object] | None = None,
) -> list[Row]:
    """Result of one statement of sql/audit/."""
    return engine.query(load_sql(f"audit/{statement}"), tables, params or None).to_dicts()


def query_ids(
    engine: QueryEngine,
    statement: str,
    tables: Mapping[str, Table],
    params: Mapping[str, object] | None = None,
    column: str = "id",
) -> set[str]:
    """One column of the result of one statement of sql/audit/."""
    return set(engine.query(load_sql(f"audit/{statement}"), tables, params or None)[column])
