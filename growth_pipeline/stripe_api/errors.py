"""What can go wrong when Stripe is asked, as sentences that name the object, the window, the fix.

How an answer becomes one of these: answers.py. Contract: docs/stripe.md, "Lists".
"""

from __future__ import annotations

from growth_pipeline.core.errors import (
    ConfigurationError,
    GrowthError,
    IncompleteError,
    RemoteUnavailableError,
)


class StripeError(GrowthError):
    """Stripe refused a request in a way that trying again does not change."""


class StripeAuthError(StripeError, ConfigurationError):
    """Stripe does not accept the key. No other source is worth asking."""


class StripePermissionError(StripeError, ConfigurationError):
    """The key lacks a right; Stripe's own sentence names it. Never the same as "no data"."""


class StripeIncompleteError(StripeError, IncompleteError):
    """A list was not read to its end. Nothing of it counts; a later run may succeed."""

    retryable = True


class StripeUnreachableError(StripeIncompleteError, RemoteUnavailableError):
    """No answer arrived at all: network, address, or Stripe itself."""

    exit_code = RemoteUnavailableError.exit_code
