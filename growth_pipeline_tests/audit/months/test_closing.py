"""When a month is frozen, what counts as a change since, and why: pure rules, worked by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from growth_pipeline.audit.months.closing import (
    NOTHING,
    LineKey,
    LineState,
    News,
    Reason,
    Restatement,
    differing_totals,
    evidence_of,
    last_known,
    may_close,
    reason_of,
    restated_totals,
)

END = datetime(2025, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
CHARGE = LineKey("stripe", "charge", "ch_1", "usd")
ROW = LineKey("books", "payment", "7", "usd")
PAID = LineState("succeeded", 1, 1000, 0, 0)
REFUNDED = replace(PAID, refunded_minor=300)
OURS = News(written_by="mirror", is_rewritten=True)


def closes(*, as_of: datetime, grace: timedelta = HOUR, after_days: int = 5, complete: bool = True):
    return may_close(
        month_end=END, as_of=as_of, grace=grace, after_days=after_days, is_complete=complete
    )


def test_the_first_complete_audit_after_the_days_closes_the_month():
    due = END + timedelta(days=5)
    assert closes(as_of=due)
    assert not closes(as_of=due - timedelta(microseconds=1))
    assert not closes(as_of=due, complete=False)


def test_a_month_with_payments_in_grace_is_not_closed_however_few_the_days():
    assert not closes(as_of=END + HOUR / 2, after_days=0)
    assert closes(as_of=END + HOUR, after_days=0)


@pytest.mark.parametrize(
    ("key", "after", "news", "reason"),
    [
        (CHARGE, REFUNDED, News(refunds=("re_1",)), Reason.REFUND_LATER),
        (CHARGE, REFUNDED, News(), Reason.REFUND_CHANGED),
        (CHARGE, replace(PAID, disputed_minor=1000), News(disputes=("dp_1",)), Reason.DISPUTE),
        (CHARGE, replace(PAID, gross_minor=900), News(), Reason.CHANGED_AT_STRIPE),
        (CHARGE, NOTHING, News(), Reason.CHANGED_AT_STRIPE),
        (ROW, REFUNDED, replace(OURS, events=("evt_1",), refunds=("re_1",)), Reason.REFUND_LATER),
        (ROW, PAID, replace(OURS, events=("evt_1",), late_events=("evt_1",)), Reason.LATE_EVENT),
        (ROW, REFUNDED, replace(OURS, fetched=True), Reason.BACKFILLED),
        (ROW, REFUNDED, OURS, Reason.CHANGED_BY_HAND),
        (ROW, REFUNDED, News("mirror", events=("evt_1",)), Reason.CHANGED_BY_HAND),
        (ROW, REFUNDED, News("hand", is_rewritten=True), Reason.CHANGED_BY_HAND),
        (ROW, NOTHING, News(), Reason.CHANGED_BY_HAND),
        (ROW, REFUNDED, News("import", is_rewritten=True), Reason.IMPORTED),
        (ROW, REFUNDED, News("repair", is_rewritten=True), Reason.REPAIRED),
        (ROW, NOTHING, News(repairs=("rp_1",)), Reason.REPAIRED),
        (ROW, REFUNDED, replace(OURS, fetched=True, repairs=("rp_1",)), Reason.REPAIRED),
    ],
)  # fmt: skip
def test_why_a_line_changed(key, after, news, reason):
    before = NOTHING if after == PAID else PAID
    assert reason_of(key, before, after, news) is reason


def test_a_row_of_ours_that_no_event_and_no_answer_explains_was_changed_by_hand():
    assert reason_of(ROW, PAID, replace(PAID, gross_minor=1), OURS) is Reason.CHANGED_BY_HAND


def test_evidence_names_parts_events_and_repairs_once():
    news = News(
        refunds=("re_1",), events=("evt_1", "evt_2"), late_events=("evt_1",), repairs=("rp", "rp")
    )
    assert evidence_of(news) == ("re_1", "evt_1", "rp")


def entry(before: LineState, after: LineState, *, key: LineKey = CHARGE, hours: int = 0):
    return Restatement(key, before, after, Reason.REFUND_LATER, (), END + hours * HOUR)


def test_a_line_is_known_as_its_newest_entry_says_else_as_it_was_frozen():
    log = [entry(REFUNDED, PAID, hours=2), entry(PAID, REFUNDED, hours=1)]
    assert last_known({CHARGE: PAID, ROW: PAID}, log) == {CHARGE: PAID, ROW: PAID}
    assert last_known({CHARGE: PAID}, log[1:]) == {CHARGE: REFUNDED}


def sums(count: int, gross: int, refunded: int) -> dict[str, int]:
    net = gross - refunded
    return {
        "count": count,
        "gross_minor": gross,
        "refunded_minor": refunded,
        "disputed_minor": 0,
        "net_minor": net,
    }


def test_frozen_figures_and_the_log_are_the_figures_of_now():
    frozen = {"stripe": {"usd": sums(2, 3000, 0)}, "books": {"usd": sums(2, 3000, 0)}}
    log = [
        entry(PAID, REFUNDED),
        entry(REFUNDED, replace(REFUNDED, refunded_minor=400)),
        entry(NOTHING, LineState("succeeded", 1, 500, 0, 0), key=ROW._replace(currency="eur")),
    ]
    now = {
        "stripe": {"usd": sums(2, 3000, 400)},
        "books": {"usd": sums(2, 3000, 0), "eur": sums(1, 500, 0)},
    }
    restated = restated_totals(frozen, log)
    assert differing_totals(restated, now) == []
    assert sum(one.difference_minor for one in log if one.key == CHARGE) == -400


def test_what_does_not_add_up_is_named_to_the_minor_unit():
    expected = {"stripe": {"usd": sums(1, 1000, 0)}, "books": {}}
    now = {"stripe": {"usd": sums(1, 1000, 1)}, "books": {"eur": sums(0, 0, 0)}}
    assert differing_totals(expected, now) == [
        "stripe usd refunded_minor: 0 is not 1",
        "stripe usd net_minor: 1000 is not 999",
    ]
