"""Facts about users: sign-ups, activity, retention. Pure: rows in, series out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from growth_pipeline.insights.digest.weeks import (
    WEEK_DAYS,
    WEEKDAYS,
    Measured,
    Weeks,
    known_until,
    sum_of_days,
)
from growth_pipeline.insights.facts import Group, Kind, Point, Series, Source, State, Unit

Row = Mapping[str, Any]
RETENTION_DAYS: Final = (1, 7, 30)
_PLACES: Final = Decimal("0.000001")
_NOUN: Final = "active users"
# Name -> column, label, noun, sign as a part of the active users of the week; None: no part.
_LIFECYCLE: Final[Mapping[str, tuple[str, str, int | None]]] = {
    "new_users": ("New users", "good", 1),
    "returning_users": ("Returning users", "good", None),
    "resurrecting_users": ("Resurrected users", "good", 1),
    "dormant_users": ("Dormant users", "bad", -1),
}


def signup_series(weeks: Weeks, source: Source, rows: Iterable[Row]) -> Series:
    """Users who signed up."""
    days = {row["day"]: row["users"] for row in rows}
    return Series(
        fact_id="signups",
        group=Group.USERS,
        family="signups",
        label="Sign-ups",
        kind=Kind.FLOW,
        unit=Unit.COUNT,
        noun="sign-ups",
        points=weeks.points(lambda start, end: Measured(sum_of_days(days, start, end))),
        source=source,
    )


def lifecycle_series(source: Source, rows: Sequence[Row], *, newest_end: date) -> Iterator[Series]:
    """Active users of calendar weeks, and who came, came back and left, in weeks of cohorts.

    `newest_end`: end of the newest of these weeks that the report's last day covers. Where it is
    not published yet it is told as open.
    """
    starts = [row["period_start"] for row in rows]
    by_start = {row["period_start"]: row for row in rows}
    week = timedelta(days=WEEK_DAYS)
    last = newest_end - week
    if starts and last not in by_start:
        starts.append(last)

    def points(column: str) -> tuple[Point, ...]:
        return tuple(
            Point(start, start + week, by_start[start][column])
            if start in by_start
            else Point(start, start + week, state=State.OPEN, reason=known_until(source.as_of))
            for start in starts
        )

    if not starts:
        return
    yield Series(
        fact_id="active_week",
        group=Group.USERS,
        family="active_week",
        label="Active users of the calendar week",
        kind=Kind.STOCK,
        unit=Unit.COUNT,
        noun=_NOUN,
        points=points("active_users"),
        source=source,
    )
    for name, (label, more_is, sign) in _LIFECYCLE.items():
        yield Series(
            fact_id=name,
            group=Group.USERS,
            family=name,
            label=label,
            kind=Kind.FLOW,
            unit=Unit.COUNT,
            noun=label.lower(),
            more_is=more_is,
            points=points(name),
            source=source,
            part_of=None if sign is None else "active_week",
            sign=sign or 1,
        )


def active_series(weeks: Weeks, source: Source, rows: Iterable[Row]) -> Iterator[Series]:
    """DAU as the mean of a week, WAU and MAU at its end, stickiness, and each weekday's DAU.

    A day without a row had nobody. MAU is told from the first whole 30 days on.
    """
    users: dict[str, dict[date, int]] = defaultdict(dict)
    truncated: set[tuple[str, date]] = set()
    for row in rows:
        users[row["metric"]][row["day"]] = row["users"]
        if row["truncated"]:
            truncated.add((row["metric"], row["day"]))
    dau, day = users["dau"], timedelta(days=1)

    def window(metric: str) -> Any:
        def measure(start: date, end: date) -> Measured:
            del start
            if (metric, end - day) in truncated:
                return Measured(None, reason="its window begins before the first day of data")
            return Measured(users[metric].get(end - day, 0))

        return measure

    def mean(start: date, end: date) -> Measured:
        total = Decimal(sum_of_days(dau, start, end))
        return Measured((total / WEEK_DAYS).quantize(_PLACES, ROUND_HALF_EVEN))

    def stickiness(start: date, end: date) -> Measured:
        whole = WEEK_DAYS * users["wau"].get(end - day, 0)
        return rate(sum_of_days(dau, start, end), whole, sample=whole // WEEK_DAYS)

    shared: dict[str, Any] = {"group": Group.ENGAGEMENT, "source": source, "noun": _NOUN}
    yield Series(
        fact_id="wau",
        family="wau",
        label="Weekly active users (WAU)",
        kind=Kind.STOCK,
        unit=Unit.COUNT,
        points=weeks.points(window("wau")),
        **shared,
    )
    yield Series(
        fact_id="mau",
        family="mau",
        label="Monthly active users (MAU)",
        kind=Kind.STOCK,
        unit=Unit.COUNT,
        points=weeks.points(window("mau")),
        **shared,
    )
    yield Series(
        fact_id="dau",
        family="dau",
        label="Daily active users (DAU), mean of the week",
        kind=Kind.STOCK,
        unit=Unit.AVERAGE,
        points=weeks.points(mean),
        **shared,
    )
    yield Series(
        fact_id="stickiness",
        family="stickiness",
        label="Stickiness",
        kind=Kind.RATE,
        unit=Unit.RATE,
        points=weeks.points(stickiness),
        group=Group.ENGAGEMENT,
        source=source,
    )
    yield from _weekdays(weeks, source, dau)


def _weekdays(weeks: Weeks, source: Source, dau: Mapping[date, int]) -> Iterator[Series]:
    """DAU of each day of the last week, beside the same weekday of the weeks before."""
    first_day = weeks.first
    for place in range(WEEK_DAYS):
        name = WEEKDAYS[(first_day.weekday() + place) % WEEK_DAYS]
        spans = [
            (start + timedelta(days=place), start + timedelta(days=place + 1))
            for start, _ in weeks.spans
        ]
        days = Weeks(spans, weeks.tz, weeks.as_of)
        yield Series(
            fact_id=f"dau.{name}",
            group=Group.ENGAGEMENT,
            family="dau",
            label=f"Active users on {name.capitalize()}",
            kind=Kind.STOCK,
            unit=Unit.COUNT,
            noun=_NOUN,
            grain="day",
            points=days.points(lambda start, _: Measured(dau.get(start, 0))),
            source=source,
        )


def retention_series(
    weeks: Weeks, source: Source, rows: Iterable[Row], first_cohort: date | None
) -> Iterator[Series]:
    """Day N retention: of all whose Day N fell into a week, how many came back that day."""
    cells: dict[int, dict[date, tuple[int, int]]] = defaultdict(dict)
    for row in rows:
        on = row["cohort_start"] + timedelta(days=row["period_index"])
        size, came = cells[row["period_index"]].get(on, (0, 0))
        cells[row["period_index"]][on] = (size + row["cohort_size"], came + row["users"])
    for number in RETENTION_DAYS:
        begins = None if first_cohort is None else first_cohort + timedelta(days=number)
        own, told = weeks.since(begins), cells[number]
        if not own.spans:
            continue
        yield Series(
            fact_id=f"retention.day{number}",
            group=Group.ENGAGEMENT,
            family="retention",
            label=f"Day {number} retention",
            kind=Kind.RATE,
            unit=Unit.RATE,
            points=own.points(_returned(told)),
            source=source,
        )


def _returned(told: Mapping[date, tuple[int, int]]) -> Any:
    def measure(start: date, end: date) -> Measured:
        days = [start + timedelta(days=n) for n in range((end - start).days)]
        cells = [told[day] for day in days if day in told]
        size = sum(size for size, _ in cells)
        return rate(sum(came for _, came in cells), size, sample=size)

    return measure


def rate(hits: int, cases: int, *, sample: int) -> Measured:
    """Hits of all cases, 6 decimals half-even; unknown without any."""
    if not cases:
        return Measured(None, sample=0, numerator=0, denominator=0, reason="there was nobody")
    value = (Decimal(hits) / cases).quantize(_PLACES, ROUND_HALF_EVEN)
    return Measured(value, sample, hits, cases)


def last_calendar_end(end: date, week_start: str) -> date:
    """End of the newest week of cohorts that is over on the report's last day."""
    since = (end.weekday() - WEEKDAYS.index(week_start)) % WEEK_DAYS
    return end - timedelta(days=since)
