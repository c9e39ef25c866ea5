"""The cohort report: one document, from which Markdown and HTML are written.

The answer first, then the evidence, what changed in past numbers, and how it was computed. No
number is made here. Contract: docs/metrics.md, "Cohorts and retention".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from growth_pipeline.cohorts.refresh.averages import Split
from growth_pipeline.cohorts.refresh.entries import FIRST_ACTIVITY, FIRST_PAYMENT, SIGNUP
from growth_pipeline.cohorts.refresh.published import Restatement
from growth_pipeline.cohorts.report.charts import Drawn
from growth_pipeline.cohorts.report.money import money_blocks
from growth_pipeline.cohorts.report.words import (
    COUNTED_UNDER,
    SUPPRESSED_UNDER,
    TOO_FEW,
    cell_in_words,
    column_name,
    newest_cohorts,
    percent,
    size_in_words,
)
from growth_pipeline.cohorts.retention.result import ColumnAverage, RetentionResult
from growth_pipeline.core.display import format_instant, format_money, format_number
from growth_pipeline.core.documents import (
    Block,
    Data,
    Document,
    Facts,
    Heading,
    Paragraph,
    Table,
    Tone,
    joined,
)
from growth_pipeline.core.html import render_html
from growth_pipeline.core.markdown import render_markdown

_COHORTS_LISTED: Final = 36
_RESTATEMENTS_LISTED: Final = 50
_WHO: Final = {
    SIGNUP: "signed up",
    FIRST_ACTIVITY: "were active for the first time",
    FIRST_PAYMENT: "paid for the first time",
}
_KEY_PERIODS: Final = {"day": (1, 7, 30), "week": (1, 4, 12), "month": (1, 3, 12)}


def build_page(
    answers: Sequence[RetentionResult],
    *,
    restatements: Sequence[tuple[str, Restatement]] = (),
    pictures: Sequence[Drawn] = (),
    segments: Sequence[Split] = (),
) -> Document:
    """The report of some grains. `restatements`: grain, and a change of a closed cell.

    `segments`: the same answers split by properties of users.
    """
    drawn = {one.grain: one.picture for one in pictures}
    blocks: list[Block] = [*_summary(answers)]
    for answer in answers:
        grain = str(answer.definition["grain"])
        blocks.append(Heading(2, f"Cohorts by {grain}"))
        blocks += [drawn[grain]] if grain in drawn else []
        blocks += [_averages(answer), _grid(answer), *money_blocks(answer)]
    for split in segments:
        blocks += _by_segment(split)
    definitions = [*(one.definition for one in answers), *(one.definition for one in segments)]
    blocks += [*_changes(restatements), *_how(definitions)]
    return Document("Cohort retention", tuple(blocks))


def to_markdown(
    answers: Sequence[RetentionResult],
    *,
    restatements: Sequence[tuple[str, Restatement]] = (),
    pictures: Sequence[Drawn] = (),
    segments: Sequence[Split] = (),
) -> str:
    """The report for GitHub, Dagster's pages and terminals; `pictures`: those with a data URI."""
    page = build_page(answers, restatements=restatements, pictures=pictures, segments=segments)
    return render_markdown(page, captions=True)


def to_html(
    answers: Sequence[RetentionResult],
    *,
    restatements: Sequence[tuple[str, Restatement]] = (),
    pictures: Sequence[Drawn] = (),
    segments: Sequence[Split] = (),
) -> str:
    """The report as one page that runs nothing and loads nothing; `pictures`: with drawings."""
    return render_html(
        build_page(answers, restatements=restatements, pictures=pictures, segments=segments)
    )


def _summary(answers: Sequence[RetentionResult]) -> list[Block]:
    rows = []
    for answer in answers:
        wanted = _KEY_PERIODS[str(answer.definition["grain"])]
        for average in answer.averages:
            if average.period_index in wanted:
                name = f"{str(answer.definition['grain']).capitalize()} {average.period_index}"
                rows.append((name, _average_in_words(average)))
    as_of = max((answer.as_of for answer in answers), default=None)
    who = _WHO[str(answers[0].definition["entry"])] if answers else _WHO[SIGNUP]
    rows.append(("As of (exclusive)", format_instant(as_of) if as_of else "nothing yet"))
    return [
        Paragraph(f"How many of those who {who} come back, over closed cells only."),
        Facts(tuple(rows)),
    ]


def _average_in_words(average: ColumnAverage) -> str:
    if average.rate is None or average.users is None or average.base is None:
        return "no closed cell yet"
    if average.base < SUPPRESSED_UNDER:
        return f"fewer than {SUPPRESSED_UNDER} people"
    counted = f"{format_number(average.users)} of {format_number(average.base)} people"
    cohorts = f"{average.cohorts} cohort{'s' * (average.cohorts != 1)}"
    if average.base < COUNTED_UNDER:
        return f"{counted}, {cohorts}"
    return f"{percent(average.rate)} ({counted}, {cohorts})"


