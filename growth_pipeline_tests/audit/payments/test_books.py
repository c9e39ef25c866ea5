"""Booked rows as files: what they hold, what they are matched by, and that they go away."""

from __future__ import annotations

import polars as pl
import pytest

from growth_pipeline.audit.payments.books import spool_books
from growth_pipeline.audit.payments.matching import Matcher
from growth_pipeline.audit.sources import read_sources
from growth_pipeline.audit.window import Window
from growth_pipeline.core.errors import GrowthError
from growth_pipeline_tests.audit.company import AS_OF, LIVE, NOON, OCTOBER, SEPTEMBER, epoch, found

ONLY = {"charge_id": None, "payment_intent_id": None}


def paid_invoice(company, number, amount, *payments):
    """An invoice of several payments, pairs of (invoice payment, payment intent)."""
    company.other(
        "invoices", id=f"in_{number}", status="paid", currency="usd", customer="cus_1",
        total=amount, amount_paid=amount,
    )  # fmt: skip
    for payment, intent in payments:
        company.other(
            "invoice_payments", id=payment, invoice=f"in_{number}", payment_intent=intent,
            status="paid", currency="usd", amount_paid=amount // len(payments),
        )  # fmt: skip


def test_a_row_of_an_invoice_payment_is_matched_to_its_charge(company):
    """One invoice paid in two parts: each row names only the part that it stands for."""
    company.charge(1, 500)
    company.charge(2, 500)
    paid_invoice(company, 1, 1000, ("inpay_1", "pi_1"), ("inpay_2", "pi_2"))
    for number in (1, 2):
        part = {**ONLY, "invoice_payment_id": f"inpay_{number}", "invoice_id": "in_1"}
        company.row(number, amount_minor=500, **part)
    assert found(company.audit()) == []


def test_an_invoice_payment_booked_twice_is_a_duplicate(company):
    company.charge(1, 500)
    paid_invoice(company, 1, 500, ("inpay_1", "pi_1"))
    company.row(1, amount_minor=500)
    company.row(2, amount_minor=500, **ONLY, invoice_payment_id="inpay_1", written_by="hand")
    assert found(company.audit()) == [("duplicate_row", "ch_1", {"usd": 500})]


def test_an_invoice_leads_to_its_charge_by_its_only_invoice_payment(company):
    company.charge(1, 500)
    paid_invoice(company, 1, 500, ("inpay_1", "pi_1"))
    company.row(1, amount_minor=450, **ONLY, invoice_id="in_1")
    assert found(company.audit()) == [("amount_mismatch", "ch_1", {"usd": -50})]


def test_an_invoice_of_several_payments_means_none_of_them(company):
    """The books have one row for an invoice that two charges paid: both charges lack a row."""
    company.charge(1, 500)
    company.charge(2, 500)
    paid_invoice(company, 1, 1000, ("inpay_1", "pi_1"), ("inpay_2", "pi_2"))
    company.row(1, amount_minor=1000, **ONLY, invoice_id="in_1")
    codes = {(code, one) for code, one, _ in found(company.audit())}
    assert {("missing_in_db", "ch_1"), ("missing_in_db", "ch_2")} <= codes


def test_a_payment_from_outside_stripe_is_compared_with_its_invoice_payment(company):
    company.other("invoices", id="in_1", status="paid", currency="usd", total=900, amount_paid=900)
    company.other(
        "invoice_payments", id="inpay_1", invoice="in_1", payment_record="pr_1", status="paid",
        currency="usd", amount_paid=900,
    )  # fmt: skip
    company.row(1, amount_minor=800, **ONLY, invoice_payment_id="inpay_1")
    assert ("amount_mismatch", "inpay_1", {"usd": -100}) in found(company.audit())


