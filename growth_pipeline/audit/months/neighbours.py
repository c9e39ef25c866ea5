"""Reads the lists of the month beside the audited one, into which a zone's month reaches.

A run's month is a month in UTC, and its extracts are read before the audit. A month of another zone
lies in two of them: the other one is read here, at the same time, or its objects would be as old as
its own last audit. Nothing here judges.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from growth_pipeline.billing.extract import Part, extract_lists, one_error
from growth_pipeline.billing.objects import AUDITED_OBJECTS
from growth_pipeline.core.periods import Month, PeriodState, ZonedMonth

if TYPE_CHECKING:
    from growth_pipeline.storage.lake import Lake
    from growth_pipeline.stripe_api.client import StripeReader


def neighbours_of(period: ZonedMonth, now: datetime) -> list[Month]:
    """Months in UTC that a zone's month reaches into beside its own, and that have begun."""
    return [
        month
        for month in period.utc_months
        if month != period.month and month.state(now) is not PeriodState.NOT_BEGUN
    ]


def read_neighbours(
    period: ZonedMonth,
    *,
    open_reader: Callable[[], StripeReader],
    lake: Lake,
    checkpoints: Path,
    now: datetime,
    tell: Callable[[str], None],
) -> int:
    """Extract the audited lists of the neighbour months; how many lists that were.

    A month in UTC has no neighbours, and Stripe is not asked. The files replace those before.
    Raises: StripeError, naming each list that could not be read; LakeWriteError.
    """
    parts = [
        Part(resource, month)
        for month in neighbours_of(period, now)
        for resource in AUDITED_OBJECTS
    ]
    if not parts:
        return 0
    tell(f"{period.month} of {period.tz} reaches into {parts[0].month}: reading its lists")
    with open_reader() as reader:
        done = list(
            extract_lists(
                parts, accesses=[reader.access], lake=lake, now=now, checkpoints=checkpoints
            )
        )
    errors = [one.error for one in done if one.error]
    if errors:
        raise one_error(errors)
    return len(done)
