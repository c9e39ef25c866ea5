"""How money and numbers look to people. The only place where they are turned into text.

Grouping and signs follow the locale; decimals follow Stripe's minor units, because a locale library
says 0 for ISK and UGX and would show a hundred times the money. Contract: docs/metrics.md, "Money".
"""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from babel import Locale
from babel.numbers import NumberPattern, format_decimal, parse_pattern

from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.core.money import minor_exponent, to_major

LOCALE = "en"


def format_money(amount_minor: int, currency: str, *, locale: str = LOCALE) -> str:
    """Money with its currency's code, as in "USD 1,234.56", "JPY 980" or "-KWD 7.450".

    Shapes: a code that is unknown gives the minor units and says so; nothing is guessed.
    Units: `amount_minor` in minor units of `currency`.
    """
    try:
        exponent = minor_exponent(currency)
    except UnknownValueError:
        return f"{format_number(amount_minor, locale=locale)} minor units of {currency!r}"
    pattern = _money_pattern(exponent, locale)
    value: Decimal = to_major(amount_minor, currency)
    text: str = pattern.apply(
        value, Locale.parse(locale), currency=currency.upper(), currency_digits=False
    )
    return text.replace("\xa0", " ")


def format_signed_money(amount_minor: int, currency: str, *, locale: str = LOCALE) -> str:
    """Money with a sign in front, "+USD 5.00"; 0 has none."""
    sign = "+" if amount_minor > 0 else ""
    return sign + format_money(amount_minor, currency, locale=locale)


def format_number(value: int, *, locale: str = LOCALE) -> str:
    """A whole number with the locale's grouping, "1,234"."""
    return format_decimal(value, locale=locale)


def format_instant(told: object) -> str:
    """An instant as "2026-11-22 18:42:12 UTC", from a datetime or its ISO text.

    Shapes: what is no instant with a zone comes back as its text; None is empty.
    """
    try:
        instant = told if isinstance(told, datetime) else datetime.fromisoformat(str(told))
    except ValueError:
        return "" if told is None else str(told)
    if instant.tzinfo is None:
        return str(told)
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


@lru_cache(maxsize=64)
def _money_pattern(exponent: int, locale: str) -> NumberPattern:
    """The locale's way to write money with a code, with the decimals we say."""
    standard = Locale.parse(locale).currency_formats["standard"]
    pattern = copy(parse_pattern(_with_code(standard.pattern)))
    pattern.frac_prec = (exponent, exponent)
    return pattern


def _with_code(pattern: str) -> str:
    """The pattern with the code instead of the sign, set apart by a space."""
    return ";".join(
        part.replace("¤", "¤¤\xa0").replace("\xa0 ", "\xa0").replace("\xa0\xa0", "\xa0").rstrip()
        if part.lstrip("-").startswith("¤")
        else part.replace("¤", "¤¤")
        for part in pattern.split(";")
    )
