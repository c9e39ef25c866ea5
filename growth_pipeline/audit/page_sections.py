"""Both sides of an audit: side by side by currency, by kind of object, and over the last months.

No number is made here. Contract: docs/metrics.md, "Revenue audit", "Report".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from growth_pipeline.audit.audit import Audit
from growth_pipeline.audit.codes import CODES, SECTIONS, Severity
from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.page_findings import TONES
from growth_pipeline.audit.summary import TrendPoint, counted, is_monthly, money_at_risk
from growth_pipeline.audit.totals import CurrencyTotals
from growth_pipeline.core.display import format_number
from growth_pipeline.core.documents import (
    Block,
    Cell,
    Code,
    Data,
    Heading,
    Paragraph,
    Picture,
    Steps,
    Table,
    Tone,
    Words,
    joined,
    money_part,
    quoted,
)
from growth_pipeline.core.periods import PeriodState

VERDICT_TONES: Final[Mapping[str, Tone]] = {
    "PASS": Tone.GOOD,
    "WARNING": Tone.WAIT,
    "FAIL": Tone.BAD,
}
_SIDES_HEAD: Final = ("", "Stripe", "Database", "Database - Stripe")
_NUMBERS: Final = frozenset({1, 2, 3})


# --- side by side --------------------------------------------------------------------------------


def side_by_side(audit: Audit) -> list[Block]:
    """Settled payments of both sides by currency, with the bridge that explains the difference."""
    if not audit.totals:
        return []
    rows: list[tuple[Cell, ...]] = []
    for currency, totals in audit.totals.items():
        rows += _currency_rows(currency, totals)
    caption = "Settled payments of the month, by currency"
    table = Table(caption, _SIDES_HEAD, tuple(rows), _NUMBERS)
    bridges = Steps(tuple(_bridge(*one) for one in audit.totals.items()), numbered=False)
    said = "From Stripe's net to ours: what the findings and the cut-off explain, and what is left."
    return [Heading(2, "Stripe and the database side by side"), table, Paragraph(said), bridges]


def _currency_rows(currency: str, totals: CurrencyTotals) -> list[tuple[Cell, ...]]:
    stripe, booked = totals.stripe.to_dict(), totals.booked.to_dict()
    name = _currency(currency)
    counts = (totals.stripe.count, totals.booked.count)
    rows: list[tuple[Cell, ...]] = [((name, " payments"), *_compared(*counts, None))]
    for field, words in (
        ("gross_minor", Words(" gross")),
        ("refunded_minor", Words(" refunded")),
        ("disputed_minor", Words(" disputed")),
        ("net_minor", Words(" net", strong=True)),
    ):
        rows.append(((name, words), *_compared(stripe[field], booked[field], currency)))
    fees = (totals.stripe.fees_minor, totals.booked.fees_minor)
    if fees != (None, None):
        rows.append(((name, " fees settled in this currency"), *_compared(*fees, currency)))
    return rows


def _bridge(currency: str, totals: CurrencyTotals) -> Cell:
    amounts = (totals.difference, totals.explained, totals.cut_off, totals.remainder)
    difference, explained, cut_off, remainder = (money_part(one, currency) for one in amounts)
    left = Words(" left", tone=Tone.BAD) if totals.remainder else " left"
    told = (explained, " findings + ", cut_off, " cut-off + ", remainder, left)
    return (_currency(currency), ": ", difference, " = ", *told)


def _currency(currency: str) -> Code | Data:
    return Data(currency.upper())


def _compared(stripe: Any, database: Any, currency: str | None) -> tuple[Cell, Cell, Cell]:
    """Both sides and their difference; what one side does not know has no difference."""
    known = isinstance(stripe, int) and isinstance(database, int)
    difference = database - stripe if known else None
    return (_figure(stripe, currency), _figure(database, currency), _figure(difference, currency))


def _figure(value: Any, currency: str | None) -> Cell:
    if value is None:
        return "unknown"
    if not isinstance(value, int):
        return Data(str(value))
    return money_part(value, currency) if currency else format_number(value)


# --- money at risk -------------------------------------------------------------------------------


def at_risk(audit: Audit) -> list[Block]:
    """Absolute impacts of findings that count, by currency and kind of money."""
    risks = money_at_risk(audit.findings)
    if not risks:
        return []
    rows = tuple(
        (
            _currency(currency),
            money_part(risk.payments, currency),
            money_part(risk.beside, currency),
            money_part(risk.monthly, currency),
        )
        for currency, risk in risks.items()
    )
    head = ("Currency", "Payments", "Fees, balance, invoices, payouts", "Subscriptions, a month")
    caption = "Impacts of HIGH and MEDIUM findings without their signs: mistakes never cancel out"
    return [Heading(2, "Money at risk"), Table(caption, head, rows, _NUMBERS)]


# --- kinds of object -----------------------------------------------------------------------------


def sections_blocks(audit: Audit) -> list[Block]:
    """One part for each kind of object that was compared, or that could not be and why."""
    told = {str(one.get("section")): one for one in audit.sections}
    of_section: dict[str, list[Finding]] = {}
    for finding in counted(audit):
        of_section.setdefault(CODES[finding.code].section, []).append(finding)
    blocks: list[Block] = []
    for name in [*SECTIONS, *(other for other in told if other not in SECTIONS)]:
        if name in told or name in of_section:
            blocks += _section(name, told.get(name, {}), of_section.get(name, []))
    return [Heading(2, "By kind of object"), *blocks] if blocks else []


def _section(name: str, told: Mapping[str, Any], findings: Sequence[Finding]) -> list[Block]:
    blocks: list[Block] = [Heading(3, name.replace("_", " ").capitalize())]
    if "judged" in told:
        judged, found = format_number(int(told["judged"])), format_number(len(findings))
        blocks.append(Paragraph(f"{judged} compared, {found} findings."))
    blocks += [Paragraph(("Not judged: ", quoted(str(why)))) for why in told.get("not_judged", ())]
    sides = told.get("sides") or {}
    if sides:
        rows = tuple(_side_row(measure, side) for measure, side in sides.items())
        blocks.append(Table(f"{name.capitalize()} on both sides", _SIDES_HEAD, rows, _NUMBERS))
    if findings:
        blocks.append(_classes(name, findings))
    return blocks


def _side_row(measure: str, side: Mapping[str, Any]) -> tuple[Cell, ...]:
    currency = side.get("currency")
    compared = _compared(side.get("stripe"), side.get("database"), currency)
    return (str(measure).replace("_", " "), *compared)


def _classes(name: str, findings: Iterable[Finding]) -> Table:
    by_code: dict[str, list[Finding]] = {}
    for finding in findings:
        by_code.setdefault(finding.code, []).append(finding)
    rows = tuple(
        (
            Code(code),
            Words(str(CODES[code].severity), tone=TONES[CODES[code].severity]),
            format_number(len(listed)),
            _impacts(code, listed),
            CODES[code].meaning,
        )
        for code, listed in by_code.items()
    )
    head = ("Class", "Severity", "Count", "Impact", "Meaning")
    return Table(f"Findings of {name} by class", head, rows, frozenset({2, 3}))


def _impacts(code: str, findings: Iterable[Finding]) -> Cell:
    sums: dict[str, int] = {}
    for finding in findings:
        for currency, impact_minor in (finding.impacts or {}).items():
            sums[currency] = sums.get(currency, 0) + impact_minor
    moved = joined(money_part(minor, one, signed=True) for one, minor in sorted(sums.items()))
    return (moved, " a month") if sums and is_monthly(code) else moved


# --- the last months -----------------------------------------------------------------------------


def trend_blocks(trend: Sequence[TrendPoint], picture: Picture | None) -> list[Block]:
    """The newest audits of the last months, as a picture and as the table it was drawn from."""
    if not trend:
        return []
    rows = tuple(
        (
            point.month + ("" if point.state is PeriodState.CLOSED else f" ({point.state})"),
            Words(point.verdict, tone=VERDICT_TONES.get(point.verdict, Tone.PLAIN)),
            *(format_number(point.severities.get(str(one), 0)) for one in Severity),
            joined(
                money_part(minor, currency, signed=True)
                for currency, minor in point.difference.items()
                if minor
            ),
        )
        for point in trend
    )
    head = ("Month", "Verdict", *map(str, Severity), "Booked less Stripe")
    table = Table("The newest audit of each month", head, rows, frozenset({2, 3, 4, 5}))
    return [Heading(2, f"The last {len(trend)} months"), *([picture] if picture else []), table]
