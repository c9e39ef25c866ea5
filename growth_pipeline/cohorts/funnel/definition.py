"""What is asked of a funnel, with every option resolved. Pure.

Contract: docs/metrics.md, "Funnels".
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.periods import zone_of

ORDERS = ("ordered", "strict", "any", "independent")
TIES = ("allow", "forbid")
EMPTY_RATES = ("null", "zero")
OPEN_ATTEMPTS = ("exclude", "include")
ROWS = "event"
_MOST_STAGES = 50
_UNITS = {"user": "user_id", "session": "session_id", "customer": "customer_id"}
_FILTERED = re.compile(r"(?P<event>[^\[\]]+)\[(?P<where>[^\[\]]*=[^\[\]]*)\]")
_OUTSIDE = re.compile(r",(?![^\[\]]*\])")  # commas that are not inside brackets
_DURATION = re.compile(r"([0-9]{1,9})\s*(us|ms|s|m|h|d|w)?", re.ASCII)
_LENGTHS = {
    "us": timedelta(microseconds=1),
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


@dataclass(frozen=True)
class StageEvent:
    """An event of a stage; `needs`: an event that must be in the same session, None for none.

    `where`: properties that the event must have, by name, with exactly these values.
    """

    event: str
    needs: str | None = None
    where: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> StageEvent:
        """An event as `a`, `a+b` (in a session with b), or `a[plan=pro,country=DE]`.

        Raises: UsageError for an empty name, or property, and for both at once.
        """
        event, plus, needs = (part.strip() for part in text.partition("+"))
        found = _FILTERED.fullmatch(event)
        where: tuple[tuple[str, str], ...] = ()
        if found is not None:
            event = found["event"].strip()
            pairs = (word.partition("=") for word in found["where"].split(","))
            where = tuple((name.strip(), value.strip()) for name, _, value in pairs)
        if not event or (plus and not needs) or not all(all(pair) for pair in where):
            raise UsageError(
                f"--steps: {text.strip()!r} names no event, or a property without value",
                remedy="write stages as in a,b|c,d+e,f[plan=pro]",
            )
        if plus and (where or _FILTERED.fullmatch(needs)):
            raise UsageError(
                f"--steps: {text.strip()!r} has both + and a property",
                remedy="give a stage one of them",
            )
        return cls(event, needs or None, where)


@dataclass(frozen=True)
class Stage:
    """One stage: any of its events reaches it. `name`: as the person wrote it."""

    name: str
    events: tuple[StageEvent, ...]

    @classmethod
    def parse(cls, text: str) -> Stage:
        """A stage as `a`, `a|b` (either), `a+b` (a in a session that also has b), or `a[plan=pro]`.

        Raises: UsageError for an empty name.
        """
        return cls(text.strip(), tuple(map(StageEvent.parse, text.split("|"))))


def stages_of(text: str) -> tuple[Stage, ...]:
    """Stages with commas, those inside brackets aside. Raises: UsageError."""
    return tuple(map(Stage.parse, _OUTSIDE.split(text)))


@dataclass(frozen=True, kw_only=True)
class FunnelDefinition:
    """One question about a funnel.

    `as_of`: exclusive, aware. `unit`: user, session, customer, a column with ids, or `event`, which
    counts rows. `window`: from an attempt's first stage, its last instant inside; None for any
    time. `first` and `last`: instants `[first, last)` in which stage 1 lies. `breakdown`: a column
    of the events; `segment`: one of the users file. `signed_up`: days of sign-up, both in.
    Raises: UsageError that lists what is allowed.
    """

    as_of: datetime
    stages: tuple[Stage, ...]
    order: str = "ordered"
    window: timedelta | None = None
    ties: str = "allow"
    unit: str = "user"
    tz: str = "UTC"
    first: datetime | None = None
    last: datetime | None = None
    empty_rate: str = "null"
    open_attempts: str = "exclude"
    breakdown: str | None = None
    segment: str | None = None
    signed_up_from: date | None = None
    signed_up_to: date | None = None

    def __post_init__(self) -> None:
        for option, value, allowed in (
            ("--order", self.order, ORDERS),
            ("--ties", self.ties, TIES),
            ("--empty-rate", self.empty_rate, EMPTY_RATES),
            ("--open-attempts", self.open_attempts, OPEN_ATTEMPTS),
        ):
            if value not in allowed:
                raise UsageError(
                    f"{option} {value!r} is not known", remedy=f"allowed are {', '.join(allowed)}"
                )
        zone_of(self.tz)
        if not 1 <= len(self.stages) <= _MOST_STAGES:
            raise UsageError(
                f"--steps names {len(self.stages)} stages",
                remedy=f"give 1 to {_MOST_STAGES} of them, with commas",
            )
        self._check_times()

    def _check_times(self) -> None:
        if self.as_of.tzinfo is None:
            raise UsageError("as_of has no zone", remedy="write it as 2031-03-15T00:00:00Z")
        if self.first is not None and self.last is not None and self.first >= self.last:
            raise UsageError("--from is not before --to", remedy="give the earlier one first")
        if self.breakdown is not None and self.segment is not None:
            raise UsageError(
                "--breakdown and --segment both split the funnel", remedy="give one of them"
            )

    @property
    def unit_column(self) -> str:
        """The column with the ids of units; of rows that are counted themselves, the user's."""
        return _UNITS.get(self.unit, "user_id" if self.unit == ROWS else self.unit)

    @property
    def needs_session(self) -> bool:
        """Whether a stage looks into the session of an event."""
        return any(event.needs for stage in self.stages for event in stage.events)

    @property
    def properties(self) -> tuple[str, ...]:
        """Names of the properties that stages look at, each once."""
        names = (name for stage in self.stages for event in stage.events for name, _ in event.where)
        return tuple(dict.fromkeys(names))

    def resolved(self) -> dict[str, Any]:
        """Every option with its value, as JSON has it; `as_of` apart."""
        said = asdict(self)
        del said["as_of"]
        said["steps"] = [stage.name for stage in self.stages]
        del said["stages"]
        said["from"], said["to"] = said.pop("first"), said.pop("last")
        said["window_seconds"] = None
        if (window := said.pop("window")) is not None:
            seconds = window / timedelta(seconds=1)
            said["window_seconds"] = int(seconds) if seconds == int(seconds) else seconds
        plain = {
            name: value.isoformat() if isinstance(value, date) else value
            for name, value in said.items()
        }
        return {"metric": "funnel", "definition": "funnel@1", **plain}


def duration(option: str, text: str | None) -> timedelta | None:
    """A length of time as a person types it: 7d, 24h, 30m, 10s; a number alone is seconds.

    Raises: UsageError for anything else; None when nothing was given, or `none`.
    """
    if text is None or text.strip().lower() == "none":
        return None
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None:
        raise UsageError(
            f"{option} {text!r} is not a duration", remedy="write it as 7d, 24h, 30m or 10s"
        )
    try:
        return int(found[1]) * _LENGTHS[found[2] or "s"]
    except OverflowError as error:
        raise UsageError(f"{option} {text!r} is too long", remedy="leave it out") from error
