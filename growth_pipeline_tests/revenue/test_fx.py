"""Rates of days, conversion and the reporting currency, worked by hand and with random histories."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.revenue.fx import Rate, Rates, spread
from growth_pipeline.revenue.fx_files import GivenRate, read_rates
from growth_pipeline.revenue.reporting import (
    Converted,
    PeriodTold,
    Told,
    convert,
    figure_rows,
    movement_rows,
    start_of,
)

MARCH, APRIL = date(2031, 3, 1), date(2031, 4, 1)
MAR_31, APR_30 = date(2031, 3, 31), date(2031, 4, 30)
NOW = datetime(2031, 5, 2, tzinfo=UTC)
EURO = Rates("usd", [("eur", MAR_31, Decimal("1.10")), ("eur", APR_30, Decimal("1.05"))])
FLOWS = ("new", "reactivation", "resumed", "expansion", "contraction", "paused", "churn")


def told(start, end, *, parts=None, reason=None, **flows):
    values = {"mrr_start": start, "mrr": end, "contract_mrr": end, "scheduled_churn": 0}
    values |= {f"{name}_mrr": flows.get(name, 0) for name in FLOWS}
    return Told(values, parts or {}, {}, reason)


def april(*, customers=None, grain="month", **currencies):
    return PeriodTold(grain, APRIL, "closed", NOW, currencies, customers)


def figures(period, rates):
    names = ("metric", *(None,) * 4, "value", "unit", "above", "below", "state", "reason", *"?")
    rows = [dict(zip(names, row[:11], strict=False)) for row in figure_rows(period, "p@1", rates)]
    return {row["metric"]: (row["value"], row["reason"]) for row in rows}


def test_the_case_of_the_contract():
    """100.00 EUR at 1.10 -> 120.00 EUR at 1.05: 110.00, fx -5.00, expansion +21.00, 126.00."""
    found = convert(told(10_000, 12_000, expansion=2_000), "eur", april(), EURO)
    assert isinstance(found, Converted)
    assert (found.start, found.flows["fx"], found.flows["expansion"], found.end) == (
        *(11_000, -500, 2_100, 12_600),
    )


def test_currencies_are_added_only_when_each_has_a_rate():
    period = april(eur=told(10_000, 12_000, expansion=2_000), usd=told(5_000, 5_000), customers=4)
    found = figures(period, EURO)
    assert found["mrr"] == (17_600, None)
    assert found["arr"] == (211_200, None)
    assert found["fx_mrr"] == (-500, None)
    assert found["net_new_mrr"] == (1_600, None)
    assert found["arpa"] == (Decimal("4400.000000"), None)
    assert found["quick_ratio"] == (None, "no_base")
    missing = april(eur=told(10_000, 12_000, new=2_000), gbp=told(0, 100, new=100))
    assert figures(missing, EURO)["mrr"] == (None, "no_rate")
    nothing = april(eur=told(10_000, 12_000, new=2_000), gbp=told(0, 0))
    assert figures(nothing, EURO)["mrr"] == (12_600, None)


def test_nrr_is_at_the_rate_of_the_opening_at_both_ends():
    both = {"nrr": (Decimal(12_000), Decimal(10_000)), "nrr_3": (Decimal(1), Decimal(1))}
    halved = {"nrr": (Decimal(4_500), Decimal(9_000)), "nrr_3": (Decimal(1), Decimal(1))}
    period = april(
        eur=told(10_000, 12_000, expansion=2_000, parts=both),
        usd=told(9_000, 4_500, contraction=-4_500, parts=halved),
    )
    # (120 x 1.10 + 45) / (100 x 1.10 + 90); three months ago nobody told a rate.
    found = figures(period, EURO)
    assert found["nrr"] == (Decimal("0.885000"), None)
    assert found["nrr_3"] == (None, "no_rate")


def test_a_period_that_is_open_or_unknown_says_so_and_no_number():
    unknown = told(None, None, reason="unknown_price")
    period = april(eur=unknown, usd=told(1, 1))
    assert figures(period, EURO)["mrr"] == (None, "unknown_price")
    rows = {(row[3], row[5]): row[6] for row in movement_rows(period, "p@1", EURO)}
    assert rows["eur", "new"] is None
    assert rows["usd", "fx"] == 0


def test_a_rate_over_three_months_says_why_it_is_unknown_in_a_known_month():
    """A price was unknown two months ago: this month's MRR is known, NRR over three is not."""
    parts = {"nrr": (Decimal(100), Decimal(100)), "nrr_3": (None, None)}
    values = told(100, 100).values
    month = april(usd=Told(values, parts, {}, None, {"nrr_3": "unknown_price"}), customers=1)
    found = figures(month, EURO)
    assert found["nrr"] == (Decimal(1), None)
    assert found["nrr_3"] == (None, "unknown_price")


@pytest.mark.parametrize("grain", ["day", "week", "month"])
def test_no_figure_of_a_period_is_null_without_a_reason(grain):
    for customers in (None, 3):
        found = figures(april(usd=told(100, 100), grain=grain, customers=customers), EURO)
        assert [name for name, (value, why) in found.items() if value is None and not why] == []
    assert ("customers" in found) is (grain == "month")


def test_customers_of_the_end_are_told_only_of_what_rests_on_them():
    rows = figure_rows(april(usd=told(100, 100), customers=3), "p@1", EURO)
    sizes = {row[0]: row[11] for row in rows}
    assert (sizes["mrr"], sizes["arpa"], sizes["customers"]) == (3, 3, 3)
    assert (sizes["mrr_start"], sizes["churn_mrr"], sizes["growth"]) == (None, None, None)


