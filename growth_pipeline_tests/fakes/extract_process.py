"""Extracts in processes that are killed: `-m growth_pipeline_tests.fakes.extract_process`.

Everything is imported once; each line of standard input is one order, run in a child of its own,
and answered by one line: whether the child was killed, what it published, or how it failed. The
child kills itself with SIGKILL at the n-th record it keeps: before it, in the middle, or after it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from growth_pipeline.billing import checkpoints
from growth_pipeline.billing import extract as billing_extract
from growth_pipeline.billing.extract import Part, extract_lists
from growth_pipeline.core.periods import Month
from growth_pipeline.storage.lake import Lake
from growth_pipeline_tests.fakes.fast_access import fast_access

NOW = datetime(2025, 12, 1, tzinfo=UTC)
PLACES = ("before", "within", "after")


class SuddenDeath:
    """Kills the process around the n-th page that is kept; n 0: never."""

    def __init__(self, n: int, place: str) -> None:
        self._left = n
        self._place = place
        self._pwrite = os.pwrite

    def around(self, meta: Any, rows: bytes, append: Callable[[Any, bytes], None]) -> None:
        self._left -= bool(rows)
        due = bool(rows) and self._left == 0
        if due and self._place == "before":
            self._die()
        if due and self._place == "within":
            os.pwrite = self._half  # type: ignore[assignment]
        append(meta, rows)
        if due:
            self._die()

    def _half(self, descriptor: int, data: bytes, place: int) -> int:
        self._pwrite(descriptor, data[: len(data) // 2], place)
        self._die()
        return 0

    def _die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def extract(order: dict[str, Any]) -> dict[str, Any]:
    """Carry out one order; the manifest's path and certificate."""
    death = SuddenDeath(order["kill_at"], order["place"])

    class DyingJournal(checkpoints.Journal):
        def append(self, meta: Any, rows: bytes = b"") -> None:
            death.around(meta, rows, super().append)

    billing_extract.Journal = DyingJournal  # type: ignore[misc]
    access = fast_access(order["base"], timeout_seconds=10, retry_seconds=5)
    (done,) = extract_lists(
        [Part(order["resource"], Month(2025, 10))],
        accesses=[access],
        lake=Lake(order["lake"]),
        now=NOW,
        checkpoints=Path(order["checkpoints"]),
    )
    if done.manifest is None:
        return {"error": str(done.error)}
    return {"path": done.manifest.path, "certificate": dict(done.manifest.certificate)}


def main() -> None:
    """Orders from standard input until it ends."""
    for line in sys.stdin:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.write(writer, json.dumps(extract(json.loads(line))).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            told = pipe.read()
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        answer = {"killed": killed} | (json.loads(told) if told else {})
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
