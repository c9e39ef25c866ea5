"""The analytics engine: a query over lake files and frames, in process, bounded, without network.

Queries live in `sql/<slice>/`; nothing here knows what they compute.
"""

from __future__ import annotations

import glob
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.storage.lake import LakeUnreadableError
from growth_pipeline.storage.query_databases import QueryDatabases

if TYPE_CHECKING:
    import duckdb
    import polars as pl
    import pyarrow as pa

Table: TypeAlias = "Sequence[str] | TextFile | pl.DataFrame | pa.Table"
"""Paths of Parquet files with the same columns, a file that people made, or a frame."""


@dataclass(frozen=True)
class CreatedBetween(Sequence[str]):
    """Parquet files of which only rows with `created` in `[start, end)` count; Unix seconds.

    `end` None: no upper limit. Given to a query in place of plain paths.
    """

    paths: tuple[str, ...]
    start: int
    end: int | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        return self.paths[index]

    @property
    def condition(self) -> str:
        """The limits in SQL."""
        upper = "" if self.end is None else f" and created < {int(self.end)}"
        return f"created >= {int(self.start)}{upper}"


@dataclass(frozen=True)
class TextFile:
    """One file that people made, with the columns a query wants as text, and `row_number`.

    `columns`: name in the query -> name in the file, None where the file has no such column (it is
    null then); several names become one text, trimmed fields with PACKED_BY between. `header`: all
    columns of a CSV file with a header line, in order; None for Parquet.
    Shapes: an empty field is null; `row_number` counts from 0 in Parquet and is null in CSV, where
    a record may span lines. Empty lines are no rows.
    """

    path: str
    columns: Mapping[str, str | tuple[str, ...] | None]
    header: tuple[str, ...] | None = None
    delimiter: str = ","
    gzipped: bool = False


PACKED_BY = "\x1f"
_DAY_SECONDS = 86_400
_ROWS_OF_A_GROUP = 100_000


class Spool:
    """A folder for what is too large for memory, for as long as one piece of work needs it.

    Gone when it is closed or given up; a killed process leaves it to the next engine's sweep.
    """

    def __init__(self, temp_dir: Path) -> None:
        temp_dir.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(dir=temp_dir, prefix="spool-"))
        self._remove = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the folder and all in it. Twice is harmless."""
        self._remove()

    def write(self, name: str, frames: Iterable[pl.DataFrame]) -> SpoolFile:
        """One Parquet file of these frames, which have the same columns; one frame at a time.

        Shapes: at least one frame, which may be empty: it gives the columns.
        """
        import pyarrow.parquet as pq

        path = self.folder / f"{name}.parquet"
        rows = 0
        writer: pq.ParquetWriter | None = None
        try:
            for frame in frames:
                table = frame.to_arrow()
                writer = writer or pq.ParquetWriter(path, table.schema, compression="lz4")
                writer.write_table(table, row_group_size=_ROWS_OF_A_GROUP)
                rows += frame.height
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise ValueError(f"spool file {name} was given no frame")
        return SpoolFile(str(path), rows)


class SpoolFile(NamedTuple):
    """A Parquet file of a spool, and how many rows it holds."""

    path: str
    rows: int


class Engine:
    """DuckDB with bounds; each query has a database in memory to itself. Threads may share it."""

    def __init__(
        self,
        memory_limit: str = "1GiB",
        threads: int | None = None,
        temp_dir: Path | str | None = None,
    ) -> None:
        self._memory_limit = memory_limit
        self._temp_dir = Path(temp_dir or Path(tempfile.gettempdir()) / "growth-engine")
        self._sweep()
        config: dict[str, Any] = {
            "memory_limit": memory_limit,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "enable_external_file_cache": "false",  # a file is read anew by each query
            "python_enable_replacements": "false",  # a table is what was given, no variable
        }
        if threads is not None:
            config["threads"] = threads
        self._databases = QueryDatabases(partial(_connect, config), self._temp_dir)

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
        import polars as pl

        with self._tables(tables) as connection:
            arrow = connection.sql(sql, params=dict(params) if params else None).to_arrow_table()
        frame: pl.DataFrame = pl.from_arrow(arrow)  # type: ignore[assignment]
        return with_whole_numbers(frame)

    def spool(self) -> Spool:
        """A folder beside the engine's own for files that `query_to_file` and others fill."""
        return Spool(self._temp_dir)

    def query_to_file(
        self,
        sql: str,
        tables: Mapping[str, Table],
        spool: Spool,
        name: str,
        *,
        joins_as_written: bool = False,
    ) -> SpoolFile:
        """Result of one query as a Parquet file of the spool, without holding it in memory.

        The query takes no bound values: what has some is collected before it is written.
        `joins_as_written`: the right side of a join is the one held in memory; for a source whose
        size the engine cannot know, as a CSV file, which it may else take for the smaller side.
        Raises: as `query`.
        """
        import pyarrow.parquet as pq

        path = spool.folder / f"{name}.parquet"
        with self._tables(tables) as connection:
            connection.execute("set preserve_insertion_order = false")
            if joins_as_written:
                connection.execute("set disabled_optimizers = 'join_order,build_side_probe_side'")
            connection.sql(sql).write_parquet(str(path), compression="lz4")
        return SpoolFile(str(path), pq.read_metadata(path).num_rows)

    @contextmanager
    def _tables(self, tables: Mapping[str, Table]) -> Iterator[duckdb.DuckDBPyConnection]:
        """A database that knows the tables; its errors are ours."""
        import duckdb

        try:
            with self._databases.connection() as connection:
                for name, table in tables.items():
                    _register(connection, name, table)
                yield connection
        except duckdb.Error as error:
            raise _translated(error, self._memory_limit) from error

    def _sweep(self) -> None:
        """Remove folders of processes that were killed a day ago or more."""
        for pattern in ("query-*", "spool-*"):
            for folder in self._temp_dir.glob(pattern):
                with suppress(OSError):
                    if time.time() - folder.stat().st_mtime > _DAY_SECONDS:
                        shutil.rmtree(folder)


