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
_LOCK = int.from_bytes(hashlib.sha256(b"growth_pipeline migrations").digest()[:8], "big", signed=True)
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
        while (name := _apply_next(connections, plan, on_statement)) is not None:
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


def _apply_next(
    connections: _Connections, plan: Sequence[Migration], on_statement: OnStatement | None
) -> str | None:
    """Apply the oldest missing migration in one transaction; its name, or None when all are there."""
    import stamina

    current: list[str] = []
    try:
        for attempt in stamina.retry_context(
            on=(errors.LockNotAvailable, errors.DeadlockDetected),
            attempts=None,
            timeout=_LOCK_WAIT_SECONDS,
            wait_initial=0.05,
            wait_max=2,
        ):
            with attempt, connections() as connection, connection.begin():
                del current[:]
                return _step(connection, plan, current, on_statement)
    except psycopg.Error as error:
        raise _failure(error, current[0] if current else None) from error
    return None
