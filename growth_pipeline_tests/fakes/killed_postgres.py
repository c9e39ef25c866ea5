"""Ways in which a Postgres ends without a goodbye. Starting it again is `start_embedded`'s work."""

from __future__ import annotations

import signal
import time

import psutil

from growth_pipeline.storage.embedded import EmbeddedServer

_SECONDS = 30.0


def kill_at_once(server: EmbeddedServer) -> None:
    """SIGKILL to the server and all its children: nothing more is written from now on."""
    postmaster = psutil.Process(server.pid)
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    _await_death(family)


def stop_immediately(server: EmbeddedServer) -> None:
    """Postgres' own immediate shutdown: no checkpoint, so the next start recovers from the log."""
    postmaster = psutil.Process(server.pid)
    postmaster.send_signal(signal.SIGQUIT)
    _await_death([postmaster])


def _await_death(processes: list[psutil.Process]) -> None:
    """A dead one may stay in the table until somebody reads its exit code: that is dead enough."""
    deadline = time.monotonic() + _SECONDS
    while any(_is_alive(process) for process in processes):
        assert time.monotonic() < deadline, "Postgres did not end"
        time.sleep(0.002)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
