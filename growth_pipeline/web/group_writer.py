"""Stores what requests bring with few commits: those that arrive together share one.

The commit is nearly all that receiving costs; whoever waits is answered when it is on disk.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

import structlog

from growth_pipeline.core.errors import ConfigurationError, GrowthError, RemoteUnavailableError

_log: Final = structlog.get_logger(__name__)

_STOP_SECONDS: Final = 10.0

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")


class FullError(RemoteUnavailableError):
    """So much waits already that this must come later. Nothing of it was stored."""


@dataclass(frozen=True)
class Bounds:
    """How much is stored at once, and how much may wait. Units: items, bytes.

    `lanes`: while one batch is flushed to disk, others are inserted; more than three only cost
    processor time. `waiting_bytes` counts what is being stored, too.
    """

    batch: int
    batch_bytes: int
    waiting: int
    waiting_bytes: int
    lanes: int = 3


class _Waiting(NamedTuple, Generic[ItemT]):
    item: ItemT
    size: int
    done: asyncio.Future[None]


class GroupWriter(Generic[ItemT, AnswerT]):
    """Stores whatever waits in one transaction, again and again. Belongs to one event loop.

    No thread of its own: one would fight the loop for the interpreter at every commit. `store`
    stores all items of a batch or none; `size_of` gives bytes; `label_of` what the log may say of
    an item.
    """

    def __init__(
        self,
        store: Callable[[Sequence[ItemT]], Awaitable[AnswerT]],
        *,
        name: str,
        bounds: Bounds,
        size_of: Callable[[ItemT], int],
        label_of: Callable[[ItemT], str],
        on_stored: Callable[[Sequence[ItemT], AnswerT], None],
    ) -> None:
        self._store = store
        self._name = name
        self._bounds = bounds
        self._size_of = size_of
        self._label_of = label_of
        self._on_stored = on_stored
        self._waiting: deque[_Waiting[ItemT]] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._stopping = False
        self._lanes: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to store, in the running event loop."""
        self._lanes = [
            asyncio.create_task(self._run(), name=f"{self._name}-writer-{number}")
            for number in range(self._bounds.lanes)
        ]

    async def stop(self) -> None:
        """Store what waits, then end."""
        self._stopping = True
        self._changed.set()
        if self._lanes:
            await asyncio.wait(self._lanes, timeout=_STOP_SECONDS)

    @property
    def is_full(self) -> bool:
        """Whether it takes nothing at this moment."""
        bounds = self._bounds
        return len(self._waiting) >= bounds.waiting or self._bytes >= bounds.waiting_bytes

    async def insert(self, item: ItemT) -> None:
        """Return when the item is on disk, stored now or known before.

        Raises: FullError when too much waits; GrowthError when it could not be stored.
        """
        if self._stopping:
            raise RemoteUnavailableError(f"the {self._name} is being closed")
        if self.is_full:
            raise FullError(f"the {self._name} takes no more at this moment")
        done = asyncio.get_running_loop().create_future()
        waiting = _Waiting(item, self._size_of(item), done)
        self._waiting.append(waiting)
        self._bytes += waiting.size
        self._changed.set()
        await done

    async def _run(self) -> None:
        while self._waiting or not self._stopping:
            if self._waiting:
                batch = self._take()
                try:
                    await self._store_batch(batch)
                except Exception:  # noqa: BLE001 - a log that cannot be written must not end this task
                    _answer(batch, RemoteUnavailableError(f"the {self._name} had a mishap"))
                finally:
                    self._bytes -= sum(waiting.size for waiting in batch)
            else:
                self._changed.clear()
                await self._changed.wait()

    def _take(self) -> list[_Waiting[ItemT]]:
        batch: list[_Waiting[ItemT]] = []
        size = 0
        bounds = self._bounds
        while self._waiting and len(batch) < bounds.batch and size < bounds.batch_bytes:
            batch.append(self._waiting.popleft())
            size += batch[-1].size
        return batch

    async def _store_batch(self, batch: Sequence[_Waiting[ItemT]]) -> None:
        items = [waiting.item for waiting in batch]
        try:
            answer = await self._store(items)
        except (RemoteUnavailableError, ConfigurationError) as error:
            _answer(batch, error)
            _log.error(f"{self._name}_unavailable", reason=error.message, items=len(batch))
        except Exception as error:  # noqa: BLE001 - one item must not sink the others, nor this task
            if len(batch) > 1:
                for waiting in batch:
                    await self._store_batch([waiting])
                return
            name = type(error).__name__  # its text may quote a customer's row
            refused = (
                error if isinstance(error, GrowthError) else GrowthError(f"not stored: {name}")
            )
            _answer(batch, refused)
            _log.error(f"{self._name}_refused", item=self._label_of(items[0]), error=name)
        else:
            _answer(batch, None)
            self._on_stored(items, answer)


def _answer(batch: Sequence[_Waiting[ItemT]], error: Exception | None) -> None:
    """Tell everybody who waits. Some may have gone away meanwhile."""
    for waiting in batch:
        if waiting.done.done():
            continue
        if error is None:
            waiting.done.set_result(None)
        else:
            waiting.done.set_exception(error)
