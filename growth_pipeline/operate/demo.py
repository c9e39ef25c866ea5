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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from growth_pipeline import __version__
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.errors import ExitCode, GrowthError
from growth_pipeline.operate.home import (
    DAGSTER_DATABASE,
    DAGSTER_SPEED,
    DEMO_ENVIRONMENT,
    DEMO_LOCK,
    copy_dagster_files,
    demo_dir,
    inherited,
)
from growth_pipeline.operate.processes import Child, Interrupted, Supervisor, child_failed
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
from growth_pipeline.storage.embedded import EmbeddedServer, running_embedded, start_embedded
from growth_pipeline.storage.migrations import migrate
from growth_pipeline.storage.postgres import Database, dagster_url

_RECORD = "demo.json"
_STATUS = "demo-status.json"  # the landing page reads it
_WORK = "work"
_STEP_SECONDS = 600.0
_POLL_SECONDS = 0.05
_MOST_WORKERS = 3
_SANDBOX = "growth_pipeline.sandbox"
_API_KEY = "rk_test_sandbox"  # opens nothing but a server on this machine, made for this demo
_RATE = "100000"  # requests a second: the sandbox has no limit


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
    """What the demo's data is made from; equal records give equal data. `done`: it is all there."""

    version: str
    months: int
    customers: int
    seed: int
    as_of: str
    webhook_secret: str = field(repr=False)
    done: bool = False

    def fits(self, options: DemoOptions) -> bool:
        """Whether the data is complete and what the options ask for."""
        mine = (self.version, self.months, self.customers, self.seed)
        wanted = (__version__, options.months, options.customers, options.seed)
        return self.done and mine == wanted


@dataclass(frozen=True)
class Card:
    """What a person wants to know when the demo is up."""

    web: str
    dagster: str
    stripe: str
    database_url: str
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
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with (
            _only_demo(folder),
            runtime_folder() as runtime,
            Supervisor(folder / "logs", database_pid=lambda: _postgres_pid(folder)) as parent,
        ):
            record = _choose_record(folder, options, say)
            demo = _Demo(options, record, folder=folder, supervisor=parent, say=say)
            card = demo.bring_up(runtime)
            show(card)
            if options.exit_when_green:
                return int(ExitCode.DONE if card.outcome.is_green else ExitCode.FAILED)
            parent.wait_for_signal()
            return int(ExitCode.DONE)
    except Interrupted as interrupted:
        return interrupted.exit_code


