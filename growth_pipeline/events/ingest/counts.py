"""How many of what came, by day and write key: for people who watch, not for rules."""

from __future__ import annotations

from collections import Counter
from datetime import date
from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """What became of an event (the first three) or of a whole request (the others)."""

    STORED = "stored"
    REPEATED = "repeated"
    REJECTED = "rejected"
    UNAUTHORIZED = "unauthorized"
    ORIGIN = "origin"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    SLOW = "slow"
    CUT = "cut"


DROPPED: tuple[Outcome, ...] = (
    Outcome.UNAUTHORIZED,
    Outcome.ORIGIN,
    Outcome.TOO_LARGE,
    Outcome.MALFORMED,
)
"""Requests that an SDK gives up at once: what they carried is lost."""


class Counted(NamedTuple):
    """Key of one count."""

    day: date
    key_id: int
    outcome: str


class KeyCounts:
    """Counts that wait to be written. Belongs to one event loop."""

    def __init__(self) -> None:
        self._waiting: Counter[Counted] = Counter()
        self.since_start: Counter[str] = Counter()

    def add(self, day: date, key_id: int, outcome: Outcome, count: int = 1) -> None:
        """Count something; 0 is nothing."""
        if count > 0:
            self._waiting[Counted(day, key_id, outcome.value)] += count
            self.since_start[outcome.value] += count

    def take(self) -> Counter[Counted]:
        """What waits; it is the caller's to write now."""
        waiting, self._waiting = self._waiting, Counter()
        return waiting

    def put_back(self, counts: Counter[Counted]) -> None:
        """What could not be written waits again."""
        self._waiting.update(counts)
