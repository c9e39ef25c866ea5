"""All segments together, beside each of them. Pure."""

from __future__ import annotations

from dataclasses import replace

from growth_pipeline.cohorts.retention.result import RetentionResult
from growth_pipeline.core.errors import UsageError


def with_total(answer: RetentionResult, whole: RetentionResult, name: str) -> RetentionResult:
    """The answer by segment, followed by the cells and averages of everybody under a name.

    `whole`: the answer to the same question without segments.
    Raises: UsageError when a segment already has the name.
    """
    if any(cell.segment == name for cell in answer.cells):
        raise UsageError(f"a segment is called {name!r}", remedy="give another --total")
    return replace(
        answer,
        definition={**answer.definition, "total": name},
        cells=[*answer.cells, *(replace(cell, segment=name) for cell in whole.cells)],
        averages=[*answer.averages, *(replace(row, segment=name) for row in whole.averages)],
    )
