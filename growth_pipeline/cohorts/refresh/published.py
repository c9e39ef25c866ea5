"""Published cells in the lake: the newest of each grain, and every change of a closed one.

Contract: docs/metrics.md, "Time integrity".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from growth_pipeline.cohorts.refresh.entries import SIGNUP, of_entry
from growth_pipeline.cohorts.refresh.money import PaidBasis
from growth_pipeline.cohorts.refresh.plan import Basis, Members
from growth_pipeline.cohorts.retention.result import RetentionCell
from growth_pipeline.core.periods import PeriodState

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.storage.lake import Lake, Manifest

CELLS = "retention_cells"
RESTATEMENTS = "retention_restatements"
CellKey: TypeAlias = "tuple[date, str, int, str]"
"""First day of the cohort, segment, period, currency of what was paid; each text empty for none."""


@dataclass(frozen=True)
class Restatement:
    """Grain: one change of a cell that was closed when it was published.

    `through`: the last day of the facts that changed it. A value is None where there was no cell.
    Money is in minor units of `currency`, of the period and of all up to it.
    """

    through: date
    cohort_start: date
    period_index: int
    size_before: int | None
    size_now: int | None
    users_before: int | None
    users_now: int | None
    rate_before: Decimal | None
    rate_now: Decimal | None
    segment: str | None = None
    currency: str | None = None
    revenue_before: int | None = None
    revenue_now: int | None = None
    cumulative_before: int | None = None
    cumulative_now: int | None = None


@dataclass(frozen=True)
class Published:
    """Cells of one grain as they were written, and what they were made of."""

    basis: Basis
    as_of: datetime
    frame: pl.DataFrame

    def cells_of(self, cohorts: Collection[date]) -> dict[CellKey, RetentionCell]:
        """Cells of the cohorts that begin on these days."""
        rows = self._of(cohorts, inside=True).iter_rows(named=True)
        return {key_of(cell): cell for cell in map(_cell, rows)}

    def without(self, cohorts: Collection[date]) -> pl.DataFrame:
        """Cells of all other cohorts."""
        return self._of(cohorts, inside=False)

    def _of(self, cohorts: Collection[date], *, inside: bool) -> pl.DataFrame:
        import polars as pl

        is_in = pl.col("cohort_start").is_in(list(cohorts))
        return self.frame.filter(is_in if inside else ~is_in)


class CellStore:
    """Cells of one way in, split or not, and their changes. A partition has one grain's cells."""

    def __init__(self, lake: Lake, entry: str = SIGNUP, segment_by: str | None = None) -> None:
        self._lake = lake
        self._entry = entry
        self._segment_by = segment_by

    def read(self, grain: str) -> Published | None:
        """What is published of a grain; None before the first refresh."""
        manifest = self._lake.read_manifest(CELLS, self._place(grain))
        if manifest is None:
            return None
        return Published(
            basis=_basis(manifest),
            as_of=datetime.fromisoformat(manifest.certificate["as_of"]),
            frame=self._lake.read(manifest),
        )

    def restatements(self, grain: str) -> list[Restatement]:
        """Every change of a closed cell of a grain, in the order they were found."""
        manifest = self._lake.read_manifest(RESTATEMENTS, self._place(grain))
        if manifest is None:
            return []
        return [Restatement(**row) for row in self._lake.read(manifest).iter_rows(named=True)]

    def write(
        self,
        published: Published,
        restatements: Sequence[Restatement],
        *,
        now: datetime,
    ) -> None:
        """Publish all cells of a grain, after the log of what changes by it.

        A process that dies between the two finds the same changes again, and they are told once.
        """
        grain = published.basis.options["grain"]
        logged = self.restatements(grain)
        fresh = [one for one in restatements if one not in logged]
        if fresh:
            frames = [_log_frame([*logged, *fresh])]
            self._lake.write_partition(RESTATEMENTS, self._place(grain), frames, {}, now=now)
        certificate = {**_told(published.basis), "as_of": published.as_of.isoformat()}
        frames = [published.frame]
        self._lake.write_partition(CELLS, self._place(grain), frames, certificate, now=now)

    def _place(self, grain: str) -> dict[str, str]:
        place = {"grain": grain}
        if self._segment_by is not None:
            place["segment_by"] = self._segment_by
        return of_entry(self._entry, place)


def cells_in(frame: pl.DataFrame) -> list[RetentionCell]:
    """Rows as cells."""
    return [_cell(row) for row in frame.iter_rows(named=True)]


def key_of(cell: RetentionCell) -> CellKey:
    """What names a cell among those of its grain."""
    return cell.cohort_start, cell.segment or "", int(cell.period_index), cell.currency or ""


def _cell(row: dict[str, Any]) -> RetentionCell:
    return RetentionCell(**{**row, "state": PeriodState(row["state"])})


def _told(basis: Basis) -> dict[str, Any]:
    return {
        "through": basis.through,
        "options": dict(basis.options),
        "days": _packed(basis.days),
        "members": _packed({cohort: "/".join(map(str, m)) for cohort, m in basis.members.items()}),
        "money": None if basis.money is None else _told_money(basis.money),
    }


def _told_money(basis: PaidBasis) -> dict[str, Any]:
    return {
        "through": basis.through,
        "days": _packed(basis.days),
        "currencies": sorted(basis.currencies),
    }


def _paid_basis(told: Mapping[str, Any] | None) -> PaidBasis | None:
    if told is None:
        return None
    return PaidBasis(told["through"], _unpacked(told["days"]), frozenset(told["currencies"]))


def _basis(manifest: Manifest) -> Basis:
    told = manifest.certificate
    return Basis(
        through=told["through"],
        options=told["options"],
        days=_unpacked(told["days"]),
        members={
            cohort: Members(*map(int, members.split("/")))
            for cohort, members in _unpacked(told["members"]).items()
        },
        money=_paid_basis(told.get("money")),
    )


def _packed(words: Mapping[int, str]) -> str:
    """`22000:ab12 22001:cd34`: thousands of entries as one text are read and written at once."""
    return " ".join(f"{number}:{word}" for number, word in sorted(words.items()))


def _unpacked(text: str) -> dict[int, str]:
    pairs = (entry.split(":") for entry in text.split())
    return {int(number): word for number, word in pairs}


def _log_frame(rows: Sequence[Restatement]) -> pl.DataFrame:
    import polars as pl

    schema = {
        **dict.fromkeys(("through", "cohort_start"), pl.Date()),
        "period_index": pl.Int32(),
        **dict.fromkeys(("size_before", "size_now", "users_before", "users_now"), pl.Int64()),
        **dict.fromkeys(("rate_before", "rate_now"), pl.Decimal(38, 6)),
        **dict.fromkeys(("segment", "currency"), pl.String()),
        **dict.fromkeys(("revenue_before", "revenue_now"), pl.Int64()),
        **dict.fromkeys(("cumulative_before", "cumulative_now"), pl.Int64()),
    }
    return pl.DataFrame([asdict(row) for row in rows], schema=schema, orient="row")
