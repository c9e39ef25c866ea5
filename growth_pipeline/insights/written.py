"""A weekly report as it was written, judged before anybody is told of it. Pure.

Contract: docs/insights.md, "Checks".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from growth_pipeline.insights.facts import State
from growth_pipeline.insights.figures import all_figures
from growth_pipeline.insights.report.judge import check_figures
from growth_pipeline.insights.report.result import WeeklyReport
from growth_pipeline.insights.verifier.verify import verify


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is wrong with a written report, by check; sentences. Counts of what was looked at."""

    wrong_figures: Sequence[str]
    unsupported: Sequence[str]
    stale: Sequence[str]
    figures: int
    facts: int
    published: int
    refused: int

    @property
    def may_be_told(self) -> bool:
        """Whether nothing that it says is wrong; what is not known yet is no fault of its words."""
        return not self.wrong_figures and not self.unsupported


def judge_written(report: WeeklyReport, faces: Mapping[str, str]) -> Judged:
    """Judge the faces as texts, and each published claim once more by itself.

    `faces`: format -> text, of those that people or machines read (md, json).
    """
    digest = report.digest
    wrong = check_figures(report, markdown=faces["md"], document=faces["json"])
    unsupported = [
        f"{claim.claim_id}: {reason}" for claim in report.claims for reason in verify(claim, digest)
    ]
    stale = [
        f"{fact.fact_id}: {fact.series.last.reason or 'not known yet'}"
        for fact in digest.facts
        if fact.series.last.state is State.OPEN
    ]
    return Judged(
        wrong_figures=wrong,
        unsupported=unsupported,
        stale=stale,
        figures=len(all_figures(digest)),
        facts=len(digest.facts),
        published=len(report.claims),
        refused=len(report.refused),
    )
