"""Refreshed counts on their way to Postgres: rows, what must hold of them, whether they arrived.

Contract: docs/metrics.md, "Published active users".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from growth_pipeline.cohorts.active_users.published import judge
from growth_pipeline.cohorts.active_users.published.refresh import RefreshedUsers
from growth_pipeline.cohorts.active_users.published.rows import (
    ACTIVE_COLUMNS,
    LIFECYCLE_COLUMNS,
    active_rows,
    lifecycle_rows,
)
from growth_pipeline.cohorts.activity_store import ActivityAnswer, PublishedActivity, Row

QUESTIONS = ("active_users", "lifecycle")


@dataclass(frozen=True)
class Told:
    """One refreshed question as rows."""

    made: RefreshedUsers
    active: Sequence[Row]
    lifecycle: Sequence[Row]

    def answers(self) -> list[ActivityAnswer]:
        """What Postgres is given."""
        counted = self.made.counted
        parts = ((ACTIVE_COLUMNS, self.active), (LIFECYCLE_COLUMNS, self.lifecycle))
        return [
            ActivityAnswer(
                question=question,
                as_of=counted.as_of,
                options=counted.basis.options,
                columns=columns,
                rows=rows,
                segment_by=self.made.segment_by or "",
            )
            for question, (columns, rows) in zip(QUESTIONS, parts, strict=True)
        ]


def told_of(done: Sequence[RefreshedUsers]) -> list[Told]:
    """Rows of each question, all users first."""
    return [Told(made, active_rows(made.counted), lifecycle_rows(made.counted)) for made in done]


def judge_told(told: Sequence[Told]) -> Mapping[str, list[str]]:
    """Rule -> what is wrong, of the rows alone."""
    whole = told[0]
    return {
        judge.ROWS: [
            fault
            for one in told
            for rows, value in ((one.active, "users"), (one.lifecycle, "active_users"))
            for fault in judge.judge_rows(rows, value)
        ],
        judge.WINDOWS: [
            fault for one in told for fault in judge.judge_windows(one.active, one.lifecycle)
        ],
        judge.LIFECYCLE: [
            fault for one in told for fault in judge.judge_lifecycle(one.lifecycle, one.made.people)
        ],
        judge.STICKINESS: [fault for one in told for fault in judge.judge_stickiness(one.active)],
        judge.SEGMENTS: [
            fault for one in told[1:] for fault in judge.judge_segments(whole.active, one.active)
        ],
    }


def judge_store(answers: Sequence[ActivityAnswer], store: PublishedActivity) -> list[str]:
    """Where rows read again differ from those that were handed over.

    Raises: RemoteUnavailableError.
    """
    faults = []
    for answer in answers:
        there = store.rows(
            answer.question, answer.columns, name=answer.name, segment_by=answer.segment_by
        )
        odd = _as_set(there) ^ _as_set(answer.rows)
        if odd:
            split = f" by {answer.segment_by}" if answer.segment_by else ""
            faults.append(f"{answer.name or answer.question}{split}: {len(odd)} rows differ")
    return faults


def _as_set(rows: Sequence[Row]) -> set[tuple[object, ...]]:
    return {tuple(row.values()) for row in rows}
