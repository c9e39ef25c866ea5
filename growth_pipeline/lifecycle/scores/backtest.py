"""How well the score of a day told who would convert or churn in the 30 days after it.

AUC: of two users, one to whom it happened and one to whom it did not, how often the score orders
them rightly; 0.5 is chance, ties count half (Mann-Whitney). Calibration: by band, how many it
happened to. Nothing of the days after the snapshot is in the score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from growth_pipeline.core.charts import Spec, bar_chart, data_uri, render_png, stack
from growth_pipeline.core.markdown import table_head, table_row
from growth_pipeline.lifecycle.facts import Band, Stage
from growth_pipeline.lifecycle.scores.score_day import scored_frames
from growth_pipeline.lifecycle.scoring import ENGAGEMENT_1
from growth_pipeline.storage.postgres import Connection, Database, clear_errors, raw_json
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

HORIZON_DAYS: Final = 30
SNAPSHOTS: Final = 6
TOO_FEW: Final = 20
PAYING: Final = (Stage.PAYING, Stage.WON_BACK, Stage.AT_RISK)
NEVER_PAID: Final = (
    *(Stage.SIGNED_UP, Stage.ACTIVATED, Stage.TRIALING, Stage.TRIAL_ENDED, Stage.DORMANT),
)
# Outcome -> who it can happen to, where they come to, and whether a high score speaks for it.
OUTCOMES: Final[dict[str, tuple[Sequence[Stage], Sequence[Stage], bool]]] = {
    "converted": (NEVER_PAID, PAYING, True),
    "churned": (PAYING, (Stage.CHURNED,), False),
}

_COLOURS: Final = {
    str(Band.NONE): "#98a2b3",
    str(Band.LOW): "#c05046",
    str(Band.FADING): "#b7791f",
    str(Band.STEADY): "#2b6cb0",
    str(Band.HIGH): "#2f855a",
}


@dataclass(frozen=True)
class Backtest:
    """Grain: one snapshot day and outcome. `auc` None: it happened to all, or to nobody."""

    snapshot_on: date
    outcome: str
    users: int
    happened: int
    auc: float | None
    calibration: list[dict[str, Any]]

    @property
    def is_small(self) -> bool:
        """Whether either side has too few users to tell anything."""
        return min(self.happened, self.users - self.happened) < TOO_FEW

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "definition": ENGAGEMENT_1,
            "snapshot_on": self.snapshot_on.isoformat(),
            "horizon_days": HORIZON_DAYS,
            "outcome": self.outcome,
            "users": self.users,
            "happened": self.happened,
            "auc": None if self.auc is None else round(self.auc, 4),
            "too_few": self.is_small,
            "calibration": self.calibration,
        }


def run_backtest(
    database: Database,
    *,
    now: datetime,
    snapshots: int = SNAPSHOTS,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Backtest]:
    """Test the score on days whose 30 days after are over, and keep what came out.

    Raises: RemoteUnavailableError.
    """
    found: list[Backtest] = []
    with clear_errors(), database.connection() as connection:
        row = connection.execute(load_sql("lifecycle/decided_until")).fetchone()
        first = connection.execute(load_sql("lifecycle/decided_from")).fetchone()
        if row is None or row[0] is None or first is None:
            return []
        for number in range(1, snapshots + 1):
            day = row[0] - timedelta(days=number * HORIZON_DAYS)
            if day < first[0]:
                break
            found += _test(connection, day)
            tell(f"score of {day} held against what came")
        for one in found:
            connection.execute(load_sql("lifecycle/keep_backtest"), _values(one, now))
    return sorted(found, key=lambda one: (one.outcome, one.snapshot_on))


def auc(scores: Sequence[float], happened: Sequence[bool]) -> float | None:
    """Share of pairs that the scores order rightly, ties half; None without both kinds."""
    import polars as pl

    ranks = pl.Series(scores, dtype=pl.Float64).rank("average")
    yes = pl.Series(happened, dtype=pl.Boolean)
    hits, misses = int(yes.sum()), len(yes) - int(yes.sum())
    if not hits or not misses:
        return None
    return (float(ranks.filter(yes).sum()) - hits * (hits + 1) / 2) / (hits * misses)


def describe_backtest(found: Sequence[Backtest]) -> str:
    """The asset's page: a picture of the AUC over time, and calibration of the newest snapshot."""
    if not found:
        return "No day lies 30 decided days back yet: there is nothing to hold the score against."
    lines = [f"`{ENGAGEMENT_1}` against the {HORIZON_DAYS} days after each day; 0.5 is chance."]
    for outcome in OUTCOMES:
        mine = [one for one in found if one.outcome == outcome]
        lines += ["", f"### {outcome}", "", *table_head("snapshot", "users", outcome, "AUC")]
        lines += [
            table_row(
                one.snapshot_on.isoformat(), f"{one.users:,}", f"{one.happened:,}", _told(one)
            )
            for one in mine
        ]
        if mine:
            lines += ["", f"By band on {mine[-1].snapshot_on}:", ""]
            lines += table_head("band", "users", outcome, "share")
            lines += [
                table_row(
                    cell["band"],
                    f"{cell['users']:,}",
                    f"{cell['happened']:,}",
                    "" if cell["share"] is None else f"{cell['share']:.1%}",
                )
                for cell in mine[-1].calibration
            ]
    picture = _picture(found)
    if picture is not None:
        lines += ["", f"![Share by band]({picture})"]
    return "\n".join(lines)


