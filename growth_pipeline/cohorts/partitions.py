"""Days as partitions of cohorts: those of activity, so that both are split alike."""

from __future__ import annotations

from growth_pipeline.events.partitions import daily_partitions

__all__ = ["daily_partitions"]
