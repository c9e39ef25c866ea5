"""The form of an answer: the JSON schema that the API holds the model to, and the strict reading.

The API knows no lengths and no counts, so those are checked when the answer is read. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from growth_pipeline.insights.claims import ClaimKind, Severity
from growth_pipeline.insights.facts import Group

LONGEST_TEXT: Final = 600
LONGEST_RECOMMENDATION: Final = 300
MOST_FACTS: Final = 12


class AnswerError(ValueError):
    """The answer is not what was asked for. The sentence holds no word of it."""


class ClaimAnswer(BaseModel):
    """One claim as the model wrote it, with fact ids as they were sent."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    group: Group
    kind: ClaimKind
    text: str
    facts: list[str]
    severity: Severity
    recommendation: str

    @property
    def oversize(self) -> str:
        """Why it is longer than a claim may be; empty if it is not."""
        if len(self.text) > LONGEST_TEXT:
            return f"its text is longer than {LONGEST_TEXT} characters"
        if len(self.recommendation) > LONGEST_RECOMMENDATION:
            return f"its recommendation is longer than {LONGEST_RECOMMENDATION} characters"
        if len(self.facts) > MOST_FACTS:
            return f"it names more than {MOST_FACTS} facts"
        return ""


class PredictionAnswer(BaseModel):
    """One prediction as the model wrote it."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    fact_id: str
    direction: Literal["up", "down", "flat"]


class AnswerDocument(BaseModel):
    """A whole answer."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    claims: list[ClaimAnswer]
    predictions: list[PredictionAnswer]


def read_answer(text: str) -> AnswerDocument:
    """The answer in a text, if it is exactly of the form that was asked for.

    Raises: AnswerError.
    """
    try:
        answer = AnswerDocument.model_validate_json(text)
    except (ValidationError, UnicodeError, RecursionError):
        raise AnswerError("it is not JSON of the form that was asked for") from None
    if any(_holds_nul(claim) for claim in answer.claims):
        raise AnswerError("it holds characters that no text has")
    return answer


def _holds_nul(claim: ClaimAnswer) -> bool:
    """Postgres keeps no NUL, so a claim that holds one could not even be stored as refused."""
    return any("\x00" in text for text in (claim.text, claim.recommendation, *claim.facts))


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _one_of(*words: str) -> dict[str, Any]:
    return {"enum": list(words)}


_TEXT: Final[Mapping[str, Any]] = {"type": "string"}

ANSWER_SCHEMA: Final[Mapping[str, Any]] = _object(
    claims={
        "type": "array",
        "items": _object(
            group=_one_of(*Group),
            kind=_one_of(*ClaimKind),
            text=_TEXT,
            facts={"type": "array", "items": _TEXT},
            severity=_one_of(*Severity),
            recommendation=_TEXT,
        ),
    },
    predictions={
        "type": "array",
        "items": _object(fact_id=_TEXT, direction=_one_of("up", "down", "flat")),
    },
)
