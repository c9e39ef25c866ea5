"""What users paid, read from the books in Postgres. Nothing is written there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from growth_pipeline.core.ids import Scope
from growth_pipeline.storage.postgres import Connection, Database, clear_errors, copy_batches
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class PaidDay:
    """Grain: one local day on which somebody known paid. `word` differs when a row of it does."""

    day: int
    month: str
    word: str
    currencies: frozenset[str]


@dataclass(frozen=True)
class Books:
    """What the books hold, in one snapshot.

    `until`: every payment before it is there; None: unknown, or nobody tells which customer is
    whose. `strangers`: payments of customers whom no user who counts belongs to.
    """

    until: datetime | None
    strangers: int
    days: list[PaidDay]
    _connection: Connection

    def rows(self, days: Collection[int]) -> Iterator[pl.DataFrame]:
        """Payments of these days in batches: user_number, day, currency, minor, gross_minor."""
        return copy_batches(self._connection, load_sql("cohorts/paid_rows"), {"days": sorted(days)})


class MoneyStore:
    """The books, by user. Safe to share between threads.

    `scopes`: accounts whose payments count; none: no payment is known. Their mode is that of the
    database, where it has one.
    """

    def __init__(self, database: Database, scopes: Sequence[Scope]) -> None:
        self._database = database
        self._scope = {
            "accounts": [one.account_id for one in scopes],
            "livemode": bool(scopes) and scopes[0].livemode,
        }

    @contextmanager
    def books(self, *, tz: str, as_of: datetime) -> Iterator[Books]:
        """Payments before an instant by local days of a zone.

        Raises: RemoteUnavailableError.
        """
        with clear_errors(), self._database.connection() as connection:
            connection.execute("set transaction isolation level repeatable read")
            scope = {**self._scope, **_bound_mode(connection)}
            is_told, until = _one(connection, "paid_until", scope)
            values = {**scope, "tz": tz, "as_of": as_of}
            connection.execute(load_sql("cohorts/paid_facts"), values)
            connection.execute("analyze growth_paid")
            days = [
                PaidDay(day, month, word, frozenset(currencies.split()))
                for day, month, word, currencies in connection.execute(
                    load_sql("cohorts/paid_days")
                ).fetchall()
            ]
            (strangers,) = _one(connection, "paid_strangers", {})
            known = min(until, as_of) if is_told and until is not None else None
            yield Books(known, strangers, days, connection)


def _bound_mode(connection: Connection) -> dict[str, Any]:
    """The mode that the database is for: a process without a key knows none of its own."""
    row = connection.execute(load_sql("billing/read_mode")).fetchone()
    return {} if row is None else {"livemode": row[0]}


def _one(connection: Connection, statement: str, values: dict[str, Any]) -> tuple[Any, ...]:
    row = connection.execute(load_sql(f"cohorts/{statement}"), values or None).fetchone()
    assert row is not None  # noqa: S101  # one row, always
    return tuple(row)
