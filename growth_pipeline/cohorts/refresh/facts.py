"""Facts of retention in the lake: who entered when, and who was active on which day.

Contract: docs/metrics.md, "Activity" and "Cohorts and retention".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING
from zlib import crc32

from growth_pipeline.cohorts.refresh.entries import FIRST_PAYMENT, SIGNUP
from growth_pipeline.cohorts.refresh.money import MoneyFacts
from growth_pipeline.cohorts.refresh.plan import Basis, Members
from growth_pipeline.core.calendar import day_end, day_number, period_of
from growth_pipeline.core.errors import GrowthError, UsageError
from growth_pipeline.core.periods import UTC_NAME
from growth_pipeline.events.activity.rollup import ACTIVITY, USERS
from growth_pipeline.events.activity.segments import SEGMENTS
from growth_pipeline.storage.sql import load_sql

__all__ = ["ACTIVITY", "USERS", "Entered", "LakeFacts", "read_facts", "segments_in"]

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.cohorts.definition import RetentionDefinition
    from growth_pipeline.storage.engine import Table
    from growth_pipeline.storage.lake import Lake, Manifest
    from growth_pipeline.storage.queries import Queries

_DAY = "day"
_DIGEST = 16  # hexadecimal digits: enough to tell versions of one day apart


@dataclass(frozen=True)
class Entered:
    """Who entered: by day who, and how many of each segment."""

    members: Mapping[int, Members]
    sizes: Mapping[int, Mapping[str | None, int]]


@dataclass(frozen=True)
class LakeFacts:
    """Users and activity as they are in the lake now.

    Shapes: `users` hold user_number and entry_day, one row per user, by `entry`; `days` one file
    per local day with user_number, day, events, unique per user. `money`: what users paid.
    `segments` hold user_number and segment, for users of whom one is known, by the property
    `segment_by`; None: they are not split.
    """

    users: Table
    days: dict[int, Manifest]
    money: MoneyFacts = field(default_factory=MoneyFacts)
    entry: str = SIGNUP
    segment_by: str | None = None
    segments: Table = ()

    @cached_property
    def tz(self) -> str:
        """Zone of the local days, as the rollup says; UTC where it says nothing."""
        zones = (manifest.certificate.get("tz") for manifest in self.days.values())
        return next((str(zone) for zone in zones if zone), UTC_NAME)

    def last_whole_day(self) -> int:
        """The last local day that was over when it was rolled up.

        By the first payment the last one of which payments are known too: who entered later is not.
        Raises: GrowthError when there is none yet.
        """
        for day in sorted(self.days, reverse=True):
            if _is_whole(self.days[day], day, self.tz):
                return self._known(day)
        raise GrowthError(
            "the only day of activity in the lake is not over",
            remedy="refresh once the rollup has seen a whole day",
        )

    def _known(self, day: int) -> int:
        if self.entry != FIRST_PAYMENT or self.money.basis is None:
            return day
        return min(day, self.money.basis.through)

    def activity(self, days: Iterable[int]) -> list[str]:
        """Files of these days."""
        return [self.days[day].path for day in days]

    def people(self) -> dict[str, Table]:
        """Tables `users` and `segments`, as statements name them."""
        import polars as pl

        kinds = {"user_number": pl.Int32, "segment": pl.String}
        return {"users": self.users, "segments": self.segments or pl.DataFrame(schema=kinds)}

    def entered(self, engine: Queries) -> Entered:
        """Who entered on each day; another segment of a user is another set of members."""
        rows = engine.query(load_sql("cohorts/refresh_members"), self.people())
        members: dict[int, Members] = {}
        sizes: dict[int, dict[str | None, int]] = {}
        for day, segment, size, numbers, residues in rows.iter_rows():
            told = Members(size, numbers, residues * _salt(segment))
            members[day] = told.joined(members.get(day))
            sizes.setdefault(day, {})[segment] = size
        return Entered(members, sizes)

    def members(self, engine: Queries, through: int) -> pl.DataFrame:
        """Who entered up to a day: user_number, entry_day."""
        tables = {"users": self.users}
        return engine.query(load_sql("cohorts/refresh_entered"), tables, {"through": through})

    def basis(self, entered: Entered, definition: RetentionDefinition, through: int) -> Basis:
        """What cells of a definition are made of, up to a last whole day."""
        members: dict[int, Members] = {}
        sizes: dict[int, Counter[str | None]] = {}
        for day, told in entered.members.items():
            if day <= through:
                cohort = period_of(day, definition)
                members[cohort] = told.joined(members.get(cohort))
                sizes.setdefault(cohort, Counter()).update(entered.sizes[day])
        return Basis(
            through=through,
            options=definition.resolved(),
            days={
                day: manifest.sha256[:_DIGEST]
                for day, manifest in self.days.items()
                if day <= through
            },
            members=members,
            money=self.money.until(through),
            sizes=sizes,
        )

    def active_users(
        self, engine: Queries, entry_days: Iterable[int], activity: Table
    ) -> pl.DataFrame:
        """Users who entered on these days and have activity, as retention reads them."""
        import polars as pl

        wanted = pl.DataFrame({"day": list(entry_days)}, schema={"day": pl.Int32})
        tables = {**self.people(), "wanted": wanted, "activity": activity}
        return engine.query(load_sql("cohorts/refresh_users"), tables)


def read_facts(lake: Lake) -> LakeFacts:
    """What the lake holds of users and activity; money is read apart.

    Raises: GrowthError when nothing was rolled up yet; LakeUnreadableError.
    """
    users = tuple(manifest.path for manifest in lake.manifests(USERS))
    days = {_day_of(manifest): manifest for manifest in lake.manifests(ACTIVITY)}
    if not users or not days:
        raise GrowthError(
            "there is no activity in the lake yet",
            remedy="run growth events rollup first; the file mode needs none: growth retention",
        )
    return LakeFacts(users, days)


def segments_in(lake: Lake, segment_by: str) -> Manifest:
    """What the rollup read of a property: user_number, segment.

    Raises: UsageError when it has not read it.
    """
    known = lake.read_manifest(SEGMENTS, {"segment_by": segment_by})
    if known is None:
        raise UsageError(
            f"users are not known by {segment_by!r}",
            remedy="add it to GROWTH_COHORTS__SEGMENTS, then run: growth events rollup",
        )
    return known


def _salt(segment: str | None) -> int:
    """A factor that tells users of one segment from the same users in another."""
    return 1 if segment is None else 2 + crc32(segment.encode())


def _is_whole(manifest: Manifest, day: int, tz: str) -> bool:
    as_of = manifest.certificate.get("as_of")
    return as_of is None or datetime.fromisoformat(as_of).timestamp() >= day_end(tz, day)


def _day_of(manifest: Manifest) -> int:
    return day_number(date.fromisoformat(manifest.partition[_DAY]))
