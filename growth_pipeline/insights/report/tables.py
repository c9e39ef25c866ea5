"""The weekly report as machines read it: JSON with everything, CSV with a line a fact. Pure.

Figures in words come from `figures.py`; exact values stand beside them, decimals as text.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any, Final

from growth_pipeline.audit.report.tables import csv_cell
from growth_pipeline.insights.claims import Claim, Refused
from growth_pipeline.insights.facts import Fact, plain
from growth_pipeline.insights.figures import (
    all_figures,
    figure,
    references,
    render_statement,
)
from growth_pipeline.insights.predictions import share_held
from growth_pipeline.insights.report.choice import first_claims, left_out, sayable
from growth_pipeline.insights.report.page import title_of
from growth_pipeline.insights.report.page_how import reasons_of
from growth_pipeline.insights.report.result import WeeklyReport
from growth_pipeline.insights.report.wording import advice_of

DEFINITION: Final = "weekly_growth_report@1"
# What nobody sees, what a browser would read as markup if the text lay in a page, and halves of
# pairs: JSON has escapes for them.
_ESCAPED: Final = re.compile(
    r"[<>&\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    r"\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_BASIC_PLANE: Final = 0xFFFF
CSV_COLUMNS: Final = (
    "fact_id",
    "group",
    "label",
    "name",
    "unit",
    "currency",
    "period_start",
    "period_end",
    "state",
    "value",
    "sample",
    "before",
    "change",
    "percent",
    "direction",
    "usual",
    "usual_change",
    "usual_percent",
    "usual_direction",
    "trend",
    "reason",
    "source",
    "as_of",
)


# --- JSON ----------------------------------------------------------------------------------------


def to_dict(report: WeeklyReport) -> dict[str, Any]:
    """The report as `growth insights --json` prints it. Units: minor units; instants ISO in UTC.

    What a claim says stands as it was written, as it reads with its figures, and with each figure
    by its reference. What was refused is never shown, only why.
    """
    digest = report.digest
    held, told = share_held(report.graded)
    return {
        "metric": "weekly_growth_report",
        "definition": DEFINITION,
        "report_id": report.report_id,
        "title": title_of(report),
        "week_start": digest.week_start.isoformat(),
        "week_end": digest.week_end.isoformat(),
        "weeks": digest.weeks,
        "made_at": report.made_at.isoformat(),
        "written_by": report.written_by,
        "why_no_model": report.why_no_model,
        "first": [claim.claim_id for claim in first_claims(report)],
        "claims": [_claim(report, one) for one in sayable(report)],
        "left_out": len(left_out(report)),
        "refused": [_refused(report, one) for one in report.refused],
        "predictions": plain(report.predictions),
        "graded": plain(report.graded),
        "predictions_held": held,
        "predictions_told": told,
        "model": None if report.use is None else plain(asdict(report.use)),
        "digest_sha256": digest.sha256,
        "figures": all_figures(digest),
        "digest": digest.to_dict(),
    }


def to_json(report: WeeklyReport) -> str:
    """The report as JSON text, keys in a fixed order, one line break at the end.

    Shapes: what cannot be seen, or a page could take for markup, is written as its escape; reading
    it gives the same text back.
    """
    text = json.dumps(to_dict(report), indent=2, ensure_ascii=False, default=str)
    return _ESCAPED.sub(_escape, text) + "\n"


def _claim(report: WeeklyReport, claim: Claim) -> dict[str, Any]:
    facts = report.digest.by_id
    return {
        "claim_id": claim.claim_id,
        "group": str(claim.group),
        "kind": str(claim.kind),
        "severity": str(claim.severity),
        "written_by": claim.written_by,
        "rule": claim.rule,
        "text": claim.text,
        "rendered": render_statement(claim.text, facts),
        "references": [
            {
                "fact_id": one.fact_id,
                "field": one.field,
                "text": figure(facts, one.fact_id, one.field),
            }
            for one in references(claim.text)
        ],
        "facts": list(claim.facts),
        "recommendation": advice_of(claim),
    }


def _refused(report: WeeklyReport, refused: Refused) -> dict[str, Any]:
    claim = refused.claim
    return {
        "group": str(claim.group),
        "kind": str(claim.kind),
        "written_by": claim.written_by,
        "rule": claim.rule,
        "reasons": reasons_of(report, refused),
    }


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code <= _BASIC_PLANE:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


# --- CSV -----------------------------------------------------------------------------------------


def to_csv(report: WeeklyReport) -> str:
    """All facts, one a line, with a header. Numbers stay numbers; no text starts a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(CSV_COLUMNS)
    for fact in report.digest.facts:
        row = _row(fact)
        writer.writerow([_cell(row[name]) for name in CSV_COLUMNS])
    return out.getvalue()


def _row(fact: Fact) -> Mapping[str, Any]:
    series, last, before, usual = fact.series, fact.series.last, fact.before, fact.usual
    return {
        "fact_id": fact.fact_id,
        "group": str(series.group),
        "label": series.label,
        "name": series.name,
        "unit": str(series.unit),
        "currency": series.currency,
        "period_start": last.start.isoformat(),
        "period_end": last.end.isoformat(),
        "state": str(last.state),
        "value": fact.value,
        "sample": last.sample,
        "before": before.baseline,
        "change": before.change,
        "percent": before.percent,
        "direction": str(before.direction),
        "usual": usual.baseline,
        "usual_change": usual.change,
        "usual_percent": usual.percent,
        "usual_direction": str(usual.direction),
        "trend": str(fact.trend.direction) if fact.trend else None,
        "reason": last.reason,
        "source": series.source.table,
        "as_of": series.source.as_of.isoformat() if series.source.as_of else None,
    }


def _cell(value: object) -> object:
    return f"{value:f}" if isinstance(value, Decimal) else csv_cell(value)
