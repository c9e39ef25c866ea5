"""Events of a file become a funnel: the engine orders them, the rule goes through each unit once.

Contract: docs/metrics.md, "Funnels".
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from growth_pipeline.cohorts.files.people import People, read_people
from growth_pipeline.cohorts.funnel.definition import ROWS, FunnelDefinition
from growth_pipeline.cohorts.funnel.rules import Attempt, Instant, Plan, best_attempt
from growth_pipeline.core.calendar import day_number
from growth_pipeline.core.errors import UsageError
from growth_pipeline.storage.files.rows import EPOCH, Reading, ReadRows, read_rows
from growth_pipeline.storage.files.sources import SourceFile, open_source
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    from growth_pipeline.storage.engine import Engine, Spool, Table

_MICROSECOND = timedelta(microseconds=1)
_FIRST_PROPERTY = 2  # behind the session
Event = tuple[int, int, "str | None"]
"""(Unix microsecond, bits of the stages, value of the breakdown)."""


@dataclass(frozen=True)
class EventsFile:
    """Events and users of files, read once."""

    events: ReadRows
    users: ReadRows | None
    people: People
    reading: Reading
    notes: tuple[str, ...]

    @property
    def as_of(self) -> datetime:
        """End of the last local day in the events."""
        return self.reading.day_end(self.events.last_day or 0)


@dataclass
class Tally:
    """Counts of one value of the breakdown, or of all. `open`: units with open attempts alone.

    `counts`: units at each stage. `times`: microseconds from each stage to the next.
    """

    counts: list[int]
    times: list[array[int]]
    open: int = 0

    @classmethod
    def empty(cls, stages: int) -> Tally:
        """Nobody yet."""
        return cls([0] * stages, [array("q") for _ in range(stages)])

    def add(self, attempt: Attempt) -> None:
        """One more unit."""
        for stage, at_us in enumerate(attempt.reached):
            self.counts[stage] += 1
            if stage:
                self.times[stage].append(at_us - attempt.reached[stage - 1])


@dataclass
class Measured:
    """Tallies by value of the breakdown, and of all units together."""

    units: int
    whole: Tally
    by_value: dict[str | None, Tally] = field(default_factory=dict)


def read_events_file(
    engine: Engine,
    spool: Spool,
    path: Path,
    reading: Reading,
    definition: FunnelDefinition,
    *,
    users: Path | None = None,
    aliases: Path | None = None,
    excluded: tuple[str, ...] = (),
) -> EventsFile:
    """Events and users, read into the spool.

    Raises: UsageError with file, line and value; also for a file without rows.
    """
    people, merged = read_people(engine, spool, aliases, excluded)
    unit = definition.unit_column
    source = open_source(path, [unit, "occurred_at", "event"], spool)
    columns = {
        "user_id": source.need(unit),
        "occurred_at": source.need("occurred_at"),
        "event": source.need("event"),
        "segment": None if definition.breakdown is None else source.need(definition.breakdown),
        "revenue": None,
        "currency": None,
    }
    packed = _detail(source, definition)
    events = read_rows(engine, spool, source, columns, reading, name="event_rows", packed=packed)
    if not events.rows:
        raise UsageError(f"{path} has no rows", remedy="give a file with events")
    return EventsFile(
        events=people.merged(engine, spool, events, "events_merged"),
        users=_read_users(engine, spool, users, reading, definition),
        people=people,
        reading=reading,
        notes=(*events.notes(), *merged),
    )


def _detail(source: SourceFile, definition: FunnelDefinition) -> tuple[str, ...]:
    """The session's column, then those of the properties; none where no stage looks at them.

    Without sessions the unit's column stands in the first place, which nothing then reads.
    """
    if not definition.needs_session and not definition.properties:
        return ()
    first = "session_id" if definition.needs_session else definition.unit_column
    return tuple(source.need(name) for name in (first, *definition.properties))


def _read_users(
    engine: Engine,
    spool: Spool,
    path: Path | None,
    reading: Reading,
    definition: FunnelDefinition,
) -> ReadRows | None:
    asks_sign_up = definition.signed_up_from is not None or definition.signed_up_to is not None
    if path is None:
        if asks_sign_up or definition.segment is not None:
            raise UsageError(
                "sign-ups and segments need a users file",
                remedy="give one with user_id, signed_up_at and the segment's column: --users",
            )
        return None
    unit = definition.unit_column
    source = open_source(path, [unit], spool)
    columns = {
        "user_id": source.need(unit),
        "occurred_at": source.need("signed_up_at") if asks_sign_up else None,
        "event": None,
        "segment": None if definition.segment is None else source.need(definition.segment),
        "revenue": None,
        "currency": None,
    }
    return read_rows(engine, spool, source, columns, reading, name="user_rows", needs_time=False)


def measure_funnel(
    engine: Engine, spool: Spool, file: EventsFile, definition: FunnelDefinition
) -> Measured:
    """How many units got how far.

    Raises: UsageError for users named twice with different values.
    """
    tables = _tables(engine, spool, file, definition)
    sql = load_sql("cohorts/funnel_events")
    path = engine.query_to_file(sql, tables, spool, "funnel_events").path
    asked: dict[str, Table] = {**tables, "events": [path]}
    stages = len(definition.stages)
    units = engine.query(load_sql("cohorts/funnel_units"), asked).item()
    measured = Measured(units, Tally.empty(stages))
    if definition.order == "independent" or definition.unit == ROWS:
        _count_by_itself(engine, asked, measured, stages)
        return measured
    plan = plan_of(definition)
    for events in _paths(engine, asked):
        _judge(events, plan, measured)
    return measured


def plan_of(definition: FunnelDefinition) -> Plan:
    """The definition as the rule takes it."""

    def microseconds(instant: datetime | None) -> int | None:
        return None if instant is None else (instant - EPOCH) // _MICROSECOND

    include = definition.open_attempts == "include"
    return Plan(
        stages=len(definition.stages),
        order=definition.order,
        ties=definition.ties == "allow",
        window_us=None if definition.window is None else definition.window // _MICROSECOND,
        first_us=microseconds(definition.first),
        last_us=microseconds(definition.last),
        as_of_us=None if include else microseconds(definition.as_of),
    )


def _judge(events: list[Event], plan: Plan, measured: Measured) -> None:
    """One unit's best attempt into the tallies."""
    instants: list[Instant] = []
    for at_us, same in groupby(events, key=lambda event: event[0]):
        instants.append((at_us, tuple(bits for _, bits, _ in same)))
    attempt = best_attempt(instants, plan)
    if attempt is None:
        return
    value = min(
        (told for at, bits, told in events if at == attempt.entered_us and bits & 1),
        key=lambda told: (told is None, told or ""),
    )
    tally = measured.by_value.setdefault(value, Tally.empty(plan.stages))
    for one in (measured.whole, tally):
        if attempt.is_open:
            one.open += 1
        else:
            one.add(attempt)


