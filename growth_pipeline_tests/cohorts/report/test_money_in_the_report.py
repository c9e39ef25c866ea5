"""Money in the cohort report: by currency, per customer, and nothing of what is not known."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime

import polars as pl
import pytest

from growth_pipeline.cohorts.definition import RetentionDefinition
from growth_pipeline.cohorts.refresh.published import Restatement
from growth_pipeline.cohorts.report.charts import drawings
from growth_pipeline.cohorts.report.money import money_averages, money_curves
from growth_pipeline.cohorts.report.page import to_html, to_markdown
from growth_pipeline.cohorts.report.write import Told
from growth_pipeline.cohorts.retention.measure import RetentionFacts, measure_retention
from growth_pipeline.storage.engine import Engine

AS_OF = datetime(2031, 1, 27, tzinfo=UTC)  # a Monday
EPOCH = date(1970, 1, 1)


def _day(day):
    return (date(2031, 1, day) - EPOCH).days


def _answer(tmp_path, payments):
    """Cohorts of 40 and 12 in the weeks of 6 and 13 January, and of 3 in that of the 20th."""
    entries = [6] * 40 + [13] * 12 + [20] * 3
    facts = RetentionFacts(
        pl.DataFrame(
            [(number, _day(day), None) for number, day in enumerate(entries)],
            schema={"user_number": pl.Int32, "entry_day": pl.Int32, "segment": pl.String},
            orient="row",
        ),
        pl.DataFrame(schema={"user_number": pl.Int32, "day": pl.Int32, "events": pl.Int64}),
        payments,
    )
    definition = RetentionDefinition(as_of=AS_OF, grain="week", max_period=2)
    return measure_retention(Engine("256MiB", 1, tmp_path), facts, definition)


@pytest.fixture
def answer(tmp_path):
    """User 0 pays USD 40.00 in W0 and 20.00 in W1; user 41 JPY 2,400 and user 53 USD 9.00 in W0."""
    rows = [
        (0, _day(7), "usd", 4000),
        (0, _day(14), "usd", 2000),
        (41, _day(15), "jpy", 2400),
        (53, _day(21), "usd", 900),
    ]
    schema = {
        "user_number": pl.Int32,
        "day": pl.Int32,
        "currency": pl.String,
        "minor": pl.Int64,
    }
    return _answer(tmp_path, pl.DataFrame(rows, schema=schema, orient="row"))


def _rows(said, start):
    return [
        [part.strip().replace("\\", "") for part in line.strip("|").split("|")]
        for line in said.splitlines()
        if line.startswith(f"| {start}")
    ]


def test_money_is_pooled_over_all_customers_of_closed_cells_and_never_over_currencies(answer):
    found = {
        (one.currency, one.period_index): (one.customers, one.cohorts, one.cumulative_revenue_minor)
        for one in money_averages(answer)
    }
    assert found == {
        ("jpy", 0): (55, 3, 2400),
        ("jpy", 1): (52, 2, 2400),
        ("jpy", 2): (40, 1, 0),
        ("usd", 0): (55, 3, 4900),
        ("usd", 1): (52, 2, 6000),
        ("usd", 2): (40, 1, 6000),
    }
    each = {
        (one.currency, one.period_index): one.cumulative_per_customer_minor
        for one in money_averages(answer)
    }
    assert each["usd", 1] == 115  # 6000 / 52 = 115.38
    assert each["jpy", 0] == 44  # 2400 / 55 = 43.6


def test_each_currency_has_a_grid_with_churn_and_people_are_listed_once(answer):
    said = to_markdown([answer])
    first, of_usd = _rows(said, "2031-01-06")
    assert first[:2] == ["2031-01-06", "40"]
    # Of those who paid in W0 nobody paid in W2: all of them and of their money is gone.
    assert of_usd == ["2031-01-06", "40", "100.0 %, 100.0 %", "1.00", "1.50", "1.50"]
    assert _rows(said, "2031-01-13")[1] == [
        "2031-01-13",
        "12",
        "100.0 %, 100.0 %",
        "200",
        "200",
        "",
    ]
    assert "USD 1.15" in said


def test_money_of_fewer_than_five_is_not_said(answer):
    of_three = _rows(to_markdown([answer]), "2031-01-20")[1]
    assert of_three == ["2031-01-20", "under 5", "", "few", "", ""]


def test_unknown_payments_are_said_to_be_unknown_and_draw_nothing(tmp_path):
    answer = _answer(tmp_path, None)
    assert money_averages(answer) == money_curves(answer) == []
    assert "What these cohorts paid is unknown" in to_markdown([answer])


def test_the_page_draws_a_curve_for_each_currency(answer):
    assert len(money_curves(answer)) == 2
    assert "svg+xml" in to_html([answer], pictures=drawings([answer]))


def test_json_has_money_of_cells_and_its_averages(answer):
    document = json.loads(Told([answer], []).face("json"))["week"]
    assert [one["currency"] for one in document["money_averages"]] == ["jpy"] * 3 + ["usd"] * 3
    (cell,) = [
        one
        for one in document["cells"]
        if (one["cohort_start"], one["period_index"]) == ("2031-01-06", 1)
    ]
    assert (cell["revenue_minor"], cell["cumulative_revenue_minor"]) == (2000, 6000)


def test_a_changed_sum_is_told_with_both_amounts(answer):
    change = Restatement(
        **dict.fromkeys(("through", "cohort_start"), date(2031, 1, 6)),
        **dict.fromkeys(("size_before", "size_now"), 40),
        **dict.fromkeys(("users_before", "users_now", "rate_before", "rate_now"), None),
        period_index=1,
        currency="usd",
        cumulative_before=6000,
        cumulative_now=5500,
    )
    assert "USD 60.00 → USD 55.00" in to_markdown([answer], restatements=[("week", change)])
    tiny = replace(change, size_now=4)
    assert "USD 55.00" not in to_markdown([answer], restatements=[("week", tiny)])
