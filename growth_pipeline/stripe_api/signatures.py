"""Whether a webhook body was signed by Stripe, now. Storing and reading it is the receiver's work.

Source: Stripe documentation, "Check the webhook signatures"; docs/stripe.md, "Webhooks".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

from growth_pipeline.core.errors import GrowthError

if TYPE_CHECKING:
    from stripe import WebhookSignature

# The SDK reads `t` with int(), which also takes signs, blanks, underscores and other digits.
# One spelling only, so that the signed text is exactly the header's.
_TIMESTAMP = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


class SignatureReason(StrEnum):
    """Why a body was refused: for counters and logs, never for the sender."""

    NO_SECRET = "no_secret"  # noqa: S105 (a reason, not a secret)
    NO_HEADER = "no_header"
    MALFORMED = "malformed"
    NOT_UTF8 = "not_utf8"
    SIGNATURE = "signature"
    TIMESTAMP = "timestamp"
    """Signed with our secret, but too old or too new: replayed, or a clock is wrong."""


class SignatureError(GrowthError):
    """The body is not accepted. The sentence is the same for all reasons."""

    def __init__(self, reason: SignatureReason) -> None:
        super().__init__("the webhook signature is not valid")
        self.reason = reason


def verify(
    body: bytes, header: str | None, secrets: Sequence[str], *, now: datetime, tolerance: int
) -> None:
    """Returns if one of the secrets signed these bytes within `tolerance` seconds of `now`.

    Both directions count and both edges are accepted; the SDK alone accepts any future timestamp.
    Units: seconds. Raises: SignatureError with a reason, never anything else, whatever the bytes.
    """
    if not header:
        raise SignatureError(SignatureReason.NO_HEADER)
    usable = [secret for secret in secrets if secret.strip()]
    if not usable:
        raise SignatureError(SignatureReason.NO_SECRET)
    timestamp = _timestamp(header)
    if not any(_signed_by(secret, body, header) for secret in usable):
        raise SignatureError(SignatureReason.SIGNATURE)
    if abs(now.timestamp() - timestamp) > tolerance:
        raise SignatureError(SignatureReason.TIMESTAMP)


def warm_up() -> None:
    """Loads the SDK (half a second) before the first webhook has to wait for it."""
    _sdk()


def _timestamp(header: str) -> int:
    # The SDK compares text in constant time and raises TypeError beyond ASCII.
    if not header.isascii():
        raise SignatureError(SignatureReason.MALFORMED)
    stamps = [value for key, _, value in _parts(header) if key == "t"]
    if len(stamps) != 1 or not _TIMESTAMP.fullmatch(stamps[0]):
        raise SignatureError(SignatureReason.MALFORMED)
    return int(stamps[0])


def _parts(header: str) -> list[tuple[str, str, str]]:
    return [item.partition("=") for item in header.split(",")]


def _signed_by(secret: str, body: bytes, header: str) -> bool:
    sdk, refusal = _sdk()
    try:
        sdk.verify_header(body, header, secret, tolerance=None)
    except UnicodeDecodeError:
        raise SignatureError(SignatureReason.NOT_UTF8) from None
    except refusal:
        # The SDK's error carries the payload: it must not travel on.
        return False
    return True


@cache
def _sdk() -> tuple[type[WebhookSignature], type[Exception]]:
    """The SDK's check and the error it refuses with; looked up once, not at each webhook."""
    from stripe import SignatureVerificationError, WebhookSignature

    return WebhookSignature, SignatureVerificationError
