"""Runs the pipeline's own processes on this machine: web app, Dagster's UI, its daemon.

The demo starts the same processes with its own settings; `growth dev` lets Dagster reload code.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.operate.home import Home, migrate_home
from growth_pipeline.operate.processes import Child, Supervisor, free_port
from growth_pipeline.settings import Settings, environment

Say = Callable[[str], None]

LOOPBACK = "127.0.0.1"
LOCATION = "growth_pipeline"
_DEFINITIONS = "growth_pipeline.definitions"
_READY_SECONDS = 60.0
_CUT_SECONDS = "2"


@dataclass(frozen=True)
class Address:
    """Where something of ours listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """As a browser on this machine takes it."""
        host = LOOPBACK if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def choose_address(host: str, wanted: int, *, what: str, say: Say) -> Address:
    """The wanted port, or a free one if it is taken; the replacement is said."""
    port = free_port(host, wanted)
    if port != wanted and wanted:
        say(f"port {wanted} is taken: {what} listens on {port}")
    return Address(host, port)


def answers(url: str) -> bool:
    """Whether an address of this machine answers with something better than a server error."""
    try:
        with httpx.Client(trust_env=False, timeout=2) as client:
            return client.get(url).status_code < httpx.codes.INTERNAL_SERVER_ERROR
    except httpx.TransportError:
        return False


@dataclass(frozen=True)
class Crew:
    """Starts our processes under one supervisor, with one environment and working folder."""

    supervisor: Supervisor
    environment: Mapping[str, str]
    folder: Path

    def start(
        self,
        name: str,
        *arguments: str,
        more: Mapping[str, str] | None = None,
        **options: bool,
    ) -> Child:
        """A program of this Python: a module and its arguments; options as the supervisor's.

        `more` are variables for this program alone.
        """
        return self.supervisor.start(
            name,
            [sys.executable, "-m", *arguments],
            environment={**self.environment, **(more or {})},
            folder=self.folder,
            **options,
        )

    def start_web(self, address: Address, *, reload: bool = False, aloud: bool = False) -> Child:
        """The web app: pages and webhooks; and the process that applies what it receives.

        A web app that reloads its code applies by itself, so that this is reloaded too.
        """
        where = ["--host", address.host, "--port", str(address.port)]
        quiet = ["--no-access-log", "--no-server-header", "--log-level", "warning"]
        end = ["--timeout-graceful-shutdown", _CUT_SECONDS]
        again = ["--reload", "--reload-dir", str(_package())] if reload else []
        app = "growth_pipeline.web.app:create_app"
        options = ["--factory", *where, *quiet, *end, *again]
        if reload:
            return self.start("web", "uvicorn", app, *options, aloud=aloud)
        self.start("apply", "growth_pipeline.operate.applier", aloud=aloud)
        receives_only = {"GROWTH_WEB__APPLIES_EVENTS": "false"}
        return self.start("web", "uvicorn", app, *options, more=receives_only, aloud=aloud)

    def start_code(self, runtime: Path) -> Path:
        """The one code server, on a socket; the workspace file that names it.

        Shared by UI and daemon: each would start its own, 140 MB apiece.
        """
        socket = runtime / "code.sock"
        where = ["--socket", str(socket), "--location-name", LOCATION]
        more = ["--use-python-environment-entry-point", "--log-level", "warning"]
        self.start("dagster-code", "dagster", "api", "grpc", *where, "-m", _DEFINITIONS, *more)
        workspace = runtime / "workspace.yaml"
        workspace.write_text(
            "load_from:\n  - grpc_server:\n"
            f"      host: localhost\n      socket: {socket}\n      location_name: {LOCATION}\n",
            encoding="utf-8",
        )
        self.supervisor.wait_until(
            socket.exists, what="Dagster's code server", seconds=_READY_SECONDS
        )
        return workspace

    def start_ui(self, workspace: Path, address: Address) -> Child:
        """Dagster's UI. It has no login, so it listens on loopback."""
        where = ["-h", address.host, "-p", str(address.port)]
        return self.start("dagster-ui", "dagster_webserver", "-w", str(workspace), *where)

    def start_daemon(self, workspace: Path) -> Child:
        """Schedules, sensors, queue and backfills. Exactly one may run."""
        return self.start("dagster-daemon", "dagster._daemon", "run", "-w", str(workspace))

    def wait_for(self, url: str, *, what: str) -> None:
        """Wait until an address answers. Raises: ChildEndedError, GrowthError."""
        self.supervisor.wait_until(lambda: answers(url), what=what, seconds=_READY_SECONDS)


@contextmanager
def runtime_folder() -> Iterator[Path]:
    """A short private folder for sockets (their paths are limited to some 100 characters)."""
    folder = Path(tempfile.mkdtemp(prefix="growth-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def serve(home: Home, settings: Settings, *, with_dagster: bool, say: Say) -> None:
    """Run the web app, and with `with_dagster` Dagster's UI and daemon, until a signal comes.

    Alone, the web app's log goes where ours goes. Raises: ChildEndedError.
    """
    _refuse_demo(home)
    migrate_home(home)
    with runtime_folder() as runtime, _supervisor(home) as supervisor:
        crew = Crew(supervisor, environment(), Path.cwd())
        web = choose_address(settings.web.host, settings.web.port, what="the web app", say=say)
        crew.start_web(web, aloud=not with_dagster)
        crew.wait_for(f"{web.url}/healthz", what="the web app")
        say(f"web app   {web.url}")
        if with_dagster:
            workspace = crew.start_code(runtime)
            crew.start_daemon(workspace)
            ui = choose_address(LOOPBACK, settings.web.dagster_port, what="Dagster's UI", say=say)
            crew.start_ui(workspace, ui)
            crew.wait_for(f"{ui.url}/server_info", what="Dagster's UI")
            say(f"Dagster   {ui.url}   schedules and sensors run; logs in {home.logs}")
        say("Ctrl-C ends it")
        supervisor.wait_for_signal()


def develop(home: Home, settings: Settings, *, say: Say) -> None:
    """Web app and Dagster, both reloading changed code, until a signal comes."""
    _refuse_demo(home)
    migrate_home(home)
    with _supervisor(home) as supervisor:
        crew = Crew(supervisor, environment(), Path.cwd())
        web = choose_address(settings.web.host, settings.web.port, what="the web app", say=say)
        crew.start_web(web, reload=True)
        ui = choose_address(LOOPBACK, settings.web.dagster_port, what="Dagster's UI", say=say)
        where = ["-h", ui.host, "-p", str(ui.port)]
        crew.start("dagster-dev", "dagster", "dev", "-w", str(home.workspace), *where)
        crew.wait_for(f"{web.url}/healthz", what="the web app")
        say(f"web app   {web.url}")
        crew.wait_for(f"{ui.url}/server_info", what="Dagster's UI")
        say(f"Dagster   {ui.url}   (definitions: reload in its UI)")
        say(f"logs in {home.logs}; Ctrl-C ends everything")
        supervisor.wait_for_signal()


def _refuse_demo(home: Home) -> None:
    if home.is_demo:
        raise ConfigurationError(
            "a demo runs in this folder and nothing else is configured",
            remedy="end the demo, or set GROWTH_DATABASE_URL and GROWTH_STRIPE__API_KEY",
        )


def _supervisor(home: Home) -> Supervisor:
    server = home.server
    return Supervisor(home.logs, database_pid=lambda: server.pid if server else None)


def _package() -> Path:
    return Path(__file__).resolve().parents[1]
