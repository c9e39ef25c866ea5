"""A company of ten weeks in published tables: what a weekly report reads, written as plain rows.

The last complete week ends before Sunday 2025-03-09. Sign-ups, active users and payments are given
by week; everything else of the pipeline stays out.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

WEEK_END = date(2025, 3, 9)
NOW = datetime(2025, 3, 9, 9, tzinfo=UTC)
WEEKS = 10
ACCOUNT = "self"


def write_company(
    database, *, signups, active, payments, events=None, as_of=datetime(2025, 3, 9, 1, tzinfo=UTC)
):
    """`signups`, `active` (each day's DAU, WAU and MAU are made of it) and `payments` by week."""
    with database.connection() as connection:
        connection.execute("delete from cohorts.user_cohorts")
        connection.execute("delete from cohorts.active_users")
        connection.execute("delete from billing.payments")
        connection.execute("delete from cohorts.definitions")
        connection.execute("delete from cohorts.activity_definitions")
        _definitions(connection, as_of)
        for number, start in enumerate(weeks(len(signups))):
            _signups(connection, start, number, signups[number])
            _active(connection, start, active[number])
            _payments(connection, start, payments[number])
        for name, times in (events or {}).items():
            _events(connection, name, times)


def weeks(count=WEEKS):
    """First days of the weeks, oldest first."""
    return [WEEK_END - timedelta(days=7 * (count - n)) for n in range(count)]


def _definitions(connection, as_of):
    options = json.dumps({"tz": "UTC", "week_start": "monday"})
    connection.execute(
        "insert into cohorts.definitions (entry, grain, as_of, options, published_at)"
        " values ('signup', 'day', %s, %s, %s)",
        (as_of, options, as_of),
    )
    connection.execute(
        "insert into cohorts.activity_definitions (question, as_of, options)"
        " values ('active_users', %s, %s)",
        (as_of, options),
    )


def _signups(connection, start, week, count):
    connection.execute(
        "insert into cohorts.user_cohorts (entry, user_number, user_id, entered_on, week_start,"
        " month_start) select 'signup', %(first)s + n, 'user' || (%(first)s + n),"
        " %(day)s::date + n %% 7, %(day)s::date + n %% 7,"
        " date_trunc('month', (%(day)s::date + n %% 7)::timestamp)::date"
        " from generate_series(0, %(count)s - 1) as n",
        {"first": 10_000 * (week + 1), "day": start, "count": count},
    )


def _active(connection, start, users):
    for metric, factor in (("dau", 1), ("wau", 3), ("mau", 5)):
        connection.execute(
            "insert into cohorts.active_users (metric, grain, period_start, users, truncated,"
            " state) select %s, 'day', %s::date + n, %s, false, 'closed'"
            " from generate_series(0, 6) as n",
            (metric, start, factor * users),
        )


def _payments(connection, start, amounts):
    for number, amount in enumerate(amounts):
        connection.execute(
            "insert into billing.payments (account_id, livemode, charge_id, status, captured,"
            " currency, amount_minor, created_at, written_by, written_at)"
            " values (%s, false, %s, 'succeeded', true, 'usd', %s, %s, 'hand', %s)",
            (
                ACCOUNT,
                f"ch_{start}_{number}",
                amount,
                datetime(start.year, start.month, start.day, 12, tzinfo=UTC)
                + timedelta(days=number % 7),
                NOW,
            ),
        )


def _events(connection, name, times):
    """`times`: by week, ending with the last one."""
    connection.execute(
        "insert into events.sources (name) values ('app') on conflict (name) do nothing"
    )
    for start, count in zip(weeks(len(times)), times, strict=True):
        connection.execute(
            "insert into events.events (source_id, message_id, type, event, user_id, occurred_at,"
            " received_at, body) select 1, %(name)s || %(day)s || n, 'track', %(name)s,"
            " 'user' || n, %(day)s::date + interval '12 hours', %(day)s::date + interval '12 hours',"
            " '{}' from generate_series(1, %(count)s) as n",
            {"name": name, "day": start, "count": count},
        )
