"""Facts as the rollup writes them, and the calendar of a plain loop; nothing of the product."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

EPOCH = date(1970, 1, 1)


def write_users(lake, entries):
    """User number -> day of the sign-up."""
    rows = [(number, (day - EPOCH).days) for number, day in entries.items()]
    schema = {"user_number": pl.Int32, "entry_day": pl.Int32}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    lake.write_partition("users", {"part": "all"}, [frame], {})


def write_day(lake, day, active, told=None):
    """User number -> events of a day."""
    rows = [(number, (day - EPOCH).days, events) for number, events in active.items()]
    schema = {"user_number": pl.Int32, "day": pl.Int32, "events": pl.Int64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return lake.write_partition("activity", {"day": day.isoformat()}, [frame], told or {})


def floor_day(day, grain):
    """First day of the day, week from Monday, or month that holds a day."""
    if grain == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if grain == "month" else day


def index_of(cohort, day, grain):
    """Periods from the first day of a cohort to that of a day."""
    there = floor_day(day, grain)
    if grain == "month":
        return (there.year - cohort.year) * 12 + there.month - cohort.month
    return (there - cohort).days // (7 if grain == "week" else 1)
