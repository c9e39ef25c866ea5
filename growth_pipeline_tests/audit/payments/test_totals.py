from __future__ import annotations

from growth_pipeline.audit.codes import Severity
from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.payments.totals import CurrencyTotals, Ledger, Side
from growth_pipeline_tests.audit.payments.test_compare import a_payment, a_row


def test_net_is_gross_less_refunds_and_disputed_funds():
    assert (
        Side(count=2, gross_minor=5800, refunded_minor=1000, disputed_minor=300).net_minor == 4500
    )


def test_the_bridge_is_booked_less_stripe_less_findings_less_cut_off():
    totals = CurrencyTotals(
        stripe=Side(gross_minor=6000, refunded_minor=1500),
        booked=Side(gross_minor=8500),
        explained=3000,
        cut_off=900,
    )
    assert totals.difference == 4000
    assert totals.remainder == 100


def test_totals_survive_being_stored():
    totals = CurrencyTotals(
        stripe=Side(1, 2, 3, 4, 5), booked=Side(6, 7, 8, 9, 10), explained=11, cut_off=12, moved=13
    )
    assert CurrencyTotals.from_dict(totals.to_dict()) == totals


def test_only_settled_money_is_counted_in_or_out():
    ledger = Ledger()
    ledger.add_payment(a_payment(refunded_minor=1000), +1)
    ledger.add_payment(a_payment(status="failed", paid=False), +1)
    ledger.add_payment(None, +1)
    ledger.add_row(a_row(disputed_minor=500), +1)
    ledger.add_row(a_row(status="pending"), +1)
    usd = ledger.totals()["usd"]
    assert usd.stripe == Side(count=1, gross_minor=4000, refunded_minor=1000)
    assert usd.booked == Side(count=1, gross_minor=4000, disputed_minor=500)
    ledger.add_payment(a_payment(refunded_minor=1000), -1)
    assert ledger.totals()["usd"].stripe == Side()


def test_only_findings_about_payments_explain_the_difference():
    ledger = Ledger()
    ledger.explain(
        [
            Finding(
                "currency_mismatch",
                Severity.HIGH,
                "charge",
                "ch_1",
                "usd",
                {"usd": 500, "eur": -500},
            ),
            Finding("fee_mismatch", Severity.MEDIUM, "charge", "ch_2", "usd", {"usd": 30}),
            Finding("source_incomplete", Severity.HIGH, "source", "stripe/refunds", None, None),
        ]
    )
    assert {currency: one.explained for currency, one in ledger.totals().items()} == {
        "eur": -500,
        "usd": 500,
    }


def test_sums_of_whole_tables_add_up_by_currency():
    ledger = Ledger()
    ledger.add_sums(
        "stripe", [{"currency": "usd", "count": 2, "gross_minor": 700, "refunded_minor": None}]
    )
    ledger.add_sums("stripe", [{"currency": "usd", "fees_minor": 21}])
    assert ledger.totals()["usd"].stripe == Side(count=2, gross_minor=700, fees_minor=21)
