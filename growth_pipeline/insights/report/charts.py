"""What a weekly report looks like: MRR and what moved it, users. Pure; facts to specs.

Only our own words are drawn, never a name that somebody gave. A week that is not known leaves a
gap. Every picture has its numbers in a table beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from growth_pipeline.core.charts import (
    Spec,
    data_uri,
    in_dark,
    lines_chart,
    render_png,
    render_svg,
    signed_columns,
    stack,
)
from growth_pipeline.core.documents import Picture
from growth_pipeline.core.money import ISO_CURRENCIES, to_major
from growth_pipeline.insights.facts import Fact, Point, Unit
from growth_pipeline.insights.figures import FIELDS, period_text
from growth_pipeline.insights.report.choice import currencies
from growth_pipeline.insights.report.result import WeeklyReport

MOVEMENTS: Final[Mapping[str, tuple[str, str]]] = {
    "mrr_new": ("new", "#2f855a"),
    "mrr_reactivation": ("reactivated", "#68a37d"),
    "mrr_resumed": ("resumed", "#9cc5a9"),
    "mrr_expansion": ("expansion", "#2b6cb0"),
    "mrr_contraction": ("contraction", "#b7791f"),
    "mrr_paused": ("paused", "#98a2b3"),
    "mrr_churn": ("churn", "#c05046"),
}
# Seen on a white and on a dark ground.
_BLUE: Final = "#3b82c4"
_GREEN: Final = "#38a169"
_WEEKS_DRAWN: Final = 26  # a picture in an event log must stay small
_WIDTH: Final = 640
_PANEL_WIDTH: Final = 400
_PANELS_ABREAST: Final = 2
# Under its year's title a week is its month and day; the same words in every zone.
_WEEKS: Final = {
    "field": "week",
    "type": "ordinal",
    "sort": None,
    "title": None,
    "axis": {"labelAngle": 0, "labelOverlap": True, "labelExpr": "slice(datum.label, 5)"},
}
# Quiet on a white and on a dark ground.
_GRID: Final = {"gridColor": "#98a2b3", "gridOpacity": 0.35}
_FEWEST_POINTS: Final = 2


def mrr_picture(report: WeeklyReport, currency: str) -> Spec | None:
    """MRR at the end of each week, and what moved it; None where there is no line to draw."""
    mrr = _drawable_mrr(report, currency)
    if mrr is None:
        return None
    parts = [
        _line(mrr, f"{currency.upper()} at the end of each week", _BLUE),
        *_columns(report, currency),
    ]
    return _stacked(parts, f"MRR in {currency.upper()}", _weeks_said(mrr))


def users_picture(report: WeeklyReport) -> Spec | None:
    """Weekly active users and sign-ups, each on its own scale; None where there is no line."""
    drawn = [fact for fact in _user_facts(report) if _has_line(fact)]
    if not drawn:
        return None
    parts = [_line(fact, fact.series.label, _shade(fact)) for fact in drawn]
    return _stacked(parts, "Users", _weeks_said(drawn[0]))


def highlight_picture(report: WeeklyReport) -> Spec | None:
    """MRR of the first currency, what moved it, and users, in one picture; None without a line."""
    parts: list[Spec] = []
    for currency in currencies(report)[:1]:
        mrr = _drawable_mrr(report, currency)
        if mrr is not None:
            parts += [
                _line(mrr, f"{mrr.series.label}: {_now(mrr)}", _BLUE),
                *_columns(report, currency),
            ]
    parts += [
        _line(fact, f"{fact.series.label}: {_now(fact)}", _shade(fact))
        for fact in _user_facts(report)
        if _has_line(fact)
    ]
    if not parts:
        return None
    digest = report.digest
    days = period_text(digest.week_start, digest.week_end)
    spec = _stacked(
        [{**part, "width": _PANEL_WIDTH} for part in parts], "Weekly growth report", days
    )
    panels = spec.pop("vconcat")
    return {**spec, "concat": panels, "columns": _PANELS_ABREAST}


# --- drawn ---------------------------------------------------------------------------------------


def drawings(report: WeeklyReport) -> dict[str, Picture]:
    """Pictures by name for a page that can hold drawings, each for a light and a dark screen."""
    return {
        name: Picture(alt, svg=render_svg(spec), dark_svg=render_svg(in_dark(spec)))
        for name, spec, alt in _pictures(report)
    }


def addresses(report: WeeklyReport) -> dict[str, Picture]:
    """The one picture for Markdown that may load nothing, in a data URI; none without a line.

    Raises: ValueError for a picture that is too large for an event log.
    """
    png = highlight_png(report)
    return {"overview": Picture(picture_alt(report), address=data_uri(png))} if png else {}


def highlight_png(report: WeeklyReport) -> bytes:
    """The highlights as one PNG for issues and messages; empty where nothing can be drawn.

    Shapes: under 100 kB. The same report gives the same bytes.
    """
    spec = highlight_picture(report)
    return b"" if spec is None else render_png(spec)


def picture_alt(report: WeeklyReport) -> str:
    """What the picture of the highlights shows, in words."""
    facts = [_drawable_mrr(report, one) for one in currencies(report)[:1]]
    told = [f"{one.series.label} {_now(one)}" for one in (*facts, *_user_facts(report)) if one]
    return f"Week by week: {', '.join(told) or 'nothing is known yet'}; the tables say the same"


def _pictures(report: WeeklyReport) -> Iterator[tuple[str, Spec, str]]:
    for currency in currencies(report):
        spec, mrr = mrr_picture(report, currency), _drawable_mrr(report, currency)
        if spec is not None and mrr is not None:
            said = f"{mrr.series.label} by week and what moved it, {_now(mrr)} at the end"
            yield f"mrr.{currency}", spec, f"{said}; the tables beside say the same"
    spec = users_picture(report)
    if spec is not None:
        said = " and ".join(f"{one.series.label} {_now(one)}" for one in _user_facts(report))
        yield "users", spec, f"By week: {said} in the newest; the table below says the same"


# --- parts ---------------------------------------------------------------------------------------


def _drawable_mrr(report: WeeklyReport, currency: str) -> Fact | None:
    fact = report.digest.by_id.get(f"mrr.{currency}")
    is_drawable = fact is not None and currency in ISO_CURRENCIES and _has_line(fact)
    return fact if is_drawable else None


def _user_facts(report: WeeklyReport) -> list[Fact]:
    found = (report.digest.by_id.get(one) for one in ("wau", "signups"))
    return [fact for fact in found if fact is not None]


def _shade(fact: Fact) -> str:
    return _GREEN if fact.fact_id == "signups" else _BLUE


def _points(fact: Fact) -> Sequence[Point]:
    return fact.series.points[-_WEEKS_DRAWN:]


def _has_line(fact: Fact) -> bool:
    return sum(point.value is not None for point in _points(fact)) >= _FEWEST_POINTS


def _line(fact: Fact, title: str, colour: str) -> Spec:
    rows = [
        {"week": point.start.isoformat(), "value": _drawn(fact, point.value), "of": "value"}
        for point in _points(fact)
    ]
    spec = lines_chart(
        rows,
        day="week",
        value="value",
        series="of",
        colours={"value": colour},
        title=title,
        numbers=",f",
        width=_WIDTH,
    )
    encoding = {**spec["encoding"], "x": _WEEKS}
    encoding["color"] = {**encoding["color"], "legend": None}
    mark = {**spec["mark"], "point": {"size": 30}, "strokeWidth": 2.5}
    return {**spec, "mark": mark, "encoding": encoding}


def _stacked(parts: Sequence[Spec], title: str, subtitle: str) -> Spec:
    spec = stack(*parts, title=title, subtitle=subtitle)
    axis = {**spec["config"]["axis"], **_GRID}
    return {**spec, "config": {**spec["config"], "axis": axis}}


def _columns(report: WeeklyReport, currency: str) -> list[Spec]:
    """What moved MRR, a column a week; nothing where nothing did."""
    facts = [report.digest.by_id.get(f"{family}.{currency}") for family in MOVEMENTS]
    rows: list[dict[str, Any]] = [
        {
            "week": point.start.isoformat(),
            "value": _drawn(fact, point.value),
            "part": MOVEMENTS[fact.series.family][0],
        }
        for fact in facts
        if fact is not None
        for point in _points(fact)
        if point.value
    ]
    if not rows:
        return []
    rows.sort(key=lambda row: str(row["week"]))
    found = {row["part"] for row in rows}
    chart = signed_columns(
        rows,
        category="week",
        value="value",
        part="part",
        colours={name: shade for name, shade in MOVEMENTS.values() if name in found},
        title="What moved it: gains above, losses below",
        width=_WIDTH,
    )
    return [{**chart, "encoding": {**chart["encoding"], "x": _WEEKS}}]


def _drawn(fact: Fact, value: int | Decimal | None) -> float | None:
    """A value on the scale of a chart: money in major units."""
    if value is None:
        return None
    if fact.series.unit is Unit.MINOR:
        return float(to_major(int(value), fact.series.currency))
    return float(value)


def _now(fact: Fact) -> str:
    return FIELDS["value"](fact) or "unknown"


def _weeks_said(fact: Fact) -> str:
    points = _points(fact)
    return f"Weeks by their first day, {points[0].start} to {points[-1].start}"
