"""Finished runs, and time, that may have something to say become a run of `deliver_alerts_job`.

A sensor only asks: if it sent by itself and failed, its cursor would go on and the alert be lost.
"""

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.alerts.assets import read_evaluations, watch_daily_audit
from growth_pipeline.alerts.channels import channel_names
from growth_pipeline.alerts.decide import AlertPolicy, is_due
from growth_pipeline.billing.resources import Clock
from growth_pipeline.settings import load_settings

if TYPE_CHECKING:
    from growth_pipeline.alerts.store import AlertStore
else:
    AlertStore = object  # Dagster resolves annotations at import; the real class brings psycopg

DRY_RUN_TAG = "growth/dry_run"
DELIVER_JOB = "deliver_alerts_job"
_INTERVAL_SECONDS = 10
_TIMER_SECONDS = 30
_UNDER_WAY = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
)

deliver_alerts_job = dg.define_asset_job(
    DELIVER_JOB,
    selection=dg.AssetSelection.assets(dg.AssetKey(["alerts", "outbox"])),
    description="Decides about one finished run (config `run_id`) and sends the alerts that wait.",
    tags={"dagster/max_runtime": "900"},
)


def request_delivery(run: dg.DagsterRun) -> dg.RunRequest | dg.SkipReason:
    """Ask for one delivery about a run; the run key makes a second request the same one."""
    if run.job_name == DELIVER_JOB:
        return dg.SkipReason("a delivery is not reported about")
    if DRY_RUN_TAG in run.tags:
        return dg.SkipReason("a dry run tells nobody")
    return dg.RunRequest(
        run_key=f"{run.run_id}:{run.status.value}",
        run_config={"ops": {"alerts__outbox": {"config": {"run_id": run.run_id}}}},
        tags={"growth/about_run": run.run_id},
    )


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    name="checks_alert_sensor",
    description="After each run with asset checks: asks for a decision about them.",
    request_job=deliver_alerts_job,
    monitor_all_code_locations=True,
    minimum_interval_seconds=_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def checks_alert_sensor(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
    """A run without checks has nothing to say, unless the same work failed just before."""
    run = context.dagster_run
    telling = run.job_name == DELIVER_JOB or (
        read_evaluations(context.instance, run.run_id) or _failed_before(context.instance, run)
    )
    return request_delivery(run) if telling else dg.SkipReason("the run evaluated no checks")


@dg.run_failure_sensor(
    name="run_failure_alert_sensor",
    description="After each failed run: asks for a decision about it.",
    request_job=deliver_alerts_job,
    monitor_all_code_locations=True,
    minimum_interval_seconds=_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def run_failure_alert_sensor(context: dg.RunFailureSensorContext) -> dg.RunRequest | dg.SkipReason:
    """Failures of deliveries themselves are left to the run page."""
    return request_delivery(context.dagster_run)


@dg.sensor(
    name="alert_timer_sensor",
    description="Asks for a delivery when alerts wait that may be sent now, when a problem lasts "
    "too long, and when the daily audit stays away.",
    job_name=DELIVER_JOB,
    minimum_interval_seconds=_TIMER_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def alert_timer_sensor(
    context: dg.SensorEvaluationContext,
    alert_store: dg.ResourceParam[AlertStore],
    alert_policy: dg.ResourceParam[AlertPolicy],
    clock: dg.ResourceParam[Clock],
) -> dg.RunRequest | dg.SkipReason:
    """One delivery at a time; what waits for a channel that is left alone is not due."""
    under_way = dg.RunsFilter(job_name=DELIVER_JOB, statuses=list(_UNDER_WAY))
    if context.instance.get_runs(under_way, limit=1):
        return dg.SkipReason("a delivery is under way")
    names = channel_names(load_settings().alerts)
    if not has_work(alert_store, alert_policy, names, now=clock()):
        return dg.SkipReason("nothing is due")
    return dg.RunRequest(tags={"growth/about_run": "time"})


def has_work(
    store: AlertStore, policy: AlertPolicy, channels: Collection[str], *, now: datetime
) -> bool:
    """Whether a delivery would find something: waiting alerts, or what time alone brings."""
    if store.channels_with_work(now=now) & set(channels):
        return True
    watched = watch_daily_audit(store, policy, now)
    return is_due(store.open_problems(), watched, now, policy)


def _failed_before(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    partition = run.tags.get("dagster/partition")
    tags = {"dagster/partition": partition} if partition else {}
    newest = instance.get_runs(dg.RunsFilter(job_name=run.job_name, tags=tags), limit=10)
    earlier = [one for one in newest if one.run_id != run.run_id and one.is_finished]
    return bool(earlier) and earlier[0].status == dg.DagsterRunStatus.FAILURE
