"""Audits and repairs in processes that are killed: `-m growth_pipeline_tests.fakes.repair_process`.

Everything is imported once. Each line of standard input is a list of orders; each is carried out in
a child of its own, all of a line at once, and answered by one line. A child kills itself with SIGKILL
before or after its n-th operation: an exchange with the database, a request, or a file operation.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg

from growth_pipeline.billing.mirror import rebuild_payments
from growth_pipeline.storage.postgres import Database
from growth_pipeline_tests.fakes.repaired_company import (
    LATER,
    MONTH,
    SCOPE,
    audit_month,
    open_reader,
    repair,
    stores,
)

_WRITES = os.O_WRONLY | os.O_RDWR


class SuddenDeath:
    """Counts operations and ends the process around one of them; `kill_at` 0: never."""

    def __init__(self, kill_at: int, place: str) -> None:
        self.count = 0
        self._kill_at = kill_at
        self._place = place
        self._own = threading.Lock()

    def __call__(self, act: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        with self._own:
            self.count += 1
            due = self.count == self._kill_at
        if due and self._place == "before":
            die()
        done = act(*arguments, **options)
        if due:
            die()
        return done

    def install(self) -> None:
        """Stand around everything that leaves a trace outside of this process."""
        self._around(psycopg.Connection, "wait")
        self._around(httpx.HTTPTransport, "handle_request")
        for name in ("fsync", "replace", "rename", "mkdir", "unlink"):
            self._around(os, name)
        sys.addaudithook(self._opened)

    def _around(self, owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def wrapped(*arguments: Any, **options: Any) -> Any:
            return self(original, *arguments, **options)

        setattr(owner, name, wrapped)

    def _opened(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
            self(lambda: None)


def die() -> None:
    """End at once, without any goodbye."""
    os.kill(os.getpid(), signal.SIGKILL)


def carry_out(order: dict[str, Any], death: SuddenDeath) -> dict[str, Any]:
    """One order; what it came to."""
    now = datetime.fromisoformat(order["now"]) if "now" in order else LATER
    with (
        Database(order["database"], max_size=4) as database,
        open_reader(order["stripe"]) as reader,
    ):
        death.install()
        if order["do"] == "audit":
            audit = audit_month(
                database, reader, Path(order["folder"]), run_id=order["run_id"], now=now
            )
            return {"findings": len(audit.findings), "verdict": str(audit.verdict)}
        if order["do"] == "book":
            return {"booked": rebuild_payments(stores(database).billing, SCOPE, MONTH, now)}
        done = repair(database, reader, now=now, apply=order["do"] == "apply", by="a test")
        return {"outcome": str(done.outcome), "hash": done.plan.hash, "id": done.plan.plan_id}


def answer(order: dict[str, Any]) -> dict[str, Any]:
    """What became of one order, in the child."""
    began = time.monotonic()
    death = SuddenDeath(order.get("kill_at", 0), order.get("place", "before"))
    try:
        told = carry_out(order, death)
    except BaseException as error:  # noqa: BLE001 - the answer tells it
        lines = "".join(traceback.format_exception(error))[-1500:]
        told = {"error": f"{type(error).__name__}: {error}", "traceback": lines}
    return told | {"operations": death.count, "seconds": time.monotonic() - began}


def start(order: dict[str, Any]) -> tuple[int, int]:
    """Begin one order in a child; its pid, and the pipe it answers into."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        text = json.dumps(answer(order)).encode()
        os.write(writer, text)
        os._exit(0)
    os.close(writer)
    return child, reader


def main() -> None:
    """Lines of orders until standard input ends."""
    for line in sys.stdin:
        answers = []
        for child, reader in [start(order) for order in json.loads(line)]:
            with os.fdopen(reader, "rb") as pipe:
                told = pipe.read()
            _, status = os.waitpid(child, 0)
            killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
            answers.append({"killed": killed} | (json.loads(told) if told else {}))
        sys.stdout.write(json.dumps(answers) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
