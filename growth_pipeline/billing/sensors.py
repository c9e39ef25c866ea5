"""Asks for what is due: a sweep of Stripe's events, and a re-list that its night did not bring."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from growth_pipeline.billing.assets import DRIFT, EVENT_SWEEP, relist_job, sweep_job
from growth_pipeline.settings import load_settings

# Schedules never catch up on a night that found no daemon.
_RELIST_IS_LATE = timedelta(hours=26)


def is_due(made_at: datetime | None, now: datetime, *, minutes: int) -> bool:
    """Whether the next sweep should begin, `minutes` after the last that ended well."""
    return made_at is None or now - made_at >= timedelta(minutes=minutes)


def request_due(
    swept_at: datetime | None, relisted_at: datetime | None, now: datetime, *, minutes: int
) -> Iterator[dg.RunRequest]:
    """Runs that are due now. Asked for twice, each runs once; a failed one is tried in its turn.

    The re-list of a night sweeps too. A first re-list is left to its schedule.
    """
    if relisted_at is not None and now - relisted_at >= _RELIST_IS_LATE:
        yield dg.RunRequest(run_key=f"late-relist:{now:%Y-%m-%d}", job_name=relist_job.name)
    if is_due(swept_at, now, minutes=minutes):
        turn = int(now.timestamp()) // (minutes * 60)
        yield dg.RunRequest(run_key=f"sweep:{turn}", job_name=sweep_job.name)


@dg.sensor(
    name="event_sweep_sensor",
    jobs=[sweep_job, relist_job],
    description="Asks for a sweep of Stripe's events every GROWTH_STRIPE__SWEEP_MINUTES, and for "
    "a nightly re-list that did not happen.",
    minimum_interval_seconds=120,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def event_sweep_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """What is due, where Stripe may be read."""
    stripe = load_settings().stripe
    if stripe.api_key is None:
        return dg.SkipReason("GROWTH_STRIPE__API_KEY is empty")
    if stripe.sweep_minutes == 0:
        return dg.SkipReason("GROWTH_STRIPE__SWEEP_MINUTES is 0")
    requests = request_due(
        _made_at(context.instance, EVENT_SWEEP),
        _made_at(context.instance, DRIFT),
        datetime.now(UTC),
        minutes=stripe.sweep_minutes,
    )
    return dg.SensorResult(run_requests=list(requests))


def _made_at(instance: dg.DagsterInstance, key: dg.AssetKey) -> datetime | None:
    event = instance.get_latest_materialization_event(key)
    return None if event is None else datetime.fromtimestamp(event.timestamp, UTC)
