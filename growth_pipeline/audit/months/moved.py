"""How many payments moved since the audit before, on each side. Counts only; nothing here judges.

Contract: docs/metrics.md, "Timing".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from growth_pipeline.audit.months.changes import Previous
from growth_pipeline.audit.queries import QueryEngine, Table, or_empty
from growth_pipeline.audit.sources import Sources
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.periods import UTC_NAME
from growth_pipeline.storage.engine import CreatedBetween
from growth_pipeline.storage.sql import load_sql

_COMPARED: Final = ("charges", "refunds", "disputes")


@dataclass(frozen=True)
class BooksState:
    """The month's booked rows under one name, and how many were written since an instant."""

    state: str
    written_since: int


def books_state(engine: QueryEngine, books: Table, since: datetime | None) -> BooksState:
    """The name of all booked rows of the month as they are; equal names: nothing changed."""
    params = {"since": int(since.timestamp()) if since else 0}
    (row,) = engine.query(load_sql("audit/books_state"), {"books": books}, params).to_dicts()
    return BooksState(row["state"], row["written_since"])


def changed_in_books(previous: Previous, state: BooksState) -> int | None:
    """How many booked rows changed since; None when some did without saying when."""
    before = _books_of(previous.sources).get("state")
    if before == state.state:
        return 0
    return state.written_since or None


def books_read_at(previous: Previous | None) -> datetime | None:
    """When the audit before read the books."""
    stated = _books_of(previous.sources).get("read_at") if previous else None
    return datetime.fromisoformat(stated) if stated else None


def changed_at_stripe(previous: Previous, sources: Sources, engine: QueryEngine) -> int | None:
    """How many payments of the month Stripe shows otherwise; None when the older files are gone."""
    before = {name: _files_of(previous.sources, name) for name in _COMPARED}
    if not all(name in sources.month and before[name] for name in _COMPARED):
        return None
    hashes = {one.sha256 for name in _COMPARED for one in sources.files[name]}
    if hashes == {one["sha256"] for files in before.values() for one in files}:
        return 0
    tables: dict[str, Table] = {}
    for name in _COMPARED:
        tables[name] = or_empty(sources.paths(name), name)
        tables[f"{name}_before"] = _within(sources, [one["path"] for one in before[name]])
    try:
        (row,) = engine.query(load_sql("audit/changed_charges"), tables).to_dicts()
    except GrowthError:  # the older files were pruned or lie elsewhere
        return None
    return int(row["changed"])


def _within(sources: Sources, paths: Sequence[str]) -> Table:
    period = sources.period
    if period.tz == UTC_NAME:
        return list(paths)
    start, end = int(period.start.timestamp()), int(period.end.timestamp())
    return CreatedBetween(tuple(paths), start, end)


def _files_of(sources: Sequence[Mapping[str, Any]], resource: str) -> list[Mapping[str, Any]]:
    return [one for one in sources if one.get("resource") == resource and "path" in one]


def _books_of(sources: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return sources[-1] if sources and "read_at" in sources[-1] else {}
