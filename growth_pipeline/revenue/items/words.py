"""Words of an items file as terms: amounts, discounts, tiers. Pure.

Which columns hold them, and where a wrong one stands in the file, does not belong here.
Contract: docs/metrics.md, "Items of a file".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.money import ISO_CURRENCIES
from growth_pipeline.core.recurring import Discount, Tier
from growth_pipeline.revenue.normalise import exponent_of

DURATIONS: Final = ("forever", "repeating", "once")
_NUMBER: Final = re.compile(r"\d+(\.\d*)?|\.\d+", re.ASCII)
_BETWEEN: Final = re.compile(r"[;|+,]")
_TIER: Final = re.compile(r"(?P<up_to>\d+|inf):(?P<unit>[\d.]+)(?:\+(?P<flat>[\d.]+))?", re.ASCII)
_HINT: Final = (
    "write 20% or 12.00 off (12.00 usd), then perhaps forever, repeating or once, from DATE, "
    "until DATE, for product/product; several with ; between them"
)


def amount(text: str, currency: str) -> Fraction:
    """A price of one unit in minor units, exact; finer than a minor unit is allowed.

    Raises: UsageError for text that is no number from 0.
    Source: Stripe API reference, Price `unit_amount_decimal`.
    """
    if not _NUMBER.fullmatch(text):
        raise UsageError(f"amount {text!r} is not a number from 0", remedy="write it as in 12.50")
    scale: int = 10 ** exponent_of(currency)
    return Fraction(text) * scale


def whole(name: str, text: str, least: int) -> int:
    """A whole number.

    Raises: UsageError for anything else, and below `least`.
    """
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise UsageError(
            f"{name} {text!r} is not a whole number from {least}", remedy="write it as in 3"
        )
    return int(text)


def tiers(text: str, currency: str) -> tuple[Tier, ...]:
    """Tiers as `10:5.00;50:4.00+10.00;inf:3.00`: up to so many units, unit amount, flat amount.

    Raises: UsageError for another form, tiers out of order, or a last one with an end.
    """
    parts = [part.strip() for part in text.lower().split(";") if part.strip()]
    found = [_TIER.fullmatch(part) for part in parts]
    read = [
        Tier(
            None if one["up_to"] == "inf" else int(one["up_to"]),
            amount(one["unit"], currency),
            amount(one["flat"] or "0", currency),
        )
        for one in found
        if one is not None
    ]
    bounds = [one.up_to for one in read]
    limits = [0, *(bound for bound in bounds if bound is not None)]
    rising = all(low < high for low, high in pairwise(limits))
    if len(read) < len(parts) or not rising or bounds.count(None) != 1 or bounds[-1] is not None:
        raise UsageError(
            f"tiers {text!r} cannot be read",
            remedy="write them in order, as in 10:5.00;50:4.00+10.00;inf:3.00",
        )
    return tuple(read)


def discounts(text: str, currency: str, instant: Callable[[str], int]) -> tuple[Discount, ...]:
    """Discounts of one level in the order in which they stand; none for empty text.

    `instant`: text of a bound -> Unix seconds. Raises: UsageError for anything that is no discount.
    """
    parts = [part for part in _BETWEEN.split(text.strip()) if part.strip()]
    return tuple(_Words(part, currency, instant).read() for part in parts)


@dataclass
class _Words:
    """One discount, read word by word."""

    text: str
    currency: str
    instant: Callable[[str], int]

    def read(self) -> Discount:
        words = iter(re.sub(r"\s+%", "%", self.text.strip()).split())
        value = self._value(words)
        bounds: dict[str, int] = {}
        duration, products = "forever", None
        for word in words:
            match word.lower():
                case "forever" | "repeating" | "once":
                    duration = word.lower()
                case "from" | "until":
                    bounds[word.lower()] = self.instant(self._after(word, words))
                case "for":
                    products = frozenset(self._after(word, words).split("/"))
                case "off":
                    pass
                case _:
                    raise self._refusal()
        percent_off, amounts_off = value
        starts, ends = bounds.get("from"), bounds.get("until")
        return Discount(duration, percent_off, amounts_off, starts, ends, products)

    def _value(self, words: Iterator[str]) -> tuple[Fraction | None, dict[str, int]]:
        number = next(words)
        if number.endswith("%"):
            if not _NUMBER.fullmatch(number[:-1]) or Fraction(number[:-1]) > 100:  # noqa: PLR2004
                raise self._refusal()
            return Fraction(number[:-1]), {}
        told = next(words, "").lower()
        currency = self.currency if told == "off" else told
        is_known = told == "off" or told in ISO_CURRENCIES
        if not (is_known and _NUMBER.fullmatch(number)):
            raise self._refusal()
        minor = amount(number, currency)
        if minor.denominator != 1:
            raise UsageError(
                f"discount {self.text.strip()!r} has more decimals than its currency",
                remedy="write the amount in whole minor units",
            )
        return None, {currency: int(minor)}

    def _after(self, word: str, words: Iterator[str]) -> str:
        told = next(words, None)
        if told is None:
            raise self._refusal()
        return told

    def _refusal(self) -> UsageError:
        return UsageError(f"discount {self.text.strip()!r} cannot be read", remedy=_HINT)
