"""Receipts on a real Postgres: figures follow from the ledger as it was known, and what tampers shows."""

from datetime import date

import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.revenue.history_store import HistoryStore
from growth_pipeline.revenue.invariants import RULES
from growth_pipeline.revenue.movements_store import MovementsStore
from growth_pipeline.revenue.policies import PRESETS
from growth_pipeline.revenue.publish import CODE_VERSION, publish_mrr, refresh_states
from growth_pipeline.revenue.published.publish import publish_movements
from growth_pipeline.revenue.receipt_store import ReceiptStore
from growth_pipeline.revenue.receipts.verify import (
    CODE,
    FIGURES,
    LEDGER,
    PUBLISHED,
    RECEIPT,
    SHOWN,
    verify,
)
from growth_pipeline.revenue.spell_store import SpellStore
from growth_pipeline.revenue.spells import spells_of
from growth_pipeline_tests.fakes.stripe_events import a_customer, an_event
from growth_pipeline_tests.revenue.test_publish import DAY, NOON, SCOPES, at, change, receive, told

GROWTH = PRESETS["growth"]
JANUARY = date(2030, 1, 1)


@pytest.fixture
def publish(database, lake, engine):
    def run(day):
        refresh_states(database, lake, SCOPES, now=at(day))
        publish_mrr(database, lake, SCOPES, [GROWTH], tz="UTC")
        publish_movements(engine, MovementsStore(database, SCOPES), now=at(day))
        return ReceiptStore(database).write("growth@1", lake)

    return run


@pytest.fixture
def asked(database, engine):
    def run(metric="all", code_version=CODE_VERSION):
        stored = ReceiptStore(database).newest("growth@1", JANUARY)
        states = HistoryStore(database, SCOPES[0]).read_states(known_at=stored.receipt.known_at)
        held = {}
        for state in states:
            held.setdefault(state.customer_id, []).append(state)
        return verify(
            metric,
            stored,
            [spell for rows in held.values() for spell in spells_of(rows, GROWTH)],
            policy=GROWTH,
            code_version=code_version,
            receipts=ReceiptStore(database),
            movements=MovementsStore(database, SCOPES),
            engine=engine,
        )

    return run


def test_a_company_without_subscriptions_publishes_nothing_and_breaks_nothing(database, publish):
    receive(database, an_event("customer.created", a_customer(), id="evt_c"), day=3)
    assert publish(3) == (0, 0)
    assert ReceiptStore(database).faults(["growth@1"]) == []
    store = SpellStore(database)
    assert all(store.faults(rule, "growth@1", SCOPES) == [] for rule in RULES)


@pytest.fixture
def history(database, publish):
    ended = told(3, 20, 700, "canceled", ended_at=NOON + 20 * DAY)
    receive(database, told(1, 0, 1000), told(2, 5, 500), told(3, 0, 700), ended, day=21)
    receive(database, told(1, 25, 1500), told(2, 40, 900), day=40)
    return publish(40)


def broken(found):
    return {one.name for one in found.questions if not one.holds}


def test_a_figure_follows_from_its_receipt_and_that_from_the_ledger(history, asked):
    assert history == (1, 1)
    found = asked("mrr")
    # 15.00 of the first customer, 5.00 of the second; the third left on 21 January.
    assert [(one.published, one.receipt, one.again) for one in found.figures] == [
        ("2000", "2000", "2000")
    ]
    assert found.holds
    assert broken(asked("all")) == set()
    with pytest.raises(UsageError, match="no figure 'mmr'"):
        asked("mmr")


def test_what_comes_later_does_not_break_a_receipt_that_tells_of_then(
    history, database, publish, asked
):
    receive(database, told(2, 15, 5000), day=41)  # an event of 16 January, late
    found = asked("mrr")
    assert found.holds  # not published yet: what stands there is what was known
    assert publish(42) == (1, 1)  # a new receipt for the month that is restated
    again = asked("mrr")
    assert again.holds
    assert [one.published for one in again.figures] == ["6500"]
    assert publish(43) == (0, 1)


@pytest.mark.parametrize(
    ("tampering", "questions"),
    [
        (
            "update revenue.mrr_spells set mrr_minor = 999 where customer_id = 'cus_2'",
            {PUBLISHED},
        ),
        (
            "update revenue.figures set value = 2001 where metric = 'mrr' and grain = 'month'",
            {SHOWN},
        ),
        (
            "update revenue.receipts set code_version = 'growth 9', as_of = as_of + interval '1 s'",
            {RECEIPT, CODE},
        ),
        (
            "delete from billing.inbox where event_id = 'evt_1_25'",
            {LEDGER, FIGURES},
        ),
    ],
)
def test_each_tampering_is_told_apart(history, database, asked, tampering, questions):
    change(database, tampering)
    found = asked("mrr")
    assert broken(found) == questions
    assert not found.holds


def test_a_receipt_that_was_changed_is_made_anew_at_the_next_publication(
    history, database, publish, asked
):
    change(database, "update revenue.receipts set known_at = known_at + interval '1 s'")
    assert broken(asked("mrr")) == {RECEIPT}
    assert publish(42) == (1, 1)
    assert asked("mrr").holds
    assert ReceiptStore(database).faults(["growth@1"]) == []


def test_other_code_with_the_same_figures_is_told_and_no_fault(history, asked):
    found = asked("mrr", code_version="growth 2")
    assert broken(found) == {CODE}
    assert found.holds


def test_rows_that_differ_are_shown_one_by_one(history, database, asked):
    change(database, "update revenue.mrr_spells set mrr_minor = 999 where customer_id = 'cus_2'")
    sides = {(row["side"], row["customer_id"], row["mrr_minor"]) for row in asked().differing_rows}
    assert sides == {("published", "cus_2", 999), ("ledger", "cus_2", 500)}


def test_the_lake_names_every_row_that_the_figures_are_read_off(history, database, lake):
    stored = ReceiptStore(database).newest("growth@1", JANUARY)
    import gzip
    import json

    lines = gzip.decompress(lake.read_artifact(stored.rows_artifact)).splitlines()
    rows = [json.loads(line) for line in lines]
    assert {(row["customer_id"], row["mrr_minor"], row["told_by"]) for row in rows} == {
        ("cus_1", 1000, "evt_1_0"),
        ("cus_1", 1500, "evt_1_25"),
        ("cus_2", 500, "evt_2_5"),
        ("cus_3", 700, "evt_3_0"),
    }


def test_figures_without_receipt_or_with_another_value_are_seen(history, database):
    store = ReceiptStore(database)
    assert store.faults(["growth@1"]) == []
    change(
        database, "update revenue.figures set value = 1 where metric = 'arr' and grain = 'month'"
    )
    assert store.faults(["growth@1"]) == ["arr usd 2030-01-01"]


def test_a_figure_that_is_gone_is_not_one_that_is_unknown(history, database, asked):
    assert asked("all").holds
    change(database, "delete from revenue.figures where value is null and grain = 'month'")
    assert broken(asked("all")) == {SHOWN}
