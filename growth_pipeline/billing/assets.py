"""Stripe's objects as evidence in the lake, and the mirror and books that its events make.

Shells only: load, call, report. What an extract is, is decided in `extract.py`; what an event
means, in `mirror.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

import dagster as dg

from growth_pipeline.billing.checks import (
    MIRROR_CHECKS,
    PAYMENT_CHECKS,
    PaymentFacts,
    check_extracts,
    check_payments,
    check_waiting,
    extract_checks,
    read_payment_facts,
)
from growth_pipeline.billing.objects import STRIPE_OBJECTS
from growth_pipeline.billing.partitions import (
    Made,
    add_month_metadata,
    asset,
    asset_spec,
    months_of,
)
from growth_pipeline.billing.resources import Clock, OpenReader, told_in_one_sentence
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month

if TYPE_CHECKING:
    from growth_pipeline.billing.store import BillingStore
    from growth_pipeline.storage.lake import Lake, Manifest
else:  # Dagster resolves annotations at import; the real classes bring polars and psycopg
    BillingStore = Lake = object

# Stripe's limit is one for the account; more threads would only wait for it.
MONTHS_AT_ONCE = 4
INBOX = dg.AssetKey(["billing", "inbox"])
MIRROR = dg.AssetKey(["billing", "mirror"])
PAYMENTS = dg.AssetKey(["billing", "payments"])


def extract_key(resource: str) -> dg.AssetKey:
    """Key of the extract of one kind of Stripe object."""
    return dg.AssetKey(["billing", f"{resource}_extract"])


def build_stripe_extract(resource: str) -> dg.AssetsDefinition:
    """The extract asset of one kind of Stripe object."""
    thing = resource.removesuffix("s").replace("_", " ")

    @asset(
        "billing",
        f"{resource}_extract",
        description=f"Grain: one Stripe {thing} created in the month (UTC), as Stripe's API gave "
        "it when the run read it. An immutable Parquet file in the lake with a certificate of "
        "completeness; a new run replaces it, because Stripe's objects change.",
        kinds={"stripe", "parquet"},
        monthly=True,
        ranged=True,
        checks=extract_checks(extract_key(resource)),
        pool="stripe_api",
        retry_policy=dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL),
        code_version="1",
        tags={"source": "stripe"},
    )
    def extract(
        context: dg.AssetExecutionContext,
        stripe: dg.ResourceParam[OpenReader],
        lake: dg.ResourceParam[Lake],
        clock: dg.ResourceParam[Clock],
    ) -> Made:
        manifests = []
        with told_in_one_sentence(context):
            months = months_of(context)
            for month, manifest in _extract_months(
                resource, months, open_reader=stripe, lake=lake, clock=clock
            ):
                context.log.info("%s %s: %d objects", resource, month, manifest.row_count)
                add_month_metadata(context, month, describe_extract(manifest))
                manifests.append(manifest)
        return dg.MaterializeResult(check_results=[check_extracts(manifests, lake)])

    return extract


stripe_extracts = [build_stripe_extract(resource) for resource in STRIPE_OBJECTS]
extract_job = dg.define_asset_job(
    "extract_job",
    selection=dg.AssetSelection.assets(*stripe_extracts),
    description="All extracts from Stripe, of one month or of a range in one run.",
    tags={"dagster/max_runtime": "14400"},
)


def _extract_months(
    resource: str,
    months: Sequence[Month],
    *,
    open_reader: OpenReader,
    lake: Lake,
    clock: Clock,
) -> Iterator[tuple[Month, "Manifest"]]:
    """Extract several months at once; the first failure ends all, finished months stay."""
    from growth_pipeline.billing.extract import extract_month  # brings polars

    def extract(month: Month) -> "Manifest":
        with open_reader() as reader:
            return extract_month(resource, month, reader=reader, lake=lake, now=clock())

    with ThreadPoolExecutor(MONTHS_AT_ONCE, thread_name_prefix=f"extract-{resource}") as pool:
        waiting = {pool.submit(extract, month): month for month in months}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def describe_extract(manifest: "Manifest") -> Mapping[str, Any]:
    """Metadata of one month's extract, for its materialisation."""
    certificate = dict(manifest.certificate)
    return {
        "dagster/row_count": manifest.row_count,
        "requests": certificate.get("request_count"),
        "pages": certificate.get("pages"),
        "sha256": manifest.sha256,
        "bytes": manifest.byte_count,
        "api_version": certificate.get("api_version"),
        "path": dg.MetadataValue.path(str(manifest.path)),
        "certificate": dg.MetadataValue.json(certificate),
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
    description="Grain: one Stripe object in its newest known state (billing.objects). Applies the "
    "events that wait in the inbox; the web app does the same continuously.",
    kinds={"postgres"},
    deps=[INBOX],
    checks=MIRROR_CHECKS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=10),
    code_version="1",
)
def mirror(
    context: dg.AssetExecutionContext,
    billing_store: dg.ResourceParam[BillingStore],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one Stripe object in its newest known state."""
    from growth_pipeline.billing.mirror import apply_waiting  # brings psycopg

    with told_in_one_sentence(context):
        applied = apply_waiting(billing_store, now=clock())
        counts = billing_store.inbox_counts()
    context.log.info("%d events applied", applied.applied)
    return dg.MaterializeResult(
        metadata={**applied._asdict(), **{f"inbox_{name}": n for name, n in counts.items()}},
        check_results=[check_waiting(counts)],
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
    scope: dg.ResourceParam[Scope],
    clock: dg.ResourceParam[Clock],
) -> Made:
    """Grain: one booked payment (a charge)."""
    from growth_pipeline.billing.mirror import rebuild_payments  # brings psycopg

    facts: list[PaymentFacts] = []
    with told_in_one_sentence(context):
        for month in months_of(context):
            booked = rebuild_payments(billing_store, scope, month, clock())
            context.log.info("payments %s: %d booked from the mirror", month, booked)
            rows = billing_store.export_payments(scope, month.start, month.end)
            facts.append(read_payment_facts(rows))
            metadata = {"dagster/row_count": rows.height, "booked_from_mirror": booked}
            add_month_metadata(context, month, metadata)
    return dg.MaterializeResult(check_results=check_payments(facts))


book_job = dg.define_asset_job(
    "book_job",
    selection=dg.AssetSelection.assets(mirror, payments),
    description="Applies the inbox and books the months again from the mirror. It repairs rows "
    "that were changed by hand, so no audit runs it.",
    tags={"dagster/max_runtime": "7200"},
)
