"""Whether a key belongs to the account that the mirror is of, asked before anything is concluded.

A key of another account knows none of our ids and lists objects that are not ours. An account's id
needs a right that a restricted key may lack; an object that Stripe never deletes tells it as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from growth_pipeline.billing.ledger import Fetched, refuse_other_account
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.core.ids import Scope
from growth_pipeline.stripe_api.errors import (
    StripeAuthError,
    StripeError,
    StripeUnreachableError,
)

if TYPE_CHECKING:
    from growth_pipeline.billing.store import BillingStore


def check_account(scope: Scope, store: BillingStore, ask: Callable[[ObjectKey], Fetched]) -> None:
    """Ask for an object of the mirror that Stripe never deletes; only its account knows it.

    One request. None in test mode, where all data may be deleted at once, nor for a mirror that
    holds nothing yet.
    Raises: ConfigurationError for a key of another account; StripeAuthError,
    StripeUnreachableError.
    """
    if not scope.livemode:
        return
    for witness in store.find_witnesses(scope):
        try:
            answer = ask(witness)
        except (StripeAuthError, StripeUnreachableError):
            raise
        except StripeError:
            continue  # another kind may be readable
        refuse_other_account([answer])
        return
