"""Which typed columns each kind of Stripe object has, and where their values come from.

One registry for the extracts' Parquet files and the tables of schema `stripe`. Stripe's names. A
field that moved between API versions is asked of the version adapter only. A field that Stripe
promises must be there; one that it may leave out becomes null. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import polars as pl

from growth_pipeline.billing.objects import BY_RESOURCE
from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.stripe_api.versions import Object, VersionAdapter, field_of, id_of

# Version, object, and the object it lies in (for one that lies in none: itself).
Read = Callable[[VersionAdapter, Object, Object], Any]

# Columns of every extract; `created` is epoch seconds, `raw` the object's JSON as fetched. Stripe
# showed the object between `fetched_from` and `fetched_at`, while its page was asked for.
COMMON: dict[str, pl.DataType] = {
    "account_id": pl.String(),
    "livemode": pl.Boolean(),
    "id": pl.String(),
    "created": pl.Int64(),
    "api_version": pl.String(),
    "fetched_from": pl.Datetime("us", "UTC"),
    "fetched_at": pl.Datetime("us", "UTC"),
    "raw": pl.String(),
}


@dataclass(frozen=True)
class Column:
    """One typed column: how to read it from an object, and whether null is a value of it.

    Units: in a file instants are epoch seconds and decimals text; in a table `timestamptz` and
    `numeric`, which `table_type` says. Money is whole minor units of the row's currency in both.
    """

    type: pl.DataType
    read: Read
    required: bool = False
    table_type: str = ""

    @property
    def postgres_type(self) -> str:
        """Its type in a table, as Postgres's catalogue names it."""
        return self.table_type or _POSTGRES_TYPES[self.type]


_INT64_BITS = 63
_PYTHON_TYPES: dict[pl.DataType, tuple[type, ...]] = {
    pl.Int64(): (int,),
    pl.String(): (str,),
    pl.Boolean(): (bool,),
    pl.Float64(): (int, float),
}
_POSTGRES_TYPES: Final[Mapping[pl.DataType, str]] = {
    pl.Int64(): "int8",
    pl.String(): "text",
    pl.Boolean(): "bool",
    pl.Float64(): "float8",
}
_TEXT, _WHOLE, _FLAG, _RATE = pl.String(), pl.Int64(), pl.Boolean(), pl.Float64()

Named = tuple[str, Column]


def _promised(name: str, type: pl.DataType) -> Named:
    return name, Column(type, lambda v, o, _: field_of(o, name, v.api_version), required=True)


def _optional(name: str, type: pl.DataType) -> Named:
    return name, Column(type, lambda _, o, __: o.get(name))


def _promised_at(name: str) -> Named:
    read: Read = lambda v, o, _: field_of(o, name, v.api_version)  # noqa: E731 - a table of rules
    return name, Column(_WHOLE, read, required=True, table_type="timestamptz")


def _at(name: str) -> Named:
    return name, Column(_WHOLE, lambda _, o, __: o.get(name), table_type="timestamptz")


def _link(name: str) -> Named:
    return name, Column(_TEXT, lambda _, o, __: id_of(o.get(name)))


def _promised_link(name: str) -> Named:
    read: Read = lambda v, o, _: id_of(field_of(o, name, v.api_version))  # noqa: E731
    return name, Column(_TEXT, read, required=True)


def _inside(name: str, *path: str, type: pl.DataType = _TEXT) -> Named:
    """A field of a nested hash, which may be null as a whole."""
    return name, Column(type, lambda _, o, __: _at_path(o, path))


def _inside_at(name: str, *path: str) -> Named:
    return name, Column(_WHOLE, lambda _, o, __: _at_path(o, path), table_type="timestamptz")


def _linked_inside(name: str, *path: str) -> Named:
    return name, Column(_TEXT, lambda _, o, __: id_of(_at_path(o, path)))


def _asked(
    name: str, question: Read, type: pl.DataType = _TEXT, *, required: bool = False
) -> Named:
    """A field that moved between versions: the adapter answers."""
    return name, Column(type, question, required=required)


def _at_path(found: Object, path: tuple[str, ...]) -> Any:
    value: Any = found
    for name in path:
        if value is None:
            return None
        value = value.get(name)
    return value