class _Demo:
    """One demo coming up; the methods are its steps."""

    def __init__(
        self,
        options: DemoOptions,
        record: Record,
        *,
        folder: Path,
        supervisor: Supervisor,
        say: Say,
    ) -> None:
        self._options = options
        self._record = record
        self._folder = folder
        self._supervisor = supervisor
        self._say = say

    def bring_up(self, runtime: Path) -> Card:
        """All steps, in the order in which there is something to look at."""
        self._step("starting Postgres and the sandbox company")
        web = choose_address(LOOPBACK, self._options.port, what="the web app", say=self._say)
        ui = choose_address(
            LOOPBACK, self._options.dagster_port, what="Dagster's UI", say=self._say
        )
        ready_file = self._start_sandbox()
        server = start_embedded(self._folder)
        database_url = server.url("growth")
        migrate(database_url)
        claim_mode(database_url, "demo")
        sandbox = self._connect_sandbox(ready_file)
        variables = self._variables(server, sandbox, web, ui)
        crew = Crew(self._supervisor, {**inherited(), **variables}, self._folder)
        crew.start_web(web)
        crew.wait_for(f"{web.url}/", what="the web app")
        self._say(f"first page after {_seconds():.1f} s: {web.url}")
        planted = sandbox.plant()
        delivery = self._begin_delivery(sandbox, web)
        workers = Workers(crew, self._folder / _WORK, sandbox.months)
        extracted = workers.begin("extract")  # reads Stripe, so it need not wait for the webhooks
        workspace = crew.start_code(runtime)
        crew.start_ui(workspace, ui)
        cohorts: Path | None = None
        if delivery is not None:
            self._step("the application tells what people do in the product")
            self._tell_usage(sandbox, web, database_url)
            self._finish_delivery(sandbox, delivery, database_url)
            self._step("booking all months again from the mirror")
            workers.wait_for(workers.begin("book"))
            self._step("the application tells its users and whom it lets in")
            self._play("application", sandbox, database_url)
            self._step("somebody changes books and access by hand")
            self._play("tamper", sandbox, database_url)
            cohorts = (
                workers.begin_cohorts()
            )  # their money needs the books and the users' customers
            self._record = replace(self._record, done=True)
            _write(self._folder / _RECORD, json.dumps(asdict(self._record)))
        workers.wait_for(extracted)
        self._step("auditing every month against Stripe")
        reports = workers.audit(on_progress=self._step)
        if cohorts is not None:
            self._publish(workers, cohorts)
        alerted = workers.begin_alert(reports)
        crew.start_daemon(workspace)
        crew.wait_for(f"{ui.url}/server_info", what="Dagster's UI")
        if alerted is not None:
            self._step("alerting about the newest audit that failed")
            workers.wait_for(alerted)
        workers.stop()
        card = self._card(reports, planted, sandbox, web=web, ui=ui, database_url=database_url)
        self._finish(variables)
        return card

    def _publish(self, workers: Workers, cohorts: Path) -> None:
        """Publish revenue, after the audits whose findings it counts, beside cohorts.

        The weekly report tells of all of them.
        """
        self._step("publishing MRR, movements and figures; rolling up activity, computing cohorts")
        revenue = workers.begin_revenue()
        workers.wait_for(cohorts)
        workers.wait_for(revenue)
        self._step("writing the weekly growth report; deciding stages and scores of users")
        lifecycle = workers.begin_lifecycle()  # its MRR needs the prices that revenue read
        workers.wait_for(workers.begin_insights())
        workers.wait_for(lifecycle)

    def _step(self, text: str) -> None:
        """Say what happens now, in the terminal and on the landing page."""
        self._say(f"{_seconds():5.1f} s  {text}")
        _write(self._folder / _STATUS, json.dumps({"state": "warming_up", "step": text}))

    # --- the company -----------------------------------------------------------------------------

    def _start_sandbox(self) -> Path:
        """The company and its Stripe, a program that knows nothing of ours; its ready file."""
        ready_file = self._folder / "sandbox.json"
        ready_file.unlink(missing_ok=True)
        record = self._record
        crew = Crew(self._supervisor, inherited(), self._folder)
        company = ["--months", str(record.months), "--customers", str(record.customers)]
        company += ["--seed", str(record.seed), "--as-of", record.as_of]
        company += ["--data-dir", str(self._folder / "sandbox")]
        more = ["--requests-per-second", "0", "--ready-file", str(ready_file)]
        crew.start("sandbox", _SANDBOX, "serve", *company, *more)
        return ready_file

    def _connect_sandbox(self, ready_file: Path) -> Sandbox:
        self._supervisor.wait_until(
            ready_file.exists, what="the sandbox company", seconds=_STEP_SECONDS
        )
        return Sandbox(json.loads(ready_file.read_bytes()))

    def _begin_delivery(self, sandbox: Sandbox, web: Address) -> str | None:
        """Every event through the real webhook route, but for those planted to be lost.

        None when all of it arrived in the last demo.
        """
        if self._record.done:
            self._step("the company's history is there from the last demo")
            return None
        self._step("Stripe's history arrives at /webhooks/stripe")
        return sandbox.start_delivery(f"{web.url}/webhooks/stripe", self._record.webhook_secret)

    def _finish_delivery(self, sandbox: Sandbox, delivery: str, database_url: str) -> None:
        """Wait until every event is stored, and applied to the mirror and the books."""
        self._supervisor.wait_until(
            lambda: sandbox.is_delivered(delivery), what="the delivery", seconds=_STEP_SECONDS
        )
        self._step(f"{sandbox.delivered(delivery)} events stored; applying them")
        with Database(database_url, application_name="growth demo") as database:
            store = BillingStore(database)
            self._supervisor.wait_until(
                lambda: not store.inbox_counts().get("received"),
                what="the inbox",
                seconds=_STEP_SECONDS,
            )

    def _tell_usage(self, sandbox: Sandbox, web: Address, database_url: str) -> None:
        """Let the company's application send its product events to the ingest, as any would."""
        # Imported once the first page stands, which it would hold up.
        from growth_pipeline.events.ingest.ingest_store import IngestStore

        with Database(database_url, application_name="growth demo") as database:
            made = IngestStore(database).create_key("product", (), now=datetime.now(UTC))
        key = {"SANDBOX_WRITE_KEY": made.key}
        self._play("usage", sandbox, database_url, "--ingest", web.url, **key)

    def _play(self, part: str, sandbox: Sandbox, database_url: str, *more: str, **env: str) -> None:
        """Let one of the company's own programs do its part: its application, its people."""
        variables = {**inherited(), "SANDBOX_DATABASE_URL": database_url, **env}
        crew = Crew(self._supervisor, variables, self._folder)
        child = crew.start(
            f"sandbox-{part}", _SANDBOX, part, "--control", sandbox.url, *more, may_end=True
        )
        self._supervisor.wait_until(
            lambda: child.process.poll() is not None, what=child.name, seconds=_STEP_SECONDS
        )
        if child.process.returncode != 0:
            raise child_failed(child)

    # --- the pipeline ----------------------------------------------------------------------------

    def _variables(
        self, server: EmbeddedServer, sandbox: Sandbox, web: Address, ui: Address
    ) -> dict[str, str]:
        """All settings of the demo's processes; also those of commands in another shell."""
        return {
            **DAGSTER_SPEED,
            "DAGSTER_HOME": str(copy_dagster_files(self._folder / "dagster")),
            "GROWTH_STATE_DIR": str(self._folder),
            "GROWTH_DATABASE_URL": server.url("growth"),
            "GROWTH_DAGSTER_DATABASE_URL": dagster_url(server.url(DAGSTER_DATABASE)),
            "GROWTH_HISTORY_START": sandbox.months[0],
            "GROWTH_STRIPE__API_KEY": _API_KEY,
            "GROWTH_STRIPE__API_BASE": sandbox.url,
            "GROWTH_STRIPE__ACCOUNT_ID": sandbox.account_id,
            "GROWTH_STRIPE__WEBHOOK_SECRETS": self._record.webhook_secret,
            "GROWTH_STRIPE__REQUESTS_PER_SECOND": _RATE,
            "GROWTH_STRIPE__ENDPOINT_REQUESTS_PER_SECOND": _RATE,
            # A sweep would bring the webhooks that are lost on purpose, for the audit to find.
            "GROWTH_STRIPE__SWEEP_MINUTES": "0",
            "GROWTH_COHORTS__SEGMENTS": "country",
            "GROWTH_WEB__PORT": str(web.port),
            "GROWTH_WEB__DAGSTER_PORT": str(ui.port),
            "GROWTH_WEB__DAGSTER_URL": ui.url,
        }

    def _card(
        self,
        reports: list[dict[str, Any]],
        planted: list[dict[str, Any]],
        sandbox: Sandbox,
        *,
        web: Address,
        ui: Address,
        database_url: str,
    ) -> Card:
        findings = [
            {**finding, "month": report["month"]}
            for report in reports
            for finding in report["findings"]
        ]
        return Card(
            web=web.url,
            dagster=ui.url,
            stripe=sandbox.url,
            database_url=database_url,
            verdicts={report["month"]: report["verdict"] for report in reports},
            outcome=compare_with_truth(planted, findings),
            seconds=_seconds(),
            logs=self._folder / "logs",
        )

    def _finish(self, variables: Mapping[str, str]) -> None:
        """From now on commands in this folder use the demo."""
        text = "".join(f"{name}={value}\n" for name, value in variables.items())
        _write(self._folder / DEMO_ENVIRONMENT, text)
        _write(self._folder / _STATUS, json.dumps({"state": "ready", "step": ""}))


