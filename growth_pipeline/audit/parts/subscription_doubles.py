"""Finds subscriptions that are one too many, and asks Stripe before it believes so.

Which of several is the surplus one is decided in subscriptions.py.
Contract: docs/metrics.md, "Subscriptions, access and customers".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from growth_pipeline.audit.confirm import NoAnswer
from growth_pipeline.audit.parts.subscription_held import Held
from growth_pipeline.audit.parts.subscription_records import Records
from growth_pipeline.audit.parts.subscription_sides import State, Subscribed
from growth_pipeline.audit.parts.subscriptions import runs_on, surplus_subscriptions

_CODE = "duplicate_subscription"


class Doubles:
    """Looks for doubles among subscriptions of one part of the month's list at a time."""

    def __init__(self, records: Records, held: Held, *, can_ask: bool) -> None:
        self._records = records
        self._held = held
        self._can_ask = can_ask

    def among(self, states: Sequence[State]) -> dict[str, tuple[str, ...]]:
        """Surplus ones among the states, by id, each with the older one that it doubles."""
        customers = {one.customer for one in states if runs_on(one)}
        surplus = surplus_subscriptions(self._records.subscribed(customers))
        doubled = {one.id: self._still_running(surplus.get(one.id, ())) for one in states}
        return {key: older for key, older in doubled.items() if older}

    def _still_running(self, older: Iterable[Subscribed]) -> tuple[str, ...]:
        """The first of the older ones that still runs; without anyone to ask, the oldest."""
        is_open = False
        for one in older:
            now = self._records.now(one.id, allowance=_CODE) if self._can_ask else one
            if isinstance(now, NoAnswer):
                is_open = True
            elif now is not None and (isinstance(now, Subscribed) or runs_on(now)):
                return (one.id,)
        if is_open:
            self._held.left_open(_CODE, "subscriptions", can_ask=self._can_ask)
        return ()
