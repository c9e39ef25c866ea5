"""The rollup: activity of local days into the lake, one row per user and day.

Memory is bounded by the users active on one day. A day that comes out as it was is not touched, so
late events re-open only their days. Contract: docs/metrics.md, "Activity".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from growth_pipeline.core.errors import GrowthError, UsageError
from growth_pipeline.core.periods import zone_of
from growth_pipeline.events.activity.segments import publish_segments
from growth_pipeline.storage.lake import LakeUnreadableError
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.events.activity.activity_store import ActivityStore
    from growth_pipeline.storage.engine import Engine, Spool, SpoolFile
    from growth_pipeline.storage.lake import Lake, Manifest

ACTIVITY = "activity"
USERS = "users"
DEFINITION = "activity@1"
_DAYS_AT_ONCE = 31  # what is read from Postgres at a time
_EPOCH = date(1970, 1, 1)
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_LOOKED_AT_TWICE = timedelta(hours=1)
_ROLLUPS = "rollups"
_SET_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


@dataclass(frozen=True)
class QualifyingSet:
    """Which events count, under a name; `events` None: any. Each has its own dataset."""

    name: str | None = None
    events: tuple[str, ...] | None = None
    tz: str = "UTC"

    def __post_init__(self) -> None:
        zone_of(self.tz)
        if self.name is not None and not _SET_NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r} is no name for a set of events",
                remedy="use lower-case letters, digits and underscores, at most 41",
            )
        if self.name is None and self.events is not None:
            raise UsageError(
                "a set of events needs a name",
                remedy="name it with --name, so that it has its own dataset",
            )

    @property
    def dataset(self) -> str:
        """The lake's dataset: `activity`, or `activity_<name>`."""
        return ACTIVITY if self.name is None else f"{ACTIVITY}_{self.name}"

    @property
    def users(self) -> str:
        """The dataset of users beside it, whose days of sign-up are those of its zone."""
        return USERS if self.name is None else f"{USERS}_{self.name}"


@dataclass(frozen=True)
class Rolled:
    """What a rollup did. `changed`: days with other rows than before; `dropped`: events.

    `events`: how many were read of these days. `kept`: how many of them are in the lake now.
    `learned`: what was learned of users (`ActivityStore.number_users`).
    """

    days: int
    changed: tuple[date, ...]
    dropped: dict[str, int]
    users: int
    events: int = 0
    kept: int = 0
    learned: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "users": self.users,
            "days": self.days,
            "changed": [day.isoformat() for day in self.changed],
            "events": self.events,
            "kept": self.kept,
            "dropped": self.dropped,
            "learned": dict(self.learned),
        }

    def in_words(self) -> str:
        """For a person."""
        lost = ", ".join(f"{reason} {count}" for reason, count in self.dropped.items())
        return (
            f"{self.users} users; {self.days} days read, {len(self.changed)} changed; "
            f"events dropped: {lost}"
        )


def roll_up(
    store: ActivityStore,
    lake: Lake,
    engine: Engine,
    days: Iterable[date],
    *,
    as_of: datetime,
    now: datetime | None = None,
    qualifying: QualifyingSet | None = None,
    segments: Sequence[str] = (),
) -> Rolled:
    """Learn who users are; publish users, and activity of local days of what was before `as_of`.

    Days at or after the local day of `as_of` that have not begun are left out. Equal input changes
    nothing, so it may be repeated after any failure. `now`: of this reading, default `as_of`.
    `segments`: properties that cohorts are split by.
    Raises: UsageError for an `as_of` without zone; LakeWriteError; RemoteUnavailableError.
    """
    chosen = qualifying or QualifyingSet()
    _check(lake, chosen, as_of)
    learned = _learn(store, lake, segments, now=as_of if now is None else now)
    return _roll_up(store, lake, engine, days, as_of=as_of, chosen=chosen, learned=learned)


def _learn(
    store: ActivityStore, lake: Lake, segments: Sequence[str], *, now: datetime
) -> dict[str, int]:
    """Who users are, and what they are split by."""
    learned = store.number_users(now=now)
    return {**learned, "segments": publish_segments(store, lake, segments, now=now)}


