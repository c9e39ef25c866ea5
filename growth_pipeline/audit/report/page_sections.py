"""Both sides of an audit: side by side by currency, by kind of object, and over the last months.

No number is made here. Contract: docs/metrics.md, "Revenue audit", "Report".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from growth_pipeline.audit.audit import Audit
from growth_pipeline.audit.codes import CODES, SECTIONS, Severity
from growth_pipeline.audit.findings import Finding, count_by_severity
from growth_pipeline.audit.payments.totals import CurrencyTotals
from growth_pipeline.audit.report.page_findings import TONES, findings_counted
from growth_pipeline.audit.report.summary import (
    Risk,
    TrendPoint,
    counted,
    is_monthly,
    money_at_risk,
)
from growth_pipeline.core.display import format_instant, format_number
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
from growth_pipeline.core.periods import PeriodState, ZonedMonth

VERDICT_TONES: Final[Mapping[str, Tone]] = {
    "PASS": Tone.GOOD,
    "WARNING": Tone.WAIT,
    "FAIL": Tone.BAD,
}
_SIDES_HEAD: Final = ("", "Stripe", "Database", "Database - Stripe")
_NUMBERS: Final = frozenset({1, 2, 3})
_WHAT_IS_COUNTED: Final = (
    "All of them are compared, whatever their state; a line below may count fewer."
)
_KINDS: Final[Mapping[str, str]] = {
    "payments": "charges of Stripe's list",
    "refunds": "refunds of Stripe's list",
    "disputes": "disputes of Stripe's list",
    "invoices": "invoices",
    "balance": "balance transactions",
    "payouts": "payouts",
    "subscriptions": "subscriptions",
    "customers": "customers",
    "events": "events and rows of the mirror",
}
# They are compared in one walk, of which the certificates say how much was read.
_LISTED: Final[Mapping[str, str]] = {
    "payments": "charges",
    "refunds": "refunds",
    "disputes": "disputes",
}
_NOT_KNOWN: Final = "\N{EN DASH}"


# --- side by side --------------------------------------------------------------------------------


def side_by_side(audit: Audit) -> list[Block]:
    """One line a currency: payments and net of both sides, their difference, the money at risk."""
    risks = money_at_risk(audit.findings)
    currencies = sorted({*audit.totals, *risks})
    if not currencies:
        return []
    rows = tuple(
        (_currency(one), *_both_sides(audit.totals.get(one), one), risk_cell(risks.get(one), one))
        for one in currencies
    )
    sides = ("Payments at Stripe", "in the database", "Net at Stripe", "in the database")
    head = ("Currency", *sides, "Database - Stripe", "Money at risk")
    caption = (
        "Settled payments created in the month. Money at risk adds the impacts of HIGH and MEDIUM "
        "findings "
        "without their signs: mistakes never cancel out"
    )
    table = Table(caption, head, rows, frozenset(range(1, 7)))
    return [Heading(2, "Stripe and the database side by side"), table]


def _both_sides(totals: CurrencyTotals | None, currency: str) -> tuple[Cell, ...]:
    if totals is None:
        return (_NOT_KNOWN,) * 5
    nets = (totals.stripe.net_minor, totals.booked.net_minor)
    counts = (format_number(totals.stripe.count), format_number(totals.booked.count))
    difference = money_part(totals.difference, currency, signed=True)
    return (*counts, *(money_part(net, currency) for net in nets), difference)


def risk_cell(risk: Risk | None, currency: str) -> Cell:
    """Money at risk in one currency; what is worth its amount every month stands apart."""
    if risk is None:
        return money_part(0, currency)
    once = risk.payments + risk.beside
    parts: list[Cell] = [money_part(once, currency)] if once else []
    parts += [(money_part(risk.monthly, currency), " a month")] if risk.monthly else []
    return joined(parts) if parts else money_part(0, currency)


def _payments(audit: Audit) -> list[Block]:
    """Settled payments of both sides by currency, with the bridge that explains the difference."""
    if not audit.totals:
        return []
    rows: list[tuple[Cell, ...]] = []
    for currency, totals in audit.totals.items():
        rows += _currency_rows(currency, totals)
    caption = "Settled payments created in the month, by currency, of both sides"
    table = Table(caption, _SIDES_HEAD, tuple(rows), _NUMBERS)
    bridges = Steps(tuple(_bridge(*one) for one in audit.totals.items()), numbered=False)
    said = "From Stripe's net to ours: what the findings and the cut-off explain, and what is left."
    return [table, Paragraph(said), bridges]


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
    difference, explained, cut_off, remainder = (
        money_part(one, currency, signed=True) for one in amounts
    )
    left = Words(" left", tone=Tone.BAD) if totals.remainder else " left"
    told = (explained, " findings + ", cut_off, " cut-off + ", remainder, left)
    return (_currency(currency), ": ", difference, " = ", *told)


def _currency(currency: str) -> Data:
    return Data(currency.upper())


def _compared(stripe: Any, database: Any, currency: str | None) -> tuple[Cell, Cell, Cell]:
    """Both sides and their difference; what one side does not know has no difference."""
    known = isinstance(stripe, int) and isinstance(database, int)
    difference = database - stripe if known else None
    return (
        _figure(stripe, currency),
        _figure(database, currency),
        _figure(difference, currency, signed=True),
    )


def _figure(value: Any, currency: str | None, *, signed: bool = False) -> Cell:
    if value is None:
        return "unknown"
    if not isinstance(value, int):
        return Data(str(value))
    if currency:
        return money_part(value, currency, signed=signed)
    return f"{'+' * (signed and value > 0)}{format_number(value)}"


# --- kinds of object -----------------------------------------------------------------------------


def sections_blocks(audit: Audit) -> list[Block]:
    """One part for each kind of object that was compared, or that could not be and why."""
    told = {str(one.get("section")): one for one in audit.sections}
    of_section: dict[str, list[Finding]] = {}
    for finding in counted(audit):
        of_section.setdefault(CODES[finding.code].section, []).append(finding)
    blocks: list[Block] = []
    for name in [*SECTIONS, *(other for other in told if other not in SECTIONS)]:
        figures = _payments(audit) if name == "payments" else []
        if name in told or name in of_section or figures:
            listed = of_section.get(name, [])
            blocks += [Heading(3, name.replace("_", " ").capitalize()), *figures]
            blocks += [*_compared_block(audit, name, told.get(name, {}), len(listed))]
            blocks += _section(name, told.get(name, {}), listed)
    return [Heading(2, "By kind of object"), *blocks] if blocks else []


def _compared_block(
    audit: Audit, name: str, told: Mapping[str, Any], findings: int
) -> Iterator[Block]:
    """How many objects of which kind were compared, of which time; nothing where nobody knows."""
    if name in _LISTED:
        number = _rows_of(audit, _LISTED[name])
    else:
        number = int(told["judged"]) if "judged" in told else None
    if number is None:
        return
    booked = _rows_of(audit, "billing.payments") if name == "payments" else None
    beside = "" if booked is None else f" and {format_number(booked)} booked rows"
    compared = (
        f"{format_number(number)} {_KINDS.get(name, 'objects')}{beside} compared, made in "
        f"{audit.month} of {audit.tz}"
    )
    said = f"{compared}{_until(audit)}; {findings_counted(findings)}. {_WHAT_IS_COUNTED}"
    yield Paragraph(quoted(said))
    if unjudged := [one for one in audit.unjudged if CODES[one].section == name]:
        classes = joined(map(Code, unjudged))
        yield Paragraph(("Classes not judged this time, open ones stay open: ", classes, "."))


def _rows_of(audit: Audit, resource: str) -> int | None:
    """Rows that were read of a source of the month; None where one of its files is not known."""
    told = [one.get("rows") for one in audit.sources if one.get("resource") == resource]
    rows = [one for one in told if isinstance(one, int)]
    return sum(rows) if rows and len(rows) == len(told) else None


def _until(audit: Audit) -> str:
    """Where the comparison ends within a month that was not over when Stripe was read."""
    end = audit.as_of - audit.grace
    if end >= ZonedMonth(audit.month, audit.tz).end:
        return ""
    return f" before {format_instant(end)}"


def _section(name: str, told: Mapping[str, Any], findings: Sequence[Finding]) -> list[Block]:
    blocks: list[Block] = []
    blocks += [Paragraph(("Not judged: ", quoted(str(why)))) for why in told.get("not_judged", ())]
    sides = told.get("sides") or {}
    if sides:
        placed = sorted(sides.items(), key=lambda one: one[1].get("place", 0))
        rows = tuple(_side_row(measure, side) for measure, side in placed)
        caption = f"{name.capitalize()} on both sides; {_NOT_KNOWN} is not known there"
        blocks.append(Table(caption, _SIDES_HEAD, rows, _NUMBERS))
    if findings:
        blocks.append(_classes(name, findings))
    return blocks


def _side_row(measure: str, side: Mapping[str, Any]) -> tuple[Cell, ...]:
    currency = side.get("currency")
    compared = _compared(side.get("stripe"), side.get("database"), currency)
    named = str(side.get("measure") or measure).replace("_", " ")
    name: Cell = (_currency(str(currency)), f" {named}") if currency else named
    return (name, *(_NOT_KNOWN if cell == "unknown" else cell for cell in compared))


def _classes(name: str, findings: Iterable[Finding]) -> Table:
    by_code: dict[str, list[Finding]] = {}
    for finding in findings:
        by_code.setdefault(finding.code, []).append(finding)
    rows = tuple(
        (
            Code(code),
            _severities(listed),
            format_number(len(listed)),
            _impacts(code, listed),
            CODES[code].meaning,
        )
        for code, listed in by_code.items()
    )
    head = ("Class", "Severity", "Count", "Impact", "Meaning")
    return Table(f"Findings of {name} by class", head, rows, frozenset({2, 3}))


def _severities(findings: Sequence[Finding]) -> Cell:
    """The severity of what was found; with numbers where there are several."""
    counts = {one: number for one, number in count_by_severity(findings).items() if number}
    return joined(
        Words(
            one if len(counts) == 1 else f"{format_number(number)} {one}", tone=TONES[Severity(one)]
        )
        for one, number in counts.items()
    )


def _impacts(code: str, findings: Iterable[Finding]) -> Cell:
    sums: dict[str, int] = {}
    for finding in findings:
        for currency, impact_minor in (finding.impacts or {}).items():
            sums[currency] = sums.get(currency, 0) + impact_minor
    moved = joined(money_part(minor, one, signed=True) for one, minor in sorted(sums.items()))
    return (moved, " a month") if sums and is_monthly(code) else moved


# --- the month's limits --------------------------------------------------------------------------


def boundary_blocks(audit: Audit) -> list[Block]:
    """Where the month begins and ends in its zone and in UTC, and the money that lies between."""
    told = audit.boundaries or {}
    stretches = told.get("between") or ()
    if not stretches:
        return []
    limits = (
        f"In {told.get('tz')} the month goes from {told.get('start')} to {told.get('end')}, in UTC "
        f"from {told.get('utc_start')} to {told.get('utc_end')} (ends exclusive)."
    )
    rows = tuple(row for stretch in stretches for row in _stretch_rows(stretch))
    head = ("Between", "Counted in", "Currency", "Stripe's net", "Booked net")
    caption = "Settled money that only one of the two months holds"
    table = Table(caption, head, rows, frozenset({3, 4}))
    return [Heading(2, "Where the month begins and ends"), Paragraph(limits), table]


def _stretch_rows(stretch: Mapping[str, Any]) -> list[tuple[Cell, ...]]:
    name = f"{stretch.get('edge')}: {stretch.get('since')} to {stretch.get('until')}"
    held = {"zone": "this month", "utc": "the month in UTC"}.get(str(stretch.get("counted_in")), "")
    stripe, books = stretch.get("stripe"), stretch.get("books") or {}
    rows: list[tuple[Cell, ...]] = []
    for currency in sorted({*(stripe or {}), *books}) or [""]:
        theirs = None if stripe is None else (stripe.get(currency) or {}).get("net_minor", 0)
        ours = (books.get(currency) or {}).get("net_minor", 0)
        cells = (_figure(theirs, currency or None), _figure(ours, currency or None))
        rows.append((name, held, _currency(currency) if currency else "none", *cells))
    return rows


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
    months = "month" if len(trend) == 1 else f"{len(trend)} months"
    return [Heading(2, f"The last {months}"), *([picture] if picture else []), table]
