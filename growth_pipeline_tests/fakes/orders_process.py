"""A process that carries out orders: a line of JSON goes in, a line of JSON comes back.

What an order is, the module that is run says.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class OrdersProcess:
    """One that runs. It imports everything once and answers each line by one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def carry_out(self, orders: Any) -> Any:
        """What it answers to one line, once all of it is done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(orders) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def orders_process(name: str) -> Iterator[OrdersProcess]:
    """A module of these fakes as such a process, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"growth_pipeline_tests.fakes.{name}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield OrdersProcess(process)
        assert process.stdin is not None
        process.stdin.close()
