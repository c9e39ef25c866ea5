"""Rejected calls for a terminal: listed, shown, read again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from growth_pipeline.core.errors import ExitCode, UsageError
from growth_pipeline.events.ingest.ingest_store import IngestStore, ListedLetter, ShownLetter
from growth_pipeline.events.ingest.replay import Replayed, Wanted, replay
from growth_pipeline.operate.database import open_database

Say = Callable[[str], None]


@dataclass(frozen=True)
class Letters:
    """Rejected calls, the newest first, and how many wait by the code of their reason."""

    letters: list[ListedLetter]
    waiting: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {"waiting": self.waiting, "dead_letters": [one._asdict() for one in self.letters]}

    def lines(self) -> list[str]:
        """For a person."""
        waiting = ", ".join(f"{count} {code}" for code, count in self.waiting.items())
        return [f"waiting: {waiting or 'none'}", *map(_letter_line, self.letters)]


def list_letters(limit: int, *, replayed: bool, reason: str | None, say: Say) -> Letters:
    """Rejected calls of this installation."""
    with open_database(say, read_only=True) as (_, database):
        store = IngestStore(database)
        letters = store.letters(limit=limit, replayed=replayed, reason=reason)
        return Letters(letters, store.count_letters())


def show_letter(dead_letter_id: int, *, say: Say) -> ShownLetter:
    """One rejected call, whole. Raises: UsageError when there is none of that id."""
    with open_database(say, read_only=True) as (_, database):
        return IngestStore(database).letter(dead_letter_id)


def replay_letters(
    dead_letter_id: int | None,
    *,
    everything: bool,
    reason: str | None,
    dry_run: bool,
    say: Say,
) -> Replayed:
    """Read rejected calls again: one, those of a reason, or all.

    Raises: UsageError when it is not said which, or there is none of that id.
    """
    if [dead_letter_id is not None, everything, reason is not None].count(True) != 1:
        raise UsageError(
            "say which dead letters", remedy="give an id, --reason CODE, or --all; one of them"
        )
    with open_database(say, read_only=dry_run) as (_, database):
        store = IngestStore(database)
        if dead_letter_id is not None and store.letter(dead_letter_id).replayed_at is not None:
            return Replayed()
        database.dry_run = dry_run
        return replay(store, Wanted(dead_letter_id, reason), now=datetime.now(UTC))


def exit_code_of(done: Replayed) -> int:
    """1 when some were rejected again."""
    return int(ExitCode.FAILED if done.refused else ExitCode.DONE)


def _letter_line(one: ListedLetter) -> str:
    since = "  (taken since)" if one.replayed_at else ""
    what = f"{one.received_at:%Y-%m-%d %H:%M}  {one.source}  {one.size} bytes{since}"
    return f"{one.dead_letter_id}  {what}\n    {one.reason}"
