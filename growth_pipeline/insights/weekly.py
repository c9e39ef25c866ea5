"""One weekly growth report from end to end: facts, claims by rules, words by Claude, grades.

No figure is made here and none comes from the model: a report without it is complete.
Contract: docs/insights.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from growth_pipeline.insights.claims import Claim, Prediction, Refused
from growth_pipeline.insights.facts import Digest, plain
from growth_pipeline.insights.predictions import Made, expected, grade
from growth_pipeline.insights.report.result import WeeklyReport
from growth_pipeline.insights.rules import claims_of
from growth_pipeline.insights.verifier.verify import sift

if TYPE_CHECKING:
    from growth_pipeline.insights.writer.write import Written

Tell = Callable[[str], None]
Write = Callable[[Digest], "Written"]


class Past(Protocol):
    """What is asked of earlier reports; `InsightStore` in production."""

    def digest_before(self, week_end: date) -> Mapping[str, Any] | None:
        """The newest digest of an earlier week."""
        ...

    def predictions_of(self, week_start: date) -> Sequence[Made]:
        """What was expected of a week before it began."""
        ...


@dataclass(frozen=True)
class _Words:
    claims: tuple[Claim, ...]
    refused: tuple[Refused, ...]
    predictions: tuple[Prediction, ...]


def write_report(
    digest: Digest,
    *,
    past: Past,
    write: Write | None,
    why_no_model: str = "",
    now: datetime,
    tell: Tell = lambda _: None,
) -> WeeklyReport:
    """The report on a digest.

    `write`: asks the model for claims; None: the rules alone write, and `why_no_model` says why.
    Everything that is said, by whomever, passed the verifier.
    Raises: RemoteUnavailableError when earlier reports cannot be read.
    """
    ruled, refused = sift(claims_of(digest), digest)
    words = _Words(tuple(ruled), tuple(refused), expected(digest))
    use = None
    if write is not None:
        tell("asking the model for words")
        written = write(digest)
        use, why_no_model = written.use, written.why_not
        words = _Words(
            (*words.claims, *written.claims),
            (*words.refused, *written.refused),
            (*words.predictions, *written.predictions),
        )
        tell(why_no_model or f"{len(written.claims)} claims of the model are supported")
    return WeeklyReport(
        report_id=report_id(digest, words.claims),
        digest=digest,
        claims=words.claims,
        refused=words.refused,
        predictions=words.predictions,
        graded=grade(past.predictions_of(digest.week_start), digest),
        why_no_model=why_no_model,
        use=use,
        made_at=now,
    )


def report_id(digest: Digest, claims: Sequence[Claim]) -> str:
    """Name of a report: its week, and a hash of what it says. The same again is the same report."""
    said = orjson.dumps([digest.sha256, plain(claims)], option=orjson.OPT_SORT_KEYS)
    return f"{digest.week_start}-{hashlib.sha256(said).hexdigest()[:16]}"