def _paths(engine: Engine, tables: dict[str, Table]) -> Iterator[list[Event]]:
    """The events of each unit that has stage 1, in order of time."""
    frame = engine.query(load_sql("cohorts/funnel_paths"), tables)
    rows: Iterable[tuple[int, int, int, str | None]] = frame.iter_rows()
    for _, group in groupby(rows, key=lambda row: row[0]):
        yield [row[1:] for row in group]


def _count_by_itself(
    engine: Engine, tables: dict[str, Table], measured: Measured, stages: int
) -> None:
    import polars as pl

    bits = pl.DataFrame({"stage": range(stages), "bits": [1 << stage for stage in range(stages)]})
    sql = load_sql("cohorts/funnel_by_itself")
    for stage, value, is_total, units in engine.query(
        sql, {**tables, "stage_bits": bits}
    ).iter_rows():
        if is_total:
            measured.whole.counts[stage] = units
        else:
            tally = measured.by_value.setdefault(value, Tally.empty(stages))
            tally.counts[stage] = units


def _tables(
    engine: Engine, spool: Spool, file: EventsFile, definition: FunnelDefinition
) -> dict[str, Table]:
    """What the queries join: events, stages, users, options."""
    import polars as pl

    plan = plan_of(definition)
    served = [
        (one, 1 << place) for place, stage in enumerate(definition.stages) for one in stage.events
    ]
    stages = [
        (number, one.event, one.needs, bits, len(set(one.where)))
        for number, (one, bits) in enumerate(served)
    ]
    conditions = [
        (number, definition.properties.index(name) + _FIRST_PROPERTY, value)
        for number, (one, _) in enumerate(served)
        for name, value in one.where
    ]
    options: dict[str, list[Any]] = {
        "as_of": [(definition.as_of - EPOCH) // _MICROSECOND],
        "everyone": [file.users is None],
        "by_segment": [definition.segment is not None],
        "first_us": [plan.first_us],
        "last_us": [plan.last_us],
        "any_event": [definition.order == "strict"],
        "of_rows": [definition.unit == ROWS],
    }
    return {
        "records": [file.events.path],
        "stages": pl.DataFrame(
            stages,
            schema={
                "number": pl.Int32,
                "event": pl.String,
                "needs": pl.String,
                "bits": pl.Int64,
                "conditions": pl.Int32,
            },
            orient="row",
        ),
        "conditions": pl.DataFrame(
            conditions,
            schema={"number": pl.Int32, "place": pl.Int64, "value": pl.String},
            orient="row",
        ),
        "known": _known(engine, spool, file, definition),
        "options": pl.DataFrame(
            options, schema_overrides={"first_us": pl.Int64, "last_us": pl.Int64}
        ),
        **file.people.tables,
    }


def _known(engine: Engine, spool: Spool, file: EventsFile, definition: FunnelDefinition) -> Table:
    """Users who are asked about: user_id, day of sign-up, segment."""
    import polars as pl

    names = {"user_id": pl.String, "day": pl.Int32, "segment": pl.String}
    if file.users is None:
        return pl.DataFrame(schema=names)
    _, path = file.people.known(engine, spool, [file.events], file.users)
    users = pl.scan_parquet(path).select(list(names))
    if definition.signed_up_from is not None:
        users = users.filter(pl.col("day") >= day_number(definition.signed_up_from))
    if definition.signed_up_to is not None:
        users = users.filter(pl.col("day") <= day_number(definition.signed_up_to))
    return users.collect()
