"""The alert outbox as an asset: decides about one finished run and delivers what waits."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from growth_pipeline.alerts.checks import OUTBOX_CHECKS, check_delivery
from growth_pipeline.alerts.decide import (
    AlertPolicy,
    decide_alerts,
    decide_escalations,
    heartbeat,
    judge_daily_audit,
)
from growth_pipeline.alerts.deliver import Channel, Sent, WaitingAlert, deliver
from growth_pipeline.alerts.limits import NO_RATES
from growth_pipeline.alerts.reports import ReportOutlet, report_alerts
from growth_pipeline.alerts.signals import (
    CheckOutcome,
    ClassOutcome,
    Level,
    RunOutcome,
    Signal,
    read_signals,
)
from growth_pipeline.alerts.troubleshoot import KILLED, OURS, SENTENCES, STEPS
from growth_pipeline.audit.schedules import AUDIT_DAY_TAG, audit_job
from growth_pipeline.billing.partitions import Made, asset
from growth_pipeline.billing.resources import Clock, told_in_one_sentence
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.periods import Month

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
    """Which finished run to decide about; empty: only what time brings, and what waits."""

    run_id: str = ""


class LogChannel:
    """The log of the delivering run: the channel that is always there."""

    name = "log"
    audiences = frozenset({"all", "issues", "reports"})
    batch = 1
    pictures = False
    threads = False
    readable = True
    rates = NO_RATES
    requests = 0

    def __init__(self, log: logging.Logger) -> None:
        self._log = log

    def send(self, alerts: Sequence[WaitingAlert]) -> Sent:
        """One line an alert. See `Channel.send`."""
        for alert in alerts:
            lines = " | ".join([f"{alert.level}: {alert.title}", *alert.body.splitlines()])
            level = logging.INFO if alert.kind == "report" else logging.WARNING
            self._log.log(level, "alert: %s", lines)
        return Sent()

    def find(self, alert: WaitingAlert) -> str | None:
        """A line of a run that died may be missing; logging it again harms nobody."""
        del alert
        return None


@asset(
    "alerts",
    "outbox",
    description="Grain: one alert to one channel. Intents are written before a call is made; "
    "one run decides about one finished run, or about what time brings, and sends what waits.",
    kinds={"postgres"},
    checks=OUTBOX_CHECKS,
    # Deliveries that wait for a dead channel must not take the places of data runs.
    pool="alerts",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=60, backoff=dg.Backoff.EXPONENTIAL),
    code_version="2",
)
def outbox(
    context: dg.AssetExecutionContext,
    config: AlertConfig,
    *,
    alert_store: dg.ResourceParam[AlertStore],
    alert_channels: dg.ResourceParam[Sequence[Channel]],
    alert_policy: dg.ResourceParam[AlertPolicy],
    report_outlet: dg.ResourceParam[ReportOutlet],
    dagster_url: dg.ResourceParam[str],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one alert to one channel."""
    with told_in_one_sentence(context):
        channels: list[Channel] = [LogChannel(context.log), *alert_channels]
        url = f"{dagster_url}/runs/{config.run_id or context.run.run_id}"
        added = 0
        if config.run_id:
            run, checks = read_run(context.instance, config.run_id, dagster_url=dagster_url)
            added += add_news(alert_store, run, checks, channels, now=clock())
        here = RunOutcome(context.run.run_id, "alerts", url=url)
        added += add_due(alert_store, here, alert_policy, channels, now=clock())
        try:
            whole_at = f"{dagster_url}/assets/insights/weekly_report"
            added += add_reports(
                alert_store, report_outlet, channels, whole_at=whole_at, now=clock()
            )
        except Exception as error:  # noqa: BLE001 - they wait; all else is told all the same
            reason = error.message if isinstance(error, GrowthError) else type(error).__name__
            context.log.warning("weekly reports cannot be read: %s", reason)
        delivered = deliver(alert_store, channels, clock=clock)
    return dg.MaterializeResult(
        metadata={
            "run": dg.MetadataValue.url(url),
            "added": added,
            "sent": delivered.sent,
            "waiting": delivered.waiting,
            "unknown": delivered.unknown,
            "errors": {name: error.message for name, error in delivered.errors.items()},
        },
        check_results=check_delivery(delivered),
    )


def add_news(
    store: AlertStore,
    run: RunOutcome,
    checks: Sequence[CheckOutcome],
    channels: Sequence[Channel],
    *,
    now: datetime,
) -> int:
    """Intents for what a finished run said; how many are new."""
    signals = read_signals(run, checks)
    return store.add(
        [signal.fingerprint for signal in signals],
        lambda known: [*decide_alerts(run, signals, known), *heartbeat(run)],
        channels=channels,
        now=now,
    )


