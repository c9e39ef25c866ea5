"""The views say what is published, by hand; one day is read without the other days."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

FEB_28, MAR_1 = date(2031, 2, 28), date(2031, 3, 1)


def rows(connection, question, *values):
    return connection.execute(question, values).fetchall()


def test_a_day_has_the_items_that_are_live_at_its_end(connection):
    question = (
        "select item_id, mrr_minor, arr_minor from marts.mrr_items_daily where day = %s order by 1"
    )
    assert rows(connection, question, date(2031, 1, 4)) == []
    assert rows(connection, question, date(2031, 1, 19)) == [
        ("si_1", 1000, 12000),
        ("si_4", 900, 10800),
    ]
    assert [row[0] for row in rows(connection, question, FEB_28)] == [
        *("si_1", "si_2", "si_3", "si_4", "si_5"),
    ]
    assert [row[0] for row in rows(connection, question, MAR_1)] == ["si_1", "si_2", "si_3", "si_5"]


def test_customers_and_subscriptions_are_sums_by_currency_and_unknown_stays_unknown(connection):
    assert rows(
        connection,
        "select customer_id, currency, subscriptions, items, mrr_minor, contract_mrr_minor,"
        " scheduled_churn_minor from marts.mrr_customers_daily where day = %s order by 1, 2",
        FEB_28,
    ) == [
        ("ann", "eur", 1, 1, 700, 700, 0),
        ("ann", "usd", 1, 2, 1500, 1700, 500),
        ("bob", "usd", 1, 1, 900, 900, 0),
        ("cy", "jpy", 1, 1, None, None, None),
    ]
    assert rows(
        connection,
        "select subscription_id, items, mrr_minor, arr_minor from marts.mrr_subscriptions_daily"
        " where day = %s and customer_id = 'ann' order by 1",
        FEB_28,
    ) == [("sub_a", 2, 1500, 18000), ("sub_b", 1, 700, 8400)]


def test_the_days_of_customers_add_up_to_the_total_of_every_day(connection):
    assert (
        rows(
            connection,
            "select t.day, t.currency, t.mrr_minor, sum(c.mrr_minor) from marts.mrr_daily as t"
            " left join marts.mrr_customers_daily as c using (policy, day, currency)"
            " group by 1, 2, 3 having t.mrr_minor is distinct from"
            " case when count(*) = count(c.mrr_minor) then sum(c.mrr_minor) end",
        )
        == []
    )
    assert rows(
        connection,
        "select mrr_minor, arr_minor, scheduled_churn_minor, cmrr_minor, customers, state"
        " from marts.mrr_daily where day = %s and currency = 'usd'",
        FEB_28,
    ) == [(2400, 28800, 500, 1900, 2, "closed")]


FIGURES = """
insert into revenue.figures (metric, policy, grain, period_start, currency, reporting_currency,
    segment_by, segment, value, unit, state, as_of, receipt_id)
