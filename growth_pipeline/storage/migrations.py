"""Brings a database to the schema of `sql/migrations`, forward only, one file in one transaction.

Alembic keeps the order and the version; its revisions are made in memory, one per SQL file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import psycopg
import stamina
from psycopg import errors

from growth_pipeline.core.errors import ConfigurationError, GrowthError
from growth_pipeline.storage.postgres import connect, rights_error
from growth_pipeline.storage.sql import migrations_dir

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import Connection

SCHEMA = "growth"
LOCK_TIMEOUT = "1s"  # a waiting ALTER TABLE blocks every reader behind it: give way and come again
STATEMENT_TIMEOUT = "5s"
_LOCK_WAIT_SECONDS = 120
_OLDEST_SERVER = 150_000
_LOCK = int.from_bytes(
    hashlib.sha256(b"growth_pipeline migrations").digest()[:8], "big", signed=True
)
_FILE_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")

OnProgress = Callable[[str], None]
OnStatement = Callable[[str, int], None]


class MigrationError(GrowthError):
    """A migration failed and left nothing behind; the message names the file and the line."""


@dataclass(frozen=True)
class Migration:
    """One file: its number, its name without ending, its text and the text's hash."""

    revision: str
    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Hash of the text; line endings do not count, git may change them."""
        return hashlib.sha256(self.text.replace("\r\n", "\n").encode()).hexdigest()


def migrate(
    url: str,
    *,
    on_progress: OnProgress | None = None,
    on_statement: OnStatement | None = None,
    directory: Path | None = None,
    lock_timeout: str = LOCK_TIMEOUT,
) -> list[str]:
    """Apply what is missing; names of the migrations this call applied, in order.

    Any number of migrators may run at once, through a transaction pooler too: each file is applied
    once. Killed anywhere, it is run again and goes on. `on_progress` gets each name once it is
    committed; `on_statement` gets name and number before each statement.
    Raises: MigrationError naming file and line; ConfigurationError for a missing right, a server
    older than 15, or a database newer than this program.
    """
    plan = read_migrations(directory)
    applied: list[str] = []
    with _engine(url) as connections:
        while (name := _apply_next(connections, plan, lock_timeout, on_statement)) is not None:
            applied.append(name)
            if on_progress is not None:
                on_progress(name)
    return applied


def pending(url: str, *, directory: Path | None = None) -> list[str]:
    """Names of the migrations the database lacks, in order; empty when it is up to date.

    Raises: ConfigurationError when the database is newer than this program.
    """
    plan = read_migrations(directory)
    with _engine(url) as connections, connections() as connection:
        return [one.name for one in _missing(connection, plan)]


def head(directory: Path | None = None) -> str:
    """Name of the newest migration this program brings."""
    return read_migrations(directory)[-1].name


def read_migrations(directory: Path | None = None) -> list[Migration]:
    """All migration files in order.

    Raises: GrowthError for a wrong file name or a number that is missing or used twice.
    """
    plan: list[Migration] = []
    for path in sorted((directory or migrations_dir()).glob("*.sql")):
        match = _FILE_NAME.match(path.name)
        if match is None or int(match[1]) != len(plan) + 1:
            raise GrowthError(
                f"sql/migrations/{path.name} breaks the order",
                remedy="name the files 0001_verb_object.sql, 0002_…, without a gap",
            )
        plan.append(Migration(match[1], path.stem, path.read_text(encoding="utf-8")))
    return plan


# --- one step ------------------------------------------------------------------------------------

_Connections = Callable[[], Any]  # a context manager that gives one connection of SQLAlchemy


@contextmanager
def _engine(url: str) -> Iterator[_Connections]:
    import sqlalchemy

    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(url),  # our own errors and defaults, no address inside SQLAlchemy
        poolclass=sqlalchemy.NullPool,
    )
    try:
        yield engine.connect
    finally:
        engine.dispose()


@contextmanager
def _unwrapped() -> Iterator[None]:
    """SQLAlchemy wraps what its own COMMIT and statements raise; here the cause counts."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise error.orig from error
        raise


def _apply_next(
    connections: _Connections,
    plan: Sequence[Migration],
    lock_timeout: str,
    on_statement: OnStatement | None,
) -> str | None:
    """Apply the oldest missing migration in one transaction; its name, or None if none is."""
    current: list[str] = []
    try:
        for attempt in stamina.retry_context(
            on=(errors.LockNotAvailable, errors.DeadlockDetected),
            attempts=None,
            timeout=_LOCK_WAIT_SECONDS,
            wait_initial=0.05,
            wait_max=1,
            wait_jitter=0.2,
        ):
            with attempt, _unwrapped(), connections() as connection, connection.begin():
                del current[:]
                return _step(connection, plan, lock_timeout, current, on_statement)
    except psycopg.Error as error:
        raise _failure(error, current[0] if current else None) from error
    return None


def _step(
    connection: Connection,
    plan: Sequence[Migration],
    lock_timeout: str,
    current: list[str],
    on_statement: OnStatement | None,
) -> str | None:
    """One file inside the caller's transaction: lock, look what is missing, apply, note it."""
    driver = _driver(connection)
    driver.execute(
        "select set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
        [lock_timeout, STATEMENT_TIMEOUT],
    )
    driver.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
    missing = _missing(connection, plan)
    if not missing:
        return None
    migration = missing[0]
    current.append(migration.name)
    _make_version_tables(driver)
    statements = statements_of(migration.text)

    def execute() -> None:
        for number, (line, statement) in enumerate(statements, start=1):
            current[:] = [f"{migration.name}, line {line}"]
            if on_statement is not None:
                on_statement(migration.name, number)
            driver.execute(statement)

    def note(**_: object) -> None:
        driver.execute(
            "insert into growth.migrations (name, sha256, applied_at) values (%s, %s, now())",
            [migration.name, migration.sha256],
        )
        if on_statement is not None:
            on_statement(migration.name, len(statements) + 1)

    _alembic(connection, plan, migration, execute, note).run_migrations()
    return migration.name