def _roll_up(
    store: ActivityStore,
    lake: Lake,
    engine: Engine,
    days: Iterable[date],
    *,
    as_of: datetime,
    chosen: QualifyingSet,
    learned: Mapping[str, int],
) -> Rolled:
    last = _last_day(as_of, chosen.tz)
    wanted = sorted({day for day in days if day <= last})
    users = publish_users(store, lake, chosen, as_of=as_of)
    found = _Found()
    for part in _chunks(wanted):
        with engine.spool() as spool:
            _Part(store, lake, engine, spool, chosen, as_of).publish(part, found)
    for dataset in (chosen.dataset, chosen.users):
        with suppress(LakeUnreadableError, OSError):  # what stays takes room and does no harm
            lake.prune(dataset, keep=2)  # somebody may be reading the version before
    return Rolled(
        days=len(wanted),
        changed=tuple(found.changed),
        dropped=dict(found.dropped),
        users=users,
        events=found.events,
        kept=found.kept,
        learned=learned,
    )


@dataclass
class _Found:
    """What the parts of a rollup found, added up."""

    changed: list[date] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=lambda: {"unknown_user": 0, "excluded": 0})
    events: int = 0
    kept: int = 0


def publish_users(
    store: ActivityStore, lake: Lake, chosen: QualifyingSet, *, as_of: datetime
) -> int:
    """One file with number and local day of sign-up of each user that counts; how many users."""
    with store.users(tz=chosen.tz, as_of=as_of) as batches:
        told = {"tz": chosen.tz}
        manifest = lake.write_partition(chosen.users, {"part": "all"}, batches, told)
    return manifest.row_count


def roll_up_news(
    store: ActivityStore,
    lake: Lake,
    engine: Engine,
    *,
    as_of: datetime,
    now: datetime,
    days: Iterable[date] = (),
    qualifying: QualifyingSet | None = None,
    segments: Sequence[str] = (),
    anew: bool = False,
) -> Rolled:
    """Roll up the days that changed since the last such call; `days` in any case.

    A day changed when something happened or was received on it, or when a user with events on it
    was merged, excluded or numbered since. The first call takes every day with events. A day that
    was not over when it was read is read again: it may be over now, although nothing happened. An
    hour is looked at twice, because rows become visible later than the instant they bear. What a
    source without `received` got later than that is found by `roll_up` over its days only.
    `anew`: every day there is or was, whatever zone or events it was made with before.
    Raises: as `roll_up`.
    """
    chosen = qualifying or QualifyingSet()
    there = lake.manifests(chosen.dataset) if anew else _check(lake, chosen, as_of)
    place = f"{_ROLLUPS}/{chosen.dataset}.json"
    kept = {} if anew else json.loads(lake.find_artifact(place) or "{}")
    since = _instant(kept.get("until")) or _BEGINNING
    learned = _learn(store, lake, segments, now=now)
    late = store.late_days(since, tz=chosen.tz, as_of=as_of)
    if since > _BEGINNING:
        at = _instant(kept.get("at"))
        late += store.reopened_days(since, at=at, tz=chosen.tz, as_of=as_of)
    wanted = {*days, *late, *_days_again(there, chosen.tz, anew=anew)}
    rolled = _roll_up(store, lake, engine, wanted, as_of=as_of, chosen=chosen, learned=learned)
    until = max(since, min(as_of, now).astimezone(UTC) - _LOOKED_AT_TWICE)
    told = {"until": until.isoformat(), "at": now.astimezone(UTC).isoformat()}
    lake.put_artifact(place, json.dumps(told).encode())
    return rolled


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