def add_due(
    store: AlertStore,
    run: RunOutcome,
    policy: AlertPolicy,
    channels: Sequence[Channel],
    *,
    now: datetime,
) -> int:
    """Intents for what time alone brings: problems that last, a daily audit that did not run."""
    watched = watch_daily_audit(store, policy, now)
    silent = store.add(
        [watched.fingerprint],
        lambda known: decide_alerts(run, [watched], known),
        channels=channels,
        now=now,
    )
    lasting = store.add(
        [problem.fingerprint for problem in store.open_problems()],
        lambda known: decide_escalations(
            known.values(), now, after_days=policy.escalate_after_days, url=run.url
        ),
        channels=channels,
        now=now,
    )
    return silent + lasting


def add_reports(
    store: AlertStore,
    outlet: ReportOutlet,
    channels: Sequence[Channel],
    *,
    whole_at: str,
    now: datetime,
) -> int:
    """Intents for weekly reports that nobody was told of; how many are new.

    Noted as told only after that: ended in between, the next call adds none and notes them.
    """
    reports = outlet.untold_reports()
    if not reports:
        return 0
    alerts = report_alerts(reports, whole_at=whole_at)
    added = store.add([], lambda _known: alerts, channels=channels, now=now)
    outlet.mark_told([one.report_id for one in reports], now)
    return added


def watch_daily_audit(store: AlertStore, policy: AlertPolicy, now: datetime) -> Signal:
    """Whether an audit of this month or the one before finished in the last hours."""
    month = Month.of(now)
    return judge_daily_audit(
        store.audited_at([month.start, month.previous.start]),
        store.watched_since("daily_audit", now=now),
        now,
        hours=policy.audit_hours,
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
    failure, remedy, kind = "", "", ""
    if run.status == dg.DagsterRunStatus.FAILURE:
        failure, remedy, kind = _read_failure(instance, run_id)
    outcome = RunOutcome(
        run_id=run_id,
        job_name=_name_of_work(run),
        partition=_months_of_run(run.tags),
        backfill_id=run.tags.get("dagster/backfill"),
        failure=failure,
        remedy=remedy,
        url=f"{dagster_url}/runs/{run_id}",
        failure_kind=kind,
        is_daily_audit=AUDIT_DAY_TAG in run.tags and run.job_name == audit_job.name,
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
        partition=_month_in_zone(evaluation.partition or run_partition, facts.get("tz")),
        description=evaluation.description or "",
        remedy=str(facts.get("remedy") or ""),
        classes=tuple(_class_outcomes(facts.get("classes"))),
        verdict=str(facts.get("verdict") or ""),
        at_risk=str(facts.get("at_risk") or ""),
    )


def _month_in_zone(partition: str | None, tz: Any) -> str | None:
    """A month of another zone than UTC has problems of its own."""
    return f"{partition} ({tz})" if partition and tz and tz != "UTC" else partition


def _class_outcomes(told: Any) -> Iterator[ClassOutcome]:
    """The classes that a check of the audit stands for: audit/checks.py writes them."""
    for code, facts in (told if isinstance(told, Mapping) else {}).items():
        yield ClassOutcome(
            code=str(code),
            findings=int(facts["findings"]),
            level=_LEVELS[str(facts["severity"])],
            money=str(facts["money"]),
            action=str(facts["action"]),
            suppressed=int(facts["suppressed"]),
            certain=bool(facts.get("certain", True)),
        )


def _read_failure(instance: dg.DagsterInstance, run_id: str) -> tuple[str, str, str]:
    """Sentence, remedy and kind of the first failed step that has them.

    Text of other exceptions may quote data or secrets; of those only the kind is told. A run that
    ended without a failed step was killed, or never began.
    """
    kinds: list[str] = []
    for event in _events(instance, run_id, dg.DagsterEventType.STEP_FAILURE):
        failed = event.step_failure_data
        names = _names_of(failed.error)
        kind = next((name for name in names if name in STEPS), "")
        if failed.user_failure_data and failed.user_failure_data.description:
            remedy = failed.user_failure_data.metadata.get("remedy")
            told = str(remedy.value) if remedy else ""
            last = OURS if told else names[-1] if names else ""
            return failed.user_failure_data.description, told, kind or last
        kinds.append(kind or (names[-1] if names else ""))
    if not kinds:
        return "it ended early", "open the run in Dagster", KILLED
    kind = next((one for one in kinds if one), "an error")
    said = SENTENCES.get(kind, f"it ended with {kind}")
    return said, "open the run in Dagster", kind


def _names_of(error: Any) -> list[str]:
    """Types of an error and its causes, the outermost first."""
    names = []
    while error is not None:
        if error.cls_name:
            names.append(str(error.cls_name))
        error = error.cause
    return names
