"""Rejected calls read again, after the rules or the catalogue have changed. Pure but for the store.

A call that is rejected again waits on, with what is wrong with it now.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from growth_pipeline.events.ingest.body import UnreadableError, read_json
from growth_pipeline.events.ingest.ingest import Origin, Row, take_one
from growth_pipeline.events.ingest.segment import Refusal

_PAGE: Final = 50  # of which each may have half a megabyte


class Letter(NamedTuple):
    """One rejected call that waits."""

    dead_letter_id: int
    source_id: int
    key_id: int
    is_typed: bool
    received_at: datetime
    sent_at: str | None
    body: bytes


@dataclass(frozen=True)
class Wanted:
    """Which of the waiting calls: one by its id, those with a code of reason, or all."""

    dead_letter_id: int | None = None
    reason: str | None = None


@dataclass
class Replayed:
    """What became of them. `refused`: of each one rejected again its id and reason."""

    taken: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        refused = [{"id": id_, "reason": reason} for id_, reason in self.refused.items()]
        return {"taken": self.taken, "refused": refused}

    def lines(self) -> list[str]:
        """For a person."""
        counts = f"{len(self.taken)} taken, {len(self.refused)} rejected again"
        return [counts, *(f"{id_}  {reason}" for id_, reason in self.refused.items())]


class Page(NamedTuple):
    """One page of a replay; `last`: the id it ends with, None when nothing was left."""

    last: int | None
    replayed: Replayed


class LetterStore(Protocol):
    """Where rejected calls wait; `IngestStore` is one."""

    def replay_page(self, wanted: Wanted, *, after: int, limit: int, now: datetime) -> Page:
        """Read up to `limit` of them again, those after an id, in one transaction."""
        ...


def read_again(letter: Letter) -> Row | Refusal:
    """One call by today's rules, as if it arrived when it did."""
    try:
        value = read_json(letter.body)
    except UnreadableError as error:
        return Refusal("not_json", str(error))
    origin = Origin(
        letter.source_id,
        letter.received_at,
        is_typed=letter.is_typed,
        sent_at=letter.sent_at,
        key_id=letter.key_id,
    )
    return take_one(value, origin)


def replay(store: LetterStore, wanted: Wanted, *, now: datetime) -> Replayed:
    """Read all of them again, in pages. An interrupted replay is begun again: each is taken once.

    Raises: RemoteUnavailableError.
    """
    whole = Replayed()
    after = 0
    while True:
        page = store.replay_page(wanted, after=after, limit=_PAGE, now=now)
        if page.last is None:
            return whole
        whole.taken += page.replayed.taken
        whole.refused |= page.replayed.refused
        after = page.last
