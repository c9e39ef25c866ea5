"""Which local day an instant lies in, as tables that a query joins by UTC day. Pure.

A query with these tables needs no date functions: local day = whole days of (second + offset).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from growth_pipeline.core.calendar import DAY_SECONDS, local_days

if TYPE_CHECKING:
    import polars as pl

FIRST_SECOND = int(datetime(1900, 1, 1, tzinfo=UTC).timestamp())
END_SECOND = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp())
LATER_SECOND = int(datetime(2202, 1, 1, tzinfo=UTC).timestamp())  # periods end after the last row

Offsets = Sequence[tuple[int, int]]
"""(first Unix second of an offset, seconds east of UTC), in order of time."""


@cache
def zone_tables(tz: str) -> Mapping[str, pl.DataFrame]:
    """Tables zone_days and day_starts of a zone for the years of which files may tell.

    Raises: UsageError for an unknown zone.
    """
    offsets = zone_offsets(tz)
    return {
        "zone_days": offsets_by_utc_day(offsets, END_SECOND),
        "day_starts": day_starts(day_bounds(offsets, END_SECOND)),
    }


@cache
def zone_days(tz: str) -> Mapping[int, tuple[int, int]]:
    """As `day_bounds`, also some time after the last row.

    Raises: UsageError for an unknown zone.
    """
    return day_bounds(zone_offsets(tz), LATER_SECOND)


def zone_offsets(tz: str) -> Offsets:
    """The offsets of a zone from 1900 on.

    Raises: UsageError for an unknown zone.
    """
    known: list[tuple[int, int]] = list(local_days(tz).iter_rows())
    held = [offset for second, offset in known if second <= FIRST_SECOND]
    return [(FIRST_SECOND, held[-1]), *(row for row in known if row[0] > FIRST_SECOND)]


def offsets_by_utc_day(offsets: Offsets, end_second: int) -> pl.DataFrame:
    """Grain: one UTC day, or a part of it up to a change of clocks. Half-open `[from, to)`.

    Shapes: utc_day, from_second, to_second, offset_seconds; every second between the first offset
    and `end_second` is in exactly one row.
    """
    import polars as pl

    rows = [
        (day, max(start, day * DAY_SECONDS), min(end, (day + 1) * DAY_SECONDS), offset)
        for start, end, offset in _spans(offsets, end_second)
        for day in range(start // DAY_SECONDS, -(-end // DAY_SECONDS))
    ]
    names = ("utc_day", "from_second", "to_second", "offset_seconds")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Int64), orient="row")


def day_bounds(offsets: Offsets, end_second: int) -> dict[int, tuple[int, int]]:
    """Local day -> the second at which the clocks first show it, and at which it is over for good.

    Shapes: days since 1970-01-01, without gaps. Clocks set back over midnight show a day twice. A
    day that the zone leapt over (Apia, 30 December 2011) has no length.
    """
    bounds: dict[int, tuple[int, int]] = {}
    following: int | None = None
    for start, end, offset in _spans(offsets, end_second):
        first, last = (start + offset) // DAY_SECONDS, (end + offset - 1) // DAY_SECONDS
        if following is not None:
            bounds.update(dict.fromkeys(range(following, first), (start, start)))
        for day in range(first, last + 1):
            midnight = day * DAY_SECONDS - offset
            begun = bounds[day][0] if day in bounds else max(start, midnight)
            bounds[day] = (begun, min(end, midnight + DAY_SECONDS))
        following = max(last + 1, following or last + 1)
    return bounds


def day_starts(bounds: dict[int, tuple[int, int]]) -> pl.DataFrame:
    """Grain: one local day. Shapes: day, start_second, the first second of the day."""
    import polars as pl

    table = {"day": list(bounds), "start_second": [start for start, _ in bounds.values()]}
    return pl.DataFrame(table, schema=dict.fromkeys(table, pl.Int64))


def _spans(offsets: Offsets, end_second: int) -> Iterator[tuple[int, int, int]]:
    """(start, end, offset) of every offset that begins before the end; half-open, without gaps."""
    known = [row for row in offsets if row[0] < end_second]
    for (start, offset), (end, _) in pairwise([*known, (end_second, 0)]):
        yield start, end, offset
