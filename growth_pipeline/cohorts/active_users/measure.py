"""Active users of a history: which queries run, over which days. The rules are in `rules`.

Contract: docs/metrics.md, "Active users".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from growth_pipeline.cohorts.active_users import rules
from growth_pipeline.cohorts.active_users.definition import STICKINESS_DAYS, ActiveUsersDefinition
from growth_pipeline.cohorts.active_users.rules import Period, Row, Shown
from growth_pipeline.cohorts.definition import RetentionDefinition
from growth_pipeline.cohorts.files.facts import (
    FileFacts,
    FileHistory,
    make_facts,
    sign_ups,
)
from growth_pipeline.core.calendar import calendar_table, day_number
from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.periods import PeriodState
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.storage.engine import Engine, Spool, Table
    from growth_pipeline.storage.queries import Queries

_MARGIN_DAYS = 62  # more than the longest period on either side


@dataclass(frozen=True)
class ActiveUsers:
    """An answer: the resolved question, and its rows in order of time.

    Shapes: the rows of one kind have the same names, as the functions of `rules` give them.
    """

    definition: dict[str, Any]
    as_of: datetime
    rows: list[Row]
    dropped: dict[str, int]
    notes: tuple[str, ...]


def measure_active_users(
    engine: Engine,
    spool: Spool,
    history: FileHistory,
    definition: ActiveUsersDefinition,
    queries: Queries | None = None,
) -> ActiveUsers:
    """Active users of one kind. `queries`: what counts them, in place of the engine.

    Raises: UsageError for new_by signup without sign-ups; else as `make_facts`.
    """
    facts = make_facts(engine, spool, history, _in_words_of_cohorts(definition, "day"))
    work = _Work(engine, spool, history, definition, facts, queries or engine)
    rows: list[Row] = []
    if work.last_day >= work.first_day:
        parts = [work] if definition.segment is None else work.segments()
        rows = [row for part in parts for row in part.rows()]
    return ActiveUsers(
        definition=definition.resolved(),
        as_of=definition.as_of,
        rows=rows,
        dropped=facts.dropped,
        notes=facts.notes,
    )


@dataclass(frozen=True)
class _Work:
    """One question at work: its facts, its days, its queries."""

    engine: Engine
    spool: Spool
    history: FileHistory
    definition: ActiveUsersDefinition
    facts: FileFacts
    queries: Queries
    segment: str | None = None

    def segments(self) -> Iterator[_Work]:
        """The same work for each segment alone."""
        import polars as pl

        entries: dict[str, Table] = {"entries": [self.facts.entries]}
        names = self.engine.query(load_sql("cohorts/active_segments"), entries)["segment"].to_list()
        for number, name in enumerate(names):
            wanted = pl.DataFrame({"segment": [name]}, schema={"segment": pl.String})
            tables: dict[str, Table] = {"activity": [self.facts.activity], "wanted": wanted}
            sql, file = load_sql("cohorts/activity_of_segment"), f"segment_{number}"
            part = self.engine.query_to_file(sql, {**entries, **tables}, self.spool, file)
            yield replace(self, facts=replace(self.facts, activity=part.path), segment=name)

    def rows(self) -> Iterator[Row]:
        """The rows of the kind that is asked for."""
        for row in _KINDS[self.definition.kind](self):
            yield row if self.definition.segment is None else {**row, "segment": self.segment}

    @property
    def shown(self) -> Shown:
        return Shown(self.definition.shows_open)

    @property
    def first_day(self) -> int:
        """The first day of data, whatever is shown; after the last one when there is none."""
        first = self.history.first_day
        return self.last_day + 1 if first is None else first

    @cached_property
    def last_day(self) -> int:
        """The last day that has begun by as_of."""
        return self.history.last_day_before(self.definition.as_of)

    def state(self, start_day: int, next_day: int) -> PeriodState:
        """State of the days `[start_day, next_day)` at as_of."""
        days = self.history.reading.days
        second = self.definition.as_of.timestamp()
        if days[next_day - 1][1] <= second:
            return PeriodState.CLOSED
        return PeriodState.OPEN if days[start_day][0] < second else PeriodState.NOT_BEGUN

    def span(self, start_day: int, next_day: int) -> Period:
        return Period(start_day, start_day, next_day, self.state(start_day, next_day))

    def is_shown(self, period: Period) -> bool:
        """Whether a period begun by as_of touches the days that are asked for."""
        first, last = self.definition.first, self.definition.last
        return (first is None or period.next_day > day_number(first)) and (
            last is None or period.start_day <= day_number(last)
        )

    def days(self) -> Iterator[Period]:
        """Days to show, from the first one of data to the last one begun."""
        for day in range(self.first_day, self.last_day + 1):
            found = self.span(day, day + 1)
            if self.is_shown(found):
                yield found

    def calendar(self, grain: str) -> pl.DataFrame:
        """Day number -> period, over all days that can matter and a margin."""
        first, last = self.first_day - _MARGIN_DAYS, self.last_day + _MARGIN_DAYS
        return calendar_table(first, last, _in_words_of_cohorts(self.definition, grain))

    def periods(self, grain: str, calendar: pl.DataFrame) -> Iterator[Period]:
        """Periods to show, from the one with the first day of data to the last one begun."""
        import polars as pl

        if self.first_day > self.last_day:  # no data: no periods, as there are no days
            return
        firsts = calendar.group_by("period").agg(pl.col("day").min()).sort("period")
        for (number, start), (_, following) in pairwise(firsts.iter_rows()):
            found = Period(number, start, following, self.state(start, following))
            if following > self.first_day and start <= self.last_day and self.is_shown(found):
                yield found

    def ask(
        self, statement: str, calendar: pl.DataFrame | None = None, **tables: Table
    ) -> list[tuple[Any, ...]]:
        """Rows of one of the queries over the activity."""
        import polars as pl

        options = pl.DataFrame(
            {
                "min_events": [self.definition.min_events],
                "new_by_signup": [self.definition.new_by == "signup"],
                "silent_days": [self.definition.silent_days],
                "retained_from": [self.definition.retained[0]],
                "retained_to": [self.definition.retained[1]],
            }
        )
        given: dict[str, Table] = {"activity": [self.facts.activity], "options": options}
        if calendar is not None:
            given["calendar"] = calendar.select("day", "period")
        return self.queries.query(load_sql(f"cohorts/{statement}"), given | tables).rows()

    def signups(self) -> Table:
        """Users with the day of their sign-up, where it matters."""
        import polars as pl

        if self.definition.new_by == "signup":
            files = (self.history, self.facts, _in_words_of_cohorts(self.definition, "day"))
            return [sign_ups(self.engine, self.spool, *files)]
        return pl.DataFrame(schema={"user_number": pl.Int32, "day": pl.Int32})

    def rolling_counts(self, windows: tuple[int, ...]) -> dict[int, list[int]]:
        """Window length -> users by day, from the first day of data to the last one begun."""
        import polars as pl

        lengths = pl.DataFrame({"window_days": sorted(set(windows))})
        nobody = pl.DataFrame(schema={"user_number": pl.Int32, "segment": pl.String})
        rows = self.ask("active_rolling", windows=lengths, people=nobody)
        changes = ((window, day, change) for _, window, day, change in rows)
        return rules.rolling_counts(changes, self.first_day, self.last_day)


def _rolling(work: _Work) -> Iterator[Row]:
    windows = work.definition.windows
    counts = work.rolling_counts(windows)
    return rules.rolling_rows(work.days(), counts, windows, work.first_day, work.shown)


def _calendar(work: _Work) -> Iterator[Row]:
    for grain in work.definition.grains:
        calendar = work.calendar(grain)
        users = {period: count for period, count, _ in work.ask("active_periods", calendar)}
        yield from rules.calendar_rows(grain, work.periods(grain, calendar), users, work.shown)


def _stickiness(work: _Work) -> Iterator[Row]:
    calendar = work.calendar("month")
    found = work.ask("active_periods", calendar)
    users = {period: count for period, count, _ in found}
    user_days = {period: days for period, _, days in found}
    return rules.stickiness_rows(work.periods("month", calendar), users, user_days, work.shown)


def _rolling_stickiness(work: _Work) -> Iterator[Row]:
    counts = work.rolling_counts((1, STICKINESS_DAYS))
    return rules.rolling_stickiness_rows(
        work.days(), counts, work.first_day, STICKINESS_DAYS, work.shown
    )


def _lifecycle(work: _Work) -> Iterator[Row]:
    signups = work.signups()
    for grain in work.definition.grains:
        calendar = work.calendar(grain)
        found = work.ask("active_lifecycle", calendar, signups=signups)
        counts = {period: tuple(numbers) for period, *numbers in found}
        periods = work.periods(grain, calendar)
        yield from rules.lifecycle_rows(grain, periods, counts, work.shown)


def _days_active(work: _Work) -> Iterator[Row]:
    import polars as pl

    grain = work.definition.grains[0]
    first, last = work.definition.first, work.definition.last
    from_day = work.first_day if first is None else day_number(first)
    to_day = _last_closed(work) if last is None else day_number(last)
    if to_day < from_day:
        raise UsageError(
            "no day of the range is over", remedy="give --from and --to, or a later --as-of"
        )
    calendar = work.calendar(grain)
    span = pl.DataFrame({"first_day": [from_day], "last_day": [to_day]})
    counts = dict(work.ask("active_histogram", calendar, span=span))
    return rules.histogram_rows(grain, work.span(from_day, to_day + 1), counts, work.shown)


def _silence(work: _Work) -> Iterator[Row]:
    counts = {day: (users, retained) for day, users, retained in work.ask("active_after_silence")}
    last = work.definition.retained[1]
    spans = ((day, work.span(day.start_day, day.start_day + last + 1)) for day in work.days())
    return rules.silence_rows(spans, counts, work.shown)


_KINDS: dict[str, Callable[[_Work], Iterator[Row]]] = {
    "rolling": _rolling,
    "calendar": _calendar,
    "stickiness": _stickiness,
    "stickiness_rolling": _rolling_stickiness,
    "lifecycle": _lifecycle,
    "days_active": _days_active,
    "silence": _silence,
}


def _in_words_of_cohorts(definition: ActiveUsersDefinition, grain: str) -> RetentionDefinition:
    """The same zone, weeks and events, for the facts and the calendar."""
    return RetentionDefinition(
        entry="first_activity",
        grain=grain,
        tz=definition.tz,
        week_start=definition.week_start,
        anchor=definition.anchor,
        as_of=definition.as_of,
        events=definition.events,
    )


def _last_closed(work: _Work) -> int:
    last = work.last_day
    return last if work.state(last, last + 1) is PeriodState.CLOSED else last - 1
