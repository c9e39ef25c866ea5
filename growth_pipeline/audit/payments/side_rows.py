"""One side of a payment from one row: of a query over Stripe's files, or of the books."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from growth_pipeline.audit.payments.shapes import charge_payment
from growth_pipeline.audit.payments.sides import BookedRow, StripePayment
from growth_pipeline.audit.queries import Row


@dataclass(frozen=True)
class Extracted:
    """One charge as its file has it. `touched`: when a part of it was made last, Unix seconds."""

    payment: StripePayment
    touched: int | None
    fetched: int
    is_dispute_unknown: bool


def extracted(row: Row, *, refunds_complete: bool, disputes_complete: bool) -> Extracted:
    """A charge of the month, from the row that `stripe_payments` gives of it.

    Its own refunds count where all of them were read; else the sum that the charge tells.
    """
    whole = row["amount_captured"] >= row["amount"]
    refunded = row["refunded_minor"] or 0 if refunds_complete and whole else None
    withdrawn, reinstated = row["withdrawn_minor"], row["reinstated_minor"] or 0
    payment = replace(
        charge_payment(row),
        refunded_minor=row["amount_refunded"] if refunded is None else refunded,
        disputed_minor=(withdrawn or 0) - reinstated,
        reinstated_minor=reinstated,
        failed_refunds=tuple(row["failed_refunds"] or ()),
        fee_minor=row["fee"],
        net_after_fee_minor=row["net"],
        settlement_currency=row["settlement_currency"],
    )
    return Extracted(
        payment=payment,
        touched=row["touched"],
        fetched=int(row["fetched_at"].timestamp()),
        is_dispute_unknown=row["disputed"] and withdrawn is None and not disputes_complete,
    )


def tax_of(invoice: str) -> int | None:
    """Tax of an invoice's JSON, minor units; None where it does not say.

    Both sums stayed where they are in every API version; the tax itself moved.
    """
    told = orjson.loads(invoice)
    total, without_tax = told.get("total"), told.get("total_excluding_tax")
    return None if total is None or without_tax is None else total - without_tax


def booked_row(row: Mapping[str, Any]) -> BookedRow:
    """One row as the statements give it, with its scope."""
    return BookedRow(**{name: row[name] for name in BookedRow.__dataclass_fields__})
