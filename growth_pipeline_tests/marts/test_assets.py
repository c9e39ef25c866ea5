"""The asset in Dagster: it says what it wrote, and fails where what is kept does not add up."""

import dagster as dg

from growth_pipeline.definitions import defs
from growth_pipeline.marts.assets import kept_tables


def make(store):
    return dg.materialize(
        [kept_tables], resources={"mart_store": store}, selection=["marts/kept_tables"]
    )


def test_a_run_keeps_what_is_published_and_a_second_one_writes_nothing(connection, store):
    first, second = make(store), make(store)
    written = [
        run.asset_materializations_for_node("marts__kept_tables")[0].metadata
        for run in (first, second)
    ]
    assert [one["mrr_customer_months_written"].value for one in written] == [7, 0]
    checks = first.get_asset_check_evaluations()
    assert {one.check_name: one.passed for one in checks} == {
        "customer_months_add_up_to_mrr": True,
        "payments_add_up_to_the_books": True,
    }


def test_published_days_that_differ_from_their_customers_fail_the_check(connection, store):
    connection.execute("update revenue.mrr_daily set mrr_minor = 1 where currency = 'eur'")
    (found,) = [one for one in make(store).get_asset_check_evaluations() if not one.passed]
    assert found.check_name == "customer_months_add_up_to_mrr"
    assert "growth@1, 2031-02, eur: customers are 700, published is 1" in (found.description or "")


def test_it_runs_after_what_it_reads():
    graph = defs.resolve_asset_graph()
    node = graph.get(dg.AssetKey(["marts", "kept_tables"]))
    assert {key.to_user_string() for key in node.parent_keys} == {
        *("audit/findings", "billing/payments", "revenue/mrr"),
    }
