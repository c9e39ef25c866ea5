"""Published movements on real Postgres: the contract's example, worked by hand, and what else moves."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest

from growth_pipeline.revenue.movements_store import MovementsStore
from growth_pipeline.revenue.published.publish import publish_movements
from growth_pipeline_tests.revenue.published.spell_rows import ACCOUNT, spell, write_spells

NOW = datetime(2031, 6, 1, tzinfo=UTC)
# docs/metrics.md, "MRR movements": March -> April.
SEVEN = [
    spell("ana", "2031-01-10", None, 5000),
    spell("bo", "2031-04-02", None, 3000),
    spell("cy", "2031-01-10", "2031-04-20", 4000),
    spell("cy", "2031-04-20", None, 7000),
    spell("di", "2031-02-01", "2031-04-05", 6000),
    spell("di", "2031-04-05", None, 2500),
    spell("ed", "2031-01-10", "2031-04-11", 2000, ends_by="delinquent"),
    spell("fi", "2031-01-01", "2031-02-10", 1500, ends_by="voluntary"),
    spell("fi", "2031-04-30", None, 1500),
    spell("gus", "2031-03-01", "2031-04-15", 3000, ends_by="paused"),
]


@pytest.fixture
def store(database):
    return MovementsStore(database, [(ACCOUNT, False)])


@pytest.fixture
def connection(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def publish(engine, store, **wanted):
    return publish_movements(engine, store, now=NOW, **wanted)


def movements(connection, month, *, policy="growth@1", by="", grain="month"):
    """Movement, cause and segment -> signed amount and customers; zeroes left out."""
    rows = connection.execute(
        "select movement, cause, segment, amount_minor, customers from revenue.mrr_movements"
        " where policy = %s and grain = %s and period_start = %s and segment_by = %s",
        [policy, grain, month, by],
    )
    return {
        tuple(part for part in (movement, cause, segment) if part): (amount, customers)
        for movement, cause, segment, amount, customers in rows
        if amount or customers
    }


def figures(connection, month, *, policy="growth@1", by="", segment=None, grain="month"):
    rows = connection.execute(
        "select metric, value, reason from revenue.figures where policy = %s and grain = %s"
        " and period_start = %s and segment_by = %s and segment is not distinct from %s",
        [policy, grain, month, by, segment],
    )
    return {metric: reason if value is None else value for metric, value, reason in rows}


def test_the_months_of_the_contract_are_published_as_worked_by_hand(engine, store, connection):
    write_spells(connection, SEVEN, as_of="2031-05-01")
    publish(engine, store)
    assert movements(connection, "2031-04-01") == {
        ("new",): (3000, 1),
        ("reactivation",): (1500, 1),
        ("expansion",): (3000, 1),
        ("contraction",): (-3500, 1),
        ("churn",): (-2000, 1),
        ("churn", "delinquent"): (-2000, 1),
        ("paused",): (-3000, 1),
    }
    told = figures(connection, "2031-04-01")
    worked = {
        "mrr_start": 20000,
        "mrr": 19000,
        "arr": 228000,
        "net_new_mrr": -1000,
        "new_mrr": 3000,
        "churn_mrr": -2000,
        "customers": 5,
        "customers_start": 5,
        "churned_customers": 1,
        "nrr": Decimal("0.725"),
        "grr": Decimal("0.575"),
        "logo_churn": Decimal("0.2"),
        "growth": Decimal("-0.05"),
        "arpa": 3800,
        "mrr_churn": Decimal("0.1"),
        "mrr_churn_delinquent": Decimal("0.1"),
        "mrr_churn_voluntary": 0,
        "gross_mrr_churn": Decimal("0.275"),
        # 7500 won over 8500 lost.
        "quick_ratio": Decimal("0.882353"),
        # 3800 a month, of whom one in five leaves.
        "ltv": 19000,
        # Since the end of January: ana, cy, ed, fi had 12500, and have 5000 + 7000 + 0 + 1500.
        "nrr_3": Decimal("1.08"),
        "nrr_12": "no_base",
        "subscriptions_active": 5,
        "subscriptions_started": 1,
    }
    assert {name: told[name] for name in worked} == worked
    assert store.faults(["growth@1"]) == {}


def test_customers_behind_the_movements_are_told(engine, store, connection):
    write_spells(connection, SEVEN, as_of="2031-05-01")
    publish(engine, store)
    rows = connection.execute(
        "select customer_id, before_minor, now_minor, movement, cause from revenue.mrr_changes"
        " where period_start = '2031-04-01' order by customer_id"
    ).fetchall()
    assert rows == [
        ("bo", 0, 3000, "new", None),
        ("cy", 4000, 7000, "expansion", None),
        ("di", 6000, 2500, "contraction", None),
        ("ed", 2000, 0, "churn", "delinquent"),
        ("fi", 0, 1500, "reactivation", None),
        ("gus", 3000, 0, "paused", None),
    ]


def test_a_month_that_is_not_over_has_no_value_and_says_so(engine, store, connection):
    write_spells(connection, SEVEN, as_of="2031-04-20")
    publish(engine, store)
    told = figures(connection, "2031-04-01")
    assert set(told.values()) == {"not_over"}
    assert figures(connection, "2031-03-01")["mrr"] == 20000
    assert movements(connection, "2031-04-01") == {}
    states = connection.execute(
        "select distinct state from revenue.mrr_movements where period_start = '2031-04-01'"
        " and grain = 'month'"
    ).fetchall()
    assert states == [("open",)]


def test_publishing_again_writes_nothing_and_a_change_writes_its_own_rows(
    engine, store, connection
):
    write_spells(connection, SEVEN, as_of="2031-05-01")
    publish(engine, store)
    (again,) = publish(engine, store)
    assert (again.publication.written, again.publication.withdrawn) == (0, 0)
    connection.execute("update revenue.figures set receipt_id = 'r1'")
    write_spells(connection, SEVEN[:-1], as_of="2031-05-01")
    publish(engine, store)
    kept = connection.execute(
        "select metric, receipt_id is not null from revenue.figures where grain = 'month'"
        " and period_start = '2031-01-01' and metric = 'mrr' or grain = 'month'"
        " and period_start = '2031-03-01' and metric = 'mrr' order by period_start"
    ).fetchall()
    assert kept == [("mrr", True), ("mrr", False)]
    assert ("paused",) not in movements(connection, "2031-04-01")


def test_a_price_that_is_unknown_makes_its_months_unknown_and_no_others(engine, store, connection):
    spells = [*SEVEN, spell("hal", "2031-02-10", "2031-03-05", None)]
    write_spells(connection, spells, as_of="2031-05-01")
    publish(engine, store)
    assert figures(connection, "2031-01-01")["mrr"] == 12500
    for month in ("2031-02-01", "2031-03-01"):
        assert figures(connection, month)["mrr"] == "unknown_price"
        assert figures(connection, month)["subscriptions_active"] > 0
    april = figures(connection, "2031-04-01")
    assert (april["mrr"], april["nrr"], april["nrr_3"]) == (
        19000,
        Decimal("0.725"),
        "unknown_price",
    )
    assert store.faults(["growth@1"]) == {}


def test_a_policy_that_counts_every_change_shows_both_of_a_visitor(engine, store, connection):
    spells = [*SEVEN, spell("ivy", "2031-04-03", "2031-04-09", 900, ends_by="voluntary")]
    write_spells(connection, spells, as_of="2031-05-01", policy="baremetrics@1")
    publish(engine, store)
    told = movements(connection, "2031-04-01", policy="baremetrics@1")
    assert told["new",] == (3900, 2)
    assert told["churn", "voluntary"] == (-900, 1)
    rows = connection.execute(
        "select change_number, before_minor, now_minor, movement from revenue.mrr_changes"
        " where customer_id = 'ivy' order by 1"
    ).fetchall()
    assert rows == [(1, 0, 900, "new"), (2, 900, 0, "churn")]
    assert store.faults(["baremetrics@1"]) == {}


def test_a_segment_is_the_plan_of_the_largest_item(engine, store, connection):
    spells = [
        # Ana moves from basic to pro in April: an expansion of pro, and of basic's NRR.
        spell("ana", "2031-03-01", "2031-04-10", 1000),
        spell("ana", "2031-04-10", None, 3000, product="pro", item="si_ana2"),
        spell("ana", "2031-03-01", None, 500, product="seats", item="si_ana3"),
        # Bo has left basic by the end of April.
        spell("bo", "2031-03-01", "2031-04-12", 2000, ends_by="voluntary"),
        # Cy pays for pro, cancelled for May.
        spell("cy", "2031-03-01", None, 4000, product="pro", cancels_at="2031-05-20"),
    ]
    write_spells(connection, spells, as_of="2031-05-01")
    publish(engine, store, segments=["plan", "interval"])
    assert movements(connection, "2031-04-01", by="plan") == {
        ("expansion", "pro"): (2000, 1),
        ("churn", "basic"): (-2000, 1),
        ("churn", "voluntary", "basic"): (-2000, 1),
    }
    basic = figures(connection, "2031-04-01", by="plan", segment="basic")
    pro = figures(connection, "2031-04-01", by="plan", segment="pro")
    assert (basic["mrr"], basic["mrr_start"], basic["customers"]) == (0, 3500, 0)
    assert (pro["mrr"], pro["mrr_start"], pro["cmrr"], pro["scheduled_churn"]) == (
        *(7500, 4000),
        *(3500, 4000),
    )
    # Members of basic at the opening: Ana 1500 -> 3500, Bo 2000 -> 0.
    assert (basic["nrr"], basic["grr"], basic["logo_churn"]) == (
        Decimal(1),
        Decimal("0.428571"),
        Decimal("0.5"),
    )
    assert (pro["nrr"], pro["logo_churn"], pro["mrr_churn"]) == (1, 0, 0)
    monthly = figures(connection, "2031-04-01", by="interval", segment="month")
    assert monthly["mrr"] == 7500
    assert store.faults(["growth@1"]) == {}


def test_what_somebody_changed_in_the_tables_is_a_fault(engine, store, connection):
    write_spells(connection, SEVEN, as_of="2031-05-01")
    publish(engine, store)
    connection.execute(
        "update revenue.figures set value = value + 1 where metric = 'mrr' and grain = 'month'"
        " and period_start = '2031-03-01'"
    )
    connection.execute("delete from revenue.mrr_changes where customer_id = 'gus'")
    assert set(store.faults(["growth@1"])) == {
        "start_plus_movements_is_end",
        "a_period_starts_where_the_one_before_ended",
        "customers_add_up_to_movements",
        "days_and_months_agree",
    }
