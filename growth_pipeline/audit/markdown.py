"""The audit as people read it, in Markdown. No number is made here.

Text from rows or from Stripe is data: it appears in code spans, never as markup or link.
Contract: docs/metrics.md, "Revenue audit".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from growth_pipeline.audit.audit import Audit
from growth_pipeline.audit.codes import CODES, Cause, Severity
from growth_pipeline.audit.findings import Finding, Verdict, action_of
from growth_pipeline.audit.totals import CurrencyTotals
from growth_pipeline.core.display import format_number
from growth_pipeline.core.markdown import (
    code_span,
    escaped,
    money,
    signed_money,
    table_head,
    table_row,
)
from growth_pipeline.core.periods import PeriodState

FINDINGS_SHOWN: Final = 200  # rows of the table; JSON and CSV hold all
_DASHBOARD: Final = re.compile(r"https://dashboard\.stripe\.com/[A-Za-z0-9_/]{1,400}", re.ASCII)
_ANSWERS: Final = {
    Verdict.PASS: "The books agree with Stripe.",
    Verdict.WARNING: "The books agree with Stripe, but something needs a look.",
    Verdict.FAIL: "The books do not agree with Stripe.",
}


def recommendations(audit: Audit) -> list[dict[str, Any]]:
    """What to do, one line a class, the worst first: code, count, text, command."""
    of_class: dict[str, list[Finding]] = {}
    for finding in audit.findings:
        if finding.severity is not Severity.LOW:
            of_class.setdefault(finding.code, []).append(finding)
    return [
        {
            "code": code,
            "count": len(findings),
            "severity": str(findings[0].severity),
            "text": action_of(code, _main_cause(findings), audit.month),
            "command": findings[0].command,
        }
        for code, findings in of_class.items()
    ]


def _main_cause(findings: list[Finding]) -> Cause:
    """The cause that can be acted on at once, if one of them has it; else the first one's."""
    causes = [finding.cause for finding in findings]
    return Cause.HANDLED_WRONG if Cause.HANDLED_WRONG in causes else causes[0]


