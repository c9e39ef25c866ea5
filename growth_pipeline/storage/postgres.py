"""Postgres as every slice uses it: a pool, COPY in and out, idempotent upserts, partition locks.

No statement of a slice belongs here. Nothing relies on state that a connection keeps between
transactions, because a transaction pooler may stand in between.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import errors, pq, sql
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from growth_pipeline.core.errors import ConfigurationError, GrowthError, RemoteUnavailableError

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.storage.binary_rows import ColumnType

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
"""A connection inside one transaction, as `Database.connection()` gives it."""

Row: TypeAlias = tuple[Any, ...]

_CONNECT_SECONDS = 10
_CHECKOUT_SECONDS = 30
_SILENT_MILLISECONDS = 10_000
_NOT_NOW = frozenset({"08", "25", "40", "53", "55", "57", "58"})  # classes of SQLSTATE
_OVER_A_LIMIT = "54"
_OTHER_TABLES = (
    *(errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction),
    *(errors.InvalidColumnReference, errors.DatatypeMismatch),  # another key; another type
)
_SCHEME = re.compile(r"^(postgres|postgresql)(\+\w+)?$")


class OutcomeUnknownError(RemoteUnavailableError):
    """The connection was lost while COMMIT was under way: stored or not, nobody knows yet.

    Not retryable blindly; a write with a natural key may be repeated by whoever knows its key.
    """

    retryable = False


class RowsRefusedError(GrowthError):
    """Postgres refuses a value of these rows, whatever the time: not retryable."""


class Database:
    """One Postgres database behind a small pool that opens at first use.

    `dry_run = True` rolls every transaction back at its end: all statements run, nothing stays.
    Safe to share between threads. A caller waits `timeout` seconds at most for a connection. Close
    it, or use it as a context manager.
    """

    def __init__(
        self,
        url: str,
        *,
        min_size: int = 1,
        max_size: int = 8,
        application_name: str = "growth",
        timeout: float = _CHECKOUT_SECONDS,
    ) -> None:
        self.dry_run = False
        self._timeout = timeout
        self._conninfo = _conninfo(url, application_name)
        self._sizes = (min_size, max_size)
        self._pool: ConnectionPool[Connection] | None = None
        self._opening = threading.Lock()

    def __repr__(self) -> str:
        return f"Database({_where(self._conninfo)})"

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """One transaction: committed when the block ends, rolled back when it raises.

        A connection that broke is thrown away, never given out again. Instants come back in UTC.
        Raises: RemoteUnavailableError when the database is away (retryable: nothing was stored),
        OutcomeUnknownError when it went away during COMMIT, ConfigurationError when a right is
        missing. Other errors of a statement stay psycopg's.
        """
        pool = self._opened()
        connection = self._checkout(pool)
        committing = False
        try:
            with connection.transaction(force_rollback=self.dry_run):
                yield connection
                _refuse_failed(connection)
                committing = not self.dry_run
        except psycopg.Error as error:
            translated = _translated(error, connection, committing=committing)
            if translated is error:
                raise
            raise translated from error
        finally:
            pool.putconn(connection)

    def close(self) -> None:
        """End all connections. Twice is harmless; the next use opens the pool again."""
        with self._opening:
            if self._pool is not None:
                self._pool.close()
                self._pool = None

    def _opened(self) -> ConnectionPool[Connection]:
        with self._opening:
            if self._pool is None:
                # One plain connection first: it fails at once and says why; a pool waits.
                _connect(self._conninfo).close()
                self._pool = ConnectionPool(
                    self._conninfo,
                    kwargs={"prepare_threshold": None},  # prepared statements break behind poolers
                    min_size=self._sizes[0],
                    max_size=self._sizes[1],
                    timeout=self._timeout,
                    reconnect_timeout=self._timeout,
                    configure=_show_utc,
                    check=ConnectionPool.check_connection,
                    open=True,
                )
            return self._pool

    def _checkout(self, pool: ConnectionPool[Connection]) -> Connection:
        try:
            return pool.getconn()
        except PoolTimeout:
            _connect(self._conninfo).close()  # raises with the reason when the database is away
            raise RemoteUnavailableError(
                f"no connection to {_where(self._conninfo)} became free in {self._timeout:g} s",
                remedy="look for long transactions (pg_stat_activity)",
            ) from None
        except PoolClosed:
            raise RemoteUnavailableError("the connection pool was closed meanwhile") from None


class AsyncDatabase:
    """Connections for the statements of an event loop, each a transaction of its own.

    A statement is committed when `execute` returns, after one round trip. There are as many
    connections as statements ever ran at once: the caller bounds them. A connection that broke is
    never used again. Close it at the end.
    """

    def __init__(self, url: str, *, application_name: str = "growth") -> None:
        given = _conninfo(url, application_name)
        # A server that vanished without a word is noticed after this, not after a quarter hour.
        self._conninfo = psycopg.conninfo.make_conninfo(
            given, tcp_user_timeout=_SILENT_MILLISECONDS
        )
        self._idle: list[psycopg.AsyncConnection[Row]] = []

    def __repr__(self) -> str:
        return f"AsyncDatabase({_where(self._conninfo)})"

    async def execute(self, query: str, params: Mapping[str, Any]) -> list[Row]:
        """Run one statement and commit it; the rows it returns.

        Raises: RemoteUnavailableError when the database cannot be reached (retryable: nothing was
        stored), OutcomeUnknownError when it went away after the statement was sent,
        ConfigurationError when a right is missing. Other errors of a statement stay psycopg's.
        """
        connection = self._idle.pop() if self._idle else await self._open()
        try:
            cursor = await connection.execute(_code(query), params)
            return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            translated = _translated(error, connection, committing=True)
            if translated is error:
                raise
            raise translated from error
        finally:
            if _is_idle(connection):
                self._idle.append(connection)
            else:
                await connection.close()

    async def close(self) -> None:
        """End the connections. Twice is harmless; the next use opens one again."""
        while self._idle:
            await self._idle.pop().close()

    async def _open(self) -> psycopg.AsyncConnection[Row]:
        try:
            return await psycopg.AsyncConnection.connect(
                self._conninfo, autocommit=True, prepare_threshold=None
            )
        except psycopg.OperationalError as error:
            raise _connect_error(error, self._conninfo) from None


def connect(url: str, *, autocommit: bool = False) -> Connection:
    """One connection of its own, outside any pool; the caller closes it.

    Raises: RemoteUnavailableError or ConfigurationError; the message never holds a password.
    """
    return _connect(_conninfo(url, "growth"), autocommit=autocommit)


def _connect(conninfo: str, *, autocommit: bool = False) -> Connection:
    try:
        return psycopg.connect(conninfo, autocommit=autocommit, prepare_threshold=None)
    except psycopg.OperationalError as error:
        raise _connect_error(error, conninfo) from None


def normalise_url(url: str) -> str:
    """A database address as psycopg reads it; also takes `postgres://` and SQLAlchemy's drivers.

    Raises: ConfigurationError for anything else; the message never holds the address.
    """
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        raise _unreadable_address() from None
    if not _SCHEME.match(parts.scheme):
        raise ConfigurationError(
            "the database address does not begin with postgresql://",
            remedy="write it as postgresql://user:password@host:5432/database",
        )
    plain = urlunsplit(parts._replace(scheme="postgresql"))
    if not parts.netloc:  # urlunsplit drops the empty authority of postgresql:///database
        plain = plain.replace("postgresql:/", "postgresql:///", 1)
    return plain


def dagster_url(url: str) -> str:
    """The same address for dagster-postgres, which speaks through SQLAlchemy and psycopg2."""
    return normalise_url(url).replace("postgresql://", "postgresql+psycopg2://", 1)


def copy_in(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    types: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> int:
    """Rows written by binary COPY; the number of rows.

    `types` are Postgres type names ("int8", "timestamptz", "text[]"); a jsonb value is a Python
    object, or `raw_json(text)`. A table whose row security binds this role is filled through a
    staging table, because Postgres refuses COPY there.
    """
    target = _qualified(table)
    secured = connection.execute(
        "select row_security_active(%s::regclass)", [target.as_string(connection)]
    ).fetchone()
    if secured is None or not secured[0]:
        return _copy_rows(connection, target, columns, types, rows)
    staging = stage(connection, target, columns, types, rows)
    names = _names(columns)
    done = connection.execute(
        sql.SQL("insert into {} ({}) select {} from {}").format(target, names, names, staging)
    )
    return done.rowcount


def upsert(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    types: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    key: Sequence[str],
    where: str | None = None,
    key_where: str | None = None,
) -> int:
    """Rows inserted, or updated where their natural key is there already; how many were written.

    Idempotent. Rows are locked in the order of their key, so two writers cannot deadlock. `where`
    decides about an update (the stored row is `stored`, the new one `excluded`): "stored.order_key
    < excluded.order_key" keeps the newer. `key_where` names the partial unique index.
    Raises: GrowthError when two of the rows have one key.
    """
    target = _qualified(table)
    staging = stage(connection, target, columns, types, rows)
    others = [name for name in columns if name not in set(key)]
    statement = sql.SQL(
        "insert into {target} as stored ({names}) select {names} from {staging} order by {key}"
        " on conflict ({key}) {key_where} do {action}"
    ).format(
        target=target,
        names=_names(columns),
        staging=staging,
        key=_names(key),
        key_where=_clause("where", key_where),
        action=_update(others, where) if others else sql.SQL("nothing"),
    )
    try:
        return connection.execute(statement).rowcount
    except errors.CardinalityViolation as error:
        raise GrowthError(
            f"two rows for {table} have the same key ({', '.join(key)})",
            remedy="decide which one counts before writing",
        ) from error


def stage(
    connection: Connection,
    table: str | sql.Identifier,
    columns: Sequence[str],
    types: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> sql.Identifier:
    """The temporary table growth_staging with the rows, in the table's column types.

    A second call in the transaction replaces it; it is gone with the transaction.
    """
    staging = sql.Identifier("growth_staging")
    target = _qualified(table) if isinstance(table, str) else table
    connection.execute(
        sql.SQL(
            "drop table if exists pg_temp.{0}; create temporary table {0} on commit drop as"
            " select {1} from {2} with no data"
        ).format(staging, _names(columns), target)
    )
    _copy_rows(connection, staging, columns, types, rows)
    return staging


def copy_out(
    connection: Connection,
    query: str,
    params: Mapping[str, Any] | Sequence[Any] | None = None,
    *,
    batch_rows: int = 100_000,
) -> pl.DataFrame:
    """Result of a query as a frame, read by binary COPY in batches of bounded size.

    Shapes: one column per result column, its type fixed by Postgres's (also for no rows): whole
    numbers, float, bool, text, bytes, date, timestamps in microseconds (UTC for timestamptz); json
    and jsonb as text. The query has no semicolon at its end.
    Raises: GrowthError for a column of another type; cast it in the query (`::text`, `::int8`).
    """
    import polars as pl

    batches = list(copy_batches(connection, query, params, batch_rows=batch_rows))
    return pl.concat(batches, rechunk=False)


def copy_batches(
    connection: Connection,
    query: str,
    params: Mapping[str, Any] | Sequence[Any] | None = None,
    *,
    batch_rows: int = 100_000,
) -> Iterator[pl.DataFrame]:
    """Like `copy_out`, one frame of at most `batch_rows` rows at a time; at least one frame.

    Read it to its end: stopping early cancels the query, and with it the transaction.
    """
    import polars as pl

    from growth_pipeline.storage import binary_rows

    text = psycopg.ClientCursor(connection).mogrify(query, params)  # COPY takes no parameters
    names, types = _described(connection, text)
    with connection.cursor() as cursor, cursor.copy(_copy_statement(text)) as copy:
        messages = map(bytes, copy)
        # The header comes in one message with the first row, or with the end mark if there is none.
        rest = chain([next(messages)[binary_rows.HEADER_SIZE :]], messages)
        first = True
        while (rows := list(islice(rest, batch_rows))) or first:
            if rows and rows[-1] == binary_rows.END:
                del rows[-1]
            if rows or first:
                yield pl.DataFrame(binary_rows.decode(rows, names, types))
            first = False


def lock_partition(connection: Connection, *parts: str) -> None:
    """Hold the lock of one partition until this transaction ends; wait while another holds it.

    Transaction-level on purpose: locks of a connection break behind a transaction pooler.
    """
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    number = int.from_bytes(hashlib.sha256(joined.encode()).digest()[:8], "big", signed=True)
    connection.execute("select pg_advisory_xact_lock(%s)", [number])


def raw_json(text: str | bytes) -> Jsonb:
    """JSON text for a jsonb column as it is, without reading and writing it again in Python."""
    return Jsonb(text, dumps=lambda unchanged: unchanged)


# --- statements ----------------------------------------------------------------------------------


def _qualified(table: str) -> sql.Identifier:
    return sql.Identifier(*table.split("."))


def _names(columns: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in columns)


def _clause(word: str, condition: str | None) -> sql.Composable:
    """A condition written by a slice (code, never data) after its word."""
    return _code(f"{word} {condition}" if condition else "")


def _update(columns: Sequence[str], where: str | None) -> sql.Composed:
    changes = sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in columns
    )
    return sql.SQL("update set {} {}").format(changes, _clause("where", where))


def _described(connection: Connection, query: str) -> tuple[list[str], list[ColumnType]]:
    """Names and types of a query's columns, without running it."""
    from growth_pipeline.storage.binary_rows import COLUMN_TYPES

    description = connection.execute(
        _code(f"select * from ({query}) as described limit 0")  # noqa: S608 - values are quoted
    ).description
    columns = description or []
    for column in columns:
        if column.type_code not in COLUMN_TYPES:
            raise GrowthError(
                f"column {column.name} of the query has type {column.type_display}",
                remedy=f"cast it in the query, for example {column.name}::text",
            )
    return [column.name for column in columns], [COLUMN_TYPES[c.type_code] for c in columns]


