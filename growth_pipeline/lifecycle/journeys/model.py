"""What a journey is made of. Pure; every mistake is found where the journey is written.

Contract: docs/lifecycle.md, "Journeys".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final, Literal

from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.periods import zone_of
from growth_pipeline.lifecycle.facts import Band, Stage

LATEST: Final = timedelta(days=3)
"""A change of stage older than this begins no journey, and a step later than this is left out."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,48}")
_TAG: Final = re.compile(r"\S(.{0,98}\S)?")
_MOST_STEPS: Final = 50
_LARGEST_HOLDOUT: Final = 0.5
_HIGHEST_SCORE: Final = 100


def _refuse(message: str, remedy: str) -> UsageError:
    return UsageError(message, remedy=remedy)


@dataclass(frozen=True)
class EntersStage:
    """A user comes into one of some stages, from any other or from one of `from_`."""

    stages: tuple[Stage, ...]
    from_: tuple[Stage, ...] = ()

    def __init__(
        self, *stages: Stage | str, from_: Stage | str | Sequence[Stage | str] = ()
    ) -> None:
        given = (from_,) if isinstance(from_, str) else tuple(from_)
        object.__setattr__(self, "stages", _stages(stages))
        object.__setattr__(self, "from_", _stages(given))
        if set(self.stages) & set(self.from_):
            raise _refuse("EntersStage comes from a stage into itself", "name other stages")
        if not self.stages:
            raise _refuse("EntersStage names no stage", 'write EntersStage("churned")')


@dataclass(frozen=True)
class DoesEvent:
    """A user does an event, by its name in the source of activity."""

    event: str

    def __post_init__(self) -> None:
        if not isinstance(self.event, str) or not self.event.strip():
            raise _refuse("DoesEvent names no event", 'write DoesEvent("Project Created")')


Trigger = EntersStage | DoesEvent


@dataclass(frozen=True)
class Audience:
    """Who of those that the trigger found enters; everything that is given must hold.

    `scores`: lowest and highest engagement score, at the end of the day before. `bands`: of that
    score. `active_within_days`: did something in so many days.
    """

    stages: tuple[Stage, ...] = ()
    scores: tuple[int, int] = (0, _HIGHEST_SCORE)
    bands: tuple[Band, ...] = ()
    active_within_days: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", _stages(self.stages))
        object.__setattr__(self, "bands", tuple(_band(band) for band in self.bands))
        if not _is_range(self.scores):
            raise _refuse(f"scores {self.scores} are no range", "write scores=(0, 39)")
        if self.active_within_days is not None and not _is_count(self.active_within_days):
            raise _refuse("active_within_days is no number of days", "write it as 14")

    @property
    def needs_facts(self) -> bool:
        """Whether it asks for more than the stage."""
        return bool(self.bands or self.active_within_days or self.scores != (0, _HIGHEST_SCORE))


@dataclass(frozen=True)
class Step:
    """One message: a tag or a sequence at Kit, whose automation writes the e-mail.

    `after`: since the journey was entered, or since the step before. `only_in`: left out where the
    user is in another stage by then.
    """

    name: str
    after: timedelta
    tag: str = ""
    sequence: int | None = None
    only_in: tuple[Stage, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "only_in", _stages(self.only_in))
        _check_name("step", self.name)
        if not isinstance(self.after, timedelta) or self.after < timedelta():
            raise _refuse(f"step {self.name} has no time to wait", "write after=timedelta(days=2)")
        if bool(self.tag) == (self.sequence is not None):
            raise _refuse(
                f"step {self.name} names not exactly one of tag and sequence",
                'give it tag="growth/…" or sequence=123',
            )
        if self.tag and not _TAG.fullmatch(self.tag):
            raise _refuse(f"the tag of step {self.name} is no tag", "use up to 100 characters")
        if self.sequence is not None and not _is_count(self.sequence):
            raise _refuse(f"step {self.name} has no id of a sequence", "copy it from its URL")

    @property
    def action(self) -> Literal["tag", "sequence"]:
        """What is added at Kit."""
        return "tag" if self.tag else "sequence"

    @property
    def target(self) -> str:
        """Name of the tag, or id of the sequence."""
        return self.tag or str(self.sequence)


