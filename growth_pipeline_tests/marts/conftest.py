"""A small company whose MRR is published, written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from growth_pipeline.marts.store import MartStore

Connection = psycopg.Connection[tuple[Any, ...]]

# Ann has two subscriptions, one in each currency and a second item from 20 January on; Bob leaves on
# 1 March (not live on that day); Cy's price is unknown from 10 February on. As of 15 March.
COMPANY = """
insert into revenue.policies values
('growth@1', '{}', 'UTC', '2031-03-15', '2031-03-15', 'hash', '1');
insert into revenue.mrr_spells
(policy, account_id, customer_id, currency, subscription_id, item_id, from_at, until_at, from_on, until_on,
    mrr_minor, contract_minor, cancels_at, told_by)
values
('growth@1', 'acct', 'ann', 'usd', 'sub_a', 'si_1', '2031-01-05', null, '2031-01-05', null, 1000, 1200, null, 'evt_1'),
('growth@1', 'acct', 'ann', 'usd', 'sub_a', 'si_2', '2031-01-20', null, '2031-01-20', null, 500, 500, '2031-04-01', 'evt_2'),
('growth@1', 'acct', 'ann', 'eur', 'sub_b', 'si_3', '2031-02-01', null, '2031-02-01', null, 700, 700, null, 'evt_3'),
('growth@1', 'acct', 'bob', 'usd', 'sub_c', 'si_4', '2031-01-10', '2031-03-01', '2031-01-10', '2031-03-01', 900, 900, null, 'evt_4'),
('growth@1', 'acct', 'cy', 'jpy', 'sub_d', 'si_5', '2031-01-31', '2031-02-10', '2031-01-31', '2031-02-10', 50, 50, null, 'evt_5'),
('growth@1', 'acct', 'cy', 'jpy', 'sub_d', 'si_5', '2031-02-10', null, '2031-02-10', null, null, null, null, 'evt_6');
insert into revenue.mrr_daily
select
    'growth@1',
    d::date,
    s.currency,
    case when count(*) = count(s.mrr_minor) then sum(s.mrr_minor) end,
    0,
    coalesce(sum(s.mrr_minor) filter (where s.cancels_at is not null), 0),
    count(distinct s.customer_id) filter (where s.mrr_minor > 0),
    count(distinct s.subscription_id),
    count(*) - count(s.mrr_minor),
    case when d < '2031-03-15' then 'closed' else 'open' end
from generate_series(timestamp '2031-01-01', '2031-03-15', interval '1 day') as d
inner join revenue.mrr_spells as s on s.from_on <= d and coalesce(s.until_on, 'infinity') > d
group by d, s.currency;
"""


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """The owner, in a database with the company."""
    with psycopg.connect(database_url, autocommit=True) as opened:
        opened.execute(COMPANY)
        yield opened


@pytest.fixture
def store(database: Any, connection: Connection) -> MartStore:
    """The tables kept of the company, payments by days in Berlin."""
    return MartStore(database, "Europe/Berlin")
