"""Stores what requests brought: those that arrive together share a commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

from growth_pipeline.core.errors import ConfigurationError, GrowthError, RemoteUnavailableError
from growth_pipeline.events.ingest.counts import KeyCounts, Outcome
from growth_pipeline.events.ingest.ingest import (
    REFUSED,
    DeadLetter,
    Origin,
    Rejected,
    Row,
    Taken,
    set_aside,
)
from growth_pipeline.web.group_writer import Bounds, GroupWriter

_MIB: Final = 1024 * 1024
_BOUNDS: Final = Bounds(batch=64, batch_bytes=_MIB, waiting=2_000, waiting_bytes=8 * _MIB)
_AWAY: Final = (RemoteUnavailableError, ConfigurationError)


class EventStore(Protocol):
    """Where events are stored; `AsyncIngest` is one."""

    async def insert(self, rows: Sequence[Row], dead: Sequence[DeadLetter]) -> dict[int, int]:
        """Store durably, each once; how many were new, by write key."""
        ...


class EventWriter(GroupWriter[Taken, dict[int, int]]):
    """The writer of events; counts what was new, known and rejected. Belongs to one event loop."""

    def __init__(self, store: EventStore, counts: KeyCounts) -> None:
        super().__init__(
            lambda batch: store.insert(
                [row for taken in batch for row in taken.rows],
                [letter for taken in batch for letter in taken.dead],
            ),
            name="ingest",
            bounds=_BOUNDS,
            size_of=lambda taken: taken.size,
            label_of=lambda taken: f"{len(taken.rows)} events",
            on_stored=self._count,
        )
        self._counts = counts

    async def store(self, taken: Taken, origin: Origin) -> Taken:
        """Return when all of it is on disk; what the database refuses is set aside.

        Raises: FullError when too much waits; RemoteUnavailableError, ConfigurationError when
        nothing, or not all of it, was stored: the same request may be sent again.
        """
        try:
            await self.insert(taken)
        except _AWAY:
            raise
        except GrowthError:
            return await self._store_in_parts(taken, origin)
        return taken

    async def _store_in_parts(self, taken: Taken, origin: Origin) -> Taken:
        """One call that no rule knows must not sink its neighbours: found by halving."""
        stored = Taken(dead=list(taken.dead), rejected=list(taken.rejected))
        parts = [list(zip(taken.places, taken.rows, strict=True))]
        while parts:
            part = parts.pop()
            try:
                await self.insert(Taken(rows=[row for _, row in part]))
            except _AWAY:
                raise
            except GrowthError:
                half = len(part) // 2
                if half:
                    parts += [part[half:], part[:half]]
                    continue
                ((place, row),) = part
                stored.rejected.append(Rejected(place, REFUSED))
                stored.dead.append(set_aside(row, origin))
        stored.rejected.sort()
        await self.insert(Taken(dead=stored.dead))
        return stored

    def _count(self, batch: Sequence[Taken], new: dict[int, int]) -> None:
        rows = [row for taken in batch for row in taken.rows]
        letters = [letter for taken in batch for letter in taken.dead]
        times = [row.received_at for row in rows] + [letter.received_at for letter in letters]
        if not times:
            return
        day = max(times).date()
        for key_id, count in Counter(row.key_id for row in rows).items():
            stored = new.get(key_id, 0)
            self._counts.add(day, key_id, Outcome.STORED, stored)
            self._counts.add(day, key_id, Outcome.REPEATED, count - stored)
        for key_id, count in Counter(letter.key_id for letter in letters).items():
            self._counts.add(day, key_id, Outcome.REJECTED, count)
