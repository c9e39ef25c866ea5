"""Events of funnels, read from Postgres. Nothing is written there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from growth_pipeline.cohorts.funnel.published.definition import (
    Event,
    PublishedFunnel,
    event_of,
    names_of,
    properties_of,
)
from growth_pipeline.core.ids import Scope
from growth_pipeline.storage.postgres import Connection, Database, clear_errors, copy_batches
from growth_pipeline.storage.sql import load_sql


class FunnelStore:
    """Events by user: of the ingest, of files and adopted tables, and payments of the books.

    `scopes`: accounts whose payments count. Their mode is that of the database, where it has one.
    """

    def __init__(self, database: Database, scopes: Sequence[Scope]) -> None:
        self._database = database
        self._scope = {
            "accounts": [one.account_id for one in scopes],
            "livemode": bool(scopes) and scopes[0].livemode,
        }

    def payments_until(self) -> datetime | None:
        """The instant up to which payments of users are known; None: they are not.

        Raises: RemoteUnavailableError.
        """
        with clear_errors(), self._read() as connection:
            values = {**self._scope, **_bound_mode(connection)}
            is_told, until = _one(connection, "cohorts/paid_until", values)
            return until if is_told else None

    @contextmanager
    def users(
        self, funnels: Sequence[PublishedFunnel], *, tz: str, as_of: datetime
    ) -> Iterator[Iterator[tuple[int, list[Event]]]]:
        """Each user who has events of these funnels before an instant, in order of time.

        Raises: RemoteUnavailableError.
        """
        with clear_errors(), self._read() as connection:
            reads_imports = _one(connection, "events/reads_imports", {"kind": "activity"})[0]
            values = {
                **self._scope,
                **_bound_mode(connection),
                "names": names_of(funnels),
                "properties": properties_of(funnels),
                "with_payments": any(funnel.uses_payments for funnel in funnels),
                "is_adopted": not reads_imports,
                "tz": tz,
                "as_of": as_of,
            }
            batches = copy_batches(connection, load_sql("cohorts/funnel_source"), values)
            rows = (row for batch in batches for row in batch.iter_rows())
            yield (
                (number, [event_of(row[1:]) for row in group])
                for number, group in groupby(rows, key=itemgetter(0))
            )

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._database.connection() as connection:
            connection.execute("set transaction isolation level repeatable read, read only")
            yield connection


def _bound_mode(connection: Connection) -> dict[str, Any]:
    """The mode that the database is for: a process without a key knows none of its own."""
    row = connection.execute(load_sql("billing/read_mode")).fetchone()
    return {} if row is None else {"livemode": row[0]}


def _one(connection: Connection, statement: str, values: dict[str, Any]) -> tuple[Any, ...]:
    row = connection.execute(load_sql(statement), values).fetchone()
    assert row is not None  # noqa: S101  # one row, always
    return tuple(row)