class Workers:
    """A few processes that run the pipeline's jobs; see demo_work.py."""

    def __init__(self, crew: Crew, folder: Path, months: list[str]) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self._supervisor = crew.supervisor
        self._folder = folder
        self._months = months
        count = min(_MOST_WORKERS, max(1, (psutil.cpu_count() or 1) - 1))
        module = "growth_pipeline.operate.demo_work"
        self._workers = [
            crew.start(f"work-{number}", module, str(folder), pipe=True) for number in range(count)
        ]

    def begin(
        self, job: str, month: str | None = None, worker: Child | None = None, **more: str
    ) -> Path:
        """Hand a job over all months, or one month's, to a worker; the file to wait for."""
        first, last = month or self._months[0], month or self._months[-1]
        task = {"do": job, "first": first, "last": last, **more}
        stream = (worker or self._workers[0]).process.stdin
        if stream is None:
            raise RuntimeError("a worker has an open standard input")
        stream.write(json.dumps(task).encode() + b"\n")
        stream.flush()
        return self._folder / f"{job}-{task['last']}.json"

    def wait_for(self, result: Path) -> None:
        """Wait until a job is done. Raises: ChildEndedError with the reason it failed for."""
        self._supervisor.wait_until(
            result.exists, what=result.stem.split("-")[0], seconds=_STEP_SECONDS
        )

    def audit(self, *, on_progress: Say) -> list[dict[str, Any]]:
        """Audit every month, each worker one at a time; the reports in the order of months."""
        waiting = list(self._months)
        busy: dict[Path, Child] = {}
        idle = list(self._workers)
        results: list[Path] = []
        while waiting or busy:
            while waiting and idle:
                worker = idle.pop()
                busy[self.begin("audit", waiting.pop(0), worker)] = worker
            done = [path for path in busy if path.exists()]
            for path in done:
                idle.append(busy.pop(path))
            results += done
            if done:
                on_progress(f"audited {len(results)} of {len(self._months)} months")
            self._supervisor.watch()
            time.sleep(_POLL_SECONDS)
        return [json.loads(path.read_bytes()) for path in sorted(results)]

    def begin_cohorts(self) -> Path:
        """Roll up what people did, and compute cohorts and their report, beside the other jobs."""
        return self.begin("cohorts", worker=self._workers[-1])

    def begin_revenue(self) -> Path:
        """Publish MRR, what moved it, and all figures."""
        return self.begin("revenue", worker=self._workers[0])

    def begin_insights(self) -> Path:
        """Write the growth report of the last complete week."""
        return self.begin("insights", worker=self._workers[0])

    def begin_lifecycle(self) -> Path:
        """Decide stages and scores, and what journeys would send; nothing is sent."""
        return self.begin("lifecycle", worker=self._workers[-1])

    def begin_alert(self, reports: list[dict[str, Any]]) -> Path | None:
        """Alert about the newest audit that failed, as the daemon does once it runs."""
        failed = [report for report in reports if report["verdict"] == "FAIL"]
        if not failed:
            return None
        return self.begin("alert", failed[-1]["month"], run_id=failed[-1]["run_id"])

    def stop(self) -> None:
        """End the workers."""
        self._supervisor.stop(*self._workers)


