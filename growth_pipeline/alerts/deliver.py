"""Sends what waits in the outbox, channel by channel; a dead channel never stops another.

An alert is claimed and committed before the call, so a call whose answer is lost is `unknown` and
is never made again as if nothing had happened: a channel that can be read back settles it, and one
that cannot is told later that an answer was lost, with the alerts it carried.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.limits import Rates

CALLS_A_DELIVERY = 40
CLAIM_LEASE = timedelta(minutes=10)
# What a channel is asked for may take effect after our patience with its answer has ended. Read
# back sooner, it would not be there yet, and be sent again.
SETTLE_AFTER = timedelta(minutes=2)
# A delivery waits for a place in a limit this long; what has to wait longer waits in the outbox.
PATIENCE = timedelta(seconds=5)
_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(hours=1)
_LONGEST_OBEYED = timedelta(days=1)


class ChannelRefusedError(GrowthError):
    """The channel certainly did not take the alert; sending it again later is safe.

    `blocks_channel` is False when only this alert is at fault and the next may go through.
    `retry_after` is what the channel asked for; None: it named nothing.
    """

    retryable = True

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        retryable: bool | None = None,
        blocks_channel: bool = True,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy, retryable=retryable)
        self.blocks_channel = blocks_channel
        self.retry_after = retry_after


class OutcomeUnknownError(GrowthError):
    """The answer of the channel was lost: the alert may have arrived."""


@dataclass(frozen=True)
class WaitingAlert:
    """One claimed row of the outbox. `known_as`: the channel's name of the fingerprint's thread.

    `repeated`: an earlier call carried it and its answer was lost, so it may have been read.
    `claimed_at`: when the call that carried it last was about to be made. `picture`: a PNG, for a
    channel that shows one.
    """

    alert_id: int
    alert_key: str
    kind: str
    fingerprint: str
    title: str
    body: str
    level: str = "HIGH"
    known_as: str | None = None
    repeated: bool = False
    claimed_at: datetime | None = None
    picture: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Sent:
    """What a call made: the channel's name of it, for later calls, and the requests it took."""

    external_id: str | None = None
    requests: int = 1


class Channel(Protocol):
    """Where alerts go: the log, Slack, GitHub, the heartbeat."""

    @property
    def name(self) -> str:
        """Name of the channel in the outbox."""

    @property
    def audiences(self) -> frozenset[str]:
        """Which alerts it gets."""

    @property
    def batch(self) -> int:
        """How many alerts one call may carry."""

    @property
    def pictures(self) -> bool:
        """Whether it sends the picture of an alert along."""

    @property
    def threads(self) -> bool:
        """Whether a call is about one problem: then it carries that problem's alerts only."""

    @property
    def readable(self) -> bool:
        """Whether it can tell what an earlier call made."""

    @property
    def rates(self) -> Rates:
        """How many requests it takes in how many seconds."""

    @property
    def requests(self) -> int:
        """Requests that count for its limit, at most, in one call."""

    def send(self, alerts: Sequence[WaitingAlert]) -> Sent:
        """Send. Raises: ChannelRefusedError (certainly not sent), OutcomeUnknownError."""

    def find(self, alert: WaitingAlert) -> str | None:
        """Name of what an earlier call of unknown outcome made; None: it made nothing.

        Raises: OutcomeUnknownError when that cannot be told, ChannelRefusedError.
        """


class Outbox(Protocol):
    """The rows this module moves; `alerts.store.AlertStore` in production."""

    def expire_claims(self, *, before: datetime) -> int:
        """Claims of deliverers that died become `unknown`."""

    def claim(
        self, channel: Channel, *, now: datetime, without: Sequence[int]
    ) -> list[WaitingAlert]:
        """Oldest waiting alerts of a channel, now `sending`: as many as one call may carry."""

    def channels_with_work(self, *, now: datetime) -> set[str]:
        """Channels that have something due and are not blocked."""

    def unknown(self, channel: str, *, claimed_by: datetime | None = None) -> list[WaitingAlert]:
        """Alerts of a channel whose outcome is unknown; only those claimed by an instant."""

    def begin_call(self, channel: Channel, *, now: datetime) -> int | timedelta:
        """Place for one call within the channel's limits, or how long until there is one."""

    def end_call(self, call_id: int, requests: int, *, now: datetime) -> None:
        """The call is over and took so many requests."""

    def blocked_until(self, channel: str) -> datetime | None:
        """Before when nothing is sent to a channel."""

    def block(self, channel: str, error: GrowthError, pause: Pause, *, now: datetime) -> None:
        """The channel refused; `pause` makes the wait out of the refusals in a row."""

    def unblock(self, channel: str) -> None:
        """The channel took something."""

    def mark_sent(self, ids: Sequence[int], external_id: str | None, *, now: datetime) -> None:
        """The channel took them."""

    def mark_waiting(self, ids: Sequence[int], error: str, *, due_at: datetime | None) -> None:
        """They were certainly not sent, and wait until an instant."""

    def mark_unknown(self, ids: Sequence[int], error: str) -> None:
        """They may have been sent."""


Pause = Callable[[int], timedelta]


@dataclass
class Delivered:
    """Counts of alerts per outcome, and the first error of each channel that had one."""

    sent: int = 0
    waiting: int = 0
    unknown: int = 0
    errors: dict[str, GrowthError] = field(default_factory=dict)


@dataclass(frozen=True)
class _Work:
    outbox: Outbox
    channel: Channel
    clock: Callable[[], datetime]
    pause: Callable[[float], None]
    delivered: Delivered


