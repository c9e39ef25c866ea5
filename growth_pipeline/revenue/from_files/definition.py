"""What is asked of MRR movements, with every option resolved. Pure.

Contract: docs/metrics.md, "MRR movements".
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from growth_pipeline.core.calendar import WEEKDAYS, day_number
from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.periods import zone_of

GRAINS = ("month", "day", "week", "quarter", "year")
SNAPSHOTS = ("last", "first")
END_DATES = ("exclusive", "inclusive")
LEVELS = ("customer", "subscription")
MOVEMENTS = ("snapshot", "event")
SIGNS = ("signed", "magnitude")
FREE_CUSTOMERS = ("churn", "contraction")
DENOMINATORS = ("start", "average", "start_plus_new", "end")
RETURNED = ("count", "exclude")
OPEN_CELLS = ("null", "so_far")
CALENDAR = "calendar"
_LONGEST = 100_000
_PERIOD = re.compile(r"(\d{4})(?:-(?:(\d{2})(?:-(\d{2}))?|Q([1-4])))?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class MovementsDefinition:
    """One question about MRR movements.

    `as_of`: exclusive, aware. `first` and `last`: days in the periods that are shown, both in; None
    is the first or last of the file. `reactivation_window`: days without MRR after which a return
    is `new`, None for never. `window_days`: logo churn over so many days before the end of each
    period, None over the period itself. `horizons`: periods over which NRR and GRR are asked.
    Raises: UsageError that lists what is allowed.
    """

    as_of: datetime
    grain: str = "month"
    tz: str = "UTC"
    week_start: str = "monday"
    anchor: date | None = None
    snapshot: str = "last"
    end_dates: str = "exclusive"
    level: str = "customer"
    first: date | None = None
    last: date | None = None
    movements: str = "snapshot"
    reactivation_window: int | None = None
    sign: str = "signed"
    free_customer: str = "churn"
    denominator: str = "start"
    window_days: int | None = None
    count_paused: bool = False
    horizons: tuple[int, ...] = (1, 3, 12)
    returned_members: str = "count"
    open_cells: str = "null"

    def __post_init__(self) -> None:
        for option, value, allowed in (
            ("--grain", self.grain, GRAINS),
            ("--week-start", self.week_start, WEEKDAYS),
            ("--snapshot", self.snapshot, SNAPSHOTS),
            ("--end-dates", self.end_dates, END_DATES),
            ("--level", self.level, LEVELS),
            ("--movements", self.movements, MOVEMENTS),
            ("--sign", self.sign, SIGNS),
            ("--free-customer", self.free_customer, FREE_CUSTOMERS),
            ("--denominator", self.denominator, DENOMINATORS),
            ("--returned-members", self.returned_members, RETURNED),
            ("--open-cells", self.open_cells, OPEN_CELLS),
        ):
            if value not in allowed:
                raise UsageError(
                    f"{option} {value!r} is not known", remedy=f"allowed are {', '.join(allowed)}"
                )
        zone_of(self.tz)
        if self.as_of.tzinfo is None:
            raise UsageError("as_of has no zone", remedy="write it as 2031-03-15T00:00:00Z")
        self._check_numbers()

    def _check_numbers(self) -> None:
        numbers = [("--horizons", horizon, 1) for horizon in self.horizons or (0,)] + [
            ("--churn-window", self.window_days, 1),
            ("--reactivation-window", self.reactivation_window, 1),
        ]
        for option, number, least in numbers:
            if number is not None and not least <= number <= _LONGEST:
                raise UsageError(
                    f"{option} {number} is not possible",
                    remedy=f"give a whole number from {least} to {_LONGEST}",
                )
        if self.first is not None and self.last is not None and self.first > self.last:
            raise UsageError("--from is after --to", remedy="give the earlier period first")

    @property
    def key_column(self) -> str:
        """The column that says whose MRR is summed."""
        return f"{self.level}_id"

    def resolved(self) -> dict[str, Any]:
        """Every option with its value, as JSON has it; `as_of` apart."""
        said = asdict(self)
        del said["as_of"]
        said["movement_mode"] = said.pop("movements")
        said["from"], said["to"] = said.pop("first"), said.pop("last")
        said["churn_window"] = f"{days}d" if (days := said.pop("window_days")) else CALENDAR
        said["horizons"] = list(self.horizons)
        plain = {
            name: value.isoformat() if isinstance(value, date) else value
            for name, value in said.items()
        }
        return {"metric": "mrr_movements", "definition": "mrr_movements@1", **plain}


def day_of_period(option: str, text: str | None) -> date | None:
    """The first day of a period as a person types it: 2031, 2031-Q2, 2031-04 or 2031-04-15.

    Raises: UsageError for anything else; None when nothing was given.
    """
    if text is None:
        return None
    found = _PERIOD.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError(text)
        year, month, day, quarter = found.groups()
        first_month = 3 * int(quarter) - 2 if quarter else int(month or 1)
        told = date(int(year), first_month, int(day or 1))
    except ValueError as error:
        raise UsageError(
            f"{option} {text!r} is not a period",
            remedy="write it as 2031-04, 2031-Q2, 2031, or as a day in it: 2031-04-15",
        ) from error
    if not day_number(date(1900, 1, 1)) <= day_number(told) < day_number(date(2200, 1, 1)):
        raise UsageError(f"{option} {text!r} is out of range", remedy="give years 1900 to 2199")
    return told


def window_days(text: str) -> int | None:
    """The days of a window as a person types it: `calendar` (None), or 30d.

    Raises: UsageError for anything else.
    """
    if text.strip().lower() == CALENDAR:
        return None
    found = re.fullmatch(r"([0-9]{1,6})d?", text.strip(), re.ASCII)
    if found is None:
        raise UsageError(
            f"--churn-window {text!r} is not known", remedy="write calendar, or days as in 30d"
        )
    return int(found[1])
