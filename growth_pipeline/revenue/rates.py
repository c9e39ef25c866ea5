"""Figures derived from the movements of one period and currency: churn, NRR, GRR, ARPA. Pure.

Contract: docs/metrics.md, "MRR movements".
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

RATE_DECIMALS = 6
_SCALE = 10**RATE_DECIMALS
Amount = int | Decimal
"""Whole minor units, or exact major units where there is no currency."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Who left between the opening and the end of a window.

    `opening` and `closing`: customers at both ends. `opening_left`: members of the opening who are
    gone at the end. `entered`: others who were customers in between, `entered_left` those of them
    who are gone at the end.
    """

    opening: int = 0
    closing: int = 0
    opening_left: int = 0
    entered: int = 0
    entered_left: int = 0


def quotient(part: Amount | Fraction, whole: Amount | Fraction) -> Decimal | None:
    """A rate at 6 decimals, half-even; None without a base."""
    if whole == 0:
        return None
    # round() of a Fraction is exact and half-even.
    return Decimal(round(Fraction(part) / Fraction(whole) * _SCALE)).scaleb(-RATE_DECIMALS)


def logo_churn(lost: Lost, denominator: str) -> Decimal | None:
    """Share of customers lost.

    `denominator`: start, average ((start + end) / 2), end, or start_plus_new, where everyone who
    was a customer in the window and is gone at its end counts.
    Source: docs/metrics.md, "MRR movements".
    """
    if denominator == "start_plus_new":
        return quotient(lost.opening_left + lost.entered_left, lost.opening + lost.entered)
    base = {
        "start": Fraction(lost.opening),
        "average": Fraction(lost.opening + lost.closing, 2),
        "end": Fraction(lost.closing),
    }[denominator]
    return quotient(lost.opening_left, base)


def growth(start: Amount, end: Amount) -> Decimal | None:
    """Ending over starting MRR, less one."""
    return quotient(end - start, start)


def quick_ratio(gains: Amount, losses: Amount) -> Decimal | None:
    """What was won over what was lost, both as magnitudes; None when nothing was lost."""
    return quotient(gains, losses)


def arpa(mrr: Amount, customers: int) -> Decimal | None:
    """MRR per paying customer, at 6 decimals, in the unit of `mrr`."""
    return quotient(mrr, customers)


def arr(mrr: Amount) -> Amount:
    """Twelve times the MRR, nothing else."""
    return 12 * mrr
