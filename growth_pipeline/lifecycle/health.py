"""What must hold of stages and messages, measured in the tables themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from growth_pipeline.lifecycle.choice import HealthLimits
from growth_pipeline.storage.postgres import Database, clear_errors
from growth_pipeline.storage.sql import load_sql

LEAST_FAULTS: Final = 2
"""A single bounce or complaint is chance, whatever share of few messages it is."""


@dataclass(frozen=True)
class MessageHealth:
    """Faults as sentences, and counts of the last 30 days. `unknown`: messages, parked ones too."""

    over_cap: Sequence[str]
    after_suppression: Sequence[str]
    sent: int
    bounced: int
    complained: int
    unknown: int
    parked: int

    def exceeds(self, count: int, rate: float) -> bool:
        """Whether too many of those who were written to bounced or complained."""
        return count >= LEAST_FAULTS and count > rate * self.sent


def measure_messages(database: Database, limits: HealthLimits) -> MessageHealth:
    """How the messages of the last 30 days went. Raises: RemoteUnavailableError."""
    values = {"cap_messages": limits.cap_messages, "cap_days": limits.cap_days}
    capped = _rows(database, "health_caps", **values)
    late = _rows(database, "health_suppressed")
    ((sent, bounced, complained, unknown, parked),) = _rows(database, "health_counts")
    return MessageHealth(
        over_cap=[f"user {user}: {count} messages in the cap's days" for user, count in capped],
        after_suppression=[f"message {one} was called after a suppression" for (one,) in late],
        sent=sent,
        bounced=bounced,
        complained=complained,
        unknown=unknown,
        parked=parked,
    )


def faults_of_stages(database: Database) -> list[str]:
    """Users without exactly one stage, or whose stage is not that of their last transition.

    Raises: RemoteUnavailableError.
    """
    rows = _rows(database, "health_stages")
    return [f"{what}: {count} users, for example {example}" for what, count, example in rows]


def _rows(database: Database, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    with clear_errors(), database.connection() as connection:
        return connection.execute(load_sql(f"lifecycle/{statement}"), values).fetchall()


def decided_until(database: Database) -> date | None:
    """The last local day that stages were decided for; None before the first.

    Raises: RemoteUnavailableError.
    """
    ((day,),) = _rows(database, "decided_until")
    return None if day is None else date.fromisoformat(str(day))


def news_left(database: Database) -> int:
    """Users of whom something new waits to be looked at. Raises: RemoteUnavailableError."""
    ((count,),) = _rows(database, "news_left")
    return int(count)