class Sandbox:
    """The control side of the running sandbox server."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.url = str(facts["url"])
        self.account_id = str(facts["account_id"])
        self.months = [str(month) for month in facts["months"]]
        self._http = httpx.Client(
            base_url=self.url, headers={"X-Sandbox-Key": _API_KEY}, trust_env=False, timeout=60
        )

    def plant(self) -> list[dict[str, Any]]:
        """Choose what will be wrong, the same for the same company: every planted problem."""
        return list(self._post("/_sandbox/plant", {})["problems"])

    def start_delivery(self, url: str, secret: str) -> str:
        """Send all events as signed webhooks: some twice, many out of order. The delivery's id."""
        wanted = {
            "url": url,
            "secret": secret,
            "concurrency": 16,
            "duplicate_share": 0.02,
            "shuffle_seconds": 60,
        }
        return str(self._post("/_sandbox/deliveries", wanted)["delivery_id"])

    def is_delivered(self, delivery_id: str) -> bool:
        """Whether every event was sent. Raises: GrowthError when some were refused."""
        state = self._get(f"/_sandbox/deliveries/{delivery_id}")
        if state["done"] and state["failed"]:
            raise GrowthError(
                f"{state['failed']} of {state['total']} webhooks were refused",
                remedy="read web.log beside sandbox.log",
            )
        return bool(state["done"])

    def delivered(self, delivery_id: str) -> int:
        """How many deliveries were acknowledged."""
        return int(self._get(f"/_sandbox/deliveries/{delivery_id}")["acknowledged"])

    def _get(self, path: str) -> Any:
        return self._http.get(path).raise_for_status().json()

    def _post(self, path: str, document: Mapping[str, Any]) -> Any:
        return self._http.post(path, json=document).raise_for_status().json()


