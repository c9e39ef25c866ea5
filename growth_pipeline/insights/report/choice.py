"""What a weekly report says first, and what of its claims can be written at all. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from growth_pipeline.core.money import ISO_CURRENCIES
from growth_pipeline.insights.claims import Claim, ClaimKind, Severity
from growth_pipeline.insights.facts import Comparison, Direction, Fact, Group
from growth_pipeline.insights.figures import COMPARED, references
from growth_pipeline.insights.report.result import WeeklyReport
from growth_pipeline.insights.report.wording import why_unsayable

MOST_FIRST: Final = 3
MOST_CURRENCIES: Final = 3
MOST_KEY_CURRENCIES: Final = 2
_ASKING: Final = (Severity.HIGH, Severity.MEDIUM)
_MOVED: Final = (Direction.UP, Direction.DOWN)
_KEY_FAMILIES: Final = ("mrr", "customers", "payments", "signups", "wau")
# Good news before small news.
_RANKS: Final = {Severity.HIGH: 0, Severity.MEDIUM: 1, Severity.GOOD: 2, Severity.LOW: 3}


def sayable(report: WeeklyReport, group: Group | None = None) -> list[Claim]:
    """Claims that can be written, the gravest first; of one group or of all in their order."""
    groups = Group if group is None else (group,)
    return [
        claim
        for one in groups
        for claim in report.of_group(one)
        if not why_unsayable(claim, report.digest.by_id)
    ]


def left_out(report: WeeklyReport) -> list[Claim]:
    """Claims that cannot be written although they were let through."""
    return [one for one in report.claims if why_unsayable(one, report.digest.by_id)]


def first_claims(report: WeeklyReport) -> list[Claim]:
    """Up to three claims, the gravest and largest first, no fact twice.

    What asks for something is told even if nothing moved, as the verdict of an audit.
    """
    facts = report.digest.by_id
    told_first = [
        claim
        for claim in sayable(report)
        if claim.kind is not ClaimKind.RECOMMENDATION
        and (claim.severity in _ASKING or _size(claim, report) is not None)
    ]
    told_first.sort(key=lambda one: (_RANKS[one.severity], -(_size(one, report) or Decimal(0))))
    chosen: list[Claim] = []
    told: set[str] = set()
    for claim in told_first:
        about = {_whole(facts[one.fact_id]) for one in references(claim.text)}
        if not about & told:
            chosen.append(claim)
            told |= about
    return chosen[:MOST_FIRST]


def largest_changes(report: WeeklyReport) -> list[Fact]:
    """Up to three facts without a somebody's name that moved most, where no claim tells of any."""
    moved = [
        fact
        for fact in report.digest.facts
        if fact.before.direction in _MOVED and not fact.series.part_of and not fact.series.name
    ]
    moved.sort(key=lambda fact: -abs(fact.before.percent or Decimal(1)))
    return moved[:MOST_FIRST]


def no_change_said(report: WeeklyReport) -> str:
    """What is said where nothing moved clearly, and why."""
    facts = report.digest.facts
    if not any(fact.is_known for fact in facts):
        return "Nothing is known of this week yet."
    seen = {fact.before.direction for fact in facts}
    if seen <= {Direction.UNKNOWN}:
        return "There is nothing yet to compare this week with."
    if seen <= {Direction.UNKNOWN, Direction.TOO_FEW}:
        return "Too few cases for any claim about this week."
    return "No clear change this week."


def key_figures(report: WeeklyReport) -> list[Fact]:
    """What a company steers by, of the two currencies with the most customers."""
    shown = ["", *currencies(report)[:MOST_KEY_CURRENCIES]]
    found = [fact for family in _KEY_FAMILIES for fact in _by_currency(report, family, shown)]
    return [fact for fact in found if fact.series.grain == "week"]


def currencies(report: WeeklyReport) -> list[str]:
    """Currencies of the report with the most customers or payments, at most three."""
    sizes: dict[str, int] = {}
    for fact in report.digest.of_family("mrr", "customers", "payments"):
        code, last = fact.series.currency, fact.series.last
        number = last.value if fact.series.family == "customers" else last.sample
        sizes[code] = max(sizes.get(code, 0), int(number or 0))
    known = sorted(sizes, key=lambda one: (one not in ISO_CURRENCIES, -sizes[one], one))
    return known[:MOST_CURRENCIES]


def _by_currency(report: WeeklyReport, family: str, shown: list[str]) -> list[Fact]:
    facts = [one for one in report.digest.of_family(family) if one.series.currency in shown]
    return sorted(facts, key=lambda fact: shown.index(fact.series.currency))


def _size(claim: Claim, report: WeeklyReport) -> Decimal | None:
    """The largest change that a claim tells of; None where it tells of none."""
    sizes = [
        abs(one.percent) if one.percent is not None else Decimal(1)
        for one in _compared(claim, report)
        if one.direction in _MOVED
    ]
    return max(sizes, default=None)


def _compared(claim: Claim, report: WeeklyReport) -> Iterator[Comparison]:
    for reference in references(claim.text):
        fact = report.digest.by_id[reference.fact_id]
        which = COMPARED.get(reference.field)
        if which in ("before", "usual"):
            yield fact.before if which == "before" else fact.usual


def _whole(fact: Fact) -> str:
    return fact.series.part_of or fact.fact_id
