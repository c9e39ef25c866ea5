"""Under which rules facts are made of what was told: zone, key features, activation, MRR. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from growth_pipeline.core.ids import Scope
from growth_pipeline.lifecycle.scoring import ENGAGEMENT_1
from growth_pipeline.lifecycle.stages import STAGES_1
from growth_pipeline.revenue.policies import MrrPolicy


@dataclass(frozen=True)
class LifecycleRules:
    """What facts depend on beside the sources.

    `tz`: zone of all local days. `features`: events that are key features; `activation`: events
    that a user must have done, each once, to be activated; none: nobody is. `policy`: under which
    a customer has MRR.
    """

    tz: str
    features: tuple[str, ...]
    activation: tuple[str, ...]
    policy: MrrPolicy

    def fingerprint(self, scopes: Sequence[Scope]) -> str:
        """Hash of the rules and of whose they are; under another one, everything is read anew."""
        told = {
            "stages": STAGES_1,
            "engagement": ENGAGEMENT_1,
            "tz": self.tz,
            "features": sorted(self.features),
            "activation": sorted(self.activation),
            "policy": self.policy.resolved(),
            "scopes": sorted([scope.account_id, scope.livemode] for scope in scopes),
        }
        return hashlib.sha256(
            orjson.dumps(told, option=orjson.OPT_SORT_KEYS, default=str)
        ).hexdigest()
