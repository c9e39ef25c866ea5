"""Where the pipeline lives on this machine: state folder, databases, Dagster's home, environment.

Every command opens it first. It alone decides between the configured Postgres, the embedded one and
a running demo, and puts what children and Dagster read into the environment.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.core.ids import Scope
from growth_pipeline.operate.store import Mode, check_mode, claim_mode, ensure_database
from growth_pipeline.settings import Settings, environment, load_settings
from growth_pipeline.storage.embedded import EmbeddedServer, start_embedded
from growth_pipeline.storage.migrations import migrate, pending
from growth_pipeline.storage.postgres import Database, dagster_url, normalise_url

DAGSTER_DATABASE = "growth_dagster"
DEMO_FOLDER = "demo"
DEMO_ENVIRONMENT = "demo.env"
DEMO_LOCK = "lock"
_PACKAGE = Path(__file__).resolve().parents[1]

# Events of a step go to the database in batches, and a ranged run plans one event for each asset:
# measured 23 s -> 0.7 s for a year of days.
DAGSTER_SPEED = {
    "DAGSTER_EVENT_BATCH_SIZE": "500",
    "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "1",
}
_LOOPBACK = "127.0.0.1,localhost,::1"


@dataclass(frozen=True)
class Home:
    """A place the pipeline lives in, with running databases.

    `database_url` is for psycopg, `dagster_database_url` for Dagster. Neither may be printed.
    """

    state_dir: Path
    dagster_home: Path
    database_url: str = field(repr=False)
    dagster_database_url: str = field(repr=False)
    server: EmbeddedServer | None = field(default=None, repr=False)
    is_demo: bool = False

    @property
    def logs(self) -> Path:
        """Folder of the children's logs."""
        return self.state_dir / "logs"

    @property
    def workspace(self) -> Path:
        """Dagster's workspace file."""
        return self.dagster_home / "workspace.yaml"

    def variables(self) -> dict[str, str]:
        """What a process must have in its environment to live here."""
        return {
            **DAGSTER_SPEED,
            "DAGSTER_HOME": str(self.dagster_home),
            "GROWTH_STATE_DIR": str(self.state_dir),
            "GROWTH_DATABASE_URL": self.database_url,
            "GROWTH_DAGSTER_DATABASE_URL": self.dagster_database_url,
        }


@contextmanager
def open_home(settings: Settings | None = None) -> Iterator[Home]:
    """The home of this folder's configuration; its variables are in the environment inside.

    With a GROWTH_DATABASE_URL that Postgres is used. Without one and without a Stripe key, a demo
    that runs in this folder is. Else the embedded server of the state folder: started if needed,
    and stopped again by the last of the processes that use it.
    Raises: ConfigurationError, RemoteUnavailableError.
    """
    settings = settings or load_settings()
    with ExitStack() as stack:
        home = running_demo_home(settings) or _configured(settings, stack)
        if not home.is_demo:
            environment().update(home.variables())
        yield home


def migrate_home(home: Home, *, explicitly: bool = False) -> list[str]:
    """Bring the home's database up to date and see that it holds what it should; names applied.

    A database of the user's own is changed by `growth migrate` only.
    Raises: ConfigurationError when it is behind, or holds the other kind of data or Stripe mode.
    """
    waiting = pending(home.database_url)
    if waiting and home.server is None and not explicitly:
        raise _is_behind(waiting)
    applied = migrate(home.database_url) if waiting else []
    claim_mode(home.database_url, _mode_of(home))
    bind_stripe_mode(home.database_url, load_settings())
    return applied


def check_home(home: Home) -> None:
    """See that the home's database is up to date and may be used as configured; writes nothing.

    For dry runs: what a database is for, whoever really writes there says.
    Raises: ConfigurationError when it is behind, or holds the other kind of data or Stripe mode.
    """
    waiting = pending(home.database_url)
    if waiting:
        raise _is_behind(waiting)
    check_mode(home.database_url, _mode_of(home))
    bind_stripe_mode(home.database_url, load_settings(), dry_run=True)


def bind_stripe_mode(url: str, settings: Settings, *, dry_run: bool = False) -> None:
    """See that a migrated database is for the mode of the settings' Stripe key, if there is one.

    The first key that is used says it, for ever; not so in a dry run.
    Raises: ConfigurationError when it holds rows of the other mode.
    """
    from growth_pipeline.billing.store import BillingStore

    stripe = settings.stripe
    if stripe.api_key is None:
        return
    with Database(url, application_name="growth") as database:
        database.dry_run = dry_run
        scope = Scope(stripe.account_id, stripe.livemode)
        BillingStore(database).bind_mode(scope, now=datetime.now(UTC))


def is_configured(settings: Settings) -> bool:
    """Whether somebody named a database or a Stripe key here; then a demo is never used instead."""
    return settings.database_url is not None or settings.stripe.api_key is not None


def demo_dir(settings: Settings) -> Path:
    """Folder with everything of the demo that belongs to this state folder."""
    return settings.state_dir.expanduser().resolve() / DEMO_FOLDER


def is_demo_stopped(settings: Settings) -> bool:
    """Whether nothing is configured here but a demo that does not run."""
    folder = demo_dir(settings)
    return not is_configured(settings) and folder.is_dir() and not is_locked(folder / DEMO_LOCK)


