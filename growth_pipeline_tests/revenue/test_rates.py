"""Churn and its bases, worked by hand. Contract: docs/metrics.md, "MRR movements"."""

from __future__ import annotations

from decimal import Decimal

import pytest

from growth_pipeline.revenue.rates import Lost, arpa, arr, growth, logo_churn, quick_ratio


@pytest.mark.parametrize(
    ("denominator", "churn"),
    [
        ("start", "0.050000"),
        ("average", "0.047847"),
        ("start_plus_new", "0.052174"),
        ("end", "0.045872"),
    ],
)
def test_logo_churn_of_200_who_lose_10_and_2_of_30_new_ones(denominator, churn):
    lost = Lost(opening=200, closing=218, opening_left=10, entered=30, entered_left=2)
    assert logo_churn(lost, denominator) == Decimal(churn)


def test_rates_without_a_base_are_unknown():
    assert logo_churn(Lost(), "start") is None
    assert growth(0, 5) is None
    assert quick_ratio(5, 0) is None
    assert arpa(0, 0) is None


def test_arr_is_twelve_times_mrr():
    assert arr(19000) == 228000


def test_rates_are_rounded_half_to_even_at_the_sixth_decimal():
    assert arpa(1, 2_000_000) == Decimal("0.000000")
    assert arpa(3, 2_000_000) == Decimal("0.000002")
