"""Closes gaps: Dagster's schedules never catch up on a midnight that found no daemon."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from growth_pipeline.audit.schedules import (
    FIRST_EXTRACT,
    audit_job,
    due_by_settings,
    request_audit,
)
from growth_pipeline.core.periods import Month

FINDINGS = dg.AssetKey(["audit", "findings"])
REQUESTS_A_TICK = 5
# The schedule's own runs come first; what they have not done by then is missing.
_PATIENCE = timedelta(hours=3)


def missing_audits(
    now: datetime,
    *,
    due_at: Callable[[date], list[Month]],
    audited_since: Callable[[Month, datetime], bool],
) -> list[tuple[date, Month]]:
    """Days and months whose audit was due yesterday or today and did not happen since.

    `due_at` gives the months of a day. A later audit of the month covers the earlier day. Shapes:
    at most one entry a month.
    """
    due: dict[Month, date] = {}
    for moment in (now - _PATIENCE - timedelta(days=1), now - _PATIENCE):
        for month in due_at(moment.date()):
            due.setdefault(month, moment.date())
    return [
        (day, month)
        for month, day in sorted(due.items(), reverse=True)
        if not audited_since(month, datetime(day.year, day.month, day.day, tzinfo=UTC))
    ]


@dg.sensor(
    name="missing_audits_sensor",
    job=audit_job,
    description="Asks for the daily audits of yesterday and today that did not happen.",
    minimum_interval_seconds=1800,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def missing_audits_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """At most five requests a tick; each day of a month is asked for once."""
    instance = context.instance
    if instance.get_latest_materialization_event(FIRST_EXTRACT) is None:
        return dg.SkipReason("nothing was extracted yet")

    def audited_since(month: Month, moment: datetime) -> bool:
        wanted = dg.AssetRecordsFilter(
            asset_key=FINDINGS, asset_partitions=[month.key], after_timestamp=moment.timestamp()
        )
        return bool(instance.fetch_materializations(wanted, limit=1).records)

    missing = missing_audits(datetime.now(UTC), due_at=due_by_settings, audited_since=audited_since)
    requests = [request_audit(month, day, kind="gap") for day, month in missing]
    return dg.SensorResult(run_requests=requests[:REQUESTS_A_TICK])
