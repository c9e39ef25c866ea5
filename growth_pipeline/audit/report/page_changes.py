"""What changed, as parts of the report: since the audit before, and since the month was closed.

No number is made here. Contract: docs/metrics.md, "Timing" and "Revenue audit", "Report".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from growth_pipeline.audit.audit import Audit
from growth_pipeline.audit.report.summary import ClosedNet, closed_nets
from growth_pipeline.core.display import format_instant, format_number
from growth_pipeline.core.documents import (
    Block,
    Cell,
    Data,
    Heading,
    Paragraph,
    Table,
    Tone,
    joined,
    money_part,
    quoted,
)

RESTATEMENTS_SHOWN: Final = 50
_EVIDENCE_SHOWN: Final = 3
_SIDES: Final[Mapping[str, str]] = {"stripe": "Stripe", "books": "database"}


def changes_blocks(audit: Audit) -> list[Block]:
    """What is new since the audit before."""
    changes = audit.changes
    if not changes:
        return []
    blocks: list[Block] = [
        Heading(2, "What changed since the last audit"),
        Paragraph(quoted(str(changes.get("said") or "unknown"))),
    ]
    if previous := changes.get("previous_audit_id"):
        blocks.append(Paragraph(("Compared with audit ", Data(str(previous)), ".")))
    return blocks


def restatement_blocks(audit: Audit) -> list[Block]:
    """What changed in the numbers of a month that was closed, why, and by which object."""
    if audit.close is None:
        return []
    closed: Cell = (
        f"The month was closed at {format_instant(audit.close.get('closed_at'))} by audit ",
        Data(str(audit.close.get("audit_id"))),
        ".",
    )
    blocks: list[Block] = [Heading(2, "What changed in past numbers")]
    if problem := audit.close.get("problem"):
        blocks.append(Paragraph(quoted(str(problem)), tone=Tone.BAD))
    if not audit.restatements:
        return [*blocks, Paragraph((closed, " Nothing has changed since."))]
    return [*blocks, Paragraph(closed), _nets(closed_nets(audit)), *_entries(audit)]


def _nets(nets: list[ClosedNet]) -> Table:
    rows = tuple(
        (
            _SIDES.get(one.side, one.side),
            money_part(one.frozen, one.currency),
            money_part(one.changed, one.currency, signed=True),
            "unknown" if one.now is None else money_part(one.now, one.currency),
        )
        for one in nets
    )
    head = ("Side", "Net at the close", "Changes", "Net now")
    return Table("The net of the month, closed and now", head, rows, frozenset({1, 2, 3}))


def _entries(audit: Audit) -> list[Block]:
    shown = audit.restatements[:RESTATEMENTS_SHOWN]
    head = ("Object", "Side", "Before", "After", "Difference", "Why", "By", "First seen")
    rows = tuple(map(_entry, shown))
    left = len(audit.restatements) - len(shown)
    more = [Paragraph(f"{format_number(left)} more are in the JSON report.")] if left else []
    return [Table("Changes since the close", head, rows, frozenset({2, 3, 4})), *more]


def _entry(one: Mapping[str, Any]) -> tuple[Cell, ...]:
    currency, side = str(one.get("currency")), str(one.get("side"))
    evidence = [Data(str(by)) for by in list(one.get("evidence") or ())[:_EVIDENCE_SHOWN]]
    return (
        (f"{one.get('object')} ", Data(str(one.get("object_id")))),
        _SIDES.get(side, side),
        _amount(one.get("before_minor"), currency),
        _amount(one.get("after_minor"), currency),
        _amount(one.get("difference_minor"), currency, signed=True),
        str(one.get("reason") or "").replace("_", " "),
        joined(evidence),
        format_instant(one.get("first_seen_at")),
    )


def _amount(minor: object, currency: str, *, signed: bool = False) -> Cell:
    return money_part(minor, currency, signed=signed) if isinstance(minor, int) else "unknown"
