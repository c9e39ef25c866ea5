"""What a received body says about itself, and whether the mirror can use it. Pure.

Storing is `store.py`, applying is `mirror.py`. Contract: docs/stripe.md, "Webhook delivery".
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeGuard

import orjson

_TEXT_LIMIT: Final = 255  # characters of an id or type; longer ones do not fit an index
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z
_INT64_MAX: Final = 2**63 - 1

# A number so long that a JSON reader may turn it into a float without saying so.
_LONG_NUMBER: Final = re.compile(rb"[:\[,]\s*-?\d{17,}")


class Unreadable(ValueError):
    """The body is not UTF-8 or not JSON: no genuine Stripe event. Not retryable."""


class Handling(StrEnum):
    """What becomes of a stored event. A quarantined one keeps its reason until it is replayed."""

    APPLY = "apply"
    IGNORE = "ignore"
    QUARANTINE = "quarantine"


class Decision(NamedTuple):
    """How one event is handled; `reason` is `code: sentence`, empty when it is applied."""

    handling: Handling
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is read of an event before it is stored, and the object it carries.

    Shapes: `account_id` is None for events of the own account. `created_at` is None when the body
    does not say it. `problem` is set when the event cannot be applied whatever its type.
    """

    event_id: str
    type: str
    account_id: str | None
    livemode: bool
    created_at: datetime | None
    api_version: str | None
    payload: dict[str, Any] | None = None
    previous: dict[str, Any] | None = None
    problem: str | None = None


class ReceivedEvent(NamedTuple):
    """One row of the inbox as it is first stored. Grain: one event of one account and mode."""

    account_id: str
    livemode: bool
    event_id: str
    type: str
    api_version: str | None
    created_at: datetime
    received_at: datetime
    source: str
    body: bytes


def _types(object_name: str, family: str, *names: str) -> dict[str, str]:
    return {f"{family}.{name}": object_name for name in names}


# Event type -> type of the object it carries. Source: Stripe API reference, "Types of events";
# docs/stripe.md, "Webhook types and what each changes".
APPLIED_TYPES: Final[Mapping[str, str]] = {
    **_types(
        "subscription",
        "customer.subscription",
        *("created", "updated", "deleted", "paused", "resumed", "trial_will_end"),
        *("pending_update_applied", "pending_update_expired"),
    ),
    **_types(
        "invoice",
        "invoice",
        *("created", "deleted", "finalization_failed", "finalized", "marked_uncollectible"),
        *("overdue", "overpaid", "paid", "payment_action_required", "payment_attempt_required"),
        *("payment_failed", "payment_succeeded", "sent", "updated", "voided", "will_be_due"),
    ),
    **_types("invoice_payment", "invoice_payment", "paid"),
    **_types("invoiceitem", "invoiceitem", "created", "updated", "deleted"),
    **_types(
        "charge",
        "charge",
        *("captured", "expired", "failed", "pending", "refunded", "succeeded", "updated"),
    ),
    **_types("refund", "refund", "created", "updated", "failed"),
    **_types("refund", "charge.refund", "updated"),
    **_types(
        "dispute",
        "charge.dispute",
        *("created", "updated", "closed", "funds_withdrawn", "funds_reinstated"),
    ),
    **_types(
        "payment_intent",
        "payment_intent",
        *("amount_capturable_updated", "canceled", "created", "partially_funded"),
        *("payment_failed", "processing", "requires_action", "succeeded"),
    ),
    **_types("customer", "customer", "created", "updated", "deleted"),
    **_types(
        "checkout.session",
        "checkout.session",
        *("completed", "expired", "async_payment_failed", "async_payment_succeeded"),
    ),
    **_types("credit_note", "credit_note", "created", "updated", "voided"),
    **_types(
        "subscription_schedule",
        "subscription_schedule",
        *("aborted", "canceled", "completed", "created", "expiring", "released", "updated"),
    ),
    **_types("product", "product", "created", "updated", "deleted"),
    **_types("price", "price", "created", "updated", "deleted"),
    **_types("plan", "plan", "created", "updated", "deleted"),
    **_types("coupon", "coupon", "created", "updated", "deleted"),
    **_types("promotion_code", "promotion_code", "created", "updated"),
    **_types(
        "payout",
        "payout",
        *("canceled", "created", "failed", "paid", "reconciliation_completed", "updated"),
    ),
}