# --- inside --------------------------------------------------------------------------------------


def _test(connection: Connection, day: date) -> list[Backtest]:
    import polars as pl

    frame = pl.concat(scored_frames(connection, day))
    found = []
    for outcome, (who, where, is_high) in OUTCOMES.items():
        values = {
            "day": day,
            "until": day + timedelta(days=HORIZON_DAYS),
            "stages": [str(stage) for stage in where],
        }
        rows = connection.execute(load_sql("lifecycle/came_to_stage"), values).fetchall()
        hits = [user for (user,) in rows]
        mine = frame.filter(pl.col("stage").is_in([str(stage) for stage in who])).with_columns(
            happened=pl.col("user_number").is_in(hits)
        )
        scores = mine["score"] if is_high else -mine["score"]
        found.append(
            Backtest(
                day,
                outcome,
                len(mine),
                int(mine["happened"].sum()),
                auc(scores.to_list(), mine["happened"].to_list()),
                _calibration(mine),
            )
        )
    return found


def _calibration(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """By band, from the lowest: users, to how many it happened, and that share."""
    import polars as pl

    counted = {
        band: (users, happened)
        for band, users, happened in frame.group_by("band")
        .agg(pl.len(), pl.col("happened").sum())
        .iter_rows()
    }
    cells = []
    for band in Band:
        users, happened = counted.get(str(band), (0, 0))
        share = round(happened / users, 6) if users else None
        cells.append({"band": str(band), "users": users, "happened": happened, "share": share})
    return cells


def _picture(found: Sequence[Backtest]) -> str | None:
    """Share by band of the newest snapshot of each outcome; None where nobody is shown."""
    charts: list[Spec] = []
    for outcome in OUTCOMES:
        mine = [one for one in found if one.outcome == outcome]
        cells = [cell for cell in mine[-1].calibration if cell["share"] is not None] if mine else []
        rows = [
            {
                "band": cell["band"],
                "share": cell["share"],
                "words": f"{cell['share']:.1%} of {cell['users']:,}",
            }
            for cell in cells
        ]
        if rows:
            charts.append(
                bar_chart(
                    rows,
                    category="band",
                    value="share",
                    colour="band",
                    colours=_COLOURS,
                    label="words",
                    title=f"{outcome} within {HORIZON_DAYS} days, by band of the score",
                )
            )
    return data_uri(render_png(stack(*charts, title=ENGAGEMENT_1))) if charts else None


def _values(one: Backtest, now: datetime) -> dict[str, Any]:
    return {
        "definition": ENGAGEMENT_1,
        "snapshot_on": one.snapshot_on,
        "outcome": one.outcome,
        "horizon_days": HORIZON_DAYS,
        "users": one.users,
        "happened": one.happened,
        "auc": None if one.auc is None else round(one.auc, 6),
        "calibration": raw_json(orjson.dumps(one.calibration)),
        "made_at": now,
    }


def _told(one: Backtest) -> str:
    if one.auc is None:
        return "none: it takes both kinds"
    return f"{one.auc:.3f}" + (" (few users)" if one.is_small else "")
