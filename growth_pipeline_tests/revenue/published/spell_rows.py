"""Published spells written by hand into Postgres."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta

from growth_pipeline.revenue.policies import policy_named

ACCOUNT = "acct_1"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def at(day):
    """The first instant of a UTC day."""
    return datetime.combine(date.fromisoformat(day), time(), UTC)


def spell(customer, since, until, minor, **told):
    """One spell: an item of a subscription of its own, in USD, unless told otherwise."""
    return {
        "customer_id": customer,
        "from": since,
        "until": until,
        "minor": minor,
        "currency": "usd",
        "subscription": f"sub_{customer}",
        "item": f"si_{customer}",
        "product": "basic",
        "every": "month",
        "contract": minor,
        "ends_by": None,
        "cancels_at": None,
        **told,
    }


def write_spells(connection, spells, *, as_of, policy="growth@1", tz="UTC"):
    """Make these all the spells of a policy, in UTC days."""
    connection.execute("delete from revenue.mrr_spells where policy = %s", [policy])
    connection.execute("delete from revenue.mrr_daily where policy = %s", [policy])
    connection.execute(
        "insert into revenue.policies values (%s, %s, %s, %s, %s, 'x', '1')"
        " on conflict (policy) do update set as_of = excluded.as_of",
        [policy, json.dumps(policy_named(policy).resolved()), tz, at(as_of), at(as_of)],
    )
    for row in spells:
        since, until = at(row["from"]), row["until"] and at(row["until"])
        connection.execute(
            "insert into revenue.mrr_spells (policy, account_id, customer_id, currency,"
            " subscription_id, item_id, product_id, quantity, billing_interval, interval_count,"
            " from_at, until_at, from_on, until_on, mrr_minor, contract_minor, ends_by, cancels_at,"
            " told_by) values (%s, %s, %s, %s, %s, %s, %s, 1, %s, 1, %s, %s, %s, %s, %s, %s, %s, %s,"
            " 'evt_1')",
            [
                *(policy, ACCOUNT, row["customer_id"], row["currency"], row["subscription"]),
                *(row["item"], row["product"], row["every"], since, until, since.date()),
                *(until and until.date(), row["minor"], row["contract"], row["ends_by"]),
                row["cancels_at"] and at(row["cancels_at"]),
            ],
        )
    _write_days(connection, spells, policy, at(as_of).date())


def _write_days(connection, spells, policy, end):
    """Sum every day by a plain loop."""
    first = min(date.fromisoformat(row["from"]) for row in spells)
    for number in range((end - first).days):
        day = first + timedelta(days=number)
        live = [
            row
            for row in spells
            if date.fromisoformat(row["from"]) <= day
            and (row["until"] is None or day < date.fromisoformat(row["until"]))
        ]
        for currency in {row["currency"] for row in live}:
            rows = [row for row in live if row["currency"] == currency]
            paying = {row["customer_id"] for row in rows if row["minor"]}
            known = all(row["minor"] is not None for row in rows)
            connection.execute(
                "insert into revenue.mrr_daily values (%s, %s, %s, %s, %s, 0, %s, %s, 0, 'closed')",
                [
                    *(policy, day, currency),
                    sum(row["minor"] for row in rows) if known else None,
                    sum(row["minor"] for row in rows) if known else None,
                    *(len(paying), len({row["subscription"] for row in rows})),
                ],
            )
