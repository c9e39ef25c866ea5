"""What must hold of published funnels, whatever the facts say. Pure.

Contract: docs/metrics.md, "Published funnels".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from growth_pipeline.cohorts.activity_store import ActivityAnswer, Row

ROWS = "stages_are_whole"
FALLING = "no_stage_has_more_users_than_the_one_before"
SEGMENTS = "segments_add_up"
POSTGRES = "postgres_has_the_rows"
FUNNEL_RULES: Mapping[str, str] = {
    ROWS: "Each begun period has one row for every stage and segment; values are null unless every "
    "attempt of the period had its whole window, and there only.",
    FALLING: "A stage has at most the users of the stage before; dropoff is the difference.",
    SEGMENTS: "Users of the segments of a property add up to all users, at every stage.",
    POSTGRES: "cohorts.funnels, read again, holds these rows.",
}


def judge_funnels(answers: Sequence[ActivityAnswer]) -> dict[str, list[str]]:
    """Rule -> what is wrong, of the rows alone."""
    whole = {answer.name: answer for answer in answers if not answer.segment_by}
    return {
        ROWS: [fault for answer in answers for fault in _judge_rows(answer)],
        FALLING: [fault for answer in answers for fault in _judge_falling(answer)],
        SEGMENTS: [
            fault
            for answer in answers
            if answer.segment_by
            for fault in _judge_segments(whole[answer.name], answer)
        ],
    }


def place_of(row: Row) -> tuple[Any, ...]:
    """What names a row among those of its funnel."""
    return row["grain"], row["period_start"], row["segment"], row["stage"]


def periods_of(answer: ActivityAnswer) -> Iterator[list[Row]]:
    """Rows of each period and segment."""
    for _, rows in groupby(answer.rows, key=lambda row: place_of(row)[:3]):
        yield list(rows)


def _judge_rows(answer: ActivityAnswer) -> list[str]:
    stages = len(answer.options["steps"])
    faults = {
        "doubled": len(answer.rows) - len({place_of(row) for row in answer.rows}),
        "of periods without all stages": sum(
            [row["stage"] for row in rows] != list(range(1, stages + 1))
            for rows in periods_of(answer)
        ),
        "closed and null, or told too early": sum(
            (row["state"] == "closed") is (row["users"] is None) for row in answer.rows
        ),
    }
    return [f"{answer.name}: {count} rows {fault}" for fault, count in faults.items() if count]


def _judge_falling(answer: ActivityAnswer) -> list[str]:
    faults = []
    for rows in periods_of(answer):
        before = None
        for row in rows:
            users, fallen = row["users"], row["dropoff"]
            is_odd = users is not None and fallen != (0 if before is None else before - users)
            if is_odd or (fallen is not None and fallen < 0):
                faults.append(f"{answer.name} {row['period_start']}: stage {row['stage']}")
            before = users
    return faults


def _judge_segments(whole: ActivityAnswer, split: ActivityAnswer) -> list[str]:
    sums: Counter[tuple[Any, ...]] = Counter()
    for row in split.rows:
        sums[row["grain"], row["period_start"], row["stage"]] += row["users"] or 0
    return [
        f"{whole.name} {row['period_start']}: stage {row['stage']} by {split.segment_by}"
        for row in whole.rows
        if sums[row["grain"], row["period_start"], row["stage"]] != (row["users"] or 0)
    ]
