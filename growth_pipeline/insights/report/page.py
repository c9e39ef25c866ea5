"""The weekly report as people read it: one document, from which Markdown and HTML are written.

The answer first, then claims with what they rest on, then how it was computed. No number is made
here: figures come from `figures.py`. Names of events and stages are somebody's text.
Contract: docs/insights.md, "The report".
"""

from __future__ import annotations

from collections.abc import Mapping

from growth_pipeline.core.documents import (
    Block,
    Cell,
    Document,
    Facts,
    Heading,
    Paragraph,
    Picture,
    Steps,
    Tone,
    Words,
)
from growth_pipeline.core.plain_text import one_line
from growth_pipeline.insights.claims import Severity
from growth_pipeline.insights.facts import Direction, Fact, Group
from growth_pipeline.insights.figures import FIELDS, period_text
from growth_pipeline.insights.report.choice import (
    first_claims,
    key_figures,
    largest_changes,
    no_change_said,
    sayable,
)
from growth_pipeline.insights.report.page_how import (
    audit_blocks,
    graded_blocks,
    how_blocks,
    refused_blocks,
    restated_blocks,
    stale_blocks,
    who_wrote,
)
from growth_pipeline.insights.report.page_sections import claim_cell, group_blocks
from growth_pipeline.insights.report.page_tables import percent_cell, value_cell
from growth_pipeline.insights.report.result import WeeklyReport
from growth_pipeline.insights.report.wording import careful, money_or_words, named, toned

_MOVED = (Direction.UP, Direction.DOWN)


def build_page(report: WeeklyReport, pictures: Mapping[str, Picture] | None = None) -> Document:
    """The whole report. `pictures`: by name, as `charts.drawings` makes them; others are left out.

    Shapes: the title has the days of the week.
    """
    drawn = pictures or {}
    blocks: list[Block] = [
        *_answer(report),
        *_key_figures(report),
        *([drawn["overview"]] if "overview" in drawn else []),
    ]
    for group in Group:
        blocks += group_blocks(report, drawn, group)
    blocks += [
        *audit_blocks(report),
        *restated_blocks(report),
        *graded_blocks(report),
        *refused_blocks(report),
        *how_blocks(report),
    ]
    return Document(title_of(report), tuple(blocks), _tone(report))


def title_of(report: WeeklyReport) -> str:
    """The title, with the days of the week, both in."""
    digest = report.digest
    return f"Weekly growth report, {period_text(digest.week_start, digest.week_end)}"


def key_figure(fact: Fact) -> Cell:
    """A figure with its change and percent, or in words why there is none."""
    value = value_cell(fact)
    change = FIELDS["change"](fact)
    if not fact.is_known:
        reason = fact.series.last.reason
        return (value, ": ", careful(reason)) if reason else value
    if change is None:
        return (value, ", nothing to compare with")
    if fact.before.direction is Direction.TOO_FEW:
        return (value, ", ", money_or_words(fact, change), ": too few to say")
    if fact.before.direction in _MOVED:
        percent = percent_cell(fact, "percent")
        return (value, ", ", toned(fact, fact.before, change), " (", percent, ")")
    return (value, ", ", money_or_words(fact, change), ": no clear change")


def _answer(report: WeeklyReport) -> list[Block]:
    claims = first_claims(report)
    items: list[Cell] = [claim_cell(report, claim, author=False) for claim in claims]
    if not items:
        items = [(named(fact), ": ", key_figure(fact)) for fact in largest_changes(report)]
    after: list[Block] = [Paragraph(who_wrote(report)), *stale_blocks(report)]
    if not items:
        return [Paragraph(Words(no_change_said(report), strong=True)), *after]
    said = Words("What matters most this week", strong=True)
    return [Paragraph(said), Steps(tuple(items), numbered=False), *after]


def _key_figures(report: WeeklyReport) -> list[Block]:
    rows = tuple((one_line(fact.series.label), key_figure(fact)) for fact in key_figures(report))
    return [Heading(2, "Key figures"), Facts(rows)] if rows else []


def _tone(report: WeeklyReport) -> Tone:
    """The tone of the gravest claim."""
    found = {claim.severity for claim in sayable(report)}
    if Severity.HIGH in found:
        return Tone.BAD
    if Severity.MEDIUM in found:
        return Tone.WAIT
    return Tone.GOOD if Severity.GOOD in found else Tone.PLAIN
