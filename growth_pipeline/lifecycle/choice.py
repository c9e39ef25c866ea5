"""Settings as what lifecycle works with: rules, sending policy, and whether and how Kit is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import time
from typing import TYPE_CHECKING, Protocol

from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.periods import zone_of
from growth_pipeline.lifecycle.journeys.model import SendingPolicy
from growth_pipeline.lifecycle.rules import LifecycleRules
from growth_pipeline.revenue.publish import policies_of

if TYPE_CHECKING:
    from pydantic import SecretStr

    from growth_pipeline.lifecycle.kit.client import KitClient
    from growth_pipeline.lifecycle.outbox.send import SendLimits
    from growth_pipeline.storage.postgres import Database


class Given(Protocol):
    """What is configured; `LifecycleSettings` in production."""

    features: list[str]
    activation: list[str]
    cap_messages: int
    cap_days: int
    quiet_from: time
    quiet_until: time
    kit_api_key: SecretStr | None
    kit_api_base: str
    kit_create: bool
    allow_loopback: bool
    max_bounce_rate: float
    max_complaint_rate: float


@dataclass(frozen=True)
class HealthLimits:
    """Shares of bounces and complaints above which a check fails, and the cap that must hold."""

    max_bounce_rate: float = 0.02
    max_complaint_rate: float = 0.001
    cap_messages: int = 2
    cap_days: int = 7


@dataclass(frozen=True)
class KitChoice:
    """Whether messages are sent, and with which key; `why_not` says why they are not."""

    send: bool
    key: str = field(default="", repr=False)
    base: str = ""
    may_create: bool = False
    allow_loopback: bool = False
    why_not: str = ""

    @contextmanager
    def client(self, database: Database) -> Iterator[KitClient]:
        """A client of the account. Raises: UsageError without a key."""
        from growth_pipeline.lifecycle.kit.client import KitClient
        from growth_pipeline.lifecycle.kit.gate import KitGate

        if not self.key:
            raise UsageError("Kit has no key", remedy="set GROWTH_LIFECYCLE__KIT_API_KEY")
        with KitClient(
            self.key, KitGate(database), base=self.base, allow_loopback=self.allow_loopback
        ) as client:
            yield client

    def limits(self) -> SendLimits:
        """Bounds of one run of sending."""
        from growth_pipeline.lifecycle.outbox.send import SendLimits

        return SendLimits(may_create=self.may_create)


def rules_of(given: Given, *, tz: str, policies: Sequence[str]) -> LifecycleRules:
    """Rules of the facts. Raises: UsageError for an unknown policy."""
    policy = policies_of(policies)[0]
    return LifecycleRules(tz, tuple(given.features), tuple(given.activation), policy)


def sending_policy_of(given: Given, *, tz: str) -> SendingPolicy:
    """Cap and quiet hours."""
    zone_of(tz)
    return SendingPolicy(
        given.cap_messages, given.cap_days, given.quiet_from, given.quiet_until, tz
    )


def health_limits_of(given: Given) -> HealthLimits:
    """What checks hold the outbox against."""
    return HealthLimits(
        given.max_bounce_rate, given.max_complaint_rate, given.cap_messages, given.cap_days
    )


def choose_kit(given: Given, *, send: bool) -> KitChoice:
    """Kit as the settings have it, or why nothing is sent."""
    key = given.kit_api_key.get_secret_value() if given.kit_api_key else ""
    why = ""
    if not send:
        why = "nothing is sent until GROWTH_LIFECYCLE_SEND=true"
    elif not key:
        why = "nothing is sent without GROWTH_LIFECYCLE__KIT_API_KEY"
    return KitChoice(
        send=not why,
        key=key,
        base=given.kit_api_base,
        may_create=given.kit_create,
        allow_loopback=given.allow_loopback,
        why_not=why,
    )
