"""The engagement score of every user on a local day into the lake, and its counts into Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from growth_pipeline.core.errors import UsageError
from growth_pipeline.lifecycle.scoring import ENGAGEMENT_1, PARAMETERS, score_many
from growth_pipeline.lifecycle.stages import STAGES_1
from growth_pipeline.storage.postgres import (
    Connection,
    Database,
    clear_errors,
    copy_batches,
    copy_in,
)
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.storage.lake import Lake

DATASET: Final = "engagement_scores"
_COLUMNS: Final = (
    *("user_number", "stage", "score", "band", "young", "frequency", "recency", "breadth"),
    *("points_frequency", "points_recency", "points_breadth"),
)
_STAGE_DAYS: Final = {
    "day": "date",
    "stage": "text",
    "users": "int8",
    "definition": "text",
    "counted_at": "timestamptz",
}
_SCORE_DAYS: Final = {
    "day": "date",
    "stage": "text",
    "band": "text",
    "users": "int8",
    "score_sum": "int8",
    "definition": "text",
    "counted_at": "timestamptz",
}


@dataclass(frozen=True)
class DayScored:
    """Counts of one day. `bands`: (stage, band) -> (users, sum of scores)."""

    day: date
    users: int
    stages: dict[str, int]
    bands: dict[tuple[str, str], tuple[int, int]]

    @property
    def average(self) -> float | None:
        """Average score; None without users."""
        total = sum(score_sum for _, score_sum in self.bands.values())
        return total / self.users if self.users else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        by_band: dict[str, int] = {}
        for (_, band), (users, _) in self.bands.items():
            by_band[band] = by_band.get(band, 0) + users
        return {
            "day": self.day.isoformat(),
            "users": self.users,
            "average_score": None if self.average is None else round(self.average, 2),
            "stages": dict(sorted(self.stages.items())),
            "bands": dict(sorted(by_band.items())),
        }


def score_day(database: Database, lake: Lake, day: date, *, now: datetime) -> DayScored:
    """Score every user who was there on a local day that is decided; replaces what was there.

    Raises: UsageError for a day whose stages are not decided yet; RemoteUnavailableError;
    LakeWriteError.
    """
    with clear_errors(), database.connection() as connection:
        connection.execute("set transaction isolation level repeatable read")
        _check_decided(connection, day)
        counts: dict[tuple[str, str], tuple[int, int]] = {}
        told = {"definition": ENGAGEMENT_1, "stages": STAGES_1, "parameters": dict(PARAMETERS)}
        lake.write_partition(
            DATASET, {"day": day.isoformat()}, _counted(connection, day, counts), told
        )
        done = _day_scored(day, counts)
        _replace(connection, done, now)
    return done


def scored_frames(connection: Connection, day: date) -> Iterator[pl.DataFrame]:
    """Users of a day in batches, with stage, score and what adds what. Grain: one user."""
    import polars as pl

    batches = copy_batches(connection, load_sql("lifecycle/score_users"), {"day": day})
    for batch in batches:
        ages = (
            pl.col("feature_ages")
            .str.split(",")
            .list.eval(pl.element().filter(pl.element() != "").cast(pl.Int64))
        )
        yield score_many(batch.with_columns(feature_ages=ages)).select(_COLUMNS)


# --- inside --------------------------------------------------------------------------------------


def _check_decided(connection: Connection, day: date) -> None:
    row = connection.execute(load_sql("lifecycle/decided_until")).fetchone()
    decided = row[0] if row else None
    if decided is None or day > decided:
        until = "nothing is decided yet" if decided is None else f"stages are decided to {decided}"
        raise UsageError(f"{day} cannot be scored: {until}", remedy="run growth lifecycle run")


def _counted(
    connection: Connection, day: date, counts: dict[tuple[str, str], tuple[int, int]]
) -> Iterator[pl.DataFrame]:
    import polars as pl

    for frame in scored_frames(connection, day):
        grouped = frame.group_by("stage", "band").agg(pl.len(), pl.col("score").sum())
        for stage, band, users, score_sum in grouped.iter_rows():
            before = counts.get((stage, band), (0, 0))
            counts[stage, band] = (before[0] + users, before[1] + score_sum)
        yield frame


def _day_scored(day: date, counts: dict[tuple[str, str], tuple[int, int]]) -> DayScored:
    stages: dict[str, int] = {}
    for (stage, _), (users, _) in counts.items():
        stages[stage] = stages.get(stage, 0) + users
    return DayScored(day, sum(stages.values()), stages, counts)


def _replace(connection: Connection, done: DayScored, now: datetime) -> None:
    for statement in ("forget_stage_day", "forget_score_day"):
        connection.execute(load_sql(f"lifecycle/{statement}"), {"day": done.day})
    stages = [(done.day, stage, users, STAGES_1, now) for stage, users in done.stages.items()]
    copy_in(
        connection, "lifecycle.stage_days", list(_STAGE_DAYS), list(_STAGE_DAYS.values()), stages
    )
    scores = [
        (done.day, stage, band, users, score_sum, ENGAGEMENT_1, now)
        for (stage, band), (users, score_sum) in done.bands.items()
    ]
    copy_in(
        connection, "lifecycle.score_days", list(_SCORE_DAYS), list(_SCORE_DAYS.values()), scores
    )
