"""What must hold of published retention, as asset checks; the rules are in refresh/judge.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.cohorts.active_users.published.judge import RULES as USER_RULES
from growth_pipeline.cohorts.funnel.published.judge import FUNNEL_RULES
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
    from collections.abc import Mapping

    from growth_pipeline.cohorts.cohort_store import Answer, CohortStore
    from growth_pipeline.cohorts.refresh.run import Refreshed

RETENTION_KEY = dg.AssetKey(["cohorts", "retention_cells"])
REPORT_KEY = dg.AssetKey(["cohorts", "report"])
FUNNELS_KEY = dg.AssetKey(["cohorts", "funnels"])
USERS_KEY = dg.AssetKey(["cohorts", "active_users"])
FILES = "files_are_whole"
_EXAMPLES = 10

RETENTION_CHECKS = [
    dg.AssetCheckSpec(name, asset=RETENTION_KEY, description=description)
    for name, description in RULES.items()
]
USER_CHECKS = [
    dg.AssetCheckSpec(name, asset=USERS_KEY, description=description, blocking=True)
    for name, description in USER_RULES.items()
]
FUNNEL_CHECKS = [
    dg.AssetCheckSpec(name, asset=FUNNELS_KEY, description=description, blocking=True)
    for name, description in FUNNEL_RULES.items()
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


def check_faults(judged: Mapping[str, Sequence[str]]) -> list[dg.AssetCheckResult]:
    """One result a rule: what is wrong, by its name."""
    return [_result(name, faults) for name, faults in judged.items()]


def _result(name: str, faults: Sequence[str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        passed=not faults,
        severity=dg.AssetCheckSeverity.WARN if name == SHRINK else dg.AssetCheckSeverity.ERROR,
        description="; ".join(faults[:_EXAMPLES]) or None,
        metadata={"faults": len(faults)},
    )
