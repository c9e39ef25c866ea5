"""Days of activity in short: a bit for each user, and events by day of entry, kept in the lake.

The end of a month then reads what its days said, not the days. Whatever is missing or out of date
is made from the activity, so losing it costs time and nothing else. Decision 0034.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from growth_pipeline.cohorts.refresh.entries import of_entry
from growth_pipeline.cohorts.retention.assemble import CohortKey, Counts
from growth_pipeline.core.calendar import period_of
from growth_pipeline.storage.lake import LakeUnreadableError
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.cohorts.definition import RetentionDefinition
    from growth_pipeline.cohorts.refresh.facts import LakeFacts
    from growth_pipeline.cohorts.refresh.plan import Members
    from growth_pipeline.storage.lake import Lake
    from growth_pipeline.storage.queries import Queries

SHORT_DAYS = "retention_days"
KEPT_DAYS = 62  # a month, and as long to catch up after its end; older ones give way
_WORDS, _ENTRIES, _STRAYS = range(3)
_BEFORE_ENTRY = -1


@dataclass(frozen=True)
class ShortDay:
    """Grain: one local day. `through`: the last day of entry that was known when it was made.

    Shapes: `rows` kind, number, value, events: of 63 users (word number, bits), of a day of entry
    (day, users, their events), or of one user who had not entered (number, 1, events).
    """

    through: int
    rows: pl.DataFrame

    def part(self, kind: int) -> pl.DataFrame:
        """Rows of one kind."""
        import polars as pl

        return self.rows.filter(pl.col("kind") == kind)


class ShortDays:
    """Days in short for one refresh: read where they hold, made where they do not."""

    def __init__(
        self,
        lake: Lake,
        engine: Queries,
        facts: LakeFacts,
        entered: Mapping[int, Members],
        through: int,
    ) -> None:
        self._lake = lake
        self._engine = engine
        self._facts = facts
        self._entered = entered
        self._through = through
        self._known: dict[int, ShortDay] = {}
        self._made: set[int] = set()

    def holds(self, days: Iterable[int]) -> bool:
        """Whether all these days are among those that are kept."""
        return all(self._through - KEPT_DAYS < day <= self._through for day in days)

    def take(self, days: Iterable[int]) -> None:
        """See that each of these days is there in short; those that are not kept are left out."""
        wanted = {day for day in days if self.holds([day])} & self._facts.days.keys()
        for day in sorted(wanted - self._known.keys()):
            kept = self._read(day)
            if kept is not None:
                self._known[day] = kept
        missing = sorted(wanted - self._known.keys())
        if missing:
            self._known |= self._make(missing)
            self._made |= set(missing)

    def keep(self) -> None:
        """Write what was made, each day in the place of one that is too old."""
        for day in sorted(self._made):
            short = self._known[day]
            told = {
                "day": day,
                "activity": self._facts.days[day].sha256,
                "through": short.through,
                "entered": self._proof(short.through),
            }
            self._lake.write_partition(SHORT_DAYS, self._place(day), [short.rows], told)
        self._made.clear()

    def counts(
        self,
        days: Sequence[int],
        definition: RetentionDefinition,
        sizes: Mapping[CohortKey, int],
        through: int,
    ) -> Counts:
        """Users and events of the calendar periods that these days make up.

        `through`: the last day of entry that counts. Raises: as the engine.
        """
        told = self._told(days, through)
        periods = {day: period_of(day, definition) for day in days}
        users: dict[tuple[CohortKey, int], int] = {}
        for period, entry_day, count in self._users(periods, told, through):
            cohort = period_of(entry_day, definition)
            cell = (cohort, None), period - cohort
            users[cell] = users.get(cell, 0) + count
        events: dict[CohortKey, dict[int, int]] = {}
        for day, entry_day, _, count in told:
            cohort = period_of(entry_day, definition)
            index = max(periods[day] - cohort, _BEFORE_ENTRY)
            found = events.setdefault((cohort, None), {})
            found[index] = found.get(index, 0) + count
        return Counts(sizes=sizes, users=users, events=events, paid=None)

    def _told(self, days: Sequence[int], through: int) -> list[tuple[int, int, int, int]]:
        """Day, day of entry, users, events; one user is in one day of entry."""
        told = [
            (day, entry_day, users, events)
            for day in days
            for _, entry_day, users, events in self._known[day].part(_ENTRIES).iter_rows()
            if entry_day <= through
        ]
        return [*told, *self._strays(days, through)]

    def _strays(self, days: Sequence[int], through: int) -> list[tuple[int, int, int, int]]:
        import polars as pl

        frames = [
            self._known[day]
            .part(_STRAYS)
            .select(pl.lit(day, pl.Int32).alias("day"), user_number="number", events="events")
            for day in days
            if self._known[day].through < through
        ]
        strays = pl.concat(frames) if frames else pl.DataFrame()
        if strays.is_empty():
            return []
        found = self._engine.query(
            load_sql("cohorts/short_strays"),
            {"strays": strays, "users": self._facts.users},
            {"through": through},
        )
        return list(found.select("day", "entry_day", "users", "events").iter_rows())

    def _users(
        self,
        periods: Mapping[int, int],
        told: Iterable[tuple[int, int, int, int]],
        through: int,
    ) -> list[tuple[int, int, int]]:
        """Period, day of entry, users. The one day of a period has them; several share users."""
        import polars as pl

        numbers = list(periods.values())
        alone = {day for day, period in periods.items() if numbers.count(period) == 1}
        found = [(periods[day], entry, users) for day, entry, users, _ in told if day in alone]
        frames = [
            self._known[day]
            .part(_WORDS)
            .select(pl.lit(period, pl.Int32).alias("period"), word="number", bits="value")
            for day, period in periods.items()
            if day not in alone
        ]
        if frames:
            words = pl.concat(frames).group_by("period", "word").agg(pl.col("bits").bitwise_or())
            tables = {"users": self._facts.users, "words": words}
            rows = self._engine.query(load_sql("cohorts/short_users"), tables, {"through": through})
            found += rows.select("period", "entry_day", "users").iter_rows()
        return found

    def _read(self, day: int) -> ShortDay | None:
        """What is kept of a day, if its activity and who entered are still those it was made of."""
        with suppress(LakeUnreadableError):  # made anew, as when it was never there
            manifest = self._lake.read_manifest(SHORT_DAYS, self._place(day))
            told = {} if manifest is None else manifest.certificate
            if manifest is None or (told["day"], told["activity"]) != (
                day,
                self._facts.days[day].sha256,
            ):
                return None
            if told["entered"] == self._proof(told["through"]):
                return ShortDay(told["through"], self._lake.read(manifest))
        return None

    def _make(self, days: Sequence[int]) -> dict[int, ShortDay]:
        import polars as pl

        activity = self._facts.activity(days)
        words = self._engine.query(load_sql("cohorts/short_words"), {"activity": activity})
        entries = self._engine.query(
            load_sql("cohorts/short_entries"),
            {"activity": activity, "users": self._facts.users},
            {"through": self._through},
        )
        is_stray = pl.col("entry_day").is_null()
        rows = pl.concat(
            [
                _rows(words, pl.lit(_WORDS), "word", pl.col("bits"), pl.lit(0)),
                _rows(
                    entries,
                    pl.when(is_stray).then(_STRAYS).otherwise(_ENTRIES),
                    pl.coalesce("entry_day", "user_number"),
                    pl.col("users"),
                    pl.col("events"),
                ),
            ]
        ).sort("day", "kind", "number")
        found = {day: rows.filter(pl.col("day") == day).drop("day") for day in days}
        return {day: ShortDay(self._through, frame) for day, frame in found.items()}

    def _place(self, day: int) -> dict[str, str]:
        return of_entry(self._facts.entry, {"slot": f"{day % KEPT_DAYS:02d}"})

    def _proof(self, through: int) -> str:
        """A hash of who entered up to a day."""
        known = sorted((day, *told) for day, told in self._entered.items() if day <= through)
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def _rows(
    frame: pl.DataFrame, kind: pl.Expr, number: str | pl.Expr, value: pl.Expr, events: pl.Expr
) -> pl.DataFrame:
    import polars as pl

    number = pl.col(number) if isinstance(number, str) else number
    return frame.select(
        pl.col("day").cast(pl.Int32),
        kind.cast(pl.Int8).alias("kind"),
        number.cast(pl.Int32).alias("number"),
        value.cast(pl.Int64).alias("value"),
        events.cast(pl.Int64).alias("events"),
    )
