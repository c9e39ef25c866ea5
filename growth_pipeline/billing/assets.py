"""Stripe's objects as evidence in the lake, and the mirror and books that its events make.

Shells only: load, call, report. What an extract is, is decided in `extract.py`; what an event
means, in `mirror.py`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg

from growth_pipeline.billing.checks import (
    BACKFILL_CHECKS,
    DRIFT_CHECKS,
    LONG_DOUBT,
    MIRROR_CHECKS,
    PAYMENT_CHECKS,
    SWEEP_CHECKS,
    PaymentFacts,
    api_versions_are_known,
    check_answers,
    check_backfill,
    check_doubts,
    check_drift,
    check_extracts,
    check_payments,
    check_sweeps,
    check_waiting,
    extract_checks,
    key_fields_stay_filled,
    no_events_are_quarantined,
    read_payment_facts,
    statuses_are_known,
)
from growth_pipeline.billing.objects import BACKFILLED, STRIPE_OBJECTS, WHOLE_OBJECTS
from growth_pipeline.billing.partitions import (
    Made,
    add_month_metadata,
    asset,
    asset_spec,
    months_of,
    multi_asset,
)
from growth_pipeline.billing.resources import Clock, OpenReader, told_in_one_sentence
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline.stripe_api.errors import StripePermissionError

if TYPE_CHECKING:
    from growth_pipeline.billing.extract import Extracted
    from growth_pipeline.billing.relist import CaughtUp, Relisted
    from growth_pipeline.billing.store import BillingStore
    from growth_pipeline.billing.sweep_store import SweepStore
    from growth_pipeline.storage.lake import Lake, Manifest
    from growth_pipeline.storage.postgres import Database
else:  # Dagster resolves annotations at import; the real classes bring polars and psycopg
    BillingStore = SweepStore = Database = Lake = object

_T = TypeVar("_T")

INBOX = dg.AssetKey(["billing", "inbox"])
MIRROR = dg.AssetKey(["billing", "mirror"])
EVENT_SWEEP = dg.AssetKey(["billing", "event_sweep"])
DRIFT = dg.AssetKey(["billing", "drift"])
PAYMENTS = dg.AssetKey(["billing", "payments"])


def extract_key(resource: str) -> dg.AssetKey:
    """Key of the extract of one kind of Stripe object."""
    return dg.AssetKey(["billing", f"{resource}_extract"])


def _extract_spec(resource: str, *, when: str) -> dg.AssetSpec:
    thing = resource.removesuffix("s").replace("_", " ")
    return asset_spec(
        "billing",
        f"{resource}_extract",
        description=f"Grain: one Stripe {thing} {when}, as Stripe's API gave it when the run read "
        "it. An immutable Parquet file in the lake with a certificate of completeness; a new run "
        "replaces it, because Stripe's objects change.",
        kinds={"stripe", "parquet"},
        code_version="2",
        tags={"source": "stripe"},
    )


_READING: dict[str, Any] = {
    "pool": "stripe_api",
    "retry_policy": dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL),
}


@multi_asset(
    "billing",
    "stripe_lists",
    specs=[_extract_spec(name, when="created in the month (UTC)") for name in STRIPE_OBJECTS],
    monthly=True,
    ranged=True,
    checks=[check for name in STRIPE_OBJECTS for check in extract_checks(extract_key(name))],
    **_READING,
)
def stripe_lists(
    context: dg.AssetExecutionContext,
    *,
    stripe: dg.ResourceParam[OpenReader],
    scopes: dg.ResourceParam[Sequence[Scope]],
    lake: dg.ResourceParam[Lake],
    checkpoints: dg.ResourceParam[Path],
    clock: dg.ResourceParam[Clock],
) -> Iterator[Made]:
    """All lists of a run are read at once: one that waits for its limit lets the others go on."""
    with told_in_one_sentence(context):
        names = [
            name for name in STRIPE_OBJECTS if extract_key(name) in context.selected_asset_keys
        ]
        plan = [(name, month) for name in names for month in months_of(context)]
        yield from _extract(
            context, plan, stripe=stripe, scopes=scopes, lake=lake, folder=checkpoints, now=clock()
        )


@multi_asset(
    "billing",
    "stripe_whole_lists",
    specs=[_extract_spec(name, when="of the account") for name in WHOLE_OBJECTS],
    checks=[check for name in WHOLE_OBJECTS for check in extract_checks(extract_key(name))],
    **_READING,
)
def stripe_whole_lists(
    context: dg.AssetExecutionContext,
    *,
    stripe: dg.ResourceParam[OpenReader],
    scopes: dg.ResourceParam[Sequence[Scope]],
    lake: dg.ResourceParam[Lake],
    checkpoints: dg.ResourceParam[Path],
    clock: dg.ResourceParam[Clock],
) -> Iterator[Made]:
    """Lists that Stripe does not filter by time are read whole."""
    with told_in_one_sentence(context):
        plan = [(name, None) for name in _selected(context, WHOLE_OBJECTS)]
        yield from _extract(
            context, plan, stripe=stripe, scopes=scopes, lake=lake, folder=checkpoints, now=clock()
        )


stripe_extracts = [stripe_lists, stripe_whole_lists]
extract_job = dg.define_asset_job(
    "extract_job",
    selection=dg.AssetSelection.assets(*stripe_extracts),
    description="All extracts from Stripe, of one month or of a range in one run.",
    tags={"dagster/max_runtime": "14400"},
)


def _selected(context: dg.AssetExecutionContext, names: Sequence[str]) -> list[str]:
    return [name for name in names if extract_key(name) in context.selected_asset_keys]


def _extract(
    context: dg.AssetExecutionContext,
    plan: Sequence[tuple[str, Month | None]],
    *,
    stripe: OpenReader,
    scopes: Sequence[Scope],
    lake: Lake,
    folder: Path,
    now: datetime,
) -> Iterator[Made]:
    """Results of the lists that were read to their ends; then the error of those that were not."""
    from growth_pipeline.billing.extract import Part, extract_lists, one_error, told_now_and_then

    parts = [Part(*one) for one in plan]
    results: dict[str, list[Extracted]] = {part.resource: [] for part in parts}
    missing = Counter(part.resource for part in parts for _ in scopes)
    with ExitStack() as stack:
        # Each account has a reader; the first is the key's own.
        names = [(), *((scope.account_id,) for scope in scopes[1:])]
        readers = [stack.enter_context(stripe(*name)) for name in names]
        for done in extract_lists(
            parts,
            accesses=[reader.access for reader in readers],
            lake=lake,
            now=now,
            checkpoints=folder,
            on_progress=told_now_and_then(context.log.info),
        ):
            name = done.part.resource
            results[name].append(done)
            missing[name] -= 1
            context.log.info("%s", done)
            if not missing[name] and all(one.manifest for one in results[name]):
                yield _made(context, extract_key(name), results[name], lake)
    errors = [one.error for ended in results.values() for one in ended if one.error]
    if errors:
        raise one_error(errors)


def _made(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    results: Sequence["Extracted"],
    lake: Lake,
) -> Made:
    by_month: dict[str | None, list[Manifest]] = defaultdict(list)
    for one in results:
        if one.manifest is not None:
            month = one.part.month
            by_month[month.key if month else None].append(one.manifest)
    for partition, manifests in by_month.items():
        context.add_asset_metadata(
            describe_extract(*manifests), asset_key=key, partition_key=partition
        )
    written = [manifest for manifests in by_month.values() for manifest in manifests]
    return dg.MaterializeResult(asset_key=key, check_results=[check_extracts(written, lake, key)])


def describe_extract(manifest: "Manifest", *connected: "Manifest") -> Mapping[str, Any]:
    """Metadata of one month's extract, for its materialisation; counts are of all accounts."""
    all_files = [manifest, *connected]
    certificate = dict(manifest.certificate)
    return {
        "dagster/row_count": sum(one.row_count for one in all_files),
        "requests": sum(one.certificate.get("request_count", 0) for one in all_files),
        "pages": sum(one.certificate.get("pages", 0) for one in all_files),
        "sha256": manifest.sha256,
        "bytes": sum(one.byte_count for one in all_files),
        "api_version": certificate.get("api_version"),
        "path": dg.MetadataValue.path(str(manifest.path)),
        "certificate": dg.MetadataValue.json(certificate),
        **{
            f"connected_{one.partition['account']}": dg.MetadataValue.json(dict(one.certificate))
            for one in connected
        },
    }


