"""Counting for a refresh: from days in short where they say enough, else from the activity.

Contract: docs/metrics.md, "Cohorts and retention"; both ways count the same. Decision 0034.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from growth_pipeline.cohorts.refresh.money import Paid, count_paid, spans_of
from growth_pipeline.cohorts.retention.assemble import CohortKey, assemble
from growth_pipeline.cohorts.retention.grains import measure_grains
from growth_pipeline.cohorts.retention.measure import RetentionFacts
from growth_pipeline.core.calendar import period_of

if TYPE_CHECKING:
    from growth_pipeline.cohorts.definition import RetentionDefinition
    from growth_pipeline.cohorts.refresh.facts import Entered, LakeFacts
    from growth_pipeline.cohorts.refresh.plan import Basis, Plan
    from growth_pipeline.cohorts.refresh.published import Published
    from growth_pipeline.cohorts.refresh.short_days import ShortDays
    from growth_pipeline.cohorts.retention.result import RetentionCell
    from growth_pipeline.storage.queries import Queries


@dataclass(frozen=True)
class Task:
    """What one grain needs: `days` of activity to read, and `cohorts` with a cell to compute.

    `rewritten`: those, and cohorts of which only the money may differ.
    """

    before: Published | None
    basis: Basis
    definition: RetentionDefinition
    plan: Plan
    days: list[int]
    cohorts: set[int]
    rewritten: set[int]

    @property
    def grain(self) -> str:
        """Of the cohorts: day, week or month."""
        return self.definition.grain

    def sizes(self) -> dict[CohortKey, int]:
        """Members of each of the cohorts that are still there, by segment."""
        return self.basis.sizes_of(self.cohorts)


def measure_tasks(
    facts: LakeFacts,
    engine: Queries,
    entered: Entered,
    short: ShortDays,
    tasks: Sequence[Task],
) -> list[list[RetentionCell]]:
    """Cells of the touched cohorts, right where their period was read."""
    short.take({day for task in tasks for day in _days_in_short(task, short)})
    long = [task for task in tasks if not _is_short(task, short)]
    measured = iter(_measure_long(facts, engine, entered, long))
    return [
        _measure_short(task, short) if _is_short(task, short) else next(measured) for task in tasks
    ]


def _days_in_short(task: Task, short: ShortDays) -> list[int]:
    """Days to have in short: what changed, for the periods that are not over, and what is read."""
    if task.plan.is_rebuild or task.definition.segment is not None:
        return []
    return [*task.plan.days, *(task.days if _is_short(task, short) else ())]


def _is_short(task: Task, short: ShortDays) -> bool:
    """Whether days in short answer it: all are kept, and nothing asks for more than they say."""
    return not task.plan.is_rebuild and task.definition.segment is None and short.holds(task.days)


def _measure_short(task: Task, short: ShortDays) -> list[RetentionCell]:
    counts = short.counts(task.days, task.definition, task.sizes(), task.basis.through)
    return assemble(counts, task.definition, dropped={}, notes=()).cells


def _measure_long(
    facts: LakeFacts, engine: Queries, entered: Entered, tasks: Sequence[Task]
) -> list[list[RetentionCell]]:
    """From the activity itself: one pass for all grains."""
    import polars as pl

    if not any(task.cohorts for task in tasks):
        return [[] for _ in tasks]
    schema = {"user_number": pl.Int32, "day": pl.Int32, "events": pl.Int64}
    days = sorted({day for task in tasks for day in task.days})
    activity = facts.activity(days) or pl.DataFrame(schema=schema)
    entry_days = [day for day in entered.members if any(_enters(task, day) for task in tasks)]
    users = facts.active_users(engine, entry_days, activity)
    answers = measure_grains(
        engine,
        RetentionFacts(users, activity),
        [task.definition for task in tasks],
        sizes=[task.sizes() for task in tasks],
    )
    return [answer.cells for answer in answers]


def count_money(
    facts: LakeFacts, engine: Queries, entered: Entered, tasks: Sequence[Task]
) -> list[Paid]:
    """What the cohorts of each task paid; nothing while payments are unknown."""
    if facts.money.basis is None:
        return [{} for _ in tasks]
    days = [day for day in entered.members if any(_rewrites(task, day) for task in tasks)]
    spans = [
        span
        for task in tasks
        for span in spans_of(task.rewritten, task.definition, task.basis.through)
    ]
    rows = facts.money.read(engine, facts.people(), days, spans)
    return [count_paid(engine, rows, task.definition, task.basis.through) for task in tasks]


def _rewrites(task: Task, day: int) -> bool:
    return day <= task.basis.through and period_of(day, task.definition) in task.rewritten


def _enters(task: Task, day: int) -> bool:
    return day <= task.basis.through and period_of(day, task.definition) in task.cohorts
