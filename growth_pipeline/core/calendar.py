"""Days and periods as whole numbers: zones, week starts and anchors become data. Pure.

A day number is the days from 1970-01-01 to the local date. Queries join what is made here and need
no date functions. Contract: docs/metrics.md, "Rules for every metric".
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol

from growth_pipeline.core.periods import zone_of

if TYPE_CHECKING:
    import polars as pl

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

DAY_SECONDS = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1)
_REMEMBERED = 100_000
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_FIRST_MONDAY = 4  # 1970-01-05
_FIRST_SECOND = int(datetime(1899, 1, 1, tzinfo=UTC).timestamp())
_END_SECOND = int(datetime(2204, 1, 1, tzinfo=UTC).timestamp())


class Periods(Protocol):
    """What decides which period a day is in: `grain` day, week, month, quarter or year.

    Weeks start on `week_start`, or at `anchor`, a day on which one starts.
    """

    @property
    def grain(self) -> str: ...  # noqa: D102

    @property
    def week_start(self) -> str: ...  # noqa: D102

    @property
    def anchor(self) -> date | None: ...  # noqa: D102


def day_number(day: date) -> int:
    """Days from 1970-01-01 to a date; negative before it."""
    return (day - _EPOCH_DAY).days


def date_of(number: int) -> date:
    """The date of a day number."""
    return _EPOCH_DAY + timedelta(days=number)


def local_days(tz: str) -> pl.DataFrame:
    """Grain: one offset of a zone, from its first Unix second until the next row's.

    Shapes: utc_from, offset (seconds east of UTC), in order of time; the first row begins before
    1900 and the last changes of clocks are those of 2203. Local day = (second + offset) / 86400,
    rounded down.
    Raises: UsageError for an unknown zone.
    """
    import polars as pl

    names = ("utc_from", "offset")
    return pl.DataFrame(list(_offsets(tz)), schema=dict.fromkeys(names, pl.Int64), orient="row")


@lru_cache(maxsize=_REMEMBERED)
def day_end(tz: str, day: int) -> int:
    """The Unix second at which a local day is over for good, exclusive.

    Clocks set back over midnight show a day twice; it is over after the second time. A day that a
    zone leapt over ends with the day before.
    """
    ends = [
        min(end, (day + 1) * DAY_SECONDS - offset)
        for (start, offset), (end, _) in pairwise((*_offsets(tz), (_END_SECOND, 0)))
        if (start + offset) // DAY_SECONDS <= day
    ]
    return max(ends)


@lru_cache(maxsize=_REMEMBERED)
def day_start(tz: str, day: int) -> int:
    """The Unix second at which the clocks of a zone first show a local day or a later one."""
    starts = (
        max(start, day * DAY_SECONDS - offset)
        for (start, offset), (end, _) in pairwise((*_offsets(tz), (_END_SECOND, 0)))
        if (end - 1 + offset) // DAY_SECONDS >= day
    )
    return min(starts)


def first_day_after(tz: str, second: int) -> int:
    """The first local day that ends after a Unix second: whose last state an instant changes.

    It is the local day of the instant, but where clocks that are set back show a day twice.
    """
    offsets = _offsets(tz)
    place = bisect_right(offsets, second, key=itemgetter(0)) - 1
    day = (second + offsets[max(place, 0)][1]) // DAY_SECONDS
    while second < day_end(tz, day - 1):
        day -= 1
    return day


def calendar_table(first: int, last: int, definition: Periods) -> pl.DataFrame:
    """Grain: one day number from `first` to `last`, both in.

    Shapes: day, period (a whole number that grows by 1 with each period of the grain, whatever
    lies between), period_start_day, period_end_day (exclusive: the next period's start).
    """
    import polars as pl

    rows = []
    for day in range(first, last + 1):
        period = period_of(day, definition)
        rows.append(
            (day, period, period_start(period, definition), period_start(period + 1, definition))
        )
    names = ("day", "period", "period_start_day", "period_end_day")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Int32), orient="row")


def period_of(day: int, definition: Periods) -> int:
    """The period of the definition's grain that holds a day."""
    if definition.grain == "day":
        return day
    if definition.grain == "week":
        return (day - week_origin(definition)) // 7
    found = date_of(day)
    return (found.year * 12 + found.month - 1) // _MONTHS[definition.grain]


def period_start(period: int, definition: Periods) -> int:
    """The first day of a period."""
    if definition.grain == "day":
        return period
    if definition.grain == "week":
        return week_origin(definition) + 7 * period
    month = period * _MONTHS[definition.grain]
    return day_number(date(month // 12, month % 12 + 1, 1))


def week_origin(definition: Periods) -> int:
    """A day on which a week starts, the same for equal starts of the week or one anchor."""
    if definition.anchor is not None:
        return day_number(definition.anchor)
    return _FIRST_MONDAY + WEEKDAYS.index(definition.week_start)


@cache
def _offsets(tz: str) -> tuple[tuple[int, int], ...]:
    """(first Unix second, offset) of a zone. Found by looking at every day, then by halving."""
    zone = zone_of(tz)
    found = [(_FIRST_SECOND, _offset(zone, _FIRST_SECOND))]
    if zone is UTC:
        return tuple(found)
    for second in range(_FIRST_SECOND + DAY_SECONDS, _END_SECOND, DAY_SECONDS):
        if _offset(zone, second) != found[-1][1]:
            found.append(_change(zone, second - DAY_SECONDS, second))
    return tuple(found)


def _change(zone: tzinfo, before: int, after: int) -> tuple[int, int]:
    """The first second with the offset of `after`, which differs from the one of `before`."""
    offset = _offset(zone, after)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(zone, middle) == offset:
            after = middle
        else:
            before = middle
    return after, offset


def _offset(zone: tzinfo, second: int) -> int:
    shown = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    return 0 if shown is None else shown // timedelta(seconds=1)
