"""Statements of the ingest as commands run them: write keys, counts, dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from growth_pipeline.core.errors import UsageError
from growth_pipeline.events.ingest.ingest import REFUSED
from growth_pipeline.events.ingest.keys import hash_key, make_key, shown_part
from growth_pipeline.events.ingest.replay import Letter, Page, Replayed, Wanted, read_again
from growth_pipeline.events.ingest.segment import Refusal
from growth_pipeline.events.store import as_parameters
from growth_pipeline.storage.postgres import (
    Connection,
    Database,
    RowsRefusedError,
    clear_errors,
)
from growth_pipeline.storage.rows import rows_of
from growth_pipeline.storage.sql import load_sql


class NewKey(NamedTuple):
    """A write key that was made just now; its text is nowhere else."""

    key_id: int
    key: str


class KnownKey(NamedTuple):
    """One write key, with what was counted of it, by outcome."""

    key_id: int
    source: str
    shown: str
    origins: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None
    counts: Mapping[str, int]


class ListedLetter(NamedTuple):
    """One rejected call, without what it says."""

    dead_letter_id: int
    source: str
    reason: str
    is_typed: bool
    received_at: datetime
    replayed_at: datetime | None
    size: int


class ShownLetter(NamedTuple):
    """One rejected call, whole."""

    dead_letter_id: int
    source: str
    reason: str
    is_typed: bool
    received_at: datetime
    replayed_at: datetime | None
    sent_at: str | None
    body: bytes


class IngestStore:
    """Write keys and dead letters in Postgres. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_key(self, source: str, origins: Sequence[str], *, now: datetime) -> NewKey:
        """Make a write key of a source; the source, too, if there is none of that name."""
        key = make_key()
        with clear_errors(), self._database.connection() as connection:
            (found,) = rows_of(connection, "events/insert_source", {"name": source})
            values = {
                "source_id": found["source_id"],
                "key_hash": hash_key(key),
                "shown": shown_part(key),
                "origins": list(origins),
                "now": now,
            }
            (made,) = rows_of(connection, "events/insert_write_key", values)
        return NewKey(made["key_id"], key)

    def keys(self, since: date) -> list[KnownKey]:
        """All write keys, with what was counted since a day (UTC)."""
        return [
            KnownKey(**row | {"origins": tuple(row["origins"])})
            for row in self._rows("events/list_write_keys", {"since": since})
        ]

    def counts_without_key(self, since: date) -> dict[str, int]:
        """What was counted of requests without an active write key, since a day (UTC)."""
        rows = self._rows("events/counts_without_key", {"since": since})
        return {row["outcome"]: row["count"] for row in rows}

    def revoke_key(self, key_id: int, *, now: datetime) -> datetime:
        """End a write key; when that was. Raises: UsageError when there is none of that id."""
        found = self._rows("events/revoke_write_key", {"key_id": key_id, "now": now})
        if not found:
            raise UsageError(
                f"there is no write key {key_id}", remedy="growth events keys list shows them"
            )
        revoked_at: datetime = found[0]["revoked_at"]
        return revoked_at

    def letters(self, *, limit: int, replayed: bool, reason: str | None) -> list[ListedLetter]:
        """Rejected calls, the newest first; `reason`: only those with this code."""
        wanted = {"limit": limit, "replayed": replayed, "reason": reason}
        return [
            ListedLetter(*row.values()) for row in self._rows("events/list_dead_letters", wanted)
        ]

    def count_letters(self) -> dict[str, int]:
        """How many rejected calls wait, by the code of their reason."""
        return {row["code"]: row["letters"] for row in self._rows("events/count_dead_letters", {})}

    def letter(self, dead_letter_id: int) -> ShownLetter:
        """One rejected call. Raises: UsageError when there is none of that id."""
        found = self._rows("events/show_dead_letter", {"dead_letter_id": dead_letter_id})
        if not found:
            raise UsageError(
                f"there is no dead letter {dead_letter_id}",
                remedy="growth events dead-letters list shows them",
            )
        return ShownLetter(*found[0].values())

    def replay_page(self, wanted: Wanted, *, after: int, limit: int, now: datetime) -> Page:
        """Read up to `limit` waiting calls again, those after an id.

        One transaction: what is taken is stored and marked, or neither. It is received `now`:
        whoever reads what came since an instant would not find it on the day of its receipt.
        """
        page = {
            "after": after,
            "limit": limit,
            "dead_letter_id": wanted.dead_letter_id,
            "reason": wanted.reason,
        }
        done = Replayed()
        last = None
        with clear_errors(), self._database.connection() as connection:
            for row in rows_of(connection, "events/claim_dead_letters", page):
                letter = Letter(*row.values())
                last = letter.dead_letter_id
                problem = _store_again(connection, letter, now)
                if problem is None:
                    done.taken.append(last)
                else:
                    done.refused[last] = problem
            _mark(connection, done, now)
        return Page(last, done)

    def _rows(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        with clear_errors(), self._database.connection() as connection:
            return rows_of(connection, statement, parameters)


def _store_again(connection: Connection, letter: Letter, now: datetime) -> str | None:
    """Store one call as an event; why not, else."""
    answer = read_again(letter)
    if isinstance(answer, Refusal):
        return str(answer)
    row = answer._replace(received_at=now)
    try:
        with clear_errors(), connection.transaction():
            connection.execute(load_sql("events/insert_events"), as_parameters([row], ()))
    except RowsRefusedError:
        return REFUSED
    return None


def _mark(connection: Connection, done: Replayed, now: datetime) -> None:
    connection.execute(load_sql("events/finish_dead_letters"), {"ids": done.taken, "now": now})
    again = {"ids": list(done.refused), "reasons": list(done.refused.values())}
    connection.execute(load_sql("events/explain_dead_letters"), again)
