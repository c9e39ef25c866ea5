"""What a change of a customer's MRR is called. Pure: two snapshots in, one movement out.

How snapshots are read, and in what the movements are summed, does not belong here. The engine joins
`movement_table`, so that millions of changes are named by this one rule.
Contract: docs/metrics.md, "MRR movements".
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from fractions import Fraction
from itertools import product

from growth_pipeline.core.errors import UnknownValueError


class Movement(StrEnum):
    """Names of movements, in the order in which they are told."""

    NEW = "new"
    REACTIVATION = "reactivation"
    RESUMED = "resumed"
    EXPANSION = "expansion"
    CONTRACTION = "contraction"
    PAUSED = "paused"
    CHURN = "churn"
    FX = "fx"


GAINS = (Movement.NEW, Movement.REACTIVATION, Movement.RESUMED, Movement.EXPANSION)
LOSSES = (Movement.CONTRACTION, Movement.PAUSED, Movement.CHURN)
SAME_CURRENCY = (*GAINS, *LOSSES)
ENTRIES = (Movement.NEW, Movement.REACTIVATION, Movement.RESUMED)
EXITS = (Movement.CHURN, Movement.PAUSED)


class Earlier(StrEnum):
    """How a customer without MRR came to have none: never had any, left, or collection paused."""

    NEVER = "never"
    LEFT = "left"
    PAUSED = "paused"


class Cause(StrEnum):
    """Why MRR ended."""

    VOLUNTARY = "voluntary"
    DELINQUENT = "delinquent"
    DISPUTE = "dispute"
    OTHER = "other"
    TO_FREE = "to_free"
    PAUSED = "paused"
    UNKNOWN = "unknown"


# Stripe's `cancellation_details.reason`, the statuses without payment, and our own words.
_CAUSES = {
    "": Cause.UNKNOWN,
    "cancellation_requested": Cause.VOLUNTARY,
    "payment_failed": Cause.DELINQUENT,
    "unpaid": Cause.DELINQUENT,
    "past_due": Cause.DELINQUENT,
    "payment_disputed": Cause.DISPUTE,
    "canceled_by_retention_policy": Cause.OTHER,
    "pause_collection": Cause.PAUSED,
    **{cause.value: cause for cause in Cause},
}


def cause_of(reason: str | None) -> Cause:
    """The cause that a reason stands for; no reason is `unknown`.

    Raises: UnknownValueError, not retryable, for a reason that neither Stripe nor we know.
    Source: docs/metrics.md, "MRR movements"; Stripe API reference, Subscription
    `cancellation_details.reason`.
    """
    try:
        return _CAUSES[(reason or "").strip().lower()]
    except KeyError:
        raise UnknownValueError(
            f"the reason {reason!r} is not known",
            remedy=f"allowed are {', '.join(filter(None, _CAUSES))}, or nothing",
        ) from None


def reasons() -> dict[str, Cause]:
    """Every reason that is known, in lower case, and its cause."""
    return dict(_CAUSES)


def classify(
    before: Fraction | int,
    now: Fraction | int,
    *,
    earlier: Earlier = Earlier.NEVER,
    paused: bool = False,
    was_customer: bool | None = None,
    is_customer: bool | None = None,
) -> Movement | None:
    """The movement from one snapshot to the next; None when nothing moved.

    Grain: one customer and currency. `earlier`: what was before a snapshot without MRR. `paused`:
    the MRR ended because collection is paused. `was_customer` and `is_customer`: whether the
    customer counts at the snapshot, by default with any MRR; a policy may keep those who are free.
    Raises: ValueError for an MRR below 0.
    """
    if before < 0 or now < 0:
        raise ValueError("MRR is never below 0")
    was = before > 0 if was_customer is None else was_customer
    is_now = now > 0 if is_customer is None else is_customer
    if not was:
        return _entry(earlier) if is_now else None
    if not is_now:
        return Movement.PAUSED if paused else Movement.CHURN
    if before == now:
        return None
    return Movement.EXPANSION if now > before else Movement.CONTRACTION


def movement_table() -> Iterator[tuple[bool, bool, int, str, bool, str]]:
    """The rule as rows: every state of two snapshots that is a movement, once.

    Shapes: was_customer, is_customer, sign of the change, earlier, paused, movement.
    """
    for was, now, sign, earlier, paused in product(
        (False, True), (False, True), (-1, 0, 1), Earlier, (False, True)
    ):
        movement = classify(
            1, 1 + sign, earlier=earlier, paused=paused, was_customer=was, is_customer=now
        )
        if movement is not None:
            yield was, now, sign, earlier.value, paused, movement.value


def fx_change(before: Fraction, rate_before: Fraction, rate_now: Fraction) -> Fraction:
    """What exchange rates alone did to an MRR in the reporting currency.

    `before` is in its own currency; every other movement counts at the later rate, so that start +
    fx + movements = end. Units: major units of the reporting currency, exact.
    """
    return before * (rate_now - rate_before)


def _entry(earlier: Earlier) -> Movement:
    return {
        Earlier.NEVER: Movement.NEW,
        Earlier.LEFT: Movement.REACTIVATION,
        Earlier.PAUSED: Movement.RESUMED,
    }[earlier]