def _dispute_money(sign: int) -> Read:
    """The disputed amount if a balance transaction of that sign moved it, else 0.

    The balance transaction itself is in the settlement currency, which may be another one.
    """

    def read(version: VersionAdapter, dispute: Object, _: Object) -> Any:
        moves = field_of(dispute, "balance_transactions", version.api_version)
        moved = any(field_of(move, "amount", version.api_version) * sign > 0 for move in moves)
        return field_of(dispute, "amount", version.api_version) if moved else 0

    return read


def _period(edge: int) -> Read:
    return lambda v, item, subscription: v.period_of(subscription, item)[edge]


def _trial(edge: int) -> Read:
    def read(version: VersionAdapter, item: Object, subscription: Object) -> int | None:
        span = version.trial_of(subscription, item)
        return None if span is None else span[edge]

    return read


_CURRENCY = _promised("currency", _TEXT)
_MONEY = (_CURRENCY, _promised("amount", _WHOLE))
_UNIT_AMOUNT: Final = (
    "unit_amount_decimal",
    Column(_TEXT, lambda v, o, _: v.unit_amount_of(o), table_type="numeric"),
)
_RECURRING: Final = (
    _inside("recurring_interval", "recurring", "interval"),
    _inside("recurring_interval_count", "recurring", "interval_count", type=_WHOLE),
    _inside("recurring_usage_type", "recurring", "usage_type"),
)

