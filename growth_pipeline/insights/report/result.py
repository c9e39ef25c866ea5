"""What a weekly growth report holds, before any face of it is written. Pure.

Contract: docs/insights.md, "The report".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from growth_pipeline.insights.claims import Claim, Prediction, Refused, Severity
from growth_pipeline.insights.facts import Digest, Direction, Group, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUse:
    """What the model was asked for one report. `cost_usd`: None where usage is not known.

    `from_cache`: the answer to the same question was there; nothing was asked.
    """

    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    seconds: float
    from_cache: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """A prediction of an earlier report whose week is over.

    `grade`: held, did not hold, or cannot be told.
    """

    report_id: str
    prediction: Prediction
    week_start: date
    value_then: Value
    value_now: Value
    came: Direction
    grade: str


@dataclass(frozen=True, kw_only=True)
class WeeklyReport:
    """One report. `claims`: what is published, the gravest first within a group.

    `why_no_model`: empty where the model wrote too; else one sentence of our own words.
    """

    report_id: str
    digest: Digest
    claims: tuple[Claim, ...]
    refused: tuple[Refused, ...]
    predictions: tuple[Prediction, ...]
    graded: tuple[Graded, ...]
    why_no_model: str
    use: ModelUse | None
    made_at: datetime

    @property
    def written_by(self) -> str:
        """Who wrote its claims: "rules", or "rules and model"."""
        return "rules" if self.why_no_model else "rules and model"

    def of_group(self, group: Group) -> list[Claim]:
        """Published claims of a group, the gravest first."""
        order = list(Severity)
        claims = [claim for claim in self.claims if claim.group is group]
        return sorted(claims, key=lambda claim: order.index(claim.severity))
