"""Retention of facts: which queries run, over which columns. What counts mean is in `assemble`.

Contract: docs/metrics.md, "Cohorts and retention".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from growth_pipeline.cohorts.retention.assemble import (
    CohortKey,
    Counts,
    PaidInPeriod,
    assemble,
)
from growth_pipeline.core.calendar import calendar_table
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.cohorts.definition import RetentionDefinition
    from growth_pipeline.cohorts.retention.result import RetentionResult
    from growth_pipeline.storage.engine import Table
    from growth_pipeline.storage.queries import Queries

_TOP = 62  # the last bit of a mask: a signed number of 64 bits stays positive
_ENDLESS = 2_000_000_000


@dataclass(frozen=True)
class RetentionFacts:
    """Who entered, was active and paid; everything before the definition's `as_of` only.

    Shapes: users (user_number, entry_day, segment): one row per user, in recurring mode one per
    user and day of entry. activity (user_number, day, events): unique per user and day, events that
    count as coming back. money (user_number, day, currency, minor), None when payments are
    unknown; `has_currency` False: `minor` is an exact decimal of major units, currency is null.
    `currency`: of amounts where nobody paid any. Days are local and count from 1970-01-01.
    """

    users: Table
    activity: Table
    money: Table | None = None
    has_currency: bool = True
    currency: str | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def measure_retention(
    engine: Queries, facts: RetentionFacts, definition: RetentionDefinition
) -> RetentionResult:
    """Retention of all cohorts in the facts.

    Raises: as the engine.
    """
    tables = question_tables(facts, definition, bounds_of(engine, facts))
    counts = Counts(
        sizes=_sizes(engine, tables),
        users=_users(engine, tables, definition),
        events=_events(engine, tables),
        paid=paid_amounts(engine, tables) if facts.money is not None else None,
        has_currency=facts.has_currency,
        currency=facts.currency,
    )
    return assemble(counts, definition, dropped=facts.dropped, notes=facts.notes)


def bounds_of(engine: Queries, facts: RetentionFacts) -> tuple[int, int] | None:
    """The first and last day of all facts; None without any."""
    first, last = engine.query(load_sql("cohorts/retention_bounds"), _named(facts)).row(0)
    return None if first is None else (first, last)


def _named(facts: RetentionFacts) -> dict[str, Table]:
    import polars as pl

    money = facts.money
    if money is None:
        kinds = {"user_number": pl.Int32, "day": pl.Int32, "currency": pl.String, "minor": pl.Int64}
        money = pl.DataFrame(schema=kinds)
    return {"users": facts.users, "activity": facts.activity, "money": money}


def question_tables(
    facts: RetentionFacts, definition: RetentionDefinition, bounds: tuple[int, int] | None
) -> dict[str, Table]:
    """The facts and the days they lie in, with the definition as data."""
    import polars as pl

    days = calendar_table(*(bounds or (0, -1)), definition)
    position = pl.col("period" if definition.is_calendar else "day")
    counted_from = pl.col("period_start_day") if definition.mode == "recurring" else pl.col("day")
    origin = pl.col("period") if definition.is_calendar else counted_from
    calendar = days.select("day", "period", position.alias("position"), origin.alias("origin"))
    options = {
        "span": [1 if definition.is_calendar else definition.span_days],
        "top": [_TOP],
        "min_events": [definition.min_events],
    }
    return _named(facts) | {"calendar": calendar, "options": pl.DataFrame(options)}


def _sizes(engine: Queries, tables: Mapping[str, Table]) -> dict[CohortKey, int]:
    """Cohort and segment -> users who entered."""
    rows = engine.query(load_sql("cohorts/retention_sizes"), tables)
    return {(cohort, segment): users for cohort, segment, users in rows.iter_rows()}


def _users(
    engine: Queries, tables: dict[str, Table], definition: RetentionDefinition
) -> dict[tuple[CohortKey, int], int]:
    """(cohort and segment, column number) -> users who reached the column."""
    if definition.min_events == 1 and definition.last_period < _TOP:
        work = iter([("cohorts/retention_masks", _bit_cells(definition))])
    else:
        work = (("cohorts/retention_counts", chunk) for chunk in _chunks(list(definition.columns)))
    users: dict[tuple[CohortKey, int], int] = {}
    for statement, extra in work:
        rows = engine.query(load_sql(statement), {**tables, **extra})
        for cohort, segment, number, count in rows.iter_rows():
            users[(cohort, segment), number] = count
    return users


def _bit_cells(definition: RetentionDefinition) -> dict[str, pl.DataFrame]:
    """Columns as masks in which bit n is period n, and the top bit all later ones."""
    masks = []
    for low, high in definition.columns:
        end = _TOP if high is None else high
        masks.append((1 << (end + 1)) - (1 << low))
    return {"cells": _cells(dict(enumerate(masks)))}


def _chunks(columns: list[tuple[int, int | None]]) -> Iterator[dict[str, pl.DataFrame]]:
    """Columns in groups whose ends cut the periods into no more ranges than a mask has bits."""
    begun = 0
    while begun < len(columns):
        edges: set[int] = set()
        end = begun
        while end < len(columns) and len(edges | _edges(columns[end])) <= _TOP:
            edges |= _edges(columns[end])
            end += 1
        yield _chunk(dict(enumerate(columns[begun:end], start=begun)), sorted(edges))
        begun = end


def _edges(column: tuple[int, int | None]) -> set[int]:
    low, high = column
    return {low, _ENDLESS if high is None else high + 1}


def _chunk(columns: dict[int, tuple[int, int | None]], edges: list[int]) -> dict[str, pl.DataFrame]:
    import polars as pl

    ranges = list(pairwise(edges))
    schema = {"first_period": pl.Int64, "end_period": pl.Int64, "mask": pl.Int64}
    bits = [(low, end, 1 << bit) for bit, (low, end) in enumerate(ranges)]
    masks = {
        number: sum(
            mask for low, end, mask in bits if low >= first and (last is None or end <= last + 1)
        )
        for number, (first, last) in columns.items()
    }
    return {"bits": pl.DataFrame(bits, schema=schema, orient="row"), "cells": _cells(masks)}


def _cells(masks: dict[int, int]) -> pl.DataFrame:
    import polars as pl

    schema = {"number": pl.Int32, "mask": pl.Int64}
    return pl.DataFrame(list(masks.items()), schema=schema, orient="row")


def _events(engine: Queries, tables: dict[str, Table]) -> dict[CohortKey, dict[int, int]]:
    rows = engine.query(load_sql("cohorts/retention_events"), tables)
    events: dict[CohortKey, dict[int, int]] = {}
    for cohort, segment, index, count in rows.iter_rows():
        events.setdefault((cohort, segment), {})[index] = count
    return events


def paid_amounts(
    engine: Queries, tables: Mapping[str, Table]
) -> dict[CohortKey, dict[str | None, dict[int, PaidInPeriod]]]:
    """Cohort and segment -> currency -> what was paid by period index."""
    rows = engine.query(load_sql("cohorts/retention_money"), tables)
    paid: dict[CohortKey, dict[str | None, dict[int, PaidInPeriod]]] = {}
    for cohort, segment, currency, index, *amounts in rows.iter_rows():
        currencies = paid.setdefault((cohort, segment), {})
        currencies.setdefault(currency, {})[index] = PaidInPeriod(*amounts)
    return paid
