"""How many events a write key may tell in a while; who tells more is asked to come later."""

from __future__ import annotations

import math
import time
from typing import Final

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

_WINDOW_SECONDS: Final = 10


class KeyRates:
    """Counts events by write key in this process. A batch is never cut: the last may go beyond."""

    def __init__(self, events_per_second: int) -> None:
        """Set the most events a second, over ten seconds; 0: no bound."""
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._item = (
            RateLimitItemPerSecond(events_per_second * _WINDOW_SECONDS, _WINDOW_SECONDS)
            if events_per_second
            else None
        )

    async def wait_seconds(self, key_id: int) -> int | None:
        """Whole seconds until the key may tell more; None: now."""
        if self._item is None or await self._limiter.test(self._item, str(key_id)):
            return None
        stats = await self._limiter.get_window_stats(self._item, str(key_id))
        return max(1, math.ceil(stats.reset_time - time.time()))

    async def note(self, key_id: int, events: int) -> None:
        """Count events that were taken."""
        if self._item is not None and events:
            await self._limiter.hit(self._item, str(key_id), cost=events)
