"""Averages of published columns, pooled over their closed cells. Pure.

Contract: docs/metrics.md, "Cohorts and retention".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from growth_pipeline.cohorts.retention.result import ColumnAverage
from growth_pipeline.cohorts.retention.rules import quotient, wilson_interval
from growth_pipeline.core.periods import PeriodState

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.cohorts.definition import RetentionDefinition


def averages_of(frame: pl.DataFrame, definition: RetentionDefinition) -> list[ColumnAverage]:
    """Pooled over the closed cells of each column, as the contract says."""
    import polars as pl

    # One of a cell's rows by currency.
    frame = frame.unique(["cohort_start", "segment", "period_index"])
    closed = frame.filter((pl.col("state") == PeriodState.CLOSED) & (pl.col("cohort_size") > 0))
    sums = closed.group_by("segment", "period_index").agg(
        pl.col("users").sum(), pl.col("cohort_size").sum(), pl.len()
    )
    pooled = {(segment, index): tuple(told) for segment, index, *told in sums.iter_rows()}
    segments = frame["segment"].unique().sort(nulls_last=False).to_list() or [None]
    return [
        _average(segment, index, *pooled.get((segment, index), (0, 0, 0)))
        for segment in segments
        for index in range(definition.last_period + 1)
    ]


@dataclass(frozen=True)
class Split:
    """Averages of cohorts split by a property. `people`: how many entered, by segment."""

    definition: Mapping[str, Any]
    people: Mapping[str | None, int]
    averages: Sequence[ColumnAverage]


def split_of(frame: pl.DataFrame, definition: RetentionDefinition) -> Split:
    """What is told of published cells that are split; shapes: `RetentionResult.frame()`."""
    import polars as pl

    sizes = frame.unique(["cohort_start", "segment"]).group_by("segment")
    people = dict(sizes.agg(pl.col("cohort_size").sum()).iter_rows())
    return Split(definition.resolved(), people, averages_of(frame, definition))


def _average(segment: str | None, index: int, users: int, base: int, cohorts: int) -> ColumnAverage:
    low, high = wilson_interval(users, base) or (None, None)
    return ColumnAverage(
        segment=segment,
        period_index=index,
        cohorts=cohorts,
        users=users if cohorts else None,
        base=base if cohorts else None,
        rate=quotient(users, base),
        rate_low=low,
        rate_high=high,
    )
