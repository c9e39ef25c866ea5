from __future__ import annotations

from datetime import UTC, datetime

import pytest

from growth_pipeline.core.display import (
    format_instant,
    format_money,
    format_number,
    format_signed_money,
)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (123456, "usd", "USD 1,234.56"),
        (-150, "eur", "-EUR 1.50"),
        (0, "usd", "USD 0.00"),
        (980, "jpy", "JPY 980"),
        (7450, "kwd", "KWD 7.450"),
        (800, "isk", "ISK 8.00"),
        (150, "ugx", "UGX 1.50"),
        (1234567, "mga", "MGA 1,234,567"),
        (12345, "lyd", "LYD 123.45"),
        (9223372036854775807, "usd", "USD 92,233,720,368,547,758.07"),
    ],
)
def test_money_shows_stripes_decimals_and_not_the_locale_librarys(minor, currency, text):
    assert format_money(minor, currency) == text


def test_grouping_and_sign_follow_the_locale():
    assert format_money(-123456, "usd", locale="de") == "-1.234,56 USD"
    assert format_money(7450, "kwd", locale="de") == "7,450 KWD"


def test_an_unknown_currency_is_shown_in_minor_units_and_never_guessed():
    assert format_money(1234, "zzz") == "1,234 minor units of 'zzz'"
    assert format_money(1234, "USD") == "1,234 minor units of 'USD'"


def test_a_difference_has_a_sign_and_zero_has_none():
    assert [format_signed_money(minor, "usd") for minor in (500, 0, -500)] == [
        "+USD 5.00",
        "USD 0.00",
        "-USD 5.00",
    ]


def test_numbers_are_grouped():
    assert format_number(1234567) == "1,234,567"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("2026-11-22T18:42:12.625150+00:00", "2026-11-22 18:42:12 UTC"),
        ("2026-11-22T20:42:12+02:00", "2026-11-22 18:42:12 UTC"),
        (datetime(2026, 11, 22, tzinfo=UTC), "2026-11-22 00:00:00 UTC"),
        ("2026-11-22", "2026-11-22"),
        ("<b>", "<b>"),
        (None, ""),
    ],
)
def test_an_instant_is_written_in_utc_to_the_second(told, shown):
    assert format_instant(told) == shown
