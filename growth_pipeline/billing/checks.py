"""Checks of extracts, inbox, mirror and payments: invariants of one table or file each."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg

from growth_pipeline.billing.resources import Clock
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.money import ISO_CURRENCIES

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.billing.backfill import Backfill
    from growth_pipeline.billing.relist import CaughtUp, Relisted
    from growth_pipeline.billing.schema_drift import Fall, StatusCount
    from growth_pipeline.billing.store import BillingStore, UnknownVersion
    from growth_pipeline.billing.sweep import Swept
    from growth_pipeline.storage.lake import Lake, Manifest
else:  # Dagster resolves annotations at import; the real class brings psycopg
    BillingStore = object

_INBOX = dg.AssetKey(["billing", "inbox"])
_MIRROR = dg.AssetKey(["billing", "mirror"])
_MIRROR_BACKFILL = dg.AssetKey(["billing", "mirror_backfill"])
_EVENT_SWEEP = dg.AssetKey(["billing", "event_sweep"])
_DRIFT = dg.AssetKey(["billing", "drift"])
_PAYMENTS = dg.AssetKey(["billing", "payments"])
_EXAMPLES = 10
LONG_DOUBT = timedelta(hours=1)

MIRROR_CHECKS = (
    dg.AssetCheckSpec(
        "no_events_wait",
        asset=_MIRROR,
        description="Every readable event of the inbox is in the mirror.",
    ),
    dg.AssetCheckSpec(
        "doubts_are_settled",
        asset=_MIRROR,
        description="No object waits longer than an hour for Stripe to say what it is.",
    ),
    dg.AssetCheckSpec(
        "answers_are_usable",
        asset=_MIRROR,
        description="The mirror could use the newest state of every object that Stripe showed.",
    ),
)
BACKFILL_CHECKS = (
    dg.AssetCheckSpec(
        "every_object_was_taken",
        asset=_MIRROR_BACKFILL,
        description="The mirror could use every object that was read.",
    ),
)
SWEEP_CHECKS = (
    dg.AssetCheckSpec(
        "events_reach_back",
        asset=_EVENT_SWEEP,
        description="Stripe still listed every event since the last sweep; it keeps them for 30 "
        "days.",
    ),
    dg.AssetCheckSpec(
        "webhooks_bring_the_events",
        asset=_EVENT_SWEEP,
        description="The sweep found no event that a webhook should have brought long before.",
    ),
)
DRIFT_CHECKS = (
    dg.AssetCheckSpec(
        "mirror_says_what_stripe_says",
        asset=_DRIFT,
        description="No object that was listed again differed from the mirror.",
    ),
    dg.AssetCheckSpec(
        "drift_is_repaired",
        asset=_DRIFT,
        description="After the repair, every object that had differed says what Stripe says.",
    ),
)
PAYMENT_CHECKS = (
    dg.AssetCheckSpec(
        "mirror_books_each_charge_once",
        asset=_PAYMENTS,
        description="The mirror wrote at most one row a charge.",
    ),
    dg.AssetCheckSpec(
        "currencies_are_known",
        asset=_PAYMENTS,
        description="Every row's currency is a lower-case ISO 4217 code.",
    ),
)


def extract_checks(key: dg.AssetKey) -> tuple[dg.AssetCheckSpec, ...]:
    """Checks of one extract asset."""
    return (
        dg.AssetCheckSpec(
            "files_are_complete",
            asset=key,
            description="Each file's certificate says that the list had ended, it holds as many "
            "objects as were read, and its bytes have the hash of its name.",
        ),
    )


def check_extracts(
    manifests: Sequence["Manifest"], lake: "Lake", key: dg.AssetKey | None = None
) -> dg.AssetCheckResult:
    """Whether the files just written are what their certificates say; reads them once more."""
    problems = [problem for one in manifests for problem in _problems_of(one, lake)]
    result = _result("files_are_complete", "files are not what they should be", problems)
    return result._replace(asset_key=key)


def _problems_of(manifest: "Manifest", lake: "Lake") -> list[str]:
    month, stated = manifest.partition.get("month", "the file"), manifest.certificate
    problems = []
    if stated.get("complete") is not True or stated.get("has_more") is not False:
        problems.append(f"{month}: the list was not read to its end")
    if stated.get("objects") != manifest.row_count:
        problems.append(f"{month}: {stated.get('objects')} read, {manifest.row_count} written")
    try:
        lake.verify(manifest)
    except GrowthError as error:
        problems.append(f"{month}: {error.message}")
    return problems


def check_backfill(report: "Backfill") -> dg.AssetCheckResult:
    """Whether the mirror could use every object that a backfill brought."""
    count = report.total.refused
    objects = "1 object" if count == 1 else f"{count} objects"
    examples = [f"{name} {id_}: {reason}" for name, id_, reason in report.refused[:_EXAMPLES]]
    return dg.AssetCheckResult(
        check_name="every_object_was_taken",
        passed=count == 0,
        description=f"{objects} could not be used" if count else None,
        metadata={"offenders": count, "examples": examples},
    )


@dg.asset_check(
    asset=_INBOX,
    additional_deps=[_MIRROR],
    description="Every event in the inbox could be read and applied, or is not ours to apply.",
)
def no_events_are_quarantined(
    billing_store: dg.ResourceParam[BillingStore],
) -> dg.AssetCheckResult:
    """Passes when no event of the inbox is quarantined."""
    return check_quarantine(billing_store.inbox_counts())


def check_quarantine(counts: Mapping[str, int]) -> dg.AssetCheckResult:
    """Passes when no event is quarantined. `counts`: events of the inbox by state."""
    quarantined = counts.get("quarantined", 0)
    return dg.AssetCheckResult(
        check_name="no_events_are_quarantined",
        passed=quarantined == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{count_of(quarantined, 'event')} quarantined" if quarantined else None,
        metadata={
            "quarantined": quarantined,
            "remedy": "read their reasons in billing.inbox; they apply once the cause is mended",
        },
    )


@dg.asset_check(
    asset=_MIRROR,
    additional_deps=[_EVENT_SWEEP],
    description="Every event is in an API version that an adapter knows; events of other versions "
    "wait in quarantine and change nothing.",
)
def api_versions_are_known(
    billing_store: dg.ResourceParam[BillingStore],
) -> dg.AssetCheckResult:
    """Passes when no quarantined event has an unknown API version."""
    return check_versions(billing_store.unknown_versions())


def check_versions(unknown: Sequence["UnknownVersion"]) -> dg.AssetCheckResult:
    """Passes when there is no unknown API version. An ERROR: the mirror stands still for them."""
    events = sum(one.events for one in unknown)
    names = ", ".join(one.api_version or "none" for one in unknown)
    return dg.AssetCheckResult(
        check_name="api_versions_are_known",
        passed=not unknown,
        description=f"{count_of(events, 'event')} in unknown API versions: {names}"
        if unknown
        else None,
        metadata={
            "events": events,
            "versions": [one.api_version or "none" for one in unknown],
            "examples": [one.example for one in unknown][:_EXAMPLES],
            "remedy": "pin the webhook endpoint to GROWTH_STRIPE__API_VERSION (`growth doctor` "
            "names the endpoint); update growth_pipeline for a newer version, then "
            "`growth webhooks replay`",
        },
    )


@dg.asset_check(
    asset=_MIRROR,
    additional_deps=[_EVENT_SWEEP],
    description="No field of the mirror that is usually filled is suddenly empty: Stripe moves "
    "fields between API versions.",
)
def key_fields_stay_filled(
    billing_store: dg.ResourceParam[BillingStore],
    clock: dg.ResourceParam[Clock],
) -> dg.AssetCheckResult:
    """Passes when no watched field is much emptier in the newest objects than before."""
    from growth_pipeline.billing.schema_drift import find_falls

    return check_fill(find_falls(billing_store.fill_rates(clock())))


def check_fill(falls: Sequence["Fall"]) -> dg.AssetCheckResult:
    """Passes when no fill rate fell."""
    return dg.AssetCheckResult(
        check_name="key_fields_stay_filled",
        passed=not falls,
        # It may be the business that changed; a person has to look at a raw payload.
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(str(fall) for fall in falls[:_EXAMPLES]) or None,
        metadata={
            "fields": sorted({f"{fall.resource}.{fall.field}" for fall in falls}),
            "remedy": "look at the payload of a new object: if Stripe moved the field, extend the "
            "adapter of its API version and rebuild the mirror",
        },
    )


@dg.asset_check(
    asset=_MIRROR,
    additional_deps=[_EVENT_SWEEP],
    description="Every status of the mirror is one we know; an object in another one counts as not "
    "final and not settled.",
)
def statuses_are_known(
    billing_store: dg.ResourceParam[BillingStore],
    clock: dg.ResourceParam[Clock],
) -> dg.AssetCheckResult:
    """Passes when no object that changed in the last weeks is in an unknown status."""
    from growth_pipeline.billing.schema_drift import WATCHED, unknown_statuses

    return check_statuses(unknown_statuses(billing_store.recent_statuses(clock() - WATCHED)))


def check_statuses(unknown: Sequence["StatusCount"]) -> dg.AssetCheckResult:
    """Passes when there is no unknown status."""
    names = [f"{one.object} {one.status} ({one.example})" for one in unknown]
    return dg.AssetCheckResult(
        check_name="statuses_are_known",
        passed=not unknown,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"unknown statuses: {', '.join(names[:_EXAMPLES])}" if unknown else None,
        metadata={
            "objects": sum(one.objects for one in unknown),
            "remedy": "read what Stripe says of the status; update growth_pipeline for its rank, "
            "then `growth mirror rebuild`",
        },
    )


def check_waiting(counts: Mapping[str, int]) -> dg.AssetCheckResult:
    """Passes when no event waits after the inbox was applied. `counts`: events by state."""
    waiting = counts.get("received", 0)
    # An event may arrive between applying and counting: worth seeing, no reason to call anyone.
    metadata = {"waiting": waiting, "severity": "LOW"}
    return _warning("no_events_wait", waiting, "event", "waiting", metadata)


def check_doubts(doubts: Mapping[str, int]) -> dg.AssetCheckResult:
    """Passes when no object has waited long for an answer. `doubts`: objects by the reason."""
    waiting = sum(doubts.values())
    metadata = {
        "waiting": waiting,
        **doubts,
        "remedy": "billing.refetches.last_error says why Stripe was not asked; without a "
        "Stripe key nobody can be",
    }
    return _warning("doubts_are_settled", waiting, "object", "waiting to be asked about", metadata)


def check_answers(refused: Mapping[str, int]) -> dg.AssetCheckResult:
    """Passes when every answer of Stripe could be used. `refused`: objects by their kind."""
    count = sum(refused.values())
    metadata = {
        "offenders": count,
        **refused,
        "remedy": "billing.fetched_states.refused says why; update growth_pipeline if Stripe "
        "shows something new; it is asked about again every hour",
    }
    return _warning("answers_are_usable", count, "object", "that the mirror cannot use", metadata)


def check_sweeps(caught: Sequence["CaughtUp"]) -> list[dg.AssetCheckResult]:
    """Results of the sweeps of all accounts, and of what was listed again after an outage."""
    return [_check_reach(caught), _check_missed([one.swept for one in caught if one.swept.missed])]


def _check_reach(caught: Sequence["CaughtUp"]) -> dg.AssetCheckResult:
    spans = [
        f"{one.lost.start:%Y-%m-%d %H:%M} to {one.lost.end:%Y-%m-%d %H:%M}"
        for one in caught
        if one.lost
    ]
    differed = sum(one.relisted.drifted for one in caught if one.relisted)
    return dg.AssetCheckResult(
        check_name="events_reach_back",
        passed=not spans,
        description=f"webhooks and sweep were off and events are lost ({', '.join(spans)}); "
        f"listed again, {count_of(differed, 'object')} differed"
        if spans
        else None,
        metadata={
            "lost": spans,
            "differed": differed,
            "remedy": "read docs/runbook.md, 'Webhooks were off': the mirror is repaired, but what "
            "an object went through meanwhile is not known",
        },
    )


def _check_missed(swept: Sequence["Swept"]) -> dg.AssetCheckResult:
    instants = [
        instant
        for one in swept
        for instant in (one.first_missed_at, one.last_missed_at)
        if instant is not None
    ]
    return dg.AssetCheckResult(
        check_name="webhooks_bring_the_events",
        passed=not swept,
        severity=dg.AssetCheckSeverity.WARN,
        # Without a number: an outage of a day is one alert and not one an hour.
        description="the sweep brought events that no webhook had brought" if swept else None,
        metadata={
            "missed": sum(one.missed for one in swept),
            "first": str(min(instants, default="")),
            "last": str(max(instants, default="")),
            "remedy": "see in Stripe's dashboard whether the webhook endpoint is enabled and what "
            "it answers; the sweep goes on bringing the events meanwhile",
        },
    )


def check_drift(relisted: Sequence["Relisted"]) -> list[dg.AssetCheckResult]:
    """Results of a nightly re-list of all accounts."""
    drifted = sum(one.drifted for one in relisted)
    examples = [text for one in relisted for text in one.examples]
    unrepaired = [text for one in relisted for text in one.unrepaired]
    return [
        _warning(
            "mirror_says_what_stripe_says",
            drifted,
            "object",
            "differed",
            {
                "differed": drifted,
                "examples": examples[:_EXAMPLES],
                "remedy": "billing.drift has each of them; if events are missing for all of one "
                "kind, the webhook endpoint does not ask for their types",
            },
        ),
        _result("drift_is_repaired", "objects still differ", unrepaired),
    ]


def count_of(number: int, thing: str) -> str:
    """`1 event`, `2 events`."""
    return f"{number} {thing}{'s' * (number != 1)}"


class PaymentFacts(NamedTuple):
    """What the checks need to know about the booked payments of one month."""

    repeated_charges: tuple[str, ...]
    currencies: tuple[str, ...]


def read_payment_facts(rows: "pl.DataFrame") -> PaymentFacts:
    """Facts of a month's rows. Grain of `rows`: one booked payment of one account and mode."""
    import polars as pl  # slow, and only a run needs it

    mirrored = rows.filter(pl.col("written_by") == "mirror")["charge_id"].drop_nulls()
    repeated = mirrored.filter(mirrored.is_duplicated()).unique().sort().to_list()
    return PaymentFacts(tuple(repeated), tuple(rows["currency"].unique().sort().to_list()))


def check_payments(months: Sequence[PaymentFacts]) -> list[dg.AssetCheckResult]:
    """Results of the payment checks over the months of a run."""
    repeated = sorted({charge for facts in months for charge in facts.repeated_charges})
    currencies = {currency for facts in months for currency in facts.currencies}
    unknown = sorted(currencies - ISO_CURRENCIES)
    return [
        _result("mirror_books_each_charge_once", "charges are booked more than once", repeated),
        _result("currencies_are_known", "currencies are unknown", unknown),
    ]


def _warning(
    name: str, number: int, thing: str, problem: str, metadata: Mapping[str, Any]
) -> dg.AssetCheckResult:
    """Passes at 0; else it warns: so many of a thing have the problem."""
    return dg.AssetCheckResult(
        check_name=name,
        passed=number == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{count_of(number, thing)} {problem}" if number else None,
        metadata=metadata,
    )


def _result(name: str, problem: str, offenders: list[str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        passed=not offenders,
        description=f"{len(offenders)} {problem}" if offenders else None,
        metadata={"offenders": len(offenders), "examples": offenders[:_EXAMPLES]},
    )
