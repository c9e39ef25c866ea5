"""Which columns an extract of each Stripe object has, and where their values come from.

Stripe's names. A field that moved between API versions is asked of the version adapter only.
A field that Stripe promises must be there; one that it may leave out becomes null. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.stripe_api.versions import Object, VersionAdapter, field_of, id_of

Read = Callable[[VersionAdapter, Object], Any]

# Columns of every extract; `created` is epoch seconds, `raw` the object's JSON as fetched.
COMMON: dict[str, pl.DataType] = {
    "account_id": pl.String(),
    "livemode": pl.Boolean(),
    "id": pl.String(),
    "created": pl.Int64(),
    "api_version": pl.String(),
    "fetched_at": pl.Datetime("us", "UTC"),
    "raw": pl.String(),
}


@dataclass(frozen=True)
class Column:
    """One typed column: how to read it from an object, and whether null is a value of it."""

    type: pl.DataType
    read: Read
    required: bool = False


_INT64_BITS = 63
_PYTHON_TYPES: dict[pl.DataType, tuple[type, ...]] = {
    pl.Int64(): (int,),
    pl.String(): (str,),
    pl.Boolean(): (bool,),
    pl.Float64(): (int, float),
}


def _promised(name: str, type: pl.DataType) -> tuple[str, Column]:
    return name, Column(type, lambda v, o: field_of(o, name, v.api_version), required=True)


def _optional(name: str, type: pl.DataType) -> tuple[str, Column]:
    return name, Column(type, lambda _, o: o.get(name))


def _link(name: str) -> tuple[str, Column]:
    return name, Column(pl.String(), lambda _, o: id_of(o.get(name)))


def _dispute_money(sign: int) -> Read:
    """The disputed amount if a balance transaction of that sign moved it, else 0.

    The balance transaction itself is in the settlement currency, which may be another one.
    """

    def read(version: VersionAdapter, dispute: Object) -> Any:
        moves = field_of(dispute, "balance_transactions", version.api_version)
        moved = any(field_of(move, "amount", version.api_version) * sign > 0 for move in moves)
        return field_of(dispute, "amount", version.api_version) if moved else 0

    return read


_TEXT, _WHOLE, _FLAG, _RATE = pl.String(), pl.Int64(), pl.Boolean(), pl.Float64()
_MONEY = (_promised("currency", _TEXT), _promised("amount", _WHOLE))

COLUMNS: dict[str, dict[str, Column]] = {
    "payment_intents": dict(
        [
            _link("customer"),
            *_MONEY,
            _optional("amount_received", _WHOLE),
            _promised("status", _TEXT),
            _link("latest_charge"),
        ]
    ),
    "charges": dict(
        [
            _link("payment_intent"),
            ("invoice", Column(_TEXT, lambda version, charge: version.invoice_of(charge))),
            _link("customer"),
            *_MONEY,
            _promised("amount_captured", _WHOLE),
            (
                "amount_refunded",
                Column(_WHOLE, lambda version, charge: version.refunded_of(charge), required=True),
            ),
            _promised("captured", _FLAG),
            _promised("paid", _FLAG),
            _promised("status", _TEXT),
            _promised("refunded", _FLAG),
            _promised("disputed", _FLAG),
            _link("balance_transaction"),
            _optional("failure_code", _TEXT),
        ]
    ),
    "invoices": dict(
        [
            _link("customer"),
            ("subscription", Column(_TEXT, lambda version, inv: version.subscription_of(inv))),
            ("payment_intent", Column(_TEXT, lambda version, inv: version.payment_intent_of(inv))),
            _promised("currency", _TEXT),
            _promised("total", _WHOLE),
            _promised("amount_due", _WHOLE),
            _promised("amount_paid", _WHOLE),
            _promised("amount_remaining", _WHOLE),
            _optional("status", _TEXT),
            _optional("billing_reason", _TEXT),
        ]
    ),
    "subscriptions": dict(
        [
            ("customer", Column(_TEXT, lambda v, o: id_of(field_of(o, "customer", v.api_version)))),
            _promised("status", _TEXT),
            _promised("currency", _TEXT),
            _promised("start_date", _WHOLE),
            _optional("canceled_at", _WHOLE),
            _optional("ended_at", _WHOLE),
            _promised("cancel_at_period_end", _FLAG),
            (
                "items_count",
                Column(_WHOLE, lambda v, o: len(field_of(o, "items", v.api_version)["data"])),
            ),
        ]
    ),
    "customers": dict(
        [
            _optional("email", _TEXT),
            _optional("name", _TEXT),
            _optional("currency", _TEXT),
            _optional("delinquent", _FLAG),
            # Only a deleted customer says so; lists leave deleted ones out.
            ("deleted", Column(_FLAG, lambda _, customer: customer.get("deleted", False))),
        ]
    ),
    "refunds": dict(
        [
            _link("charge"),
            _link("payment_intent"),
            *_MONEY,
            _optional("status", _TEXT),
            _link("balance_transaction"),
            _link("failure_balance_transaction"),
        ]
    ),
    "disputes": dict(
        [
            _link("charge"),
            _link("payment_intent"),
            *_MONEY,
            _promised("status", _TEXT),
            ("withdrawn_minor", Column(_WHOLE, _dispute_money(-1), required=True)),
            ("reinstated_minor", Column(_WHOLE, _dispute_money(1), required=True)),
        ]
    ),
    "balance_transactions": dict(
        [
            *_MONEY,
            _promised("fee", _WHOLE),
            _promised("net", _WHOLE),
            _promised("type", _TEXT),
            _promised("reporting_category", _TEXT),
            _link("source"),
            _promised("status", _TEXT),
            _promised("available_on", _WHOLE),
            _optional("exchange_rate", _RATE),
        ]
    ),
}

SCHEMAS: dict[str, dict[str, pl.DataType]] = {
    resource: COMMON | {name: column.type for name, column in columns.items()}
    for resource, columns in COLUMNS.items()
}


def typed_values(resource: str, version: VersionAdapter, found: Object) -> list[Any]:
    """Values of one object's typed columns, in the order of `COLUMNS[resource]`.

    Raises: UnknownValueError naming object and field if a promised field is absent or null, or
    if a value has another type than Stripe documents. Never rounds and never guesses.
    """
    return [
        _checked(column, name, _read(column, name, version, found), found)
        for name, column in COLUMNS[resource].items()
    ]


def _read(column: Column, name: str, version: VersionAdapter, found: Object) -> Any:
    try:
        return column.read(version, found)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _odd(name, "in a shape that cannot be read", found) from error


def _checked(column: Column, name: str, value: Any, found: Object) -> Any:
    if value is None and not column.required:
        return None
    allowed = _PYTHON_TYPES[column.type]
    if type(value) not in allowed or (allowed == (int,) and value.bit_length() > _INT64_BITS):
        kind = "null" if value is None else type(value).__name__
        raise _odd(name, f"{kind}, not {allowed[0].__name__}", found)
    if isinstance(value, str) and not value.isascii():
        # Half of a surrogate pair is no text that a file can hold; `raw` keeps it escaped.
        return value.encode("utf-8", "replace").decode()
    return value


def _odd(name: str, how: str, found: Object) -> UnknownValueError:
    return UnknownValueError(
        f"{found.get('object', 'object')} {found.get('id')}: field {name!r} is {how}",
        remedy="check that GROWTH_STRIPE__API_VERSION is the version Stripe answers in",
    )
