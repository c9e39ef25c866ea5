"""How often a channel may be called, whoever calls: from the calls of the last hour, an answer.

Pure: calls and an instant in, a wait out. Calls are kept in alerts.calls, so that all processes
spend from one limit. Source: reliability.md, limits of Slack and GitHub; GitHub documentation,
"Best practices for using the REST API" (one request at a time).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from growth_pipeline.core.limits import LOOK_AGAIN, Rates, wait_for_place

# Slack takes one message a second; five a minute are plenty for people, and what waits meanwhile
# becomes one digest.
SLACK_RATES: Rates = ((1, 1.0), (5, 60.0))
GITHUB_RATES: Rates = ((80, 60.0), (500, 3600.0))
HEARTBEAT_RATES: Rates = ((1, 1.0), (10, 60.0))
NO_RATES: Rates = ()

# A caller that has not come back after this is dead; until then nobody else calls the channel.
CALL_LEASE = timedelta(minutes=5)


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
        return min(LOOK_AGAIN, under_way[0].began_at + CALL_LEASE - now)
    if not rates or requests == 0:
        return None
    moments = [one.ended_at or one.began_at for one in calls for _ in range(one.requests)]
    return wait_for_place(moments, rates, requests, now)


def reach(rates: Rates) -> timedelta:
    """How far back calls matter: the longest limit, or the lease."""
    return max([CALL_LEASE, *(timedelta(seconds=seconds) for _, seconds in rates)])
