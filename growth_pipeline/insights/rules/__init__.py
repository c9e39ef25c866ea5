"""Rules that make claims of a digest, without any model."""

from growth_pipeline.insights.rules.registry import RULES, claims_of

__all__ = ["RULES", "claims_of"]
