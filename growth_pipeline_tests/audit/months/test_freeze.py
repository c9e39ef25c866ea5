"""Closed months on a real Postgres, lake and engine: frozen once, compared, every change explained."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from growth_pipeline.audit.checks import check_close
from growth_pipeline.audit.months.freeze import DATASET, ClosedMonths
from growth_pipeline.audit.months.history import History
from growth_pipeline.core.periods import ZonedMonth
from growth_pipeline_tests.audit.company import AS_OF, LIVE, NOVEMBER, OCTOBER, Company, epoch

SIXTH = datetime(2025, 11, 6, tzinfo=UTC)
SEVENTH = SIXTH + timedelta(days=1)
EIGHTH = SIXTH + timedelta(days=2)


@pytest.fixture
def two_payments(company):
    company.payment(1, 1000)
    company.payment(2, 5000, currency="jpy")
    return company


@pytest.fixture
def closed(two_payments):
    """The company, its October closed on 6 November."""
    assert two_payments.audit_and_keep(as_of=SIXTH).close is not None
    return two_payments


def execute(company: Company, statement: str, *values: object) -> None:
    with company.database.connection() as connection:
        connection.execute(statement, values)


def an_event(company: Company, id: str, *, made: datetime, received: datetime) -> None:
    """An event about charge 1."""
    execute(
        company,
        "insert into billing.inbox (account_id, livemode, event_id, type, created_at, received_at,"
        " body, state, object, object_id)"
        " values ('acct_1', true, %s, 'charge.updated', %s, %s, '', 'applied', 'charge', 'ch_1')",
        id,
        made,
        received,
    )


def told(audit) -> list[tuple[str, str, str, int, str]]:
    return sorted(
        (one["side"], one["object_id"], one["currency"], one["difference_minor"], one["reason"])
        for one in audit.restatements
    )


def number_of(company: Company, charge: str) -> str:
    with company.database.connection() as connection:
        (found,) = connection.execute(
            "select payment_id from billing.payments where charge_id = %s", [charge]
        ).fetchall()
    return str(found[0])


def test_an_audit_before_the_day_leaves_the_month_open(two_payments):
    audit = two_payments.audit_and_keep(as_of=SIXTH - timedelta(seconds=1))
    assert (audit.close, audit.restatements) == (None, ())
    assert not (Path(two_payments.lake.url) / DATASET).exists()


def test_the_first_complete_audit_after_it_closes_the_month(two_payments):
    audit = two_payments.audit_and_keep(as_of=SIXTH)
    usd = {"count": 1, "gross_minor": 1000, "refunded_minor": 0, "disputed_minor": 0}
    assert audit.close["totals"]["stripe"]["usd"] == {**usd, "net_minor": 1000}
    assert audit.close["totals"]["books"]["jpy"]["net_minor"] == 5000
    assert (audit.close["adds_up"], audit.close["audit_id"]) == (True, str(audit.audit_id))
    close = two_payments.store.history.close_of(LIVE, ZonedMonth(OCTOBER))
    assert (close.closed_at, close.as_of, close.file_rows) == (SIXTH, SIXTH, 4)
    assert two_payments.store.latest(LIVE, OCTOBER).close == audit.close


def test_an_incomplete_audit_closes_nothing(two_payments):
    two_payments.unwritten = {("payouts", OCTOBER)}
    assert two_payments.audit_and_keep(as_of=SIXTH).close is None
    two_payments.unwritten = set()
    assert two_payments.audit_and_keep(as_of=SEVENTH).close["closed_at"] == SEVENTH.isoformat()


def test_the_lines_of_both_sides_lie_in_one_file_written_once(closed):
    folder = Path(closed.lake.url) / DATASET
    (file,) = folder.rglob("*.parquet")
    lines = pl.read_parquet(file).select("side", "object_id", "currency", "gross_minor").rows()
    assert lines == [
        ("books", number_of(closed, "ch_1"), "usd", 1000),
        ("books", number_of(closed, "ch_2"), "jpy", 5000),
        ("stripe", "ch_1", "usd", 1000),
        ("stripe", "ch_2", "jpy", 5000),
    ]
    closed.refund(1, 10, of=1)
    closed.audit_and_keep(as_of=SEVENTH)
    assert list(folder.rglob("*.parquet")) == [file]


def test_a_closed_month_that_nothing_happened_to_has_an_empty_log(closed):
    audit = closed.audit_and_keep(as_of=SEVENTH)
    assert audit.restatements == ()
    assert audit.close["adds_up"] is True
    assert audit.close["closed_at"] == SIXTH.isoformat()
    assert check_close(audit.past).passed


def test_a_row_that_comes_after_the_close_and_goes_again_is_logged_both_ways(closed):
    execute(
        closed,
        "insert into billing.payments (account_id, livemode, charge_id, status, captured, currency,"
        " amount_minor, created_at, written_by, written_at)"
        " select account_id, livemode, 'ch_by_hand', status, captured, currency, 1710, created_at,"
        " 'hand', %s from billing.payments where charge_id = 'ch_1'",
        SIXTH + timedelta(hours=3),
    )
    came = closed.audit_and_keep(as_of=SEVENTH)
    assert [one[3] for one in told(came)] == [1710]
    execute(closed, "delete from billing.payments where charge_id = 'ch_by_hand'")
    went = closed.audit_and_keep(as_of=EIGHTH)
    assert sorted(one[3] for one in told(went)) == [-1710, 1710]
    assert went.close["adds_up"] is True
    again = closed.audit_and_keep(as_of=EIGHTH + timedelta(days=1))
    assert sorted(one[3] for one in told(again)) == [-1710, 1710]
    assert check_close(again.past).passed


def test_a_refund_made_after_the_close_is_logged_on_both_sides_with_its_ids(closed):
    closed.refund(1, 300, of=1, created=epoch(SIXTH + timedelta(hours=1)))
    an_event(closed, "evt_r", made=SIXTH + timedelta(hours=1), received=SIXTH + timedelta(hours=2))
    execute(
        closed,
        "update billing.payments set refunded_minor = 300, written_at = %s where charge_id = 'ch_1'",
        SIXTH + timedelta(hours=2),
    )
    audit = closed.audit_and_keep(as_of=SEVENTH)
    assert told(audit) == [
        ("books", number_of(closed, "ch_1"), "usd", -300, "refund_made_later"),
        ("stripe", "ch_1", "usd", -300, "refund_made_later"),
    ]
    by_side = {one["side"]: one for one in audit.restatements}
    assert by_side["stripe"]["evidence"] == ["re_1", "evt_r"]
    assert (by_side["stripe"]["before_minor"], by_side["stripe"]["after_minor"]) == (1000, 700)
    assert by_side["stripe"]["first_seen_at"] == SEVENTH.isoformat()
    assert audit.close["totals"]["stripe"]["usd"]["net_minor"] == 1000, "frozen"
    assert audit.close["totals_now"]["stripe"]["usd"]["net_minor"] == 700
    assert audit.close["adds_up"] is True


def test_an_entry_is_written_once_however_often_the_month_is_audited(closed):
    closed.refund(1, 300, of=1, created=epoch(SEVENTH - timedelta(hours=1)))
    first = closed.audit_and_keep(as_of=SEVENTH)
    second = closed.audit_and_keep(as_of=EIGHTH)
    assert second.restatements == first.restatements
    assert len(second.restatements) == 1
    assert second.close["adds_up"] is True


def test_what_changes_back_is_a_second_entry_and_still_adds_up(closed):
    change = "update billing.payments set amount_minor = %s where charge_id = 'ch_1'"
    execute(closed, change, 900)
    closed.audit_and_keep(as_of=SEVENTH)
    execute(closed, change, 1000)
    audit = closed.audit_and_keep(as_of=EIGHTH)
    row = number_of(closed, "ch_1")
    assert told(audit) == [
        ("books", row, "usd", -100, "changed_by_hand"),
        ("books", row, "usd", 100, "changed_by_hand"),
    ]
    assert audit.close["adds_up"] is True
    assert audit.close["totals_now"] == audit.close["totals"]


def test_an_event_of_before_the_close_that_came_after_it_is_named(two_payments):
    company = two_payments
    company.charge(3, 700)
    company.audit_and_keep(as_of=SIXTH)
    execute(
        company,
        "insert into billing.inbox (account_id, livemode, event_id, type, created_at, received_at,"
        " body, state, object, object_id) values ('acct_1', true, 'evt_late', 'charge.succeeded',"
        " '2025-10-15', '2025-11-06 12:00+00', '', 'applied', 'charge', 'ch_3')",
    )
    company.row(3, amount_minor=700, written_at=SIXTH + timedelta(hours=12))
    audit = company.audit_and_keep(as_of=SEVENTH)
    assert told(audit) == [("books", number_of(company, "ch_3"), "usd", 700, "late_event")]
    assert audit.restatements[0]["evidence"] == ["evt_late"]


def test_a_row_that_somebody_deleted_or_wrote_is_changed_by_hand(closed):
    gone = number_of(closed, "ch_1")
    execute(closed, "delete from billing.payments where charge_id = 'ch_1'")
    closed.row(9, amount_minor=50, written_by="hand", written_at=SIXTH + timedelta(hours=3))
    audit = closed.audit_and_keep(as_of=SEVENTH)
    assert told(audit) == sorted(
        [
            ("books", gone, "usd", -1000, "changed_by_hand"),
            ("books", number_of(closed, "ch_9"), "usd", 50, "changed_by_hand"),
        ]
    )
    assert audit.close["adds_up"] is True


def test_a_row_brought_by_a_backfill_is_named_so(two_payments):
    company = two_payments
    company.charge(3, 700)
    company.audit_and_keep(as_of=SIXTH)
    execute(
        company,
        "insert into billing.fetched_states (account_id, livemode, object, id, fingerprint,"
        " first_from, first_at, state_from, state_at, body, api_version, gone, source, stored_at)"
        " values ('acct_1', true, 'charge', 'ch_3', '\\x00', now(), now(), now(), now(), '{}',"
        " 'v', false, 'backfill', '2025-11-06 12:00+00')",
    )
    company.row(3, amount_minor=700, written_at=SIXTH + timedelta(hours=12))
    assert told(company.audit_and_keep(as_of=SEVENTH)) == [
        ("books", number_of(company, "ch_3"), "usd", 700, "backfilled")
    ]


def test_another_currency_leaves_one_and_enters_the_other(closed):
    execute(closed, "update billing.payments set currency = 'eur' where charge_id = 'ch_1'")
    row = number_of(closed, "ch_1")
    audit = closed.audit_and_keep(as_of=SEVENTH)
    assert told(audit) == [
        ("books", row, "eur", 1000, "changed_by_hand"),
        ("books", row, "usd", -1000, "changed_by_hand"),
    ]


def test_an_incomplete_audit_compares_nothing_and_says_so(closed):
    closed.refund(1, 300, of=1)
    closed.certificates = {("payouts", OCTOBER): {"complete": False}}
    audit = closed.audit_and_keep(as_of=SEVENTH)
    assert audit.restatements == ()
    assert "incomplete" in audit.close["problem"]
    assert not check_close(audit.past).passed


def test_frozen_lines_that_are_damaged_fail_the_check_and_nothing_else(closed):
    (file,) = (Path(closed.lake.url) / DATASET).rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-1] + b"X")
    audit = closed.audit_and_keep(as_of=SEVENTH)
    assert audit.findings == ()
    check = check_close(audit.past)
    assert not check.passed
    assert file.name in check.description


def test_two_audits_at_once_write_an_entry_once(closed):
    """Both read the log before either wrote: the second one's entries are left to the next audit."""
    execute(closed, "update billing.payments set amount_minor = 900 where charge_id = 'ch_1'")
    closed.as_of = SEVENTH
    history = History(None, ClosedMonths(closed.store.history, closed.lake, close_after_days=5))
    both = [closed.audit(run_id=name, history=history) for name in ("a", "b")]
    for audit in both:
        assert len(audit.restatements) == 1
        closed.store.publish(audit)
    audit = closed.audit_and_keep(as_of=EIGHTH)
    assert len(audit.restatements) == 1
    assert audit.close["adds_up"] is True