inbox = asset_spec(
    "billing",
    "inbox",
    description="Grain: one Stripe event as received, raw bytes. Written by the web app's webhook "
    "route before anything reads it; everything else about events is rebuilt from it.",
    kinds={"stripe", "postgres"},
)


@asset(
    "billing",
    "mirror",
    description="Grain: one Stripe object in its newest known state (schema stripe). Applies the "
    "events that wait in the inbox, then asks Stripe about what they leave in doubt; the web app "
    "does the same continuously.",
    kinds={"postgres"},
    deps=[INBOX],
    checks=MIRROR_CHECKS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=10),
    code_version="1",
)
def mirror(
    context: dg.AssetExecutionContext,
    *,
    billing_store: dg.ResourceParam[BillingStore],
    stripe: dg.ResourceParam[OpenReader],
    scopes: dg.ResourceParam[Sequence[Scope]],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one Stripe object in its newest known state."""
    from growth_pipeline.billing.mirror import apply_waiting  # brings psycopg
    from growth_pipeline.billing.refetch import refetch_due

    with told_in_one_sentence(context):
        applied = apply_waiting(billing_store, now=clock())
        asked = refetch_due(billing_store, stripe, scopes, now=clock())
        counts = billing_store.inbox_counts()
        doubts = billing_store.count_refetches(clock() - LONG_DOUBT)
        refused = billing_store.count_refused_states()
    context.log.info("%d events applied", applied.applied)
    if asked.trouble:
        context.log.warning("Stripe was not asked: %s", asked.trouble)
    return dg.MaterializeResult(
        metadata={
            **applied._asdict(),
            **{f"inbox_{name}": n for name, n in counts.items()},
            "refetched": asked.done.answered + asked.done.gone,
        },
        check_results=[check_waiting(counts), check_doubts(doubts), check_answers(refused)],
    )


@asset(
    "billing",
    "payments",
    description="Grain: one booked payment (a charge) of the month (UTC, by Stripe's `created`). "
    "Booked again from the mirror; rows of other writers stay as they are.",
    kinds={"postgres"},
    monthly=True,
    ranged=True,
    deps=[MIRROR],
    checks=PAYMENT_CHECKS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=10),
    code_version="1",
)
def payments(
    context: dg.AssetExecutionContext,
    billing_store: dg.ResourceParam[BillingStore],
    scopes: dg.ResourceParam[Sequence[Scope]],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one booked payment (a charge)."""
    from growth_pipeline.billing.mirror import rebuild_payments  # brings psycopg

    facts: list[PaymentFacts] = []
    with told_in_one_sentence(context):
        for month in months_of(context):
            booked = row_count = 0
            for scope in scopes:
                booked += rebuild_payments(billing_store, scope, month, clock())
                rows = billing_store.export_payments(scope, month.start, month.end)
                facts.append(read_payment_facts(rows))
                row_count += rows.height
            context.log.info("payments %s: %d booked from the mirror", month, booked)
            metadata = {"dagster/row_count": row_count, "booked_from_mirror": booked}
            add_month_metadata(context, month, metadata)
    return dg.MaterializeResult(check_results=check_payments(facts))


class BackfillConfig(dg.Config):
    """What of the run's months is brought into the mirror; as it is: everything in them.

    `since` and `until` are days such as `2025-10-05`, the second not included; `objects` is a
    list such as `charges,refunds`.
    """

    since: str = ""
    until: str = ""
    objects: str = ""


@asset(
    "billing",
    "mirror_backfill",
    description="Grain: one Stripe object created in the month (UTC), brought from its extract "
    "into the mirror and the books. A state never replaces a newer one, so it may be run at any "
    "time and again. Nothing runs it by itself: it repairs what an audit is there to find.",
    kinds={"postgres"},
    monthly=True,
    ranged=True,
    deps=[extract_key(resource) for resource in BACKFILLED],
    checks=BACKFILL_CHECKS,
    pool="stripe_api",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL),
    code_version="1",
)
def mirror_backfill(
    context: dg.AssetExecutionContext,
    config: BackfillConfig,
    *,
    billing_store: dg.ResourceParam[BillingStore],
    database: dg.ResourceParam[Database],
    lake: dg.ResourceParam[Lake],
    stripe: dg.ResourceParam[OpenReader],
    scopes: dg.ResourceParam[Sequence[Scope]],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one Stripe object created in the month, brought from its extract into the mirror."""
    from growth_pipeline.billing.backfill_report import to_dict, to_markdown
    from growth_pipeline.billing.backfill_run import (  # brings polars and psycopg
        asking,
        request_of,
        run_backfill,
        save_report,
    )
    from growth_pipeline.billing.backfill_store import BackfillStore

    with told_in_one_sentence(context), asking(stripe) as confirm:
        request = request_of(
            scopes,
            months_of(context),
            since=config.since,
            until=config.until,
            objects=config.objects,
        )
        report, rows = run_backfill(
            request,
            store=billing_store,
            listed=BackfillStore(database),
            lake=lake,
            confirm=confirm,
            clock=clock,
            run_id=context.run.run_id,
            tell=context.log.info,
        )
        artifacts = save_report(request, report, rows, lake)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": report.row_count,
            "requests": report.requests,
            "report": dg.MetadataValue.md(to_markdown(report)),
            "difference": dg.MetadataValue.json(to_dict(report)["difference"]),
            "money_minor": dg.MetadataValue.json(to_dict(report)["money_minor"]),
            "artifacts": dg.MetadataValue.json(artifacts),
        },
        check_results=[check_backfill(report)],
    )


backfill_job = dg.define_asset_job(
    "backfill_job",
    selection=dg.AssetSelection.assets(*stripe_extracts, mirror_backfill),
    description="Reads months from Stripe again and brings what is missing or older into the "
    "mirror and the books. `growth backfill` runs it; no schedule does.",
    tags={"dagster/max_runtime": "43200"},
)
book_job = dg.define_asset_job(
    "book_job",
    selection=dg.AssetSelection.assets(mirror, payments),
    description="Applies the inbox and books the months again from the mirror. It repairs rows "
    "that were changed by hand, so no audit runs it.",
    tags={"dagster/max_runtime": "7200"},
)


_asked_of_stripe = partial(
    asset,
    "billing",
    kinds={"stripe", "postgres"},
    pool="stripe_api",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=60, backoff=dg.Backoff.EXPONENTIAL),
    tags={"source": "stripe"},
)


@_asked_of_stripe(
    "event_sweep",
    description="Grain: one account and mode, with how far Stripe's events list was read "
    "(billing.sweeps). Stores and applies the events that no webhook brought. Where Stripe lists "
    "them no more, everything that may have changed is listed again instead.",
    deps=[INBOX],
    checks=SWEEP_CHECKS,
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(days=3), warn_window=timedelta(hours=6)
    ),
    code_version="1",
)
def event_sweep(
    context: dg.AssetExecutionContext,
    *,
    billing_store: dg.ResourceParam[BillingStore],
    sweep_store: dg.ResourceParam[SweepStore],
    stripe: dg.ResourceParam[OpenReader],
    scopes: dg.ResourceParam[Sequence[Scope]],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one account and mode, with how far Stripe's events list was read."""
    from growth_pipeline.billing.relist import catch_up  # brings polars and psycopg

    def catch_up_one(scope: Scope) -> "CaughtUp":
        with stripe(scope.account_id) as reader:
            caught = catch_up(reader, billing_store, sweep_store, now=clock(), clock=clock)
        context.log.info("%s: %d events were new", scope.account_id, caught.swept.new)
        return caught

    with told_in_one_sentence(context):
        done = _of_each(scopes, catch_up_one)
    return dg.MaterializeResult(
        metadata={
            "listed": sum(one.swept.listed for one in done),
            "new": sum(one.swept.new for one in done),
            "missed": sum(one.swept.missed for one in done),
            "requests": sum(one.requests for one in done),
            "differed": sum(one.relisted.drifted for one in done if one.relisted),
        },
        check_results=check_sweeps(done),
    )


@_asked_of_stripe(
    "drift",
    description="Grain: one object that differed from Stripe when it was listed again "
    "(billing.drift). Everything that can still change is listed; differences are written down, "
    "then repaired.",
    deps=[MIRROR, EVENT_SWEEP],
    checks=DRIFT_CHECKS,
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(days=3), warn_window=timedelta(hours=30)
    ),
    code_version="1",
)
def drift(
    context: dg.AssetExecutionContext,
    *,
    billing_store: dg.ResourceParam[BillingStore],
    sweep_store: dg.ResourceParam[SweepStore],
    stripe: dg.ResourceParam[OpenReader],
    scopes: dg.ResourceParam[Sequence[Scope]],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one object that differed from Stripe when it was listed again."""
    from growth_pipeline.billing.relist import relist  # brings polars and psycopg
    from growth_pipeline.billing.watch import nightly_sights

    def relist_one(scope: Scope) -> "Relisted":
        now = clock()
        with stripe(scope.account_id) as reader:
            relisted = relist(
                nightly_sights(now),
                reader,
                billing_store,
                sweep_store,
                reason="nightly",
                now=now,
                clock=clock,
            )
        context.log.info("%s: %d objects differed", scope.account_id, relisted.drifted)
        return relisted

    with told_in_one_sentence(context):
        done = _of_each(scopes, relist_one)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(one.drifted for one in done),
            "listed": sum(one.listed for one in done),
            "asked": sum(one.asked for one in done),
            "postponed": sum(one.postponed for one in done),
            "learned": sum(one.learned for one in done),
            "requests": sum(one.requests for one in done),
        },
        check_results=check_drift(done),
    )


def _of_each(scopes: Sequence[Scope], work: Callable[[Scope], _T]) -> list[_T]:
    """What the work of each account gave.

    An account that may not be read fails it only after the others had their turn.
    """
    done, refused = [], []
    for scope in scopes:
        try:
            done.append(work(scope))
        except StripePermissionError as error:
            refused.append(error)
    if refused:
        raise refused[0]
    return done


sweep_job = dg.define_asset_job(
    "sweep_job",
    selection=dg.AssetSelection.assets(event_sweep)
    | dg.AssetSelection.checks(api_versions_are_known),
    description="Brings the events that no webhook brought. A sensor asks for it, hourly.",
    tags={"dagster/max_runtime": "14400"},
)
relist_job = dg.define_asset_job(
    "relist_job",
    selection=dg.AssetSelection.assets(event_sweep, drift)
    | dg.AssetSelection.checks(
        *(api_versions_are_known, key_fields_stay_filled),
        *(statuses_are_known, no_events_are_quarantined),
    ),
    description="Sweeps, then lists again what can still change and repairs what differs.",
    tags={"dagster/max_runtime": "28800"},
)
