"""Everything Dagster loads, as one list, and the door through which a terminal runs a job of it."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
from dagster._core.errors import DagsterHomeNotSetError, DagsterInvalidConfigError

from growth_pipeline.alerts import assets as alert_assets
from growth_pipeline.alerts import resources as alert_resources
from growth_pipeline.alerts import sensors as alert_sensors
from growth_pipeline.audit import assets as audit_assets
from growth_pipeline.audit import resources as audit_resources
from growth_pipeline.audit import schedules as audit_schedules
from growth_pipeline.audit import sensors as audit_sensors
from growth_pipeline.billing import assets as billing_assets
from growth_pipeline.billing import checks as billing_checks
from growth_pipeline.billing import resources as billing_resources
from growth_pipeline.billing import schedules as billing_schedules
from growth_pipeline.billing import sensors as billing_sensors
from growth_pipeline.billing.partitions import monthly_partitions
from growth_pipeline.billing.resources import VIA_TAG
from growth_pipeline.cohorts import assets as cohort_assets
from growth_pipeline.cohorts import resources as cohort_resources
from growth_pipeline.cohorts import schedules as cohort_schedules
from growth_pipeline.core.errors import (
    ConfigurationError,
    GrowthError,
    RemoteUnavailableError,
    UsageError,
)
from growth_pipeline.core.periods import Month
from growth_pipeline.events import assets as event_assets
from growth_pipeline.events import resources as event_resources
from growth_pipeline.events import schedules as event_schedules
from growth_pipeline.events.partitions import daily_partitions
from growth_pipeline.insights import assets as insight_assets
from growth_pipeline.insights import resources as insight_resources
from growth_pipeline.insights import schedules as insight_schedules
from growth_pipeline.lifecycle import assets as lifecycle_assets
from growth_pipeline.lifecycle import resources as lifecycle_resources
from growth_pipeline.lifecycle import schedules as lifecycle_schedules
from growth_pipeline.marts import assets as mart_assets
from growth_pipeline.marts import resources as mart_resources
from growth_pipeline.revenue import assets as revenue_assets
from growth_pipeline.revenue import resources as revenue_resources
from growth_pipeline.revenue import schedules as revenue_schedules
from growth_pipeline.settings import load_settings

LOCATION = "growth_pipeline"
_PROGRESS_LOGGER = "progress"

Progress = Callable[[str], None]
_progress: ContextVar[Progress | None] = ContextVar("progress", default=None)
_E = TypeVar("_E", bound=BaseException)

RESOURCES: Mapping[str, Any] = {
    "clock": billing_resources.clock,
    "scope": billing_resources.scope,
    "scopes": billing_resources.scopes,
    "database": billing_resources.database,
    "lake": billing_resources.lake,
    "checkpoints": billing_resources.checkpoints,
    "engine": billing_resources.engine,
    "queries": billing_resources.queries,
    "stripe": billing_resources.stripe,
    "billing_store": billing_resources.billing_store,
    "sweep_store": billing_resources.sweep_store,
    "activity_store": event_resources.activity_store,
    "activity_zone": event_resources.activity_zone,
    "assertion_store": event_resources.assertion_store,
    "cohort_store": cohort_resources.cohort_store,
    "money_store": cohort_resources.money_store,
    "cohort_entry": cohort_resources.cohort_entry,
    "cohort_segments": cohort_resources.cohort_segments,
    "cohort_week_start": cohort_resources.cohort_week_start,
    "published_activity": cohort_resources.published_activity,
    "published_funnels": cohort_resources.published_funnels,
    "funnel_store": cohort_resources.funnel_store,
    "mrr_policies": revenue_resources.mrr_policies,
    "revenue_zone": revenue_resources.revenue_zone,
    "revenue_segments": revenue_resources.revenue_segments,
    "movements_store": revenue_resources.movements_store,
    "figure_store": revenue_resources.figure_store,
    "fx_store": revenue_resources.fx_store,
    "reporting": revenue_resources.reporting,
    "mart_store": mart_resources.mart_store,
    "insight_store": insight_resources.insight_store,
    "report_outlet": insight_resources.report_outlet,
    "digest_sources": insight_resources.digest_sources,
    "insight_model": insight_resources.insight_model,
    "insight_weeks": insight_resources.insight_weeks,
    "insights_keep_days": insight_resources.insights_keep_days,
    "lifecycle_rules": lifecycle_resources.lifecycle_rules,
    "journeys": lifecycle_resources.journeys,
    "sending_policy": lifecycle_resources.sending_policy,
    "kit_choice": lifecycle_resources.kit_choice,
    "health_limits": lifecycle_resources.health_limits,
    "audit_store": audit_resources.audit_store,
    "audit_grace": audit_resources.audit_grace,
    "audit_timing": audit_resources.audit_timing,
    "report_store": audit_resources.report_store,
    "reports_keep": audit_resources.reports_keep,
    "alert_store": alert_resources.alert_store,
    "alert_channels": alert_resources.alert_channels,
    "alert_policy": alert_resources.alert_policy,
    "dagster_url": alert_resources.dagster_url,
}


class _ProgressHandler(logging.Handler):
    """Hands on what assets log and which asset begins; Dagster's own events stay out."""

    def __init__(self, tell: Progress) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        about = getattr(record, "dagster_meta", {})
        event = about.get("dagster_event")
        if event is None and record.levelno >= logging.INFO:
            self._tell(about.get("orig_message") or record.getMessage())
        elif event is not None and event.event_type == dg.DagsterEventType.STEP_START:
            self._tell(str(event.step_key).replace("__", "/"))


