"""Movements of published spells, asked with options of one's own: the same rows as of a file.

Contract: docs/metrics.md, "Published movements".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from growth_pipeline.core.calendar import date_of
from growth_pipeline.revenue.from_files.result import MovementsResult, Row, rows_of_periods
from growth_pipeline.revenue.published.measure import Answer, measure_published
from growth_pipeline.revenue.published.source import periods_before

if TYPE_CHECKING:
    from growth_pipeline.revenue.from_files.definition import MovementsDefinition
    from growth_pipeline.revenue.published.source import PublishedSpells
    from growth_pipeline.storage.engine import Engine, Spool

_HEAD = frozenset({"period_start", "period_end", "currency", "movement", "state"})


def movements_of_spells(
    engine: Engine, spool: Spool, source: PublishedSpells, definition: MovementsDefinition
) -> MovementsResult:
    """The movements of published spells.

    Shapes: values that an item of unknown price touches are None, and a note names their periods.
    Raises: BrokenIdentityError.
    """
    periods = periods_before(
        engine,
        spool,
        source,
        as_of=definition.as_of,
        tz=definition.tz,
        level=definition.level,
    )
    if periods.first_day is None:
        return MovementsResult(definition.resolved(), definition.as_of, (), (), ())
    answer = measure_published(engine, spool, source, periods, definition)
    known = [
        _known(answer, period, moved)
        for period, moved in rows_of_periods(answer.measured, definition, answer.shown)
    ]
    return MovementsResult(
        definition=definition.resolved(),
        as_of=definition.as_of,
        periods=tuple(period for period, _ in known),
        movements=tuple(movement for _, movements in known for movement in movements),
        notes=tuple(_notes(answer)),
    )


def _known(answer: Answer, row: Row, movements: Iterable[Row]) -> tuple[Row, list[Row]]:
    """Rows of a period and currency, without what an unknown price makes unknown."""
    currency = row["currency"]
    number = next(
        one.number
        for one in answer.periods
        if str(date_of(one.start_day)) == str(row["period_start"])
    )
    if (number, currency) in answer.unknown:
        return _hidden(row), [_hidden(movement) for movement in movements]
    for horizon in answer.definition.horizons:
        if any((one, currency) in answer.unknown for one in range(number - horizon + 1, number)):
            suffix = "" if horizon == 1 else f"_{horizon}"
            row = {**row, f"nrr{suffix}": None, f"grr{suffix}": None}
    return row, list(movements)


def _hidden(row: Row) -> Row:
    return {name: value if name in _HEAD else _nothing(value) for name, value in row.items()}


def _nothing(value: Any) -> Any:
    return {} if isinstance(value, dict) else None


def _notes(answer: Answer) -> Iterable[str]:
    for period in answer.periods:
        for currency in answer.measured.currencies:
            if (period.number, currency) in answer.unknown:
                yield (
                    f"the price of an item in {currency} is unknown in the period from "
                    f"{date_of(period.start_day)}: nothing is told of it"
                )
