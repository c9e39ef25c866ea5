"""Money is a whole number of minor units and a lower-case currency.

Exponents follow Stripe's rule, not ISO 4217 or a locale library.
Contract: docs/metrics.md, "Money".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation

from growth_pipeline.core.errors import UnknownValueError

# Source: Stripe documentation, "Supported currencies": zero-decimal and three-decimal currencies.
# ISK and UGX are two-decimal in the API although they have no minor unit.
ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())

# Active ISO 4217 codes with a minor-unit rule. A code outside is an error, not "2".
ISO_CURRENCIES = frozenset(
    (
        "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd btn "
        "bwp byn bzd cad cdf chf clp cny cop crc cup cve czk djf dkk dop dzd egp ern etb eur fjd "
        "fkp gbp gel ghs gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr iqd irr isk jmd jod jpy "
        "kes kgs khr kmf kpw krw kwd kyd kzt lak lbp lkr lrd lsl lyd mad mdl mga mkd mmk mnt mop "
        "mru mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar "
        "ron rsd rub rwf sar sbd scr sdg sek sgd shp sle sos srd ssp stn svc syp szl thb tjs tmt "
        "tnd top try ttd twd tzs uah ugx usd uyu uzs ved ves vnd vuv wst xaf xcd xcg xof xpf yer "
        "zar zmw zwg"
    ).split()
)


def minor_exponent(currency: str) -> int:
    """Decimals of a currency's minor unit at Stripe: 0, 2 or 3.

    Raises: UnknownValueError, not retryable, for a code outside ISO 4217 or not in lower case.
    Source: docs/metrics.md, "Money".
    """
    if currency not in ISO_CURRENCIES:
        raise UnknownValueError(
            f"currency {currency!r} is not a lower-case ISO 4217 code",
            remedy="correct the row's currency; it is never read as a two-decimal currency",
        )
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def to_minor(text: str, currency: str) -> int:
    """Major-unit text as whole minor units, exactly; "12.34" usd is 1234.

    Raises: UnknownValueError for text that is no decimal, and for more decimals than the
    currency has (beyond zeros). Units: minor units of `currency`.
    """
    exponent = minor_exponent(currency)
    try:
        scaled = Decimal(text).scaleb(exponent)
    except InvalidOperation as error:
        raise UnknownValueError(f"amount {text!r} is not a decimal number") from error
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise UnknownValueError(
            f"amount {text!r} has more decimals than {currency} allows ({exponent})",
            remedy="correct the amount; it is not rounded silently",
        )
    return int(scaled)


def to_major(amount_minor: int, currency: str) -> Decimal:
    """Whole minor units as an exact decimal of major units; 1234 usd is Decimal("12.34")."""
    return Decimal(amount_minor).scaleb(-minor_exponent(currency))


def sum_minor_by_currency(rows: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Totals of (currency, minor units) pairs; a mapping, because currencies never add up.

    Shapes: keys in alphabetical order; empty for no rows.
    """
    totals: Counter[str] = Counter()
    for currency, amount_minor in rows:
        totals[currency] += amount_minor
    return dict(sorted(totals.items()))


def split_minor(total_minor: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Parts of a rounded total by largest remainder (tie: smaller key first); they sum to it.

    Raises: ValueError for a weight below 0 or for weights that sum to 0.
    """
    weight_sum = sum(weights.values())
    if weight_sum <= 0 or min(weights.values()) < 0:
        raise ValueError("weights must be 0 or more and sum to more than 0")
    shares = {key: divmod(total_minor * weight, weight_sum) for key, weight in weights.items()}
    parts = {key: whole for key, (whole, _) in shares.items()}
    missing = total_minor - sum(parts.values())
    by_remainder = sorted(shares, key=lambda key: (-shares[key][1], key))
    for key in by_remainder[:missing]:
        parts[key] += 1
    return parts
