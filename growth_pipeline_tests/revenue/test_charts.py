"""The page of published revenue: its table says what is published, its pictures draw it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from growth_pipeline.core.charts import render_png
from growth_pipeline.revenue.charts import describe_revenue, revenue_picture
from growth_pipeline.revenue.figures.sheet import PublishedFigure

AS_OF = datetime(2031, 5, 1, tzinfo=UTC)
# The contract's example in April, in minor units; March before it.
MONTHS = {
    date(2031, 3, 1): {"mrr": "20000", "customers": "5", "new_mrr": "20000"},
    date(2031, 4, 1): {
        **{"mrr": "19000", "customers": "5", "new_mrr": "3000", "reactivation_mrr": "1500"},
        **{"expansion_mrr": "3000", "contraction_mrr": "-3500", "churn_mrr": "-2000"},
        **{"paused_mrr": "-3000", "nrr": "0.725", "grr": "0.575"},
    },
}


def figure(metric, start, value, *, currency="usd", segment=None):
    number = None if value is None else Decimal(value)
    unit = "rate" if metric in ("nrr", "grr") else "minor"
    places = (metric, start, currency, "", segment, number, unit)
    return PublishedFigure(*places, None, None, "closed", None, 5, None, AS_OF, None)


class Store:
    """The contract's example, in one or several currencies, with two plans."""

    def __init__(self, currencies=("usd",)):
        self.currencies = currencies

    def drawn(self, policy, metrics, *, months, segment_by=""):
        if segment_by:
            return [
                figure("mrr", start, "9000", currency=name, segment=plan)
                for name in self.currencies
                for start in MONTHS
                for plan in ("Basic", "Pro", None)
            ]
        return [
            figure(metric, start, value, currency=name)
            for name in self.currencies
            for start, values in MONTHS.items()
            for metric, value in values.items()
            if metric in metrics
        ]


def drawn(spec, place):
    return spec["vconcat"][place]["data"]["values"]


def test_the_page_has_a_row_a_month_and_a_picture_a_currency():
    page = describe_revenue(Store(), "growth@1")
    assert "### USD" in page
    assert "| 2031-04 | USD 190.00 | 5 | 72.5 % | 57.5 % |" in page
    assert "| 2031-03 | USD 200.00 | 5 | unknown | unknown |" in page
    assert page.count("data:image/png;base64,") == 1


def test_of_many_currencies_the_three_with_most_customers_have_a_page():
    page = describe_revenue(Store(("usd", "eur", "gbp", "chf")), "growth@1")
    headings = [line for line in page.splitlines() if line.startswith("###")]
    assert headings == ["### CHF", "### EUR", "### GBP"]  # of equal ones the first by name


def test_losses_are_drawn_below_gains_and_money_in_major_units():
    store = Store()
    figures = store.drawn("growth@1", list(MONTHS[date(2031, 4, 1)]), months=24)
    plans = store.drawn("growth@1", ["mrr"], months=24, segment_by="plan")
    spec = revenue_picture(figures, plans, "usd")
    assert [row["value"] for row in drawn(spec, 0)] == [200, 190]
    april = {row["of"]: row["value"] for row in drawn(spec, 1) if row["month"] == "2031-04"}
    assert april["churn_mrr"] == -20
    assert sum(april.values()) == -10  # what moved it is the difference of both ends
    assert {row["of"] for row in drawn(spec, 2)} == {"Basic", "Pro", "(none)"}
    assert render_png(spec).startswith(b"\x89PNG")


def test_nothing_published_is_said():
    assert describe_revenue(Store(()), "growth@1") == "No month is over yet under `growth@1`."
