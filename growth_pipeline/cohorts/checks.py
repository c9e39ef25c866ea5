"""What must hold of published retention, as asset checks; the rules are in refresh/judge.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.cohorts.refresh.judge import (
    MONEY,
    POSTGRES,
    ROWS,
    RULES,
    SEGMENTS,
    SHRINK,
    SUMS,
    judge_money,
    judge_postgres,
    judge_rows,
    judge_segments,
    judge_sizes,
    judge_sums,
)

if TYPE_CHECKING:
    from growth_pipeline.cohorts.cohort_store import Answer, CohortStore
    from growth_pipeline.cohorts.refresh.run import Refreshed

RETENTION_KEY = dg.AssetKey(["cohorts", "retention_cells"])
REPORT_KEY = dg.AssetKey(["cohorts", "report"])
FILES = "files_are_whole"
_EXAMPLES = 10

RETENTION_CHECKS = [
    dg.AssetCheckSpec(name, asset=RETENTION_KEY, description=description)
    for name, description in RULES.items()
]
REPORT_CHECKS = [
    dg.AssetCheckSpec(
        FILES, asset=REPORT_KEY, description="Each file of the report can be read back."
    )
]


def check_refresh(done: Sequence[Refreshed]) -> list[dg.AssetCheckResult]:
    """One result a rule, over all grains. A cohort may shrink when users are merged: a warning."""
    whole = {made.grain: made for made in done if made.definition.segment is None}
    judged = {
        ROWS: [fault for made in done for fault in judge_rows(made)],
        SUMS: [fault for made in done for fault in judge_sums(made)],
        SHRINK: [fault for made in done for fault in judge_sizes(made)],
        MONEY: [fault for made in done for fault in judge_money(made)],
        SEGMENTS: [
            fault
            for made in done
            if made.definition.segment is not None
            for fault in judge_segments(made, whole[made.grain])
        ],
    }
    return [_result(name, faults) for name, faults in judged.items()]


def check_postgres(answers: Sequence[Answer], store: CohortStore) -> dg.AssetCheckResult:
    """Whether Postgres holds what was handed to it, read again.

    Raises: RemoteUnavailableError.
    """
    faults = [
        fault
        for answer in answers
        for fault in judge_postgres(
            answer.definition.grain, answer.cells, store.read(answer.definition)
        )
    ]
    return _result(POSTGRES, faults)


def _result(name: str, faults: Sequence[str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        passed=not faults,
        severity=dg.AssetCheckSeverity.WARN if name == SHRINK else dg.AssetCheckSeverity.ERROR,
        description="; ".join(faults[:_EXAMPLES]) or None,
        metadata={"faults": len(faults)},
    )