# First words of Stripe's event types that change nothing we keep: stored and ignored.
_IGNORED_FAMILIES: Final = frozenset(
    {
        "account",
        "application_fee",
        "apps",
        "balance",
        "balance_settings",
        "billing",
        "billing_portal",
        "capability",
        "cash_balance",
        "climate",
        "customer_cash_balance_transaction",
        "entitlements",
        "file",
        "financial_connections",
        "identity",
        "issuing_authorization",
        "issuing_card",
        "issuing_cardholder",
        "issuing_dispute",
        "issuing_personalization_design",
        "issuing_token",
        "issuing_transaction",
        "mandate",
        "payment_link",
        "payment_method",
        "person",
        "quote",
        "radar",
        "reporting",
        "reserve",
        "review",
        "setup_intent",
        "sigma",
        "source",
        "tax",
        "tax_rate",
        "terminal",
        "test_helpers",
        "three_d_secure",
        "topup",
        "transfer",
        "treasury",
    }
)
# Families we apply have some members we do not need: their facts arrive with the customer, and
# an upcoming invoice is a forecast without an id.
_IGNORED_PREFIXES: Final = (
    "customer.discount.",
    "customer.source.",
    "customer.tax_id.",
    "invoice.upcoming",
)


def parse_envelope(body: bytes) -> Envelope:
    """Who an event is, read from its raw body.

    A JSON body that is no usable event still gives an envelope: it is stored under its own id, or
    under a name made from its bytes, and `problem` says what is wrong with it.

    Raises: Unreadable for a body that is not UTF-8 or not JSON.
    """
    value, problem = _read_json(body)
    if not isinstance(value, dict):
        return _nameless(body, "not_an_event: the body is not a JSON object")
    return _envelope_of(value, body, problem)


def received_event(
    envelope: Envelope,
    body: bytes,
    *,
    account_id: str,
    received_at: datetime,
    source: str = "webhook",
) -> ReceivedEvent:
    """The inbox row of a body. `account_id` is the own account; a connected one names itself."""
    return ReceivedEvent(
        account_id=envelope.account_id or account_id,
        livemode=envelope.livemode,
        event_id=envelope.event_id,
        type=envelope.type,
        api_version=envelope.api_version,
        created_at=envelope.created_at or received_at,
        received_at=received_at,
        source=source,
        body=body,
    )


def decide(envelope: Envelope) -> Decision:
    """What becomes of an event, judged by its type and body alone; its version is judged later."""
    if envelope.problem is not None:
        return Decision(Handling.QUARANTINE, envelope.problem)
    expected = APPLIED_TYPES.get(envelope.type)
    if expected is None:
        return _decide_other(envelope.type)
    payload = envelope.payload
    if payload is None:
        return Decision(Handling.QUARANTINE, "no_object: the event carries no object")
    if payload.get("object") != expected:
        return Decision(Handling.QUARANTINE, f"wrong_object: {envelope.type} must carry {expected}")
    if not _is_name(payload.get("id")):
        return Decision(Handling.QUARANTINE, f"no_object_id: the {expected} has no usable id")
    return Decision(Handling.APPLY)


def _decide_other(event_type: str) -> Decision:
    family = event_type.partition(".")[0]
    if family in _IGNORED_FAMILIES or event_type.startswith(_IGNORED_PREFIXES):
        return Decision(Handling.IGNORE, f"not_needed: nothing we keep changes with {event_type}")
    return Decision(
        Handling.QUARANTINE, f"unknown_type: {event_type} is not a type this version knows"
    )


