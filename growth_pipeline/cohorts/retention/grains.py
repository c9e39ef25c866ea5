"""Several questions about the same facts for the price of one, as day, week and month together.

The answers are those of `measure_retention`, one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from growth_pipeline.cohorts.retention.assemble import CohortKey, Counts, assemble
from growth_pipeline.cohorts.retention.measure import (
    RetentionFacts,
    bounds_of,
    measure_retention,
    paid_amounts,
    question_tables,
)
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.cohorts.definition import RetentionDefinition
    from growth_pipeline.cohorts.retention.result import RetentionResult
    from growth_pipeline.storage.engine import Table
    from growth_pipeline.storage.queries import Queries

_LANES = 2
_BITS = 63  # a signed number of 64 bits stays positive


def measure_grains(
    engine: Queries,
    facts: RetentionFacts,
    definitions: Sequence[RetentionDefinition],
    *,
    sizes: Sequence[Mapping[CohortKey, int]] | None = None,
) -> list[RetentionResult]:
    """Retention of the same facts for each definition, in their order.

    The definitions differ in grain, periods, columns and in how cells are told: not in what makes
    the facts (entry, events, zone, `as_of`). Those that enter once and need one event share a pass
    that adds up by day, which says all of single days; of the others two share a pass over users.
    `sizes`: of each definition the cohorts to answer with how many entered, where that is known.
    Then `facts.users` may leave out who was not active, and the definitions are such as share.
    Raises: as the engine; ValueError for sizes with definitions that do not share.
    """
    shares = all(_can_share(one) for one in definitions)
    if sizes is not None and not shares:
        raise ValueError("sizes are for definitions that share a word of bits")
    if sizes is None and (len(definitions) == 1 or not shares):
        return [measure_retention(engine, facts, definition) for definition in definitions]
    bounds = bounds_of(engine, facts)
    asked = [question_tables(facts, definition, bounds) for definition in definitions]
    entered = _sizes(engine, asked) if sizes is None else sizes
    days = engine.query(load_sql("cohorts/retention_days"), asked[0])
    shown = [_by_period(days, tables, one) for tables, one in zip(asked, definitions, strict=True)]
    users = _users(engine, asked, definitions, shown)
    answers = []
    for lane, (tables, definition) in enumerate(zip(asked, definitions, strict=True)):
        counts = Counts(
            sizes=entered[lane],
            users=users[lane],
            events=_events(shown[lane]),
            paid=None if facts.money is None else paid_amounts(engine, tables),
            has_currency=facts.has_currency,
        )
        answers.append(assemble(counts, definition, dropped=facts.dropped, notes=facts.notes))
    return answers


def _can_share(definition: RetentionDefinition) -> bool:
    return (
        definition.mode == "first_ever"
        and definition.min_events == 1
        and _width(definition) <= _BITS
    )


def _width(definition: RetentionDefinition) -> int:
    """Bits of a question: its periods, and one that all later ones share."""
    return definition.last_period + 2


def _is_daily(definition: RetentionDefinition) -> bool:
    """Whether each column is a single day: a user has one row a day, so users are rows."""
    return definition.retention == "on" and definition.span_days == 1


def _pairs(definitions: Sequence[RetentionDefinition]) -> Iterator[list[int]]:
    """Places of the questions that need a word, as many together as fit into one."""
    waiting: list[int] = []
    for place, definition in enumerate(definitions):
        if _is_daily(definition):
            continue
        used = sum(_width(definitions[lane]) for lane in waiting)
        if len(waiting) == _LANES or used + _width(definition) > _BITS:
            yield waiting
            waiting = []
        waiting.append(place)
    if waiting:
        yield waiting


def _sizes(engine: Queries, asked: Sequence[Mapping[str, Table]]) -> list[dict[CohortKey, int]]:
    """For each question: cohort and segment -> users who entered."""
    import polars as pl

    days = _frame(asked[0], "calendar").with_columns(period=pl.col("day"))
    found = engine.query(load_sql("cohorts/retention_sizes"), {**asked[0], "calendar": days})
    found = found.rename({"cohort": "entry_day"}).with_columns(every=pl.lit(0))
    return [
        {
            (cohort, segment): users
            for cohort, segment, _, users in _by_cohort(found, one, "every", "users").iter_rows()
        }
        for one in asked
    ]


def _by_period(
    days: pl.DataFrame, tables: Mapping[str, Table], definition: RetentionDefinition
) -> pl.DataFrame:
    """Cohort, segment, period index, -1 before entry, rows of activity, events; none later."""
    import polars as pl

    calendar = _frame(tables, "calendar")
    span = _frame(tables, "options")["span"].item()
    placed = days.join(calendar.select("day", "position"), on="day").join(
        calendar.select(pl.col("day").alias("entry_day"), "origin"), on="entry_day"
    )
    distance = pl.col("position") - pl.col("origin")
    index = pl.when(distance < 0).then(-1).otherwise(distance // span).cast(pl.Int64)
    placed = placed.with_columns(index=index).filter(pl.col("index") <= definition.last_period)
    return _by_cohort(placed, tables, "index", "users", "events")


def _users(
    engine: Queries,
    asked: Sequence[Mapping[str, Table]],
    definitions: Sequence[RetentionDefinition],
    shown: Sequence[pl.DataFrame],
) -> list[dict[tuple[CohortKey, int], int]]:
    """For each question: (cohort and segment, column number) -> users who reached the column."""
    users = [_users_by_day(rows) for rows in shown]  # the column of a day is its index
    for places in _pairs(definitions):
        found = _users_by_word(
            engine, [asked[place] for place in places], [definitions[place] for place in places]
        )
        for place, told in zip(places, found, strict=True):
            users[place] = told
    return users


def _users_by_day(shown: pl.DataFrame) -> dict[tuple[CohortKey, int], int]:
    return {
        ((cohort, segment), index): users
        for cohort, segment, index, users, _ in shown.iter_rows()
        if index >= 0
    }


def _users_by_word(
    engine: Queries,
    asked: Sequence[Mapping[str, Table]],
    definitions: Sequence[RetentionDefinition],
) -> list[dict[tuple[CohortKey, int], int]]:
    """The same as `_users`, from a word of bits per user."""
    import polars as pl

    bases = list(accumulate((_width(one) for one in definitions), initial=0))
    owners: list[int] = []
    masks: list[int] = []
    firsts = []
    for lane, definition in enumerate(definitions):
        top = definition.last_period + 1
        firsts.append(len(masks))
        for low, high in definition.columns:
            end = top if high is None else high
            owners.append(lane)
            masks.append(((1 << (end + 1)) - (1 << low)) << bases[lane])
    cells = {"number": list(range(len(masks))), "mask": masks}
    tables = {
        **asked[0],
        "cells": pl.DataFrame(cells, schema={"number": pl.Int32, "mask": pl.Int64}),
        "calendar": _calendar(asked),
    }
    lanes = _lanes(definitions, asked, bases)
    found = engine.query(load_sql("cohorts/retention_words"), tables, lanes)
    found = found.with_columns(lane=pl.col("number").replace_strict(dict(enumerate(owners))))
    users: list[dict[tuple[CohortKey, int], int]] = []
    for lane, one in enumerate(asked):
        rows = _by_cohort(found.filter(pl.col("lane") == lane), one, "number", "users")
        users.append(
            {
                ((cohort, segment), cell - firsts[lane]): count
                for cohort, segment, cell, count in rows.iter_rows()
            }
        )
    return users


def _events(shown: pl.DataFrame) -> dict[CohortKey, dict[int, int]]:
    """Cohort and segment -> events by period index, before entry under -1."""
    events: dict[CohortKey, dict[int, int]] = {}
    for cohort, segment, index, _, count in shown.iter_rows():
        events.setdefault((cohort, segment), {})[index] = count
    return events


def _by_cohort(
    found: pl.DataFrame, tables: Mapping[str, Table], key: str, *amounts: str
) -> pl.DataFrame:
    """Sums over the days of entry of a cohort: cohort, segment, the key, the amounts."""
    import polars as pl

    calendar = _frame(tables, "calendar")
    periods = calendar.select(pl.col("day").alias("entry_day"), pl.col("period").alias("cohort"))
    joined = found.join(periods, on="entry_day")
    return joined.group_by("cohort", "segment", key).agg(pl.col(*amounts).sum())


def _calendar(asked: Sequence[Mapping[str, Table]]) -> pl.DataFrame:
    """Day -> position and origin of each lane; a lane that is not asked repeats the first."""
    import polars as pl

    merged = _frame(asked[0], "calendar").select("day")
    for lane in range(_LANES):
        calendar = _frame(_of_lane(asked, lane), "calendar").select(
            "day",
            pl.col("position").alias(f"position_{lane + 1}"),
            pl.col("origin").alias(f"origin_{lane + 1}"),
        )
        merged = merged.join(calendar, on="day")
    return merged


def _lanes(
    definitions: Sequence[RetentionDefinition],
    asked: Sequence[Mapping[str, Table]],
    bases: Sequence[int],
) -> dict[str, int]:
    """Span, first bit and last period of each lane; one that is not asked repeats the first."""
    lanes = {}
    for lane in range(_LANES):
        source = lane if lane < len(definitions) else 0
        lanes[f"span_{lane + 1}"] = _frame(asked[source], "options")["span"].item()
        lanes[f"base_{lane + 1}"] = bases[source]
        lanes[f"top_{lane + 1}"] = definitions[source].last_period + 1
    return lanes


def _of_lane(asked: Sequence[Mapping[str, Table]], lane: int) -> Mapping[str, Table]:
    return asked[lane] if lane < len(asked) else asked[0]


def _frame(tables: Mapping[str, Table], name: str) -> pl.DataFrame:
    """A table of the question that was made here, as it was made."""
    import polars as pl

    frame = tables[name]
    assert isinstance(frame, pl.DataFrame)  # noqa: S101
    return frame