# Kinds by resource, then what lies nested in some of them (NESTED below).
COLUMNS: dict[str, dict[str, Column]] = {
    "payment_intents": dict(
        [
            _link("customer"),
            *_MONEY,
            _optional("amount_received", _WHOLE),
            _promised("status", _TEXT),
            _link("latest_charge"),
            _at("canceled_at"),
            _optional("cancellation_reason", _TEXT),
        ]
    ),
    "charges": dict(
        [
            _link("payment_intent"),
            _asked("invoice", lambda v, charge, _: v.invoice_of(charge)),
            _link("customer"),
            *_MONEY,
            _promised("amount_captured", _WHOLE),
            _asked(
                "amount_refunded",
                lambda v, charge, _: v.refunded_of(charge),
                _WHOLE,
                required=True,
            ),
            _promised("captured", _FLAG),
            _promised("paid", _FLAG),
            _promised("status", _TEXT),
            _asked("refunded", lambda v, charge, _: v.is_refunded(charge), _FLAG, required=True),
            _promised("disputed", _FLAG),
            _link("balance_transaction"),
            _optional("failure_code", _TEXT),
        ]
    ),
    "invoices": dict(
        [
            _link("customer"),
            _asked("subscription", lambda v, invoice, _: v.subscription_of(invoice)),
            _asked("payment_intent", lambda v, invoice, _: v.payment_intent_of(invoice)),
            _CURRENCY,
            _promised("total", _WHOLE),
            _promised("amount_due", _WHOLE),
            _promised("amount_paid", _WHOLE),
            _promised("amount_remaining", _WHOLE),
            _optional("status", _TEXT),
            _optional("billing_reason", _TEXT),
            _optional("number", _TEXT),
            _optional("collection_method", _TEXT),
            _optional("subtotal", _WHOLE),
            _optional("starting_balance", _WHOLE),
            _optional("ending_balance", _WHOLE),
            _optional("attempt_count", _WHOLE),
            _at("next_payment_attempt"),
            _at("due_date"),
            _at("period_start"),
            _at("period_end"),
            _inside_at("finalized_at", "status_transitions", "finalized_at"),
            _inside_at("paid_at", "status_transitions", "paid_at"),
            _inside_at("voided_at", "status_transitions", "voided_at"),
            _inside_at("marked_uncollectible_at", "status_transitions", "marked_uncollectible_at"),
        ]
    ),
    "invoice_payments": dict(
        [
            _promised_link("invoice"),
            _inside("payment_type", "payment", "type"),
            _linked_inside("payment_intent", "payment", "payment_intent"),
            _linked_inside("charge", "payment", "charge"),
            _linked_inside("payment_record", "payment", "payment_record"),
            _CURRENCY,
            _optional("amount_requested", _WHOLE),
            _optional("amount_paid", _WHOLE),
            _optional("is_default", _FLAG),
            _promised("status", _TEXT),
            _inside_at("paid_at", "status_transitions", "paid_at"),
            _inside_at("canceled_at", "status_transitions", "canceled_at"),
        ]
    ),
    "subscriptions": dict(
        [
            _promised_link("customer"),
            _promised("status", _TEXT),
            _CURRENCY,
            _promised_at("start_date"),
            _at("canceled_at"),
            _at("ended_at"),
            _promised("cancel_at_period_end", _FLAG),
            (
                "items_count",
                Column(_WHOLE, lambda v, o, _: len(field_of(o, "items", v.api_version)["data"])),
            ),
            _at("cancel_at"),
            _at("trial_start"),
            _at("trial_end"),
            _at("billing_cycle_anchor"),
            _optional("collection_method", _TEXT),
            _asked("paused_reason", lambda v, o, _: v.paused_reason_of(o)),
            _inside("pause_collection_behavior", "pause_collection", "behavior"),
            _inside_at("pause_collection_resumes_at", "pause_collection", "resumes_at"),
            _inside("cancellation_reason", "cancellation_details", "reason"),
            _inside("cancellation_feedback", "cancellation_details", "feedback"),
            _link("latest_invoice"),
            _link("schedule"),
        ]
    ),
    "customers": dict(
        [
            _optional("email", _TEXT),
            _optional("name", _TEXT),
            _optional("currency", _TEXT),
            _optional("delinquent", _FLAG),
            # Only a deleted customer says so; lists leave deleted ones out.
            ("deleted", Column(_FLAG, lambda _, customer, __: customer.get("deleted", False))),
            _optional("balance", _WHOLE),
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
            _optional("reason", _TEXT),
            _optional("failure_reason", _TEXT),
            _optional("pending_reason", _TEXT),
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
            _optional("reason", _TEXT),
            _inside_at("evidence_due_by", "evidence_details", "due_by"),
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
            _promised_at("available_on"),
            _optional("exchange_rate", _RATE),
        ]
    ),
    "payouts": dict(
        [
            *_MONEY,
            _promised("status", _TEXT),
            _promised("automatic", _FLAG),
            _promised_at("arrival_date"),
            _optional("type", _TEXT),
            _optional("method", _TEXT),
            _optional("reconciliation_status", _TEXT),
            _link("balance_transaction"),
            _link("failure_balance_transaction"),
            _optional("failure_code", _TEXT),
        ]
    ),
    "credit_notes": dict(
        [
            _promised_link("invoice"),
            _link("customer"),
            *_MONEY,
            _promised("total", _WHOLE),
            _promised("status", _TEXT),
            _optional("type", _TEXT),
            _optional("reason", _TEXT),
            _optional("number", _TEXT),
            _optional("out_of_band_amount", _WHOLE),
            _link("customer_balance_transaction"),
            _at("voided_at"),
        ]
    ),
    "checkout_sessions": dict(
        [
            _promised("mode", _TEXT),
            _optional("status", _TEXT),
            _promised("payment_status", _TEXT),
            _link("customer"),
            _optional("client_reference_id", _TEXT),
            _link("subscription"),
            _link("payment_intent"),
            _link("invoice"),
            _optional("currency", _TEXT),
            _optional("amount_subtotal", _WHOLE),
            _optional("amount_total", _WHOLE),
            _at("expires_at"),
        ]
    ),
    "products": dict(
        [
            _promised("name", _TEXT),
            _promised("active", _FLAG),
            _link("default_price"),
            _optional("description", _TEXT),
        ]
    ),
    "prices": dict(
        [
            _promised_link("product"),
            _promised("active", _FLAG),
            _CURRENCY,
            _promised("type", _TEXT),
            _optional("billing_scheme", _TEXT),
            _optional("unit_amount", _WHOLE),
            _UNIT_AMOUNT,
            *_RECURRING,
            _optional("tiers_mode", _TEXT),
            _optional("lookup_key", _TEXT),
            _optional("nickname", _TEXT),
        ]
    ),
    "coupons": dict(
        [
            _optional("name", _TEXT),
            _promised("duration", _TEXT),
            _optional("duration_in_months", _WHOLE),
            _optional("percent_off", _RATE),
            _optional("amount_off", _WHOLE),
            _optional("currency", _TEXT),
            _optional("valid", _FLAG),
            _optional("max_redemptions", _WHOLE),
            _optional("times_redeemed", _WHOLE),
            _at("redeem_by"),
        ]
    ),
    "promotion_codes": dict(
        [
            _promised("code", _TEXT),
            _asked("coupon", lambda v, code, _: v.coupon_of(code)),
            _promised("active", _FLAG),
            _link("customer"),
            _optional("max_redemptions", _WHOLE),
            _optional("times_redeemed", _WHOLE),
            _at("expires_at"),
        ]
    ),
    # No number, fingerprint or billing details: see `kept_fields`.
    "payment_methods": dict(
        [
            _promised("type", _TEXT),
            _link("customer"),
            _inside("card_brand", "card", "brand"),
            _inside("card_funding", "card", "funding"),
            _inside("card_country", "card", "country"),
            _inside("card_exp_month", "card", "exp_month", type=_WHOLE),
            _inside("card_exp_year", "card", "exp_year", type=_WHOLE),
        ]
    ),
    # Grain: one event as the list of events tells it. `rendered_version` is the version of its
    # body, which need not be the one we ask in. A thin event carries no object, only names it.
    "events": dict(
        [
            _promised("type", _TEXT),
            _inside("object", "data", "object", "object"),
            _inside("object_id", "data", "object", "id"),
            ("rendered_version", Column(_TEXT, lambda _, event, __: event.get("api_version"))),
            _optional("pending_webhooks", _WHOLE),
            _inside("request_id", "request", "id"),
        ]
    ),
    "invoice_items": dict(
        [
            _link("customer"),
            _link("invoice"),
            _asked("subscription", lambda v, item, _: v.subscription_of(item)),
            _asked("subscription_item", lambda v, item, _: v.subscription_item_of(item)),
            _asked("price", lambda v, item, _: v.price_of(item)),
            *_MONEY,
            _asked("quantity", lambda v, item, _: v.quantity_of(item), _WHOLE),
            _asked("is_proration", lambda v, item, _: v.is_proration(item), _FLAG),
            _at("date"),
            _inside_at("period_start", "period", "start"),
            _inside_at("period_end", "period", "end"),
        ]
    ),
    "subscription_schedules": dict(
        [
            _link("customer"),
            _link("subscription"),
            _link("released_subscription"),
            _promised("status", _TEXT),
            _optional("end_behavior", _TEXT),
            _inside_at("current_phase_start", "current_phase", "start_date"),
            _inside_at("current_phase_end", "current_phase", "end_date"),
            _at("canceled_at"),
            _at("completed_at"),
            _at("released_at"),
        ]
    ),
    "plans": dict(
        [
            _link("product"),
            *(_promised("active", _FLAG), _CURRENCY),
            _optional("amount", _WHOLE),
            _promised("interval", _TEXT),
            _promised("interval_count", _WHOLE),
            _optional("usage_type", _TEXT),
            _optional("billing_scheme", _TEXT),
            _optional("tiers_mode", _TEXT),
        ]
    ),
    # --- nested: the key begins with the object they lie in ---
    "subscription_items": dict(
        [
            _asked("price", lambda v, item, _: v.price_of(item), required=True),
            _linked_inside("product", "price", "product"),
            _inside("currency", "price", "currency"),
            _asked("quantity", lambda v, item, _: v.quantity_of(item), _WHOLE),
            _UNIT_AMOUNT,
            _inside("recurring_interval", "price", "recurring", "interval"),
            _inside(
                "recurring_interval_count", "price", "recurring", "interval_count", type=_WHOLE
            ),
            _inside("recurring_usage_type", "price", "recurring", "usage_type"),
            _inside("billing_scheme", "price", "billing_scheme"),
            (
                "current_period_start",
                Column(_WHOLE, _period(0), required=True, table_type="timestamptz"),
            ),
            (
                "current_period_end",
                Column(_WHOLE, _period(1), required=True, table_type="timestamptz"),
            ),
            ("trial_start", Column(_WHOLE, _trial(0), table_type="timestamptz")),
            ("trial_end", Column(_WHOLE, _trial(1), table_type="timestamptz")),
            _at("created"),
        ]
    ),
    "invoice_line_items": dict(
        [
            *_MONEY,
            _asked("quantity", lambda v, line, _: v.quantity_of(line), _WHOLE),
            _asked("price", lambda v, line, _: v.price_of(line)),
            _UNIT_AMOUNT,
            _asked("subscription", lambda v, line, _: v.subscription_of(line)),
            _asked("subscription_item", lambda v, line, _: v.subscription_item_of(line)),
            _asked("invoice_item", lambda v, line, _: v.invoice_item_of(line)),
            _asked("is_proration", lambda v, line, _: v.is_proration(line), _FLAG),
            _inside_at("period_start", "period", "start"),
            _inside_at("period_end", "period", "end"),
            _optional("description", _TEXT),
        ]
    ),
    # Where only the discount's id is told (events cannot expand it), the rest is not known yet.
    "discounts": dict(
        [
            _asked("coupon", lambda v, discount, _: v.coupon_of(discount)),
            _link("promotion_code"),
            _link("customer"),
            _link("checkout_session"),
            # `start` and `end` as Stripe says; `end` alone is a word of SQL.
            (
                "starts_at",
                Column(_WHOLE, lambda _, o, __: o.get("start"), table_type="timestamptz"),
            ),
            ("ends_at", Column(_WHOLE, lambda _, o, __: o.get("end"), table_type="timestamptz")),
        ]
    ),
}

