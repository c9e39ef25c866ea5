"""What one HTTP answer of Stripe means: an object, "try again", or an error that names the fix.

Pure: no network, no waiting, no clock. Asking and retrying is client.py. Table: docs/stripe.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from growth_pipeline.stripe_api.errors import (
    StripeAuthError,
    StripeError,
    StripePermissionError,
)

_OK = 200
_TRY_AGAIN = frozenset({408, 409, 425, 429})
_GONE = frozenset({400, 404})
_SERVER_ERROR = 500
# The answer was made between the request and the Date header; clocks differ by up to this much.
_CLOCK_DOUBT = timedelta(seconds=2)
_SECRET = re.compile(r"\b(sk|rk|pk|whsec)_[A-Za-z0-9_*]{6,}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_QUOTED = 300


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, read whole. `headers` have lower-case names; `received_at` is our clock."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    elapsed: timedelta

    @property
    def request_id(self) -> str | None:
        """Stripe's name of the request, for its support."""
        return self.headers.get("request-id")

    @property
    def fetched(self) -> tuple[datetime, datetime]:
        """Between when and when Stripe saw the state it answered with; UTC."""
        until = _date(self.headers.get("date")) or self.received_at
        return until - self.elapsed - _CLOCK_DOUBT, until


class TryAgain(Exception):
    """The answer, or the lack of one, may be different next time."""

    def __init__(
        self, what: str, *, retry_after: float | None = None, unreachable: bool = False
    ) -> None:
        super().__init__(what)
        self.retry_after = retry_after
        self.unreachable = unreachable


class ObjectGone(Exception):
    """Stripe knows no object of the id that the request named in `param`."""

    def __init__(self, param: str | None) -> None:
        super().__init__(param)
        self.param = param


def read_answer(answer: Answer, subject: str) -> Any:
    """The JSON of a good answer; `subject` is what was asked for, for messages.

    Raises: TryAgain, ObjectGone, StripeAuthError, StripePermissionError, StripeError.
    """
    if answer.status == _OK:
        return _parse(answer)
    _raise_if_temporary(answer)
    error = _error_body(answer.body)
    if answer.status in _GONE and error.get("code") == "resource_missing":
        raise ObjectGone(error.get("param"))
    said = quote(str(error.get("message") or "no reason given"))
    request = f" (request {answer.request_id})" if answer.request_id else ""
    if answer.status == 401:  # noqa: PLR2004
        raise StripeAuthError(
            f"{subject}: Stripe does not accept the API key (401){request}",
            remedy="set GROWTH_STRIPE__API_KEY to a valid restricted key with read rights",
        )
    if answer.status == 403:  # noqa: PLR2004
        raise StripePermissionError(
            f"{subject}: the API key lacks a permission (403). Stripe says: {said}{request}",
            remedy="give the restricted key this read permission in Stripe's dashboard",
        )
    raise StripeError(
        f"{subject}: Stripe refused the request ({answer.status}). Stripe says: {said}{request}",
        remedy="check GROWTH_STRIPE__API_BASE and GROWTH_STRIPE__API_VERSION",
    )


def quote(text: str) -> str:
    """Somebody else's text on one line, shortened, with anything like a key masked."""
    line = _UNPRINTABLE.sub(" ", _SECRET.sub(r"\1_...", text)).strip()
    return line if len(line) <= _QUOTED else line[:_QUOTED] + "..."


def raw_text(value: Any) -> str:
    """One object as JSON text, keys in Stripe's order; lone surrogates stay escaped."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, separators=(",", ":"))


def read_json(text: bytes | str) -> Any:
    """The value of JSON as Stripe wrote it, or as `raw_text` kept it; with lone surrogates too.

    Raises: ValueError or RecursionError for text that is no JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # The standard library also takes lone surrogates, which a customer's name may hold.
        return json.loads(text, parse_constant=_refuse_constant)


def _parse(answer: Answer) -> Any:
    try:
        return read_json(answer.body)
    except (ValueError, RecursionError):
        raise TryAgain(
            f"answered 200 with {len(answer.body)} bytes that are not whole JSON"
        ) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _raise_if_temporary(answer: Answer) -> None:
    told = answer.headers.get("stripe-should-retry") == "true"
    if answer.status in _TRY_AGAIN or answer.status >= _SERVER_ERROR or told:
        reason = answer.headers.get("stripe-rate-limited-reason")
        raise TryAgain(
            f"answered {answer.status}" + (f" ({quote(reason)})" if reason else ""),
            retry_after=_retry_after(answer),
        )


def _error_body(body: bytes) -> dict[str, Any]:
    try:
        error = orjson.loads(body)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {}


def _retry_after(answer: Answer) -> float | None:
    """Seconds to wait as told; None if nothing is told, or "now", which would be a storm."""
    text = answer.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text, re.ASCII):
        return float(text) or None
    date = _date(text)
    seconds = (date - answer.fetched[1]).total_seconds() if date else 0.0
    return seconds if seconds > 0 else None


def _date(text: str | None) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(text or "")
    except (ValueError, TypeError):
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
