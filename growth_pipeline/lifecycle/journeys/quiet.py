"""Hours in which nobody is written to, by the user's own clock. Pure.

Instants are found by what a wall clock shows, so nights in which it jumps need no more rules.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.periods import zone_of
from growth_pipeline.lifecycle.journeys.model import SendingPolicy

_SECOND = timedelta(seconds=1)
_DAYS_LOOKED_AT = 4


def clock_of(zone: str | None, policy: SendingPolicy) -> tzinfo:
    """The user's zone; that of the policy where it is not known, or is no zone (any more)."""
    try:
        return zone_of(zone or policy.tz)
    except UsageError:
        return zone_of(policy.tz)


def is_quiet(now: datetime, policy: SendingPolicy, zone: str | None) -> bool:
    """Whether the user's clock shows a time in `[quiet_from, quiet_until)`, also over midnight."""
    begins, ends = policy.quiet_from, policy.quiet_until
    clock = now.astimezone(clock_of(zone, policy)).time()
    if begins <= ends:
        return begins <= clock < ends
    return clock >= begins or clock < ends


def quiet_until(now: datetime, policy: SendingPolicy, zone: str | None) -> datetime | None:
    """The end of the quiet time that an instant lies in; None: it lies in none."""
    if not is_quiet(now, policy, zone):
        return None
    ends = _following(policy.quiet_until, now, clock_of(zone, policy))
    # Where a whole day is skipped, the clock jumps over one end and into the next quiet time.
    return next(at for at in ends if not is_quiet(at, policy, zone))


def quiet_from(now: datetime, policy: SendingPolicy, zone: str | None) -> datetime | None:
    """When the next quiet time begins after an instant that lies in none; None: never."""
    if policy.quiet_from == policy.quiet_until:
        return None
    return _following(policy.quiet_from, now, clock_of(zone, policy))[0]


def _following(clock: time, now: datetime, zone: tzinfo) -> list[datetime]:
    """Instants after `now` at which a clock shows a time, or jumps over it; of the next days."""
    today = now.astimezone(zone).date()
    days = [today + timedelta(days=number) for number in range(_DAYS_LOOKED_AT)]
    return sorted(at for day in days for at in _shown(day, clock, zone) if at > now)


def _shown(day: date, clock: time, zone: tzinfo) -> list[datetime]:
    """Instants at which a clock shows a time of a day: two in the hour that comes twice."""
    wanted = datetime.combine(day, clock)
    both = [wanted.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    shown = [at for at in both if _clock(at, zone) == wanted]
    return shown or [_jump(min(both), max(both), wanted, zone)]


def _jump(before: datetime, after: datetime, wanted: datetime, zone: tzinfo) -> datetime:
    """The instant at which a clock jumps over a time that it never shows, to the second."""
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        if _clock(middle, zone) >= wanted:
            after = middle
        else:
            before = middle
    return after.replace(microsecond=0)


def _clock(at: datetime, zone: tzinfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)
