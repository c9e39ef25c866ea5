"""What is counted as active users, with every option resolved. Pure.

Contract: docs/metrics.md, "Active users".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from growth_pipeline.cohorts.definition import GRAINS, OPEN_CELLS
from growth_pipeline.core.calendar import WEEKDAYS
from growth_pipeline.core.errors import UsageError

KINDS = (
    "rolling",
    "calendar",
    "lifecycle",
    "stickiness",
    "stickiness_rolling",
    "days_active",
    "silence",
)
_DEFAULT_GRAINS = {"calendar": ("week", "month"), "stickiness": ("month",)}
STICKINESS_DAYS = 30


@dataclass(frozen=True)
class ActiveUsersDefinition:
    """One question about active users.

    `kind`: see docs/metrics.md. `grains`: of calendar, lifecycle and days_active; default by kind.
    `windows`: days of rolling counts. `new_by`: of lifecycle, first_activity or signup.
    `silent_days` and `retained` (both ends in, days after the return): of silence.
    `first` and `last`: days or periods shown (both in); history before them still counts.
    `segment`: a property of users; every kind is then told for each of its values alone.
    `as_of`: exclusive, aware. `open_cells`: null, or so_far to show what an open period has so far.
    Raises: UsageError that lists what is allowed.
    """

    as_of: datetime
    kind: str = "rolling"
    tz: str = "UTC"
    grains: tuple[str, ...] = ()
    windows: tuple[int, ...] = (1, 7, 30)
    week_start: str = "monday"
    anchor: date | None = None
    events: tuple[str, ...] | None = None
    min_events: int = 1
    new_by: str = "first_activity"
    silent_days: int = 30
    retained: tuple[int, int] = (1, 30)
    first: date | None = None
    last: date | None = None
    open_cells: str = "null"
    unit: str = "user"
    segment: str | None = None

    def __post_init__(self) -> None:
        _one_of("--kind", self.kind, KINDS)
        for grain in self.grains:
            _one_of("--grain", grain, GRAINS)
        _one_of("--week-start", self.week_start, WEEKDAYS)
        _one_of("--new-by", self.new_by, ("first_activity", "signup"))
        _one_of("--open-cells", self.open_cells, OPEN_CELLS)
        if not self.grains:
            object.__setattr__(self, "grains", _DEFAULT_GRAINS.get(self.kind, ("day",)))
        self._check_numbers()
        if self.kind == "stickiness" and self.grains != ("month",):
            raise UsageError(
                "stickiness is told by calendar month",
                remedy="leave --grain out, or use --kind stickiness_rolling for days",
            )
        if self.kind == "days_active" and len(self.grains) != 1:
            raise UsageError("days_active counts one grain", remedy="give one --grain")

    def _check_numbers(self) -> None:
        least = {"--min-events": self.min_events, "--silent-days": self.silent_days}
        least |= {"--windows": min(self.windows, default=0), "--retained": self.retained[0]}
        for option, value in least.items():
            if value < 1:
                raise UsageError(f"{option} must be 1 or more", remedy="give a larger number")
        if self.retained[1] < self.retained[0]:
            raise UsageError("--retained ends before it begins", remedy="write it as in 1-30")
        if self.first and self.last and self.last < self.first:
            raise UsageError("--to lies before --from", remedy="swap the two dates")

    @property
    def shows_open(self) -> bool:
        """Whether values of open periods are shown."""
        return self.open_cells == "so_far"

    def resolved(self) -> dict[str, Any]:
        """Every option as it holds, for the head of a result."""
        return {
            "metric": "active_users",
            "definition": "active_users@1",
            "kind": self.kind,
            "tz": self.tz,
            "grains": list(self.grains),
            "windows": list(self.windows),
            "week_start": self.week_start,
            "anchor": self.anchor.isoformat() if self.anchor else None,
            "events": list(self.events) if self.events is not None else None,
            "min_events": self.min_events,
            "new_by": self.new_by,
            "silent_days": self.silent_days,
            "retained": list(self.retained),
            "from": self.first.isoformat() if self.first else None,
            "to": self.last.isoformat() if self.last else None,
            "open_cells": self.open_cells,
            "unit": self.unit,
            "segment": self.segment,
        }


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(
            f"{option} {value!r} is not known", remedy=f"allowed are {', '.join(allowed)}"
        )
