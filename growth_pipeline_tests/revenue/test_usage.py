"""The usage run rate, by hand."""

from datetime import date

import pytest

from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.revenue.policies import PRESETS
from growth_pipeline.revenue.usage import MeteredItem, UsageRunRate, usage_run_rate

APRIL, MAY = date(2031, 4, 1), date(2031, 5, 1)
GROWTH = PRESETS["growth"]


def test_last_bills_of_all_items_are_summed_by_month_and_currency():
    items = [
        MeteredItem(APRIL, "usd", "month", 1, 1250),
        MeteredItem(APRIL, "usd", "year", 1, 120_000),
        MeteredItem(APRIL, "usd", "week", 2, 300),  # 3.00 x 52/12 / 2 = 6.50
        MeteredItem(APRIL, "jpy", "month", 3, 900),
        MeteredItem(MAY, "usd", "month", 1, -50),  # a credit is no usage
    ]
    assert usage_run_rate(items, GROWTH) == [
        UsageRunRate(APRIL, "jpy", 300, 1),
        UsageRunRate(APRIL, "usd", 1250 + 10_000 + 650, 3),
        UsageRunRate(MAY, "usd", 0, 1),
    ]


def test_an_item_that_was_never_billed_makes_the_sum_unknown():
    items = [MeteredItem(APRIL, "usd", "month", 1, None), MeteredItem(APRIL, "usd", "month", 1, 5)]
    assert usage_run_rate(items, GROWTH) == [UsageRunRate(APRIL, "usd", None, 2)]


def test_an_unknown_interval_is_an_error():
    with pytest.raises(UnknownValueError):
        usage_run_rate([MeteredItem(APRIL, "usd", "fortnight", 1, 5)], GROWTH)
