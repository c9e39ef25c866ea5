"""Write keys for a terminal: made, listed with what came of them, revoked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from growth_pipeline.events.ingest.counts import DROPPED, Outcome
from growth_pipeline.events.ingest.ingest_store import IngestStore, KnownKey, NewKey
from growth_pipeline.events.ingest.keys import read_origins, read_source_name
from growth_pipeline.operate.database import open_database

Say = Callable[[str], None]


@dataclass(frozen=True)
class Created:
    """A new write key; None on a dry run. Its text is shown here and never again."""

    source: str
    origins: list[str]
    key: NewKey | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        made = self.key._asdict() if self.key else {}
        return {"source": self.source, "origins": self.origins, **made}

    def told(self) -> list[str]:
        """For a person, beside the key, so that a script reads the key alone."""
        pages = ", ".join(self.origins) or "none: servers only"
        kept = "keep the key, it is not shown again" if self.key else "dry run: no key was made"
        return [f"source {self.source}; pages that may use it: {pages}", kept]


@dataclass(frozen=True)
class Listed:
    """All write keys, with counts since a day (UTC)."""

    keys: list[KnownKey]
    without_key: dict[str, int]
    since: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        keys = [key._asdict() | {"origins": list(key.origins)} for key in self.keys]
        return {"since": self.since, "keys": keys, "without_key": self.without_key}

    def lines(self) -> list[str]:
        """For a person: one line a key."""
        lines = [_key_line(key) for key in self.keys]
        if not lines:
            lines = ["there is no write key yet: growth events keys create NAME"]
        if self.without_key:
            lines.append(f"no active key  {counts_in_words(self.without_key)}")
        return [*lines, f"counts since {self.since}"]


def create_key(source: str, origins: Sequence[str], *, dry_run: bool, say: Say) -> Created:
    """Make a write key of a source, new or known.

    Raises: UsageError for a name or origin that is none; RemoteUnavailableError.
    """
    name, pages = read_source_name(source), read_origins(origins)
    with open_database(say, read_only=dry_run) as (_, database):
        key = None
        if not dry_run:
            key = IngestStore(database).create_key(name, pages, now=datetime.now(UTC))
    return Created(name, pages, key)


def list_keys(days: int, *, say: Say) -> Listed:
    """All write keys, with what was counted today and on the days before, so many in all."""
    since = datetime.now(UTC).date() - timedelta(days=days - 1)
    with open_database(say, read_only=True) as (_, database):
        store = IngestStore(database)
        return Listed(store.keys(since), store.counts_without_key(since), since.isoformat())


def revoke_key(key_id: int, *, dry_run: bool, say: Say) -> datetime:
    """End a write key; when. Raises: UsageError when there is none of that id."""
    with open_database(say, read_only=dry_run) as (_, database):
        database.dry_run = dry_run
        return IngestStore(database).revoke_key(key_id, now=datetime.now(UTC))


def counts_in_words(counts: dict[str, int] | Any) -> str:
    """Counts in the order of their meaning; what SDKs gave up at once is called lost."""
    shown = [
        f"{counts[outcome.value]} {outcome.value}{' (lost)' if outcome in DROPPED else ''}"
        for outcome in Outcome
        if counts.get(outcome.value)
    ]
    return ", ".join(shown) or "nothing"


def _key_line(key: KnownKey) -> str:
    state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "active"
    pages = ",".join(key.origins) or "servers"
    words = counts_in_words(key.counts)
    return f"{key.key_id}  {key.source}  {key.shown}...  {state}  {pages}  {words}"
