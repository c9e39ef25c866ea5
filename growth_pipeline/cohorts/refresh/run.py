"""One refresh: read what the change touches, compute those cells, put them among the others.

Contract: docs/metrics.md, "Cohorts and retention"; a full rebuild gives the same cells.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from growth_pipeline.cohorts.cohort_store import Answer
from growth_pipeline.cohorts.money.rollup import roll_up_money
from growth_pipeline.cohorts.refresh.averages import averages_of
from growth_pipeline.cohorts.refresh.changes import restated, shrunk
from growth_pipeline.cohorts.refresh.counting import Task, count_money, measure_tasks
from growth_pipeline.cohorts.refresh.entries import ENTRIES, SIGNUP, entered_by
from growth_pipeline.cohorts.refresh.facts import (
    Entered,
    LakeFacts,
    read_facts,
    segments_in,
)
from growth_pipeline.cohorts.refresh.money import (
    Paid,
    paid_cohorts,
    read_money,
    told_with_money,
    without_money,
)
from growth_pipeline.cohorts.refresh.plan import (
    Plan,
    days_to_read,
    plan_refresh,
)
from growth_pipeline.cohorts.refresh.published import (
    CELLS,
    RESTATEMENTS,
    CellKey,
    CellStore,
    Published,
    Restatement,
    cells_in,
    key_of,
)
from growth_pipeline.cohorts.refresh.short_days import SHORT_DAYS, ShortDays
from growth_pipeline.cohorts.refresh.wanted import Wanted
from growth_pipeline.cohorts.retention.result import RetentionCell, RetentionResult
from growth_pipeline.core.calendar import (
    date_of,
    day_number,
    period_of,
    period_start,
)
from growth_pipeline.core.errors import UsageError
from growth_pipeline.storage.lake import LakeUnreadableError

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.cohorts.definition import RetentionDefinition
    from growth_pipeline.cohorts.money.money_store import MoneyStore
    from growth_pipeline.storage.lake import Lake
    from growth_pipeline.storage.queries import Queries

__all__ = ["Refreshed", "Wanted", "answers_of", "in_words", "refresh"]

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Refreshed:
    """One grain after a refresh. `changed`: cells that differ from what was published.

    `shrunk`: cohorts (first days) that lost members. `read_days`: days of activity that were read.
    `members`: everyone who entered, for an entry other than the sign-up (user_number, entry_day).
    """

    published: Published
    definition: RetentionDefinition
    plan: Plan
    computed: int
    changed: int
    read_days: int
    restatements: list[Restatement]
    shrunk: list[date]
    members: pl.DataFrame | None = None

    @property
    def grain(self) -> str:
        """Of the cohorts: day, week or month."""
        return self.definition.grain

    @property
    def name(self) -> str:
        """`week`, or `week by plan`."""
        segment = self.definition.segment
        return self.grain if segment is None else f"{self.grain} by {segment}"

    @property
    def money_known_through(self) -> date | None:
        """The last local day, in, whose payments are known."""
        money = self.published.basis.money
        return None if money is None else date_of(money.through)

    def answer(self) -> RetentionResult:
        """All published cells, as any question about retention is answered."""
        return RetentionResult(
            definition=self.definition.resolved(),
            as_of=self.definition.as_of,
            cells=cells_in(self.published.frame),
            averages=averages_of(self.published.frame, self.definition),
            dropped={},
            notes=(),
        )


def refresh(
    lake: Lake,
    engine: Queries,
    wanted: Wanted,
    *,
    now: datetime,
    segments: Sequence[str] = (),
    books: MoneyStore | None = None,
    dry_run: bool = False,
    tell: Tell = lambda _: None,
) -> list[Refreshed]:
    """Bring the published cells up to date; the same facts again change nothing.

    `segments`: properties by which the cohorts are split too, after they were told as they are.
    `books`: where the lake's money comes from; None leaves it as it is. A dry run computes the same
    from what is in the lake and writes nothing. `tell` hears what is done next.
    Raises: GrowthError when there are no facts; UsageError; LakeUnreadableError; LakeWriteError.
    """
    for segment_by in segments:
        segments_in(lake, segment_by)  # before anything is written
    facts = _facts(lake, wanted, now=now, books=None if dry_run else books, tell=tell)
    facts = entered_by(wanted.entry, lake, engine, facts, keep=not dry_run)
    keep = None if dry_run else now
    done = _refresh(lake, engine, wanted, facts, keep=keep, tell=tell)
    if wanted.entry != SIGNUP:
        through = max(made.published.basis.through for made in done)
        done = _with_members(done, facts.members(engine, through))
    for segment_by in segments:
        split = replace(
            facts, segment_by=segment_by, segments=(segments_in(lake, segment_by).path,)
        )
        done += _refresh(lake, engine, wanted, split, keep=keep, tell=tell)
    if not dry_run:
        _remove_old_versions(lake)
    return done


def _refresh(
    lake: Lake,
    engine: Queries,
    wanted: Wanted,
    facts: LakeFacts,
    *,
    keep: datetime | None,
    tell: Tell,
) -> list[Refreshed]:
    """The cells of these facts; `keep`: when they are written, None: they are not."""
    store = CellStore(lake, wanted.entry, facts.segment_by)
    entered = facts.entered(engine)
    tasks = [
        _task(facts, entered, store.read(grain), wanted, grain)
        for grain in dict.fromkeys(wanted.grains)
    ]
    days = {day for task in tasks for day in task.days}
    tell(f"reading {len(days)} days of activity for {', '.join(task.grain for task in tasks)}")
    through = max(task.basis.through for task in tasks)
    short = ShortDays(lake, engine, facts, entered.members, through)
    measured = measure_tasks(facts, engine, entered, short, tasks)
    if keep is not None:
        short.keep()
    done = []
    paid = count_money(facts, engine, entered, tasks)
    for task, cells, amounts in zip(tasks, measured, paid, strict=True):
        made = _made(task, cells, amounts)
        if keep is not None:
            tell(f"{made.name}: writing {made.published.frame.height} cells to the lake")
            store.write(made.published, made.restatements, now=keep)
        done.append(made)
    return done


def _facts(
    lake: Lake,
    wanted: Wanted,
    *,
    now: datetime,
    books: MoneyStore | None,
    tell: Tell,
) -> LakeFacts:
    """What the lake holds, with the money of the books brought there first."""
    facts = read_facts(lake)
    if wanted.tz not in (None, facts.tz):
        raise UsageError(
            f"the days in the lake are those of {facts.tz}, not of {wanted.tz}",
            remedy="roll activity up in the other zone first, or leave --timezone out",
        )
    if books is not None:
        rolled = roll_up_money(books, lake, tz=facts.tz, now=now)
        if rolled.until is not None:
            tell(rolled.in_words())
    return replace(facts, money=read_money(lake, facts.tz))


def _with_members(done: list[Refreshed], members: pl.DataFrame | None) -> list[Refreshed]:
    return [replace(made, members=members) for made in done]


def _remove_old_versions(lake: Lake) -> None:
    """All but the version that counts and the one before it, which somebody may be reading."""
    for dataset in (CELLS, RESTATEMENTS, SHORT_DAYS, ENTRIES):
        with suppress(LakeUnreadableError, OSError):  # what stays takes room and does no harm
            lake.prune(dataset, keep=2)


def answers_of(done: Sequence[Refreshed]) -> list[Answer]:
    """All cells of each grain, to publish: what Postgres misses since it was away comes with them.

    Shapes: every cohort of the question, so that those which are gone are withdrawn. Members are
    those of the entry, the same for every grain, and come with the first.
    """
    return [
        Answer(made.definition, made.published.frame, members=None if place else made.members)
        for place, made in enumerate(done)
    ]


def in_words(made: Refreshed) -> str:
    """`week: 13 of 4,212 cells computed from 7 days of activity, 12 changed, 0 restated`."""
    extent = "all" if made.plan.is_rebuild else str(made.computed)
    return (
        f"{made.name}: {extent} of {made.published.frame.height} cells computed from "
        f"{made.read_days} days of activity, {made.changed} changed, "
        f"{len(made.restatements)} restated"
    )


def _task(
    facts: LakeFacts,
    entered: Entered,
    before: Published | None,
    wanted: Wanted,
    grain: str,
) -> Task:
    through = _through(facts, before, wanted)
    definition = wanted.definition(grain, through, facts.tz, segment_by=facts.segment_by)
    basis = facts.basis(entered, definition, through)
    since, until = (
        None if day is None else day_number(day) for day in (wanted.since, wanted.until)
    )
    known_basis = before.basis if before else None
    plan = plan_refresh(known_basis, basis, definition, since=since, until=until)
    known = basis.members.keys() | (before.basis.members.keys() if before else set())
    days = days_to_read(plan, basis, definition)
    cohorts = plan.cohorts_of(known, definition)
    paid = paid_cohorts(
        known_basis.money if known_basis else None, basis.money, basis.members.keys(), definition
    )
    return Task(before, basis, definition, plan, days, cohorts, cohorts | paid)


def _made(task: Task, measured: Sequence[RetentionCell], paid: Paid) -> Refreshed:
    """The computed cells among those that were published, with the money of their cohorts."""
    before, basis, definition = task.before, task.basis, task.definition
    fresh = {_place(cell): cell for cell in measured if _touches(task.plan, cell, definition)}
    starts = {date_of(period_start(cohort, definition)) for cohort in task.rewritten}
    old = before.cells_of(starts) if before else {}
    kept = {_place(cell): without_money(cell) for cell in old.values()}
    sizes = basis.sizes_of(basis.members)
    alive = {
        (date_of(period_start(cohort, definition)), segment or "") for cohort, segment in sizes
    }
    plain = [cell for place, cell in sorted({**kept, **fresh}.items()) if place[:2] in alive]
    told = told_with_money(plain, paid, basis.money, sizes, definition)
    cells = {key_of(cell): cell for cell in told}
    # Segments are told some time after the sign-up: what changed is told of whole cohorts.
    is_comparable = (
        before is not None and before.basis.options == basis.options and definition.segment is None
    )
    through = date_of(basis.through)
    return Refreshed(
        published=Published(basis, definition.as_of, _merged(before, starts, cells, definition)),
        definition=definition,
        plan=task.plan,
        computed=len(fresh),
        changed=sum(old.get(key) != cells.get(key) for key in old.keys() | cells.keys()),
        read_days=len(task.days),
        restatements=restated(old, cells, through) if is_comparable else [],
        shrunk=shrunk(before, basis, definition) if is_comparable else [],
    )


def _through(facts: LakeFacts, before: Published | None, wanted: Wanted) -> int:
    if wanted.through is not None:
        return day_number(wanted.through)
    published = [before.basis.through] if before else []
    return max([facts.last_whole_day(), *published])


def _merged(
    before: Published | None,
    starts: Collection[date],
    cells: Mapping[CellKey, RetentionCell],
    definition: RetentionDefinition,
) -> pl.DataFrame:
    """The cells of the touched cohorts among those of all others, in order."""
    import polars as pl

    answer = RetentionResult(
        definition.resolved(), definition.as_of, list(cells.values()), [], {}, ()
    )
    others = [before.without(starts)] if before else []
    order = ("cohort_start", "segment", "period_index", "currency")
    return pl.concat([*others, answer.frame()]).sort(*order)


def _place(cell: RetentionCell) -> tuple[date, str, int]:
    return cell.cohort_start, cell.segment or "", int(cell.period_index)


def _touches(plan: Plan, cell: RetentionCell, definition: RetentionDefinition) -> bool:
    return plan.touches(_cohort(cell, definition), int(cell.period_index))


def _cohort(cell: RetentionCell, definition: RetentionDefinition) -> int:
    return period_of(day_number(cell.cohort_start), definition)
