"""Whether a written report says only what its digest says: its faces read back as texts. Pure.

Nothing of what builds the page is used here but the heads of its tables: claims are filled in once
more from the digest, each cell of a table is compared with the figure of its column, and no number
may stand anywhere else but in what a report is allowed to name. Contract: docs/insights.md,
"Checks".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from growth_pipeline.insights.facts import plain
from growth_pipeline.insights.figures import (
    UnknownReferenceError,
    all_figures,
    figure,
    references,
    render_statement,
)
from growth_pipeline.insights.report.judge_page import page_faults
from growth_pipeline.insights.report.result import WeeklyReport

_DIGIT: Final = re.compile(r"\d")


def check_figures(report: WeeklyReport, *, markdown: str, document: str) -> list[str]:
    """What is wrong with the figures of a written report, one sentence each; none if nothing is.

    `markdown`, `document`: the Markdown and the JSON face as they were written.
    """
    try:
        told = json.loads(document)
    except ValueError:
        return ["the JSON face is no JSON"]
    return [*_document_faults(report, told), *page_faults(report, told, markdown)]


def _document_faults(report: WeeklyReport, told: Mapping[str, Any]) -> Iterator[str]:
    digest = report.digest
    for name, known in _known_parts(report).items():
        if told.get(name) != json.loads(orjson.dumps(known)):
            yield f"JSON: {name} is not that of the report"
    figures = all_figures(digest)
    for name, text in told.get("figures", {}).items():
        if figures.get(name) != text:
            yield f"JSON: {name} is {text!r}, the fact says {figures.get(name)!r}"
    published = {claim.claim_id: claim for claim in report.claims}
    shown = [one.get("claim_id") for one in told.get("claims", [])]
    yield from (
        f"claim {one} is not shown as it is written" for one in published if one not in shown
    )
    for one in told.get("claims", []):
        claim = published.get(one.get("claim_id"))
        if claim is None or claim.text != one.get("text"):
            yield f"claim {one.get('claim_id')}: it is not one of the report"
        else:
            yield from _claim_faults(report, one)


def _known_parts(report: WeeklyReport) -> dict[str, Any]:
    """What the JSON face takes from the report as it is."""
    digest = report.digest
    return {
        "report_id": report.report_id,
        "week_start": digest.week_start,
        "week_end": digest.week_end,
        "weeks": digest.weeks,
        "made_at": report.made_at.isoformat(),
        "predictions": plain(report.predictions),
        "graded": plain(report.graded),
        "model": plain(report.use),
        "digest_sha256": digest.sha256,
        "digest": digest.to_dict(),
    }


def _claim_faults(report: WeeklyReport, one: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a claim: filled in again from the digest, reference by reference."""
    facts, name = report.digest.by_id, one["claim_id"]
    try:
        again = render_statement(one["text"], facts)
        listed = [
            (r.fact_id, r.field, figure(facts, r.fact_id, r.field)) for r in references(one["text"])
        ]
    except UnknownReferenceError as error:
        yield f"claim {name}: {error}"
        return
    if one["rendered"] != again:
        yield f"claim {name}: it reads {one['rendered']!r}, the facts say {again!r}"
    if [(r["fact_id"], r["field"], r["text"]) for r in one["references"]] != listed:
        yield f"claim {name}: its references are not those of its text"
    free = re.sub(r"\{[^{}]*\}", "", one["text"])
    if _DIGIT.search(free) or _DIGIT.search(one.get("recommendation") or ""):
        yield f"claim {name}: it holds a number of its own"
