"""Finished runs, and time, that may have something to say become a run of `deliver_alerts_job`.

A sensor only asks: if it sent by itself and failed, its cursor would go on and the alert be lost.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.alerts.assets import read_evaluations, watch_daily_audit
from growth_pipeline.alerts.channels import channel_names
from growth_pipeline.alerts.decide import AlertPolicy, is_due
from growth_pipeline.alerts.deliver import pause_after
from growth_pipeline.alerts.reports import ReportOutlet
from growth_pipeline.billing.resources import Clock
from growth_pipeline.settings import load_settings

if TYPE_CHECKING:
    from growth_pipeline.alerts.store import AlertStore
else:
    AlertStore = object  # Dagster resolves annotations at import; the real class brings psycopg

DRY_RUN_TAG = "growth/dry_run"
ABOUT_RUN_TAG = "growth/about_run"
DELIVER_JOB = "deliver_alerts_job"
_INTERVAL_SECONDS = 10
_TIMER_SECONDS = 30
# A delivery that failed said nothing about its run; it is asked for again, this long and so many.
_ASKED_AGAIN_FOR = timedelta(days=3)
_ASKED_AGAIN_A_TICK = 10
_RUNS_READ = 1_000
_UNDER_WAY = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
)
_LOST = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)

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
    return _delivery_about(run.run_id, run_key=f"{run.run_id}:{run.status.value}")


def _delivery_about(run_id: str, *, run_key: str) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=run_key,
        run_config={"ops": {"alerts__outbox": {"config": {"run_id": run_id}}}},
        tags={ABOUT_RUN_TAG: run_id},
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
    """A delivery that failed is not told of itself: alert_timer_sensor asks for it again."""
    return request_delivery(context.dagster_run)


@dg.sensor(
    name="alert_timer_sensor",
    description="Asks for a delivery when alerts wait that may be sent now, when a problem lasts "
    "too long, when the daily audit stays away, when a weekly report was not told, and again when "
    "one about a run has failed.",
    job_name=DELIVER_JOB,
    minimum_interval_seconds=_TIMER_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def alert_timer_sensor(
    context: dg.SensorEvaluationContext,
    alert_store: dg.ResourceParam[AlertStore],
    alert_policy: dg.ResourceParam[AlertPolicy],
    report_outlet: dg.ResourceParam[ReportOutlet],
    clock: dg.ResourceParam[Clock],
) -> dg.RunRequest | list[dg.RunRequest] | dg.SkipReason:
    """One delivery at a time; what waits for a channel that is left alone is not due."""
    under_way = dg.RunsFilter(job_name=DELIVER_JOB, statuses=list(_UNDER_WAY))
    if context.instance.get_runs(under_way, limit=1):
        return dg.SkipReason("a delivery is under way")
    lost = deliveries_to_repeat(context.instance, now=clock())
    if lost:
        return lost
    names = channel_names(load_settings().alerts)
    due = has_work(alert_store, alert_policy, names, now=clock())
    if not due and not report_outlet.has_untold():
        return dg.SkipReason("nothing is due")
    return dg.RunRequest(tags={ABOUT_RUN_TAG: "time"})


def deliveries_to_repeat(instance: dg.DagsterInstance, *, now: datetime) -> list[dg.RunRequest]:
    """Deliveries about runs that ended in the last days and that no delivery has told of.

    The oldest first, ten at most. After n failures the next waits 1, 2, 4 minutes and so on, an
    hour at most.
    """
    since = now - _ASKED_AGAIN_FOR
    failed: dict[str, list[dg.RunRecord]] = {}
    for record in _deliveries(instance, _LOST, since):
        failed.setdefault(record.dagster_run.tags.get(ABOUT_RUN_TAG, ""), []).append(record)
    due = {run_id: len(records) for run_id, records in failed.items() if _is_due(records, now)}
    if not due:
        return []
    told = _deliveries(instance, (dg.DagsterRunStatus.SUCCESS,), since, about=list(due))
    waiting = due.keys() - {record.dagster_run.tags[ABOUT_RUN_TAG] for record in told}
    runs = instance.get_run_records(dg.RunsFilter(run_ids=sorted(waiting))) if waiting else []
    ended = sorted((one.end_time, one.dagster_run.run_id) for one in runs if one.end_time)
    return [
        _delivery_about(run_id, run_key=f"{run_id}:again:{due[run_id]}")
        for end_time, run_id in ended
        if end_time >= since.timestamp()
    ][:_ASKED_AGAIN_A_TICK]


def _deliveries(
    instance: dg.DagsterInstance,
    statuses: Collection[dg.DagsterRunStatus],
    since: datetime,
    *,
    about: Sequence[str] = (),
) -> Sequence[dg.RunRecord]:
    wanted = dg.RunsFilter(
        job_name=DELIVER_JOB,
        statuses=list(statuses),
        created_after=since,
        tags={ABOUT_RUN_TAG: about} if about else None,
    )
    return instance.get_run_records(wanted, limit=_RUNS_READ)


def _is_due(failed: Sequence[dg.RunRecord], now: datetime) -> bool:
    last = max(record.end_time or record.create_timestamp.timestamp() for record in failed)
    return last + pause_after(len(failed)).total_seconds() <= now.timestamp()


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
