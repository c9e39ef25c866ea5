"""What the planner looks at and what it decides: users, enrolments, messages. Pure, no rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from growth_pipeline.lifecycle.facts import Band, Stage


@dataclass(frozen=True, slots=True)
class StageChange:
    """One change of stage; `at` is the end of its local day."""

    at: datetime
    from_stage: Stage | None
    to_stage: Stage


@dataclass(frozen=True, slots=True)
class Done:
    """One event that a user did."""

    event: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What an audience may ask for, as of the last local day that is over."""

    score: int = 0
    band: Band = Band.NONE
    inactive_days: int | None = None


def _no_standing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class UserView:
    """One user as of an instant: nothing later is in it. `changes` and `events` ascend.

    `standing`: worked out where an audience asks for it; None before the first day is over.
    """

    user_number: int
    user_key: bytes
    changes: tuple[StageChange, ...]
    events: tuple[Done, ...] = ()
    zone: str | None = None
    standing: Callable[[], Standing | None] = _no_standing

    @property
    def stage(self) -> Stage | None:
        """The stage now; None before the first day is over."""
        return self.changes[-1].to_stage if self.changes else None


class Ended(StrEnum):
    """States of an enrolment."""

    ACTIVE = "active"
    FINISHED = "finished"
    EXITED = "exited"
    GOAL = "goal"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One user in one journey. `next_at`: when step `next_step` is due; None once it ended."""

    journey: str
    version: int
    entered_at: datetime
    is_holdout: bool
    trigger: str
    next_step: int = 0
    next_at: datetime | None = None
    due_at: datetime | None = None
    state: Ended = Ended.ACTIVE
    goal_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """One message that is to be written now. `quiet_at`: not sent from then on; None: always."""

    journey: str
    version: int
    step: str
    action: str
    target: str
    priority: int
    basis: str
    trigger_at: datetime
    due_at: datetime
    late_at: datetime
    quiet_at: datetime | None = None

    @property
    def message(self) -> str:
        """What goes to a user once for ever."""
        return f"{self.journey}/{self.step}"


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A step that was due and did not go out. `until`: when it is looked at again; None: never."""

    journey: str
    step: str
    reason: str
    until: datetime | None = None


@dataclass
class Decisions:
    """What one look at a user decided: enrolments as they are now, messages, what was held back."""

    enrolments: list[Enrolment]
    entered: list[Enrolment] = field(default_factory=list)
    messages: list[Intent] = field(default_factory=list)
    held_back: list[HeldBack] = field(default_factory=list)
