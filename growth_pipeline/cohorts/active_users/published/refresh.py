"""One refresh of active users: count what new, late or changed days touch, keep everything else.

Contract: docs/metrics.md, "Published active users"; a full count gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from growth_pipeline.cohorts.active_users import rules
from growth_pipeline.cohorts.active_users.definition import ActiveUsersDefinition
from growth_pipeline.cohorts.active_users.published.counts import (
    WINDOW,
    Counted,
    CountStore,
    PeriodUsers,
    Restatement,
    counts_schema,
    merged,
    restated,
)
from growth_pipeline.cohorts.active_users.published.plan import (
    WINDOWS,
    Basis,
    Touched,
    published_options,
    touched,
)
from growth_pipeline.cohorts.definition import GRAINS
from growth_pipeline.cohorts.refresh.entries import FIRST_ACTIVITY, entered_by
from growth_pipeline.cohorts.refresh.facts import LakeFacts, read_facts, segments_in
from growth_pipeline.core.calendar import day_end
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.storage.engine import Table
    from growth_pipeline.storage.lake import Lake
    from growth_pipeline.storage.queries import Queries

Tell = Callable[[str], None]


@dataclass(frozen=True)
class RefreshedUsers:
    """Counts of one question after a refresh. `computed`: counts made again.

    `read_days`: days of activity that were read. `people`: users who were ever active up to the
    last day. `segment_by`: None for all users together.
    """

    counted: Counted
    touched: Touched
    computed: int
    read_days: int
    people: int
    restatements: list[Restatement] = field(default_factory=list)
    segment_by: str | None = None

    def in_words(self) -> str:
        """`active users by plan: 9 of 4,000 counts made from 31 days of activity, 0 restated`."""
        split = "" if self.segment_by is None else f" by {self.segment_by}"
        extent = "all" if self.touched.is_rebuild else str(self.computed)
        return (
            f"active users{split}: {extent} of {self.counted.frame.height} counts made from "
            f"{self.read_days} days of activity, {len(self.restatements)} restated"
        )


def refresh_active_users(
    lake: Lake,
    engine: Queries,
    *,
    now: datetime,
    week_start: str = "monday",
    segments: Sequence[str] = (),
    tell: Tell = lambda _: None,
) -> list[RefreshedUsers]:
    """Bring the counts up to date: of all users, then split by each property.

    Raises: GrowthError when there is no activity; UsageError for a property that was not read;
    LakeUnreadableError; LakeWriteError.
    """
    for segment_by in segments:
        segments_in(lake, segment_by)  # before anything is written
    facts = entered_by(FIRST_ACTIVITY, lake, engine, read_facts(lake), keep=True)
    done = []
    questions = [facts, *(_split(lake, facts, segment_by) for segment_by in segments)]
    for split in questions:
        work = _Work(lake, engine, split, _basis(split, week_start))
        made = work.run(now=now)
        tell(made.in_words())
        done.append(made)
    return done


def _split(lake: Lake, facts: LakeFacts, segment_by: str) -> LakeFacts:
    known = segments_in(lake, segment_by).path
    return replace(facts, segment_by=segment_by, segments=(known,))


def _basis(facts: LakeFacts, week_start: str) -> Basis:
    """What there is to count.

    Raises: GrowthError without any activity of a known user.
    """
    through = facts.last_whole_day()
    first = min((day for day, told in facts.days.items() if told.row_count), default=None)
    if first is None or first > through:
        raise GrowthError(
            "no user was active on a day that is over",
            remedy="refresh once the rollup has seen activity of a known user",
        )
    definition = ActiveUsersDefinition(
        as_of=_end(facts.tz, through),
        tz=facts.tz,
        windows=WINDOWS,
        week_start=week_start,
        segment=facts.segment_by,
    )
    days = {day: told.sha256[:16] for day, told in facts.days.items() if first <= day <= through}
    return Basis(through, first, published_options(definition), days)


def _end(tz: str, day: int) -> datetime:
    return datetime.fromtimestamp(day_end(tz, day), UTC)


@dataclass
class _Work:
    """One question at work. `read`: days whose activity was read."""

    lake: Lake
    engine: Queries
    facts: LakeFacts
    basis: Basis
    read: set[int] = field(default_factory=set)

    def run(self, *, now: datetime) -> RefreshedUsers:
        store = CountStore(self.lake, self.facts.segment_by)
        before = store.read()
        people = self._people()
        plan = touched(
            before.basis if before else None, self.basis, self._moved(store, before, people)
        )
        fresh = self._counts(plan, people)
        old = None if plan.is_rebuild or before is None else before.frame
        counted = Counted(
            self.basis,
            _end(self.facts.tz, self.basis.through),
            merged(old, fresh, self._again(plan)),
        )
        log = self._restated(before, counted.frame)
        self._keep_periods()
        store.write(counted, people, log, now=now)
        return RefreshedUsers(
            counted=counted,
            touched=plan,
            computed=fresh.height,
            read_days=len(self.read),
            people=int((people["first_day"] <= self.basis.through).sum()),
            restatements=log,
            segment_by=self.facts.segment_by,
        )

    def _restated(self, before: Counted | None, frame: pl.DataFrame) -> list[Restatement]:
        """Segments are told some time after the first day: what changed is told of all users."""
        if before is None or self.facts.segment_by is not None:
            return []
        if before.basis.options != self.basis.options:
            return []
        return restated(before.frame, frame, before.basis.through, self.basis)

    def _people(self) -> pl.DataFrame:
        return self.engine.query(load_sql("cohorts/active_people"), self.facts.people())

    def _moved(
        self, store: CountStore, before: Counted | None, people: pl.DataFrame
    ) -> list[tuple[int, int, bool]]:
        known = store.people()
        if before is None or known is None:
            return []
        tables: dict[str, Table] = {"people_before": [known.path], "people": people}
        rows = self.engine.query(load_sql("cohorts/active_people_changes"), tables)
        columns = rows.select("day_before", "day_now", "is_moved").iter_rows()
        return [(first, now, bool(moved)) for first, now, moved in columns]

    def _again(self, plan: Touched) -> dict[str, list[int]]:
        """Kind of count -> its days that are counted again."""
        told = {WINDOW: sorted(plan.windows)}
        for grain, periods in plan.periods.items():
            told[grain] = sorted(self.basis.days_of(grain, period).start for period in periods)
        return told

    def _counts(self, plan: Touched, people: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        parts = [self._windows(plan, people)]
        parts += [self._periods(grain, plan.periods[grain], people) for grain in GRAINS]
        return pl.concat(parts)

    def _windows(self, plan: Touched, people: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        needed = self.basis.files_of(plan.window_days())
        if not needed:
            return pl.DataFrame(schema=counts_schema())
        tables = {
            **self._activity(needed),
            "windows": pl.DataFrame({"window_days": WINDOWS}, schema={"window_days": pl.Int32}),
            "people": people.select("user_number", "segment"),
        }
        found = self.engine.query(load_sql("cohorts/active_rolling"), tables)
        rows = list(_window_rows(found.iter_rows(), needed[0], self.basis.through, plan.windows))
        return pl.DataFrame(rows, schema=counts_schema(), orient="row")

    def _periods(self, grain: str, periods: frozenset[int], people: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        schema = counts_schema()
        kept, days = self._days_of(grain, periods)
        if not periods or not (kept or days):
            return pl.DataFrame(schema=schema)
        users = {"user_number": pl.Int32, "period": pl.Int32, "user_days": pl.Int32}
        tables: dict[str, Table] = {
            **self._activity(days),
            "kept": kept or pl.DataFrame(schema=users),
            "people": people,
            "touched": pl.DataFrame({"period": sorted(periods)}, schema={"period": pl.Int32}),
            "calendar": self._calendar(grain, days),
            "first_periods": self._calendar(grain, people["first_day"].unique().to_list()),
        }
        found = self.engine.query(load_sql("cohorts/active_lifecycle_of_people"), tables)
        starts = {period: self.basis.days_of(grain, period).start for period in periods}
        return found.select(
            pl.lit(grain).alias("kind"),
            pl.col("period").replace_strict(starts, return_dtype=pl.Int32).alias("start_day"),
            pl.lit(0, pl.Int32).alias("size"),
            *("segment", "users", "user_days", "returning_users", "new_users"),
        ).cast(schema)  # type: ignore[arg-type]

    def _days_of(self, grain: str, periods: frozenset[int]) -> tuple[list[str], list[int]]:
        """Files of users of the periods before, where there are some; days of all others."""
        kept: list[str] = []
        days: list[int] = []
        users = PeriodUsers(self.lake, self.basis)
        for period in sorted(periods | {period - 1 for period in periods}):
            there = None if grain == "day" or period in periods else users.find(grain, period)
            if there is None:
                days += self.basis.days_of(grain, period)
            else:
                kept.append(there.path)
        return kept, self.basis.files_of(days)

    def _keep_periods(self) -> None:
        """See that users of the last closed week and month are there for the next one."""
        users = PeriodUsers(self.lake, self.basis)
        for grain in ("week", "month"):
            period = self.basis.last_closed(grain)
            days = self.basis.files_of(self.basis.days_of(grain, period))
            if days and users.find(grain, period) is None:
                sql = load_sql("cohorts/active_periods_of_users")
                users.keep(
                    grain, period, self.engine.query(sql, self._activity(days), {"period": period})
                )

    def _calendar(self, grain: str, days: Iterable[int]) -> pl.DataFrame:
        import polars as pl

        rows = [(day, self.basis.period(grain, day)) for day in days]
        return pl.DataFrame(rows, schema={"day": pl.Int32, "period": pl.Int32}, orient="row")

    def _activity(self, days: Sequence[int]) -> dict[str, Table]:
        """The table of activity of these days, and the options that statements read."""
        import polars as pl

        self.read |= set(days)
        columns = {"user_number": pl.Int32, "day": pl.Int32, "events": pl.Int64}
        files: Table = self.facts.activity(days) or pl.DataFrame(schema=columns)
        least = self.basis.options["min_events"]
        return {"activity": files, "options": pl.DataFrame({"min_events": [least]})}


def _window_rows(
    changes: Iterable[tuple[str | None, int, int, int]],
    first_day: int,
    last_day: int,
    wanted: frozenset[int],
) -> Iterator[tuple[object, ...]]:
    """Rows of counts: segment, window and wanted day, where somebody was active."""
    of_segment: dict[str | None, list[tuple[int, int, int]]] = {}
    for segment, window, day, change in changes:
        of_segment.setdefault(segment, []).append((window, day, change))
    for segment, found in of_segment.items():
        series: Mapping[int, list[int]] = rules.rolling_counts(found, first_day, last_day)
        for window, users in series.items():
            for day in sorted(wanted):
                if day >= first_day and users[day - first_day]:
                    yield WINDOW, day, window, segment, users[day - first_day], None, None, None
