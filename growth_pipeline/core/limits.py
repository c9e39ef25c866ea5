"""How long to wait for a place within rates, from the instants of earlier requests. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

# (requests, seconds), the shortest first.
Rates = tuple[tuple[int, float], ...]
LOOK_AGAIN = timedelta(milliseconds=200)


def wait_for_place(
    moments: Iterable[datetime], rates: Rates, requests: int, now: datetime
) -> timedelta | None:
    """How long to wait before so many more requests; None: they may be made now.

    `moments`: of each earlier request, as late as the other side may have seen it.
    """
    from pyrate_limiter import InMemoryBucket, Rate, RateItem

    bucket = InMemoryBucket([Rate(limit, int(seconds * 1000)) for limit, seconds in rates])
    bucket.items = [RateItem("call", moment) for moment in sorted(map(_milliseconds, moments))]
    item = RateItem("call", _milliseconds(now), requests)
    if bucket.put(item):
        return None
    wait = bucket.waiting(item)
    return timedelta(milliseconds=max(1, wait)) if isinstance(wait, int) else LOOK_AGAIN


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)