# --- the folder ----------------------------------------------------------------------------------


@contextmanager
def _only_demo(folder: Path) -> Iterator[None]:
    """Hold the lock that says a demo runs here; the kernel frees it however this process ends.

    Raises: GrowthError when another demo holds it.
    """
    with (folder / DEMO_LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GrowthError(
                f"a demo runs in {folder} already",
                remedy="use that one, end it with Ctrl-C, or set another GROWTH_STATE_DIR",
            ) from None
        _forget_addresses(folder)
        try:
            yield
        finally:
            _forget_addresses(folder)


def _forget_addresses(folder: Path) -> None:
    for name in (DEMO_ENVIRONMENT, _STATUS):
        (folder / name).unlink(missing_ok=True)


def _choose_record(folder: Path, options: DemoOptions, say: Say) -> Record:
    """The last demo's record if its data is what is wanted; else a new one and an empty folder."""
    found = _read_record(folder)
    if found is not None and found.fits(options) and not options.reset:
        say(f"using the company of the last demo, as of {found.as_of} (--reset makes a new one)")
        return found
    if found is not None:
        say("making a new company; the last demo's data is removed")
    _wipe(folder)
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    record = Record(
        version=__version__,
        months=options.months,
        customers=options.customers,
        seed=options.seed,
        as_of=now.isoformat().replace("+00:00", "Z"),
        webhook_secret=f"whsec_{secrets.token_hex(16)}",
    )
    _write(folder / _RECORD, json.dumps(asdict(record)))
    return record


def _read_record(folder: Path) -> Record | None:
    """None for no record and for one that another version wrote in another shape."""
    try:
        return Record(**json.loads((folder / _RECORD).read_text(encoding="utf-8")))
    except (OSError, TypeError, json.JSONDecodeError):
        return None


def _wipe(folder: Path) -> None:
    """Remove the last demo's data; a server that outlived a killed demo ends first."""
    server = running_embedded(folder)
    if server is not None:
        server.stop()
    for path in folder.iterdir():
        if path.name in {DEMO_LOCK, "logs"}:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _postgres_pid(folder: Path) -> int | None:
    server = running_embedded(folder)
    return server.pid if server else None


def _seconds() -> float:
    """Since this process began, imports included."""
    return float(time.time() - psutil.Process().create_time())


def _write(path: Path, text: str) -> None:
    """Whole or not at all, for this user's eyes only: some of these files hold keys."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.touch(mode=0o600)
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
