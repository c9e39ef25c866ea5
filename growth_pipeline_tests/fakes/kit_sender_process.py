"""A sender in a process of its own, that can be told to die at its n-th step, or to live in the past.

Run: python -m growth_pipeline_tests.fakes.kit_sender_process '{"url": …, "base": …}'
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine

from growth_pipeline.lifecycle.kit.client import KitClient
from growth_pipeline.lifecycle.kit.gate import KitGate, KitLimits
from growth_pipeline.lifecycle.outbox.addresses import AddressBook
from growth_pipeline.lifecycle.outbox.send import SendLimits, send_due
from growth_pipeline.lifecycle.outbox.store import OutboxStore
from growth_pipeline.storage.postgres import Database
from growth_pipeline_tests.fakes.kit_outbox import KEY


class Steps:
    """Counts what is done; at the fatal step the process kills itself."""

    def __init__(self, fatal: int) -> None:
        self._left = fatal

    def step(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Mortal:
    """Whatever it stands for, with a step before and after each call."""

    def __init__(self, inner: Any, steps: Steps) -> None:
        self._inner, self._steps = inner, steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*given: Any, **named: Any) -> Any:
            self._steps.step()
            answer = found(*given, **named)
            self._steps.step()
            return answer

        return call


def main(told: dict[str, Any]) -> None:
    limits = SendLimits(
        settle_after=timedelta(seconds=told["settle"]),
        lease=timedelta(seconds=told["lease"]),
        within=told.get("within", 0.8),
    )
    rates = KitLimits(requests=told["requests"], seconds=told["seconds"])
    steps = Steps(told.get("fatal", 0))
    with ExitStack() as stack:
        if told.get("hours_back"):
            past = datetime.now(UTC) - timedelta(hours=told["hours_back"])
            stack.enter_context(time_machine.travel(past, tick=True))
        database = stack.enter_context(Database(told["url"], max_size=4))
        client = KitClient(KEY, KitGate(database, rates), base=told["base"], allow_loopback=True)
        kit, store = Mortal(client, steps), Mortal(OutboxStore(database), steps)
        ends = time.monotonic() + told["run_for"]
        while time.monotonic() < ends:
            send_due(store, kit, Mortal(AddressBook(database), steps), limits=limits)
            if not _is_open(database):
                return
            time.sleep(0.05)


def _is_open(database: Database) -> bool:
    """Whether anything may still become of a message."""
    with database.connection() as connection:
        row = connection.execute(
            "select exists (select from lifecycle.outbox"
            " where state in ('pending', 'sending', 'unknown'))"
        ).fetchone()
    return bool(row and row[0])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
