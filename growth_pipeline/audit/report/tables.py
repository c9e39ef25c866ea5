"""The audit as machines read it: JSON with everything, CSV with a line a finding.

No number is made here.
Contract: docs/metrics.md, "Revenue audit", "Report".
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from growth_pipeline.audit.audit import Audit
from growth_pipeline.audit.codes import CODES
from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.report.summary import (
    TrendPoint,
    money_at_risk,
    recommendations,
    suppressed,
    suppressed_money,
)

# What starts a formula in a spreadsheet, also in full width; and the mark that we put before it.
_FORMULA: Final = (*"=+-@|%\t\r\n'", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# Characters that nobody sees and a terminal or a script may act on; JSON has escapes for them.
_UNSEEN: Final = re.compile(
    r"[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_CSV_COLUMNS: Final = (
    "severity",
    "code",
    "section",
    "object",
    "object_id",
    "currency",
    "impact_minor",
    "impacts",
    "also",
    "cause",
    "action",
    "command",
    "repair",
    "owner",
    "suppressed_until",
    "suppressed_by",
    "suppressed_reason",
    "first_seen_at",
    "last_seen_at",
    "fingerprint",
    "booked",
    "stripe",
    "delivery",
    "link",
)


# --- JSON ----------------------------------------------------------------------------------------


def to_dict(audit: Audit, *, trend: Sequence[TrendPoint] = ()) -> dict[str, Any]:
    """The audit as `growth audit --json` prints it. Units: minor units; instants ISO in UTC."""
    return {
        "metric": "revenue_audit",
        "definition": audit.definition,
        "options": {
            "grace_minutes": int(audit.grace.total_seconds() // 60),
            "tolerance_minor": 0,
        },
        "month": audit.month.key,
        "state": str(audit.state),
        "as_of": audit.as_of.isoformat(),
        "tz": audit.tz,
        "account_id": audit.scope.account_id,
        "livemode": audit.scope.livemode,
        "verdict": str(audit.verdict),
        "counts": audit.counts,
        "severities": audit.severities,
        "unjudged": list(audit.unjudged),
        "suppressed_count": len(suppressed(audit)),
        "money_difference_minor": audit.money_difference,
        "money_at_risk_minor": {
            currency: asdict(risk) for currency, risk in money_at_risk(audit.findings).items()
        },
        "suppressed_money_minor": {
            currency: asdict(risk) for currency, risk in suppressed_money(audit.findings).items()
        },
        "impact_minor_by_code": audit.impact_by_code,
        "totals": {currency: one.to_dict() for currency, one in audit.totals.items()},
        "sections": [dict(section) for section in audit.sections],
        "findings": [finding.to_dict() for finding in audit.findings],
        "sources": [dict(source) for source in audit.sources],
        "recommendations": recommendations(audit),
        "changes": None if audit.changes is None else dict(audit.changes),
        "close": None if audit.close is None else dict(audit.close),
        "restatements": [dict(one) for one in audit.restatements],
        "boundaries": None if audit.boundaries is None else dict(audit.boundaries),
        "trend": [point.to_dict() for point in trend],
        "audit_id": str(audit.audit_id),
        "run_id": audit.run_id,
        "started_at": audit.started_at.isoformat(),
        "finished_at": audit.finished_at.isoformat(),
    }


def to_json(audit: Audit, *, trend: Sequence[TrendPoint] = ()) -> str:
    """The audit as JSON text, keys in a fixed order, one line break at the end.

    Shapes: what cannot be seen is written as its escape; reading it gives the same text back.
    """
    told = to_dict(audit, trend=trend)
    text = json.dumps(told, indent=2, ensure_ascii=False, default=str)
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


# --- CSV -----------------------------------------------------------------------------------------


def to_csv(audit: Audit) -> str:
    """All findings, one a line, with a header. Numbers stay numbers; no text starts a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_CSV_COLUMNS)
    for finding in audit.findings:
        known = _row(finding)
        writer.writerow([csv_cell(known[name]) for name in _CSV_COLUMNS])
    return out.getvalue()


def _row(finding: Finding) -> dict[str, Any]:
    evidence, decided = finding.evidence, finding.suppression or {}
    return finding.to_dict() | {
        "section": CODES[finding.code].section,
        "impacts": finding.impacts_in_words,
        "also": " ".join(finding.also),
        "repair": evidence.get("repair"),
        "suppressed_until": decided.get("until"),
        "suppressed_by": decided.get("by"),
        "suppressed_reason": decided.get("reason"),
        "booked": _compact(evidence.get("booked")),
        "stripe": _compact(evidence.get("stripe")),
        "delivery": _compact(evidence.get("delivery")),
        "link": evidence.get("link"),
    }


def csv_cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula; undo it by dropping one leading quote mark.

    Blanks and characters that nobody sees, which some spreadsheets skip, do not hide a formula.
    Shapes: None is empty; a number stays a number.
    """
    if value is None:
        return ""
    if isinstance(value, int | float):
        return value
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) or _starts_hidden(text) else text


def _starts_hidden(text: str) -> bool:
    seen = next((c for c in text if unicodedata.category(c)[0] not in "CZ"), "")
    return not text.startswith(seen) and seen.startswith(_FORMULA)


def _compact(value: Any) -> str:
    return "" if value is None else json.dumps(value, default=str, separators=(",", ":"))