@dataclass(frozen=True)
class _Part:
    """Some days of one rollup."""

    store: ActivityStore
    lake: Lake
    engine: Engine
    spool: Spool
    chosen: QualifyingSet
    as_of: datetime

    def publish(self, days: Sequence[date], found: _Found) -> None:
        """Write these days; adds to what was found."""
        records = self._records(days)
        grouped = self.engine.query_to_file(
            load_sql("events/active_days"), {"records": [records.path]}, self.spool, "days"
        )
        lost = self._dropped(records)
        found.events += records.rows
        for day in days:
            of_day = lost.get(_number(day), {})
            for reason, count in of_day.items():
                found.dropped[reason] += count
            changed, kept = self._write(day, grouped, of_day)
            found.kept += kept
            if changed:
                found.changed.append(day)

    def _records(self, days: Sequence[date]) -> SpoolFile:
        with self.store.events(
            days[0],
            days[-1],
            tz=self.chosen.tz,
            as_of=self.as_of,
            events=self.chosen.events,
        ) as batches:
            return self.spool.write("records", batches)

    def _dropped(self, records: SpoolFile) -> dict[int, dict[str, int]]:
        rows = self.engine.query(load_sql("events/dropped_events"), {"records": [records.path]})
        return {
            day: {"unknown_user": unknown, "excluded": excluded}
            for day, unknown, excluded in rows.iter_rows()
        }

    def _write(self, day: date, grouped: SpoolFile, lost: dict[str, int]) -> tuple[bool, int]:
        """Whether the day's rows are others than before, and how many events they count."""
        partition = {"day": day.isoformat()}
        rows: pl.DataFrame = self.engine.query(
            load_sql("events/active_day"), {"days": [grouped.path]}, {"day": _number(day)}
        )
        before = self.lake.read_manifest(self.chosen.dataset, partition)
        manifest = self.lake.write_partition(
            self.chosen.dataset, partition, [rows], self._certificate(lost, before, rows)
        )
        changed = before is None or before.sha256 != manifest.sha256
        return changed, int(rows["events"].sum())

    def _certificate(
        self, lost: dict[str, int], before: Manifest | None, rows: pl.DataFrame
    ) -> dict[str, Any]:
        return {
            "definition": DEFINITION,
            "tz": self.chosen.tz,
            "events": None if self.chosen.events is None else list(self.chosen.events),
            "as_of": self.as_of.astimezone(UTC).isoformat(),
            "users": rows.height,
            "dropped": lost,
        }


def _check(lake: Lake, chosen: QualifyingSet, as_of: datetime) -> list[Manifest]:
    """The days that are there. Days of two zones or sets of events never stand side by side."""
    _last_day(as_of, chosen.tz)
    events = None if chosen.events is None else list(chosen.events)
    there = lake.manifests(chosen.dataset)
    for manifest in there:
        kept = manifest.certificate
        if (kept["tz"], kept["events"]) != (chosen.tz, events):
            raise UsageError(
                f"dataset {chosen.dataset} was made with zone {kept['tz']} and "
                f"{'any event' if kept['events'] is None else 'other events'}",
                remedy="use the same options, give the set of events a name of its own (--name), "
                "or make all days again: growth events rollup --anew",
            )
    return there


def _last_day(as_of: datetime, tz: str) -> date:
    if as_of.utcoffset() is None:
        raise UsageError("as_of has no zone", remedy="write it as 2026-10-05T00:00:00Z")
    try:
        return (as_of - timedelta(microseconds=1)).astimezone(zone_of(tz)).date()
    except OverflowError:
        raise GrowthError(f"as_of {as_of.isoformat()} is outside the calendar") from None


def _days_again(kept: Iterable[Manifest], tz: str, *, anew: bool) -> list[date]:
    """Days of the lake that were not over when they were read; `anew`: all."""
    zone = zone_of(tz)
    found = []
    for manifest in kept:
        day = date.fromisoformat(manifest.partition["day"])
        read = datetime.fromisoformat(manifest.certificate["as_of"])
        if anew or read.astimezone(zone).date() <= day:
            found.append(day)
    return found


def _chunks(days: Sequence[date]) -> Iterator[list[date]]:
    """Runs of days that follow each other, none longer than what is read at once."""
    part: list[date] = []
    for day in days:
        if part and (len(part) == _DAYS_AT_ONCE or day != part[-1] + timedelta(days=1)):
            yield part
            part = []
        part.append(day)
    if part:
        yield part


def _number(day: date) -> int:
    return (day - _EPOCH).days