SCHEMAS: dict[str, dict[str, pl.DataType]] = {
    resource: COMMON | {name: column.type for name, column in COLUMNS[resource].items()}
    for resource in BY_RESOURCE
}

# What is kept of a payment method: enough to tell expired and declined cards, nothing to pay with.
_KEPT_OF_METHOD: Final = ("id", "object", "type", "customer", "created", "livemode", "card")
_KEPT_OF_CARD: Final = ("brand", "funding", "country", "exp_month", "exp_year")


def kept_fields(resource: str, found: Object) -> Object:
    """What may be stored of an object: all of it, but of a payment method only harmless facts.

    Of an event that carries a payment method, the same. An object of which everything is kept
    comes back itself, not a copy.
    """
    if resource == "payment_methods":
        return _facts_of_method(found)
    carried = (found.get("data") or {}).get("object") if resource == "events" else None
    if isinstance(carried, dict) and carried.get("object") == "payment_method":
        return found | {"data": {"object": _facts_of_method(carried)}}
    return found


def _facts_of_method(found: Object) -> Object:
    kept: Object = {name: found[name] for name in _KEPT_OF_METHOD if name in found}
    card = kept.get("card")
    if isinstance(card, dict):
        kept["card"] = {name: card[name] for name in _KEPT_OF_CARD if name in card}
    customer = kept.get("customer")
    if isinstance(customer, dict):
        kept["customer"] = customer.get("id")
    return kept


