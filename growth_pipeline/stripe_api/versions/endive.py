"""Versions since 2026-09-30.endive: pauses say why, trials belong to items.

Source: types of stripe-python 16.1 against those of 15.3; Stripe's changelog was not read.
"""

from __future__ import annotations

from growth_pipeline.stripe_api.versions.adapter import Object, field_of
from growth_pipeline.stripe_api.versions.clover import Dahlia


class Endive(Dahlia):
    """2026-09-30.endive and the releases of its name."""

    def trial_of(self, subscription: Object, item: Object) -> tuple[int, int] | None:
        """`item.current_trial`, else the trial of the whole subscription."""
        trial = item.get("current_trial")
        if trial is None:
            return super().trial_of(subscription, item)
        begin = int(field_of(trial, "start_date", self.api_version))
        return begin, int(field_of(trial, "end_date", self.api_version))

    def paused_reason_of(self, subscription: Object) -> str | None:
        """`status_details.paused.subscription.type` of a paused subscription, else None.

        `status_details` may be null; then the reason is not told, and not guessed.
        """
        if field_of(subscription, "status", self.api_version) != "paused":
            return None
        paused = (subscription.get("status_details") or {}).get("paused")
        if paused is None:
            return None
        cause = field_of(paused, "subscription", self.api_version)
        return str(field_of(cause, "type", self.api_version))