def _envelope_of(value: dict[str, Any], body: bytes, problem: str | None) -> Envelope:
    event_id, event_type = value.get("id"), value.get("type")
    if not _is_name(event_id) or not _is_name(event_type):
        return _nameless(body, problem or "not_an_event: it has no usable id or type")
    account, version = value.get("account"), value.get("api_version")
    created_at = _instant(value.get("created"))
    livemode = value.get("livemode")
    data = value.get("data")
    content = data if isinstance(data, dict) else {}
    return Envelope(
        event_id=event_id,
        type=event_type,
        account_id=account if _is_name(account) else None,
        livemode=livemode is True,
        created_at=created_at,
        api_version=version if _is_name(version) else None,
        payload=_mapping(content.get("object")),
        previous=_mapping(content.get("previous_attributes")),
        problem=problem or _problem_of(value, account, created_at, livemode),
    )


def _problem_of(
    value: Mapping[str, Any], account: object, created_at: datetime | None, livemode: object
) -> str | None:
    kind = value.get("object")
    if isinstance(kind, str) and kind.startswith("v2."):
        return "thin_event: it names an object without carrying it"
    if kind != "event":
        return "not_an_event: `object` is not event"
    if not isinstance(livemode, bool):
        return "no_livemode: the event does not say its mode"
    if created_at is None:
        return "bad_created: `created` is not a Unix time"
    if account is not None and not _is_name(account):
        return "bad_account: `account` is not an id"
    return None


def _nameless(body: bytes, problem: str) -> Envelope:
    return Envelope(
        event_id=f"sha256_{hashlib.sha256(body).hexdigest()}",
        type="unreadable",
        account_id=None,
        livemode=False,
        created_at=None,
        api_version=None,
        problem=problem,
    )


def _mapping(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _is_name(value: object) -> TypeGuard[str]:
    """Whether a value is text that fits a key column of Postgres."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= _TEXT_LIMIT
        and "\0" not in value
        and not _has_surrogate(value)
    )


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)


def _instant(value: object) -> datetime | None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LAST_SECOND:
        return None
    return datetime.fromtimestamp(value, UTC)


def _read_json(body: bytes) -> tuple[Any, str | None]:
    """The body's value, and what Postgres' jsonb or 64-bit money could not hold of it.

    The fast reader refuses lone surrogates and turns huge integers into floats, so whatever looks
    like one of these, or is refused, is read again slowly and exactly.
    """
    if b"\\u0000" not in body and _LONG_NUMBER.search(body) is None:
        try:
            return orjson.loads(body), None
        except orjson.JSONDecodeError:
            pass
    return _read_json_slowly(body)


def _read_json_slowly(body: bytes) -> tuple[Any, str | None]:
    problems: list[str] = []

    def read_int(text: str) -> int:
        number = int(text) if len(text) <= len(str(_INT64_MAX)) + 1 else _INT64_MAX + 1
        if abs(number) > _INT64_MAX:
            problems.append("huge_integer: a number does not fit 64 bits")
        return number

    def read_float(text: str) -> float:
        number = float(text)
        if number in (float("inf"), float("-inf")):
            problems.append("huge_number: a number does not fit a 64-bit float")
        return number

    def refuse(text: str) -> float:
        raise Unreadable(f"{text} is not JSON")

    try:
        value = json.loads(
            body.decode("utf-8"), parse_int=read_int, parse_float=read_float, parse_constant=refuse
        )
    except (ValueError, RecursionError) as error:
        raise Unreadable("the body is not UTF-8 or not JSON") from error
    problems.extend(_text_problems(value))
    return value, problems[0] if problems else None


def _text_problems(value: Any) -> list[str]:
    problems: list[str] = []
    rest = [value]
    while rest:
        item = rest.pop()
        if isinstance(item, dict):
            rest.extend(item)
            rest.extend(item.values())
        elif isinstance(item, list):
            rest.extend(item)
        elif isinstance(item, str):
            if "\0" in item:
                problems.append("nul_character: a text holds \\u0000, which Postgres cannot store")
            elif _has_surrogate(item):
                problems.append("lone_surrogate: a text holds half of a character")
    return problems