def _connect(config: Mapping[str, Any], spill: Path) -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect(":memory:", config={**config, "temp_directory": str(spill)})


def _register(connection: duckdb.DuckDBPyConnection, name: str, table: Table) -> None:
    import polars as pl
    import pyarrow as pa

    if isinstance(table, pl.DataFrame):
        connection.register(name, table.to_arrow())
    elif isinstance(table, pa.Table):
        connection.register(name, table)
    elif isinstance(table, TextFile):
        _register_text(connection, name, table)
    else:
        _register_files(connection, name, table)


def _register_files(connection: duckdb.DuckDBPyConnection, name: str, paths: Sequence[str]) -> None:
    if not paths:
        raise GrowthError(
            f"table {name} has no files", remedy="give an empty frame if it is known to be empty"
        )
    for scheme in {path.partition("://")[0] for path in paths if "://" in path}:
        import fsspec

        connection.register_filesystem(fsspec.filesystem(scheme))
    # The folders are named key=value; their values are not columns of the files.
    files = connection.read_parquet(list(paths), hive_partitioning=False)
    if isinstance(paths, CreatedBetween):
        files = files.filter(paths.condition)
    files.create_view(name)


def _register_text(connection: duckdb.DuckDBPyConnection, name: str, file: TextFile) -> None:
    """A view in which every wanted column is text: what the file says, not what an engine guesses.

    A CSV file's columns are read by place, so that no name in it can mean anything to the engine.
    """
    import duckdb

    if file.header is None:
        source = connection.read_parquet(
            glob.escape(file.path), file_row_number=True, binary_as_string=True
        )
        names = {column: column for column in source.columns}
        row_number: duckdb.Expression = duckdb.ColumnExpression("file_row_number")
    else:
        places = [f"c{place}" for place in range(len(file.header))]
        source = connection.read_csv(
            glob.escape(file.path),
            auto_detect=False,
            header=True,
            sep=file.delimiter,
            quotechar='"',
            escapechar='"',
            columns=dict.fromkeys(places, "VARCHAR"),
            compression="gzip" if file.gzipped else "none",
        )
        names = dict(zip(file.header, places, strict=True))
        row_number = duckdb.ConstantExpression(None)
    wanted = [
        _field(names, column).cast("VARCHAR").alias(target)
        for target, column in file.columns.items()
    ]
    source.select(*wanted, row_number.cast("BIGINT").alias("row_number")).create_view(name)


def _field(names: Mapping[str, str], column: str | tuple[str, ...] | None) -> duckdb.Expression:
    """A field of a record, several of them as one text, or null."""
    import duckdb

    if column is None:
        return duckdb.ConstantExpression(None)
    if isinstance(column, str):
        return duckdb.ColumnExpression(names[column])
    separator = duckdb.ConstantExpression(PACKED_BY)
    nothing = duckdb.ConstantExpression("")
    blanks = duckdb.ConstantExpression(" \t\r\n")
    fields = []
    for name in column:
        text = duckdb.ColumnExpression(names[name]).cast("VARCHAR")
        known = duckdb.CoalesceOperator(text, nothing)
        plain = duckdb.FunctionExpression("replace", known, separator, nothing)
        fields.append(duckdb.FunctionExpression("trim", plain, blanks))
    return duckdb.FunctionExpression("concat_ws", separator, *fields)


def with_whole_numbers(frame: pl.DataFrame) -> pl.DataFrame:
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
            remedy="raise GROWTH_ENGINE__MEMORY_LIMIT (with files alone: --memory), or free disk "
            "space under the state folder (with files alone: TMPDIR)",
        )
    if isinstance(error, duckdb.IOException | duckdb.InvalidInputException):
        return LakeUnreadableError(
            f"a file of the lake cannot be read: {said}",
            remedy="run the step that writes it again",
        )
    return GrowthError(f"the engine refuses the query: {said}")