def to_markdown(audit: Audit, *, picture: str = "") -> str:
    """The report: the answer first, then both sides, findings, what to do, sources, how computed.

    `picture`: a data URI of our own making. Nothing else is loaded, and the only links lead to
    Stripe's dashboard.
    """
    parts = [
        _heading(audit),
        [f"![The audit as a picture]({picture})"] if picture else [],
        _side_by_side(audit),
        _by_class(audit),
        _findings(audit),
        _what_to_do(audit),
        _sources(audit),
        _how(audit),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _heading(audit: Audit) -> list[str]:
    counted = ", ".join(
        f"{format_number(count)} {severity}" for severity, count in audit.severities.items()
    )
    open_note = "" if audit.state is PeriodState.CLOSED else f" The month is {audit.state}."
    lines = [
        f"# Revenue audit {audit.month}: {audit.verdict}",
        "",
        f"**{_answer(audit)}** Findings: {counted}.{open_note}",
        "",
        f"Account {code_span(audit.scope.account_id)}, {audit.scope.mode} mode, "
        f"as of {audit.as_of:%Y-%m-%d %H:%M:%S} UTC (exclusive).",
    ]
    wrong = [
        signed_money(minor, currency) for currency, minor in audit.money_difference.items() if minor
    ]
    if wrong:
        lines += ["", f"Booked less Stripe: {', '.join(wrong)}."]
    return lines


def _answer(audit: Audit) -> str:
    incomplete = any(finding.code == "source_incomplete" for finding in audit.findings)
    if incomplete:
        return "There is no verdict on a part: a source is incomplete."
    return _ANSWERS[audit.verdict]


def _side_by_side(audit: Audit) -> list[str]:
    if not audit.totals:
        return []
    lines = [
        "## Both sides",
        "",
        *table_head("", "Stripe", "Books", "Books - Stripe"),
    ]
    for currency, totals in audit.totals.items():
        lines += _currency_rows(currency, totals)
    return lines


def _currency_rows(currency: str, totals: CurrencyTotals) -> list[str]:
    stripe, booked = totals.stripe.to_dict(), totals.booked.to_dict()
    name = code_span(currency.upper())
    rows = [table_row(f"{name} payments", *_counts(totals.stripe.count, totals.booked.count))]
    for field, words in (
        ("gross_minor", "gross"),
        ("refunded_minor", "refunded"),
        ("disputed_minor", "disputed"),
        ("net_minor", "**net**"),
    ):
        rows.append(table_row(f"{name} {words}", *_sides(stripe[field], booked[field], currency)))
    fees = (totals.stripe.fees_minor, totals.booked.fees_minor)
    if fees != (None, None):
        rows.append(table_row(f"{name} fees (settled in this currency)", *_sides(*fees, currency)))
    bridge = (
        f"{money(totals.difference, currency)} = {money(totals.explained, currency)} findings "
        f"+ {money(totals.cut_off, currency)} cut-off + {money(totals.remainder, currency)} left"
    )
    return [*rows, table_row(f"{name} bridge", "", "", bridge)]


def _sides(stripe: int | None, booked: int | None, currency: str) -> list[str]:
    """Both sides and their difference; what one side does not know has no difference."""
    difference = None if stripe is None or booked is None else booked - stripe
    cells = (stripe, booked, difference)
    return ["unknown" if cell is None else money(cell, currency) for cell in cells]


def _counts(stripe: int, booked: int) -> list[str]:
    return [format_number(stripe), format_number(booked), format_number(booked - stripe)]


def _by_class(audit: Audit) -> list[str]:
    if not audit.findings:
        return ["## Findings", "", "None."]
    lines = ["## Findings by class", "", *table_head("Class", "Count", "Impact", "Meaning")]
    impacts = audit.impact_by_code
    for code, count in audit.counts.items():
        moved = [signed_money(minor, currency) for currency, minor in impacts[code].items()]
        cells = (format_number(count), ", ".join(moved), CODES[code].meaning)
        lines.append(table_row(f"`{code}`", *cells))
    return lines


def _findings(audit: Audit) -> list[str]:
    if not audit.findings:
        return []
    shown = audit.findings[:FINDINGS_SHOWN]
    head = ("Severity", "Class", "Object", "Impact", "Cause", "What differs")
    lines = ["## Findings", "", *table_head(*head)]
    lines += [table_row(*_finding_cells(finding)) for finding in shown]
    left = len(audit.findings) - len(shown)
    if left:
        lines += ["", f"{format_number(left)} more are in the JSON and CSV reports."]
    return lines


def _finding_cells(finding: Finding) -> Iterable[str]:
    link = finding.evidence.get("link")
    name = code_span(finding.object_id)
    if isinstance(link, str) and _DASHBOARD.fullmatch(link):
        name = f"[{name}]({link})"
    also = "".join(f", `{code}`" for code in finding.also)
    return (
        str(finding.severity),
        f"`{finding.code}`{also}",
        name,
        _impact(finding),
        str(finding.cause).replace("_", " "),
        _difference(finding.evidence),
    )


def _impact(finding: Finding) -> str:
    if finding.impacts is None:
        return "unknown"
    moved = [signed_money(minor, currency) for currency, minor in finding.impacts.items()]
    return ", ".join(moved) or "0"


def _difference(evidence: Mapping[str, Any]) -> str:
    """The primary facts in one cell: what the rule saw on both sides, and where the rows are."""
    details = evidence.get("details") or {}
    said = [
        f"{name.replace('_', ' ')} {code_span(str(value))}"
        for facts in (details.values() if _is_nested(details) else [details])
        for name, value in facts.items()
    ]
    rows = [*evidence.get("booked", []), *evidence.get("booked_elsewhere", [])]
    said += [f"row {row['payment_id']} by {code_span(row['written_by'])}" for row in rows]
    said += [code_span(evidence["reason"])] if "reason" in evidence else []
    return "; ".join(said)


def _is_nested(details: Mapping[str, Any]) -> bool:
    return bool(details) and all(isinstance(value, Mapping) for value in details.values())


def _what_to_do(audit: Audit) -> list[str]:
    steps = recommendations(audit)
    if not steps:
        return ["## What to do", "", "Nothing."]
    lines = ["## What to do", ""]
    for number, step in enumerate(steps, start=1):
        lines.append(f"{number}. `{step['code']}` ({step['count']}): {escaped(step['text'])}")
        lines.append(f"   Then run `{step['command']}`.")
    lines += [
        "",
        "Findings close by themselves when an audit no longer sees them. This version changes no "
        "row of yours: automatic repair comes with a later one. A resent event reaches the books "
        "only if it never arrived before (`stripe events resend` takes its id).",
    ]
    return lines


def _sources(audit: Audit) -> list[str]:
    head = ("Source", "Objects", "Pages", "Read to the end", "Read at", "SHA-256")
    lines = ["## Sources", "", *table_head(*head)]
    for source in audit.sources:
        name = code_span(str(source["resource"]))
        if "read_at" in source:  # the books: one query, not a list of pages
            cells = (format_number(source["rows"]), "", "yes", escaped(str(source["read_at"])), "")
            lines.append(table_row(name, *cells))
            continue
        ended = source.get("complete") is True and source.get("has_more") is False
        lines.append(
            table_row(
                name,
                _known(source.get("rows")),
                _known(source.get("pages")),
                "yes, has_more=false" if ended else "**no**",
                escaped(str(source.get("as_of") or "")),
                code_span(str(source["sha256"])[:12]) if source.get("sha256") else "",
            )
        )
    return lines


def _how(audit: Audit) -> list[str]:
    books = audit.sources[-1] if audit.sources else {}
    grace = int(audit.grace.total_seconds() // 60)
    return [
        "## How this was computed",
        "",
        f"Definition `{audit.definition}`. Month {audit.month} in UTC by Stripe's `created`; "
        "payments matched by charge id, else payment intent, else invoice, never by amount and "
        f"time; tolerance 0 minor units. Payments younger than {grace} minutes at the as-of "
        f"instant are not judged (differing ones left out: {_known(books.get('not_judged'))}). "
        f"Stripe was asked again about {_known(books.get('asked_stripe'))} objects; "
        f"{_known(books.get('not_asked'))} more were too many to ask about. Impact is booked less "
        "Stripe: settled gross less refunds and disputed funds.",
        "",
        f"Audit {code_span(str(audit.audit_id))}, run {code_span(audit.run_id or 'none')}, "
        f"{audit.started_at:%Y-%m-%d %H:%M:%S} to {audit.finished_at:%H:%M:%S} UTC.",
    ]


# --- cells ---------------------------------------------------------------------------------------


def _known(value: object) -> str:
    return format_number(value) if isinstance(value, int) else "unknown"