def _copy_statement(query: str) -> sql.SQL:
    return _code(f"copy ({query}) to stdout (format binary)")


def _code(text: str) -> sql.SQL:
    """A statement put together here from code and from values that psycopg quoted."""
    return sql.SQL(text)


def _copy_rows(
    connection: Connection,
    target: sql.Identifier,
    columns: Sequence[str],
    types: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> int:
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(target, _names(columns))
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
        return cursor.rowcount


# --- addresses and errors ------------------------------------------------------------------------


def _conninfo(url: str, application_name: str) -> str:
    """The address with our defaults; libpq's own complaint may quote a password: not shown."""
    try:
        given = psycopg.conninfo.conninfo_to_dict(normalise_url(url))
    except psycopg.Error:
        raise _unreadable_address() from None
    # A raw / or # in a password moves the rest of it into port or database name.
    ports = str(given.get("port") or "5432").split(",")
    if not all(port.isdigit() for port in ports) or "@" in str(given.get("dbname") or ""):
        raise _unreadable_address()
    given.setdefault("application_name", application_name)
    given.setdefault("connect_timeout", _CONNECT_SECONDS)
    return psycopg.conninfo.make_conninfo("", **given)


def _unreadable_address() -> ConfigurationError:
    return ConfigurationError(
        "the database address cannot be read",
        remedy="write it as postgresql://user:password@host:5432/database, "
        "with special characters of the password percent-encoded",
    )


def _where(conninfo: str) -> str:
    parts = psycopg.conninfo.conninfo_to_dict(conninfo)
    host = parts.get("host") or "the local socket"
    return f"database {parts.get('dbname') or 'of the user'} at {host}"


def _show_utc(connection: Connection) -> None:
    """Instants are shown in UTC; a pooler that forgets it changes their look, not what they are."""
    connection.execute("set time zone 'UTC'")
    connection.commit()


def _connect_error(error: psycopg.OperationalError, conninfo: str) -> GrowthError:
    where, words = _where(conninfo), str(error)
    user = psycopg.conninfo.conninfo_to_dict(conninfo).get("user") or "the user"
    if re.search(r"password|authentication|no pg_hba\.conf entry|role .* does not exist", words):
        return ConfigurationError(
            f"{where} refuses {user}",
            remedy="correct user and password in GROWTH_DATABASE_URL, or allow them in pg_hba.conf",
        )
    if re.search(r"database .* does not exist", words):
        return ConfigurationError(
            f"{where} does not exist", remedy="create it, or correct GROWTH_DATABASE_URL"
        )
    reason = words.strip().splitlines()[0].removeprefix("connection failed: ")
    return RemoteUnavailableError(
        f"{where} does not answer: {reason}",
        remedy="start the server, or correct GROWTH_DATABASE_URL",
    )


def _is_idle(connection: psycopg.BaseConnection[Any]) -> bool:
    """Whether it is between two transactions; a broken one is not."""
    return connection.info.transaction_status is pq.TransactionStatus.IDLE


def _refuse_failed(connection: Connection) -> None:
    """Postgres answers COMMIT of a failed transaction with a silent rollback; we do not."""
    if connection.info.transaction_status is pq.TransactionStatus.INERROR:
        raise GrowthError(
            "a statement of this transaction failed before its end; nothing of it was stored",
            remedy="put statements that may fail into a transaction of their own",
        )


def _translated(
    error: psycopg.Error, connection: psycopg.BaseConnection[Any], *, committing: bool
) -> Exception:
    """The error as the caller should meet it; a statement's own error stays what it is."""
    if (
        connection.closed
        or connection.broken
        or isinstance(error, errors.StatementCompletionUnknown)
    ):
        if committing:
            return OutcomeUnknownError(
                "the database went away during COMMIT; whether the change is stored is not known",
                remedy="run the same command again: rows are keyed, nothing is written twice",
            )
        return RemoteUnavailableError(
            "the database went away; nothing of this transaction was stored",
            remedy="run the same command again when the database answers",
        )
    if isinstance(error, errors.InsufficientPrivilege):
        return rights_error(error)
    if isinstance(error, errors.DiskFull):
        return RemoteUnavailableError(
            f"the disk of the database is full: {error.diag.message_primary}",
            remedy="free space on the database's disk, then run the same command again",
        )
    return error


@contextmanager
def clear_errors() -> Iterator[None]:
    """Translate what psycopg says about our own tables and values; the rest passes.

    Raises: RemoteUnavailableError when the tables of this version are missing, or when the cause
    passes with time (deadlock, read-only after a failover, timeout, no memory); RowsRefusedError.
    """
    try:
        yield
    except _OTHER_TABLES as error:
        raise RemoteUnavailableError(
            "the database has not got the tables of this version yet", remedy="run growth migrate"
        ) from error
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise _rows_refused(error) from error
    except psycopg.Error as error:
        kind = (error.sqlstate or "")[:2]
        if kind == _OVER_A_LIMIT:
            raise _rows_refused(error) from error
        if kind in _NOT_NOW:
            raise RemoteUnavailableError(
                f"the database cannot do this now: {error.sqlstate} {error.diag.message_primary}",
                remedy="run the same command again",
            ) from error
        raise


def _rows_refused(error: psycopg.Error) -> RowsRefusedError:
    """Without the server's detail line: it quotes the row, and rows hold customer data."""
    said = error.diag.message_primary or type(error).__name__
    return RowsRefusedError(f"Postgres refuses a value: {error.sqlstate or 'client'} {said}")


def rights_error(error: errors.InsufficientPrivilege) -> ConfigurationError:
    """Sentence and remedy for a missing right (SQLSTATE 42501)."""
    said = error.diag.message_primary or "a right is missing"
    named = re.search(r"permission denied for (?:(\w+) )?(\S+)$", said)
    what = f"on {named[1] or 'table'} {named[2]} " if named else ""
    return ConfigurationError(
        f"the database refuses: {said}",
        remedy=f"as the owner, GRANT the right {what}to the role of GROWTH_DATABASE_URL",
    )