def test_minor_units_follow_the_currencies():
    rates = Rates("usd", [("jpy", APR_30, Decimal("0.007")), ("kwd", APR_30, Decimal("3.25"))])
    one = Rate(Fraction(7, 1000), APR_30)
    assert rates.converted(5_000, "jpy", one) == 3_500
    assert rates.converted(7_450, "kwd", Rate(Fraction(13, 4), APR_30)) == Fraction("2421.25")


def test_a_missing_day_is_missing_unless_an_older_rate_is_allowed_and_named():
    rows = [("eur", date(2031, 4, 27), Decimal("1.2"))]
    assert Rates("usd", rows).at("eur", APR_30) is None
    assert Rates("usd", rows, max_age_days=2).at("eur", APR_30) is None
    assert Rates("usd", rows, max_age_days=3).at("eur", APR_30) == Rate(
        Fraction(6, 5), date(2031, 4, 27)
    )
    assert Rates("usd", rows, max_age_days=9).at("eur", date(2031, 4, 26)) is None
    assert Rates("usd", []).at("usd", APR_30) == Rate(Fraction(1), APR_30)


@pytest.mark.parametrize(
    ("grain", "ahead", "expected"),
    [
        ("month", 1, date(2031, 5, 1)),
        ("month", -4, date(2030, 12, 1)),
        ("quarter", 1, date(2031, 7, 1)),
        ("year", -1, date(2030, 4, 1)),
        ("week", 1, date(2031, 4, 8)),
        ("day", -1, date(2031, 3, 31)),
    ],
)
def test_periods_before_and_after(grain, ahead, expected):
    assert start_of(APRIL, grain, ahead) == expected


def test_whole_parts_always_sum_and_nothing_stays_nothing(seed):
    random_ = random.Random(seed)
    for _ in range(500):
        parts = [
            random_.choice([Fraction(0), Fraction(random_.randrange(-9_999, 9_999), 97)])
            for _ in range(8)
        ]
        total = round(sum(parts)) + (random_.randrange(-1, 2) if any(parts) else 0)
        whole = spread(total, parts)
        assert sum(whole) == total
        assert all(not one for one, part in zip(whole, parts, strict=True) if not part)
        assert all(abs(one - part) <= 2 for one, part in zip(whole, parts, strict=True))


def test_any_months_in_a_row_add_up_and_each_ends_where_the_next_begins(seed):
    random_ = random.Random(seed)
    days = [start_of(MARCH, "month", ahead) for ahead in range(12)]
    closings = {start_of(day, "month", 1) - (date(2, 1, 2) - date(2, 1, 1)) for day in days}
    closings |= {date(2031, 2, 28)}
    rates = Rates(
        "usd", [("eur", on, Decimal(random_.randrange(1, 30_000)) / 9_973) for on in closings]
    )
    mrr, last = random_.randrange(100_000), None
    for day in days:
        flows = {name: random_.randrange(5_000) for name in FLOWS[:4]}
        flows |= {name: -random_.randrange(mrr // 8 + 1) for name in FLOWS[4:]}
        end = mrr + sum(flows.values())
        period = PeriodTold("month", day, "closed", NOW, {"eur": told(mrr, end, **flows)})
        found = convert(told(mrr, end, **flows), "eur", period, rates)
        assert isinstance(found, Converted)
        assert found.start + sum(found.flows.values()) == found.end
        assert last is None or found.start == last
        mrr, last = end, found.end


# --- files ---------------------------------------------------------------------------------------


def test_a_file_names_days_currencies_and_rates(tmp_path):
    file = tmp_path / "rates.csv"
    file.write_text(
        "Date,currency,rate,reporting_currency\n2031-04-30,EUR,1.05,\n2031-04-30,gbp,1.9,eur\n"
        "2031-04-30,EUR,1.05,usd\n"
    )
    assert read_rates(file, into="usd") == [
        GivenRate("eur", "usd", APR_30, Decimal("1.05")),
        GivenRate("gbp", "eur", APR_30, Decimal("1.9")),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("date,currency\n", "no column 'rate'"),
        ("date,currency,rate\n", "has no rows"),
        ("date,currency,rate\n2031-04-30,eur,0\n", "line 2: rate '0' is no number above 0"),
        ("date,currency,rate\n2031-04-30,eur,NaN\n", "line 2: rate 'NaN' is no number above 0"),
        ("date,currency,rate\n2031-04-30,eur,1.1x\n", "line 2: rate '1.1x' is no number"),
        ("date,currency,rate\n2031-04-30,eur,1_0.5\n", "line 2: rate '1_0.5' is no number"),
        ("date,currency,rate\n2031-04-30,eur,1E400\n", "is no rate of two currencies"),
        ("date,currency,rate\n2031-04-30,eur,1e-400\n", "is no rate of two currencies"),
        ("date,currency,rate\n30.4.2031,eur,1\n", "line 2: '30.4.2031' is no day"),
        ("date,currency,rate\n2031-04-30,xyz,1\n", "line 2: 'xyz' is no currency of ISO 4217"),
        ("date,currency,rate\n2031-04-30,usd,1\n", "line 2: usd is the reporting currency"),
        (
            "date,currency,rate\n2031-04-30,eur,1\n2031-04-30,eur,2\n",
            "line 3: eur has two rates on 2031-04-30: 1, 2",
        ),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_line(tmp_path, text, said):
    file = tmp_path / "rates.csv"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_rates(file, into="usd")
    assert said in caught.value.message


def test_a_file_without_a_reporting_currency_asks_for_one(tmp_path):
    file = tmp_path / "rates.csv"
    file.write_text("date,currency,rate\n2031-04-30,eur,1\n")
    with pytest.raises(UsageError, match="into which currency"):
        read_rates(file, into=None)
    with pytest.raises(UsageError, match="cannot be read"):
        read_rates(tmp_path / "absent.csv", into="usd")
