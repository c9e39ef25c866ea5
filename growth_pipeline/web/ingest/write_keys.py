"""The write keys that are active, kept at hand: receiving asks no database for a known key."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Protocol

import structlog

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.events.ingest.keys import KeyRing, WriteKey

_log: Final = structlog.get_logger(__name__)

_EVERY_SECONDS: Final = 4.0
_PACE_SECONDS: Final = 0.2


class KeyStore(Protocol):
    """Where write keys are; `AsyncIngest` is one."""

    async def keys(self) -> KeyRing:
        """All active ones."""
        ...


class WriteKeys:
    """Finds write keys. Belongs to one event loop.

    A revoked key is refused within seconds, because all are read again every few seconds; a new one
    is known at once, because an unknown key is looked up before it is refused. However many ask for
    unknown keys, the database is asked five times a second.
    """

    def __init__(self, store: KeyStore, *, seconds: float = _EVERY_SECONDS) -> None:
        self._store = store
        self._seconds = seconds
        self._ring = KeyRing()
        self._tried_at = self._asked_at = float("-inf")
        self._asking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read them again and again, in the running event loop."""
        self._task = asyncio.create_task(self._run(), name="write-keys")

    def known(self, key: str) -> WriteKey | None:
        """The key if it is at hand; None says nothing yet."""
        return self._ring.find(key)

    async def find(self, key: str) -> WriteKey | None:
        """The key; None if there is none. Raises: GrowthError when nobody can know."""
        found = self.known(key)
        if found is None:
            await self._renew(self._now())
            found = self._ring.find(key)
        return found

    async def allows(self, origin: str) -> bool:
        """Whether pages of an origin may use any key. Raises: GrowthError when nobody can know."""
        if not self._ring.allows(origin):
            await self._renew(self._now())
        return self._ring.allows(origin)

    def is_known_origin(self, origin: str) -> bool:
        """The same from what is at hand."""
        return self._ring.allows(origin)

    async def stop(self) -> None:
        """End what runs in the background."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _renew(self, since: float) -> None:
        """Return when the database was asked at or after an instant."""
        async with self._asking:
            if self._asked_at >= since:
                return
            await asyncio.sleep(self._tried_at + _PACE_SECONDS - self._now())
            self._tried_at = tried_at = self._now()
            self._ring = await self._store.keys()
            self._asked_at = tried_at

    async def _run(self) -> None:
        while True:
            try:
                await self._renew(self._now())
            except Exception as error:  # noqa: BLE001 - else revoked keys would be good for ever
                reason = error.message if isinstance(error, GrowthError) else type(error).__name__
                with suppress(Exception):  # nor must a log that cannot be written end this task
                    _log.warning("write_keys_not_renewed", reason=reason)
            await asyncio.sleep(self._seconds)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
