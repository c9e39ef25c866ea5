"""What is asked of a model and what may come of it: an answer, or a failure in our own words. Pure.

Who asks Claude is client.py. Contract: docs/insights.md, "What the model is asked".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a question: `role` is "user" or "assistant"."""

    role: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Everything that a model is sent but its own name and our key."""

    system: str
    turns: tuple[Turn, ...]
    schema: Mapping[str, Any]
    max_tokens: int

    def to_request(self, model: str) -> dict[str, Any]:
        """The body of the request, as the Messages API takes it.

        No tools and no temperature: current models refuse one, and nothing here needs the other.
        """
        return {
            "model": model,
            "max_tokens": self.max_tokens,
            "system": self.system,
            "messages": [{"role": turn.role, "content": turn.text} for turn in self.turns],
            "output_config": {"format": {"type": "json_schema", "schema": dict(self.schema)}},
        }


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer, as it told them; thinking is among the output."""

    input_tokens: int
    output_tokens: int


class Outcome(StrEnum):
    """What came of one request."""

    ANSWERED = "answered"
    RATE_LIMIT = "rate limit"
    SPEND_LIMIT = "spend limit"
    KEY = "key refused"
    MODEL = "model unknown"
    REQUEST = "question refused"
    TOO_LONG = "question too long"
    SERVER = "server error"
    TIMEOUT = "too slow"
    CONNECTION = "connection broke"
    ADDRESS = "address refused"
    TOO_LARGE = "answer too large"
    BODY = "answer unreadable"
    REFUSED = "refused"
    CUT = "answer cut"
    EMPTY = "answer empty"
    WRONG = "answer not as asked"
    LIMIT = "limit of ours"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer that is whole. `response`: its body as it was received."""

    text: str
    usage: Usage | None
    stop_reason: str
    response: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """No answer that can be used.

    `message`: one sentence of ours, without a word of the server's. `retry_after`: seconds that the
    server asked to wait. `may_cost`: whether tokens may be charged though none were told.
    """

    outcome: Outcome
    message: str
    retryable: bool = False
    retry_after: float | None = None
    may_cost: bool = False
    usage: Usage | None = None
    response: Mapping[str, Any] | None = None


class Model(Protocol):
    """Whoever can be asked. `ask` raises nothing and is done within `seconds`."""

    @property
    def name(self) -> str:
        """Id of the model."""
        ...

    def ask(self, question: Question, *, seconds: float) -> Answered | Failure:
        """What came of one request."""
        ...


def texts_of(content: Sequence[Mapping[str, Any]]) -> str:
    """Text of an answer: its text blocks joined; thinking and everything else is left out."""
    return "".join(
        block["text"]
        for block in content
        if block.get("type") == "text" and isinstance(block.get("text"), str)
    )
