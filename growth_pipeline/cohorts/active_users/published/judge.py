"""What must hold of published active users, whatever the facts say. Pure.

Contract: docs/metrics.md, "Published active users".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from growth_pipeline.cohorts.active_users.rules import Row

ROWS = "rows_are_unique_and_whole"
WINDOWS = "windows_hold_each_other"
LIFECYCLE = "lifecycle_adds_up"
STICKINESS = "stickiness_is_of_its_days"
SEGMENTS = "segments_add_up"
POSTGRES = "postgres_has_the_rows"
RULES: Mapping[str, str] = {
    ROWS: "Each metric has one row for every day or period since the first activity; a value is "
    "null unless its period is over, and there only.",
    WINDOWS: "DAU <= WAU <= MAU on every day; DAU is the day's active users of the lifecycle, and "
    "the calendar counts are those of its weeks and months.",
    LIFECYCLE: "new + returning + resurrecting = active; active before = returning + dormant; "
    "users who were new on a day add up to everybody who was ever active.",
    STICKINESS: "User-days of a month are the sum of its DAU; a rate is between 0 and 1.",
    SEGMENTS: "Users of the segments of a property add up to all users, in every period.",
    POSTGRES: "cohorts.active_users and cohorts.lifecycle, read again, hold these rows.",
}


def judge_rows(rows: Sequence[Row], value: str = "users") -> list[str]:
    """Doubled rows, gaps between periods, and values that the state forbids."""
    names = ("metric", "grain", "period_start", "segment_by", "segment")
    keys = Counter(tuple(row.get(name) for name in names) for row in rows)
    odd = sum((row["state"] == "closed") is (row[value] is None) for row in rows)
    faults = {
        "doubled": sum(count > 1 for count in keys.values()),
        "closed and null, or told too early": odd,
    }
    return [f"{count} rows {fault}" for fault, count in faults.items() if count]


def judge_windows(active: Sequence[Row], lifecycle: Sequence[Row]) -> list[str]:
    """Where a longer window has fewer users, or two tables disagree."""
    told = {
        (row["metric"], row["period_start"], row["segment_by"], row["segment"]): row["users"]
        for row in active
    }
    faults = []
    for (metric, *place), users in told.items():
        if metric == "dau":
            week, month = told[("wau", *place)], told[("mau", *place)]
            if not users <= week <= month:
                faults.append(f"{place[0]}: DAU {users}, WAU {week}, MAU {month}")
    names = {"day": "dau", "week": "wau_calendar", "month": "mau_calendar"}
    for row in lifecycle:
        place = [row["period_start"], row["segment_by"], row["segment"]]
        if told.get((names[row["grain"]], *place)) != row["active_users"]:
            faults.append(f"{row['period_start']}: {row['grain']} has other active users")
    return faults


def judge_lifecycle(rows: Sequence[Row], people: int) -> list[str]:
    """Where the four kinds of users do not add up; `people`: everybody who was ever active."""
    new = sum(row["new_users"] or 0 for row in rows if row["grain"] == "day")
    faults = [] if new == people else [f"{new} users were new on a day, {people} were ever active"]
    before: Mapping[str, Any] = {}
    series = sorted(rows, key=_series)
    for row in series:
        if before and _series(row)[:3] != _series(before)[:3]:
            before = {}
        if row["state"] != "closed":
            continue
        kinds = ("new_users", "returning_users", "resurrecting_users")
        if sum(row[name] for name in kinds) != row["active_users"]:
            faults.append(f"{row['grain']} {row['period_start']}: kinds do not add up to active")
        was = before["active_users"] if before else 0
        if row["returning_users"] + row["dormant_users"] != was:
            faults.append(f"{row['grain']} {row['period_start']}: {was} were active before")
        before = row
    return faults


def judge_stickiness(rows: Sequence[Row]) -> list[str]:
    """Months whose user-days are not the sum of their DAU."""
    sums: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        if row["metric"] == "dau":
            start = row["period_start"].replace(day=1)
            sums[start, row["segment_by"], row["segment"]] += row["users"]
    return [
        f"{row['period_start']}: {row['user_days']} user-days, its DAU add up to {found}"
        for row in rows
        if row["metric"] == "stickiness" and row["state"] == "closed"
        for found in [sums[row["period_start"], row["segment_by"], row["segment"]]]
        if found != row["user_days"]
    ]


def judge_segments(whole: Iterable[Row], split: Iterable[Row]) -> list[str]:
    """Periods in which segments do not add up to all users; both of one question."""
    sums: Counter[tuple[Any, ...]] = Counter()
    for row in split:
        sums[row["metric"], row["period_start"]] += row["users"] or 0
    return [
        f"{row['metric']} {row['period_start']}: {sums[key]} in segments, {row['users']} in all"
        for row in whole
        for key in [(row["metric"], row["period_start"])]
        if row["users"] is not None and sums[key] != row["users"]
    ]


def _series(row: Mapping[str, Any]) -> tuple[Any, ...]:
    segment = row["segment"]
    return row["grain"], segment is None, segment or "", row["period_start"]
