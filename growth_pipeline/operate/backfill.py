"""One backfill from a terminal: the plan, then the same job that Dagster's backfills run.

What is covered and what changed is decided in `billing/backfill.py`; nothing is counted here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from growth_pipeline.billing.backfill import (
    KnownSize,
    Part,
    Plan,
    Span,
    check_history,
    choose_resources,
    parts_of,
    plan_reading,
    resolve_span,
)
from growth_pipeline.billing.backfill_report import plan_lines, requests_line
from growth_pipeline.billing.extract import dataset_of
from growth_pipeline.core.errors import ExitCode, GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline.operate.home import check_home, migrate_home, open_home
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
        if wanted.apply:
            migrate_home(home)
        else:
            check_home(home)
        plan = _plan(home, settings, span, resources)
        for line in plan_lines(plan, span):
            say(line)
        if not wanted.apply:
            say("dry run: everything is read and computed, nothing is changed")
        launched = _launch(span, resources, dry_run=not wanted.apply, say=say)
        if not wanted.apply:
            _keep(launched.documents, launched.metadata[_ASSET]["artifacts"], settings)
    document = {**json.loads(launched.documents["json"]), "plan": plan.to_dict()}
    page = str(launched.metadata[_ASSET]["report"]) + requests_line(plan, document["requests"])
    return Report(page + next_step(wanted, is_empty=document["is_empty"]), document)


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
    parts = parts_of(resources, settings.stripe.scopes, span.months())
    return plan_reading(
        parts,
        known_sizes(home, settings, parts),
        requests_per_second=settings.stripe.account_requests_per_second,
        endpoint_requests_per_second=settings.stripe.endpoint_requests_per_second,
    )


def known_sizes(home: Home, settings: Settings, parts: Sequence[Part]) -> dict[Part, KnownSize]:
    """How large each extract was when it was last made; else how much of it the mirror has."""
    from growth_pipeline.billing.backfill_store import BackfillStore
    from growth_pipeline.storage.postgres import Database

    with Database(home.database_url, max_size=1, application_name="growth backfill") as database:
        counted = BackfillStore(database).count_parts(parts)
    sizes = {part: KnownSize(objects) for part, objects in counted.items()}
    lake = Lake(settings.resolved_lake_url)
    for name in {part.resource for part in parts}:
        sizes |= _read_sizes(lake, name)
    return {part: sizes[part] for part in parts if part in sizes}


def _read_sizes(lake: Lake, resource: str) -> dict[Part, KnownSize]:
    """Sizes of the extracts of one list, of any account; none if a damaged file hides them.

    The backfill replaces the file; an estimate is no reason to stop it.
    """
    try:
        manifests = lake.manifests(dataset_of(resource))
    except LakeUnreadableError:
        return {}
    return {
        _part(resource, one.partition): KnownSize(
            one.row_count, one.certificate.get("request_count")
        )
        for one in manifests
    }


def _part(resource: str, partition: Mapping[str, str]) -> Part:
    month = partition.get("month")
    scope = Scope(partition["account"], partition["mode"] == "live")
    return Part(scope, resource, Month.parse(month) if month else None)


def _keep(documents: Mapping[str, bytes], paths: Mapping[str, str], settings: Settings) -> None:
    """Keep what a dry run said, which is all of it that stays: the next apply is held to it."""
    lake = Lake(settings.resolved_lake_url)
    for kind, path in paths.items():
        lake.put_artifact(path, documents[kind])


def next_step(wanted: Wanted, *, is_empty: bool) -> str:
    """The line that tells how to do what a dry run showed; nothing if there is nothing to do."""
    if wanted.apply or is_empty:
        return ""
    words = ["growth backfill", f"--since {wanted.since}"]
    words += [f"--until {wanted.until}"] if wanted.until else []
    if wanted.objects:
        words.append(f"--objects {','.join(choose_resources(wanted.objects))}")
    return f"\nNext: `{' '.join([*words, '--apply'])}`\n"
