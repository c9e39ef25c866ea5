from __future__ import annotations

import json

from growth_pipeline.audit.charts import audit_picture, findings_chart, sides_chart
from growth_pipeline.audit.codes import CODES
from growth_pipeline.audit.totals import CurrencyTotals, Side
from growth_pipeline.core.charts import data_uri, render_png
from growth_pipeline_tests.audit.test_report import a_finding, an_audit

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
