"""Retention by day, week and month written by hand for three embedded engines, as fast as we know.

All follow one plan, the best we found on each. A user has one row a day, so users of a single day
are rows, added up with the events by day of entry and day. Weeks and months are bits of a word per
user; words that are alike are counted once. Everything known is written into the query. chDB is no
dependency of ours: `chdb` is measured where it can be imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import polars as pl

MEMORY = "4GiB"
DAYS, WEEKS, MONTHS = 31, 13, 13
BITS = WEEKS + 1 + MONTHS + 1  # the last of each: all later ones
SHOWN = {"week": range(WEEKS), "month": range(WEEKS + 1, BITS - 1)}


class Facts(NamedTuple):
    """Parquet files, and a week and a month for each day that may come up, in order."""

    users: str
    activity: list[str]
    calendar: pl.DataFrame
    spill: Path


class Found(NamedTuple):
    """Users in all cells of a grain, and events in those by day: what answers must agree on."""

    day: int
    week: int
    month: int
    events: int


def by_duckdb(facts: Facts) -> Found:
    """One query per pass, bounded as the product is."""
    bounds = {"memory_limit": MEMORY, "temp_directory": str(facts.spill)}
    connection = duckdb.connect(config={**bounds, "preserve_insertion_order": False})
    connection.execute("set enable_progress_bar = false")
    connection.register("calendar", facts.calendar.to_arrow())
    connection.read_parquet([facts.users]).create_view("users")
    connection.read_parquet(facts.activity, hive_partitioning=False).create_view("activity")
    counts = ", ".join(f"sum(users) filter (word & {1 << bit} <> 0)" for bit in range(BITS))
    words = connection.sql(
        f"""
        with members as materialized (
            select user_number, entry_day, calendar.week, calendar.month
            from users join calendar on entry_day = day
        ),
        words as (
            select
                user_number,
                any_value(entry_day) as entry_day,
                bit_or(
                    case when calendar.week >= members.week
                        then (1::bigint << least(calendar.week - members.week, {WEEKS}))
                            | (1::bigint << (
                                {WEEKS + 1} + least(calendar.month - members.month, {MONTHS})
                            ))
                        else 0 end
                ) as word
            from activity
            join members using (user_number)
            join calendar on activity.day = calendar.day
            group by user_number
        ),
        alike as (select entry_day, word, count(*) as users from words group by all)
        select entry_day, {counts} from alike group by entry_day
        """
    ).pl()
    days = connection.sql(
        "select entry_day, day, sum(events)::bigint as events, count(*) as users"
        " from activity join users using (user_number) group by all"
    ).pl()
    connection.close()
    return _found(words, days)


def by_polars(facts: Facts) -> Found:
    """Streaming; it cannot be told a bound of memory."""
    users = pl.scan_parquet(facts.users).select("user_number", "entry_day")
    calendar = facts.calendar.lazy()
    activity = pl.scan_parquet(facts.activity, hive_partitioning=False)
    begun = calendar.select(entry_day="day", first_week="week", first_month="month")
    week = pl.col("week") - pl.col("first_week")
    month = pl.col("month") - pl.col("first_month")
    bits = _power(pl.min_horizontal(week, WEEKS)) | _power(
        WEEKS + 1 + pl.min_horizontal(month, MONTHS)
    )
    words = (
        activity.join(users.join(begun, on="entry_day"), on="user_number")
        .join(calendar, on="day")
        .select("user_number", "entry_day", word=pl.when(week >= 0).then(bits).otherwise(0))
        .group_by("user_number")
        .agg(pl.col("word").bitwise_or(), pl.col("entry_day").first())
        .group_by("entry_day", "word")
        .agg(users=pl.len())
        .group_by("entry_day")
        .agg(
            pl.col("users").filter(pl.col("word") & (1 << bit) != 0).sum().alias(f"bit_{bit}")
            for bit in range(BITS)
        )
    )
    days = (
        activity.join(users, on="user_number")
        .group_by("entry_day", "day")
        .agg(pl.col("events").sum(), users=pl.len())
    )
    return _found(words.collect(engine="streaming"), days.collect(engine="streaming"))


def by_chdb(facts: Facts) -> Found:
    """ClickHouse in process; days look up their week and month in an array."""
    first = facts.calendar["day"][0] - 1  # arrays count from 1
    weeks, months = (facts.calendar[name].to_list() for name in ("week", "month"))
    folder = Path(facts.activity[0]).parents[1]
    activity = f"file('{folder}/**/*.parquet', Parquet)"
    users = f"file('{facts.users}', Parquet)"
    settings = f"settings max_memory_usage = {4 << 30}, use_hive_partitioning = 0"
    counts = ", ".join(f"sumIf(users, bitTest(word, {bit}))" for bit in range(BITS))
    words = _chdb(
        f"""
        with {weeks}::Array(Int32) as weeks, {months}::Array(Int32) as months
        select entered, {counts}
        from (
            select entered, word, count() as users
            from (
                select
                    user_number,
                    any(first_day) as entered,
                    groupBitOr(if(
                        week >= first_week,
                        bitOr(
                            bitShiftLeft(1::UInt32, least(week - first_week, {WEEKS})),
                            bitShiftLeft(
                                1::UInt32, {WEEKS + 1} + least(month - first_month, {MONTHS})
                            )
                        ),
                        0
                    )) as word
                from (
                    select user_number, weeks[day - {first}] as week, months[day - {first}] as month
                    from {activity}
                ) as activity
                inner join (
                    select
                        user_number,
                        entry_day as first_day,
                        weeks[entry_day - {first}] as first_week,
                        months[entry_day - {first}] as first_month
                    from {users}
                ) as users using user_number
                group by user_number
            )
            group by entered, word
        )
        group by entered
        {settings}
        """
    )
    days = _chdb(
        "select first_day as entry_day, day, sum(events) as events, count() as users"
        f" from {activity} as activity inner join"
        f" (select user_number, entry_day as first_day from {users}) as users using user_number"
        f" group by entry_day, day {settings}"
    )
    return _found(words, days)


def _chdb(query: str) -> pl.DataFrame:
    import chdb

    return pl.read_ipc(chdb.query(query, "Arrow").bytes())


def _power(exponent: pl.Expr) -> pl.Expr:
    return pl.lit(2, pl.Int32).pow(exponent.clip(0)).cast(pl.Int32)


def _found(words: pl.DataFrame, days: pl.DataFrame) -> Found:
    """`words`: day of entry, then users by bit. `days`: entry_day, day, events, users."""
    sums = words.select(pl.all().sum()).row(0)[1:]
    shown = days.filter((pl.col("day") - pl.col("entry_day")).is_between(0, DAYS - 1))
    return Found(
        day=int(shown["users"].sum()),
        week=int(sum(sums[bit] for bit in SHOWN["week"])),
        month=int(sum(sums[bit] for bit in SHOWN["month"])),
        events=int(shown["events"].sum()),
    )


def engines() -> Mapping[str, Callable[[Facts], Found]]:
    """Those that are there: chDB only where somebody brought it."""
    known = {"duckdb": by_duckdb, "polars": by_polars, "chdb": by_chdb}
    return {name: work for name, work in known.items() if find_spec(name) is not None}


def versions() -> dict[str, Any]:
    """Of the engines that are there."""
    from importlib.metadata import version

    return {name: version(name) for name in engines()}
