"""The one thing a slice needs of an analytics engine, whichever runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.storage.engine import Table


class Queries(Protocol):
    """Runs a query over named tables: the embedded engine, or a cluster over the same files.

    Queries are written in the embedded engine's dialect, with whole numbers, joins and groups only;
    the same query then means the same on both.
    """

    def query(
        self,
        sql: str,
        tables: Mapping[str, Table],
        params: Mapping[str, object] | None = None,
    ) -> pl.DataFrame:
        """Rows of one query; values are bound as `$name`. In any order unless it states one.

        Raises: GrowthError when the engine cannot answer; LakeUnreadableError for a damaged file.
        """
