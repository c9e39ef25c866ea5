"""What a rule is. Pure.

A rule speaks only where the facts have a direction: noise bounds are those of `change.py`.
Contract: docs/insights-rules.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from growth_pipeline.insights.claims import Claim, ClaimKind, Severity
from growth_pipeline.insights.facts import Digest, Fact, Group

Speak: TypeAlias = Callable[["Rule", Digest], Iterator[Claim]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule. `what`: its exact condition in words; `recommendation`: what to do about it."""

    rule_id: str
    group: Group
    severity: Severity
    what: str
    recommendation: str
    speak: Speak

    def claims(self, digest: Digest) -> list[Claim]:
        """What it says of a digest; mostly nothing."""
        return list(self.speak(self, digest))

    def claim(self, fact: Fact, text: str, *drivers: str, is_soft: bool = False) -> Claim:
        """A statement of this rule about a fact, and the drivers that it names.

        `is_soft`: told in the lowest severity and without advice, as it may be no news.
        """
        return Claim(
            claim_id=f"{self.rule_id}:{fact.fact_id}",
            group=self.group,
            kind=ClaimKind.DRIVER if drivers else ClaimKind.OBSERVATION,
            text=text,
            facts=(fact.fact_id, *drivers),
            severity=Severity.LOW if is_soft else self.severity,
            recommendation="" if is_soft else self.recommendation,
            rule=self.rule_id,
        )
