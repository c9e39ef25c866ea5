"""How often a channel may be called, whoever calls: from the calls of the last hour, an answer.

Pure: calls and an instant in, a wait out. Calls are kept in alerts.calls, so that all processes
spend from one limit. Source: reliability.md, limits of Slack and GitHub; GitHub documentation,
"Best practices for using the REST API" (one request at a time).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

# (requests, seconds), the shortest first. Slack takes one message a second; five a minute are
# plenty for people, and what waits meanwhile becomes one digest.
Rates = tuple[tuple[int, float], ...]
SLACK_RATES: Rates = ((1, 1.0), (5, 60.0))
GITHUB_RATES: Rates = ((80, 60.0), (500, 3600.0))
HEARTBEAT_RATES: Rates = ((1, 1.0), (10, 60.0))
NO_RATES: Rates = ()

# A caller that has not come back after this is dead; until then nobody else calls the channel.
CALL_LEASE = timedelta(minutes=5)
_LOOK_AGAIN = timedelta(milliseconds=200)


@dataclass(frozen=True)
class Call:
    """One delivery and what it spent. `ended_at` is None while it is under way."""

    requests: int
    began_at: datetime
    ended_at: datetime | None


def wait_before(
    calls: Sequence[Call], rates: Rates, requests: int, now: datetime
) -> timedelta | None:
    """How long to wait before so many more requests; None: they may be made now.

    A call counts from its end on: when the channel saw it is not known, only that it was before.
    """
    under_way = [one for one in calls if one.ended_at is None and one.began_at + CALL_LEASE > now]
    if under_way:
        return min(_LOOK_AGAIN, under_way[0].began_at + CALL_LEASE - now)
    if not rates or requests == 0:
        return None
    return _wait_for_place(calls, rates, requests, now)


def reach(rates: Rates) -> timedelta:
    """How far back calls matter: the longest limit, or the lease."""
    return max([CALL_LEASE, *(timedelta(seconds=seconds) for _, seconds in rates)])


def _wait_for_place(
    calls: Sequence[Call], rates: Rates, requests: int, now: datetime
) -> timedelta | None:
    from pyrate_limiter import InMemoryBucket, Rate, RateItem

    bucket = InMemoryBucket([Rate(limit, int(seconds * 1000)) for limit, seconds in rates])
    moments = [
        _milliseconds(one.ended_at or one.began_at) for one in calls for _ in range(one.requests)
    ]
    bucket.items = [RateItem("call", moment) for moment in sorted(moments)]
    item = RateItem("call", _milliseconds(now), requests)
    if bucket.put(item):
        return None
    wait = bucket.waiting(item)
    return timedelta(milliseconds=max(1, wait)) if isinstance(wait, int) else _LOOK_AGAIN


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)
