"""Claims: statements of a report, each with the facts it rests on. Pure.

A statement is words with references to figures, `{mrr.usd:size}`; it holds no digit. Whoever wrote
it, a rule or the model, the figures come from the digest when it is rendered (`figures.py`), and it
is published only if the verifier finds it supported. Contract: docs/insights.md, "Claims".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from growth_pipeline.insights.facts import Direction, Group

Author = Literal["rule", "model"]
# Which figures of a fact a direction is about: against the period before, against the mean of the
# four before, or along the trend.
Baseline = Literal["before", "usual", "trend"]


class ClaimKind(StrEnum):
    """What a statement does. Only a driver may say why something moved."""

    OBSERVATION = "observation"
    DRIVER = "driver"
    RECOMMENDATION = "recommendation"


class Severity(StrEnum):
    """How much a claim asks of its reader; `GOOD` asks for nothing."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"
    GOOD = "GOOD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One statement.

    `text`: words and references `{fact_id:field}`; fields are those of `figures.FIELDS`.
    `recommendation`: what to do, in words without figures; may be empty. `rule`: id of the rule
    that wrote it; empty for the model's.
    """

    claim_id: str
    group: Group
    kind: ClaimKind
    text: str
    facts: tuple[str, ...]
    severity: Severity = Severity.LOW
    recommendation: str = ""
    written_by: Author = "rule"
    rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a fact is expected to do in the next week; graded when that week is over.

    `direction`: up, down or flat against the week it was made in.
    """

    fact_id: str
    direction: Direction
    written_by: Author


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A claim that is not published, and why: one sentence for each rule it breaks."""

    claim: Claim
    reasons: tuple[str, ...]
