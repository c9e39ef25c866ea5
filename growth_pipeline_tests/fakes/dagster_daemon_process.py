"""Dagster's daemon in processes that are killed: `-m growth_pipeline_tests.fakes.dagster_daemon_process`.

DAGSTER_HOME names the instance. Everything is imported once; each line of standard input is one
order, carried out by a child of its own and answered by one line: whether the child was killed.
An order is one iteration of the scheduler or of the sensors at an instant `now`; `flag` names the place at which
Dagster itself kills the process (its crash flags).
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from dagster import DagsterInstance
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import launch_scheduled_runs

import growth_pipeline.definitions  # noqa: F401 - loaded before the forks

SILENT = logging.getLogger("silent")


@contextmanager
def workspace() -> Iterator[Any]:
    """The instance of DAGSTER_HOME and our code location, loaded in this process."""
    origin = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(module_name="growth_pipeline.definitions"),
        location_name="growth_pipeline",
    )
    with (
        DagsterInstance.get() as instance,
        create_test_daemon_workspace_context(
            InProcessWorkspaceLoadTarget(origin), instance
        ) as context,
    ):
        yield context


def carry_out(order: dict[str, Any]) -> None:
    """One iteration of a daemon; raises what the daemon reports."""
    flags = {order["name"]: {order["flag"]: signal.SIGKILL}} if order.get("flag") else None
    now = datetime.fromisoformat(order["now"])
    with workspace() as context, freeze_time(now):
        if order["loop"] == "scheduler":
            errors = launch_scheduled_runs(
                context,
                SILENT,
                end_datetime_utc=now,
                iteration_times={},
                debug_crash_flags=flags,
            )
        else:
            errors = execute_sensor_iteration(
                context,
                SILENT,
                threadpool_executor=None,
                submit_threadpool_executor=None,
                debug_crash_flags=flags,
            )
        for error in errors:
            if hasattr(error, "message"):
                raise RuntimeError(error.message)


def main() -> None:
    """Orders from standard input until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                carry_out(json.loads(line))
                os._exit(0)
            except BaseException:
                logging.exception("the order failed")
                os._exit(1)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        answers.write(json.dumps({"killed": killed, "failed": bool(status) and not killed}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
