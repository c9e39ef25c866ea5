"""Stripe's side of a closed month beyond its charges: invoices, their payments, intents.

A month is frozen with those that its rows are about. Later they are looked up by their ids in
Stripe's lists, so that Stripe's figures never move because a booked row came or went.
Contract: docs/metrics.md, "Timing".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, Protocol

import polars as pl

from growth_pipeline.audit.months.closing import STRIPE, LineKey, LineState
from growth_pipeline.audit.payments.shapes import intent_payment, invoice_payment, paid_outside
from growth_pipeline.audit.payments.sides import StripePayment
from growth_pipeline.audit.queries import Row

CHARGE: Final = "charge"
SCHEMA: Final = {
    **dict.fromkeys(("object", "id", "currency", "status"), pl.String),
    "settled": pl.Boolean,
    **dict.fromkeys(("captured_minor", "refunded_minor", "disputed_minor"), pl.Int64),
}

LookUp = Callable[[str, set[str]], Mapping[str, StripePayment | None]]
"""What Stripe's lists say of objects of a kind by id; None: a charge tells that money."""


class Lists(Protocol):
    """What is asked of Stripe's lists of all months."""

    def intents(self, ids: set[str]) -> dict[str, Row]:
        """Payment intents by id."""
        ...

    def invoice_payments(self, ids: set[str]) -> dict[str, Row]:
        """Invoice payments by id."""
        ...

    def invoices(self, ids: set[str]) -> dict[str, Row]:
        """Invoices by id."""
        ...


def look_up(lists: Lists, kind: str, ids: set[str]) -> dict[str, StripePayment | None]:
    """What Stripe's lists say of objects without a charge; those in no list are left out."""
    if kind == "payment_intent":
        return {
            key: None if row["latest_charge"] else intent_payment(row)
            for key, row in lists.intents(ids).items()
        }
    if kind == "invoice_payment":
        return {
            key: None if row["payment_intent"] or row["charge"] else paid_outside(row)
            for key, row in lists.invoice_payments(ids).items()
        }
    invoices = lists.invoices(ids)
    intents = {row["payment_intent"] for row in invoices.values() if row["payment_intent"]}
    charged = {key for key, row in lists.intents(intents).items() if row["latest_charge"]}
    return {
        key: None if row["payment_intent"] in charged else invoice_payment(row)
        for key, row in invoices.items()
    }


def stripe_lines(judged: Iterable[StripePayment]) -> pl.DataFrame:
    """Payments as the statement of a month's lines takes them."""
    return pl.DataFrame(list(map(_line, judged)), schema=SCHEMA, orient="row")


def lines_to_compare(
    judged: Collection[StripePayment],
    known: Mapping[LineKey, LineState],
    look: LookUp,
) -> pl.DataFrame:
    """Stripe's lines now of what is no charge of the list, to compare with a closed month.

    `known`: such lines as they were known last. Each is as the audit judged it, else as the lists
    tell it, else as it was: what no list holds did not change. Others are no part of the month.
    """
    lines = [_line(one) for one in judged if one.object == CHARGE]
    now = {(one.object, one.id): one for one in judged if one.object != CHARGE}
    ids: dict[str, set[str]] = {}
    for key in known:
        if (key.object, key.object_id) not in now:
            ids.setdefault(key.object, set()).add(key.object_id)
    listed = {
        (kind, one): payment
        for kind, some in ids.items()
        for one, payment in look(kind, some).items()
    }
    told: dict[tuple[str, str], StripePayment | None] = {**listed, **now}
    for name in dict.fromkeys((key.object, key.object_id) for key in known):
        payment = told.get(name)
        if payment is not None:
            lines.append(_line(payment))
        elif name not in told:
            lines += [_as_it_was(key, state) for key, state in known.items() if key[1:3] == name]
    return pl.DataFrame(lines, schema=SCHEMA, orient="row")


def is_beside(key: LineKey) -> bool:
    """Whether a line is Stripe's and no charge."""
    return key.side == STRIPE and key.object != CHARGE


def _line(payment: StripePayment) -> Row:
    return {
        "object": payment.object,
        "id": payment.id,
        "currency": payment.currency,
        "status": payment.status,
        "settled": payment.settled,
        "captured_minor": payment.captured_minor,
        "refunded_minor": payment.refunded_minor,
        "disputed_minor": payment.disputed_minor,
    }


def _as_it_was(key: LineKey, state: LineState) -> Row:
    return {
        "object": key.object,
        "id": key.object_id,
        "currency": key.currency,
        "status": state.status,
        "settled": bool(state.count),
        "captured_minor": state.gross_minor,
        "refunded_minor": state.refunded_minor,
        "disputed_minor": state.disputed_minor,
    }
