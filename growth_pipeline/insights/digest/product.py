"""Facts about the product: events by category and name, funnels. Pure: rows in, series out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from hashlib import sha256
from typing import Any, Final

from growth_pipeline.insights.digest.people import rate
from growth_pipeline.insights.digest.weeks import WEEK_DAYS, Measured, Weeks, sum_of_days
from growth_pipeline.insights.facts import Group, Kind, Point, Series, Source, State, Unit

Row = Mapping[str, Any]
Days = Mapping[date, int]
OTHER: Final = "other"
MOST_NAMES: Final = 10
_WEEK: Final = timedelta(days=WEEK_DAYS)


def event_series(
    weeks: Weeks, source: Source, rows: Iterable[Row], categories: Mapping[str, str]
) -> Iterator[Series]:
    """Events: all, by category, and the names that changed most.

    `categories`: name of an event -> its category; names that are not in it are `other`.
    """
    by_name: dict[str, dict[date, int]] = defaultdict(dict)
    for row in rows:
        name = row["event"] or ""
        by_name[name][row["day"]] = by_name[name].get(row["day"], 0) + row["events"]
    by_category: dict[str, dict[date, int]] = {
        category: {} for category in (*dict.fromkeys(categories.values()), OTHER)
    }
    total: dict[date, int] = {}
    for name, days in by_name.items():
        into = by_category[categories.get(name, OTHER)]
        for day, events in days.items():
            into[day] = into.get(day, 0) + events
            total[day] = total.get(day, 0) + events
    yield _events(weeks, source, total, fact_id="events", label="Events")
    for category, days in by_category.items():
        yield _events(
            weeks,
            source,
            days,
            fact_id=f"events.{category}",
            label=f"{category.capitalize()} events",
            part_of="events",
        )
    for name in _moved_most(weeks, by_name):
        digits = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        yield _events(
            weeks,
            source,
            by_name[name],
            fact_id=f"event.{digits}",
            label="Event",
            name=name or "(without a name)",
        )


def funnel_series(
    source_of: Mapping[str, Source], rows: Sequence[Row], *, count: int, newest_end: date
) -> Iterator[Series]:
    """Who began each funnel, and what share came to each later stage, by week of the beginning.

    A week of a funnel is told once all its attempts had their whole window, so that its newest week
    lies that far back. `source_of`: name of a funnel -> where it was read. `count`: weeks to tell.
    """
    steps: dict[str, dict[date, dict[int, Row]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        steps[row["funnel"]][row["period_start"]][row["stage"]] = row
    for number, funnel in enumerate(sorted(steps), start=1):
        found = sorted(start for start in steps[funnel] if start + _WEEK <= newest_end)[-count:]
        if not found:
            continue
        stages = steps[funnel]
        names = {stage: row["step"] for stage, row in stages[found[-1]].items()}
        yield _entered(number, funnel, source_of[funnel], found, stages)
        for stage in sorted(names):
            if stage > 1:
                yield _stage((number, stage, names[stage]), source_of[funnel], found, stages)


def _events(
    weeks: Weeks,
    source: Source,
    days: Days,
    *,
    fact_id: str,
    label: str,
    part_of: str | None = None,
    name: str = "",
) -> Series:
    return Series(
        fact_id=fact_id,
        group=Group.PRODUCT,
        family=fact_id.partition(".")[0] if name else fact_id,
        label=label,
        name=name,
        kind=Kind.FLOW,
        unit=Unit.COUNT,
        noun="events",
        points=weeks.points(lambda start, end: Measured(sum_of_days(days, start, end))),
        source=source,
        part_of=part_of,
    )


def _moved_most(weeks: Weeks, by_name: Mapping[str, Days]) -> list[str]:
    """Names with the largest change between the last two weeks, by name where it is equal."""
    if len(weeks.spans) < 2:  # noqa: PLR2004
        return []
    (start, middle), (_, end) = weeks.spans[-2:]
    changes = {
        name: abs(sum_of_days(days, middle, end) - sum_of_days(days, start, middle))
        for name, days in by_name.items()
    }
    moved = sorted((name for name in changes if changes[name]), key=lambda n: (-changes[n], n))
    return moved[:MOST_NAMES]


def _entered(
    number: int,
    funnel: str,
    source: Source,
    starts: Sequence[date],
    stages: Mapping[date, Mapping[int, Row]],
) -> Series:
    return Series(
        fact_id=f"funnel.{number}.entered",
        group=Group.PRODUCT,
        family="funnel",
        label="Users who began the funnel",
        name=funnel,
        kind=Kind.FLOW,
        unit=Unit.COUNT,
        noun="users",
        points=tuple(
            Point(start, start + _WEEK, _users(stages[start], 1), state=_state(stages[start], 1))
            for start in starts
        ),
        source=source,
    )


def _stage(
    place: tuple[int, int, str],
    source: Source,
    starts: Sequence[date],
    stages: Mapping[date, Mapping[int, Row]],
) -> Series:
    number, stage, step = place

    def point(start: date) -> Point:
        reached, began = _users(stages[start], stage), _users(stages[start], 1)
        if reached is None or began is None:
            return Point(start, start + _WEEK, state=State.OPEN, reason="not counted")
        told = rate(reached, began, sample=began)
        return Point(
            start,
            start + _WEEK,
            told.value,
            told.sample,
            told.numerator,
            told.denominator,
            reason=told.reason,
        )

    return Series(
        fact_id=f"funnel.{number}.{stage}",
        group=Group.PRODUCT,
        family="funnel",
        label="Funnel conversion to a later stage",
        name=step,
        kind=Kind.RATE,
        unit=Unit.RATE,
        points=tuple(map(point, starts)),
        source=source,
    )


def _users(rows: Mapping[int, Row], stage: int) -> int | None:
    return rows[stage]["users"] if stage in rows else None


def _state(rows: Mapping[int, Row], stage: int) -> State:
    return State.CLOSED if stage in rows else State.OPEN
