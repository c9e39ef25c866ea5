"""What a backfill covers, costs and changes: rules without database or network."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth_pipeline.billing.backfill import (
    BACKFILLED,
    Books,
    ChangedRow,
    KnownSize,
    Part,
    RowChange,
    Span,
    check_history,
    choose_resources,
    compare_with_dry_run,
    differing_fields,
    one_row_each,
    parts_of,
    plan_reading,
    resolve_span,
    row_frame,
)
from growth_pipeline.billing.payments import Payment
from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month

NOW = datetime(2025, 11, 15, 9, 30, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- span ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "until", "start", "end", "months"),
    [
        ("2025-01", "2025-03", "2025-01-01", "2025-04-01", ["2025-01", "2025-02", "2025-03"]),
        ("2025-10", "2025-10", "2025-10-01", "2025-11-01", ["2025-10"]),
        ("2025-10", None, "2025-10-01", "2025-12-01", ["2025-10", "2025-11"]),
        ("2025-10-05", "2025-10-06", "2025-10-05", "2025-10-06", ["2025-10"]),
        ("2025-09-30", "2025-10-01", "2025-09-30", "2025-10-01", ["2025-09"]),
        ("2025-09-30", "2025-10-02", "2025-09-30", "2025-10-02", ["2025-09", "2025-10"]),
        ("2024-12", "2025-01-15", "2024-12-01", "2025-01-15", ["2024-12", "2025-01"]),
        ("2025-11-15", "2025-11-16", "2025-11-15", "2025-11-16", ["2025-11"]),
        ("2024-02-29", "2024-03-01", "2024-02-29", "2024-03-01", ["2024-02"]),
    ],
)
def test_a_month_of_until_is_included_and_a_day_is_not(since, until, start, end, months):
    span = resolve_span(since, until, now=NOW)
    assert (span.start, span.end) == (at(start), at(end))
    assert [month.key for month in span.months()] == months


@pytest.mark.parametrize(
    ("since", "until", "sentence"),
    [
        ("October", None, "'October' is neither a month nor a day"),
        ("2025-13", None, "'2025-13' is not a month"),
        ("2025-02-30", None, "'2025-02-30' is neither a month nor a day"),
        ("2025-1", None, "neither a month nor a day"),
        ("20250105", None, "neither a month nor a day"),
        ("2025-10-05T00:00", None, "neither a month nor a day"),
        ("\u0662\u0660\u0662\u0665-\u0661\u0660", None, "neither a month nor a day"),
        ("", None, "neither a month nor a day"),
        ("2025-10", "soon", "'soon' is neither a month nor a day"),
        ("2025-03", "2025-01", "--since 2025-03 is not before --until 2025-01"),
        ("2025-03-02", "2025-03-02", "--since 2025-03-02 is not before --until 2025-03-02"),
        ("2999-01", None, "2999-01 has not begun"),
        ("2025-12", "2025-12", "2025-12 has not begun"),
        ("2025-10", "2025-12", "2025-12 has not begun"),
        ("2025-10", "2026-01-01", "2026-01-01 has not begun"),
        ("2025-11-16", "2025-11-17", "2025-11-16 has not begun"),
        ("2025-10", "9999-12", "9999-12 has not begun"),
        ("9999-12", "9999-12-31", "9999-12 has not begun"),
    ],
)
def test_what_is_no_span_is_refused_in_one_sentence_with_a_remedy(since, until, sentence):
    with pytest.raises(UsageError) as caught:
        resolve_span(since, until, now=NOW)
    assert sentence in caught.value.message
    assert caught.value.remedy


def test_a_day_begins_after_its_midnight():
    with pytest.raises(UsageError, match="2025-11-15 has not begun"):
        resolve_span("2025-11-15", None, now=at("2025-11-15"))


def test_a_span_from_before_the_history_names_the_setting():
    span = resolve_span("2019-12", "2020-01", now=NOW)
    with pytest.raises(UsageError, match="before 2020-01") as caught:
        check_history(span, Month(2020, 1))
    assert "GROWTH_HISTORY_START" in caught.value.remedy
    check_history(span, Month(2019, 12))


def test_a_span_holds_its_first_second_and_not_its_end():
    span = Span(at("2025-10-05"), at("2025-10-06"))
    first, last = int(span.start.timestamp()), int(span.end.timestamp())
    assert [span.holds(second) for second in (first - 1, first, last - 1, last)] == [
        *(False, True),
        *(True, False),
    ]


def test_kinds_are_taken_once_in_the_order_of_applying_with_charges_last():
    assert choose_resources("charges, refunds,charges") == ("refunds", "charges")
    assert choose_resources(None) == BACKFILLED
    assert BACKFILLED[-1] == "charges"
    assert "events" not in BACKFILLED


@pytest.mark.parametrize("text", ["charge", "charges;refunds", "", "charges,", "events"])
def test_a_kind_that_is_not_backfilled_is_refused_with_the_list_of_all(text):
    with pytest.raises(UsageError, match="is no kind of object") as caught:
        choose_resources(text)
    assert "balance_transactions, " in caught.value.remedy


# --- plan ----------------------------------------------------------------------------------------

OCTOBER, NOVEMBER = Month(2025, 10), Month(2025, 11)


OWN, CONNECTED = Scope("acct_1", True), Scope("acct_2", True)


def test_the_extracts_of_a_span_are_months_of_each_account_and_whole_lists_once():
    parts = parts_of(["charges", "payment_methods"], [OWN, CONNECTED], [OCTOBER, NOVEMBER])
    assert parts == [
        *((OWN, "charges", OCTOBER), (OWN, "charges", NOVEMBER)),
        *((CONNECTED, "charges", OCTOBER), (CONNECTED, "charges", NOVEMBER)),
        *((OWN, "payment_methods", None), (CONNECTED, "payment_methods", None)),
    ]


def test_requests_are_pages_or_what_was_counted_and_an_unknown_month_is_one():
    plan = plan_reading(
        parts_of(["charges", "refunds"], [OWN], [OCTOBER, NOVEMBER]),
        {
            Part(OWN, "charges", OCTOBER): KnownSize(201),  # 3 pages
            Part(OWN, "charges", NOVEMBER): KnownSize(100, 7),  # counted when it was read
            Part(OWN, "refunds", OCTOBER): KnownSize(0),  # an empty list is a request too
        },
        requests_per_second=20,
        endpoint_requests_per_second=20,
    )
    assert [tuple(reading) for reading in plan.readings] == [
        ("charges", 301, 10, 2, 0),
        ("refunds", 0, 2, 2, 1),
    ]
    assert (plan.requests, plan.extracts, plan.unknown_extracts) == (12, 4, 1)


def test_a_list_without_months_is_read_once_whatever_the_span():
    plan = plan_reading(
        parts_of(["payment_methods"], [OWN], [OCTOBER, NOVEMBER]),
        {Part(OWN, "payment_methods", None): KnownSize(200_000)},
        requests_per_second=20,
        endpoint_requests_per_second=20,
    )
    assert [tuple(reading) for reading in plan.readings] == [
        ("payment_methods", 200_000, 2_000, 1, 0)
    ]


def test_accounts_read_with_one_key_spend_from_one_budget():
    """600 requests for the key's own charges and 1,800 for the connected account's."""
    plan = plan_reading(
        parts_of(["charges"], [OWN, CONNECTED], [OCTOBER]),
        {
            Part(OWN, "charges", OCTOBER): KnownSize(60_000),
            Part(CONNECTED, "charges", OCTOBER): KnownSize(180_000),
        },
        requests_per_second=80,
        endpoint_requests_per_second=20,
    )
    assert [tuple(reading) for reading in plan.readings] == [("charges", 240_000, 2_400, 2, 0)]
    assert (plan.accounts, plan.minutes) == (2, pytest.approx(2.0))


@pytest.mark.parametrize(
    ("account", "endpoint", "minutes"),
    [(20, 20, 1.5), (80, 20, 1.0), (80, 10, 2.0)],
)
def test_minutes_are_those_of_the_slower_limit(account, endpoint, minutes):
    """1,200 requests of one list and 600 of another."""
    known = {
        Part(OWN, "charges", OCTOBER): KnownSize(120_000),
        Part(OWN, "refunds", OCTOBER): KnownSize(60_000),
    }
    plan = plan_reading(
        list(known),
        known,
        requests_per_second=account,
        endpoint_requests_per_second=endpoint,
    )
    assert plan.requests == 1800
    assert plan.minutes == pytest.approx(minutes)
    assert plan.to_dict()["is_estimate"] is True


# --- books ---------------------------------------------------------------------------------------


def a_payment(charge="ch_1", **changed) -> Payment:
    base = Payment(
        charge_id=charge,
        payment_intent_id=None,
        invoice_id=None,
        customer_id=None,
        status="succeeded",
        captured=True,
        currency="usd",
        amount_minor=1200,
        refunded_minor=0,
        disputed_minor=0,
        fee_minor=65,
        net_minor=1135,
        settlement_currency="usd",
        created_at=NOW,
    )
    return replace(base, **changed)


def money_of(books: Books) -> dict[str, tuple[dict, dict]]:
    return {
        currency: (change.before.to_dict(), change.after.to_dict())
        for currency, change in books.money.items()
    }


NOTHING = {
    "payments": 0,
    "gross_minor": 0,
    "refunded_minor": 0,
    "disputed_minor": 0,
    "fees_minor": 0,
    "net_minor": 0,
}


def test_a_new_payment_is_money_after_and_nothing_before():
    books = Books()
    row = books.note("acct_1", None, a_payment(refunded_minor=200))
    assert (row.object, row.id, row.change) == ("payment", "ch_1", RowChange.INSERT)
    assert money_of(books)["usd"] == (
        NOTHING,
        {
            "payments": 1,
            "gross_minor": 1200,
            "refunded_minor": 200,
            "disputed_minor": 0,
            "fees_minor": 65,
            "net_minor": 1000,
        },
    )
    assert (books.counts.insert, books.counts.update) == (1, 0)


def test_a_payment_that_was_not_settled_before_counts_as_no_money_before():
    books = Books()
    books.note("acct_1", a_payment(status="pending"), a_payment())
    before, after = money_of(books)["usd"]
    assert before == NOTHING
    assert after["gross_minor"] == 1200
    assert (books.counts.insert, books.counts.update) == (0, 1)


@pytest.mark.parametrize("missing", [{"status": "failed"}, {"captured": False}])
def test_payments_that_are_no_money_move_none(missing):
    books = Books()
    books.note("acct_1", None, a_payment(**missing))
    assert books.money == {}
    assert books.counts.insert == 1


def test_a_fee_counts_in_the_currency_it_was_settled_in():
    books = Books()
    books.note("acct_1", None, a_payment(currency="jpy", settlement_currency="eur", fee_minor=7))
    money = money_of(books)
    assert (money["jpy"][1]["gross_minor"], money["jpy"][1]["fees_minor"]) == (1200, 0)
    assert (money["eur"][1]["gross_minor"], money["eur"][1]["fees_minor"]) == (0, 7)


def test_a_fee_that_is_not_known_yet_is_no_money():
    books = Books()
    books.note("acct_1", None, a_payment(fee_minor=None))
    assert money_of(books)["usd"][1]["fees_minor"] == 0


def test_a_payment_written_twice_is_one_change_from_the_first_before_to_the_last_after():
    books = Books()
    books.note("acct_1", a_payment(), a_payment(refunded_minor=300))
    row = books.note("acct_1", a_payment(), a_payment(refunded_minor=500, disputed_minor=100))
    assert row.change is RowChange.UPDATE
    before, after = money_of(books)["usd"]
    assert (before["payments"], before["net_minor"]) == (1, 1200)
    assert (after["payments"], after["net_minor"]) == (1, 600)
    assert books.counts.update == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ch_1", "ch_2", "ch_3"]),
            st.sampled_from(["usd", "jpy"]),
            st.integers(0, 10**12),
            st.integers(0, 10**12),
            st.sampled_from(["succeeded", "failed"]),
        ),
        max_size=12,
    )
)
def test_money_after_is_the_sum_over_the_payments_as_they_were_written_last(writes):
    books, last = Books(), {}
    for charge, currency, gross, refunded, status in writes:
        after = a_payment(
            charge, currency=currency, amount_minor=gross, refunded_minor=refunded, status=status
        )
        books.note("acct_1", None, after)
        last[charge] = after
    for currency in ("usd", "jpy"):
        net = 0
        for payment in last.values():
            if payment.currency == currency and payment.status == "succeeded":
                net += payment.amount_minor - payment.refunded_minor
        change = books.money.get(currency)
        assert (change.after.net_minor if change else 0) == net
    assert books.counts.insert == len(last)


# --- fields --------------------------------------------------------------------------------------


def test_numbers_flags_and_statuses_are_shown_and_what_is_somebodys_data_only_named():
    fields = differing_fields(
        {"status": "open", "amount_paid": 0, "paid": False, "email": "a@b.c", "same": [1]},
        {"status": "paid", "amount_paid": 900, "paid": True, "email": "x@y.z", "same": [1]},
    )
    assert [(one.name, one.before, one.after) for one in fields] == [
        ("amount_paid", 0, 900),
        ("email", None, None),
        ("paid", False, True),
        ("status", "open", "paid"),
    ]
    assert [one.is_shown for one in fields] == [True, False, True, True]


def test_null_and_absent_are_no_difference():
    assert differing_fields({"canceled_at": None}, {}) == []


# --- what changed since --------------------------------------------------------------------------


def rows(*changed: tuple[str, RowChange, str]):
    return row_frame(
        ChangedRow("acct_1", "charge", id_, change, content) for id_, change, content in changed
    )


def test_an_apply_that_did_what_was_said_is_as_said():
    said = rows(("ch_1", RowChange.INSERT, "aa"), ("ch_2", RowChange.DELETE, ""))
    since = compare_with_dry_run(said, said, dry_run_at=NOW)
    assert (since.same, since.is_as_said, since.examples) == (2, True, [])


def test_what_differs_from_the_dry_run_is_counted_and_named():
    said = rows(
        ("ch_same", RowChange.INSERT, "aa"),
        ("ch_other_content", RowChange.UPDATE, "aa"),
        ("ch_other_change", RowChange.INSERT, "aa"),
        ("ch_already", RowChange.INSERT, "aa"),
    )
    done = rows(
        ("ch_same", RowChange.INSERT, "aa"),
        ("ch_other_content", RowChange.UPDATE, "bb"),
        ("ch_other_change", RowChange.UPDATE, "aa"),
        ("ch_more", RowChange.DELETE, ""),
    )
    since = compare_with_dry_run(said, done, dry_run_at=NOW)
    assert (since.same, since.other, since.undone, since.more) == (1, 2, 1, 1)
    assert not since.is_as_said
    assert [(word, row.id, row.change) for word, row in since.examples] == [
        ("more", "ch_more", RowChange.DELETE),
        ("other", "ch_other_change", RowChange.UPDATE),
        ("other", "ch_other_content", RowChange.UPDATE),
        ("undone", "ch_already", RowChange.INSERT),
    ]


def test_of_a_row_written_twice_the_last_writing_counts():
    twice = rows(("ch_1", RowChange.INSERT, "aa"), ("ch_1", RowChange.INSERT, "bb"))
    assert one_row_each(twice).rows() == [("acct_1", "charge", "ch_1", "insert", "bb", "", "")]


@pytest.mark.parametrize(
    ("said", "done"),
    [
        ([("ch_1", RowChange.INSERT, "aa")], [("ch_1", RowChange.INSERT, "bb")]),
        ([("ch_1", RowChange.INSERT, "aa")], []),
        ([], [("ch_1", RowChange.INSERT, "aa")]),
    ],
)
def test_one_row_that_differs_is_enough_not_to_be_as_said(said, done):
    assert not compare_with_dry_run(rows(*said), rows(*done), dry_run_at=NOW).is_as_said


def test_nothing_said_and_nothing_done_is_as_said():
    since = compare_with_dry_run(rows(), rows(), dry_run_at=NOW)
    assert (since.same, since.is_as_said) == (0, True)
