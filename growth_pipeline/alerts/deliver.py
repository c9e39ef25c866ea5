"""Sends what waits in the outbox, channel by channel; a dead channel never stops another.

An alert is claimed and committed before the call, so a call whose answer is lost is `unknown`
and is never made again by itself: a channel that can be read back settles it, others keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from growth_pipeline.core.errors import GrowthError

CALLS_A_DELIVERY = 20
CLAIM_LEASE = timedelta(minutes=10)


class ChannelRefusedError(GrowthError):
    """The channel certainly did not take the alert; sending it again later is safe.

    `blocks_channel` is False when only this alert is at fault and the next may go through.
    """

    retryable = True

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        retryable: bool | None = None,
        blocks_channel: bool = True,
    ) -> None:
        super().__init__(message, remedy=remedy, retryable=retryable)
        self.blocks_channel = blocks_channel


class OutcomeUnknownError(GrowthError):
    """The answer of the channel was lost: the alert may have arrived."""


@dataclass(frozen=True)
class WaitingAlert:
    """One claimed row of the outbox. `known_as`: the channel's name of the fingerprint's thread."""

    alert_id: int
    alert_key: str
    kind: str
    fingerprint: str
    title: str
    body: str
    known_as: str | None = None


class Channel(Protocol):
    """Where alerts go: the log, Slack, GitHub."""

    @property
    def name(self) -> str:
        """Name of the channel in the outbox."""

    @property
    def batch(self) -> int:
        """How many alerts one call may carry."""

    def send(self, alerts: Sequence[WaitingAlert]) -> str | None:
        """Send; returns the channel's name of what was made, for later calls.

        Raises: ChannelRefusedError (certainly not sent), OutcomeUnknownError.
        """

    def find(self, alert: WaitingAlert) -> str | None:
        """Name of what an earlier call of unknown outcome made; None: it made nothing.

        Raises: OutcomeUnknownError when the channel cannot be read back.
        """


class Outbox(Protocol):
    """The rows this module moves; `alerts.store.AlertStore` in production."""

    def expire_claims(self, *, before: datetime) -> int:
        """Claims of deliverers that died become `unknown`."""

    def claim(
        self, channel: str, limit: int, *, now: datetime, without: Sequence[int]
    ) -> list[WaitingAlert]:
        """Oldest waiting alerts of a channel, now `sending`."""

    def unknown(self, channel: str) -> list[WaitingAlert]:
        """Alerts of a channel whose outcome is unknown."""

    def mark_sent(self, ids: Sequence[int], external_id: str | None, *, now: datetime) -> None:
        """The channel took them."""

    def mark_waiting(self, ids: Sequence[int], error: str) -> None:
        """They were certainly not sent."""

    def mark_unknown(self, ids: Sequence[int], error: str) -> None:
        """They may have been sent."""


@dataclass
class Delivered:
    """Counts of alerts per outcome, and the first error of each channel that had one."""

    sent: int = 0
    waiting: int = 0
    unknown: int = 0
    errors: dict[str, GrowthError] = field(default_factory=dict)


def deliver(
    outbox: Outbox, channels: Sequence[Channel], *, clock: Callable[[], datetime]
) -> Delivered:
    """Send what waits. Raises nothing for a channel's fault: see `Delivered.errors`."""
    delivered = Delivered()
    outbox.expire_claims(before=clock() - CLAIM_LEASE)
    for channel in channels:
        _settle_unknown(outbox, channel, clock)
        _send_waiting(outbox, channel, clock, delivered)
        delivered.unknown += len(outbox.unknown(channel.name))
    return delivered


def _settle_unknown(outbox: Outbox, channel: Channel, clock: Callable[[], datetime]) -> None:
    for alert in outbox.unknown(channel.name):
        try:
            made = channel.find(alert)
        except (OutcomeUnknownError, ChannelRefusedError):
            return
        if made is None:
            outbox.mark_waiting([alert.alert_id], "an earlier call made nothing")
        else:
            outbox.mark_sent([alert.alert_id], made, now=clock())


def _send_waiting(
    outbox: Outbox, channel: Channel, clock: Callable[[], datetime], delivered: Delivered
) -> None:
    tried: list[int] = []
    for _ in range(CALLS_A_DELIVERY):
        alerts = outbox.claim(channel.name, channel.batch, now=clock(), without=tried)
        if not alerts:
            return
        ids = [alert.alert_id for alert in alerts]
        tried += ids
        try:
            made = channel.send(alerts)
        except ChannelRefusedError as error:
            outbox.mark_waiting(ids, error.message)
            delivered.waiting += len(ids)
            delivered.errors.setdefault(channel.name, error)
            if error.blocks_channel:
                return
        except OutcomeUnknownError as error:
            outbox.mark_unknown(ids, error.message)
            delivered.errors.setdefault(channel.name, error)
            return
        else:
            outbox.mark_sent(ids, made, now=clock())
            delivered.sent += len(ids)
