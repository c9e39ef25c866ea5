"""What is known of a user over time: the facts that stages and scores are decided from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum


class Stage(StrEnum):
    """Stages of a user, in the order of the rules: the first that is true holds."""

    DELETED = "deleted"
    AT_RISK = "at_risk"
    WON_BACK = "won_back"
    PAYING = "paying"
    PAUSED = "paused"
    TRIALING = "trialing"
    CHURNED = "churned"
    DORMANT = "dormant"
    TRIAL_ENDED = "trial_ended"
    ACTIVATED = "activated"
    SIGNED_UP = "signed_up"


class Band(StrEnum):
    """Bands of the engagement score: 0, 1-19, 20-39, 40-69, 70-100."""

    NONE = "none"
    LOW = "low"
    FADING = "fading"
    STEADY = "steady"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class DaySpan:
    """A fact that is true at the end of the local days `[from_on, until_on)`.

    `until_on` None: without a known end. `why`: Stripe's id of what is behind it.
    """

    from_on: date
    until_on: date | None
    why: str = ""

    def holds_on(self, day: date) -> bool:
        """Whether it is true at the end of a local day."""
        return self.from_on <= day and (self.until_on is None or day < self.until_on)


@dataclass(frozen=True, slots=True)
class UserFacts:
    """Grain: one user. Everything that the stage and the score of any day follow from.

    Days are local days of one zone. `first_on`: the first day of which anything is known; no stage
    before it. `signed_up_on`: None where unknown (then `first_on` counts). `active_days`:
    ascending, each once. `feature_days`: key feature -> days of its use, ascending.
    `activated_on`: the day on which the last of all activation events was first done; None while
    one is missing. Spans are ascending; one for each subscription or dispute, so they may overlap.
    `paying`: MRR above 0, or unknown; `paused`: a subscription is paused.
    """

    user_number: int
    first_on: date
    signed_up_on: date | None = None
    deleted_on: date | None = None
    active_days: tuple[date, ...] = ()
    feature_days: Mapping[str, tuple[date, ...]] = field(default_factory=dict)
    activated_on: date | None = None
    paying: tuple[DaySpan, ...] = ()
    past_due: tuple[DaySpan, ...] = ()
    cancel_scheduled: tuple[DaySpan, ...] = ()
    disputed: tuple[DaySpan, ...] = ()
    paused: tuple[DaySpan, ...] = ()
    trialing: tuple[DaySpan, ...] = ()
