"""Stores received events with few commits: those that arrive together share one.

The commit is nearly all a webhook costs; whoever waits is answered when it is on disk.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from growth_pipeline.billing.inbox import ReceivedEvent
from growth_pipeline.core.errors import ConfigurationError, GrowthError, RemoteUnavailableError

_log: Final = structlog.get_logger(__name__)

_LANES: Final = (
    3  # while one batch is flushed to disk, others are inserted; more cost processor time
)
_BATCH: Final = 256
_BATCH_BYTES: Final = 8 * 1024 * 1024
_STOP_SECONDS: Final = 10.0
_WAITING_LIMIT: Final = 2_000
_BYTES_LIMIT: Final = 64 * 1024 * 1024  # of bodies that wait or are being stored


class EventStore(Protocol):
    """Where events are stored; `AsyncInbox` is one."""

    async def insert_events(self, events: Sequence[ReceivedEvent]) -> None:
        """Store events durably, each once."""
        ...


class _Waiting(NamedTuple):
    event: ReceivedEvent
    done: asyncio.Future[None]


class InboxWriter:
    """Stores whatever waits in one transaction, again and again. Belongs to one event loop.

    No thread of its own: one would fight the loop for the interpreter at every commit.
    """

    def __init__(self, store: EventStore, *, on_stored: Callable[[], None]) -> None:
        self._store = store
        self._on_stored = on_stored
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._stopping = False
        self._lanes: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to store, in the running event loop."""
        self._lanes = [
            asyncio.create_task(self._run(), name=f"inbox-writer-{number}")
            for number in range(_LANES)
        ]

    async def stop(self) -> None:
        """Store what waits, then end."""
        self._stopping = True
        self._changed.set()
        if self._lanes:
            await asyncio.wait(self._lanes, timeout=_STOP_SECONDS)

    async def insert(self, event: ReceivedEvent) -> None:
        """Return when the event is on disk, stored now or known before.

        Raises: GrowthError when it could not be stored, or too many wait already.
        """
        full = len(self._waiting) >= _WAITING_LIMIT or self._bytes >= _BYTES_LIMIT
        if full or self._stopping:
            raise RemoteUnavailableError("the inbox takes no more events at this moment")
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(event, done))
        self._bytes += len(event.body)
        self._changed.set()
        await done

    async def _run(self) -> None:
        while self._waiting or not self._stopping:
            if self._waiting:
                batch = self._take()
                await self._store_batch(batch)
                self._bytes -= sum(len(waiting.event.body) for waiting in batch)
            else:
                self._changed.clear()
                await self._changed.wait()

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < _BATCH and size < _BATCH_BYTES:
            batch.append(self._waiting.popleft())
            size += len(batch[-1].event.body)
        return batch

    async def _store_batch(self, batch: Sequence[_Waiting]) -> None:
        try:
            await self._store.insert_events([waiting.event for waiting in batch])
        except (RemoteUnavailableError, ConfigurationError) as error:
            _log.error("inbox_unavailable", reason=error.message, events=len(batch))
            _answer(batch, error)
        except Exception as error:  # noqa: BLE001 - one event must not sink the others, nor this task
            if len(batch) > 1:
                for waiting in batch:
                    await self._store_batch([waiting])
                return
            name = type(error).__name__  # its text may quote a customer's row
            _log.error("inbox_refused_event", event_id=batch[0].event.event_id, error=name)
            _answer(batch, GrowthError(f"the event was not stored: {name}"))
        else:
            _answer(batch, None)
            self._on_stored()


def _answer(batch: Sequence[_Waiting], error: Exception | None) -> None:
    """Tell everybody who waits. Some may have gone away meanwhile."""
    for waiting in batch:
        if waiting.done.done():
            continue
        if error is None:
            waiting.done.set_result(None)
        else:
            waiting.done.set_exception(error)
