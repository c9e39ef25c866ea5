"""What retention looks like: cohorts by period as a heatmap, and the curve of the average. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from growth_pipeline.cohorts.report.money import money_curves
from growth_pipeline.cohorts.report.words import (
    SUPPRESSED_UNDER,
    cell_in_words,
    column_name,
    is_open,
    newest_cohorts,
    size_in_words,
)
from growth_pipeline.cohorts.retention.result import RetentionCell, RetentionResult
from growth_pipeline.core.charts import (
    Spec,
    curve_chart,
    data_uri,
    heatmap,
    in_dark,
    render_png,
    render_svg,
    stack,
)
from growth_pipeline.core.documents import Picture

_COHORTS_DRAWN: Final = 20
_COHORTS_IN_EVENT: Final = (12, 6, 1)  # a picture in an event log must stay small
_PERIODS_DRAWN: Final = 16


@dataclass(frozen=True)
class Drawn:
    """The picture of one grain, and its grain."""

    grain: str
    picture: Picture


def retention_picture(answer: RetentionResult, cohorts: int = _COHORTS_DRAWN) -> Spec:
    """Heatmap of the newest cohorts, the curve of the average, and one of money by currency."""
    grain = str(answer.definition["grain"])
    as_of = f"as of {answer.as_of:%Y-%m-%d %H:%M} UTC, exclusive; * in progress"
    return stack(
        *(heatmap_of(answer, cohorts), curve_of(answer), *money_curves(answer)),
        title=f"Retention by {grain}",
        subtitle=as_of,
    )


def heatmap_of(answer: RetentionResult, cohorts: int = _COHORTS_DRAWN) -> Spec:
    """The newest cohorts, a row each; cells that have not begun are empty."""
    rows = [
        {
            "cohort": f"{cell.cohort_start} ({size_in_words(cell.cohort_size)})",
            "period": column_name(answer, cell.period_index),
            "share": _share(cell),
            "open": is_open(cell),
            "label": cell_in_words(cell),
        }
        for cells in newest_cohorts(answer, cohorts).values()
        for cell in cells[:_PERIODS_DRAWN]
    ]
    return heatmap(
        rows,
        column="period",
        row="cohort",
        share="share",
        label="label",
        open_field="open",
        title="Share of each cohort (first day, size) that was active",
    )


def curve_of(answer: RetentionResult) -> Spec:
    """The pooled average of every column with its 95 % interval; one that is unknown is a gap."""
    rows: list[dict[str, Any]] = [
        {
            "place": at,
            "share": None if average.rate is None else float(average.rate),
            "low": average.rate_low,
            "high": average.rate_high,
        }
        for at, average in enumerate(answer.averages)
    ]
    return curve_chart(
        rows,
        place="place",
        share="share",
        low="low",
        high="high",
        title="Average over closed cells, with its 95 % interval",
    )


def drawings(answers: Sequence[RetentionResult]) -> list[Drawn]:
    """Pictures for a page that can hold drawings, each for a light and a dark screen."""
    drawn = []
    for answer in answers:
        spec = retention_picture(answer)
        picture = Picture(_alt(answer), svg=render_svg(spec), dark_svg=render_svg(in_dark(spec)))
        drawn.append(Drawn(_grain(answer), picture))
    return drawn


def addresses(answers: Sequence[RetentionResult]) -> list[Drawn]:
    """Pictures for Markdown that may load nothing: each in a data URI, small enough for an event.

    A picture that would be too large shows fewer of the newest cohorts.
    """
    drawn = []
    for answer in answers:
        address = _small_address(answer)
        if address is not None:
            drawn.append(Drawn(_grain(answer), Picture(_alt(answer), address=address)))
    return drawn


def _small_address(answer: RetentionResult) -> str | None:
    for cohorts in _COHORTS_IN_EVENT:
        with suppress(ValueError):
            return data_uri(render_png(retention_picture(answer, cohorts)))
    return None


def _grain(answer: RetentionResult) -> str:
    return str(answer.definition["grain"])


def _alt(answer: RetentionResult) -> str:
    return f"Retention of {_grain(answer)} cohorts and its average; the tables below say the same"


def _share(cell: RetentionCell) -> float | None:
    """What the colour tells; nothing of a cell whose words say nothing."""
    if cell.rate is None or cell.cohort_size < SUPPRESSED_UNDER:
        return None
    return float(cell.rate)
