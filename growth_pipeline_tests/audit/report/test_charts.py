from __future__ import annotations

import json

from growth_pipeline.audit.codes import CODES, Severity
from growth_pipeline.audit.payments.totals import CurrencyTotals, Side
from growth_pipeline.audit.report.charts import (
    addresses,
    audit_picture,
    drawings,
    findings_chart,
    sides_chart,
    trend_chart,
)
from growth_pipeline.audit.report.summary import TrendPoint
from growth_pipeline.core.charts import data_uri, render_png
from growth_pipeline.core.periods import PeriodState
from growth_pipeline_tests.audit.company import AS_OF
from growth_pipeline_tests.audit.report.test_write import a_finding, an_audit

CURRENCIES = "usd eur gbp jpy kwd isk sek nok".split()


def values(spec):
    return spec["data"]["values"]


def test_findings_are_drawn_by_class_in_table_order():
    findings = [
        a_finding("refund_missing"),
        a_finding("missing_in_db"),
        a_finding("refund_missing"),
    ]
    rows = values(findings_chart(an_audit(*findings)))
    assert [(row["class"], row["findings"], row["label"]) for row in rows] == [
        ("missing_in_db", 1, "1 HIGH"),
        ("refund_missing", 2, "2 HIGH"),
    ]


def test_a_class_is_drawn_with_the_severities_of_its_findings():
    findings = [
        a_finding("event_gap", severity=Severity.HIGH),
        a_finding("event_gap", "evt_2", severity=Severity.MEDIUM),
    ]
    ((row),) = values(findings_chart(an_audit(*findings)))
    assert (row["severity"], row["label"]) == ("HIGH", "1 HIGH, 1 MEDIUM")


def test_both_sides_are_drawn_as_parts_of_the_larger_one_with_their_money():
    rows = values(sides_chart(an_audit()))
    assert [(row["side"], row["label"]) for row in rows] == [
        ("USD Stripe", "USD 45.00"),
        ("USD books", "USD 85.00"),
    ]
    assert [round(row["part"], 4) for row in rows] == [0.5294, 1.0]


def test_only_the_currencies_with_the_most_payments_are_drawn():
    totals = {
        c: CurrencyTotals(stripe=Side(count=n, gross_minor=n)) for n, c in enumerate(CURRENCIES)
    }
    sides = [row["side"] for row in values(sides_chart(an_audit(totals=totals)))]
    assert sides[:2] == ["NOK Stripe", "NOK books"]
    assert len(sides) == 12


def test_the_largest_picture_fits_into_an_event_log():
    findings = [a_finding(code, impacts={}) for code in CODES]
    totals = {
        c: CurrencyTotals(stripe=Side(count=9, gross_minor=10**9), booked=Side(9, 10**9))
        for c in CURRENCIES
    }
    png = render_png(audit_picture(an_audit(*findings, totals=totals)))
    assert len(png) < 100_000
    assert data_uri(png)


def test_an_audit_without_findings_or_totals_can_be_drawn():
    assert render_png(audit_picture(an_audit())).startswith(b"\x89PNG")
    spec = audit_picture(an_audit(totals={}))
    assert "Revenue audit: FAIL" in json.dumps(spec)
    assert render_png(spec).startswith(b"\x89PNG")


def a_point(month: str, state=PeriodState.CLOSED, **severities) -> TrendPoint:
    return TrendPoint(month, state, "FAIL", severities, {}, AS_OF)


def test_the_trend_has_a_column_a_month_made_of_severities_with_the_verdict_on_top():
    points = [a_point("2025-10", HIGH=2, LOW=1), a_point("2025-11", PeriodState.OPEN, MEDIUM=1)]
    rows = values(trend_chart(points))
    assert [
        (row["month"], row["severity"], row["findings"], row["open"])
        for row in rows
        if "severity" in row
    ] == [
        ("2025-10", "HIGH", 2, False),
        ("2025-10", "MEDIUM", 0, False),
        ("2025-10", "LOW", 1, False),
        ("2025-11", "HIGH", 0, True),
        ("2025-11", "MEDIUM", 1, True),
        ("2025-11", "LOW", 0, True),
    ]
    tops = [(row["month"], row["label"], row["findings"]) for row in rows if "label" in row]
    assert tops == [("2025-10", "FAIL", 3), ("2025-11", "FAIL*", 1)]


def test_a_full_trend_fits_into_an_event_log_and_no_unit_of_time_is_local():
    points = [a_point(f"2025-{month:02}", HIGH=month * 1000, LOW=month) for month in range(1, 13)]
    pictures = addresses(an_audit(a_finding()), points)
    assert pictures.trend.address.startswith("data:image/png;base64,")
    assert "12 months" in pictures.trend.alt
    assert "timeUnit" not in json.dumps(trend_chart(points))


def test_drawings_come_for_light_and_dark_pages_and_are_the_same_each_time():
    audit, points = an_audit(a_finding()), [a_point("2025-10", HIGH=1)]
    drawn = drawings(audit, points)
    assert drawn == drawings(audit, points)
    for picture in (drawn.overview, drawn.trend):
        assert picture.svg.startswith("<svg")
        assert picture.svg != picture.dark_svg
        assert "<script" not in picture.svg


def test_without_anything_to_draw_there_is_no_picture():
    drawn = drawings(an_audit(totals={}), [])
    assert (drawn.overview, drawn.trend) == (None, None)