def typed_values(
    resource: str, version: VersionAdapter, found: Object, parent: Object | None = None
) -> list[Any]:
    """Values of one object's typed columns, in the order of `COLUMNS[resource]`.

    `parent` is the object it lies in, for what lies nested.
    Raises: UnknownValueError naming object and field if a promised field is absent or null, or
    if a value has another type than Stripe documents. Never rounds and never guesses.
    """
    whole = found if parent is None else parent
    values = []
    name = ""
    try:
        for name, read, allowed, required in _plan(resource):
            value = read(version, found, whole)
            if value is not None or required:
                value = _checked(value, allowed, name, found)
            values.append(value)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _odd(name, "in a shape that cannot be read", found) from error
    return values


def told_values(resource: str, version: VersionAdapter, found: Object) -> list[Any]:
    """Like `typed_values`, with null for what is not told: of a deleted object little is."""
    values = []
    for name, read, allowed, _ in _plan(resource):
        try:
            value = read(version, found, found)
            values.append(None if value is None else _checked(value, allowed, name, found))
        except (UnknownValueError, KeyError, TypeError, AttributeError, ValueError):
            values.append(None)
    return values


@cache
def _plan(resource: str) -> tuple[tuple[str, Read, tuple[type, ...], bool], ...]:
    """Name, rule, allowed types and need of each column, so that a row costs no look-ups."""
    return tuple(
        (name, column.read, _PYTHON_TYPES[column.type], column.required)
        for name, column in COLUMNS[resource].items()
    )


def _checked(value: Any, allowed: tuple[type, ...], name: str, found: Object) -> Any:
    kind = type(value)
    if kind not in allowed or (kind is int and value.bit_length() > _INT64_BITS):
        said = "null" if value is None else kind.__name__
        raise _odd(name, f"{said}, not {allowed[0].__name__}", found)
    if kind is str and not value.isascii():
        # Half of a surrogate pair is no text that a file can hold; `raw` keeps it escaped.
        return value.encode("utf-8", "replace").decode()
    return value


def _odd(name: str, how: str, found: Object) -> UnknownValueError:
    return UnknownValueError(
        f"{found.get('object', 'object')} {found.get('id')}: field {name!r} is {how}",
        remedy="check that GROWTH_STRIPE__API_VERSION is the version Stripe answers in",
    )
