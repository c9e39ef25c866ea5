"""The audit as people read it: one document, from which Markdown and HTML are written.

The answer first, then what to do, the evidence, and how it was computed. No number is made here.
Text from rows or from Stripe is data. Contract: docs/metrics.md, "Revenue audit", "Report".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from growth_pipeline.audit.audit import Audit
from growth_pipeline.audit.findings import Verdict, count_by_severity
from growth_pipeline.audit.report.page_changes import changes_blocks, restatement_blocks
from growth_pipeline.audit.report.page_findings import (
    findings_blocks,
    findings_counted,
    still_open_blocks,
    suppressed_blocks,
)
from growth_pipeline.audit.report.page_sections import (
    VERDICT_TONES,
    boundary_blocks,
    risk_cell,
    sections_blocks,
    side_by_side,
    trend_blocks,
)
from growth_pipeline.audit.report.summary import (
    Risk,
    TrendPoint,
    counted,
    money_at_risk,
    recommendations,
    suppressed,
    suppressed_money,
    unknown_impacts,
)
from growth_pipeline.core.display import format_instant, format_number
from growth_pipeline.core.documents import (
    Block,
    Cell,
    Code,
    Data,
    Document,
    Facts,
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
from growth_pipeline.core.periods import UTC_NAME, PeriodState

_ANSWERS: Final = {
    Verdict.PASS: "The books agree with Stripe.",
    Verdict.WARNING: "The books agree with Stripe, but something needs a look.",
    Verdict.FAIL: "The books do not agree with Stripe.",
}
# Said where both sides differ, or where somebody decided not to count what was found.
_NOTHING_COUNTS: Final = {
    Verdict.PASS: "No HIGH or MEDIUM finding counts.",
    Verdict.WARNING: "No HIGH finding counts, but something needs a look.",
}


@dataclass(frozen=True)
class Pictures:
    """Drawings of a report; a face leaves out what it cannot show."""

    overview: Picture | None = None
    trend: Picture | None = None


def build_page(
    audit: Audit, *, trend: Sequence[TrendPoint] = (), pictures: Pictures | None = None
) -> Document:
    """The whole report of an audit. Shapes: the title has month and verdict."""
    drawn = pictures or Pictures()
    blocks = [
        *_summary(audit),
        *side_by_side(audit),
        *([drawn.overview] if drawn.overview else []),
        *_what_to_do(audit),
        *changes_blocks(audit),
        *restatement_blocks(audit),
        *boundary_blocks(audit),
        *trend_blocks(trend, drawn.trend),
        *sections_blocks(audit),
        *findings_blocks(counted(audit)),
        *still_open_blocks(counted(audit)),
        *suppressed_blocks(suppressed(audit)),
        *_sources(audit),
        *_how(audit),
    ]
    zone = "" if audit.tz == UTC_NAME else f" in {audit.tz}"
    title = f"Revenue audit {audit.month}{zone}: {audit.verdict}"
    return Document(title, tuple(blocks), VERDICT_TONES[str(audit.verdict)])


# --- the answer ----------------------------------------------------------------------------------


def _summary(audit: Audit) -> list[Block]:
    found = ", ".join(
        f"{format_number(count)} {severity}"
        for severity, count in count_by_severity(counted(audit)).items()
    )
    apart = len(suppressed(audit))
    open_note = ""
    if audit.state is not PeriodState.CLOSED:
        open_note = f" The month is {audit.state}. Every number is provisional."
    told = f" Findings: {found}.{open_note}"
    facts: list[tuple[str, Cell]] = [
        ("Findings", found + (f", {format_number(apart)} suppressed" if apart else "")),
        ("Money at risk", _risk(audit)),
        *([("Suppressed money", _suppressed_money(audit))] if apart else []),
        ("Booked less Stripe", _difference(audit)),
        ("Account", (Data(audit.scope.account_id), f", {audit.scope.mode} mode")),
        ("Month", (f"{audit.month} in ", Data(audit.tz), f", {audit.state}")),
        ("As of (exclusive)", format_instant(audit.as_of)),
    ]
    return [Paragraph((*_answer(audit), told)), Facts(tuple(facts))]


def _answer(audit: Audit) -> tuple[Cell, ...]:
    """The verdict in words; it never says "agree" of sides that differ or were partly set aside."""
    if any(finding.code == "source_incomplete" for finding in counted(audit)):
        said = "There is no verdict on a part: a source is incomplete."
    elif audit.verdict is not Verdict.FAIL and (_moved(audit) or suppressed(audit)):
        said = _NOTHING_COUNTS[audit.verdict]
    else:
        said = _ANSWERS[audit.verdict]
    return (Words(said, strong=True), *_apart(audit))


def _apart(audit: Audit) -> tuple[Cell, ...]:
    """` They differ by +USD 5.00; 1 finding is suppressed.`; nothing where neither is so."""
    moved, number = _moved(audit), len(suppressed(audit))
    if not moved and not number:
        return ()
    differ: Cell = ("They differ by ", joined(moved)) if moved else "Their nets do not differ"
    if not audit.totals:
        differ = "By how much they differ is unknown"
    hidden = f"; {findings_counted(number)} {'is' if number == 1 else 'are'} suppressed"
    return (" ", differ, hidden if number else "", ".")


def _risk(audit: Audit) -> Cell:
    return _money(money_at_risk(audit.findings), unknown_impacts(audit.findings))


def _suppressed_money(audit: Audit) -> Cell:
    unknown = sum(finding.impacts is None for finding in suppressed(audit))
    return _money(suppressed_money(audit.findings), unknown)


def _money(risks: Mapping[str, Risk], unknown: int) -> Cell:
    parts: list[Cell] = [risk_cell(risk, currency) for currency, risk in risks.items()]
    parts += [f"{format_number(unknown)} of unknown size"] if unknown else []
    return joined(parts) if parts else "none"


def _difference(audit: Audit) -> Cell:
    if moved := _moved(audit):
        return joined(moved)
    return "0 in every currency" if audit.totals else "unknown"


def _moved(audit: Audit) -> list[Cell]:
    """Booked less Stripe of the currencies in which it is not 0."""
    return [
        money_part(minor, currency, signed=True)
        for currency, minor in audit.money_difference.items()
        if minor
    ]


# --- what to do ----------------------------------------------------------------------------------


def _what_to_do(audit: Audit) -> list[Block]:
    steps = recommendations(audit)
    if not steps:
        return [Heading(2, "What to do"), Paragraph("Nothing.")]
    items: list[Cell] = []
    for step in steps:
        repair = f" {step['repair']}" if step["repair"] else ""
        text = quoted(f"{step['text']}{repair}")
        count = f" ({format_number(step['count'])}): "
        items.append((Code(step["code"]), count, text, " Run ", Code(step["command"]), "."))
    last = (
        "`growth repair` shows a plan and changes nothing until it is given `--apply`. Findings "
        "close by themselves when an audit no longer sees them."
    )
    return [Heading(2, "What to do"), Steps(tuple(items)), Paragraph(quoted(last))]


# --- how it was computed -------------------------------------------------------------------------


def _sources(audit: Audit) -> list[Block]:
    head = ("Source", "Objects", "Pages", "Read to the end", "Read at", "SHA-256")
    rows = tuple(map(_source, audit.sources))
    caption = "What was read, and the certificate that it was read whole"
    return [Heading(2, "Sources"), Table(caption, head, rows, frozenset({1, 2}))]


def _source(source: Mapping[str, Any]) -> tuple[Cell, ...]:
    name = Code(str(source["resource"]))
    if "read_at" in source:  # the books: one query, not a list of pages
        return (name, _known(source.get("rows")), "", "yes", format_instant(source["read_at"]), "")
    ended = source.get("complete") is True and source.get("has_more") is False
    return (
        name,
        _known(source.get("rows")),
        _known(source.get("pages")),
        ("yes, ", Code("has_more=false")) if ended else Words("no", strong=True, tone=Tone.BAD),
        format_instant(source.get("as_of")),
        Data(str(source["sha256"])[:12]) if source.get("sha256") else "",
    )


def _how(audit: Audit) -> list[Block]:
    books = audit.sources[-1] if audit.sources else {}
    grace = int(audit.grace.total_seconds() // 60)
    rules = (
        f" Month {audit.month} in {audit.tz} by Stripe's creation time; payments matched by charge "
        "id, else payment intent, else invoice payment, else invoice, never by amount and time; "
        f"tolerance 0 minor units. Payments younger than {grace} minutes at the as-of instant are "
        f"not judged (differing ones left out: {_known(books.get('not_judged'))}). Stripe was "
        f"asked again about {_known(books.get('asked_stripe'))} objects; "
        f"{_known(books.get('not_asked'))} more were too many to ask about. Impact of payments is "
        "booked less Stripe: settled gross less refunds and disputed funds. Money at risk adds "
        "impacts without their signs."
    )
    run = (
        ("Audit ", Data(str(audit.audit_id)), ", run ", Data(audit.run_id or "none")),
        f", {audit.started_at:%Y-%m-%d %H:%M:%S} to {audit.finished_at:%H:%M:%S} UTC.",
    )
    return [
        Heading(2, "How this was computed"),
        Paragraph(("Definition ", Code(audit.definition), ".", rules)),
        Paragraph(run),
    ]


def _known(value: object) -> str:
    return format_number(value) if isinstance(value, int) else "unknown"
