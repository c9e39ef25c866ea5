"""Opens the database that a command of a terminal works on.

What the command does there is its own matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from growth_pipeline.operate.home import Home, check_home, migrate_home, open_home
from growth_pipeline.operate.logs import log_for_a_person
from growth_pipeline.storage.postgres import Database

Say = Callable[[str], None]


@contextmanager
def open_database(
    say: Say,
    *,
    read_only: bool = False,
    name: str = "growth command",
    max_size: int = 8,
    tells_demo: bool = False,
) -> Iterator[tuple[Home, Database]]:
    """The database of this folder's configuration, or of the demo that runs here.

    Who only reads does not bring it up to date. `name`: what Postgres lists the connections as.
    `tells_demo`: whether to say so when it is the demo's.
    Raises: ConfigurationError, RemoteUnavailableError.
    """
    log_for_a_person(say)
    with open_home() as home:
        if tells_demo and home.is_demo:
            say(f"nothing is configured here: the running demo is used ({home.state_dir})")
        (check_home if read_only else migrate_home)(home)
        with Database(home.database_url, max_size=max_size, application_name=name) as database:
            yield home, database
