"""When an event happened by our clock, whatever the clock of the sender says. Pure.

Source: Segment spec, "Common fields", Timestamps: timestamp = receivedAt - (sentAt - timestamp).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD: Final = timedelta(days=1)
LONGEST: Final = 64
"""Characters of an instant."""

_SECONDS: Final = slice(16, 19)  # of 2016-12-31T23:59:60Z
_LEAP: Final = ":60"


class ClockFlag(StrEnum):
    """What is odd about the time of an event."""

    NO_TIMESTAMP = "no_timestamp"
    TIMESTAMP_UNREADABLE = "timestamp_unreadable"
    NO_SENT_AT = "no_sent_at"
    CLOCK_WRONG = "clock_wrong"


class Timed(NamedTuple):
    """The time of an event. `sent_at` is the sender's clock, None where it does not say."""

    occurred_at: datetime
    sent_at: datetime | None
    flags: tuple[ClockFlag, ...] = ()


def read_instant(value: object) -> datetime | None:
    """An instant in ISO 8601, in UTC; None for anything else.

    Without an offset it is UTC. Second 60 is the first second after.
    """
    if not isinstance(value, str) or len(value) > LONGEST or not value.isascii():
        return None
    is_leap = value[_SECONDS] == _LEAP
    text = f"{value[:17]}59{value[19:]}" if is_leap else value
    try:
        found = datetime.fromisoformat(text)
        if is_leap:
            found += timedelta(seconds=1)
        if found.tzinfo is UTC:
            return found
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def settle(told: object, sent: object, *, received_at: datetime) -> Timed:
    """When an event happened.

    With both `told` (its timestamp) and `sent` (sentAt), both by the sender's clock, the time
    between them is right even where the clock is not: occurred_at = received_at - (sent - told).
    Without `sent` the clock is believed, with a flag: it may be an import of history. What lies
    before 2000, or more than a day ahead of receipt, is no time at all: received_at, flagged.
    """
    sent_at = read_instant(sent)
    if told is None:
        return Timed(received_at, sent_at, (ClockFlag.NO_TIMESTAMP,))
    told_at = read_instant(told)
    if told_at is None:
        return Timed(received_at, sent_at, (ClockFlag.TIMESTAMP_UNREADABLE,))
    if sent_at is None:
        return _within(told_at, None, received_at, (ClockFlag.NO_SENT_AT,))
    try:
        corrected = received_at - (sent_at - told_at)
    except OverflowError:
        return Timed(received_at, sent_at, (ClockFlag.CLOCK_WRONG,))
    return _within(corrected, sent_at, received_at, ())


def _within(
    at: datetime, sent_at: datetime | None, received_at: datetime, flags: tuple[ClockFlag, ...]
) -> Timed:
    if EARLIEST <= at <= received_at + AHEAD:
        return Timed(at, sent_at, flags)
    return Timed(received_at, sent_at, (*flags, ClockFlag.CLOCK_WRONG))
