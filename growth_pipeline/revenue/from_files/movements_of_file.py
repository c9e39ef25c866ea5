"""MRR movements of a file of subscription periods: read, measure, check, tell.

Contract: docs/metrics.md, "MRR movements".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from growth_pipeline.core.calendar import day_number, period_of, period_start
from growth_pipeline.revenue.from_files.identities import check_movements
from growth_pipeline.revenue.from_files.looks import periods_of
from growth_pipeline.revenue.from_files.measure import measure_movements
from growth_pipeline.revenue.from_files.periods import usable_periods
from growth_pipeline.revenue.from_files.result import MovementsResult, rows_of_periods

if TYPE_CHECKING:
    from growth_pipeline.revenue.from_files.definition import MovementsDefinition
    from growth_pipeline.revenue.from_files.periods import PeriodsFile
    from growth_pipeline.storage.engine import Engine, Spool


def movements_of_file(
    engine: Engine,
    spool: Spool,
    file: PeriodsFile,
    definition: MovementsDefinition,
    *,
    is_as_of_told: bool = True,
) -> MovementsResult:
    """The movements of a file.

    `is_as_of_told` False: `definition.as_of` is the file's own; it then reaches to the end of the
    last period that is asked for, because a period without row has no MRR.
    Raises: UsageError for a row that cannot be used; BrokenIdentityError.
    """
    notes: list[str] = []
    if not is_as_of_told and definition.last is not None:
        last = period_of(day_number(definition.last), definition)
        asked = file.reading.day_end(period_start(last + 1, definition) - 1)
        if asked > definition.as_of:
            definition = replace(definition, as_of=asked)
            notes = [f"without --as-of the file counts as complete until {asked.isoformat()}"]
    usable = usable_periods(
        engine, spool, file, as_of=definition.as_of, end_dates=definition.end_dates
    )
    rows = []
    if usable.first_day is not None:
        periods, shown = periods_of(file.reading.days, definition, usable.first_day)
        measured = measure_movements(
            engine, spool, usable.path, periods, definition, has_currency=file.has_currency
        )
        check_movements(measured)
        rows = list(rows_of_periods(measured, definition, shown))
    return MovementsResult(
        definition=definition.resolved(),
        as_of=definition.as_of,
        periods=tuple(period for period, _ in rows),
        movements=tuple(movement for _, movements in rows for movement in movements),
        notes=(*usable.notes, *notes),
    )
