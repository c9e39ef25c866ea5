"""Starts processes, watches them, and ends all of them and theirs: no orphan, whatever happens.

Knows nothing of what the processes do; `demo.py` and `serve.py` say which ones they want.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType, TracebackType

import psutil

from growth_pipeline.core.errors import GrowthError

_PR_SET_CHILD_SUBREAPER = 36
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GENTLE_SECONDS = 2.0
_DATABASE_SECONDS = 1.5
_POLL_SECONDS = 0.05
_IDLE_SECONDS = 0.2
_LAST_LINES = 5
_ENTRY = Path(__file__).with_name("child.py")


class Interrupted(SystemExit):
    """SIGINT, SIGTERM or SIGHUP arrived. Not an Exception: nothing may swallow it on its way.

    A SystemExit because psycopg knows that one: it cancels the statement that runs, where another
    exception would leave it running and the rollback would fail.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells say it."""
        return 128 + self.number


class ChildEndedError(GrowthError):
    """A process that should be running has ended; the message names it and its log."""


@dataclass(frozen=True)
class Child:
    """One process started here, the leader of a session of its own."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    may_end: bool

    @property
    def pid(self) -> int:
        """Process number; also that of its group and session."""
        return self.process.pid


class Supervisor:
    """Owns processes between `with` and its end; afterwards none of them and of theirs is alive.

    Children get sessions of their own, so a terminal's Ctrl-C reaches this process alone and the
    order of ending is ours. On Linux, processes whose parent died fall to this one and are found.
    Use it in the main thread: signals arrive there, and the tie to a parent is to its thread.
    """

    def __init__(
        self, logs: Path, *, database_pid: Callable[[], int | None] = lambda: None
    ) -> None:
        self._logs = logs
        self._database_pid = database_pid
        self._children: list[Child] = []
        self._handlers: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}
        self._deferred = 0
        self._received: int | None = None
        self._stopping = False

    def __enter__(self) -> Supervisor:
        """Take over the signals and the orphans."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("a Supervisor belongs to the main thread")
        self._logs.mkdir(parents=True, exist_ok=True)
        _become_subreaper()
        for number in _SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # started with nohup: it is meant to outlive its terminal
            self._handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything; further signals change nothing any more."""
        self._stopping = True
        try:
            self._stop_all()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
        if self._received is not None and isinstance(error, Exception):
            # What broke on the way out, a file or a connection cut in the middle, is part of it.
            raise Interrupted(self._received) from None

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._stopping or self._received is not None:
            return
        self._received = number
        if not self._deferred:
            raise Interrupted(number)

    @contextmanager
    def _uninterrupted(self) -> Iterator[None]:
        """Let a signal wait until the block is over, so that no started process goes unrecorded."""
        self._deferred += 1
        try:
            yield
        finally:
            self._deferred -= 1
        if self._received is not None and not self._deferred and not self._stopping:
            raise Interrupted(self._received)

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        may_end: bool = False,
        pipe: bool = False,
        aloud: bool = False,
    ) -> Child:
        """Start one process; its output goes to `<name>.log`, or with `aloud` where ours goes.

        With `may_end` its end is no failure; with `pipe` its standard input is open for us.
        """
        log = self._logs / f"{name}.log"
        own = [sys.executable, "-I", "-S", str(_ENTRY), str(os.getpid())]
        with self._uninterrupted(), log.open("ab") as stream:
            process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                [*own, *command],
                stdin=subprocess.PIPE if pipe else subprocess.DEVNULL,
                stdout=None if aloud else stream,
                stderr=None if aloud else subprocess.STDOUT,
                env=dict(environment),
                cwd=folder,
                start_new_session=True,
            )
            child = Child(name, process, log, may_end)
            self._children.append(child)
        return child

    def watch(self) -> None:
        """Look once whether all that should run does.

        Raises: ChildEndedError naming the process that ended, with the end of its log. Interrupted
        again, should the first one have been lost in a place that swallows exceptions.
        """
        if self._received is not None:
            raise Interrupted(self._received)
        for child in self._children:
            code = child.process.poll()
            if code is not None and not child.may_end:
                raise child_failed(child)

    def wait_until(self, ready: Callable[[], bool], *, what: str, seconds: float) -> None:
        """Poll until `ready` says so.

        Raises: ChildEndedError, GrowthError when the time is over.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self.watch()
            if time.monotonic() > deadline:
                raise GrowthError(
                    f"{what} is not ready after {seconds:.0f} s",
                    remedy=f"read the logs in {self._logs}",
                )
            time.sleep(_POLL_SECONDS)

    def wait_for_signal(self) -> None:
        """Stay until a signal comes: for what is up, that is how it is meant to end.

        Raises: ChildEndedError when a process ends before.
        """
        with suppress(Interrupted):
            while True:
                self.watch()
                self._reap_adopted()  # only here: elsewhere a subprocess.run waits for its child
                time.sleep(_IDLE_SECONDS)

    def stop(self, *children: Child) -> None:
        """End some processes and their groups before the others; from now on they may be gone."""
        leaving = {child.pid for child in children}
        self._children = [
            replace(child, may_end=True) if child.pid in leaving else child
            for child in self._children
        ]
        for child in children:
            _signal_group(child, signal.SIGTERM)
        deadline = time.monotonic() + _GENTLE_SECONDS
        for child in children:
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - time.monotonic()))
            _signal_group(child, signal.SIGKILL)
            child.process.wait()

    # --- the end ---------------------------------------------------------------------------------

    def _stop_all(self) -> None:
        """Everything but the database gently, then by force; then the database; then the rest."""
        for child in reversed(self._children):
            _signal_group(child, signal.SIGTERM)
        deadline = time.monotonic() + _GENTLE_SECONDS
        while self._others() and time.monotonic() < deadline:
            self._reap()
            time.sleep(_POLL_SECONDS)
        for child in self._children:  # on Linux the descendants below hold these already
            _signal_group(child, signal.SIGKILL)
        _kill(self._others())
        self._reap()
        self._stop_database()
        deadline = time.monotonic() + 1
        while (rest := _descendants()) and time.monotonic() < deadline:
            _kill(rest)
            self._reap()
            time.sleep(_POLL_SECONDS)
        self._reap()

    def _stop_database(self) -> None:
        """Fast shutdown, then immediate, which the next start recovers from: nothing is lost."""
        pid = self._database_pid()
        if pid is None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + _DATABASE_SECONDS
            while time.monotonic() < deadline:
                self._reap()
                if not _is_alive(pid):
                    return
                time.sleep(_POLL_SECONDS)

    def _others(self) -> list[psutil.Process]:
        """Descendants that are alive and not the database server or a process of it."""
        database = self._database_pid()
        spared = set() if database is None else {database, *_pids_below(database)}
        return [process for process in _descendants() if process.pid not in spared]

    def _reap(self) -> None:
        for child in self._children:
            child.process.poll()
        self._reap_adopted()

    def _reap_adopted(self) -> None:
        """Collect the exit status of processes that fell to us, else they stay as zombies."""
        own = {child.pid for child in self._children}
        for process in psutil.Process().children():
            with suppress(psutil.Error, ChildProcessError):
                if process.pid not in own and process.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(process.pid, os.WNOHANG)


def free_port(host: str, wanted: int) -> int:
    """The wanted port if nothing listens there, else one that the system chose."""
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((host, port))
                return int(probe.getsockname()[1])
    raise GrowthError(
        f"no port is free on {host}", remedy="set GROWTH_WEB__HOST to an address of this machine"
    )


def last_lines(log: Path, count: int = _LAST_LINES) -> str:
    """The end of a log, for a message; empty if there is none."""
    with suppress(OSError):
        text = log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(line for line in text.splitlines()[-count:] if line.strip())
    return ""


def child_failed(child: Child) -> ChildEndedError:
    """The error of a child that ended when or how it should not have, with its last words."""
    words = last_lines(child.log)
    return ChildEndedError(
        f"{child.name} ended with code {child.process.returncode}"
        + (f":\n{words}" if words else ""),
        remedy=f"read {child.log}",
    )


def _become_subreaper() -> None:
    """Processes whose parent died become ours instead of process 1's. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _signal_group(child: Child, number: int) -> None:
    # On Linux a group without its leader is left to the sweep, which finds its members one by one:
    # the group's number may belong to a stranger by now.
    if child.process.poll() is not None and sys.platform == "linux":
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def _descendants() -> list[psutil.Process]:
    """Living processes below this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _pids_below(pid: int) -> list[int]:
    with suppress(psutil.Error):
        return [process.pid for process in psutil.Process(pid).children(recursive=True)]
    return []


def _is_alive(pid: int) -> bool:
    with suppress(psutil.Error):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
