"""Statements of the ingest as an event loop runs them: keys, events, dead letters, counts.

No rule lives here; what is accepted is decided in `ingest/`. Commands: `ingest/ingest_store.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import stamina

from growth_pipeline.events.ingest.counts import Counted
from growth_pipeline.events.ingest.ingest import DeadLetter, Row
from growth_pipeline.events.ingest.keys import KeyRing, WriteKey
from growth_pipeline.storage.postgres import AsyncDatabase, OutcomeUnknownError, clear_errors
from growth_pipeline.storage.sql import load_sql

_ROW_COLUMNS: Final = (
    *("source_ids", "message_ids", "key_ids", "types", "events", "user_ids", "anonymous_ids"),
    *("occurred_ats", "received_ats", "sent_ats", "flags", "properties", "bodies"),
)
_DEAD_COLUMNS: Final = (
    *("dead_source_ids", "dead_body_hashes", "dead_key_ids", "dead_reasons", "dead_is_typeds"),
    *("dead_received_ats", "dead_sent_ats", "dead_bodies"),
)
_AGAIN: Final = stamina.AsyncRetryingCaller(attempts=2, wait_initial=0.05).on(OutcomeUnknownError)


class AsyncIngest:
    """What receiving needs of the database; each call is one statement and one round trip."""

    def __init__(self, database: AsyncDatabase) -> None:
        self._database = database

    async def insert(self, rows: Sequence[Row], dead: Sequence[DeadLetter]) -> dict[int, int]:
        """Store events and rejected calls in one transaction; then they are on disk.

        Shapes: of each write key how many events were new. Idempotent by key, so that a commit
        whose outcome is unknown is repeated at once.
        Raises: RemoteUnavailableError when the database is away, not migrated or cannot store now,
        RowsRefusedError when it refuses a value whatever the time.
        """
        values = as_parameters(rows, dead)
        statement = load_sql("events/insert_events")
        with clear_errors():
            try:
                found = await self._database.execute(statement, values)
            except OutcomeUnknownError:
                found = await _AGAIN(self._database.execute, statement, values)
        return {row[0]: row[1] for row in found}

    async def keys(self) -> KeyRing:
        """The write keys that are active now. Raises: RemoteUnavailableError."""
        with clear_errors():
            rows = await self._database.execute(load_sql("events/active_write_keys"), {})
        return KeyRing(
            {bytes(row[1]): WriteKey(row[0], row[2], row[3], tuple(row[4])) for row in rows}
        )

    async def add_counts(self, counts: Counter[Counted]) -> None:
        """Add to what was counted before. Raises: RemoteUnavailableError."""
        keys = list(counts)
        values = {
            "days": [key.day for key in keys],
            "key_ids": [key.key_id for key in keys],
            "outcomes": [key.outcome for key in keys],
            "counts": [counts[key] for key in keys],
        }
        with clear_errors():
            await self._database.execute(load_sql("events/add_key_counts"), values)


def as_parameters(rows: Sequence[Row], dead: Sequence[DeadLetter]) -> Mapping[str, Any]:
    """Parameters of `sql/events/insert_events.sql`."""
    return _arrays(_ROW_COLUMNS, rows) | _arrays(_DEAD_COLUMNS, dead)


def _arrays(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return {name: list(values) for name, values in zip(names, columns, strict=True)}
