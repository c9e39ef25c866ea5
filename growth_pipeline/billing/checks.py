"""Checks of extracts, inbox, mirror and payments: invariants of one table or file each."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import dagster as dg

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.money import ISO_CURRENCIES

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.billing.store import BillingStore
    from growth_pipeline.storage.lake import Lake, Manifest
else:  # Dagster resolves annotations at import; the real class brings psycopg
    BillingStore = object

_INBOX = dg.AssetKey(["billing", "inbox"])
_MIRROR = dg.AssetKey(["billing", "mirror"])
_PAYMENTS = dg.AssetKey(["billing", "payments"])
_EXAMPLES = 10

MIRROR_CHECKS = (
    dg.AssetCheckSpec(
        "no_events_wait",
        asset=_MIRROR,
        description="Every readable event of the inbox is in the mirror.",
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


def check_extracts(manifests: Sequence["Manifest"], lake: "Lake") -> dg.AssetCheckResult:
    """Whether the files just written are what their certificates say; reads them once more."""
    problems = [problem for one in manifests for problem in _problems_of(one, lake)]
    return _result("files_are_complete", "files are not what they should be", problems)


def _problems_of(manifest: "Manifest", lake: "Lake") -> list[str]:
    month, stated = manifest.partition["month"], manifest.certificate
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


def check_waiting(counts: Mapping[str, int]) -> dg.AssetCheckResult:
    """Passes when no event waits after the inbox was applied. `counts`: events by state."""
    waiting = counts.get("received", 0)
    return dg.AssetCheckResult(
        check_name="no_events_wait",
        passed=waiting == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{count_of(waiting, 'event')} waiting" if waiting else None,
        # An event may arrive between applying and counting: worth seeing, no reason to call anyone.
        metadata={"waiting": waiting, "severity": "LOW"},
    )


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


def _result(name: str, problem: str, offenders: list[str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        passed=not offenders,
        description=f"{len(offenders)} {problem}" if offenders else None,
        metadata={"offenders": len(offenders), "examples": offenders[:_EXAMPLES]},
    )