def test_of_two_audits_that_close_a_month_at_once_the_first_counts(two_payments):
    company = two_payments
    company.as_of = SIXTH
    history = History(None, ClosedMonths(company.store.history, company.lake, close_after_days=5))
    first = company.audit(run_id="a", history=history)
    execute(company, "update billing.payments set amount_minor = 900 where charge_id = 'ch_1'")
    second = company.audit(run_id="b", history=history)
    for audit in (first, second):
        company.store.publish(audit)
    close = company.store.history.close_of(LIVE, ZonedMonth(OCTOBER))
    assert close.totals["books"]["usd"]["net_minor"] == 1000
    later = company.audit_and_keep(as_of=SEVENTH)
    assert told(later) == [("books", number_of(company, "ch_1"), "usd", -100, "changed_by_hand")]
    assert later.close["adds_up"] is True


def test_a_month_of_a_zone_is_closed_on_its_own(closed):
    closed.extracted = {OCTOBER, NOVEMBER}
    zone = "America/Los_Angeles"
    assert closed.audit_and_keep(as_of=SIXTH + timedelta(hours=6), tz=zone).close is None
    assert closed.audit_and_keep(as_of=SIXTH + timedelta(hours=7), tz=zone).close is not None
    assert len(list((Path(closed.lake.url) / DATASET).rglob("*.parquet"))) == 2


