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

from growth_pipeline.billing.objects import BY_OBJECT

_TEXT_LIMIT: Final = 255  # characters of an id or type; longer ones do not fit an index
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z
_INT64_MAX: Final = 2**63 - 1

# A number so long that a JSON reader may turn it into a float without saying so.
_LONG_NUMBER: Final = re.compile(rb"[:\[,]\s*-?\d{17,}")
_LONG_RUN: Final = b"0" * 17
_DIGITS_ALIKE: Final = bytes(ord("0") if byte in b"0123456789" else 1 for byte in range(256))


class Unreadable(ValueError):
    """The body is not UTF-8 or not JSON: no genuine Stripe event. Not retryable."""


class Handling(StrEnum):
    """What becomes of a stored event. A quarantined one keeps its reason until it is replayed."""

    APPLY = "apply"
    FETCH = "fetch"
    IGNORE = "ignore"
    QUARANTINE = "quarantine"


class Related(NamedTuple):
    """The object a thin event speaks of without carrying it."""

    object: str
    id: str


class Decision(NamedTuple):
    """How one event is handled; `reason` is `code: sentence`, empty when it is applied."""

    handling: Handling
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is read of an event before it is stored, and the object it carries.

    Shapes: `account_id` is None for events of the own account. `created_at` is None when the body
    does not say it. A thin event has no `payload` but names its object in `related`. `problem` is
    set when the event cannot be applied whatever its type.
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
    is_thin: bool = False
    related: Related | None = None


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
_TOLD_APART: Final = "customer.discount."
_IGNORED_PREFIXES: Final = (
    _TOLD_APART,
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


def decide(envelope: Envelope, *, bound_livemode: bool | None = None) -> Decision:
    """What becomes of an event, judged by its type and body alone; its version is judged later.

    `bound_livemode` is the mode that the database is for, None while no key was used there. A live
    endpoint of a platform receives test events of connected accounts too: they stay in the inbox.
    """
    if envelope.problem is not None:
        return Decision(Handling.QUARANTINE, envelope.problem)
    if bound_livemode is (not envelope.livemode):
        held, brought = ("live", "test") if bound_livemode else ("test", "live")
        return Decision(
            Handling.IGNORE, f"other_mode: the database holds {held} rows, this is {brought} mode"
        )
    return _decide_by_type(envelope)


def _decide_by_type(envelope: Envelope) -> Decision:
    if envelope.is_thin:
        return _decide_thin(envelope)
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


def _decide_thin(envelope: Envelope) -> Decision:
    """A thin event says that an object changed; what it is now, only Stripe can tell."""
    family, _, name = envelope.type.partition(".")
    if family != "v1" or _is_ignored(name):
        return Decision(
            Handling.IGNORE, f"not_needed: nothing we keep changes with {envelope.type}"
        )
    if envelope.related is None:
        return Decision(Handling.QUARANTINE, "no_related_object: the thin event names no object")
    if envelope.related.object not in BY_OBJECT:
        return Decision(
            Handling.QUARANTINE,
            f"unknown_type: {envelope.related.object} is not a kind of object this version knows",
        )
    return Decision(Handling.FETCH)


def is_needed(event_type: str) -> bool:
    """Whether an event of that type is kept in the inbox when Stripe lists it.

    Events of discounts change nothing in the mirror, but tell what its rows name by id only.
    """
    return event_type.startswith(_TOLD_APART) or not _is_ignored(event_type)


def _not_needed(event_type: str) -> Decision:
    return Decision(Handling.IGNORE, f"not_needed: nothing we keep changes with {event_type}")


def _is_ignored(event_type: str) -> bool:
    family = event_type.partition(".")[0]
    return family in _IGNORED_FAMILIES or event_type.startswith(_IGNORED_PREFIXES)


def _decide_other(event_type: str) -> Decision:
    if _is_ignored(event_type):
        return _not_needed(event_type)
    return Decision(
        Handling.QUARANTINE, f"unknown_type: {event_type} is not a type this version knows"
    )


def _envelope_of(value: dict[str, Any], body: bytes, problem: str | None) -> Envelope:
    event_id, event_type = value.get("id"), value.get("type")
    if not _is_name(event_id) or not _is_name(event_type):
        return _nameless(body, problem or "not_an_event: it has no usable id or type")
    kind, livemode = value.get("object"), value.get("livemode")
    if isinstance(kind, str) and kind.startswith("v2."):
        return _thin_envelope(value, event_id, event_type, problem)
    account, version = value.get("account"), value.get("api_version")
    created_at = _instant(value.get("created"))
    data = value.get("data")
    content = data if isinstance(data, dict) else {}
    if kind != "event":
        problem = problem or "not_an_event: `object` is not event"
    return Envelope(
        event_id=event_id,
        type=event_type,
        account_id=account if _is_name(account) else None,
        livemode=livemode is True,
        created_at=created_at,
        api_version=version if _is_name(version) else None,
        payload=_mapping(content.get("object")),
        previous=_mapping(content.get("previous_attributes")),
        problem=problem or _problem_of(account, created_at, livemode),
    )


def _thin_envelope(
    value: Mapping[str, Any], event_id: str, event_type: str, problem: str | None
) -> Envelope:
    """A thin event: of no API version, made at an instant in words, with the id of an object."""
    related = value.get("related_object")
    named = related if isinstance(related, dict) else {}
    kind, id_ = named.get("type"), named.get("id")
    context, livemode = value.get("context"), value.get("livemode")
    created_at = _worded_instant(value.get("created"))
    # Of an organisation the context is a path that ends with the account.
    account = context.rpartition("/")[2] if isinstance(context, str) else None
    return Envelope(
        event_id=event_id,
        type=event_type,
        account_id=account if _is_name(account) and account.startswith("acct_") else None,
        livemode=livemode is True,
        created_at=created_at,
        api_version=None,
        problem=problem or _problem_of(account or None, created_at, livemode),
        is_thin=True,
        related=Related(kind, id_) if _is_name(kind) and _is_name(id_) else None,
    )


def _problem_of(account: object, created_at: datetime | None, livemode: object) -> str | None:
    if not isinstance(livemode, bool):
        return "no_livemode: the event does not say its mode"
    if created_at is None:
        return "bad_created: `created` is no instant"
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


def _worded_instant(value: object) -> datetime | None:
    """An instant as RFC 3339 writes it: `2030-01-01T12:00:00.000Z`."""
    if not isinstance(value, str) or not value.isascii():
        return None
    try:
        instant = datetime.fromisoformat(value)
        return instant.astimezone(UTC) if instant.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _read_json(body: bytes) -> tuple[Any, str | None]:
    """The body's value, and what Postgres' jsonb or 64-bit money could not hold of it.

    The fast reader refuses lone surrogates and turns huge integers into floats, so whatever looks
    like one of these, or is refused, is read again slowly and exactly.
    """
    if b"\\u0000" not in body and not _has_long_number(body):
        try:
            return orjson.loads(body), None
        except orjson.JSONDecodeError:
            pass
    return _read_json_slowly(body)


def _has_long_number(body: bytes) -> bool:
    """Whether a number has 17 digits or more. Most bodies have no such run at all: look for one."""
    return _LONG_RUN in body.translate(_DIGITS_ALIKE) and _LONG_NUMBER.search(body) is not None


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