def deliver(
    outbox: Outbox,
    channels: Sequence[Channel],
    *,
    clock: Callable[[], datetime],
    pause: Callable[[float], None] = time.sleep,
) -> Delivered:
    """Send what waits. Raises nothing for a channel's fault: see `Delivered.errors`."""
    delivered = Delivered()
    outbox.expire_claims(before=clock() - CLAIM_LEASE)
    for channel in channels:
        until = outbox.blocked_until(channel.name)
        if until is None or until <= clock():
            _send_waiting(_Work(outbox, channel, clock, pause, delivered))
        delivered.unknown += len(outbox.unknown(channel.name))
    return delivered


def pause_after(
    failures: int, *, retry_after: timedelta | None = None, retryable: bool = True
) -> timedelta:
    """How long a channel is left alone after so many refusals in a row, this one included.

    What it asked for is obeyed. A wrong setting is not mended by asking: the longest pause.
    """
    if not retryable:
        return _LONGEST_PAUSE
    doubled: int = 2 ** min(failures - 1, 10)
    growing = min(_FIRST_PAUSE * doubled, _LONGEST_PAUSE)
    return max(growing, min(retry_after or timedelta(), _LONGEST_OBEYED))


def _send_waiting(work: _Work) -> None:
    """Call after call, while there is work, a place in the limits, and the channel takes it."""
    tried: list[int] = []
    for _ in range(CALLS_A_DELIVERY):
        call_id = _begin(work) if _has_work(work) else None
        if call_id is None:
            return
        spent, goes_on = 0, False
        try:
            if work.channel.readable and not _settle_unknown(work):
                return
            alerts = work.outbox.claim(work.channel, now=work.clock(), without=tried)
            if alerts:
                tried += [alert.alert_id for alert in alerts]
                spent, goes_on = work.channel.requests, True  # what holds if this process dies
                spent, goes_on = _send(work, alerts)
        finally:
            work.outbox.end_call(call_id, spent, now=work.clock())
        if not goes_on:
            return


def _has_work(work: _Work) -> bool:
    name = work.channel.name
    if name in work.outbox.channels_with_work(now=work.clock()):
        return True
    return work.channel.readable and bool(_settleable(work))


def _settleable(work: _Work) -> list[WaitingAlert]:
    """Alerts of unknown outcome whose call can take no effect any more that is not seen yet."""
    return work.outbox.unknown(work.channel.name, claimed_by=work.clock() - SETTLE_AFTER)


def _begin(work: _Work) -> int | None:
    """Number of a call that may be made now; None when its place is too far away."""
    patience = PATIENCE
    while True:
        found = work.outbox.begin_call(work.channel, now=work.clock())
        if isinstance(found, int):
            return found
        patience -= found
        if patience < timedelta():
            return None
        work.pause(found.total_seconds())


def _settle_unknown(work: _Work) -> bool:
    """Whether the channel could be read; what it has made is sent, what it has not waits again.

    An alert of which the channel cannot tell stays unknown, and holds up its own problem alone.
    """
    for alert in _settleable(work):
        try:
            made = work.channel.find(alert)
        except ChannelRefusedError as error:
            _refused(work, error)
            return False
        except OutcomeUnknownError as error:
            work.delivered.errors.setdefault(work.channel.name, error)
            continue
        if made is None:
            work.outbox.mark_waiting([alert.alert_id], "an earlier call made nothing", due_at=None)
        else:
            work.outbox.mark_sent([alert.alert_id], made, now=work.clock())
    return True


def _send(work: _Work, alerts: Sequence[WaitingAlert]) -> tuple[int, bool]:
    """Requests that the call took, and whether the next call may be made."""
    outbox, channel, delivered = work.outbox, work.channel, work.delivered
    ids = [alert.alert_id for alert in alerts]
    try:
        sent = channel.send(alerts)
    except ChannelRefusedError as error:
        due_at = None if error.blocks_channel else work.clock() + _LONGEST_PAUSE
        # This call sent nothing, but an earlier one that carried them may have.
        again = [alert.alert_id for alert in alerts if alert.repeated]
        outbox.mark_unknown(again, error.message)
        first = [alert.alert_id for alert in alerts if not alert.repeated]
        outbox.mark_waiting(first, error.message, due_at=due_at)
        delivered.waiting += len(first)
        _refused(work, error)
        return channel.requests, not error.blocks_channel
    except OutcomeUnknownError as error:
        outbox.mark_unknown(ids, error.message)
        delivered.errors.setdefault(channel.name, error)
        return channel.requests, False
    outbox.mark_sent(ids, sent.external_id, now=work.clock())
    outbox.unblock(channel.name)
    delivered.sent += len(ids)
    return sent.requests, True


def _refused(work: _Work, error: ChannelRefusedError) -> None:
    work.delivered.errors.setdefault(work.channel.name, error)
    if error.blocks_channel:
        work.outbox.block(
            work.channel.name,
            error,
            lambda failures: pause_after(
                failures, retry_after=error.retry_after, retryable=error.retryable
            ),
            now=work.clock(),
        )


def newest(alerts: Sequence[WaitingAlert]) -> WaitingAlert:
    """The last of several alerts about one problem, with what the earlier ones said above it."""
    *earlier, last = alerts
    if not earlier:
        return last
    said = [alert.title for alert in earlier]
    return replace(last, body="\n".join([last.body, "Before that:", *said]))
