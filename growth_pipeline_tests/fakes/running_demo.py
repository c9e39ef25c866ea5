"""A small demo that runs: the real `growth demo` in a process of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

GROWTH = [sys.executable, "-m", "growth_pipeline.cli"]
SMALL = ["--months", "3", "--customers", "20", "--port", "0", "--dagster-port", "0"]
MARK = "GROWTH_TEST_MARK"


def plain_environment(**more: str) -> dict[str, str]:
    """Ours without any setting."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GROWTH_", "DAGSTER_"))}
    return kept | more


def marked(folder: Path) -> list[psutil.Process]:
    """Living processes of a demo, wherever they hang by now.

    The mark is in the environment that they inherit; Postgres starts with a clean one and is known
    by its folder.
    """
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("ORPHAN_MARK") == str(folder)
            if (ours or str(folder) in process.cwd()) and process.status() != "zombie":
                found.append(process)
        except (psutil.Error, FileNotFoundError):
            continue
    return [process for process in found if process.pid != os.getpid()]


@dataclass
class RunningDemo:
    """One demo: its folder, its process, and what it printed."""

    folder: Path
    process: subprocess.Popen[str]
    card: str = ""
    progress: list[str] = field(default_factory=list)

    @property
    def state(self) -> Path:
        """The demo's own folder."""
        return self.folder / ".growth" / "demo"

    def variables(self) -> dict[str, str]:
        """The settings that the demo's processes have."""
        lines = (self.state / "demo.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    @property
    def web(self) -> str:
        """Address of the web app."""
        return f"http://127.0.0.1:{self.variables()['GROWTH_WEB__PORT']}"

    @property
    def dagster(self) -> str:
        """Address of Dagster's UI."""
        return self.variables()["GROWTH_WEB__DAGSTER_URL"]

    def months(self) -> list[str]:
        """The company's months, oldest first."""
        return json.loads((self.state / "sandbox.json").read_text())["months"]

    def truth(self) -> dict[str, Any]:
        """What the sandbox says of itself."""
        import httpx

        url = json.loads((self.state / "sandbox.json").read_text())["url"]
        headers = {"X-Sandbox-Key": self.variables()["GROWTH_STRIPE__API_KEY"]}
        return httpx.get(f"{url}/_sandbox/truth", headers=headers, trust_env=False).json()

    def growth(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`growth …` in a second shell in the same folder, with nothing configured."""
        return subprocess.run(
            [*GROWTH, *arguments],
            cwd=self.folder,
            env=plain_environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it as a person does; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)


def start_demo(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start `growth demo` and return at once."""
    return subprocess.Popen(
        [*GROWTH, "demo", *(arguments or SMALL)],
        cwd=folder,
        env=plain_environment(ORPHAN_MARK=str(folder), **variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=(folder / "progress.txt").open("w"),
        text=True,
    )


def wait_for_card(
    folder: Path, process: subprocess.Popen[str], seconds: float = 150
) -> RunningDemo:
    """Wait until a started demo has printed its card and is up."""
    demo = RunningDemo(folder, process)
    deadline = time.monotonic() + seconds
    while not (demo.state / "demo.env").exists():
        assert process.poll() is None, (folder / "progress.txt").read_text()
        assert time.monotonic() < deadline, (folder / "progress.txt").read_text()
        time.sleep(0.1)
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if line.startswith("╰"):
            break
    demo.card = "".join(lines)
    demo.progress = (folder / "progress.txt").read_text().splitlines()
    return demo


@contextmanager
def own_demo(folder: Path, *arguments: str) -> Iterator[RunningDemo]:
    """A demo that nobody else looks at, up until the block ends."""
    process = start_demo(folder, *arguments)
    try:
        yield wait_for_card(folder, process)
    finally:
        process.terminate()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def seconds_of_first_page(demo: RunningDemo) -> float:
    """What the demo itself measured from its process's start to the first page."""
    line = next(line for line in demo.progress if line.startswith("first page"))
    found = re.search(r"after ([\d.]+) s", line)
    assert found
    return float(found[1])
