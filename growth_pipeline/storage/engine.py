"""The analytics engine: a query over lake files and frames, in process, bounded, without network.

Queries live in `sql/<slice>/`; nothing here knows what they compute.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.storage.lake import LakeUnreadableError

if TYPE_CHECKING:
    import duckdb
    import polars as pl
    import pyarrow as pa

Table: TypeAlias = "Sequence[str] | pl.DataFrame | pa.Table"
"""Paths of Parquet files with the same columns, or a frame."""


_DAY_SECONDS = 86_400


class Engine:
    """DuckDB with bounds; each query has a database of its own in memory. Threads may share it."""

    def __init__(
        self,
        memory_limit: str = "2GiB",
        threads: int | None = None,
        temp_dir: Path | str | None = None,
    ) -> None:
        self._memory_limit = memory_limit
        self._threads = threads
        self._temp_dir = Path(temp_dir or Path(tempfile.gettempdir()) / "growth-engine")
        self._sweep()

    def query(
        self,
        sql: str,
        tables: Mapping[str, Table],
        params: Mapping[str, object] | None = None,
    ) -> pl.DataFrame:
        """Result of one query over the named tables; values are bound as `$name`.

        Rows come in the order the query states, else in any. Sums of whole numbers come as 64-bit
        whole numbers, instants in UTC. Nothing is downloaded or loaded.
        Raises: LakeUnreadableError for a damaged file; GrowthError when memory and disk do not
        suffice, or when the query is wrong.
        """
        import duckdb
        import polars as pl

        try:
            with self._connected() as connection:
                for name, table in tables.items():
                    _register(connection, name, table)
                relation = connection.sql(sql, params=dict(params) if params else None)
                arrow = relation.to_arrow_table()
        except duckdb.Error as error:
            raise _translated(error, self._memory_limit) from error
        frame: pl.DataFrame = pl.from_arrow(arrow)  # type: ignore[assignment]
        return _with_whole_numbers(frame)

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A database in memory with a spill folder of its own: databases must not share one."""
        import duckdb

        self._temp_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._temp_dir, prefix="query-") as spill:
            config: dict[str, Any] = {
                "memory_limit": self._memory_limit,
                "temp_directory": spill,
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "python_enable_replacements": "false",  # a table is what was given, no variable
            }
            if self._threads is not None:
                config["threads"] = self._threads
            with duckdb.connect(":memory:", config=config) as connection:
                connection.execute("set TimeZone = 'UTC'")
                yield connection

    def _sweep(self) -> None:
        """Remove spill folders of processes that were killed a day ago or more."""
        for folder in self._temp_dir.glob("query-*"):
            with suppress(OSError):
                if time.time() - folder.stat().st_mtime > _DAY_SECONDS:
                    shutil.rmtree(folder)


def _register(connection: duckdb.DuckDBPyConnection, name: str, table: Table) -> None:
    import polars as pl
    import pyarrow as pa

    if isinstance(table, pl.DataFrame):
        connection.register(name, table.to_arrow())
    elif isinstance(table, pa.Table):
        connection.register(name, table)
    else:
        _register_files(connection, name, list(table))


def _register_files(connection: duckdb.DuckDBPyConnection, name: str, paths: list[str]) -> None:
    if not paths:
        raise GrowthError(
            f"table {name} has no files", remedy="give an empty frame if it is known to be empty"
        )
    for scheme in {path.partition("://")[0] for path in paths if "://" in path}:
        import fsspec

        connection.register_filesystem(fsspec.filesystem(scheme))
    # The folders are named key=value; their values are not columns of the files.
    connection.read_parquet(paths, hive_partitioning=False).create_view(name)


def _with_whole_numbers(frame: pl.DataFrame) -> pl.DataFrame:
    """DuckDB sums whole numbers in 128 bits, which Arrow carries as a decimal without decimals."""
    import polars as pl

    columns = [
        pl.col(name).cast(pl.Int64)
        for name, kind in frame.schema.items()
        if isinstance(kind, pl.Decimal) and kind.scale == 0
    ]
    try:
        return frame.with_columns(columns)
    except pl.exceptions.InvalidOperationError as error:
        raise GrowthError(
            "a sum of the query needs more than 64 bits",
            remedy="look for impossible amounts in the rows that went into it",
        ) from error


def _translated(error: duckdb.Error, memory_limit: str) -> GrowthError:
    import duckdb

    said = str(error).strip().splitlines()[0]
    if isinstance(error, duckdb.OutOfMemoryException):
        return GrowthError(
            f"the query needs more than {memory_limit} and its spill folder: {said}",
            remedy="raise GROWTH_ENGINE__MEMORY_LIMIT or free disk space under the state folder",
        )
    if isinstance(error, duckdb.IOException | duckdb.InvalidInputException):
        return LakeUnreadableError(
            f"a file of the lake cannot be read: {said}",
            remedy="run the step that writes it again",
        )
    return GrowthError(f"the engine refuses the query: {said}")
