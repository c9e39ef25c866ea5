"""Tables of a weekly report: figures against their baselines, drivers, weeks. Pure.

No number is made here: every figure is written by `figures.py`. The columns and what they hold are
checked by `judge.py`, which knows them by their heads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from growth_pipeline.core.documents import Block, Cell, Table, Words
from growth_pipeline.core.plain_text import one_line
from growth_pipeline.insights.facts import (
    Comparison,
    Direction,
    Fact,
    Point,
    State,
    Unit,
    Value,
)
from growth_pipeline.insights.figures import (
    FIELDS,
    change_text,
    percent_text,
    period_text,
    value_text,
    written_value,
)
from growth_pipeline.insights.report.result import WeeklyReport
from growth_pipeline.insights.report.wording import (
    DIRECTION_WORDS,
    careful,
    figure_or,
    money_or_words,
    named,
    toned,
    unbroken,
)

FIGURES_HEAD: Final = (
    "Figure",
    "Value",
    "Before",
    "Change",
    "Percent",
    "Usual",
    "Against usual",
    "Trend",
    "Rests on",
)
DRIVERS_HEAD: Final = ("Driver", "Contribution", "Share")
WEEK: Final = "Week from"
TOGETHER: Final = "Together"
_FEW_CASES: Final = 5
_MOVED: Final = (Direction.UP, Direction.DOWN)


def figures_table(report: WeeklyReport, facts: Sequence[Fact], caption: str) -> list[Block]:
    """Facts with their value, both baselines and trend; nothing where there are none."""
    if not facts:
        return []
    rows = [_figures_row(report, fact) for fact in facts]
    head: tuple[str, ...] = FIGURES_HEAD
    if not any(row[-1] for row in rows):  # counts rest on themselves
        head, rows = head[:-1], [row[:-1] for row in rows]
    numbers = frozenset(range(1, len(head))) - {head.index("Trend")}
    return [Table(caption, head, tuple(rows), numbers)]


def drivers_table(report: WeeklyReport, fact: Fact) -> list[Block]:
    """Parts of a change, the largest first, and their sum; nothing where they are not known."""
    by_id = report.digest.by_id
    if not fact.drivers or any(one.fact_id not in by_id for one in fact.drivers):
        return []
    clear = fact.before.direction in _MOVED
    rows: list[tuple[Cell, ...]] = [
        (
            named(by_id[one.fact_id]),
            _difference(fact, one.contribution),
            percent_text(one.share) if clear and one.share is not None else "",
        )
        for one in fact.drivers
        if one.contribution
    ]
    if not rows:
        return []
    whole = _difference(fact, fact.before.change)
    rows.append((Words(TOGETHER, strong=True), whole, ""))
    told = f"Drivers of {one_line(fact.series.label)} since the period before, the largest first"
    return [Table(told, DRIVERS_HEAD, tuple(rows), frozenset({1, 2}))]


def weeks_table(report: WeeklyReport, facts: Sequence[Fact], caption: str) -> list[Block]:
    """The weeks of the report down, a fact in each column; facts of other weeks are left out."""
    weeks = report.digest.weeks
    shown = [
        fact
        for fact in facts
        if _is_weekly(report, fact) and (not fact.series.part_of or _ever_moved(fact, weeks))
    ]
    if not shown:
        return []
    found = {(fact.fact_id, point.start): point for fact in shown for point in fact.series.points}
    starts = sorted({point.start for fact in shown for point in fact.series.points})
    rows = tuple(
        (
            unbroken(str(start)),
            *(_point_cell(fact, found.get((fact.fact_id, start))) for fact in shown),
        )
        for start in starts[-weeks:]
    )
    head = (WEEK, *(one_line(fact.series.label) for fact in shown))
    return [Table(caption, head, rows, frozenset(range(1, len(head))))]


def value_cell(fact: Fact) -> Cell:
    """A fact's value; "open" where its period is not over in what is known, or "unknown"."""
    if fact.is_known:
        return figure_or(fact, "value")
    return "open" if fact.series.last.state is State.OPEN else "unknown"


def percent_cell(fact: Fact, which: str) -> Cell:
    """The percent of a change, or in a word why there is none."""
    comparison = fact.before if which == "percent" else fact.usual
    said = _no_percent(fact, comparison)
    if said:
        return said
    return toned(fact, comparison, FIELDS[which](fact) or "")


def sample_text(fact: Fact) -> str:
    """How many cases a figure rests on; few enough to be somebody are not counted out."""
    last = fact.series.last
    if last.numerator is not None and last.denominator is not None:
        parts = (last.numerator, last.denominator)
        return " of ".join(written_value(one, Unit.COUNT) or "" for one in parts)
    if last.sample is None:
        return ""
    few = 0 < last.sample < _FEW_CASES
    return "fewer than 5" if few else written_value(last.sample, Unit.COUNT) or ""


def _figures_row(report: WeeklyReport, fact: Fact) -> tuple[Cell, ...]:
    return (
        _name_cell(report, fact),
        value_cell(fact),
        figure_or(fact, "before"),
        _change_cell(fact),
        percent_cell(fact, "percent"),
        figure_or(fact, "usual"),
        percent_cell(fact, "usual_percent"),
        trend_cell(fact),
        sample_text(fact),
    )


def _name_cell(report: WeeklyReport, fact: Fact) -> Cell:
    """What a row is about; its own period where that is another week, and why it is open."""
    last = fact.series.last
    parts: list[Cell] = [named(fact)]
    if (last.start, last.end) != (report.digest.week_start, report.digest.week_end):
        parts.append(f" ({period_text(last.start, last.end)})")
    if not fact.is_known and last.reason:
        parts += [": ", careful(last.reason)]
    return tuple(parts)


def _change_cell(fact: Fact) -> Cell:
    text = change_text(fact, fact.before.change)
    return "unknown" if text is None else toned(fact, fact.before, text)


def trend_cell(fact: Fact) -> Cell:
    """The direction of a trend in words, with its slope where it has one."""
    if fact.trend is None:
        return "unknown"
    if fact.trend.direction not in _MOVED:
        return "no clear trend"
    return (DIRECTION_WORDS[fact.trend.direction], ", ", figure_or(fact, "slope"), " a week")


def _no_percent(fact: Fact, comparison: Comparison) -> str:
    if comparison.direction is Direction.TOO_FEW:
        return "too few"
    if comparison.direction is Direction.UNKNOWN or comparison.change is None:
        return "unknown"
    if fact.series.unit is Unit.RATE:
        return "in points"
    return "none before" if comparison.percent is None else ""


def _difference(fact: Fact, change: Value) -> Cell:
    text = change_text(fact, change)
    return "unknown" if text is None else money_or_words(fact, text)


def _point_cell(fact: Fact, point: Point | None) -> Cell:
    if point is None:
        return ""
    text = value_text(fact, point.value)
    if text is None:
        return "open" if point.state is State.OPEN else "unknown"
    return money_or_words(fact, text)


def _ever_moved(fact: Fact, weeks: int) -> bool:
    """Whether a part was anything but nothing in these weeks."""
    return any(point.value != 0 for point in fact.series.points[-weeks:])


def _is_weekly(report: WeeklyReport, fact: Fact) -> bool:
    """Whether a fact's periods are the weeks of the report."""
    last = fact.series.last
    return (last.start, last.end) == (report.digest.week_start, report.digest.week_end)


def drivers_of(report: WeeklyReport, facts: Iterable[Fact]) -> list[Block]:
    """Tables of drivers of all facts that have any."""
    return [block for fact in facts for block in drivers_table(report, fact)]
