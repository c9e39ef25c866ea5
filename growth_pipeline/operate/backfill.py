"""One backfill from a terminal: the plan, then the same job that Dagster's backfills run.

What is covered and what changed is decided in `billing/backfill.py`; nothing is counted here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from growth_pipeline.billing.backfill import (
    KnownSize,
    Plan,
    Span,
    check_history,
    choose_resources,
    plan_reading,
    resolve_span,
)
from growth_pipeline.billing.backfill_report import plan_lines
from growth_pipeline.billing.extract import dataset_of
from growth_pipeline.core.errors import ExitCode, GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline.operate.home import migrate_home, open_home
from growth_pipeline.operate.logs import log_for_a_person
from growth_pipeline.settings import Settings, load_settings
from growth_pipeline.storage.lake import Lake, LakeUnreadableError

if TYPE_CHECKING:
    from growth_pipeline.operate.home import Home

Say = Callable[[str], None]

BACKFILL_JOB = "backfill_job"
_ASSET = "billing/mirror_backfill"


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for; nothing of it is checked yet."""

    since: str
    until: str | None
    objects: str | None
    apply: bool


@dataclass(frozen=True)
class Report:
    """A finished backfill or dry run: as a page, as JSON, and whether all of it could be used."""

    page: str
    document: Mapping[str, Any]

    @property
    def exit_code(self) -> int:
        """1 when the mirror could not use some object, else 0."""
        refused = self.document["total"]["refused"]
        return int(ExitCode.FAILED if refused else ExitCode.DONE)


def backfill(wanted: Wanted, *, now: datetime, say: Say) -> Report:
    """Read the span from Stripe and bring it into the mirror, or show what that would change.

    Raises: UsageError for arguments that name no span or kind; the GrowthError of the step that
    failed.
    """
    log_for_a_person(say)
    resources = choose_resources(wanted.objects)
    span = resolve_span(wanted.since, wanted.until, now=now)
    with open_home() as home:
        if home.is_demo:
            say(f"nothing is configured here: backfilling the running demo ({home.state_dir})")
        settings = load_settings()
        check_history(span, Month.parse(settings.history_start))
        migrate_home(home)
        plan = _plan(home, settings, span, resources)
        for line in plan_lines(plan, span):
            say(line)
        if not wanted.apply:
            say("dry run: everything is read and computed, nothing is changed")
        launched = _launch(span, resources, dry_run=not wanted.apply, say=say)
        if not wanted.apply:
            _keep(launched.documents, launched.metadata[_ASSET]["artifacts"], settings)
    document = {**json.loads(launched.documents["json"]), "plan": plan.to_dict()}
    page = str(launched.metadata[_ASSET]["report"])
    return Report(page if wanted.apply else page + next_step(wanted), document)


def _launch(span: Span, resources: tuple[str, ...], *, dry_run: bool, say: Say) -> Any:
    # Only now: Dagster reads its home from the environment that open_home made.
    from growth_pipeline.definitions import launch

    months = span.months()
    launched = launch(
        BACKFILL_JOB,
        partition_range=(months[0].key, months[-1].key),
        assets=[*(f"billing/{name}_extract" for name in resources), _ASSET],
        run_config={
            "ops": {
                _ASSET.replace("/", "__"): {
                    "config": {
                        "since": f"{span.start:%Y-%m-%d}",
                        "until": f"{span.end:%Y-%m-%d}",
                        "objects": ",".join(resources),
                    }
                }
            }
        },
        dry_run=dry_run,
        on_progress=say,
    )
    if "json" not in launched.documents:
        raise GrowthError(
            "the backfill ended without a report",
            remedy=f"open run {launched.run_id} in Dagster's UI (growth serve --all)",
        )
    return launched


def _plan(home: Home, settings: Settings, span: Span, resources: tuple[str, ...]) -> Plan:
    return plan_reading(
        span.months(),
        resources,
        known_sizes(home, settings, span, resources),
        requests_per_second=settings.stripe.account_requests_per_second,
        endpoint_requests_per_second=settings.stripe.endpoint_requests_per_second,
    )


def known_sizes(
    home: Home, settings: Settings, span: Span, resources: tuple[str, ...]
) -> dict[tuple[str, str], KnownSize]:
    """How large each list was when it was last read; else how much of it the mirror has.

    Of the key's own account: connected accounts have limits of their own.
    """
    from growth_pipeline.billing.backfill_store import BackfillStore
    from growth_pipeline.storage.postgres import Database

    scope = Scope(settings.stripe.account_id, settings.stripe.livemode)
    months = span.months()
    with Database(home.database_url, max_size=1, application_name="growth backfill") as database:
        counted = BackfillStore(database).count_months(scope, months[0].start, months[-1].end)
    sizes = {key: KnownSize(objects) for key, objects in counted.items()}
    lake = Lake(settings.resolved_lake_url)
    for name in resources:
        for partition, read in _read_sizes(lake, name):
            if (partition["account"], partition["mode"]) == (scope.account_id, scope.mode):
                sizes[name, partition.get("month", "")] = read
    return sizes


def _read_sizes(lake: Lake, resource: str) -> list[tuple[Mapping[str, str], KnownSize]]:
    """Sizes of the months of one list as extracted; none if a damaged file hides them.

    The backfill replaces the file; an estimate is no reason to stop it.
    """
    try:
        manifests = lake.manifests(dataset_of(resource))
    except LakeUnreadableError:
        return []
    return [
        (one.partition, KnownSize(one.row_count, one.certificate.get("request_count")))
        for one in manifests
    ]


def _keep(documents: Mapping[str, bytes], paths: Mapping[str, str], settings: Settings) -> None:
    """Keep what a dry run said, which is all of it that stays: the next apply is held to it."""
    lake = Lake(settings.resolved_lake_url)
    for kind, path in paths.items():
        lake.put_artifact(path, documents[kind])


def next_step(wanted: Wanted) -> str:
    """The line that tells how to do what a dry run showed."""
    words = ["growth backfill", f"--since {wanted.since}"]
    words += [f"--until {wanted.until}"] if wanted.until else []
    if wanted.objects:
        words.append(f"--objects {','.join(choose_resources(wanted.objects))}")
    return f"\nNext: `{' '.join([*words, '--apply'])}`\n"
