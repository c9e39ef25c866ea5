"""What must hold of published cells, whatever the facts say. Pure.

Contract: docs/metrics.md, "Cohorts and retention" and "Time integrity".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from growth_pipeline.core.calendar import day_number, period_of, period_start
from growth_pipeline.core.periods import PeriodState

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.cohorts.refresh.run import Refreshed

ROWS = "rows_are_unique_and_whole"
SUMS = "sizes_add_up_to_users"
SHRINK = "no_cohort_shrinks"
MONEY = "money_adds_up"
SEGMENTS = "segments_add_up"
POSTGRES = "postgres_has_the_lakes_cells"
RULES: Mapping[str, str] = {
    ROWS: "Every cohort has one row for every period and currency it paid in; users are between 0 "
    "and its size; only cells that are not closed are null.",
    SUMS: "Cohort sizes add up to the users who entered before as_of, in every grain the same.",
    SHRINK: "No cohort has fewer members than when it was published last.",
    MONEY: "Money up to a period is that up to the one before and that of the period; it is null "
    "where payments are not known, and there only.",
    SEGMENTS: "Sizes and users of the segments of a cohort add up to those of the whole cohort, in "
    "every period.",
    POSTGRES: "cohorts.retention_metrics, read again after publishing, holds the cells of the "
    "lake: as many, with the same sum of users and the same hash.",
}


def judge_rows(made: Refreshed) -> list[str]:
    """What is wrong with single rows of a grain; nothing is right."""
    import polars as pl

    frame = made.published.frame
    periods = made.definition.last_period + 1
    closed = pl.col("state") == PeriodState.CLOSED
    faults = {
        "doubled": frame.select("cohort_start", "segment", "period_index", "currency")
        .is_duplicated()
        .sum(),
        "of cohorts without all periods": _incomplete(frame, periods),
        "with users below 0 or above the size": frame.filter(
            ~pl.col("users").is_between(0, pl.col("cohort_size"))
        ).height,
        "closed and null": frame.filter(closed & pl.col("users").is_null()).height,
        "open and told": frame.filter(~closed & pl.col("users").is_not_null()).height,
    }
    return [f"{made.grain}: {count} rows {fault}" for fault, count in faults.items() if count]


def judge_sums(made: Refreshed) -> list[str]:
    """Where the sizes of cohorts are not the users behind them."""
    sizes = made.published.frame.unique(["cohort_start", "segment"])["cohort_size"].sum()
    members = sum(one.size for one in made.published.basis.members.values())
    return [] if sizes == members else [f"{made.grain}: sizes add up to {sizes}, users {members}"]


def judge_sizes(made: Refreshed) -> list[str]:
    """Cohorts that lost members."""
    return [f"{made.grain}: cohort {start} lost members" for start in made.shrunk]


def judge_money(made: Refreshed) -> list[str]:
    """Where money of periods is not what sums over them say."""
    import polars as pl

    frame = made.published.frame.sort("cohort_start", "segment", "currency", "period_index")
    told = pl.col("revenue_minor").is_not_null()
    before = pl.col("cumulative_revenue_minor").shift(1).over("cohort_start", "segment", "currency")
    known = frame.with_columns(before=before).filter(told)
    sums = pl.col("before").fill_null(0) + pl.col("revenue_minor")
    faults = {
        "with sums that do not add up": known.filter(
            ~sums.eq_missing(pl.col("cumulative_revenue_minor"))
        ).height,
        "with money and not closed": known.filter(pl.col("state") != PeriodState.CLOSED).height,
    }
    if made.published.basis.money is None:
        faults["with money that nobody told"] = known.height
    else:
        faults["without money that is known"] = _untold(made)
    return [f"{made.grain}: {count} rows {fault}" for fault, count in faults.items() if count]


def judge_segments(made: Refreshed, whole: Refreshed) -> list[str]:
    """Where segments do not add up to the cohorts they are parts of; both of one grain."""
    import polars as pl

    place = ("cohort_start", "period_index")
    cells = [one.published.frame.unique([*place, "segment"]) for one in (made, whole)]
    sums = [
        frame.group_by(*place).agg(pl.col("cohort_size").sum(), pl.col("users").sum())
        for frame in cells
    ]
    odd = [
        one.join(other, on=one.columns, how="anti", nulls_equal=True).select(*place)
        for one, other in (sums, sums[::-1])
    ]
    count = pl.concat(odd).unique().height
    return [f"{made.name}: {count} periods do not add up"] if count else []


def _untold(made: Refreshed) -> int:
    """Closed rows without money whose period was over when payments were known last."""
    import polars as pl

    definition, money = made.definition, made.published.basis.money
    closed = pl.col("state") == PeriodState.CLOSED
    null = made.published.frame.filter(closed & pl.col("revenue_minor").is_null())
    ends = (
        period_start(period_of(day_number(start), definition) + index + 1, definition) - 1
        for start, index in null.select("cohort_start", "period_index").iter_rows()
    )
    return sum(money is not None and end <= money.through for end in ends)


def judge_postgres(grain: str, lake: pl.DataFrame, postgres: pl.DataFrame) -> list[str]:
    """What Postgres says otherwise than the lake; shapes: `RetentionResult.frame()`, both."""
    here, there = _fingerprint(lake), _fingerprint(postgres)
    return [
        f"{grain}: {name} in Postgres {there[name]}, in the lake {value}"
        for name, value in here.items()
        if there[name] != value
    ]


def _fingerprint(frame: pl.DataFrame) -> dict[str, int | str]:
    """Cells, their users, and a hash of all columns that does not depend on the order of rows."""
    hashes = frame.select(sorted(frame.columns)).hash_rows()
    return {
        "cells": frame.height,
        "users": int(frame["users"].sum()),
        "hash": f"{int(hashes.sum() or 0):016x}",
    }


def _incomplete(frame: pl.DataFrame, periods: int) -> int:
    import polars as pl

    rows = frame.group_by("cohort_start", "segment", "currency").len()
    return rows.filter(pl.col("len") != periods).height
