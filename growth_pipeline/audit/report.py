"""The audit as machines read it, JSON and CSV, and all faces as files. No number is made here.

The face for people is markdown.py's. Contract: docs/metrics.md, "Revenue audit".
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from typing import Any, Final, Protocol

from growth_pipeline.audit.audit import Audit
from growth_pipeline.audit.markdown import recommendations, to_markdown

__all__ = ["recommendations", "save_report", "to_csv", "to_dict", "to_json", "to_markdown"]

# What starts a formula in a spreadsheet, also in full width; and the mark that we put before it.
_FORMULA: Final = (*"=+-@\t\r\n'", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_CSV_COLUMNS: Final = (
    "severity",
    "code",
    "object",
    "object_id",
    "currency",
    "impact_minor",
    "also",
    "cause",
    "action",
    "command",
    "first_seen_at",
    "last_seen_at",
    "fingerprint",
    "booked",
    "stripe",
    "link",
)


# --- JSON ----------------------------------------------------------------------------------------


def to_dict(audit: Audit) -> dict[str, Any]:
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
        "tz": "UTC",
        "account_id": audit.scope.account_id,
        "livemode": audit.scope.livemode,
        "verdict": str(audit.verdict),
        "counts": audit.counts,
        "severities": audit.severities,
        "money_difference_minor": audit.money_difference,
        "impact_minor_by_code": audit.impact_by_code,
        "totals": {currency: one.to_dict() for currency, one in audit.totals.items()},
        "findings": [finding.to_dict() for finding in audit.findings],
        "sources": [dict(source) for source in audit.sources],
        "recommendations": recommendations(audit),
        "audit_id": str(audit.audit_id),
        "run_id": audit.run_id,
        "started_at": audit.started_at.isoformat(),
        "finished_at": audit.finished_at.isoformat(),
    }


def to_json(audit: Audit) -> str:
    """The audit as JSON text, keys in a fixed order, one line break at the end."""
    return json.dumps(to_dict(audit), indent=2, ensure_ascii=False, default=str) + "\n"


# --- CSV -----------------------------------------------------------------------------------------


def to_csv(audit: Audit) -> str:
    """All findings, one a line, with a header. Numbers stay numbers; no text starts a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_CSV_COLUMNS)
    for finding in audit.findings:
        known = finding.to_dict()
        evidence = finding.evidence
        known |= {
            "also": " ".join(finding.also),
            "booked": _compact(evidence.get("booked")),
            "stripe": _compact(evidence.get("stripe")),
            "link": evidence.get("link"),
        }
        writer.writerow([csv_cell(known[name]) for name in _CSV_COLUMNS])
    return out.getvalue()


def csv_cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula; undo it by dropping one leading quote mark.

    Shapes: None is empty; a number stays a number.
    """
    if value is None:
        return ""
    if isinstance(value, int | float):
        return value
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _compact(value: object) -> str:
    return "" if value is None else json.dumps(value, default=str, separators=(",", ":"))


# --- files ---------------------------------------------------------------------------------------


class ArtifactWriter(Protocol):
    """What is asked of the lake."""

    def put_artifact(self, path: str, data: bytes) -> Any:
        """Store a small file whole."""
        ...


def save_report(audit: Audit, lake: ArtifactWriter) -> dict[str, str]:
    """Write the report's faces into the lake; path by face ("md", "json", "csv").

    A file's name is the hash of its content, so the same audit writes the same files.
    Raises: LakeWriteError.
    """
    scope = audit.scope
    folder = f"reports/audit/{scope.account_id}/{scope.mode}/{audit.month}"
    faces = {"md": to_markdown(audit), "json": to_json(audit), "csv": to_csv(audit)}
    paths = {}
    for ending, text in faces.items():
        data = text.encode("utf-8", "replace")
        paths[ending] = f"{folder}/{hashlib.sha256(data).hexdigest()}.{ending}"
        lake.put_artifact(paths[ending], data)
    return paths
