"""The web app and the applier as processes: started, killed without warning, started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from growth_pipeline_tests.fakes.web_server import SECRET

HOST = "127.0.0.1"
_READY_SECONDS = 60.0


class _Program:
    """A program of ours as a process; on one core if one is named."""

    def __init__(
        self, name: str, database_url: str, folder: Path, *, core: int | None = None
    ) -> None:
        self._environment = _clean_environment() | {
            "GROWTH_DATABASE_URL": database_url,
            "GROWTH_STATE_DIR": str(folder),
            "GROWTH_STRIPE__WEBHOOK_SECRETS": SECRET,
            "GROWTH_LOG_LEVEL": "ERROR",
            "GROWTH_WEB__APPLIES_EVENTS": "false",
        }
        self._folder = folder
        self._core = core
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / f"{name}.log"

    def __enter__(self) -> Self:
        self.start()
        self.wait_until_ready()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def set(self, name: str, value: str) -> None:
        """A setting of the next start."""
        self._environment[name] = value

    def command(self) -> list[str]:
        """Module and arguments."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        return True

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Begin to start; `is_ready` says when it works."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self.command()],
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if self._core is not None:
            os.sched_setaffinity(self._process.pid, {self._core})

    def kill(self) -> None:
        """SIGKILL, now; nothing of it is left."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(30)

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; the exit code."""
        assert self._process is not None
        return self._process.wait(30)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not self.is_ready():
            assert time.monotonic() < deadline, f"not ready: {self.log.read_text()}"
            time.sleep(0.01)

    def cpu_seconds(self) -> float:
        """CPU time it has used so far, user and system."""
        used = psutil.Process(self.pid).cpu_times()
        return float(used.user + used.system)


class ReceiverProcess(_Program):
    """One uvicorn with the real app, receiving only, always on the same port."""

    def __init__(self, database_url: str, folder: Path, *, core: int | None = None) -> None:
        super().__init__("receiver", database_url, folder, core=core)
        with socket.create_server((HOST, 0)) as free:
            self.port = int(free.getsockname()[1])

    def command(self) -> list[str]:
        app = ["uvicorn", "--factory", "growth_pipeline.web.app:create_app"]
        where = ["--host", HOST, "--port", str(self.port)]
        return [*app, *where, "--no-access-log", "--no-server-header", "--log-level", "warning"]

    def is_ready(self) -> bool:
        """Whether it takes connections: uvicorn listens only after the app has started."""
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((HOST, self.port)) == 0


class ApplierProcess(_Program):
    """The process that applies what the receiver stores."""

    def __init__(self, database_url: str, folder: Path) -> None:
        super().__init__("applier", database_url, folder)

    def command(self) -> list[str]:
        return ["growth_pipeline.operate.applier"]


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GROWTH_")}