def test_a_payment_that_stripe_was_asked_about_is_frozen_as_it_was_judged(company):
    """The file is older than the books; Stripe tells of a refund: that is what the close knows."""
    company.payment(1, 1000)
    refunded = {"refunded_minor": 250, "written_at": SIXTH + timedelta(minutes=1)}
    execute(
        company,
        "update billing.payments set refunded_minor = %s, written_at = %s",
        *refunded.values(),
    )
    charge = company.objects["charges"][0]
    answers = {("charges", "ch_1"): {**charge, "object": "charge", "amount_refunded": 250}}
    audit = company.audit_and_keep(as_of=SIXTH, confirm=lambda *asked: answers.get(asked))
    assert audit.totals["usd"].stripe.refunded_minor == 250
    assert audit.close["totals"]["stripe"]["usd"]["refunded_minor"] == 250
    assert audit.close["totals"] == {
        "stripe": {"usd": {**audit.close["totals"]["books"]["usd"]}},
        "books": audit.close["totals"]["books"],
    }


def test_an_invoice_without_charge_stays_as_it_was_frozen_when_its_finding_is_taken_over(company):
    company.other("invoices", id="in_1", status="paid", amount_paid=900, currency="usd")
    only = {"charge_id": None, "payment_intent_id": None, "invoice_id": "in_1"}
    company.row(1, amount_minor=800, customer_id=None, **only)
    first = company.audit_and_keep(as_of=SIXTH)
    assert first.close["totals"]["stripe"]["usd"]["gross_minor"] == 900
    second = company.audit_and_keep(as_of=SEVENTH)
    assert second.changes["payments"]["taken_over"] == 1
    assert (second.restatements, second.close["adds_up"]) == ((), True)