def is_demo_running(settings: Settings) -> bool:
    """Whether a command here would use the running demo."""
    return not is_configured(settings) and is_locked(demo_dir(settings) / DEMO_LOCK)


def place_of(home: Home) -> str:
    """Which database that is, for a person; no user, no password."""
    if home.is_demo:
        return f"the database of the running demo ({home.state_dir})"
    if home.server is not None:
        return f"the embedded database in {home.state_dir}"
    parts = urlsplit(home.database_url)
    host = (parts.netloc.rpartition("@")[2]) or "this machine"
    return f"the database {parts.path.lstrip('/') or 'of the user'} on {host}"


def running_demo_home(settings: Settings) -> Home | None:
    """The demo that runs in this state folder, if one does and nothing else is configured.

    The demo's variables replace all of ours, so that no setting of the folder's `.env` reaches it.
    """
    folder = demo_dir(settings)
    if is_configured(settings) or not is_locked(folder / DEMO_LOCK):
        return None
    try:
        text = (folder / DEMO_ENVIRONMENT).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None  # it starts or ends just now
    variables = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    replace_variables(variables)
    os.chdir(folder)
    return demo_home(folder, variables)


def demo_home(folder: Path, variables: Mapping[str, str]) -> Home:
    """The home that a demo's variables describe."""
    return Home(
        state_dir=folder,
        dagster_home=Path(variables["DAGSTER_HOME"]),
        database_url=variables["GROWTH_DATABASE_URL"],
        dagster_database_url=variables["GROWTH_DAGSTER_DATABASE_URL"],
        is_demo=True,
    )


def replace_variables(variables: Mapping[str, str]) -> None:
    """Make these the only variables of ours and of Dagster in this process's environment."""
    mine = environment()
    for name in [name for name in mine if name.startswith(("GROWTH_", "DAGSTER_"))]:
        del mine[name]
    mine.update(variables)


def inherited() -> dict[str, str]:
    """The environment for children of a demo: ours without settings, loopback past any proxy."""
    mine = environment()
    kept = {k: v for k, v in mine.items() if not k.startswith(("GROWTH_", "DAGSTER_"))}
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = ",".join(filter(None, (kept.get(name), _LOOPBACK)))
    return kept


# --- parts ---------------------------------------------------------------------------------------


def _mode_of(home: Home) -> Mode:
    return "demo" if home.is_demo else "real"


def _is_behind(waiting: Sequence[str]) -> ConfigurationError:
    return ConfigurationError(
        f"the database lacks {len(waiting)} migration(s), the first is {waiting[0]}",
        remedy="growth migrate",
    )


def _configured(settings: Settings, stack: ExitStack) -> Home:
    state_dir = settings.state_dir.expanduser().resolve()
    _make_folder(state_dir)
    server = None
    if settings.database_url is not None:
        url = normalise_url(settings.database_url.get_secret_value())
    else:
        server = stack.enter_context(embedded_server(state_dir))
        url = server.url("growth")
    if settings.dagster_database_url is not None:
        dagster = settings.dagster_database_url.get_secret_value()
    elif server is not None:
        dagster = server.url(DAGSTER_DATABASE)
    else:
        dagster = ensure_database(url, DAGSTER_DATABASE)
    return Home(
        state_dir=state_dir,
        dagster_home=dagster_home(state_dir),
        database_url=url,
        dagster_database_url=dagster_url(dagster),
        server=server,
    )


@contextmanager
def embedded_server(state_dir: Path) -> Iterator[EmbeddedServer]:
    """The state folder's own Postgres while somebody uses it; the last user stops it.

    Every user holds a shared lock; whoever can make it exclusive at its end is the last.
    """
    with (state_dir / "postgres.users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        server = start_embedded(state_dir)
        try:
            yield server
        finally:
            if _try_lock(users):
                server.stop()


def dagster_home(state_dir: Path) -> Path:
    """Folder with Dagster's two files: DAGSTER_HOME if set, the checkout, else beside the state.

    A wheel brings the files along; they are copied where they can be read and changed.
    """
    if given := environment().get("DAGSTER_HOME"):
        return Path(given)
    checkout = _PACKAGE.parent
    if (checkout / "dagster.yaml").exists() and (checkout / "pyproject.toml").exists():
        return checkout
    return copy_dagster_files(state_dir / "dagster")


def copy_dagster_files(folder: Path) -> Path:
    """A Dagster home at `folder`, with the two files as this package brings them."""
    source = next(
        (place for place in (_PACKAGE / "_home", _PACKAGE.parent) if _is_dagster_home(place)), None
    )
    if source is None:
        raise ConfigurationError(
            "dagster.yaml is missing from the installed package",
            remedy="install the package again, or set DAGSTER_HOME to a folder that has one",
        )
    _make_folder(folder)
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copyfile(source / name, folder / name)
    return folder


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock file. The kernel frees it when that process ends."""
    try:
        with path.open() as lock:
            return not _try_lock(lock)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return False


def _is_dagster_home(folder: Path) -> bool:
    return (folder / "dagster.yaml").exists()


def _try_lock(stream: IO[str]) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the folder {folder} cannot be made: {error.strerror}",
            remedy="set GROWTH_STATE_DIR to a folder you may write",
        ) from None
