"""Money: minor units by Stripe's exponents, exact parsing, no mixed sums."""

import pytest

from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.core.money import (
    ISO_CURRENCIES,
    THREE_DECIMAL,
    ZERO_DECIMAL,
    minor_exponent,
    split_minor,
    sum_minor_by_currency,
    to_major,
    to_minor,
)


@pytest.mark.parametrize(
    ("text", "currency", "expected"),
    [
        ("12.34", "usd", 1234),
        ("980", "jpy", 980),
        ("7.450", "kwd", 7450),
        ("8", "isk", 800),
        ("5", "ugx", 500),
        ("12.3400", "usd", 1234),
        ("-0.01", "eur", -1),
        ("90071992547409.93", "usd", 9007199254740993),
    ],
)
def test_major_text_becomes_whole_minor_units_exactly(text, currency, expected):
    assert to_minor(text, currency) == expected


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("1.005", "usd"),
        ("0.5", "jpy"),
        ("abc", "usd"),
        ("NaN", "usd"),
        ("Infinity", "usd"),
        ("", "usd"),
    ],
)
def test_an_amount_the_currency_cannot_hold_is_an_error(text, currency):
    with pytest.raises(UnknownValueError, match="amount"):
        to_minor(text, currency)


@pytest.mark.parametrize("currency", ["USD", "xyz", "", "us", "btc"])
def test_a_code_outside_iso_4217_is_an_error_and_not_two_decimals(currency):
    with pytest.raises(UnknownValueError, match="ISO 4217"):
        minor_exponent(currency)


def test_exponents_follow_stripe_where_iso_differs():
    assert [minor_exponent(code) for code in ("isk", "ugx", "mga", "iqd", "lyd")] == [2, 2, 0, 2, 2]


def test_special_currencies_are_known_currencies():
    assert ZERO_DECIMAL | THREE_DECIMAL <= ISO_CURRENCIES
    assert not ZERO_DECIMAL & THREE_DECIMAL


def test_minor_units_return_to_the_same_major_amount():
    assert [str(to_major(1234, "usd")), str(to_major(980, "jpy")), str(to_major(7450, "kwd"))] == [
        "12.34",
        "980",
        "7.450",
    ]


def test_totals_keep_currencies_apart():
    assert sum_minor_by_currency([("usd", 100), ("eur", 5), ("usd", -30)]) == {"eur": 5, "usd": 70}
    assert sum_minor_by_currency([]) == {}


def test_parts_of_a_split_sum_to_the_whole_and_ties_go_to_the_smaller_key():
    assert split_minor(100, {"c": 1, "a": 1, "b": 1}) == {"a": 34, "b": 33, "c": 33}
    assert split_minor(-100, {"a": 1, "b": 1, "c": 1}) == {"a": -33, "b": -33, "c": -34}
    assert split_minor(7, {"a": 0, "b": 3}) == {"a": 0, "b": 7}


@pytest.mark.parametrize("weights", [{}, {"a": 0}, {"a": -1, "b": 2}])
def test_weights_that_say_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        split_minor(10, weights)