def an_invoice(company: Company, number: int, paid: int) -> None:
    company.other("invoices", id=f"in_{number}", status="paid", amount_paid=paid, currency="usd")


def an_invoice_row(company: Company, number: int, paid: int) -> None:
    only = {"charge_id": None, "payment_intent_id": None, "invoice_id": f"in_{number}"}
    company.row(number, amount_minor=paid, customer_id=None, written_by="hand", **only)


def test_stripes_frozen_figures_stay_when_only_a_row_goes_or_comes(company):
    an_invoice(company, 1, 900)
    an_invoice(company, 2, 700)
    an_invoice_row(company, 1, 900)
    first = company.audit_and_keep(as_of=SIXTH)
    assert first.close["totals"]["stripe"]["usd"]["gross_minor"] == 900
    execute(company, "delete from billing.payments where invoice_id = 'in_1'")
    an_invoice_row(company, 2, 700)
    second = company.audit_and_keep(as_of=SEVENTH)
    assert sorted((one[0], one[3]) for one in told(second)) == [("books", -900), ("books", 700)]
    assert second.close["adds_up"] is True
    assert second.close["totals_now"]["stripe"] == first.close["totals"]["stripe"]


def test_an_invoice_that_changes_at_stripe_is_logged_though_its_row_is_gone(company):
    an_invoice(company, 1, 900)
    an_invoice_row(company, 1, 900)
    company.audit_and_keep(as_of=SIXTH)
    execute(company, "delete from billing.payments where invoice_id = 'in_1'")
    company.objects["invoices"][0] |= {"status": "void", "amount_paid": 0}
    audit = company.audit_and_keep(as_of=SEVENTH)
    assert [one[1:] for one in told(audit) if one[0] == "stripe"] == [
        ("in_1", "usd", -900, "changed_at_stripe")
    ]
    assert audit.close["adds_up"] is True


