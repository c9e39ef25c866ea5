"""Databases in memory for an engine's queries: one query at a time, kept for the next one.

To open one costs more than most queries. One whose query failed, spilled or read an object store is
not kept, so each query begins as in a new one.
"""

from __future__ import annotations

import shutil
import uuid
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

_KEPT = 4
# What a query creates lies in a catalog of its own, which goes with it.
_BEGIN = "attach ':memory:' as work; use work; set preserve_insertion_order = true"
_END = "detach work"


class _Database(NamedTuple):
    """A database, and the folder it makes when a query does not fit in memory."""

    root: Any
    spill: Path

    def close(self) -> None:
        self.root.close()
        shutil.rmtree(self.spill, ignore_errors=True)

    @property
    def as_new(self) -> bool:
        return not self.spill.exists() and not self.root.list_filesystems()


class QueryDatabases:
    """The databases of one engine. Threads may share it; each query has one to itself."""

    def __init__(self, connect: Callable[[Path], Any], temp_dir: Path) -> None:
        """`connect` opens a new database that spills into the given folder, not made yet."""
        self._connect = connect
        self._temp_dir = temp_dir
        self._idle: list[_Database] = []
        weakref.finalize(self, _close_all, self._idle)

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """A connection to a database in which nothing was created yet, for one query."""
        try:
            database = self._idle.pop()
        except IndexError:
            database = self._open()
        kept = False
        try:
            with database.root.cursor() as connection:
                connection.execute(_BEGIN)
                yield connection
            database.root.execute(_END)
            kept = database.as_new and len(self._idle) < _KEPT
        finally:
            if kept:
                self._idle.append(database)
            else:
                database.close()

    def _open(self) -> _Database:
        """A database with a spill folder of its own: databases must not share one."""
        self._temp_dir.mkdir(parents=True, exist_ok=True)
        spill = self._temp_dir / f"query-{uuid.uuid4().hex}"
        root = self._connect(spill)
        root.execute("set global TimeZone = 'UTC'")
        return _Database(root, spill)


def _close_all(idle: list[_Database]) -> None:
    while idle:
        idle.pop().close()
