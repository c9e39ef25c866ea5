"""Verifying published figures, and the log of restatements, for a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.periods import Month
from growth_pipeline.operate.database import open_database
from growth_pipeline.operate.revenue.bridges import customers_of_ledger, facts_of
from growth_pipeline.revenue.movements_store import MovementsStore
from growth_pipeline.revenue.policies import policy_named
from growth_pipeline.revenue.publish import CODE_VERSION, spells_under
from growth_pipeline.revenue.receipt_store import ReceiptStore
from growth_pipeline.revenue.receipts.verify import Verified, verify
from growth_pipeline.settings import load_settings
from growth_pipeline.storage.engine import Engine

Say = Callable[[str], None]


def verify_figure(metric: str, month: str, *, policy: str | None, say: Say) -> Verified:
    """Compute the figures of a metric and month again from the ledger as it was known.

    Raises: UsageError for a month without receipt, or a metric that it does not have;
    RemoteUnavailableError.
    """
    asked = Month.parse(month)
    with open_database(say, read_only=True, tells_demo=True) as (_, database):
        settings = load_settings()
        scopes = settings.stripe.scopes
        chosen = policy_named(policy or settings.revenue.policies[0])
        receipts = ReceiptStore(database)
        stored = receipts.newest(chosen.definition, asked.first_day)
        if stored is None:
            raise UsageError(
                f"{asked} has no receipt under {chosen.definition}",
                remedy="ask for a month that is over, or run growth mrr refresh first",
            )
        say(f"reading the ledger as known at {stored.receipt.known_at.isoformat()}")
        return verify(
            metric,
            stored,
            spells_under(
                customers_of_ledger(database, scopes, stored.receipt.known_at),
                chosen,
                facts_of(database, scopes, (chosen,)),
            ),
            policy=chosen,
            code_version=CODE_VERSION,
            receipts=receipts,
            movements=MovementsStore(database, scopes),
            engine=Engine(**settings.engine_bounds),
        )


def verified_document(found: Verified, metric: str, month: str) -> dict[str, Any]:
    """For JSON."""
    receipt = found.receipt.receipt
    return {
        "metric": metric,
        "month": month,
        "holds": found.holds,
        "receipt": {
            "receipt_id": found.receipt.receipt_id,
            "policy": receipt.policy,
            "as_of": receipt.as_of.isoformat(),
            "known_at": receipt.known_at.isoformat(),
            "code_version": receipt.code_version,
            "rows": receipt.rows,
            "sha256": receipt.sha256,
            "rows_artifact": found.receipt.rows_artifact,
        },
        "questions": [
            {"name": one.name, "holds": one.holds, "told": one.told or None}
            for one in found.questions
        ],
        "figures": [
            {
                "metric": one.metric,
                "currency": one.currency,
                "segment_by": one.segment_by or None,
                "segment": one.segment,
                "published": one.published,
                "receipt": one.receipt,
                "again": one.again,
                "same": one.is_same,
            }
            for one in found.figures
        ],
        "differing_rows": [
            {name: value if isinstance(value, int) else str(value) for name, value in row.items()}
            for row in found.differing_rows
        ],
    }


def verified_lines(found: Verified, metric: str, month: str) -> list[str]:
    """For a person."""
    lines = [f"{metric} of {month}: {'holds' if found.holds else 'DOES NOT HOLD'}"]
    lines += [
        f"  {'ok ' if one.holds else 'NO '} {one.name.replace('_', ' ')}"
        + (f": {one.told}" if one.told else "")
        for one in found.questions
    ]
    lines += [
        f"  {one.metric} {one.currency}: published {one.published}, receipt {one.receipt}, "
        f"again {one.again}"
        for one in found.figures
        if not one.segment_by
    ]
    lines += [
        f"  only {row['side']}: {row['customer_id']} {row['subscription_id']} {row['item_id']} "
        f"{row['mrr_minor']} {row['currency']} from {row['from_at']}"
        for row in found.differing_rows
    ]
    return lines


def restatements(month: str | None, *, policy: str | None, say: Say) -> list[dict[str, Any]]:
    """Months that were published and are others now, newest first.

    Grain: one customer, currency and month. Raises: UsageError; RemoteUnavailableError.
    """
    first = None if month is None else Month.parse(month).first_day
    with open_database(say, read_only=True, tells_demo=True) as (_, database):
        chosen = policy_named(policy or load_settings().revenue.policies[0])
        return ReceiptStore(database).restatements(chosen.definition, first)