@pytest.mark.parametrize("round_", range(3))
def test_any_changes_add_up_and_are_each_in_the_log(company, seed, round_):
    """Random books, random changes on both sides; the log's sum is the difference of plain sums."""
    generator = random.Random(seed + round_)
    for number in range(40):
        company.payment(
            number, generator.randint(1, 9_999), currency=generator.choice(["usd", "eur"])
        )
    company.audit_and_keep(as_of=SIXTH)
    before = booked(company)
    for at in (SEVENTH, EIGHTH):
        for number in generator.sample(range(40), 8):
            execute(
                company,
                "update billing.payments set amount_minor = %s, refunded_minor = %s,"
                " status = %s where charge_id = %s",
                generator.randint(1, 9_999),
                generator.randint(0, 1),
                generator.choice(["succeeded", "failed"]),
                f"ch_{number}",
            )
            company.refund(100 * at.day + number, 1, of=number, created=epoch(at) - 60)
        audit = company.audit_and_keep(as_of=at)
        assert audit.close["adds_up"] is True, audit.close["problem"]
    after = booked(company)
    moved = {
        currency: sum(
            one["difference_minor"]
            for one in audit.restatements
            if (one["side"], one["currency"]) == ("books", currency)
        )
        for currency in before
    }
    assert moved == {currency: after[currency] - before[currency] for currency in before}
    refunds = sum(one["difference_minor"] for one in audit.restatements if one["side"] == "stripe")
    assert refunds == -16


def booked(company: Company) -> dict[str, int]:
    """Net of the books by currency, in a plain loop."""
    sums = {"usd": 0, "eur": 0, "jpy": 0}
    with company.database.connection() as connection:
        rows = connection.execute(
            "select currency, status, amount_minor, refunded_minor from billing.payments"
        ).fetchall()
    for currency, status, amount, refunded in rows:
        if status == "succeeded":
            sums[currency] += amount - refunded
    return sums


def test_closes_and_their_log_change_no_row_of_the_books(closed):
    before = booked(closed)
    closed.audit_and_keep(as_of=SEVENTH)
    assert booked(closed) == before
    assert AS_OF < SIXTH
