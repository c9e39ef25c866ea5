"""How a cell is said: a percentage, a count where people are few, nothing where it is not begun.

Source: docs/metrics.md, "Rules for every metric". Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from growth_pipeline.cohorts.retention.result import RetentionCell, RetentionResult
from growth_pipeline.core.display import format_number
from growth_pipeline.core.periods import PeriodState

SUPPRESSED_UNDER: Final = 5
COUNTED_UNDER: Final = 20
TOO_FEW: Final = "few"
OPEN_MARK: Final = "*"
_TENTH: Final = Decimal("0.1")


def percent(rate: Decimal) -> str:
    """A rate with one decimal, half-even: `27.0 %`."""
    return f"{(rate * 100).quantize(_TENTH, ROUND_HALF_EVEN)} %"


def cell_in_words(cell: RetentionCell) -> str:
    """A cell of a grid: `27.0 %`, `3 of 12` for a small cohort, `few` for a tiny one.

    Shapes: `*` is in progress, with what there is so far if that was asked for; a cell that has not
    begun is empty.
    """
    if cell.state is PeriodState.NOT_BEGUN:
        return ""
    mark = OPEN_MARK if is_open(cell) else ""
    if cell.users is None or cell.rate is None:
        return mark
    if cell.cohort_size < SUPPRESSED_UNDER:
        return TOO_FEW + mark
    if cell.cohort_size < COUNTED_UNDER:
        return f"{cell.users} of {cell.cohort_size}{mark}"
    return percent(cell.rate) + mark


def size_in_words(size: int) -> str:
    """How many a cohort has; of a tiny one only that it is tiny."""
    return f"under {SUPPRESSED_UNDER}" if size < SUPPRESSED_UNDER else format_number(size)


def is_open(cell: RetentionCell) -> bool:
    """Whether the cell has begun and is not over."""
    return cell.state is PeriodState.OPEN


def column_name(answer: RetentionResult, index: int | str) -> str:
    """`W3`: the grain's first letter and the period."""
    return f"{str(answer.definition['grain'])[0].upper()}{index}"


def newest_cohorts(answer: RetentionResult, limit: int) -> Mapping[date, list[RetentionCell]]:
    """Cells of the newest cohorts by their first day, oldest cohort first; each cell once.

    Of a cell's rows by currency, which tell the same of people, the first stands for all.
    """
    by_cohort: dict[date, list[RetentionCell]] = {}
    for cell in answer.cells:
        cells = by_cohort.setdefault(cell.cohort_start, [])
        if not cells or cells[-1].period_index != cell.period_index:
            cells.append(cell)
    return {start: by_cohort[start] for start in sorted(by_cohort)[-limit:]}
