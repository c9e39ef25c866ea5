"""The truth about money: the ledger that books of this company should show.

It is read off what happened, charge by charge. Grain of a row: one charge.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.life import Life
from growth_pipeline.sandbox.names import month_key


def ledger_rows(life: Life) -> list[tuple[Any, ...]]:
    """One row for each charge of a customer, columns as in `store.LEDGER_COLUMNS`.

    `amount_minor` is what was captured, or asked for where nothing was. Refunds count when they
    succeeded or are pending; disputes count what was withdrawn less what came back. The counts at
    the end are of refunds and disputes of any status, and of charges of the same payment intent.
    The invoice is known from its paid invoice payment only: no event tells of an open one.
    """
    objects = life.journal.objects
    refunded = _refunded(objects)
    disputed = _disputed(objects)
    invoice_of = {
        join["payment"]["payment_intent"]: invoice_id
        for invoice_id, join in life.joins.items()
        if join["status"] == "paid"
    }
    refunds = _count(objects, "refund", "charge")
    disputes = _count(objects, "dispute", "charge")
    attempts = _count(objects, "charge", "payment_intent")
    rows = []
    for charge in life.charges():
        booked = objects.get(charge["balance_transaction"] or "")
        rows.append(
            (
                charge["id"],
                charge["payment_intent"],
                invoice_of.get(charge["payment_intent"]),
                charge["customer"],
                charge["status"],
                int(charge["captured"]),
                charge["currency"],
                charge["amount_captured"] if charge["captured"] else charge["amount"],
                refunded[charge["id"]],
                disputed[charge["id"]],
                booked["fee"] if booked else None,
                booked["net"] if booked else None,
                booked["currency"] if booked else None,
                charge["created"],
                month_key(charge["created"]),
                refunds[charge["id"]],
                disputes[charge["id"]],
                attempts[charge["payment_intent"]],
            )
        )
    return rows


def _count(objects: dict[str, Json], kind: str, by: str) -> Counter[str]:
    return Counter(obj[by] for obj in objects.values() if obj["object"] == kind)


def _refunded(objects: dict[str, Json]) -> defaultdict[str, int]:
    sums: defaultdict[str, int] = defaultdict(int)
    for obj in objects.values():
        if obj["object"] == "refund" and obj["status"] in {"succeeded", "pending"}:
            sums[obj["charge"]] += obj["amount"]
    return sums


def _disputed(objects: dict[str, Json]) -> defaultdict[str, int]:
    sums: defaultdict[str, int] = defaultdict(int)
    sign = {"dispute": 1, "dispute_reversal": -1}
    for obj in objects.values():
        if obj["object"] == "dispute":
            for booked in obj["balance_transactions"]:
                sums[obj["charge"]] += sign[booked["reporting_category"]] * obj["amount"]
    return sums
