"""Counts become the rows that are published: each day and period once, its state, its quotients.

The rules are those of the file mode. Contract: docs/metrics.md, "Published active users". Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from growth_pipeline.cohorts.active_users import rules
from growth_pipeline.cohorts.active_users.definition import STICKINESS_DAYS
from growth_pipeline.cohorts.active_users.published.counts import WINDOW, Counted
from growth_pipeline.cohorts.active_users.published.plan import WINDOWS, Basis
from growth_pipeline.cohorts.active_users.rules import Period, Row, Shown
from growth_pipeline.cohorts.definition import GRAINS

if TYPE_CHECKING:
    import polars as pl

ACTIVE_COLUMNS: Mapping[str, str] = {
    "metric": "text",
    "grain": "text",
    "period_start": "date",
    "segment_by": "text",
    "segment": "text",
    "users": "int8",
    "user_days": "int8",
    "days": "int4",
    "average_dau": "numeric",
    "rate": "numeric",
    "truncated": "bool",
    "state": "text",
}
LIFECYCLE_COLUMNS: Mapping[str, str] = {
    "grain": "text",
    "period_start": "date",
    "segment_by": "text",
    "segment": "text",
    "active_users": "int8",
    "new_users": "int8",
    "returning_users": "int8",
    "resurrecting_users": "int8",
    "dormant_users": "int8",
    "state": "text",
}
_SHOWN = Shown()


def active_rows(counted: Counted) -> list[Row]:
    """Rows of cohorts.active_users, as ACTIVE_COLUMNS: every metric of every segment."""
    split = counted.basis.options["segment"] or ""
    return [
        {**dict.fromkeys(ACTIVE_COLUMNS), "segment_by": split, "segment": segment, **row}
        for segment, part in _parts(counted)
        for row in _active(part)
    ]


def lifecycle_rows(counted: Counted) -> list[Row]:
    """Rows of cohorts.lifecycle, as LIFECYCLE_COLUMNS, of every segment."""
    split = counted.basis.options["segment"] or ""
    names = ("active", "new", "returning", "resurrecting", "dormant")
    return [
        {
            "grain": grain,
            "period_start": row["period_start"],
            "segment_by": split,
            "segment": segment,
            **{f"{name}_users": row[name] for name in names},
            "state": row["state"],
        }
        for segment, part in _parts(counted)
        for grain in GRAINS
        for row in rules.lifecycle_rows(
            grain, part.basis.periods(grain), part.lifecycle(grain), _SHOWN
        )
    ]


@dataclass(frozen=True)
class _Part:
    """Counts of one segment. `counts`: (kind, size) -> first day -> users, days, returning, new."""

    basis: Basis
    counts: Mapping[tuple[str, int], Mapping[int, tuple[int, int, int, int]]]

    def series(self) -> dict[int, list[int]]:
        """Window length -> users by day, from the first day to the last."""
        days = range(self.basis.first_day, self.basis.through + 1)
        told = {window: self.counts.get((WINDOW, window), {}) for window in WINDOWS}
        return {
            window: [found[day][0] if day in found else 0 for day in days]
            for window, found in told.items()
        }

    def lifecycle(self, grain: str) -> dict[int, tuple[int, int, int, int]]:
        """Period -> active, returning, new, resurrecting users."""
        return {
            self.basis.period(grain, day): (users, returning, new, users - returning - new)
            for day, (users, _, returning, new) in self.counts.get((grain, 0), {}).items()
        }

    def users(self, grain: str, place: int = 0) -> dict[int, int]:
        """Period -> active users; `place` 1: their active days."""
        counts = self.counts.get((grain, 0), {})
        return {self.basis.period(grain, day): told[place] for day, told in counts.items()}


def _parts(counted: Counted) -> Iterator[tuple[str | None, _Part]]:
    """Each segment with its counts, in order, those without one last; or all users together."""
    split = counted.basis.options["segment"] is not None
    found = counted.frame["segment"].unique().to_list() if split else [None]
    for segment in sorted(found, key=lambda name: (name is None, name or "")):
        yield segment, _Part(counted.basis, _counts_of(counted.frame, segment))


def _counts_of(
    frame: pl.DataFrame, segment: str | None
) -> dict[tuple[str, int], dict[int, tuple[int, int, int, int]]]:
    import polars as pl

    rows = frame.filter(pl.col("segment").eq_missing(segment))
    found: dict[tuple[str, int], dict[int, tuple[int, int, int, int]]] = {}
    columns = ("kind", "size", "start_day", "users", "user_days", "returning_users", "new_users")
    for kind, size, day, *counts in rows.select(columns).iter_rows():
        users, days, returning, new = (count or 0 for count in counts)
        found.setdefault((kind, size), {})[day] = (users, days, returning, new)
    return found


def _active(part: _Part) -> Iterator[Row]:
    first, series = part.basis.first_day, part.series()
    days = list(part.basis.periods("day"))
    for row in rules.rolling_rows(days, series, WINDOWS, first, _SHOWN):
        del row["window_days"]
        yield _named(row.pop("metric"), "day", row)
    for grain in ("week", "month"):
        periods = list(part.basis.periods(grain))
        for row in rules.calendar_rows(grain, periods, part.users(grain), _SHOWN):
            yield _named(row.pop("metric"), row.pop("grain"), row)
    yield from _sticky(part, days, series)


def _sticky(part: _Part, days: list[Period], series: Mapping[int, list[int]]) -> Iterator[Row]:
    counts = (part.users("month"), part.users("month", 1))
    for row in rules.stickiness_rows(part.basis.periods("month"), *counts, _SHOWN):
        yield _named("stickiness", "month", row)
    first = part.basis.first_day
    for row in rules.rolling_stickiness_rows(days, series, first, STICKINESS_DAYS, _SHOWN):
        yield _named("stickiness_rolling", "day", row)


def _named(metric: str, grain: str, row: Row) -> Row:
    """A row of the rules under the names of the table."""
    start = row.pop("day", None) or row.pop("period_start")
    return {"metric": metric, "grain": grain, "period_start": start, "truncated": False, **row}
