"""Checks of the inbox and of booked payments: invariants of one table each, from data in hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import dagster as dg

from growth_pipeline.core.money import ISO_CURRENCIES

if TYPE_CHECKING:
    import polars as pl

_MIRROR = dg.AssetKey(["billing", "mirror"])
_PAYMENTS = dg.AssetKey(["billing", "payments"])
_EXAMPLES = 10

INBOX_CHECKS = (
    dg.AssetCheckSpec(
        "no_events_are_quarantined",
        asset=_MIRROR,
        description="Every event in the inbox could be read and applied, or is not ours to apply.",
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


def check_inbox(counts: Mapping[str, int]) -> dg.AssetCheckResult:
    """Passes when no event is quarantined. `counts`: events by state."""
    quarantined = counts.get("quarantined", 0)
    return dg.AssetCheckResult(
        check_name="no_events_are_quarantined",
        passed=quarantined == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{quarantined} events are quarantined" if quarantined else None,
        metadata={
            "quarantined": quarantined,
            "waiting": counts.get("received", 0),
            "remedy": "read their reasons in billing.inbox; they apply once the cause is mended",
        },
    )


class PaymentFacts(NamedTuple):
    """What the checks need to know about the booked payments of one month."""

    repeated_charges: tuple[str, ...]
    currencies: tuple[str, ...]


def read_payment_facts(rows: pl.DataFrame) -> PaymentFacts:
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
