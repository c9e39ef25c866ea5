"""What is asked of retention, with every option resolved. Pure.

Contract: docs/metrics.md, "Cohorts and retention".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from growth_pipeline.core.calendar import WEEKDAYS
from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.periods import zone_of

ENTRIES = ("signup", "first_activity", "first_event", "first_payment", "first_mrr")
GRAINS = ("day", "week", "month")
KINDS = ("on", "on_or_after", "bracket")
PERIODS = ("calendar", "since_entry")
PERIOD_DAYS = {"day": 1, "week": 7, "month": 30}
OPEN_CELLS = ("null", "so_far")
BASES = ("first", "previous")
MODES = ("first_ever", "recurring")
MONEY = ("net", "gross", "mrr")
_BRACKETS = ((0, 0), (1, 3), (4, 7))
_MAX_PERIOD = {1: 30, 7: 12, 30: 12}
_LAST_PERIOD = 100_000


@dataclass(frozen=True, kw_only=True)
class RetentionDefinition:
    """One question about retention.

    `as_of`: exclusive, aware. `grain`: of cohorts, and of periods when they are `calendar`; with
    `since_entry` a period has `period_days` days, which calendar periods leave unused. `brackets`:
    ranges of period indexes, both ends in; given with `retention="bracket"`. `anchor`: a day on
    which a week starts; overrides `week_start`. `max_period`: last period shown. `events`: what
    counts as coming back, None for anything; `target_events`: what enters, with
    `entry="first_event"`, by default `events`. `min_events`: in one period. `segment`: the property
    that splits cohorts. `money`: payments `net` of refunds or `gross`, or `mrr` at the end of each
    period.
    Shapes: None for `period_days` and `max_period` becomes the default of the grain.
    Raises: UsageError that lists what is allowed.
    """

    as_of: datetime
    entry: str = "signup"
    grain: str = "day"
    retention: str = "on"
    brackets: tuple[tuple[int, int], ...] = ()
    periods: str = "calendar"
    period_days: int | None = None
    week_start: str = "monday"
    anchor: date | None = None
    tz: str = "UTC"
    max_period: int | None = None
    events: tuple[str, ...] | None = None
    target_events: tuple[str, ...] | None = None
    min_events: int = 1
    open_cells: str = "null"
    segment: str | None = None
    basis: str = "first"
    mode: str = "first_ever"
    money: str = "net"

    def __post_init__(self) -> None:
        for option, value, allowed in (
            ("--entry", self.entry, ENTRIES),
            ("--grain", self.grain, GRAINS),
            ("--retention", self.retention, KINDS),
            ("--periods", self.periods, PERIODS),
            ("--week-start", self.week_start, WEEKDAYS),
            ("--open-cells", self.open_cells, OPEN_CELLS),
            ("--basis", self.basis, BASES),
            ("--mode", self.mode, MODES),
            ("--money", self.money, MONEY),
        ):
            _check_one_of(option, value, allowed)
        zone_of(self.tz)
        if self.as_of.tzinfo is None:
            raise UsageError("as_of has no zone", remedy="give an instant with an offset or Z")
        self._resolve_periods()
        self._resolve_brackets()
        if self.min_events < 1:
            raise UsageError("--min-events must be 1 or more", remedy="give a larger number")
        if self.money == "mrr" and self.mode == "recurring" and not self.is_calendar:
            raise UsageError(
                "MRR of recurring entries is known for calendar periods only",
                remedy="use --periods calendar, or --mode first_ever",
            )
        self._check_targets()

    def _check_targets(self) -> None:
        if self.entry == "first_event" and self.target_events is None:
            object.__setattr__(self, "target_events", self.events)
        if self.entry == "first_event" and not self.target_events:
            raise UsageError(
                "entry first_event needs the events that enter", remedy="name them: --target-events"
            )
        if self.entry != "first_event" and self.target_events is not None:
            raise UsageError(
                f"target events say nothing with entry {self.entry}",
                remedy="use --entry first_event, or leave --target-events out",
            )

    def _resolve_periods(self) -> None:
        if self.period_days is None:
            object.__setattr__(self, "period_days", PERIOD_DAYS[self.grain])
        elif self.period_days not in _MAX_PERIOD:
            raise UsageError(
                f"--period-days {self.period_days} is not known", remedy="allowed are 1, 7, 30"
            )

    def _resolve_brackets(self) -> None:
        if self.retention != "bracket":
            if self.brackets:
                raise UsageError("brackets need --retention bracket", remedy="add it")
        else:
            brackets = self.brackets or _BRACKETS
            if any(not 0 <= low <= high <= _LAST_PERIOD for low, high in brackets):
                raise UsageError(
                    "a bracket is a period or a range of periods", remedy="write 0,1-3,4-7"
                )
            object.__setattr__(self, "brackets", tuple(dict.fromkeys(brackets)))
        if self.max_period is None:
            default = max((high for _, high in self.brackets), default=_MAX_PERIOD[self.span_days])
            object.__setattr__(self, "max_period", default)
        elif not 0 <= self.max_period <= _LAST_PERIOD:
            raise UsageError(
                "--max-period is out of range", remedy=f"give a number from 0 to {_LAST_PERIOD}"
            )

    @property
    def span_days(self) -> int:
        """Days of a period since entry; of a calendar period 1, 7 or 30 by its grain."""
        assert self.period_days is not None  # noqa: S101  # resolved above
        return PERIOD_DAYS[self.grain] if self.is_calendar else self.period_days

    @property
    def last_period(self) -> int:
        """The last period index shown."""
        assert self.max_period is not None  # noqa: S101  # resolved above
        return self.max_period

    @property
    def is_calendar(self) -> bool:
        """Whether periods are those of the calendar."""
        return self.periods == "calendar"

    @property
    def columns(self) -> tuple[tuple[int, int | None], ...]:
        """Ranges of period indexes that a user must reach, one per column; None has no end.

        `max_period` cuts: a bracket that begins after it is no column, one across it ends there.
        """
        last = self.last_period
        if self.retention == "bracket":
            return tuple((low, min(high, last)) for low, high in self.brackets if low <= last)
        endless = self.retention == "on_or_after"
        return tuple((n, None if endless and n else n) for n in range(last + 1))

    def resolved(self) -> dict[str, Any]:
        """Every option as it holds, for the head of a result."""
        options = asdict(self)
        del options["as_of"]
        options["anchor"] = self.anchor.isoformat() if self.anchor else None
        options["brackets"] = [list(bracket) for bracket in self.brackets]
        for name in ("events", "target_events"):
            options[name] = None if options[name] is None else list(options[name])
        if self.is_calendar:
            options["period_days"] = None
        return {"metric": "retention", "definition": "retention@1", **options}


def _check_one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(
            f"{option} {value!r} is not known", remedy=f"allowed are {', '.join(allowed)}"
        )