@dataclass(frozen=True)
class Journey:
    """One journey: entered once for ever by each user, and a message of it goes out once for ever.

    `starts_on`: triggers before this day begin nothing. `goal`: what it is for; reached, it ends.
    `goal_days`: time for the goal, holdout too. `exits`: stages that end it. `holdout`: share of
    those who enter that gets nothing, so that lift can be told. `basis`: consent (marketing), or
    contract (what the customer must know). A higher `priority` goes first where a cap holds back.
    """

    name: str
    version: int
    trigger: Trigger
    steps: tuple[Step, ...]
    starts_on: date
    audience: Audience = field(default_factory=Audience)
    goal: Trigger | None = None
    goal_days: int = 30
    exits: tuple[Stage, ...] = ()
    priority: int = 0
    holdout: float = 0.0
    basis: Literal["consent", "contract"] = "consent"
    what: str = ""

    def __post_init__(self) -> None:
        _check_name("journey", self.name)
        given = (self.steps,) if isinstance(self.steps, Step) else tuple(self.steps)
        object.__setattr__(self, "steps", given)
        object.__setattr__(self, "exits", _stages(self.exits))
        self._check_steps()
        self._check_beginning()
        if not 0 <= self.holdout <= _LARGEST_HOLDOUT:
            raise _refuse(f"the holdout of {self.name} is {self.holdout}", "give 0 to 0.5")
        if not _is_count(self.version) or not _is_count(self.goal_days):
            raise _refuse(
                f"version and goal_days of {self.name} are whole numbers from 1 on",
                "correct the journey",
            )
        if self.basis not in ("consent", "contract"):
            raise _refuse(f"{self.name} has no basis {self.basis!r}", "use consent or contract")

    def _check_steps(self) -> None:
        if not all(isinstance(step, Step) for step in self.steps):
            raise _refuse(f"steps of {self.name} are not all Step", "write Step(…), for each")
        names = [step.name for step in self.steps]
        if not 1 <= len(names) <= _MOST_STEPS or len(set(names)) != len(names):
            raise _refuse(
                f"journey {self.name} has {len(names)} steps, or two of one name",
                f"give 1 to {_MOST_STEPS} steps, each with a name of its own",
            )

    def _check_beginning(self) -> None:
        if not isinstance(self.trigger, EntersStage | DoesEvent):
            raise _refuse(f"{self.name} has no trigger", 'write trigger=EntersStage("churned")')
        if self.goal is not None and not isinstance(self.goal, EntersStage | DoesEvent):
            raise _refuse(f"the goal of {self.name} is none", 'write goal=EntersStage("paying")')
        if not isinstance(self.audience, Audience):
            raise _refuse(f"the audience of {self.name} is none", "write audience=Audience(…)")
        if not isinstance(self.starts_on, date) or isinstance(self.starts_on, datetime):
            raise _refuse(f"starts_on of {self.name} is no day", "write starts_on=date(2026, 1, 1)")
        asked = self.audience.stages
        if (
            asked
            and isinstance(self.trigger, EntersStage)
            and not set(asked) & {*self.trigger.stages}
        ):
            raise _refuse(
                f"nobody can enter {self.name}: its audience is in no stage of its trigger",
                "leave the stages of the audience out, or add one of the trigger",
            )

    @property
    def definition(self) -> str:
        """Name and version, as winback@2."""
        return f"{self.name}@{self.version}"

    def step(self, number: int) -> Step | None:
        """A step by its place; None after the last."""
        return self.steps[number] if number < len(self.steps) else None


@dataclass(frozen=True)
class SendingPolicy:
    """What holds for every journey.

    At most `cap_messages` to a user in any `cap_days`, and none from `quiet_from` to `quiet_until`
    by the user's own clock; by that of `tz` where their zone is not known. Equal: no quiet time.
    """

    cap_messages: int = 2
    cap_days: int = 7
    quiet_from: time = time(21)
    quiet_until: time = time(8)
    tz: str = "UTC"

    def __post_init__(self) -> None:
        zone_of(self.tz)
        if not (_is_count(self.cap_messages) and _is_count(self.cap_days)):
            raise _refuse("a cap is at least one message in one day", "correct the settings")


def _stages(given: Sequence[Stage | str]) -> tuple[Stage, ...]:
    found = []
    for name in (given,) if isinstance(given, str) else given:
        try:
            found.append(Stage(name))
        except ValueError:
            known = ", ".join(Stage)
            raise _refuse(f"there is no stage {name!r}", f"use one of {known}") from None
    return tuple(found)


def _band(name: Band | str) -> Band:
    try:
        return Band(name)
    except ValueError:
        raise _refuse(f"there is no band {name!r}", f"use one of {', '.join(Band)}") from None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_range(value: object) -> bool:
    match value:
        case (int() as low, int() as high):
            return 0 <= low <= high <= _HIGHEST_SCORE
        case _:
            return False


def _check_name(what: str, name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _refuse(
            f"{name!r} is no name for a {what}",
            "use lower-case letters, digits, - and _, at most 49",
        )
