"""How often Kit is called, whoever calls: every request takes a place in lifecycle.kit_calls first.

Time is the database's, so that a process whose clock is wrong loosens nothing. Source: Kit API v4,
"Rate limiting": 120 requests in any 60 seconds for one key, then 429 as plain text.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from growth_pipeline.core.limits import wait_for_place
from growth_pipeline.lifecycle.kit.errors import KitRefusedError
from growth_pipeline.storage.postgres import Connection, Database, clear_errors, lock_partition
from growth_pipeline.storage.sql import load_sql

TOO_MANY: Final = "too_many"
_LOOK_AGAIN: Final = 0.05
# A caller that has not come back after this is dead, and its request was seen before.
_CALL_LEASE: Final = timedelta(seconds=60)


@dataclass(frozen=True)
class KitLimits:
    """Requests in any so many seconds; ten fewer than Kit takes, for whoever else has the key."""

    requests: int = 110
    seconds: float = 60.0
    patience: float = 90.0


class KitGate:
    """Places within the limit. Safe to share between threads and processes.

    `pause` waits; tests may count with it.
    """

    def __init__(
        self,
        database: Database,
        limits: KitLimits | None = None,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._database = database
        self._limits = limits or KitLimits()
        self._pause = pause

    def enter(self) -> int:
        """The number of a request that may be made now; waits for it.

        Raises: KitRefusedError when there is no place within the patience; nothing was sent.
        """
        left = self._limits.patience
        while True:
            found = self._take()
            if isinstance(found, int):
                return found
            wait = max(found.total_seconds(), _LOOK_AGAIN)
            left -= wait
            if left < 0:
                raise KitRefusedError("Kit's limit leaves no place now", too_many=True)
            self._pause(wait)

    def leave(self, call_id: int) -> None:
        """The request is over: Kit saw it at the latest now."""
        with clear_errors(), self._database.connection() as connection:
            connection.execute(load_sql("lifecycle/kit_end_call"), {"call_id": call_id})

    def give_back(self, call_id: int) -> None:
        """No request was made in this place."""
        with clear_errors(), self._database.connection() as connection:
            connection.execute(load_sql("lifecycle/kit_give_back"), {"call_id": call_id})

    def block(self, reason: str) -> None:
        """Kit said that it was one too many: nobody asks it for a whole window."""
        values = {"what": TOO_MANY, "seconds": self._limits.seconds, "reason": reason}
        with clear_errors(), self._database.connection() as connection:
            connection.execute(load_sql("lifecycle/kit_block"), values)

    def _take(self) -> int | timedelta:
        limits = self._limits
        with clear_errors(), self._database.connection() as connection:
            lock_partition(connection, "lifecycle", "kit")
            now, until, moments = self._window(connection)
            if until is not None and until > now:
                return until - now
            rates = ((limits.requests, limits.seconds),)
            wait = wait_for_place(moments, rates, 1, now)
            if wait is not None:
                return wait
            connection.execute(load_sql("lifecycle/kit_forget_calls"), {"seconds": limits.seconds})
            for (call_id,) in connection.execute(load_sql("lifecycle/kit_begin_call")):
                return int(call_id)
        raise KitRefusedError("the database gave no place")

    def _window(
        self, connection: Connection
    ) -> tuple[datetime, datetime | None, Sequence[datetime]]:
        """The database's time, until when Kit is left alone, and when requests were seen."""
        values = {
            "what": TOO_MANY,
            "seconds": self._limits.seconds,
            "lease": _CALL_LEASE.total_seconds(),
        }
        rows = connection.execute(load_sql("lifecycle/kit_window"), values).fetchall()
        now, until, moments = rows[0]
        return now, until, moments
