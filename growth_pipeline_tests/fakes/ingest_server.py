"""The real web app that takes events: served on loopback, or as a process that can be killed."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from growth_pipeline.events.ingest.ingest_store import IngestStore, NewKey
from growth_pipeline.settings import EventSettings, Settings
from growth_pipeline.storage.postgres import Database
from growth_pipeline.web.app import create_app
from growth_pipeline_tests.fakes.web_server import serve


def basic(key: str) -> dict[str, str]:
    """The header with which SDKs show a write key."""
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


def create_key(url: str, source: str = "app", origins: Sequence[str] = ()) -> NewKey:
    """A write key in a database."""
    with Database(url, application_name="test") as database:
        return IngestStore(database).create_key(source, origins, now=datetime.now(UTC))


@dataclass
class IngestServer:
    """A running ingest: its address, a write key, a client that shows the key, its database."""

    url: str
    key: str
    key_id: int
    client: httpx.Client
    database: Database
    counts: dict[str, int]

    def post(self, path: str, document: Any, **options: Any) -> httpx.Response:
        """Post JSON, or bytes as they are, with the write key."""
        if isinstance(document, bytes | str):
            return self.client.post(path, content=document, **options)
        return self.client.post(path, json=document, **options)

    def rows(self, query: str = "select * from events.events order by message_id") -> list[Any]:
        """Rows of a query, as dictionaries."""
        with self.database.connection() as connection:
            cursor = connection.execute(query)
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@contextmanager
def ingest_serving(
    url: str,
    folder: Path,
    *,
    clock: Any = None,
    origins: Sequence[str] = (),
    around: Callable[[Any], Any] = lambda app: app,
    **events: Any,
) -> Iterator[IngestServer]:
    """The app on a database of its own, behind a real uvicorn in this process.

    `around`: makes what is served of the app, as something that spoils its answers.
    """
    made = create_key(url, origins=origins)
    settings = Settings(
        _env_file=None,
        database_url=SecretStr(url),
        state_dir=folder,
        log_level="WARNING",
        events=EventSettings(**events),
    )
    app = create_app(settings, clock=clock)
    with (
        serve(around(app)) as address,
        httpx.Client(
            base_url=address, timeout=30, trust_env=False, headers=basic(made.key)
        ) as client,
        Database(url, application_name="test") as database,
    ):
        yield IngestServer(address, made.key, made.key_id, client, database, app.state.event_counts)
