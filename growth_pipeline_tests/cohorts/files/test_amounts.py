"""Amounts are exact: whole minor units, or decimals without a currency."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_EVEN, Decimal

import pytest

from growth_pipeline.core.errors import GrowthError, UsageError
from growth_pipeline.storage.files.rows import Reading
from growth_pipeline_tests.cohorts.files.reading import NOON, activity_of, read, refused


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("12.34", "USD", 1234),
        ("980", "jpy", 980),
        ("7.450", "kwd", 7450),
        ("8", "isk", 800),
        ("1.500000", "eur", 150),
        ("-.5", "eur", -50),
        ("+1.", "eur", 100),
        ("0", "eur", 0),
        ("000012.30", " eur ", 1230),
        ("92233720368547758.07", "usd", 9223372036854775807),
    ],
)
def test_an_amount_is_whole_minor_units_of_its_currency(engine, tmp_path, amount, currency, minor):
    found = read(engine, activity_of(tmp_path, f"a,{NOON},{amount},{currency}"))

    assert found.money == [("a", "2031-01-05", currency.strip().lower(), minor)]


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [
        ("1.005", "usd", "revenue '1.005' has more decimals than usd allows (2)"),
        ("980.5", "jpy", "revenue '980.5' has more decimals than jpy allows (0)"),
        ("1.005", "xyz", "currency 'xyz' is not an ISO 4217 code"),
        ('"1,005.00"', "usd", "revenue '1,005.00' is not a decimal number"),
        ("$5", "usd", "revenue '$5' is not a decimal number"),
        ("1e3", "usd", "revenue '1e3' is not a decimal number"),
        (".", "usd", "revenue '.' is not a decimal number"),
        ("92233720368547758.08", "usd", "revenue '92233720368547758.08' is too large"),
        ("0.1234567890123456789", "", "revenue '0.1234567890123456789' has more decimals than"),
        ("123456789012345678901", "", "revenue '123456789012345678901' is too large"),
        ("5", "", "a revenue without currency, while other rows have one"),
    ],
)
def test_a_wrong_amount_is_refused_with_line_and_value(engine, tmp_path, amount, currency, said):
    lines = [f"a,{NOON},1.00,usd"] if currency or amount == "5" else []

    error = refused(engine, activity_of(tmp_path, *lines, f"a,{NOON},{amount},{currency}"))

    assert f"line {len(lines) + 2}: {said}" in error.message


def test_amounts_are_rounded_row_by_row_only_when_asked(engine, tmp_path, seed):
    rng = random.Random(seed)
    exponents = {"usd": 2, "jpy": 0, "kwd": 3, "isk": 2}
    rows = []
    for n in range(400):
        places = rng.randrange(7)
        digits = f"{rng.randrange(10 ** rng.randrange(1, 9)):0{places + 1}}"
        text = f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}".rstrip(".")
        if rng.random() < 0.4:  # ties are rare by chance
            text = f"{rng.randrange(50)}.{rng.choice(['5', '005', '0005', '125', '0150', '995'])}"
        rows.append((f"u{n}", rng.choice(["", "-"]) + text, rng.choice(sorted(exponents))))
    lines = [f"{user},{NOON},{amount},{currency}" for user, amount, currency in rows]

    found = read(engine, activity_of(tmp_path, *lines), reading=Reading(rounding="half-even"))

    expected = {
        user: int(Decimal(amount).scaleb(exponents[currency]).to_integral_value(ROUND_HALF_EVEN))
        for user, amount, currency in rows
    }
    assert {row[0]: row[-1] for row in found.money} == expected


def test_without_any_currency_amounts_are_exact_decimals(engine, tmp_path):
    activity = activity_of(
        tmp_path,
        f"a,{NOON},0.1",
        f"a,{NOON},0.2",
        f"a,{NOON},-0.000000000000000001",
        head="user_id,occurred_at,revenue",
    )

    assert read(engine, activity).money == [
        ("a", "2031-01-05", None, Decimal("0.299999999999999999"))
    ]


def test_a_currency_of_the_command_fills_empty_fields(engine, tmp_path):
    activity = activity_of(tmp_path, f"a,{NOON},5,", f"a,{NOON},5,jpy")

    found = read(engine, activity, reading=Reading(currency="EUR"))

    assert [row[2:] for row in found.money] == [("eur", 500), ("jpy", 5)]


def test_gross_leaves_refunds_out_and_events_say_nothing_about_money(engine, tmp_path):
    activity = activity_of(
        tmp_path,
        *(f"a,{NOON},10.00,usd,pay", f"a,{NOON},-4.00,usd,refund", f"a,{NOON},,,open"),
        head="user_id,occurred_at,revenue,currency,event",
    )

    assert read(engine, activity, events=("open",)).money[0][-1] == 600
    assert read(engine, activity, money="gross").money[0][-1] == 1000
    assert read(engine, activity, events=("open",)).activity == [("a", "2031-01-05", 1)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"currency": "bitcoin"}, "currency 'bitcoin' is not"),
        ({"rounding": "up"}, "cannot be rounded 'up'"),
        ({"tz": "Europe/Atlantis"}, "'Europe/Atlantis' is not a time zone"),
    ],
)
def test_a_wrong_way_to_read_is_refused(words, said):
    with pytest.raises(UsageError, match=said):
        Reading(**words)


def test_a_sum_beyond_64_bits_is_refused_and_never_a_float(engine, tmp_path):
    line = f"a,{NOON},92233720368547758.07,usd"

    with pytest.raises(GrowthError, match="engine refuses"):
        read(engine, activity_of(tmp_path, line, line))
