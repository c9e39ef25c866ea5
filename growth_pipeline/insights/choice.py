"""Which model may add words to a report, or why none does."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from growth_pipeline.insights.writer.client import AnthropicModel
from growth_pipeline.insights.writer.write import Limits

if TYPE_CHECKING:
    from pydantic import SecretStr

    from growth_pipeline.insights.writer.model import Model


class ModelSettings(Protocol):
    """What is configured of the model; `InsightSettings` in production."""

    anthropic_api_key: SecretStr | None
    anthropic_api_base: str
    allow_loopback: bool
    model: str
    max_output_tokens: int
    max_input_tokens: int
    input_usd_per_million: float
    output_usd_per_million: float
    max_cost_usd: float


@dataclass(frozen=True)
class ModelChoice:
    """The model that may add words, its limits; without a model `why_not` says why."""

    model: Model | None
    limits: Limits
    why_not: str = ""


def choose_model(settings: ModelSettings) -> ModelChoice:
    """Claude as the settings have it, or why it is not asked."""
    limits = Limits(
        max_output_tokens=settings.max_output_tokens,
        max_input_tokens=settings.max_input_tokens,
        input_usd_per_million=Decimal(str(settings.input_usd_per_million)),
        output_usd_per_million=Decimal(str(settings.output_usd_per_million)),
        max_cost_usd=Decimal(str(settings.max_cost_usd)),
    )
    if settings.anthropic_api_key is None:
        why = "Claude was not asked: no key is set (GROWTH_INSIGHTS__ANTHROPIC_API_KEY)."
        return ModelChoice(None, limits, why)
    if not settings.max_cost_usd:
        return ModelChoice(
            None, limits, "Claude was not asked: GROWTH_INSIGHTS__MAX_COST_USD is 0."
        )
    model = AnthropicModel(
        settings.model,
        settings.anthropic_api_key,
        settings.anthropic_api_base,
        allow_loopback=settings.allow_loopback,
    )
    return ModelChoice(model, limits)
