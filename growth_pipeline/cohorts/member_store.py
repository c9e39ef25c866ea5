"""Members of entries other than the sign-up, in Postgres: only who differs is handed over.

Contract: docs/cohorts.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

from growth_pipeline.core.calendar import date_of
from growth_pipeline.storage.postgres import Connection, copy_out, stage
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

_MEMBERS = "cohorts.user_cohorts"


def assign_members(
    connection: Connection, entry: str, members: pl.DataFrame
) -> tuple[int, int, int]:
    """Make these the members of an entry; how many are new, were moved, were taken out.

    `members`: everyone who entered (user_number, entry_day). Users who do not count are left out.
    """
    values = {"entry": entry}
    differing = _differing(connection, members, values)
    if differing.is_empty():
        return 0, 0, 0
    columns, types = ("user_number", "entered_on"), ("int4", "date")
    stage(connection, _MEMBERS, columns, types, _entered(differing))
    connection.execute("analyze growth_staging")
    counts = connection.execute(load_sql("cohorts/assign_members"), values).fetchone()
    assert counts is not None  # noqa: S101  # one row of counts, always
    assigned, moved, removed = counts
    return assigned, moved, removed


def _differing(
    connection: Connection, members: pl.DataFrame, values: dict[str, Any]
) -> pl.DataFrame:
    """Who is not where Postgres has them, and with a null day who is no member any more.

    Days of entry are compared by their sums first, so that only those that differ are read.
    """
    import polars as pl

    kinds = {"user_number": pl.Int32, "entry_day": pl.Int32}
    wanted = members.select(pl.col(name).cast(kind) for name, kind in kinds.items())
    sums = copy_out(connection, load_sql("cohorts/published_member_days"), values)
    known = sums.with_columns(pl.col("entry_day").cast(pl.Int32)).select(_summed(wanted).columns)
    days = [
        day
        for one, other in ((known, _summed(wanted)), (_summed(wanted), known))
        for day in one.join(other, on=one.columns, how="anti", nulls_equal=True)["entry_day"]
    ]
    if not days:
        return wanted.clear()
    told = {**values, "days": sorted({day for day in days if day is not None})}
    rows = copy_out(connection, load_sql("cohorts/published_members"), told)
    there = rows.select(pl.col(name).cast(kind) for name, kind in kinds.items())
    gone = there.join(wanted, on="user_number", how="anti")
    return pl.concat(
        [
            wanted.filter(pl.col("entry_day").is_in(told["days"])).join(
                there, on=list(kinds), how="anti"
            ),
            gone.with_columns(entry_day=pl.lit(None, pl.Int32)),
        ]
    )


def _summed(members: pl.DataFrame) -> pl.DataFrame:
    """By day of entry, what tells one set of users from another."""
    import polars as pl

    number = pl.col("user_number").cast(pl.Int64)
    return members.group_by("entry_day").agg(
        members=pl.len().cast(pl.Int64),
        numbers=number.sum(),
        residues=(number * number % 1000003).sum(),
    )


def _entered(members: pl.DataFrame) -> Iterator[tuple[int, date | None]]:
    for number, day in members.select("user_number", "entry_day").iter_rows():
        yield number, None if day is None else date_of(day)
