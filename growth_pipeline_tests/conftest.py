"""What tests of all slices share: a real Postgres, fresh databases, a lake, an engine, the seed.

`GROWTH_TEST_DATABASE_URL` names a Postgres server to use instead of the embedded one (a superuser,
or a role that may create databases). `GROWTH_TEST_SEED` repeats a run. `--full` adds large sizes.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from growth_pipeline.storage.engine import Engine
    from growth_pipeline.storage.lake import Lake
    from growth_pipeline.storage.postgres import Database
    from growth_pipeline_tests.fakes.ingest_server import IngestServer
    from growth_pipeline_tests.fakes.running_demo import RunningDemo

_ACCEPTANCE = "acceptance_line"
_FILES_ON_ONE_DEMO = {
    *("test_backfill.py", "test_cli_audit.py", "test_demo.py", "test_pages.py"),
    "test_r16_killed_dagster.py",
}
_LARGER_FOLDERS = {"acceptance", "browser", "integration"}
_LARGER_FILES = {"test_cli.py", "test_processes.py", "test_run_py.py"}


class PostgresServer(Protocol):
    def url(self, database: str) -> str: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the large sizes of acceptance tests")
    parser.addoption(
        "--unit", action="store_true", help="run only what needs no server and no browser"
    )


def pytest_configure() -> None:
    _seed()  # before xdist starts its workers, which inherit the environment


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--unit"):
        larger = [item for item in items if _is_larger_than_unit(item)]
        config.hook.pytest_deselected(items=larger)
        dropped = set(larger)
        items[:] = [item for item in items if item not in dropped]
    items.sort(key=_turn)
    if config.getoption("--full"):
        return
    skip = pytest.mark.skip(reason="large size: needs --full")
    for item in items:
        if "full" in item.keywords:
            item.add_marker(skip)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Workers get whole files, so that a database or a demo is made once for each.

    They come in the order of the collection, which has those that take long first.
    """
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False  # by number of tests: few of them take longest

    class WholeFiles(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return "demo" if Path(file).name in _FILES_ON_ONE_DEMO else file

    return WholeFiles(config, log) if config.getoption("numprocesses") else None


def _turn(item: pytest.Item) -> int:
    """What starts processes or plays a whole company comes first: at the end, all would wait."""
    place = item.path.relative_to(Path(__file__).parent)
    if place.name in _FILES_ON_ONE_DEMO:
        return 0
    return 1 if place.parts[0] in _LARGER_FOLDERS or place.name in _LARGER_FILES else 2


def _is_larger_than_unit(item: pytest.Item) -> bool:
    """Whether a test needs a database, a demo, a browser, or starts programs."""
    needs = set(getattr(item, "fixturenames", ())) & {"postgres_server", "demo"}
    place = item.path.relative_to(Path(__file__).parent)
    return bool(needs) or place.parts[0] in _LARGER_FOLDERS or place.name in _LARGER_FILES


def pytest_report_header() -> str:
    return f"seed: GROWTH_TEST_SEED={_seed()}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    lines = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == _ACCEPTANCE
    ]
    if lines:
        terminalreporter.section("acceptance")
        for line in sorted(lines):
            terminalreporter.write_line(line)


def _seed() -> int:
    """One seed for all workers of a run: xdist hands the environment to its workers."""
    return int(os.environ.setdefault("GROWTH_TEST_SEED", str(secrets.randbelow(2**31))))


@pytest.fixture(scope="session")
def seed() -> int:
    """The run's seed; a failed test shows it, GROWTH_TEST_SEED repeats it."""
    sys.stdout.write(f"GROWTH_TEST_SEED={_seed()}\n")
    return _seed()


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the run asked for large sizes."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def acceptance_line(request: pytest.FixtureRequest, seed: int) -> Callable[..., str]:
    """Prints the one JSON line of an acceptance test: `acceptance_line("R18", load=…, faults=…)`.

    Fails when `violations` is not empty (or not 0): a promise holds or the test is red.
    """

    def line(id: str, *, violations: Any, **figures: Any) -> str:
        text = json.dumps({"id": id, "seed": seed, "violations": violations} | figures, default=str)
        request.node.user_properties.append((_ACCEPTANCE, text))
        sys.stdout.write(text + "\n")
        assert not violations, text
        return text

    return line


