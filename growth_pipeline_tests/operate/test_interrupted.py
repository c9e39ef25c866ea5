"""A signal in the middle of work: it is told as a signal, and the work does not go on without us."""

import os
import signal
import subprocess
import sys
import time

import psycopg
import pytest

WORK = """
import sys
from pathlib import Path
import sqlalchemy
from growth_pipeline.operate.processes import Interrupted, Supervisor
from growth_pipeline.storage.postgres import connect
engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: connect(sys.argv[2]))
try:
    with Supervisor(Path(sys.argv[1])), engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("select pg_sleep(600)")
except Interrupted as interrupted:
    sys.exit(interrupted.exit_code)
"""

BREAKS_ON_THE_WAY_OUT = """
import sys
from pathlib import Path
from growth_pipeline.operate.processes import Interrupted, Supervisor
try:
    with Supervisor(Path(sys.argv[1])) as supervisor:
        try:
            print("up", flush=True)
            supervisor.wait_until(lambda: False, what="nothing", seconds=600)
        finally:
            raise ValueError("it was cut in the middle")
except Interrupted as interrupted:
    sys.exit(interrupted.exit_code)
"""


def _start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _sleepers(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "select count(*) from pg_stat_activity"
            " where datname = current_database() and wait_event = 'PgSleep'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def _wait_for_sleepers(url: str, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while _sleepers(url) != count:
        assert time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_statement_is_an_end_by_signal_and_ends_the_statement(
    tmp_path, database_url, number
):
    process = _start(WORK, str(tmp_path), database_url)
    _wait_for_sleepers(database_url, 1, process)
    process.send_signal(number)
    said = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
    assert said == ("", "")
    _wait_for_sleepers(database_url, 0, process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_breaks_on_the_way_out_does_not_hide_the_signal(tmp_path, number):
    process = _start(BREAKS_ON_THE_WAY_OUT, str(tmp_path))
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(number)
    said = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
