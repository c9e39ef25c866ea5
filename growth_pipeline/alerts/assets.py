"""The alert outbox as an asset: decides about one finished run and delivers what waits."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from growth_pipeline.alerts.checks import OUTBOX_CHECKS, check_delivery
from growth_pipeline.alerts.decide import (
    CheckOutcome,
    Level,
    RunOutcome,
    decide_alerts,
    read_signals,
)
from growth_pipeline.alerts.deliver import Channel, Delivered, WaitingAlert, deliver
from growth_pipeline.billing.partitions import Made, asset
from growth_pipeline.billing.resources import Clock, told_in_one_sentence
from growth_pipeline.core.errors import GrowthError

if TYPE_CHECKING:
    from growth_pipeline.alerts.store import AlertStore
else:
    AlertStore = object  # Dagster resolves annotations at import; the real class brings psycopg

_LEVELS: Mapping[str, Level] = {"HIGH": "HIGH", "MEDIUM": "MEDIUM", "LOW": "LOW"}
_LEVEL_OF_SEVERITY: Mapping[dg.AssetCheckSeverity, Level] = {
    dg.AssetCheckSeverity.ERROR: "HIGH",
    dg.AssetCheckSeverity.WARN: "MEDIUM",
}


class AlertConfig(dg.Config):
    """Which finished run to decide about."""

    run_id: str


class LogChannel:
    """The log of the delivering run: the channel that is always there."""

    name = "log"
    batch = 1

    def __init__(self, log: logging.Logger) -> None:
        self._log = log

    def send(self, alerts: Sequence[WaitingAlert]) -> str | None:
        """One line an alert. See `Channel.send`."""
        for alert in alerts:
            lines = " | ".join([alert.title, *alert.body.splitlines()])
            self._log.warning("alert: %s", lines)
        return None

    def find(self, alert: WaitingAlert) -> str | None:
        """A line of a run that died may be missing; logging it again harms nobody."""
        del alert
        return None


@asset(
    "alerts",
    "outbox",
    description="Grain: one alert to one channel. Intents are written before a call is made; "
    "one run decides about one finished run and sends what waits.",
    kinds={"postgres"},
    checks=OUTBOX_CHECKS,
    # Deliveries that wait for a dead channel must not take the places of data runs.
    pool="alerts",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=60, backoff=dg.Backoff.EXPONENTIAL),
    code_version="1",
)
def outbox(
    context: dg.AssetExecutionContext,
    config: AlertConfig,
    *,
    alert_store: dg.ResourceParam[AlertStore],
    alert_channels: dg.ResourceParam[Sequence[Channel]],
    dagster_url: dg.ResourceParam[str],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one alert to one channel."""
    with told_in_one_sentence(context):
        run, checks = read_run(context.instance, config.run_id, dagster_url=dagster_url)
        channels: list[Channel] = [LogChannel(context.log), *alert_channels]
        signals = read_signals(run, checks)
        added = alert_store.add(
            [signal.fingerprint for signal in signals],
            lambda last: decide_alerts(run, signals, last),
            channels=[channel.name for channel in channels],
            now=clock(),
        )
        delivered = deliver(alert_store, channels, clock=clock)
        _raise_if_waiting(delivered)
    return dg.MaterializeResult(
        metadata={
            "run": dg.MetadataValue.url(run.url),
            "added": added,
            "sent": delivered.sent,
            "waiting": delivered.waiting,
            "unknown": delivered.unknown,
            "errors": {name: error.message for name, error in delivered.errors.items()},
        },
        check_results=[check_delivery(delivered)],
    )