# --- Postgres ------------------------------------------------------------------------------------


class GivenServer:
    """A server named in GROWTH_TEST_DATABASE_URL; the path of its address is replaced."""

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, database: str) -> str:
        from urllib.parse import urlsplit, urlunsplit

        changed = urlunsplit(urlsplit(self._url)._replace(path=f"/{database}"))
        return changed if "://" in changed else changed.replace(":/", ":///", 1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A Postgres of this test process, with its own folder; stopped and removed at the end."""
    from growth_pipeline.storage.embedded import start_embedded

    if given := os.environ.get("GROWTH_TEST_DATABASE_URL"):
        yield GivenServer(given)
        return
    folder = Path(tempfile.mkdtemp(prefix="growth-test-"))
    server = start_embedded(folder)
    try:
        _without_syncs(server)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _execute(server: PostgresServer, statement: str) -> None:
    import psycopg

    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(statement)


def _without_syncs(server: PostgresServer) -> None:
    """Waits for the disk guard against a power cut; what a killed process wrote is kept without."""
    for setting in ("fsync", "full_page_writes"):
        _execute(server, f"alter system set {setting} = off")
    _execute(server, "select pg_reload_conf()")


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> Iterator[str]:
    """Name of a migrated database that others are cloned from."""
    from growth_pipeline.storage.migrations import migrate

    name = f"growth_template_{uuid.uuid4().hex[:12]}"
    _execute(postgres_server, f"create database {name}")
    migrate(postgres_server.url(name))
    yield name
    _execute(postgres_server, f"drop database {name} with (force)")


@pytest.fixture
def database_url(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """Address of a new, migrated, empty database of this test."""
    with _new_database(postgres_server, migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """The same for all tests of a module: what they leave is there for the next."""
    with _new_database(postgres_server, migrated_template) as url:
        yield url


@contextmanager
def _new_database(server: PostgresServer, template: str) -> Iterator[str]:
    name = f"growth_test_{uuid.uuid4().hex[:12]}"
    _execute(server, f"create database {name} template {template}")
    yield server.url(name)
    _execute(server, f"drop database {name} with (force)")


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Address of a new database without any migration."""
    name = f"growth_test_{uuid.uuid4().hex[:12]}"
    _execute(postgres_server, f"create database {name}")
    yield postgres_server.url(name)
    _execute(postgres_server, f"drop database {name} with (force)")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A `Database` on a new, migrated database."""
    from growth_pipeline.storage.postgres import Database

    with Database(database_url, max_size=8) as opened:
        yield opened


@pytest.fixture
def ingest_server(database_url: str, tmp_path: Path) -> Iterator[IngestServer]:
    """The web app on a new database, with a write key, behind a real server on loopback."""
    from growth_pipeline_tests.fakes.ingest_server import ingest_serving

    with ingest_serving(database_url, tmp_path) as server:
        yield server


# --- a running demo ------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """A small demo that is up, shared by all tests of a process; nothing of it is left at the end."""
    from growth_pipeline_tests.fakes.running_demo import SMALL, marked, start_demo, wait_for_card

    folder = tmp_path_factory.mktemp("demo")
    process = start_demo(folder, *SMALL)
    try:
        yield wait_for_card(folder, process)
    finally:
        process.terminate()
        code = process.wait(30)
        if process.stdout is not None:
            process.stdout.close()
    assert (code, marked(folder)) == (0, []), "SIGTERM left something of the demo"


# --- lake and engine -----------------------------------------------------------------------------


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake in a folder of this test."""
    from growth_pipeline.storage.lake import Lake

    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """The analytics engine with small bounds, spilling into a folder of this test."""
    from growth_pipeline.storage.engine import Engine

    return Engine(memory_limit="512MiB", threads=2, temp_dir=tmp_path / "spill")
