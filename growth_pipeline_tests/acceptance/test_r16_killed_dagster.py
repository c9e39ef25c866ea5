"""R16: whatever of Dagster is killed, one logical result comes out and nothing stays stuck.

The daemon dies at each of Dagster's own crash flags; a run's process dies in the middle of an
audit; one run is launched twice. The rest is settings: monitoring, retries, a longest runtime.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import psycopg
import pytest
import yaml

from growth_pipeline.definitions import defs
from growth_pipeline_tests.fakes.dagster_backfill import ask
from growth_pipeline_tests.fakes.running_demo import marked, plain_environment

SCHEDULER_FLAGS = (
    *("TICK_CREATED", "TICK_HELD", "RUN_CREATED", "RUN_LAUNCHED", "RUN_ADDED", "TICK_SUCCESS"),
)
SENSOR_FLAGS = ("TICK_CREATED", "TICK_HELD", "RUN_CREATED", "RUN_LAUNCHED")
BACK_SECONDS = 300
SOURCE = Path(__file__).parents[2]


# --- the daemon ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dagster_home(tmp_path_factory, postgres_server) -> Iterator[Path]:
    """An instance of our own dagster.yaml on a database of its own."""
    name = f"growth_dagster_{os.getpid()}"
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name}")
    home = tmp_path_factory.mktemp("dagster")
    config = yaml.safe_load((SOURCE / "dagster.yaml").read_text())
    url = postgres_server.url(name).replace("postgresql://", "postgresql+psycopg2://", 1)
    config["storage"]["postgres"]["postgres_url"] = url
    (home / "dagster.yaml").write_text(yaml.safe_dump(config))
    yield home
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def product_url(postgres_server, migrated_template) -> Iterator[str]:
    """The product's own database, which some sensors look into."""
    name = f"growth_product_{os.getpid()}"
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name} template {migrated_template}")
    yield postgres_server.url(name)
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def daemon(dagster_home, product_url) -> Iterator[subprocess.Popen[str]]:
    """Carries out one iteration an order, each in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "growth_pipeline_tests.fakes.dagster_daemon_process"],
        env=plain_environment(
            DAGSTER_HOME=str(dagster_home),
            GROWTH_DATABASE_URL=product_url,
            GROWTH_HISTORY_START="2025-01",
        ),
        cwd=SOURCE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def instance(dagster_home) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        yield instance


def iterate(daemon: subprocess.Popen[str], **order: Any) -> bool:
    """One iteration; whether it was killed at its flag."""
    assert daemon.stdin is not None
    assert daemon.stdout is not None
    daemon.stdin.write(json.dumps(order) + "\n")
    daemon.stdin.flush()
    answer = json.loads(daemon.stdout.readline())
    assert not answer["failed"], order
    return answer["killed"]


def asked_for(instance: dg.DagsterInstance) -> Counter[str]:
    """How often each run was asked for, by its run key."""
    runs = instance.get_runs(dg.RunsFilter(job_name="audit_job"))
    return Counter(run.tags["dagster/run_key"] for run in runs)


def test_a_scheduler_killed_at_any_flag_asks_for_each_audit_once(
    daemon, instance, seed, acceptance_line
):
    # The first iteration writes down that the schedule runs; it has no tick yet.
    iterate(daemon, loop="scheduler", name="", now=datetime.now(UTC).isoformat())
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    due: Counter[str] = Counter()
    survived = []
    for place, flag in enumerate(SCHEDULER_FLAGS, start=1):
        day = midnight + timedelta(days=place)
        at = (day + timedelta(minutes=1)).isoformat()
        order = {"loop": "scheduler", "name": "daily_audit_schedule", "now": at}
        if not iterate(daemon, **order, flag=flag):
            survived.append(flag)
        iterate(daemon, **order)
        last_month = day - timedelta(seconds=1)
        due[f"daily:{day:%Y-%m-%d}:{last_month:%Y-%m}"] += 1
        if day.day <= 5 and day.month != last_month.month:  # the setting's default
            due[f"daily:{day:%Y-%m-%d}:{day:%Y-%m}"] += 1
        elif day.day <= 5:
            before = day.replace(day=1) - timedelta(days=1)
            due[f"daily:{day:%Y-%m-%d}:{before:%Y-%m}"] += 1
    known = asked_for(instance)
    found = Counter({key: times for key, times in known.items() if key.startswith("daily:")})
    violations = [f"{flag}: not killed" for flag in survived]
    violations += [
        f"{key} {found[key]} times, not {due[key]}"
        for key in (due | found)
        if due[key] != found[key]
    ]
    acceptance_line(
        "R16 scheduler", violations=violations, kills=len(SCHEDULER_FLAGS), runs=found.total()
    )


def test_a_sensor_killed_at_any_flag_asks_for_each_missing_audit_once(
    daemon, instance, acceptance_line
):
    instance.report_runless_asset_event(
        dg.AssetMaterialization(dg.AssetKey(["billing", "charges_extract"]), partition="2025-01")
    )
    # Dagster's clock alone goes on: a sensor is evaluated once in half an hour.
    hours = iter(datetime.now(UTC) + timedelta(hours=place) for place in range(100))
    violations = []
    runs = 0
    for flag in SENSOR_FLAGS:
        order = {"loop": "sensors", "name": "missing_audits_sensor"}
        if not iterate(daemon, **order, flag=flag, now=next(hours).isoformat()):
            violations.append(f"{flag}: not killed")
        iterate(daemon, **order, now=next(hours).isoformat())
        if flag == SENSOR_FLAGS[-1]:
            iterate(daemon, **order, now=next(hours).isoformat())
        gaps = [
            run
            for run in instance.get_runs(dg.RunsFilter(job_name="audit_job"))
            if run.tags["dagster/run_key"].startswith("gap:")
        ]
        found = Counter(run.tags["dagster/run_key"] for run in gaps)
        violations += [f"{flag}: {key} {times} times" for key, times in found.items() if times > 1]
        violations += [] if found else [f"{flag}: nothing was asked for"]
        runs += found.total()
        for run in gaps:  # so that the next flag has the same gap before it
            instance.delete_run(run.run_id)
    acceptance_line("R16 sensor", violations=violations, kills=len(SENSOR_FLAGS), runs=runs)


# --- a run's process -----------------------------------------------------------------------------


def launch_audit(demo, month: str) -> str:
    """An audit started as the UI does; the run's id."""
    data = ask(
        demo,
        """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
          __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
        params={
            "selector": {
                "repositoryLocationName": "growth_pipeline",
                "repositoryName": "__repository__",
                "jobName": "audit_job",
            },
            "runConfigData": {},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": month}]},
        },
    )["launchRun"]
    assert data["__typename"] == "LaunchRunSuccess", data
    return str(data["run"]["runId"])


def status_of(demo, run: str) -> str:
    data = ask(
        demo, "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run
    )
    return str(data["runOrError"]["status"])


def processes_of(demo, run: str) -> set[int]:
    """Processes that said that they carry out steps of a run."""
    data = ask(
        demo,
        """query ($id: ID!) { logsForRun(runId: $id) { ... on EventConnection {
          events { __typename ... on MessageEvent { message } } } } }""",
        id=run,
    )
    messages = [event.get("message") or "" for event in data["logsForRun"]["events"]]
    found = (re.search(r"Executing steps in process \(pid: (\d+)\)", one) for one in messages)
    return {int(match[1]) for match in found if match}


def retries_of(demo, run: str) -> list[dict[str, str]]:
    data = ask(
        demo,
        """query ($filter: RunsFilter!) { runsOrError(filter: $filter) { ... on Runs {
          results { runId status } } } }""",
        filter={"tags": [{"key": "dagster/root_run_id", "value": run}]},
    )
    return [one for one in data["runsOrError"]["results"] if one["runId"] != run]


def running(demo) -> list[str]:
    """Runs of the audit that have not ended."""
    data = ask(
        demo,
        """query ($filter: RunsFilter!) { runsOrError(filter: $filter) { ... on Runs {
          results { runId } } } }""",
        filter={
            "pipelineName": "audit_job",
            "statuses": ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"],
        },
    )
    return [one["runId"] for one in data["runsOrError"]["results"]]


def wait_until(demo, condition, seconds: float = BACK_SECONDS) -> float:
    """Seconds until something holds. Fails when it does not come."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, (demo.folder / "progress.txt").read_text()
        time.sleep(0.3)
    return time.monotonic() - started


def audits_of(demo, month: str) -> list[tuple[str, str, int]]:
    """Verdict, findings by class, and number of open findings of the month, newest audit first."""
    url = demo.variables()["GROWTH_DATABASE_URL"]
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select verdict, counts::text, (select count(*) from audit.findings f"
            " where f.month = a.month and f.closed_at is null)"
            " from audit.audits a where month = %s::date order by finished_at desc",
            (f"{month}-01",),
        ).fetchall()


def test_an_audit_whose_process_is_killed_comes_back_and_gives_the_same_answer(
    demo, acceptance_line
):
    month = demo.months()[0]
    before = audits_of(demo, month)
    run = launch_audit(demo, month)
    wait_until(demo, lambda: processes_of(demo, run))
    for pid in processes_of(demo, run):
        assert pid in {process.pid for process in marked(demo.folder)}
        psutil.Process(pid).send_signal(signal.SIGKILL)
    seconds = wait_until(
        demo, lambda: any(one["status"] == "SUCCESS" for one in retries_of(demo, run))
    )
    wait_until(demo, lambda: not running(demo))
    violations = [] if status_of(demo, run) == "FAILURE" else ["the killed run does not say so"]
    after = audits_of(demo, month)
    violations += [] if after[0] == before[0] else [f"{before[0]} became {after[0]}"]
    violations += [] if len(after) == len(before) + 1 else ["the month was not audited once"]
    acceptance_line("R16 worker", violations=violations, kills=1, back_seconds=round(seconds, 1))


def test_one_run_launched_twice_gives_one_audit(demo, acceptance_line):
    month = demo.months()[0]
    before = audits_of(demo, month)
    run = launch_audit(demo, month)
    done = subprocess.run(
        [sys.executable, "-m", "growth_pipeline_tests.fakes.second_worker", run],
        cwd=SOURCE,
        env=plain_environment(**demo.variables()),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    # Dagster calls a run failed whose second process starts beside the first, and repeats it.
    seconds = wait_until(
        demo,
        lambda: (
            "SUCCESS" in {status_of(demo, run), *(one["status"] for one in retries_of(demo, run))}
        ),
    )
    wait_until(demo, lambda: not running(demo))
    after = audits_of(demo, month)
    violations = [] if after[0] == before[0] else [f"{before[0]} became {after[0]}"]
    violations += [] if {one[2] for one in after} == {before[0][2]} else ["other open findings"]
    acceptance_line("R16 twice", violations=violations, launches=2, back_seconds=round(seconds, 1))


# --- settings ------------------------------------------------------------------------------------


def test_runs_are_watched_retried_and_bounded():
    config = yaml.safe_load((SOURCE / "dagster.yaml").read_text())
    assert config["run_monitoring"]["enabled"] is True
    assert config["run_monitoring"]["max_runtime_seconds"] > 0
    assert config["run_retries"]["enabled"] is True
    assert config["run_retries"]["max_retries"] > 0
    jobs = [job for job in defs.jobs or () if not job.name.startswith("__")]
    assert len(jobs) >= 7
    without = [job.name for job in jobs if int((job.tags or {}).get("dagster/max_runtime", 0)) <= 0]
    assert without == []
