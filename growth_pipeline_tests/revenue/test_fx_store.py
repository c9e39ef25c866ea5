"""Rates and converted figures in a real Postgres."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from growth_pipeline.revenue.fx_files import GivenRate
from growth_pipeline.revenue.fx_store import FxStore, Imported
from growth_pipeline.revenue.reporting import Reporting, publish_reporting

NOW = datetime(2031, 5, 2, tzinfo=UTC)
MAR_31, APR_30, APRIL = date(2031, 3, 31), date(2031, 4, 30), date(2031, 4, 1)
PUBLISHED = """
insert into revenue.figures (metric, policy, grain, period_start, currency, value, unit, numerator,
    denominator, state, as_of)
select metric, 'growth@1', 'month', '2031-04-01', currency, value, 'minor', above, below, 'closed', '2031-05-01'
from (values
('mrr', 'eur', 12000, null, null), ('mrr_start', 'eur', 10000, null, null),
('expansion_mrr', 'eur', 2000, null, null), ('contract_mrr', 'eur', 13000, null, null),
('scheduled_churn', 'eur', 1000, null, null), ('nrr', 'eur', 1.2, 12000, 10000),
('mrr', 'usd', 500, null, null), ('mrr_start', 'usd', 500, null, null),
('nrr', 'usd', 1, 500, 500)) as v (metric, currency, value, above, below);
insert into revenue.mrr_movements (policy, grain, period_start, currency, movement, amount_minor,
    customers, changes, state)
values ('growth@1', 'month', '2031-04-01', 'eur', 'expansion', 2000, 3, 3, 'closed');
insert into revenue.mrr_spells (policy, account_id, customer_id, currency, subscription_id, item_id,
    from_at, from_on, mrr_minor, told_by)
values ('growth@1', 'a', 'ann', 'eur', 's1', 'i', '2031-01-01', '2031-01-01', 12000, ''),
('growth@1', 'a', 'ann', 'usd', 's2', 'i', '2031-01-01', '2031-01-01', 500, ''),
('growth@1', 'a', 'free', 'usd', 's3', 'i', '2031-01-01', '2031-01-01', 0, '');
"""
RATES = [
    GivenRate("eur", "usd", MAR_31, Decimal("1.10")),
    GivenRate("eur", "usd", APR_30, Decimal("1.05")),
]


@pytest.fixture
def store(database):
    with database.connection() as connection:
        connection.execute(PUBLISHED)
    return FxStore(database)


def published(database, into="usd"):
    with database.connection() as connection:
        rows = connection.execute(
            "select metric, value, reason, rates from marts.figures where reporting_currency = %s",
            [into],
        ).fetchall()
    return {metric: rest for metric, *rest in rows}


def publish(store, into="usd", age=0):
    return publish_reporting(store, ["growth@1"], Reporting(into, age), now=NOW)


def test_rates_are_stored_replaced_and_told_apart(store):
    assert store.import_rates(RATES, source="bank.csv", now=NOW) == Imported(2, 0, 0)
    changed = [RATES[0], RATES[1]._replace(rate=Decimal("1.06"))]
    assert store.import_rates(changed, source="bank.csv", now=NOW) == Imported(0, 1, 1)
    assert store.rates("usd") == [
        ("eur", MAR_31, Decimal("1.10")),
        ("eur", APR_30, Decimal("1.06")),
    ]
    assert [row[2] for row in store.listed(first=APR_30)] == [APR_30]
    assert store.listed(currency="gbp") == []


def test_figures_of_all_currencies_in_one_name_the_rates_they_used(store, database):
    store.import_rates(RATES, source="bank.csv", now=NOW)
    assert publish(store) > 0
    found = published(database)
    assert found["mrr"] == [
        *(
            Decimal(13_100),
            None,
            {
                "closing": {
                    "eur": {"rate": "1.05", "on": "2031-04-30"},
                    "usd": {"rate": "1", "on": "2031-04-30"},
                }
            },
        )
    ]
    told = {name: found[name][0] for name in ("mrr_start", "fx_mrr", "expansion_mrr", "cmrr")}
    assert told == {"mrr_start": 11_500, "fx_mrr": -500, "expansion_mrr": 2_100, "cmrr": 12_050}
    # Ann pays in two currencies and is one customer; (120 x 1.10 + 5) / (100 x 1.10 + 5).
    assert (found["customers"][0], found["nrr"][0]) == (1, Decimal("1.191304"))
    with database.connection() as connection:
        moved = connection.execute(
            "select currency, movement, amount_minor, customers from marts.mrr_movements_reporting"
            " where amount_minor <> 0 order by 2"
        ).fetchall()
    assert moved == [("eur", "expansion", 2_100, 3), ("eur", "fx", -500, None)]
    assert publish(store) == 0


def test_without_a_rate_there_is_a_reason_and_with_an_older_one_its_day(store, database):
    store.import_rates(
        [RATES[0], RATES[1]._replace(rate_on=date(2031, 4, 28))], source="x", now=NOW
    )
    publish(store)
    assert published(database)["mrr"] == [None, "no_rate", None]
    publish(store, age=3)
    used = published(database)["mrr"][2]
    assert used["closing"]["eur"] == {"rate": "1.05", "on": "2031-04-28"}


def test_a_rate_that_is_unknown_in_its_own_currency_keeps_its_reason(store, database):
    with database.connection() as connection:
        connection.execute(
            "insert into revenue.figures (metric, policy, grain, period_start, currency, unit, "
            "state, reason, as_of) values ('nrr_3', 'growth@1', 'month', '2031-04-01', 'usd', "
            "'ratio', 'closed', 'unknown_price', '2031-05-01')"
        )
    store.import_rates(RATES, source="bank", now=NOW)
    publish(store)
    found = published(database)
    assert found["nrr_3"] == [None, "unknown_price", None]
    assert found["nrr"][0] is not None


def test_another_reporting_currency_replaces_the_first_and_none_withdraws_it(store, database):
    store.import_rates(RATES, source="x", now=NOW)
    publish(store)
    publish(store, into="eur")
    assert published(database) == {}
    assert published(database, "eur")["mrr"][1] == "no_rate"
    publish(store, into=None)
    assert published(database, "eur") == {}
    with database.connection() as connection:
        own = connection.execute("select count(*) from marts.figures").fetchone()
    assert own == (9,)