def _averages(answer: RetentionResult) -> Table:
    rows = tuple(
        (
            column_name(answer, average.period_index),
            _average_in_words(average),
            _interval_in_words(average),
        )
        for average in answer.averages
    )
    caption = "Average of each period, pooled over closed cells; never a mean of rates"
    return Table(caption, ("Period", "Average", "95 % interval"), rows)


def _interval_in_words(average: ColumnAverage) -> str:
    if average.rate_low is None or average.rate_high is None or average.base is None:
        return ""
    if average.base < COUNTED_UNDER:
        return ""
    return f"{average.rate_low * 100:.1f} % to {average.rate_high * 100:.1f} %"


def _grid(answer: RetentionResult) -> Table:
    names = tuple(column_name(answer, average.period_index) for average in answer.averages)
    rows = tuple(
        (
            start.isoformat(),
            size_in_words(cells[0].cohort_size),
            *(cell_in_words(cell) for cell in cells),
        )
        for start, cells in reversed(list(newest_cohorts(answer, _COHORTS_LISTED).items()))
    )
    caption = (
        f"The {len(rows)} newest cohorts, newest first; * in progress; an empty cell has not begun"
    )
    numbers = frozenset(range(1, len(names) + 2))
    return Table(caption, ("Cohort", "Size", *names), rows, numbers)


def _by_segment(split: Split) -> list[Block]:
    """Averages of each segment, the largest first; names of segments are somebody's text."""
    averages: dict[str | None, list[ColumnAverage]] = {}
    for average in split.averages:
        averages.setdefault(average.segment, []).append(average)
    people = split.people
    order = sorted(people, key=lambda one: (-people[one], one is None, one or ""))
    name, grain = str(split.definition["segment"]), str(split.definition["grain"])
    periods = len(split.averages) // max(len(averages), 1)
    rows = tuple(
        (
            "none told" if segment is None else Data(segment),
            size_in_words(people[segment]),
            *(_rate_in_words(average) for average in averages[segment]),
        )
        for segment in order
    )
    head = (name, "People", *(f"{grain.capitalize()} {index}" for index in range(periods)))
    caption = "Average of each period over closed cells; a user is in the first segment known"
    return [
        Heading(2, f"By {name}, cohorts by {grain}"),
        Table(caption, head, rows, frozenset(range(1, periods + 2))),
    ]


def _rate_in_words(average: ColumnAverage) -> str:
    if average.rate is None or average.users is None or average.base is None:
        return ""
    if average.base < SUPPRESSED_UNDER:
        return TOO_FEW
    if average.base < COUNTED_UNDER:
        return f"{average.users} of {average.base}"
    return percent(average.rate)


def _changes(restatements: Sequence[tuple[str, Restatement]]) -> list[Block]:
    heading = Heading(2, "What changed in past numbers")
    if not restatements:
        return [heading, Paragraph("No cell that was closed has changed since it was published.")]
    rows = tuple(
        (
            one.through.isoformat(),
            grain,
            one.cohort_start.isoformat(),
            str(one.period_index),
            f"{_told(one.users_before)} of {_told(one.size_before)}",
            f"{_told(one.users_now)} of {_told(one.size_now)}",
            _money_told(one),
        )
        for grain, one in list(restatements)[-_RESTATEMENTS_LISTED:][::-1]
    )
    head = ("Data through", "Grain", "Cohort", "Period", "Before", "Now", "Money")
    caption = f"The {len(rows)} newest of {len(restatements)} changes of closed cells"
    why = (
        "Late activity, corrected sign-ups, or late payments, refunds and disputes changed cells "
        "that were published as closed."
    )
    return [heading, Paragraph(why, Tone.WAIT), Table(caption, head, rows)]


def _money_told(one: Restatement) -> str:
    """What was paid up to the period, where that changed; nothing of a tiny cohort."""
    before, now, currency = one.cumulative_before, one.cumulative_now, one.currency
    if currency is None or before == now:
        return ""
    if min(one.size_before or 0, one.size_now or 0) < SUPPRESSED_UNDER:
        return TOO_FEW
    told = ["unknown" if one is None else format_money(one, currency) for one in (before, now)]
    return " → ".join(told)


def _told(count: int | None) -> str:
    return "none" if count is None else size_in_words(count)


def _how(definitions: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Every option of each grain; names of columns and events are somebody's text."""
    blocks: list[Block] = [Heading(2, "How it was computed")]
    for definition in definitions:
        told = (
            (f"{name} ", Data(str(value)))
            for name, value in definition.items()
            if value not in (None, [])
        )
        blocks.append(Paragraph(joined(told)))
    blocks.append(
        Paragraph(
            f"A cohort of fewer than {COUNTED_UNDER} people shows counts, one of fewer than "
            f"{SUPPRESSED_UNDER} shows none. Nothing is sampled."
        )
    )
    return blocks
