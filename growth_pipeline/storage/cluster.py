"""The same queries on a Spark cluster over the same files, for what outgrew one machine.

Queries are translated from the embedded engine's dialect when they run; nothing here knows what
they compute.
"""

from __future__ import annotations

import importlib.util
import logging
import re
import socket
import threading
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from growth_pipeline.core.errors import ConfigurationError, GrowthError
from growth_pipeline.storage.engine import CreatedBetween, TextFile, with_whole_numbers
from growth_pipeline.storage.lake import LakeUnreadableError

if TYPE_CHECKING:
    import polars as pl
    from pyspark.sql import DataFrame, SparkSession

    from growth_pipeline.storage.engine import Engine, Table
    from growth_pipeline.storage.queries import Queries

_APPLICATION = "growth_pipeline"
_REACH_SECONDS = 10.0
_ADDRESSES = re.compile(r"(?:spark|sc)://([^/;]+)")
_PORTS = {"spark": 7077, "sc": 15002}
_FILE_SYSTEMS = {"s3": "s3a", "gcs": "gs"}  # fsspec's name -> Hadoop's
_GLOB = re.compile(r"([\\{}\[\]*?])")
_BRIDGE = re.compile(r"An error occurred while calling")
_UNREADABLE = ("CANNOT_READ_FILE", "FAILED_READ_FILE", "PATH_NOT_FOUND")
# An instant is UTC, an overflow is an error, tables come as Arrow: as in the embedded engine.
_OPTIONS = {
    "spark.app.name": _APPLICATION,
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.pyspark.fallback.enabled": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
}
# Of the process that starts the session; a Connect server has its own.
_OWN_OPTIONS = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}


class Cluster:
    """Spark behind the embedded engine's interface. Threads may share it.

    The session is opened by the first query and kept until `close`.
    """

    def __init__(self, url: str, options: Mapping[str, str] | None = None) -> None:
        """`url`: `spark://host:7077`, `sc://host:15002` (Spark Connect), or what Spark knows else.

        `options`: Spark's own, above those of its configuration files.
        """
        self._url = url
        self._options = dict(options or {})
        self._session: SparkSession | None = None
        self._opening = threading.Lock()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session and free the cluster's executors. Twice is harmless."""
        with self._opening:
            session, self._session = self._session, None
            if session is not None:
                session.stop()

    def query(
        self,
        sql: str,
        tables: Mapping[str, Table],
        params: Mapping[str, object] | None = None,
    ) -> pl.DataFrame:
        """Result of one query, as the embedded engine gives it. Workers must reach the files.

        Raises: LakeUnreadableError for a damaged file; ConfigurationError when the cluster cannot
        be reached; GrowthError when the query is wrong or needs what the cluster does not have.
        """
        import polars as pl

        names = {name: f"{name}_{uuid.uuid4().hex}" for name in tables}
        text, used = in_spark(sql, names)
        session = self._opened()
        with _errors_as_ours(), _views(session, {names[name]: tables[name] for name in used}):
            arrow = session.sql(text, args=dict(params) if params else None).toArrow()
        frame: pl.DataFrame = pl.from_arrow(arrow)  # type: ignore[assignment]
        return with_whole_numbers(frame)

    def _opened(self) -> SparkSession:
        with self._opening:
            if self._session is None:
                self._session = _open(self._url, self._options)
            return self._session


@contextmanager
def queries_on(cluster_url: str | None, embedded: Engine) -> Iterator[Queries]:
    """The cluster at an address for as long as it is needed; without one the embedded engine."""
    if cluster_url is None:
        yield embedded
        return
    with Cluster(cluster_url) as cluster:
        yield cluster


def find_cluster(url: str) -> str:
    """Where the cluster answers, as `host:port`; nothing is computed there.

    Raises: ConfigurationError where none answers, and without PySpark.
    """
    if importlib.util.find_spec("pyspark") is None:
        raise _no_pyspark()
    return _reach(url) or "this machine"


def in_spark(sql: str, names: Mapping[str, str]) -> tuple[str, set[str]]:
    """A query in Spark's dialect, and which of the named tables it reads.

    Shapes: `names` is the query's name of a table -> the cluster's; no part of the query (`with`)
    has the name of a table.
    Raises: GrowthError for what has no translation.
    """
    import sqlglot
    from sqlglot import exp

    try:
        tree = sqlglot.parse_one(sql, read="duckdb")
        shared = {part.alias for part in tree.find_all(exp.CTE)} & names.keys()
        if shared:
            raise GrowthError(f"a table and a part of the query are both called {min(shared)}")
        used = set()
        for table in list(tree.find_all(exp.Table)):
            if table.name in names:
                used.add(table.name)
                alias = table.alias or table.name
                table.replace(exp.alias_(exp.to_table(names[table.name]), alias, table=True))
        text = tree.sql(dialect="spark", comments=False, unsupported_level=sqlglot.ErrorLevel.RAISE)
    except sqlglot.errors.SqlglotError as error:
        raise GrowthError(
            f"the query has no translation for the cluster: {_said_by(error)}",
            remedy="compute it with GROWTH_ENGINE__BACKEND=duckdb",
        ) from error
    return text, used


