"""Money in the sandbox: five currencies, what they settle in, what Stripe takes as its fee.

Amounts are whole minor units. Source: Stripe documentation, "Supported currencies".
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction


@dataclass(frozen=True)
class Currency:
    """How one currency behaves.

    `step`: charges are multiples of it (three-decimal currencies end in 0). `per_usd`: what list
    prices are multiplied by. `rate`: into the settlement currency, in major units.
    """

    exponent: int
    step: int
    per_usd: Fraction
    settles_in: str
    rate: Decimal | None = None


CURRENCIES = {
    "usd": Currency(2, 1, Fraction(1), "usd"),
    "eur": Currency(2, 1, Fraction(9, 10), "eur"),
    "gbp": Currency(2, 1, Fraction(8, 10), "gbp"),
    "jpy": Currency(0, 1, Fraction(150), "usd", Decimal("0.0067")),
    "kwd": Currency(3, 10, Fraction(3, 10), "usd", Decimal("3.25")),
}
# (share, fixed amount in minor units) by settlement currency.
FEES = {
    "usd": (Fraction(29, 1000), 30),
    "eur": (Fraction(15, 1000), 25),
    "gbp": (Fraction(15, 1000), 20),
}
DISPUTE_FEES = {"usd": 1500, "eur": 2000, "gbp": 2000}


def rounded(amount: Fraction, currency: str) -> int:
    """Minor units that Stripe would charge: the nearest multiple of the step, half to even."""
    step = CURRENCIES[currency].step
    return round(amount / step) * step


def list_price(usd_cents: int, currency: str) -> int:
    """A price in another currency, in its minor units."""
    rule = CURRENCIES[currency]
    return rounded(Fraction(usd_cents, 100) * rule.per_usd * 10**rule.exponent, currency)


def settle(amount: int, currency: str) -> tuple[int, str, Decimal | None]:
    """An amount in the currency that it is settled in: (amount, currency, exchange rate or None).

    The sign is kept; the rate is in major units, as in Stripe's `exchange_rate`.
    """
    rule = CURRENCIES[currency]
    target = CURRENCIES[rule.settles_in]
    if rule.rate is None:
        return amount, currency, None
    major = Decimal(amount).scaleb(-rule.exponent) * rule.rate
    return round(major.scaleb(target.exponent)), rule.settles_in, rule.rate


def fee_of(amount: int, settlement_currency: str) -> int:
    """Stripe's fee of a payment of this (settled) amount."""
    share, fixed = FEES[settlement_currency]
    return round(amount * share) + fixed
