"""Writes what was counted every few seconds: a write for each request would cost as much as it."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Final, Protocol

import structlog

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.events.ingest.counts import Counted, KeyCounts

_log: Final = structlog.get_logger(__name__)

_EVERY_SECONDS: Final = 5.0


class CountStore(Protocol):
    """Where counts are kept; `AsyncIngest` is one."""

    async def add_counts(self, counts: Counter[Counted]) -> None:
        """Add to what was counted before."""
        ...


class CountWriter:
    """Belongs to one event loop. What cannot be written waits; a killed process loses it."""

    def __init__(
        self, counts: KeyCounts, store: CountStore, *, seconds: float = _EVERY_SECONDS
    ) -> None:
        self._counts = counts
        self._store = store
        self._seconds = seconds
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._task = asyncio.create_task(self._run(), name="count-writer")

    async def stop(self) -> None:
        """Write what waits, then end."""
        self._stopping.set()
        if self._task is not None:
            await self._task
        await self.write()

    async def write(self) -> None:
        """Write what waits now."""
        taken = self._counts.take()
        if not taken:
            return
        try:
            await self._store.add_counts(taken)
        except Exception as error:  # noqa: BLE001 - counting must never stop
            self._counts.put_back(taken)
            reason = error.message if isinstance(error, GrowthError) else type(error).__name__
            with suppress(Exception):  # nor must a log that cannot be written end this task
                _log.warning("counts_not_written", reason=reason)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._stopping.wait()
            await self.write()
