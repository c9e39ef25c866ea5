"""MRR that a file tells: subscription periods become spells in which a user's MRR is the same.

Rows: user_id, starts_on, ends_on (empty: still running), monthly_amount and perhaps a currency; a
missing row is no MRR. Contract: docs/metrics.md, "Files".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from growth_pipeline.cohorts.files.people import People
from growth_pipeline.core.calendar import date_of, period_of, period_start
from growth_pipeline.core.errors import UsageError
from growth_pipeline.storage.files.rows import Reading, ReadRows, read_rows
from growth_pipeline.storage.files.sources import open_source
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.cohorts.definition import RetentionDefinition
    from growth_pipeline.storage.engine import Engine, Spool, Table

END_DATES = ("exclusive", "inclusive")


@dataclass(frozen=True)
class MrrHistory:
    """Subscription periods of a file: read once, asked as often as definition.

    `starts` and `ends` hold the same rows by the day on which a period begins and ends. `ends_in`:
    whether the end day itself is still live.
    """

    starts: ReadRows
    ends: ReadRows
    ends_in: bool

    def spells(self, engine: Engine, spool: Spool, definition_tables: dict[str, Table]) -> str:
        """A Parquet file: user_id, currency, from_day, until_day (exclusive), minor, is_rise.

        Raises: UsageError for an MRR below 0: a period that ends before it starts.
        """
        tables: dict[str, Table] = {
            **definition_tables,
            "starts": [self.starts.path],
            "ends": [self.ends.path],
            "end_dates": _one("ends_in", self.ends_in),
        }
        path = engine.query_to_file(load_sql("cohorts/mrr_spells"), tables, spool, "spells").path
        below = engine.query(load_sql("cohorts/mrr_below_zero"), {"spells": [path]})
        if below.height:
            user, day = below.row(0)
            raise UsageError(
                f"{self.starts.source.name}: the MRR of {user!r} falls below 0 on {date_of(day)}",
                remedy="look for a period that ends before it starts, or a negative amount",
            )
        return path


def read_mrr(
    engine: Engine,
    spool: Spool,
    path: Path,
    reading: Reading,
    people: People,
    *,
    unit: str = "user_id",
    end_dates: str = "exclusive",
) -> MrrHistory:
    """A file of subscription periods, read into the spool.

    Raises: UsageError with file, line and value.
    """
    if end_dates not in END_DATES:
        raise UsageError(
            f"--end-dates {end_dates!r} is not known", remedy=f"allowed are {', '.join(END_DATES)}"
        )
    source = open_source(path, [unit, "starts_on", "ends_on", "monthly_amount"], spool)
    columns = {
        "user_id": source.need(unit),
        "event": None,
        "segment": None,
        "revenue": source.need("monthly_amount"),
        "currency": source.find("currency"),
    }

    def read(time: str, *, needs_time: bool) -> ReadRows:
        named = {**columns, "occurred_at": source.need(time)}
        name = f"mrr_{time}"
        rows = read_rows(engine, spool, source, named, reading, name=name, needs_time=needs_time)
        rows = replace(rows, dates=0)  # here a date is what is expected, and no note
        return people.merged(engine, spool, rows, f"{name}_merged")

    return MrrHistory(
        starts=read("starts_on", needs_time=True),
        ends=read("ends_on", needs_time=False),
        ends_in=end_dates == "inclusive",
    )


def mrr_snapshots(
    engine: Engine,
    spool: Spool,
    tables: dict[str, Table],
    definition: RetentionDefinition,
    last_day: int,
) -> str:
    """A Parquet file: user_number, day, currency, minor: each user's MRR at the end of each period.

    `tables`: spells and entries. `last_day`: the last day that has begun at as_of, on which the
    running period is looked at.
    """
    first = engine.query(load_sql("cohorts/mrr_first_day"), tables).item()
    days: dict[str, Table]
    if definition.is_calendar:
        statement = "cohorts/mrr_by_calendar"
        days = {"snapshots": _ends_of_periods(definition, first, last_day)}
    else:
        statement = "cohorts/mrr_since_entry"
        days = {"steps": _steps(definition, first, last_day)}
    return engine.query_to_file(load_sql(statement), {**tables, **days}, spool, "mrr").path


def _ends_of_periods(
    definition: RetentionDefinition, first: int | None, last_day: int
) -> pl.DataFrame:
    """The last day of every period of the calendar, of the running one the last that has begun."""
    import polars as pl

    periods = (
        range(0)
        if first is None
        else range(period_of(first, definition), period_of(last_day, definition) + 1)
    )
    ends = (period_start(period + 1, definition) - 1 for period in periods)
    days = [min(end, last_day) for end in ends]
    return pl.DataFrame({"day": days}, schema={"day": pl.Int32})


def _steps(definition: RetentionDefinition, first: int | None, last_day: int) -> pl.DataFrame:
    """Periods since entry, from their first to their last day, as days after entry."""
    import polars as pl

    span = definition.span_days
    longest = -1 if first is None else last_day - first
    begun = takewhile(lambda n: n * span <= longest, range(definition.last_period + 1))
    rows = [(n * span, (n + 1) * span - 1, last_day) for n in begun]
    schema = dict.fromkeys(("first_after", "last_after", "last_day"), pl.Int32)
    return pl.DataFrame(rows, schema=schema, orient="row")


def _one(name: str, value: object) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame({name: [value]})