def test_an_invoice_payment_that_only_stripe_can_link_leads_to_its_charge(company):
    company.charge(1, 1000, payment_intent=None)
    company.row(1, amount_minor=1000, **ONLY, invoice_payment_id="inpay_9")
    payment = {
        "id": "inpay_9", "created": epoch(NOON), "invoice": "in_9", "currency": "usd",
        "status": "paid", "payment": {"type": "payment_intent", "payment_intent": "pi_9"},
    }  # fmt: skip
    intent = {
        "id": "pi_9", "created": epoch(NOON), "amount": 1000, "currency": "usd",
        "status": "succeeded", "latest_charge": "ch_1",
    }  # fmt: skip
    charge = {**company.objects["charges"][0], "object": "charge"}
    answers = {
        ("invoice_payments", "inpay_9"): payment,
        ("payment_intents", "pi_9"): intent,
        ("charges", "ch_1"): charge,
    }
    assert found(company.audit(confirm=lambda *key: answers.get(key))) == []


def test_an_invoice_payment_unknown_to_stripe_is_missing_there(company):
    company.row(1, amount_minor=500, **ONLY, invoice_payment_id="inpay_9", written_by="hand")
    gone = company.audit(confirm=lambda resource, one: None)
    assert found(gone) == [("missing_in_stripe", "inpay_9", {"usd": 500})]


def test_a_row_of_an_invoice_payment_in_another_month_is_found(company):
    company.charge(1, 500)
    paid_invoice(company, 1, 500, ("inpay_1", "pi_1"))
    company.row(
        1, amount_minor=500, **ONLY, invoice_payment_id="inpay_1", created_at=SEPTEMBER.start
    )
    assert [code for code, _, _ in found(company.audit())] == ["period_cutoff"]


def test_rows_are_spooled_a_batch_at_a_time_and_counted(engine):
    frames = [rows(["ch_1", None], [3, None]), rows([None, None], [None, 4]), rows(["ch_2"], [5])]
    with engine.spool() as spool:
        books = spool_books(iter(frames), spool)
        charged, loose = pl.read_parquet(books.charged), pl.read_parquet(books.loose)
        folder = spool.folder
    assert charged["charge_id"].to_list() == ["ch_1", "ch_2"]
    assert loose["charge_id"].to_list() == [None] * 3
    assert (books.rows, books.rows_with_fee, books.rows_with_invoice) == (5, 3, 0)
    assert not folder.exists()


def rows(charges, fees):
    schema = {"charge_id": pl.String, "fee_minor": pl.Int64, "invoice_id": pl.String}
    table = {"charge_id": charges, "fee_minor": fees, "invoice_id": [None] * len(charges)}
    return pl.DataFrame(table, schema=schema)


def test_nothing_of_an_audit_stays_on_disk(company, engine):
    company.payment(1, 1000)
    company.row(2, amount_minor=5, **ONLY, invoice_id="in_1", written_by="hand")
    company.audit(OCTOBER)
    assert [path.name for path in engine.spool().folder.parent.iterdir()
            if path.name.startswith("query-")] == []  # fmt: skip


@pytest.mark.parametrize("batches", [1, 3])
def test_books_without_a_single_row_are_files_too(engine, batches):
    with engine.spool() as spool:
        books = spool_books([rows([], [])] * batches, spool)
        assert pl.read_parquet(books.charged).height == 0
    assert (books.rows, books.loose) == (0, ())


def test_books_that_lack_a_whole_month_are_told_in_one_sentence(company, engine):
    """Every payment that differs is held in memory, so there is a limit; here it is two."""
    for number in range(1, 4):
        company.charge(number, 1000)
    company.write()
    sources = read_sources(company.lake, LIVE, OCTOBER, company.as_of)
    window = Window(epoch(OCTOBER.start), epoch(OCTOBER.end), epoch(AS_OF), epoch(AS_OF) - 3600)
    with engine.spool() as spool:
        books = company.store.booked_payments(
            LIVE, start=OCTOBER.start, end=OCTOBER.end, spool=spool
        )
        enough = Matcher(engine, sources, LIVE, window, books, differing_limit=3)
        assert enough.differing() == {"ch_1", "ch_2", "ch_3"}
        with pytest.raises(GrowthError, match="more than 2 payments of the month differ"):
            Matcher(engine, sources, LIVE, window, books, differing_limit=2).differing()
