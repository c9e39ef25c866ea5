"""The sandbox as a process of its own, and `growth` beside it in a folder of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from growth_pipeline_tests.fakes.running_demo import GROWTH, plain_environment

KEY = "rk_test_sandbox"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Sandbox:
    """A Stripe with a company in it. `months` are those of its history, oldest first."""

    url: str
    months: list[str]

    def events(self) -> list[dict[str, Any]]:
        """All events that its list still has, oldest first."""
        events: list[dict[str, Any]] = []
        params: dict[str, Any] = {"limit": 100}
        headers = {"Authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=self.url, headers=headers, trust_env=False) as client:
            while True:
                page = client.get("/v1/events", params=params).raise_for_status().json()
                events += page["data"]
                if not page["has_more"]:
                    return events[::-1]
                params["starting_after"] = events[-1]["id"]


@contextmanager
def running_sandbox(folder: Path, *, months: int, customers: int) -> Iterator[Sandbox]:
    """A sandbox without limits; ended with the block."""
    ready = folder / "ready.json"
    options = ["--months", str(months), "--customers", str(customers), "--ready-file", str(ready)]
    rates = ["--requests-per-second", "0", "--endpoint-requests-per-second", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "growth_pipeline.sandbox", "serve", *options, *rates],
        env=plain_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 90
        while not ready.exists():
            assert process.poll() is None, "the sandbox ended before it was ready"
            assert time.monotonic() < deadline, "the sandbox takes too long"
            time.sleep(0.05)
        told = json.loads(ready.read_text())
        yield Sandbox(told["url"], told["months"])
    finally:
        process.terminate()
        process.wait(30)


@dataclass(frozen=True)
class Shell:
    """A folder in which somebody types `growth …`, with settings of their own."""

    folder: Path
    settings: dict[str, str]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and return at once; its stderr is a pipe."""
        return subprocess.Popen(
            [*GROWTH, *arguments],
            cwd=self.folder,
            env=plain_environment(**self.settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def growth(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=180)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def a_shell(folder: Path, sandbox: Sandbox, *, database: str, dagster: str) -> Shell:
    """A shell whose settings lead to the sandbox and to two databases."""
    home = folder / "dagster"
    home.mkdir(parents=True)
    for name in ("dagster.yaml", "workspace.yaml"):
        (home / name).write_text((ROOT / name).read_text())
    settings = {
        "GROWTH_DATABASE_URL": database,
        "GROWTH_DAGSTER_DATABASE_URL": dagster,
        "DAGSTER_HOME": str(home),
        "GROWTH_STATE_DIR": str(folder / "state"),
        "GROWTH_STRIPE__API_KEY": KEY,
        "GROWTH_STRIPE__API_BASE": sandbox.url,
        "GROWTH_STRIPE__REQUESTS_PER_SECOND": "2000",
        "GROWTH_STRIPE__ENDPOINT_REQUESTS_PER_SECOND": "2000",
        "GROWTH_STRIPE__RETRY_SECONDS": "2",
        "GROWTH_HISTORY_START": sandbox.months[0],
    }
    return Shell(folder, settings)
