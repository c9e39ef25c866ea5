"""What was asked and answered, kept so that no question is asked twice. Pure; kept by the store.

Contract: docs/insights.md, "Replay".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

import orjson

from growth_pipeline.insights.writer.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCall:
    """Grain: one request to the model. `request` and `response`: the bodies, without our key.

    `attempt`: 1 to 3 within one report. `outcome`: "answered", or the kind of failure.
    `cost_usd`: tokens times prices; None where usage is unknown.
    """

    cache_key: str
    attempt: int
    model: str
    asked_at: datetime
    seconds: float
    outcome: str
    request: Mapping[str, Any]
    response: Mapping[str, Any] | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None


class CallMemory(Protocol):
    """Where calls are kept."""

    def find(self, cache_key: str) -> Mapping[str, Any] | None:
        """Response of the first call of that key whose outcome was "answered", if any."""
        ...

    def store(self, call: StoredCall) -> None:
        """Keeps one call."""
        ...


def cache_key(question: Question, model: str) -> str:
    """Hash of everything that shapes an answer: digest as sent, prompt, schema and model.

    How long an answer may be is not in it: a whole answer is whole under any limit.
    """
    asked = {
        name: value for name, value in question.to_request(model).items() if name != "max_tokens"
    }
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()
