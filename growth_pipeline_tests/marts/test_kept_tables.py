"""What is kept says what the views say, and a second refresh writes nothing."""

from __future__ import annotations

import random
from datetime import date

from growth_pipeline.marts.store import CUSTOMER_MONTHS, FINDINGS, PAYMENTS, Changed

JAN, FEB = date(2031, 1, 1), date(2031, 2, 1)
NOTHING = {CUSTOMER_MONTHS: Changed(), PAYMENTS: Changed(), FINDINGS: Changed()}


def rows(connection, question):
    return connection.execute(question).fetchall()


def test_closed_months_of_customers_are_kept_and_the_running_one_is_not(connection, store):
    told: list[str] = []
    changed = store.refresh(told.append)

    assert changed[CUSTOMER_MONTHS] == Changed(written=7, removed=0)
    assert told == ["customers of growth@1, 2031-01", "customers of growth@1, 2031-02"]
    assert rows(
        connection,
        "select month_start, customer_id, currency, mrr_minor from marts.mrr_customer_months"
        " order by 1, 2, 3",
    ) == [
        (JAN, "ann", "usd", 1500),
        (JAN, "bob", "usd", 900),
        (JAN, "cy", "jpy", 50),
        (FEB, "ann", "eur", 700),
        (FEB, "ann", "usd", 1500),
        (FEB, "bob", "usd", 900),
        (FEB, "cy", "jpy", None),
    ]
    assert store.faults() == {CUSTOMER_MONTHS: [], PAYMENTS: []}
    assert store.refresh() == NOTHING


def test_a_month_that_was_restated_is_written_and_a_withdrawn_policy_leaves(connection, store):
    store.refresh()
    connection.execute(
        "update revenue.mrr_spells set mrr_minor = 901 where item_id = 'si_4';"
        "delete from revenue.mrr_spells where customer_id = 'cy';"
    )
    assert store.refresh()[CUSTOMER_MONTHS] == Changed(written=2, removed=2)
    assert len(store.faults()[CUSTOMER_MONTHS]) == 4  # the published days were not changed with it

    connection.execute("delete from revenue.policies")
    assert store.refresh()[CUSTOMER_MONTHS] == Changed(removed=5)


def test_a_kept_month_that_was_changed_by_hand_is_a_fault_and_the_next_refresh_mends_it(
    connection, store
):
    store.refresh()
    connection.execute(
        "update marts.mrr_customer_months set mrr_minor = 899 where customer_id = 'bob'"
        " and month_start = '2031-01-01'"
    )
    assert store.faults()[CUSTOMER_MONTHS] == [
        "growth@1, 2031-01, usd: customers are 2399, published is 2400"
    ]
    assert store.refresh()[CUSTOMER_MONTHS] == Changed(written=1)
    assert store.faults()[CUSTOMER_MONTHS] == []


def test_payments_are_settled_ones_in_the_day_of_the_zone(connection, store):
    connection.execute(
        "insert into billing.payments (account_id, livemode, charge_id, status, captured, currency,"
        " amount_minor, refunded_minor, disputed_minor, created_at, written_by, written_at) values"
        " ('acct', false, 'ch_1', 'succeeded', true, 'usd', 4000, 1000, 0, '2031-04-30 22:30Z', 'mirror', now()),"
        " ('acct', false, 'ch_2', 'succeeded', true, 'usd', 1800, 0, 500, '2031-04-30 21:30Z', 'mirror', now()),"
        " ('acct', false, 'ch_3', 'pending', true, 'usd', 2500, 0, 0, '2031-04-30Z', 'mirror', now()),"
        " ('acct', false, 'ch_4', 'succeeded', false, 'usd', 3000, 0, 0, '2031-04-30Z', 'mirror', now())"
    )
    assert store.refresh()[PAYMENTS] == Changed(written=2)
    question = (
        "select day, tz, payments, gross_minor, refunded_minor, disputed_minor, net_minor"
        " from marts.payments_daily order by day"
    )
    assert rows(connection, question) == [
        (date(2031, 4, 30), "Europe/Berlin", 1, 1800, 0, 500, 1300),
        (date(2031, 5, 1), "Europe/Berlin", 1, 4000, 1000, 0, 3000),
    ]
    connection.execute("update billing.payments set status = 'failed' where charge_id = 'ch_2'")
    assert store.faults()[PAYMENTS] == ["acct, usd: days add up to 4300, booked is 3000"]
    assert store.refresh()[PAYMENTS] == Changed(removed=1)
    assert store.refresh() == NOTHING


def test_findings_are_counted_by_class_and_state_with_unknown_impacts_apart(connection, store):
    connection.execute(
        "alter table audit.findings drop constraint findings_audit_id_fkey;"
        "insert into audit.findings (account_id, livemode, month, fingerprint, audit_id, code,"
        " severity, object, object_id, currency, impact_minor, cause, action, command, evidence,"
        " first_seen_at, last_seen_at, closed_at, suppression)"
        " select 'acct', false, '2031-01-01', n::text, gen_random_uuid(), 'missing_in_db', 'HIGH',"
        " 'charge', 'ch_' || n, currency, impact, '', '', '', '{}', now(), now(), closed, why"
        " from (values (1, 'usd', -100, null::timestamptz, null::jsonb), (2, 'usd', -20, null, null),"
        " (3, 'usd', null, null, null), (4, null, null, null, null), (5, 'usd', -7, now(), null),"
        " (6, 'usd', -8, null, '{\"by\": \"ann\"}')) as v (n, currency, impact, closed, why)"
    )
    assert store.refresh()[FINDINGS] == Changed(written=4)
    question = (
        "select currency, state, findings, impact_minor, unknown_impacts from marts.audit_findings"
        " order by state, currency nulls first"
    )
    assert rows(connection, question) == [
        ("usd", "closed", 1, -7, 0),
        (None, "open", 1, 0, 1),
        ("usd", "open", 3, -120, 1),
        ("usd", "suppressed", 1, -8, 0),
    ]
    assert store.refresh() == NOTHING
    connection.execute("update audit.findings set closed_at = now() where fingerprint = '4'")
    assert store.refresh()[FINDINGS] == Changed(written=1, removed=1)


def test_any_history_is_kept_as_the_views_show_it(connection, store, seed):
    random_ = random.Random(seed)
    for number in range(60):
        start = random_.randrange(70)
        length = random_.choice([None, random_.randrange(1, 60)])
        connection.execute(
            "insert into revenue.mrr_spells (policy, account_id, customer_id, currency,"
            " subscription_id, item_id, from_at, until_at, from_on, until_on, mrr_minor, told_by)"
            " select 'growth@1', 'acct', %s, %s, %s, 'i', d, e, d, e, %s, '' from (select"
            " date '2031-01-01' + %s, date '2031-01-01' + %s::integer) as v (d, e)",
            [
                *(f"c{number % 9}", random_.choice(["usd", "eur"]), f"s{number}"),
                random_.choice([None, *range(5)]),
                start,
                None if length is None else start + length,
            ],
        )
    store.refresh()
    stale = random_.randrange(60)
    connection.execute(f"delete from revenue.mrr_spells where subscription_id = 's{stale}'")
    store.refresh()
    assert rows(
        connection,
        "select month_start, customer_id, currency, subscriptions, mrr_minor"
        " from marts.mrr_customer_months order by 1, 2, 3",
    ) == rows(
        connection,
        "select date_trunc('month', day)::date, customer_id, currency, subscriptions, mrr_minor"
        " from marts.mrr_customers_daily where day in ('2031-01-31', '2031-02-28') order by 1, 2, 3",
    )