def _alembic(
    connection: Connection,
    plan: Sequence[Migration],
    migration: Migration,
    execute: Callable[[], None],
    note: Callable[..., None],
) -> MigrationContext:
    """Alembic's context for one step, with revisions made in memory from the plan."""
    from alembic.runtime.migration import MigrationContext, MigrationStep
    from alembic.script.base import Script
    from alembic.script.revision import RevisionMap

    def revisions() -> Iterator[Script]:
        before: str | None = None
        for one in plan:
            module = ModuleType(one.name, one.name)
            module.down_revision = before  # type: ignore[attr-defined]
            module.upgrade = execute  # type: ignore[attr-defined]
            yield Script(module, one.revision, one.name)
            before = one.revision

    chain = RevisionMap(revisions)
    script: Any = chain.get_revision(migration.revision)
    step = MigrationStep.upgrade_from_script(chain, script)
    options = {
        "version_table": "schema_version",
        "version_table_schema": SCHEMA,
        "on_version_apply": (note,),
        "fn": lambda heads, context: [step],
    }
    return MigrationContext.configure(connection, opts=options)


def _missing(connection: Connection, plan: Sequence[Migration]) -> list[Migration]:
    """Migrations not applied yet; refuses an old server, a newer database, and an edited file."""
    driver = _driver(connection)
    if driver.info.server_version < _OLDEST_SERVER:
        raise ConfigurationError(
            f"the database is Postgres {driver.info.server_version // 10_000}, 15 is the oldest",
            remedy="upgrade the server, or leave GROWTH_DATABASE_URL empty for the embedded one",
        )
    there = driver.execute("select to_regclass('growth.migrations') is not null").fetchone()
    if there is None or not there[0]:
        return list(plan)
    applied = dict(driver.execute("select name, sha256 from growth.migrations").fetchall())
    if unknown := sorted(applied.keys() - {one.name for one in plan}):
        raise ConfigurationError(
            f"the database has migration {unknown[-1]}, this program ends at {plan[-1].name}",
            remedy="install the newer growth_pipeline; migrations go forward only",
        )
    for one in plan:
        if applied.get(one.name, one.sha256) != one.sha256:
            raise MigrationError(
                f"sql/migrations/{one.name}.sql was changed after it was applied",
                remedy="restore the file and put the change into a new migration",
            )
    return [one for one in plan if one.name not in applied]


def _make_version_tables(driver: psycopg.Connection[Any]) -> None:
    """Our schema and the list of applied files.

    Looked up first: IF NOT EXISTS asks for the right to create even when all is there.
    """
    there = driver.execute("select to_regnamespace('growth') is not null").fetchone()
    if there is None or not there[0]:
        driver.execute("create schema growth")
    there = driver.execute("select to_regclass('growth.migrations') is not null").fetchone()
    if there is None or not there[0]:
        driver.execute(
            "create table growth.migrations"
            " (name text primary key, sha256 text not null, applied_at timestamptz not null)"
        )
        driver.execute(
            "comment on table growth.migrations is"
            " 'Grain: one applied file of sql/migrations, written in its transaction.'"
        )


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    return driver


def _failure(error: psycopg.Error, place: str | None) -> GrowthError:
    """What to tell: which file, which line, that nothing of it stays, and what to do."""
    if isinstance(error, errors.InsufficientPrivilege):
        return rights_error(error)
    where = f"migration {place}" if place else "migrating"
    said = error.diag.message_primary or str(error).strip().splitlines()[0]
    if isinstance(error, errors.LockNotAvailable):
        remedy = "another session holds a lock: find it in pg_stat_activity, then migrate again"
    elif isinstance(error, psycopg.OperationalError):
        remedy = "run `growth migrate` again: what is applied stays, the rest goes on"
    else:
        remedy = "correct the file or the data it met, then run `growth migrate` again"
    return MigrationError(
        f"{where} failed: {said}; nothing of this file stays",
        remedy=remedy,
        retryable=isinstance(error, psycopg.OperationalError),
    )


# --- statements ----------------------------------------------------------------------------------

_LEXEMES = re.compile(
    r"""--[^\n]*|/\*.*?\*/                          # comments
    |(?<!\w)[eE]'(?:\\.|''|[^'\\])*'|'(?:''|[^'])*' # strings
    |"(?:""|[^"])*"                                 # quoted names
    |(?<!\w)(\$(?:[A-Za-z_]\w*)?\$).*?\1            # dollar-quoted bodies
    |;""",
    re.DOTALL | re.VERBOSE,
)


def statements_of(text: str) -> list[tuple[int, str]]:
    """The statements of a file with the line each begins on, in order, comments between left out.

    A body in `begin atomic` is not known here: it would be cut, and the migration would fail whole.
    """
    found: list[tuple[int, str]] = []
    start: int | None = None
    position = 0
    for match in _LEXEMES.finditer(text):
        start = _first_word(text, position, match.start()) if start is None else start
        if match[0] == ";":
            if start is not None:
                found.append((text.count("\n", 0, start) + 1, text[start : match.start()]))
            start = None
        elif start is None and not match[0].startswith(("--", "/*")):
            start = match.start()
        position = match.end()
    start = _first_word(text, position, len(text)) if start is None else start
    if start is not None:
        found.append((text.count("\n", 0, start) + 1, text[start:].rstrip()))
    return found


def _first_word(text: str, start: int, end: int) -> int | None:
    match = re.compile(r"\S").search(text, start, end)
    return match.start() if match else None
