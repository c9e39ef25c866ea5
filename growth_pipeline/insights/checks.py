"""What must hold of a weekly growth report, as asset checks. Its rules are elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from growth_pipeline.insights.written import Judged

REPORT_KEY = dg.AssetKey(["insights", "weekly_report"])
FIGURES = "every_figure_equals_its_fact"
FRESH = "facts_are_fresh"
SUPPORTED = "claims_are_supported"
_EXAMPLES = 10
_TOLD = {
    FIGURES: "Every figure that the written report holds is the figure of its fact in the digest.",
    FRESH: "Everything that facts are read from is known up to the end of the week.",
    SUPPORTED: "The verifier finds every published claim supported by the facts.",
}

REPORT_CHECKS = [
    dg.AssetCheckSpec(name, asset=REPORT_KEY, description=told, blocking=name != FRESH)
    for name, told in _TOLD.items()
]


def check_report(judged: Judged) -> list[dg.AssetCheckResult]:
    """One result each. What is not fresh is a warning: the report says so itself."""
    facts = {
        FIGURES: {"figures": judged.figures},
        FRESH: {"facts": judged.facts, "unknown": len(judged.stale)},
        SUPPORTED: {"published": judged.published, "kept_out": judged.refused},
    }
    faults: Mapping[str, Sequence[str]] = {
        FIGURES: judged.wrong_figures,
        FRESH: judged.stale,
        SUPPORTED: judged.unsupported,
    }
    return [
        dg.AssetCheckResult(
            check_name=name,
            passed=not faults[name],
            severity=dg.AssetCheckSeverity.WARN if name == FRESH else dg.AssetCheckSeverity.ERROR,
            description="; ".join(faults[name][:_EXAMPLES]) or None,
            metadata={**facts[name], "faults": len(faults[name])},
        )
        for name in _TOLD
    ]