@contextmanager
def _views(session: SparkSession, tables: Mapping[str, Table]) -> Iterator[None]:
    """Tables under these names for as long as one query runs."""
    made = []
    try:
        for name, table in tables.items():
            _frame(session, name.rpartition("_")[0], table).createTempView(name)
            made.append(name)
        yield
    finally:
        for name in made:
            session.catalog.dropTempView(name)


def _frame(session: SparkSession, name: str, table: Table) -> DataFrame:
    import polars as pl
    import pyarrow as pa

    if isinstance(table, pl.DataFrame):
        return session.createDataFrame(table.to_arrow())
    if isinstance(table, pa.Table):
        return session.createDataFrame(table)
    if isinstance(table, TextFile):
        raise GrowthError(
            f"table {name} is a file that people made, which a cluster does not read",
            remedy="read it with the embedded engine first",
        )
    return _files(session, name, table)


def _files(session: SparkSession, name: str, paths: Sequence[str]) -> DataFrame:
    if not paths:
        raise GrowthError(
            f"table {name} has no files", remedy="give an empty frame if it is known to be empty"
        )
    # The folders are named key=value; their values are not columns of the files.
    reader = session.read.option("recursiveFileLookup", "true")
    files = reader.parquet(*(_address(path) for path in paths))
    return files.filter(paths.condition) if isinstance(paths, CreatedBetween) else files


def _address(path: str) -> str:
    """A path as Hadoop spells it: with its file system, and nothing in it a pattern."""
    scheme, is_url, rest = path.partition("://")
    if not is_url:
        scheme, rest = "file", path
    literal = _GLOB.sub(r"\\\1", rest)
    return f"{_FILE_SYSTEMS.get(scheme, scheme)}://{literal}"


def _open(url: str, options: Mapping[str, str]) -> SparkSession:
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise _no_pyspark() from error
    _reach(url)
    # Its own pandas interface lags behind; nothing here uses it.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)  # we say it ourselves
    builder: Any = SparkSession.builder
    is_connect = url.startswith("sc://")
    builder = builder.remote(url) if is_connect else builder.master(url)
    for option, value in {**_OPTIONS, **({} if is_connect else _OWN_OPTIONS), **options}.items():
        builder = builder.config(option, value)
    with _errors_as_ours():
        session: SparkSession = builder.getOrCreate()
        if not is_connect:
            _see_that_it_is_ours(session, url)
        return session


def _see_that_it_is_ours(session: SparkSession, url: str) -> None:
    """A process has one session with a cluster: asked for another, Spark hands out the first."""
    context = session.sparkContext
    if context.master != url:
        raise GrowthError(
            f"this process already works with the cluster at {context.master}",
            remedy="end that work first, then use another",
        )
    context.setLogLevel("ERROR")


def _no_pyspark() -> ConfigurationError:
    return ConfigurationError(
        "a cluster needs PySpark, which is not installed",
        remedy="install growth-pipeline[cluster], or set GROWTH_ENGINE__BACKEND=duckdb",
    )


def _reach(url: str) -> str | None:
    """The first of its addresses that answers: Spark itself says so only after minutes.

    Shapes: None for a cluster without address, in this process. Raises: ConfigurationError.
    """
    found = _ADDRESSES.match(url)
    addresses = found.group(1).split(",") if found else []
    for address in addresses:
        host, _, port = address.rpartition(":") if ":" in address else (address, "", "")
        target = (host.strip("[]"), int(port or _PORTS[url.partition(":")[0]]))
        with suppress(OSError), socket.create_connection(target, timeout=_REACH_SECONDS):
            return address
    if addresses:
        raise ConfigurationError(
            f"no Spark cluster answers at {', '.join(addresses)}",
            remedy="start it or correct GROWTH_ENGINE__URL; "
            "GROWTH_ENGINE__BACKEND=duckdb needs none",
        )
    return None


@contextmanager
def _errors_as_ours() -> Iterator[None]:
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise _translated(error) from error


def _translated(error: Exception) -> GrowthError:
    text = str(error)
    said = _said_by(error)
    if "JAVA_GATEWAY_EXITED" in text:
        return ConfigurationError(
            "a cluster needs Java on this machine, and it does not start",
            remedy="install Java 17 or newer (Debian: default-jre-headless), or use Spark Connect",
        )
    if any(sign in text for sign in _UNREADABLE):
        return LakeUnreadableError(
            f"a file of the lake cannot be read by the cluster: {said}",
            remedy="see that every worker reaches the lake's address; else run the step that "
            "writes the file again",
        )
    return GrowthError(f"the cluster refuses the query: {said}")


def _said_by(error: Exception) -> str:
    """The first line that says what is wrong; the bridge to Java begins with one that does not."""
    lines = [line.strip(" :") for line in str(error).splitlines()]
    return next((line for line in lines if line and not _BRIDGE.match(line)), repr(error))