values
('mrr', 'growth@1', 'month', '2031-02-01', 'usd', '', '', null, 2400, 'minor', 'closed', '2031-03-15', 'r1'),
('mrr', 'growth@1', 'month', '2031-02-01', 'usd', 'eur', '', null, 2200, 'minor', 'closed', '2031-03-15', 'r1'),
('mrr', 'growth@1', 'month', '2031-02-01', 'usd', '', 'plan', 'pro', 900, 'minor', 'closed', '2031-03-15', 'r1'),
('nrr', 'growth@1', 'month', '2031-02-01', 'usd', '', '', null, 1.05, 'ratio', 'closed', '2031-03-15', 'r1'),
('mrr', 'growth@1', 'week', '2031-02-03', 'usd', '', '', null, 1, 'minor', 'closed', '2031-03-15', null),
('mrr', 'growth@1', 'month', '2031-03-01', 'usd', '', '', null, null, 'minor', 'open', '2031-03-15', null),
('mau', '', 'month', '2031-02-01', '', '', '', null, 5, 'count', 'closed', '2031-03-15', null)
"""


def test_a_month_is_one_row_a_policy_and_currency_and_an_open_one_says_nothing(connection):
    connection.execute(FIGURES)
    assert rows(
        connection,
        "select month_start, reporting_currency, mrr_minor, nrr, arr_minor, state, receipt_id"
        " from marts.metrics_monthly order by 1, 2 nulls first",
    ) == [
        (date(2031, 2, 1), None, 2400, Decimal("1.05"), None, "closed", "r1"),
        (date(2031, 2, 1), "eur", 2200, None, None, "closed", "r1"),
        (date(2031, 3, 1), None, None, None, None, "open", None),
    ]
    assert rows(connection, "select count(*) from marts.figures") == [(7,)]


def test_no_row_of_movements_is_in_two_of_their_views(connection):
    connection.execute(
        "insert into revenue.mrr_movements (policy, grain, period_start, currency,"
        " reporting_currency, segment_by, segment, movement, cause, amount_minor, customers,"
        " changes, currency_switches, state)"
        " select 'growth@1', 'month', '2031-02-01', 'usd', r, s, s, 'churn', c, -100, 1, 1, 0, 'closed'"
        " from (values ('', '', ''), ('', '', 'voluntary'), ('', 'plan', ''), ('eur', '', ''))"
        " as v (r, s, c)"
    )
    counts = [
        rows(connection, f"select count(*), sum(amount_minor) from marts.{view}")[0]
        for view in (
            *("mrr_movements", "mrr_movements_by_cause", "mrr_movements_by_segment"),
            "mrr_movements_reporting",
        )
    ]
    assert counts == [(1, -100)] * 4


def _plan(connection, question):
    found = connection.execute(f"explain (analyze, format json) {question}").fetchone()[0]
    plan = found if isinstance(found, list) else json.loads(found)
    return plan[0]["Plan"]


def _nodes(plan):
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def test_one_day_is_read_by_index_and_never_unfolds_the_others(connection):
    connection.execute(
        "insert into revenue.mrr_spells (policy, account_id, customer_id, currency, subscription_id,"
        " item_id, from_at, until_at, from_on, until_on, mrr_minor, contract_minor, told_by)"
        " select 'growth@1', 'acct', 'c' || n, 'usd', 's' || n, 'i' || n, d, d + interval '90 days',"
        " d, d + 90, 100, 100, 'evt' from generate_series(1, 20000) as n"
        " cross join lateral (select date '2026-01-01' + n % 1800 as d) as v;"
        "insert into revenue.mrr_daily select 'growth@1', d::date, 'usd', 1, 1, 0, 1, 1, 0, 'closed'"
        " from generate_series(timestamp '2026-01-01', '2030-12-31', interval '1 day') as d;"
        "analyze revenue.mrr_spells; analyze revenue.mrr_daily"
    )
    for view in ("mrr_items_daily", "mrr_subscriptions_daily", "mrr_customers_daily"):
        plan = _plan(
            connection,
            f"select * from marts.{view} where policy = 'growth@1' and day = '2026-02-10'",
        )
        nodes = list(_nodes(plan))
        indexes = {node["Index Name"] for node in nodes if "Index Name" in node}
        assert {"mrr_daily_pkey", "mrr_spells_by_day"} <= indexes, view
        assert max(node["Actual Rows"] for node in nodes) < 2000, view


def test_a_month_cut_by_a_tool_is_still_cut_before_days_unfold(connection):
    plan = _plan(
        connection,
        "select * from marts.mrr_items_daily where policy = 'growth@1'"
        " and date_trunc('month', day) = '2031-02-01'",
    )
    days = [node for node in _nodes(plan) if node.get("Relation Name") == "mrr_daily"]
    assert days
    assert all("date_trunc" in str(node.get("Filter", "")) for node in days)
