"""The account's balance: transactions with fees. `amount - fee = net`, always."""

from __future__ import annotations

from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.currencies import DISPUTE_FEES, fee_of, settle
from growth_pipeline.sandbox.journal import Journal, Json
from growth_pipeline.sandbox.names import DAY, midnight

# Days until a payment can be paid out, by settlement currency.
_DELAY_DAYS = {"usd": 2, "eur": 3, "gbp": 3}


def book_charge(journal: Journal, charge: Json, at: int) -> Json:
    """The transaction of a captured charge: money in, less Stripe's fee."""
    amount, currency, rate = settle(charge["amount_captured"], charge["currency"])
    transaction = shapes.balance_transaction(
        journal.names.new("txn"),
        kind="charge" if charge["payment_method_details"]["type"] == "card" else "payment",
        category="charge",
        amount=amount,
        fee=fee_of(amount, currency),
        currency=currency,
        source=charge["id"],
        description=charge["description"],
        exchange_rate=None if rate is None else float(rate),
        created=at,
        available_on=midnight(at) + _DELAY_DAYS[currency] * DAY,
    )
    return journal.add(transaction, at)


def book_refund(journal: Journal, refund: Json, at: int, *, failed: bool = False) -> Json:
    """The transaction of a refund: money out; or back in, if the refund has failed."""
    sign = 1 if failed else -1
    kind = "refund_failure" if failed else "refund"
    signed = sign * refund["amount"]
    return _book_at_once(journal, refund, at, kind=kind, category=kind, signed=signed, fee=0)


def book_dispute(journal: Journal, dispute: Json, at: int, *, returned: bool = False) -> Json:
    """The transaction of a dispute: money withdrawn with a fee, or reinstated without one."""
    sign = 1 if returned else -1
    category = "dispute_reversal" if returned else "dispute"
    currency = settle(0, dispute["currency"])[1]
    fee = 0 if returned else DISPUTE_FEES[currency]
    signed = sign * dispute["amount"]
    return _book_at_once(
        journal, dispute, at, kind="adjustment", category=category, signed=signed, fee=fee
    )


def _book_at_once(
    journal: Journal, source: Json, at: int, *, kind: str, category: str, signed: int, fee: int
) -> Json:
    amount, currency, rate = settle(signed, source["currency"])
    transaction = shapes.balance_transaction(
        journal.names.new("txn"),
        kind=kind,
        category=category,
        amount=amount,
        fee=fee,
        currency=currency,
        source=source["id"],
        description=f"{category.capitalize().replace('_', ' ')} of {source['charge']}",
        exchange_rate=None if rate is None else float(rate),
        created=at,
        available_on=at,
    )
    transaction["status"] = "available"
    return journal.add(transaction, at)
