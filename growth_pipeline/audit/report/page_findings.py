"""Findings as tables of the report: by severity and money, each with its link, cause and evidence.

No number is made here. Contract: docs/metrics.md, "Revenue audit", "Report".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from growth_pipeline.audit.codes import Severity
from growth_pipeline.audit.findings import Finding, count_by_code
from growth_pipeline.audit.months.judged import NOT_JUDGED, is_not_judged
from growth_pipeline.audit.report.summary import is_monthly
from growth_pipeline.audit.suppressions import OUTGROWN
from growth_pipeline.core.display import format_instant, format_number
from growth_pipeline.core.documents import (
    Block,
    Cell,
    Code,
    Data,
    Heading,
    Link,
    Paragraph,
    Table,
    Tone,
    joined,
    money_part,
    quoted,
)

_NOTHING: Final = "None needed"  # how an action says that nobody has to do anything
FINDINGS_SHOWN: Final = 200  # rows of all tables together; JSON and CSV hold all
_FACTS_SHOWN: Final = 8  # of one finding
_DELIVERIES_SHOWN: Final = 3
_DASHBOARD: Final = re.compile(r"https://dashboard\.stripe\.com/[A-Za-z0-9_/]{1,400}", re.ASCII)
_HEAD: Final = ("Object", "Class", "Impact", "Cause", "What differs", "Evidence and repair")
TONES: Final[Mapping[Severity, Tone]] = {
    Severity.HIGH: Tone.BAD,
    Severity.MEDIUM: Tone.WAIT,
    Severity.LOW: Tone.PLAIN,
}


def findings_blocks(findings: Sequence[Finding]) -> list[Block]:
    """Findings that count, one table a severity, the most money first; at most FINDINGS_SHOWN."""
    if not findings:
        return [Heading(2, "Findings"), Paragraph("None.")]
    blocks: list[Block] = [Heading(2, "Findings")]
    folded = [finding for finding in findings if _needs_nothing(finding)]
    findings = [finding for finding in findings if not _needs_nothing(finding)]
    shown = findings[:FINDINGS_SHOWN]
    for severity in Severity:
        of_severity = [finding for finding in shown if finding.severity is severity]
        total = sum(finding.severity is severity for finding in findings)
        if of_severity:
            blocks.append(Heading(3, f"{severity}: {findings_counted(total)}"))
            blocks.append(_table(of_severity, f"{severity} findings, the most money first"))
    left = len(findings) - len(shown)
    if left:
        blocks.append(Paragraph(f"{format_number(left)} more are in the JSON and CSV reports."))
    return [*blocks, *_folded(folded)]


def _needs_nothing(finding: Finding) -> bool:
    """Whether a finding only explains: LOW, and nobody has to do anything."""
    return finding.severity is Severity.LOW and finding.action.startswith(_NOTHING)


def _folded(findings: Sequence[Finding]) -> list[Block]:
    """One line for findings that only explain, with their numbers by class."""
    if not findings:
        return []
    classes = joined(
        (Code(code), f" {format_number(count)}") for code, count in count_by_code(findings).items()
    )
    verb = "needs" if len(findings) == 1 else "need"
    number = f"{findings_counted(len(findings), 'LOW ')} {verb} nothing: "
    return [Paragraph((number, classes, ". The JSON and CSV reports have all."))]


def suppressed_blocks(findings: Sequence[Finding]) -> list[Block]:
    """Findings that somebody decided not to count, with who, why and until when."""
    if not findings:
        return []
    rows = []
    for finding in findings[:FINDINGS_SHOWN]:
        decided = finding.suppression or {}
        cells = (str(decided.get(name) or "") for name in ("reason", "by", "until"))
        rows.append((_object(finding), Code(finding.code), _impact(finding), *map(Data, cells)))
    head = ("Object", "Class", "Impact", "Reason", "Decided by", "Until")
    left = len(findings) - len(rows)
    more = f" {format_number(left)} more are in the JSON and CSV reports." if left else ""
    return [
        Heading(2, "Suppressed findings"),
        Paragraph("They count neither for the verdict nor for checks and alerts." + more),
        Table("Suppressed findings, with the decision", head, tuple(rows), frozenset({2})),
    ]


def still_open_blocks(findings: Sequence[Finding]) -> list[Block]:
    """Which findings are open only because their class was not judged this time."""
    held = count_by_code(one for one in findings if is_not_judged(one))
    if not held:
        return []
    classes = joined((Code(code), f" {format_number(count)}") for code, count in held.items())
    why = (
        ". This audit did not judge these classes, so nobody knows whether the findings are gone. "
        "They are among the findings above and count for the verdict; the audit that judges "
        "their class again closes them or keeps them."
    )
    return [Heading(2, "Still open, not judged this time"), Paragraph((classes, why))]


def findings_counted(number: int, severity: str = "") -> str:
    """A number of findings in words, "1 finding"."""
    return f"{format_number(number)} {severity}finding{'s' * (number != 1)}"


def _table(findings: Iterable[Finding], caption: str) -> Table:
    rows = tuple(
        (
            _object(finding),
            joined(map(Code, (finding.code, *finding.also))),
            _impact(finding),
            str(finding.cause).replace("_", " ").replace("stripe", "Stripe"),
            joined([*_sides(finding), *_facts(finding.evidence)], "; "),
            joined(_evidence(finding), "; "),
        )
        for finding in findings
    )
    return Table(caption, _HEAD, rows, frozenset({2}))


def _object(finding: Finding) -> Cell:
    link = finding.evidence.get("link")
    kind = f"{finding.object.replace('_', ' ')} "
    if isinstance(link, str) and _DASHBOARD.fullmatch(link):
        return (kind, Link(finding.object_id, link))
    return (kind, Data(finding.object_id))


def _impact(finding: Finding) -> Cell:
    if finding.impacts is None:
        return "unknown"
    moved = [money_part(minor, one, signed=True) for one, minor in finding.impacts.items()]
    if not moved:
        return "0"
    return (joined(moved), " a month") if is_monthly(finding.code) else joined(moved)


def _sides(finding: Finding) -> list[Cell]:
    """What differs where the rule kept no details: the amounts of both sides, or a lacking event.

    Units: the evidence's amounts are minor units of the finding's currency.
    """
    evidence = finding.evidence
    if evidence.get("details"):
        return []
    if finding.code == "event_gap":
        event = evidence.get("stripe") or {}
        return [("Stripe lists ", Data(str(event.get("type") or "the event")), ", we lack it")]
    amounts = [evidence.get(name) for name in ("stripe_minor", "booked_minor")]
    if finding.currency is None or not all(isinstance(one, int) for one in amounts):
        return []
    stripe, booked = (money_part(int(one or 0), finding.currency) for one in amounts)
    return [("Stripe ", stripe, ", the database ", booked)]


def _facts(evidence: Mapping[str, Any]) -> list[Cell]:
    """What the rule saw on both sides, and where the rows are."""
    details = evidence.get("details") or {}
    nested = bool(details) and all(isinstance(value, Mapping) for value in details.values())
    told = [
        (f"{name.replace('_', ' ')} ", Data(str(value)))
        for facts in (details.values() if nested else [details])
        for name, value in facts.items()
    ]
    rows = [
        (f"row {row['payment_id']} by ", Data(str(row["written_by"])))
        for row in [*evidence.get("booked", []), *evidence.get("booked_elsewhere", [])]
    ]
    reason = [Data(str(evidence["reason"]))] if "reason" in evidence else []
    return [*told[:_FACTS_SHOWN], *rows[:_FACTS_SHOWN], *reason]


def _evidence(finding: Finding) -> list[Cell]:
    """How Stripe's events fared, what a repair would do, and who looks after it."""
    said: list[Cell] = [
        _delivery(one) for one in finding.evidence.get("delivery", ())[:_DELIVERIES_SHOWN]
    ]
    if repair := finding.evidence.get("repair"):
        said.append(quoted(str(repair)))
    if outgrown := finding.evidence.get(OUTGROWN):
        until = f", although it was suppressed until {outgrown['until']} by "
        said.append(("counts again: ", Data(outgrown["why"]), until, Data(outgrown["by"])))
    if is_not_judged(finding):
        since = format_instant(finding.evidence[NOT_JUDGED])
        said.append(f"still open, not judged since {since}")
    if finding.owner:
        said.append(("looked after by ", Data(finding.owner)))
    return said


def _delivery(event: Mapping[str, Any]) -> Cell:
    """One event of the object: what it is, and how far it came."""
    state = event.get("state") or ("not received" if not event.get("received_at") else "received")
    waiting = event.get("pending_webhooks")
    attempts = event.get("attempts")
    return (
        Data(str(event.get("event_id"))),
        " ",
        Data(str(event.get("type") or "event")),
        f" {str(state).replace('_', ' ')}",
        (" because ", Data(str(event["reason"]))) if event.get("reason") else "",
        f", {attempts} attempt{'s' * (attempts != 1)}" if isinstance(attempts, int) else "",
        f", Stripe still delivers to {waiting}" if isinstance(waiting, int) and waiting else "",
    )
