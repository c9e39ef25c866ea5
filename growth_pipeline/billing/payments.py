"""Booked payments: one row a charge, from the charge, its refunds, disputes and invoice. Pure.

Contract: docs/metrics.md, "Payments"; docs/stripe.md, "Money objects".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.core.money import minor_exponent
from growth_pipeline.stripe_api.versions import Object, VersionAdapter

_INT64_MAX: Final = 2**63 - 1
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z

# Balance transactions of a charge itself: cards and the like, and other methods of payment.
_COLLECTIONS: Final = frozenset({"charge", "payment"})
# Refunds that take money from the payment. `failed`, `canceled` and `requires_action` do not.
_COUNTED_REFUNDS: Final = frozenset({"succeeded", "pending"})


@dataclass(frozen=True, slots=True)
class Payment:
    """One booked payment of an account and mode.

    Grain: one charge. Units: minor units of `currency`; fee and net in `settlement_currency`, None
    while the balance transaction is unknown. `amount_minor`: captured if captured, else asked for.
    """

    charge_id: str
    payment_intent_id: str | None
    invoice_id: str | None
    customer_id: str | None
    status: str
    captured: bool
    currency: str
    amount_minor: int
    refunded_minor: int
    disputed_minor: int
    fee_minor: int | None
    net_minor: int | None
    settlement_currency: str | None
    created_at: datetime


def book_payment(
    charge: Object,
    refunds: Iterable[Mapping[str, Any]] = (),
    disputes: Iterable[Mapping[str, Any]] = (),
    balance_transaction: Mapping[str, Any] | None = None,
    *,
    adapter: VersionAdapter,
    invoice_payments: Iterable[Mapping[str, Any]] = (),
) -> Payment:
    """The payment row of one charge, from everything the mirror knows of it.

    Shapes: an equal set of objects gives an equal row, in whatever order. Unknown is None, not 0.
    Raises: UnknownValueError, not retryable, for a missing amount, status or currency.
    Source: docs/metrics.md, "Payments".
    """
    captured = charge.get("captured", True)  # a source without the field knows no authorisation
    if not isinstance(captured, bool):
        raise _wrong(charge, "captured", "true or false")
    balance = balance_transaction or _expanded(charge.get("balance_transaction"))
    return Payment(
        charge_id=_text(charge, "id"),
        payment_intent_id=id_of(charge.get("payment_intent")),
        invoice_id=adapter.invoice_of(charge) or _only_invoice(invoice_payments),
        customer_id=id_of(charge.get("customer")),
        status=_text(charge, "status"),
        captured=captured,
        currency=_currency(charge),
        amount_minor=_whole(charge, "amount_captured" if captured else "amount"),
        refunded_minor=refunded_minor(charge, list(refunds), adapter=adapter),
        disputed_minor=sum(disputed_minor(dispute) for dispute in disputes),
        fee_minor=_whole(balance, "fee") if balance else None,
        net_minor=_whole(balance, "net") if balance else None,
        settlement_currency=_currency(balance) if balance else None,
        created_at=_instant(charge, "created"),
    )


def refunded_minor(
    charge: Object,
    refunds: Sequence[Mapping[str, Any]],
    *,
    adapter: VersionAdapter,
) -> int:
    """Refunds of a charge in `succeeded` or `pending`; the charge's own sum if none is known.

    Before the version basil, Stripe made a refund of the uncaptured rest of a partial capture. That
    is no money given back: 30.00 authorised, 18.00 captured is 18.00, refunded 0.
    Units: minor units of the charge's currency.
    Source: docs/stripe.md, "Money objects".
    """
    own_sum = adapter.refunded_of(charge)
    if not refunds:
        return own_sum
    counted = [
        _whole(refund, "amount") for refund in refunds if refund.get("status") in _COUNTED_REFUNDS
    ]
    released = _whole(charge, "amount_refunded", default=0) - own_sum
    if released > 0 and released in counted and sum(counted) > own_sum:
        counted.remove(released)
    return sum(counted)


def disputed_minor(dispute: Mapping[str, Any]) -> int:
    """Funds withdrawn less funds given back by one dispute, minor units of its currency.

    Its balance transactions say which of the two happened; their amounts are in the settlement
    currency, so the dispute's own amount counts. An inquiry has none: 0.
    Raises: UnknownValueError, not retryable, for a missing or wrong amount.
    """
    amount = _whole(dispute, "amount")
    moved = [
        _whole(balance, "amount")
        for balance in dispute.get("balance_transactions") or ()
        if isinstance(balance, Mapping)
    ]
    withdrawn = any(value < 0 for value in moved)
    reinstated = any(value > 0 for value in moved)
    return amount * (int(withdrawn) - int(reinstated))


def check_shape(object_name: str, payload: Object, *, adapter: VersionAdapter) -> None:
    """Refuse an object that lacks what its API version promises and we rely on.

    Raises: UnknownValueError, not retryable, naming the object and the field.
    """
    if object_name == "charge":
        book_payment(payload, adapter=adapter)
    elif object_name == "invoice":
        adapter.subscription_of(payload)
    elif object_name == "subscription":
        for item in payload["items"]["data"]:
            adapter.period_of(payload, item)
    elif object_name == "refund":
        _whole(payload, "amount")
        _currency(payload)
        _text(payload, "status")
    elif object_name == "dispute":
        disputed_minor(payload)
        _currency(payload)


def charges_of(object_name: str, payload: Mapping[str, Any]) -> str | None:
    """Charge whose payment an object is part of; None if it names none."""
    if object_name == "charge":
        return id_of(payload.get("id"))
    if object_name in {"refund", "dispute"}:
        return id_of(payload.get("charge"))
    if object_name == "invoice_payment":
        return id_of(_payment_of(payload).get("charge"))
    if object_name == "balance_transaction" and payload.get("type") in _COLLECTIONS:
        return id_of(payload.get("source"))
    return None


def intent_of(object_name: str, payload: Mapping[str, Any]) -> str | None:
    """Payment intent whose charges an invoice payment belongs to; None for other objects."""
    if object_name != "invoice_payment":
        return None
    return id_of(_payment_of(payload).get("payment_intent"))


def id_of(value: object) -> str | None:
    """Id of a reference, expanded or not; None for none."""
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) and value else None


def _payment_of(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    return _expanded(payload.get("payment")) or {}


def _only_invoice(invoice_payments: Iterable[Mapping[str, Any]]) -> str | None:
    """The invoice a payment belongs to; None if it paid several: one column cannot say that."""
    invoices = {id_of(payment.get("invoice")) for payment in invoice_payments} - {None}
    return invoices.pop() if len(invoices) == 1 else None


def _expanded(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None


def _whole(payload: Mapping[str, Any], field: str, *, default: int | None = None) -> int:
    value = payload.get(field, default)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _INT64_MAX:
        raise _wrong(payload, field, "a whole number of 64 bits")
    return value


def _text(payload: Mapping[str, Any], field: str) -> str:
    value = payload.get(field)
    if not isinstance(value, str) or not value:
        raise _wrong(payload, field, "text")
    return value


def _currency(payload: Mapping[str, Any]) -> str:
    currency = _text(payload, "currency")
    minor_exponent(currency)
    return currency


def _instant(payload: Mapping[str, Any], field: str) -> datetime:
    seconds = _whole(payload, field)
    if not 0 <= seconds <= _LAST_SECOND:
        raise _wrong(payload, field, "a Unix time")
    return datetime.fromtimestamp(seconds, UTC)


def _wrong(payload: Mapping[str, Any], field: str, expected: str) -> UnknownValueError:
    name = payload.get("object") or "object"
    return UnknownValueError(
        f"{name} {payload.get('id')}: {field} is not {expected}",
        remedy="the API version may have moved the field: extend its adapter, then replay",
    )