def _progress_logger(_context: dg.InitLoggerContext) -> logging.Logger:
    """Logger of one run, silent unless `launch` was given somebody to tell."""
    logger = logging.Logger("growth_pipeline.progress", logging.DEBUG)
    tell = _progress.get()
    logger.addHandler(_ProgressHandler(tell) if tell else logging.NullHandler())
    return logger


progress_logger = dg.LoggerDefinition(
    _progress_logger, description="Tells a person at a terminal what a run does."
)


def build_defs(resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """All definitions; `resources` replaces some of them, in tests and for a dry run."""
    return _resolved(
        dg.Definitions(
            assets=[
                *billing_assets.stripe_extracts,
                billing_assets.inbox,
                billing_assets.mirror,
                billing_assets.payments,
                billing_assets.mirror_backfill,
                billing_assets.event_sweep,
                billing_assets.drift,
                event_assets.activity,
                event_assets.billing_assertions,
                audit_assets.findings,
                audit_assets.report,
                audit_assets.kept_reports,
                cohort_assets.retention_cells,
                cohort_assets.report,
                cohort_assets.active_users,
                cohort_assets.funnels,
                revenue_assets.subscription_states,
                revenue_assets.mrr,
                revenue_assets.movements,
                revenue_assets.receipts,
                mart_assets.kept_tables,
                insight_assets.weekly_report,
                lifecycle_assets.stages,
                lifecycle_assets.messages,
                lifecycle_assets.engagement_scores,
                lifecycle_assets.score_backtest,
                alert_assets.outbox,
            ],
            jobs=[
                audit_schedules.audit_job,
                audit_schedules.clean_reports_job,
                billing_assets.extract_job,
                billing_assets.book_job,
                billing_assets.backfill_job,
                billing_assets.sweep_job,
                billing_assets.relist_job,
                event_assets.verify_events_job,
                cohort_schedules.refresh_cohorts_job,
                revenue_schedules.refresh_revenue_job,
                insight_schedules.weekly_growth_report_job,
                lifecycle_schedules.lifecycle_job,
                lifecycle_schedules.engagement_scores_job,
                lifecycle_schedules.score_backtest_job,
                alert_sensors.deliver_alerts_job,
            ],
            schedules=[
                audit_schedules.daily_audit_schedule,
                audit_schedules.older_months_audit_schedule,
                audit_schedules.weekly_report_cleaning_schedule,
                billing_schedules.nightly_relist_schedule,
                cohort_schedules.daily_cohorts_schedule,
                cohort_schedules.sunday_cohorts_schedule,
                revenue_schedules.daily_revenue_schedule,
                insight_schedules.weekly_growth_report_schedule,
                lifecycle_schedules.hourly_lifecycle_schedule,
                lifecycle_schedules.daily_scores_schedule,
                lifecycle_schedules.monthly_backtest_schedule,
                event_schedules.daily_billing_assertions_schedule,
            ],
            sensors=[
                audit_sensors.missing_audits_sensor,
                billing_sensors.event_sweep_sensor,
                alert_sensors.checks_alert_sensor,
                alert_sensors.run_failure_alert_sensor,
                alert_sensors.alert_timer_sensor,
            ],
            asset_checks=[
                billing_checks.no_events_are_quarantined,
                billing_checks.api_versions_are_known,
                billing_checks.key_fields_stay_filled,
                billing_checks.statuses_are_known,
            ],
            resources={**RESOURCES, **(resources or {})},
            executor=dg.in_process_executor,
            loggers={"console": dg.colored_console_logger, _PROGRESS_LOGGER: progress_logger},
        )
    )


def _resolved(definitions: dg.Definitions) -> dg.Definitions:
    """The same, with its jobs resolved now, where what Dagster says about them is expected.

    The audit job takes one month a run; that its extracts alone may take several is meant so.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*materializes assets with varying Backfill.*")
        definitions.get_repository_def().get_all_jobs()
    return definitions


@dataclass(frozen=True)
class AssetFacts:
    """What the reference page says of one asset. `checks`: name -> what must hold."""

    key: str
    group: str
    description: str
    owners: Sequence[str]
    kinds: Sequence[str]
    upstream: Sequence[str]
    partitions: str
    checks: Mapping[str, str]


def describe_assets() -> list[AssetFacts]:
    """Facts of every asset, in the order of their keys; for docs/assets.md."""
    graph = defs.resolve_asset_graph()
    checks: dict[dg.AssetKey, dict[str, str]] = {}
    for check in graph.asset_check_keys:
        spec = graph.get_check_spec(check)
        checks.setdefault(check.asset_key, {})[check.name] = spec.description or ""
    return [
        AssetFacts(
            key=spec.key.to_user_string(),
            group=spec.group_name or "",
            description=spec.description or "",
            owners=list(spec.owners),
            kinds=sorted(spec.kinds),
            upstream=sorted(dep.asset_key.to_user_string() for dep in spec.deps),
            partitions=_partition_in_words(graph.get(spec.key).partitions_def),
            checks=dict(sorted(checks.get(spec.key, {}).items())),
        )
        for spec in sorted(defs.resolve_all_asset_specs(), key=lambda spec: spec.key)
    ]


def _partition_in_words(partitions: dg.PartitionsDefinition[str] | None) -> str:
    if isinstance(partitions, dg.DailyPartitionsDefinition):
        return "day"
    return "month" if partitions else ""


@dataclass(frozen=True)
class CheckedAsset:
    """One check evaluation of a run, without any type of Dagster."""

    asset: str
    check: str
    passed: bool
    severity: str
    month: str | None
    description: str
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Launched:
    """A finished run. `metadata`: of each asset made, by its key as `audit/report`.

    `documents`: the files that the run's report wrote, by format (md, json, csv, parquet).
    """

    success: bool
    run_id: str
    checks: Sequence[CheckedAsset]
    metadata: Mapping[str, Mapping[str, Any]] = field(repr=False)
    documents: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def launch(
    job_name: str,
    *,
    partition_key: str | None = None,
    partition_range: tuple[str, str] | None = None,
    assets: Sequence[str] | None = None,
    run_config: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    resources: Mapping[str, Any] | None = None,
    dry_run: bool = False,
    verbose: bool = False,
    on_progress: Progress | None = None,
) -> Launched:
    """Run a job in this process; in Dagster's UI it shows as any other run of that job.

    `partition_key` is one month, `partition_range` first and last of several in one run (extracts,
    payments and backfills only). `assets` narrows the job to some of its assets ("audit/findings").
    A dry run reads Stripe and computes everything, but rolls its transactions back, writes files to
    a folder that is removed, and is not recorded.
    Raises: the GrowthError of the failing step; UsageError for a month that has no partition;
    ConfigurationError and RemoteUnavailableError when Dagster's own storage cannot be used.
    """
    keys = _check_keys(job_name, partition_key, partition_range)
    with (
        _unwrapped(),
        _resources_of(resources or {}, dry_run=dry_run) as given,
        _instance(dry_run=dry_run) as instance,
        _reporting(on_progress),
    ):
        result = (
            build_defs(given)
            .resolve_job_def(job_name)
            .execute_in_process(
                instance=instance,
                partition_key=partition_key,
                asset_selection=[dg.AssetKey.from_user_string(name) for name in assets or ()],
                run_config={**(run_config or {}), "loggers": _loggers(verbose=verbose)},
                tags={**_tags(keys, dry_run=dry_run), **(tags or {})},
            )
        )
        return _launched(result, given["lake"])


def _check_keys(
    job_name: str, key: str | None, keys: tuple[str, str] | None
) -> tuple[str, str] | None:
    """The range, after both its ends and the single key are known to be partitions of the job.

    Raises: UsageError naming the months, or days, that exist.
    """
    if isinstance(defs.resolve_job_def(job_name).partitions_def, dg.DailyPartitionsDefinition):
        return _check_days(key, keys)
    known = monthly_partitions()
    for month in (*(keys or ()), *([key] if key else [])):
        if not known.has_partition_key(Month.parse(month).key):
            first, last = known.get_first_partition_key(), known.get_last_partition_key()
            raise UsageError(
                f"{month} is not between {first} and {last}",
                remedy="a month that has not begun cannot be audited; GROWTH_HISTORY_START is "
                "the first month there is",
            )
    if keys and keys[1] < keys[0]:
        raise UsageError(f"{keys[0]} is after {keys[1]}", remedy="give the earlier month first")
    return keys


def _check_days(key: str | None, keys: tuple[str, str] | None) -> tuple[str, str] | None:
    known = daily_partitions()
    for day in (*(keys or ()), *([key] if key else [])):
        if not known.has_partition_key(day):
            first, last = known.get_first_partition_key(), known.get_last_partition_key()
            raise UsageError(
                f"{day} is not a day between {first} and {last}",
                remedy="write days as 2026-10-31; a day has to be over in UTC, and "
                "GROWTH_HISTORY_START is the first month there is",
            )
    if keys and keys[1] < keys[0]:
        raise UsageError(f"{keys[0]} is after {keys[1]}", remedy="give the earlier day first")
    return keys


def _tags(months: tuple[str, str] | None, *, dry_run: bool) -> dict[str, str]:
    # The first two put the run on the job's own page: a run of this process has no origin.
    tags = {
        ".dagster/repository": f"__repository__@{LOCATION}",
        "dagster/code_location": LOCATION,
        VIA_TAG: "cli",
    }
    if dry_run:
        tags[alert_sensors.DRY_RUN_TAG] = "true"
    if months:
        tags["dagster/asset_partition_range_start"] = months[0]
        tags["dagster/asset_partition_range_end"] = months[1]
    return tags


@contextmanager
def _resources_of(given: Mapping[str, Any], *, dry_run: bool) -> Iterator[Mapping[str, Any]]:
    """Resources that replace the usual ones; a dry run's leave nothing behind."""
    from growth_pipeline.storage.lake import Lake  # brings polars
    from growth_pipeline.storage.postgres import Database  # brings psycopg

    settings = load_settings()
    if not dry_run:
        yield {"lake": Lake(settings.resolved_lake_url), **given}
        return
    url = billing_resources.database_url(settings)
    with (
        tempfile.TemporaryDirectory(prefix="growth-dry-run-") as folder,
        Database(url, application_name="growth dry run") as database,
    ):
        database.dry_run = True
        _show_lake(settings.resolved_lake_url, folder)
        yield {
            "database": database,
            "lake": Lake(folder),
            "checkpoints": Path(folder) / ".extracts",
            "audit_store": audit_resources.remembering_store(database),
            **given,
        }


def _show_lake(address: str, folder: str) -> None:
    """Let a dry run see a local lake's files; what it writes replaces links, never their targets.

    An audit needs the refunds and disputes of other months too. An object store is not shown.
    """
    if "://" not in address and Path(address).is_dir():
        shutil.copytree(address, folder, copy_function=os.symlink, dirs_exist_ok=True)


@contextmanager
def _instance(*, dry_run: bool) -> Iterator[dg.DagsterInstance]:
    try:
        instance = dg.DagsterInstance.ephemeral() if dry_run else dg.DagsterInstance.get()
    except (DagsterHomeNotSetError, DagsterInvalidConfigError):
        raise ConfigurationError(
            "Dagster's home is not set up: DAGSTER_HOME or GROWTH_DAGSTER_DATABASE_URL is missing",
            remedy="run it through the growth command, or set both",
        ) from None
    with instance:
        yield instance


@contextmanager
def _unwrapped() -> Iterator[None]:
    """Dagster wraps what a step or a resource raises; a person gets our own error."""
    from sqlalchemy.exc import OperationalError  # only when a run starts

    try:
        yield
    except dg.DagsterExecutionInterruptedError:  # between two steps
        raise KeyboardInterrupt from None
    except Exception as error:
        own = _find_cause(error, GrowthError)
        if own is not None:
            raise own from own.__cause__
        if _find_cause(error, OperationalError) is not None:
            raise RemoteUnavailableError(
                "Dagster's own database does not answer",
                remedy="start it, or correct GROWTH_DAGSTER_DATABASE_URL",
            ) from error
        failure = _find_cause(error, dg.Failure)
        cause = failure.__cause__ if failure else None
        if cause is not None:
            raise cause from cause.__cause__
        raise


def _find_cause(error: BaseException | None, kind: type[_E]) -> _E | None:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:  # chains may close into a ring
        if isinstance(error, kind):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def _reporting(tell: Progress | None) -> Iterator[None]:
    token = _progress.set(tell)
    try:
        yield
    finally:
        _progress.reset(token)


def _loggers(*, verbose: bool) -> dict[str, Any]:
    # Naming one logger silences Dagster's default one, which prints every event.
    loud = {"console": {"config": {"log_level": "DEBUG"}}}
    return {_PROGRESS_LOGGER: {}, **(loud if verbose else {})}


def _launched(result: dg.ExecuteInProcessResult, lake: Any) -> Launched:
    metadata: dict[str, dict[str, Any]] = {}
    for event in result.get_asset_materialization_events():
        made = event.materialization
        values = metadata.setdefault(made.asset_key.to_user_string(), {})
        values.update({name: value.value for name, value in made.metadata.items()})
    files: dict[str, str] = {}
    for values in metadata.values():
        files.update(values.get("artifacts", {}))
    return Launched(
        success=result.success,
        run_id=result.run_id,
        checks=[
            CheckedAsset(
                asset=one.asset_key.to_user_string(),
                check=one.check_name,
                passed=one.passed,
                severity=one.severity.value,
                month=one.partition,
                description=one.description or "",
                metadata={name: value.value for name, value in one.metadata.items()},
            )
            for one in result.get_asset_check_evaluations()
        ],
        metadata=metadata,
        documents={kind: lake.read_artifact(path) for kind, path in files.items()},
    )


defs = build_defs()
