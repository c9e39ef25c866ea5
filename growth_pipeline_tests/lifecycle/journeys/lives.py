"""Users, journeys and looks at them, short to write. Every local day is one of UTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from growth_pipeline.lifecycle.facts import Band, Stage
from growth_pipeline.lifecycle.journeys.model import EntersStage, Journey, SendingPolicy, Step
from growth_pipeline.lifecycle.journeys.plan import advance
from growth_pipeline.lifecycle.journeys.records import (
    Decisions,
    Done,
    Enrolment,
    StageChange,
    Standing,
    UserView,
)

DAYTIME = SendingPolicy(cap_messages=2, cap_days=7, quiet_from=time(0), quiet_until=time(0))
"""No quiet hours."""


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    """An instant of March 2026, which has no change of clocks in UTC; days go on past its end."""
    return datetime(2026, 3, 1, hour, minute, tzinfo=UTC) + timedelta(days=day - 1)


def a_step(name: str = "one", days: float = 1, **told) -> Step:
    return Step(name, timedelta(days=days), **{"tag": f"growth/{name}", **told})


def a_journey(name: str = "winback", **told) -> Journey:
    given = {
        "version": 1,
        "trigger": EntersStage("churned"),
        "steps": (a_step(),),
        "starts_on": date(2026, 1, 1),
    }
    return Journey(name=name, **{**given, **told})


@dataclass
class Life:
    """One user who lives on, and is looked at."""

    journeys: Sequence[Journey]
    policy: SendingPolicy = DAYTIME
    key: bytes = bytes(32)
    zone: str | None = None
    standing: Standing | None = None
    changes: list[StageChange] = field(default_factory=list)
    events: list[Done] = field(default_factory=list)
    enrolments: list[Enrolment] = field(default_factory=list)
    sent: list[datetime] = field(default_factory=list)

    def becomes(self, stage: str, when: datetime) -> None:
        before = self.changes[-1].to_stage if self.changes else None
        self.changes.append(StageChange(when, before, Stage(stage)))

    def does(self, event: str, when: datetime) -> None:
        self.events.append(Done(event, when))

    def view(self, now: datetime) -> UserView:
        return UserView(
            user_number=1,
            user_key=self.key,
            changes=tuple(one for one in self.changes if one.at <= now),
            events=tuple(one for one in self.events if one.at <= now),
            zone=self.zone,
            standing=lambda: self.standing,
        )

    def look(self, now: datetime) -> Decisions:
        """One look; what it decided is kept, and its messages count as sent."""
        found = advance(self.view(now), self.enrolments, self.sent, self.journeys, self.policy, now)
        self.enrolments = found.enrolments
        self.sent += [now] * len(found.messages)
        return found

    def messages(self, now: datetime) -> list[str]:
        return [one.message for one in self.look(now).messages]

    def hourly(self, first: datetime, last: datetime) -> list[tuple[datetime, str]]:
        """A look at every full hour: what was written, and when."""
        found, now = [], first
        while now <= last:
            found += [(now, message) for message in self.messages(now)]
            now += timedelta(hours=1)
        return found

    def state(self, journey: str = "winback") -> tuple[str, str]:
        one = next(one for one in self.enrolments if one.journey == journey)
        return str(one.state), one.end_reason


def standing(score: int, inactive: int | None = None) -> Standing:
    band = Band.NONE if score == 0 else Band.LOW if score < 20 else Band.FADING
    band = band if score < 40 else Band.STEADY if score < 70 else Band.HIGH
    return Standing(score, band, inactive)
