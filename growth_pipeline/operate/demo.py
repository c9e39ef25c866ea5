"""`growth demo`: a whole simulated company on this machine, from first event to audited months.

Everything runs on loopback with made-up keys, in its own Postgres under the state folder; nothing
configured elsewhere is read or touched. The steps stand in the order in which one can look at them.
"""

from __future__ import annotations

import fcntl
import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from growth_pipeline import __version__
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.errors import ExitCode, GrowthError
from growth_pipeline.core.periods import Month
from growth_pipeline.operate.demo_work import READY
from growth_pipeline.operate.home import (
    DAGSTER_DATABASE,
    DAGSTER_SPEED,
    DEMO_ENVIRONMENT,
    DEMO_LOCK,
    copy_dagster_files,
    demo_dir,
    inherited,
)
from growth_pipeline.operate.processes import Child, Interrupted, Supervisor
from growth_pipeline.operate.serve import (
    LOOPBACK,
    Address,
    Crew,
    Say,
    choose_address,
    runtime_folder,
)
from growth_pipeline.operate.store import claim_mode
from growth_pipeline.operate.truth import Outcome, compare_with_truth
from growth_pipeline.settings import load_settings
from growth_pipeline.storage.embedded import running_embedded, start_embedded
from growth_pipeline.storage.migrations import migrate
from growth_pipeline.storage.postgres import Database, dagster_url

_RECORD = "demo.json"
_WORK = "work"
_STEP_SECONDS = 300.0
_SANDBOX_RATE = "10000"


@dataclass(frozen=True)
class DemoOptions:
    """What the command line chose."""

    months: int
    customers: int
    seed: int
    port: int
    dagster_port: int
    reset: bool
    exit_when_green: bool


@dataclass(frozen=True)
class Record:
    """What the demo's data was made from. Equal records give equal data; `done`: it is all there."""

    version: str
    months: int
    customers: int
    seed: int
    as_of: str
    api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    done: bool = False

    def fits(self, options: DemoOptions) -> bool:
        """Whether data of this record is what the options ask for."""
        mine = (self.version, self.months, self.customers, self.seed)
        return self.done and mine == (
            __version__,
            options.months,
            options.customers,
            options.seed,
        )


@dataclass(frozen=True)
class Card:
    """What a person wants to know when the demo is up."""

    web: str
    dagster: str
    stripe: str
    database_url: str
    months: Sequence[str]
    verdicts: Mapping[str, str]
    outcome: Outcome
    seconds: float
    logs: Path


Show = Callable[[Card], None]


def run_demo(options: DemoOptions, *, say: Say, show: Show) -> int:
    """Run the demo until a signal, or until it is green; the exit code.

    Raises: GrowthError when another demo runs here, or a part fails.
    """
    folder = demo_dir(load_settings())
    try:
        with _only_demo(folder), runtime_folder() as runtime:
            record = _choose_record(folder, options, say)
            with Supervisor(folder / "logs", database_pid=lambda: _postgres_pid(folder)) as parent:
                demo = _Demo(options, record, folder, runtime, parent, say)
                card = demo.bring_up()
                show(card)
                if options.exit_when_green:
                    return int(ExitCode.DONE if card.outcome.is_green else ExitCode.FAILED)
                return _stay(parent)
    except Interrupted as interrupted:
        return interrupted.exit_code


def _stay(supervisor: Supervisor) -> int:
    """Until Ctrl-C or SIGTERM, which is how a demo that is up is meant to end."""
    try:
        supervisor.wait_for_signal()
    except Interrupted:
        return int(ExitCode.DONE)


class _Demo:
    """One demo coming up: each method is one step, in the order of `bring_up`."""

    def __init__(
        self,
        options: DemoOptions,
        record: Record,
        folder: Path,
        runtime: Path,
        supervisor: Supervisor,
        say: Say,
    ) -> None:
        self._options = options
        self._record = record
        self._folder = folder
        self._runtime = runtime
        self._supervisor = supervisor
        self._tell = say

    def bring_up(self) -> Card:
        """All steps; what came out."""
        web = choose_address(LOOPBACK, self._options.port, what="the web app", say=self._say)
        ui = choose_address(
            LOOPBACK, self._options.dagster_port, what="Dagster's UI", say=self._say
        )
        sandbox_ready = self._start_sandbox()
        server = start_embedded(self._folder)
        database_url = server.url("growth")
        stripe = Address(LOOPBACK, 0)
        variables = self._variables(server.url, web, ui)
        crew = Crew(self._supervisor, {**inherited(), **variables}, self._folder)
        migrate(database_url)
        claim_mode(database_url, "demo")
        crew.start_web(web)
        crew.wait_for(f"{web.url}/", what="the web app")
        self._say(f"first page: {web.url}")
        del sandbox_ready, stripe
        raise NotImplementedError
