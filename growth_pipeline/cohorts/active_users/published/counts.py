"""Counts of active users in the lake: what was counted, of what, and users of closed periods.

Grain of the counts: one rolling window (its last day), or calendar period, and segment. Whoever
loses them loses time only: they are made anew from the activity. Contract: docs/metrics.md,
"Published active users".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from growth_pipeline.cohorts.active_users.published.plan import Basis
from growth_pipeline.storage.lake import LakeUnreadableError

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.storage.lake import Lake, Manifest

COUNTS = "active_counts"
PEOPLE = "active_people"
PERIODS = "active_periods"
RESTATEMENTS = "active_restatements"
WINDOW = "window"
_SLOTS = 4  # closed periods of a grain whose users are kept
_KEY = ("kind", "start_day", "size", "segment")
_COUNTS = ("users", "user_days", "returning_users", "new_users")


class Restatement(NamedTuple):
    """Grain: one count of a closed period that was published otherwise; users before and now.

    `kind`: window, or the grain of the period; `start_day`: the window's last day, or the period's
    first, as a day number; `size`: days of the window, 0 for a period. `through`: the last day of
    the facts that changed it.
    """

    through: int
    kind: str
    start_day: int
    size: int
    users_before: int
    users_now: int
    new_before: int
    new_now: int


@dataclass(frozen=True)
class Counted:
    """Counts as they were written, and what they were made of. Shapes: `counts_schema`."""

    basis: Basis
    as_of: datetime
    frame: pl.DataFrame


def counts_schema() -> dict[str, Any]:
    """Columns of counts. Windows have users alone; `size` is 0 for calendar periods."""
    import polars as pl

    return {
        "kind": pl.String(),
        "start_day": pl.Int32(),
        "size": pl.Int32(),
        "segment": pl.String(),
        **dict.fromkeys(_COUNTS, pl.Int64()),
    }


class CountStore:
    """Counts of one question, split by a property or not."""

    def __init__(self, lake: Lake, segment_by: str | None = None) -> None:
        self._lake = lake
        self._segment_by = segment_by
        self._place = {"part": "all"} if segment_by is None else {"segment_by": segment_by}

    def read(self) -> Counted | None:
        """What was counted last; None if nothing, or if it cannot be read: it is made anew."""
        with suppress(LakeUnreadableError):
            manifest = self._lake.read_manifest(COUNTS, self._place)
            if manifest is None:
                return None
            told = manifest.certificate
            basis = Basis(told["through"], told["first_day"], told["options"], _days(told["days"]))
            as_of = datetime.fromisoformat(told["as_of"])
            return Counted(basis, as_of, self._lake.read(manifest))
        return None

    def people(self) -> Manifest | None:
        """Who was ever active, as counts were made last: user_number, first_day, segment."""
        with suppress(LakeUnreadableError):
            return self._lake.read_manifest(PEOPLE, self._place)
        return None

    def write(
        self,
        counted: Counted,
        people: pl.DataFrame,
        restatements: Iterable[Restatement],
        *,
        now: datetime,
    ) -> None:
        """Write the log of what changes, the counts, and last the people they were made of.

        A process that dies in between finds the same changes again.
        """
        self._log(list(restatements), now)
        basis = counted.basis
        told = {
            "through": basis.through,
            "first_day": basis.first_day,
            "options": dict(basis.options),
            "days": " ".join(f"{day}:{word}" for day, word in sorted(basis.days.items())),
            "as_of": counted.as_of.isoformat(),
        }
        self._lake.write_partition(COUNTS, self._place, [counted.frame], told, now=now)
        self._lake.write_partition(PEOPLE, self._place, [people], {}, now=now)
        with suppress(LakeUnreadableError, OSError):  # what stays takes room and does no harm
            for dataset in (COUNTS, PEOPLE, RESTATEMENTS, PERIODS):
                self._lake.prune(dataset, keep=2)

    def restatements(self) -> list[Restatement]:
        """Every change of a published count, in the order they were found."""
        manifest = self._lake.read_manifest(RESTATEMENTS, self._place)
        if manifest is None:
            return []
        return [Restatement(*row) for row in self._lake.read(manifest).iter_rows()]

    def _log(self, found: list[Restatement], now: datetime) -> None:
        import polars as pl

        logged = self.restatements() if found else []
        fresh = [one for one in found if one not in logged]
        if fresh:
            kinds = {name: pl.Int64() for name in Restatement._fields} | {"kind": pl.String()}
            schema = {name: kinds[name] for name in Restatement._fields}
            frame = pl.DataFrame([*logged, *fresh], schema=schema, orient="row")
            self._lake.write_partition(RESTATEMENTS, self._place, [frame], {}, now=now)


class PeriodUsers:
    """Who was active in closed weeks and months, kept so that the next one need not read them."""

    def __init__(self, lake: Lake, basis: Basis) -> None:
        self._lake = lake
        self._basis = basis

    def find(self, grain: str, period: int) -> Manifest | None:
        """Users of a period, if they are those of its days as they are now."""
        with suppress(LakeUnreadableError):
            kept = self._lake.read_manifest(PERIODS, self._slot(grain, period))
            if kept is not None and kept.certificate == self._proof(grain, period):
                return kept
        return None

    def keep(self, grain: str, period: int, users: pl.DataFrame) -> None:
        """Write users of a period in the place of one that is too old."""
        self._lake.write_partition(
            PERIODS, self._slot(grain, period), [users], self._proof(grain, period)
        )

    def _slot(self, grain: str, period: int) -> dict[str, str]:
        return {"grain": grain, "slot": str(period % _SLOTS)}

    def _proof(self, grain: str, period: int) -> dict[str, Any]:
        days = self._basis.days_of(grain, period)
        told = [(day, self._basis.days.get(day)) for day in days]
        digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()
        return {"period": period, "start_day": days.start, "days": digest}


def merged(
    before: pl.DataFrame | None, fresh: pl.DataFrame, touched: Mapping[str, Iterable[int]]
) -> pl.DataFrame:
    """Counts as they are now: those that were touched are the fresh ones alone.

    `touched`: kind -> its days that were counted again.
    """
    import polars as pl

    if before is None:
        return fresh.sort(*_KEY)
    again = is_touched(touched)
    return pl.concat([before.filter(~again), fresh]).sort(*_KEY)


def is_touched(touched: Mapping[str, Iterable[int]]) -> pl.Expr:
    """Whether a row of counts was counted again."""
    import polars as pl

    parts = [
        (pl.col("kind") == kind) & pl.col("start_day").is_in(sorted(days))
        for kind, days in touched.items()
    ]
    return pl.any_horizontal(parts)


def restated(
    before: pl.DataFrame, now: pl.DataFrame, through_before: int, basis: Basis
) -> list[Restatement]:
    """Counts that were told and are others now; nobody then or now is 0.

    `through_before`: the last day that was known when `before` was told.
    """
    import polars as pl

    key = list(_KEY[:3])
    sides = (before, now)
    one, other = (
        frame.filter(pl.col("segment").is_null()).select(*key, "users", "new_users")
        for frame in sides
    )
    both = one.join(other, on=key, how="full", coalesce=True, suffix="_now").with_columns(
        pl.col("users", "users_now", "new_users", "new_users_now").fill_null(0)
    )
    odd = both.filter(
        (pl.col("users") != pl.col("users_now")) | (pl.col("new_users") != pl.col("new_users_now"))
    ).sort(*key)
    rows = odd.select(*key, "users", "users_now", "new_users", "new_users_now").iter_rows()
    return [
        Restatement(basis.through, *row)
        for row in rows
        if _was_told(row[0], row[1], through_before, basis)
    ]


def _was_told(kind: str, day: int, through: int, basis: Basis) -> bool:
    if kind == WINDOW:
        return day <= through
    return basis.days_of(kind, basis.period(kind, day)).stop - 1 <= through


def _days(text: str) -> dict[int, str]:
    pairs = (entry.split(":") for entry in text.split())
    return {int(number): word for number, word in pairs}