def read_run(
    instance: dg.DagsterInstance, run_id: str, *, dagster_url: str
) -> tuple[RunOutcome, list[CheckOutcome]]:
    """What a finished run said: its outcome and its check evaluations.

    Raises: GrowthError when Dagster does not know the run.
    """
    run = instance.get_run_by_id(run_id)
    if run is None:
        raise GrowthError(
            f"Dagster knows no run {run_id}", remedy="give the id of a run of this instance"
        )
    failure, remedy = "", ""
    if run.status == dg.DagsterRunStatus.FAILURE:
        failure, remedy = _read_failure(instance, run_id)
    outcome = RunOutcome(
        run_id=run_id,
        job_name=_name_of_work(run),
        partition=_months_of_run(run.tags),
        backfill_id=run.tags.get("dagster/backfill"),
        failure=failure,
        remedy=remedy,
        url=f"{dagster_url}/runs/{run_id}",
    )
    evaluations = read_evaluations(instance, run_id)
    return outcome, [_check_outcome(one, outcome.partition) for one in evaluations]


def _name_of_work(run: dg.DagsterRun) -> str:
    """The job's name; of a run started on assets alone, which Dagster names alike, the assets."""
    if not run.job_name.startswith("__") or not run.asset_selection:
        return run.job_name
    return ", ".join(sorted(key.to_user_string() for key in run.asset_selection))


def _months_of_run(tags: Mapping[str, str]) -> str | None:
    first = tags.get("dagster/asset_partition_range_start")
    last = tags.get("dagster/asset_partition_range_end")
    if first and last and first != last:
        return f"{first} to {last}"
    return first or tags.get("dagster/partition")


def read_evaluations(instance: dg.DagsterInstance, run_id: str) -> list[dg.AssetCheckEvaluation]:
    """All check evaluations of a run."""
    events = _events(instance, run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    return [event.asset_check_evaluation_data for event in events]


def _events(
    instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType
) -> Iterable[dg.DagsterEvent]:
    cursor: str | None = None
    while True:
        page = instance.get_records_for_run(run_id, cursor=cursor, of_type=kind)
        for record in page.records:
            if record.event_log_entry.dagster_event is not None:
                yield record.event_log_entry.dagster_event
        if not page.has_more:
            return
        cursor = page.cursor


def _check_outcome(evaluation: dg.AssetCheckEvaluation, run_partition: str | None) -> CheckOutcome:
    facts = {name: value.value for name, value in evaluation.metadata.items()}
    level = _LEVELS.get(str(facts.get("severity")), _LEVEL_OF_SEVERITY[evaluation.severity])
    return CheckOutcome(
        asset=evaluation.asset_key.to_user_string(),
        check=evaluation.check_name,
        passed=evaluation.passed,
        level=level,
        partition=evaluation.partition or run_partition,
        description=evaluation.description or "",
        remedy=str(facts.get("remedy") or ""),
    )


def _read_failure(instance: dg.DagsterInstance, run_id: str) -> tuple[str, str]:
    """Sentence and remedy of the first failed step that has them.

    Text of other exceptions may quote data or secrets; of those only the kind is told.
    """
    kinds = []
    for event in _events(instance, run_id, dg.DagsterEventType.STEP_FAILURE):
        failed = event.step_failure_data
        if failed.user_failure_data and failed.user_failure_data.description:
            remedy = failed.user_failure_data.metadata.get("remedy")
            return failed.user_failure_data.description, str(remedy.value) if remedy else ""
        kinds.append(_innermost(failed.error))
    kind = next((one for one in kinds if one), None)
    return f"it ended with {kind}" if kind else "it ended early", "open the run in Dagster"


def _innermost(error: Any) -> str | None:
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.cls_name) if error else None


def _raise_if_waiting(delivered: Delivered) -> None:
    """Alerts that certainly were not sent wait; the delivery is repeated where that may help."""
    refusals = [error for error in delivered.errors.values() if error.remedy]
    if not delivered.waiting or not refusals:
        return
    error = refusals[0]
    raise GrowthError(
        f"{delivered.waiting} alerts wait: {error.message}",
        remedy=error.remedy,
        retryable=any(one.retryable for one in refusals),
    )
