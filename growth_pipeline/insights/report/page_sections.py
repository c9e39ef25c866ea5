"""The four groups of a weekly report: what is claimed, and the tables that it rests on. Pure.

No number is made here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from growth_pipeline.core.documents import (
    Block,
    Cell,
    Code,
    Heading,
    Paragraph,
    Picture,
    Steps,
    Words,
)
from growth_pipeline.core.plain_text import one_line
from growth_pipeline.insights.claims import Claim
from growth_pipeline.insights.facts import Fact, Group
from growth_pipeline.insights.figures import period_text, references
from growth_pipeline.insights.report.choice import sayable
from growth_pipeline.insights.report.page_tables import (
    drivers_of,
    figures_table,
    weeks_table,
)
from growth_pipeline.insights.report.result import WeeklyReport
from growth_pipeline.insights.report.wording import (
    SEVERITY_TONES,
    advice_of,
    spoken,
    statement,
)

_AGAINST: Final = "against the period before, and against the usual: the mean of the four before"
_FAMILIES_OF_USERS: Final = ("signups", "active_week")


def group_blocks(
    report: WeeklyReport, pictures: Mapping[str, Picture], group: Group
) -> list[Block]:
    """One section: its claims, then what they rest on."""
    blocks: list[Block] = [Heading(2, str(group).capitalize()), *_claims(report, group)]
    tables = _SECTIONS[group](report, list(report.digest.of_group(group)), pictures)
    return [*blocks, *(tables or [Paragraph("There are no figures; the notes say why.")])]


def claim_cell(
    report: WeeklyReport, claim: Claim, *, author: bool = True, advice: bool = True
) -> Cell:
    """One claim: how grave, the statement with its figures, what to do, and who wrote it.

    Periods that are not the report's week stand behind it.
    """
    parts: list[Cell] = [
        Words(str(claim.severity), tone=SEVERITY_TONES[claim.severity], strong=True),
        " ",
        statement(claim, report.digest.by_id),
        *_other_periods(report, claim),
    ]
    if advice and (text := advice_of(claim)):
        parts += [" ", spoken(text)]
    if author:
        parts += [" (", *_author(claim), ")"]
    return tuple(parts)


def _other_periods(report: WeeklyReport, claim: Claim) -> Iterable[Cell]:
    """Periods that a claim speaks of and that do not lie in the report's week."""
    digest = report.digest
    lasts = [digest.by_id[one.fact_id].series.last for one in references(claim.text)]
    others = [
        period_text(last.start, last.end)
        for last in lasts
        if not digest.week_start <= last.start < last.end <= digest.week_end
    ]
    return (f" ({', '.join(dict.fromkeys(others))})",) if others else ()


def _author(claim: Claim) -> Iterable[Cell]:
    if claim.written_by == "model":
        return ("model",)
    return ("rule ", Code(claim.rule)) if claim.rule else ("rule",)


def _claims(report: WeeklyReport, group: Group) -> list[Block]:
    claims = sayable(report, group)
    if not claims:
        return [Paragraph("Nothing to say: no clear change, or too few cases.")]
    return [Steps(tuple(claim_cell(report, one) for one in claims), numbered=False)]


# --- the groups ----------------------------------------------------------------------------------


def _revenue(
    report: WeeklyReport, facts: Sequence[Fact], pictures: Mapping[str, Picture]
) -> list[Block]:
    blocks: list[Block] = []
    codes = list(dict.fromkeys(fact.series.currency for fact in facts))
    for code in codes:
        own = [fact for fact in facts if fact.series.currency == code]
        name = f"Money in {one_line(code.upper())}" if code else "Money"
        stock = [fact for fact in own if fact.series.family == "mrr"]
        moved = [fact for fact in own if fact.series.part_of]
        others = [fact for fact in own if fact not in stock and fact not in moved]
        blocks.append(Heading(3, name))
        blocks += figures_table(report, [*stock, *others], f"{name}, {_AGAINST}")
        blocks += drivers_of(report, stock)
        blocks += [pictures[f"mrr.{code}"]] if f"mrr.{code}" in pictures else []
        blocks += weeks_table(
            report,
            [*stock, *moved],
            "MRR at the end of each week, and what moved it; weeks by their first day",
        )
    return blocks


def _users(
    report: WeeklyReport, facts: Sequence[Fact], pictures: Mapping[str, Picture]
) -> list[Block]:
    whole = [fact for fact in facts if fact.series.family in _FAMILIES_OF_USERS]
    return [
        *figures_table(report, facts, f"Users, {_AGAINST}"),
        *drivers_of(report, whole),
        *([pictures["users"]] if "users" in pictures else []),
        *weeks_table(report, facts, "Users by week, each by its first day"),
    ]


def _engagement(
    report: WeeklyReport, facts: Sequence[Fact], pictures: Mapping[str, Picture]
) -> list[Block]:
    del pictures
    days = [fact for fact in facts if fact.series.grain == "day"]
    kept = [fact for fact in facts if fact.series.family == "retention"]
    others = [fact for fact in facts if fact not in days and fact not in kept]
    return [
        *figures_table(report, others, f"Activity, {_AGAINST}"),
        *_under("By weekday", figures_table(report, days, _BY_WEEKDAY)),
        *_under("Retention", figures_table(report, kept, _RETENTION)),
    ]


def _product(
    report: WeeklyReport, facts: Sequence[Fact], pictures: Mapping[str, Picture]
) -> list[Block]:
    del pictures
    steps = [fact for fact in facts if fact.series.family == "funnel"]
    named = [fact for fact in facts if fact.series.name and fact not in steps]
    others = [fact for fact in facts if fact not in steps and fact not in named]
    whole = [fact for fact in others if fact.drivers]
    return [
        *figures_table(report, others, f"Events by category, {_AGAINST}"),
        *drivers_of(report, whole),
        *_under("Events that changed most", figures_table(report, named, _EVENTS)),
        *_under("Funnels", figures_table(report, steps, _FUNNELS)),
    ]


_BY_WEEKDAY: Final = "Active users of each day, against the same weekday of the weeks before"
_RETENTION: Final = "Of all users whose day came in this week, the share that was active on it"
_EVENTS: Final = "Events by name, as the application sends them"
_FUNNELS: Final = (
    "Users who began each funnel in its newest week that is over, and the share that came on"
)


def _under(heading: str, blocks: list[Block]) -> list[Block]:
    return [Heading(3, heading), *blocks] if blocks else []


_Section = Callable[[WeeklyReport, Sequence[Fact], Mapping[str, Picture]], list[Block]]
_SECTIONS: Final[Mapping[Group, _Section]] = {
    Group.REVENUE: _revenue,
    Group.USERS: _users,
    Group.ENGAGEMENT: _engagement,
    Group.PRODUCT: _product,
}
