"""Rows of any published table as plain dicts, and a digest of them with zones of one's own."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from growth_pipeline.core.ids import Scope
from growth_pipeline.insights.digest.measure import measure_digest
from growth_pipeline.insights.sources import open_sources

WRITTEN = datetime(2025, 1, 1, tzinfo=UTC)


def put(database, table, *rows):
    """Insert rows given as dicts with the same columns; dicts in them become JSON."""
    if not rows:
        return
    names = list(rows[0])
    statement = (
        f"insert into {table} ({', '.join(names)}) values ({', '.join(['%s'] * len(names))})"
    )
    values = [
        [json.dumps(row[name]) if isinstance(row[name], dict) else row[name] for name in names]
        for row in rows
    ]
    with database.connection() as connection, connection.cursor() as cursor:
        cursor.executemany(statement, values)


def run(database, statement, values=None):
    """Run one statement."""
    with database.connection() as connection:
        connection.execute(statement, values)


def payment(name, amount, at, *, currency="usd", account="self", **told):
    """A row of billing.payments: settled unless told otherwise."""
    return {
        "account_id": account,
        "livemode": False,
        "charge_id": name,
        "status": "succeeded",
        "captured": True,
        "currency": currency,
        "amount_minor": amount,
        "created_at": at,
        "written_by": "hand",
        "written_at": WRITTEN,
        **told,
    }


def signup(number, day):
    """A row of cohorts.user_cohorts."""
    return {
        "entry": "signup",
        "user_number": number,
        "user_id": f"user{number}",
        "entered_on": day,
        "week_start": day,
        "month_start": day.replace(day=1),
    }


def active(metric, day, users, *, truncated=False):
    """A closed row of cohorts.active_users."""
    return {
        "metric": metric,
        "grain": "day",
        "period_start": day,
        "users": users,
        "truncated": truncated,
        "state": "closed",
    }


def cell(cohort, number, size, users, *, state="closed", currency=None, entry="signup"):
    """A row of cohorts.retention_metrics."""
    return {
        "entry": entry,
        "grain": "day",
        "cohort_start": cohort,
        "period_index": number,
        "currency": currency,
        "cohort_size": size,
        "users": users,
        "state": state,
        "final": False,
    }


def stage(funnel, start, number, step, users):
    """A closed row of cohorts.funnels."""
    return {
        "funnel": funnel,
        "grain": "week",
        "period_start": start,
        "stage": number,
        "step": step,
        "users": users,
        "state": "closed",
    }


def cohorts_known(database, as_of, *, tz="UTC", entry="signup"):
    """Publish the question of cohorts by day."""
    put(
        database,
        "cohorts.definitions",
        {
            "entry": entry,
            "grain": "day",
            "as_of": as_of,
            "options": {"tz": tz, "week_start": "monday"},
            "published_at": as_of,
        },
    )


def question_known(database, question, as_of, *, name="", tz="UTC", week_start="monday"):
    """Publish a question about activity."""
    put(
        database,
        "cohorts.activity_definitions",
        {
            "question": question,
            "name": name,
            "as_of": as_of,
            "options": {"tz": tz, "week_start": week_start},
        },
    )


def event(number, name, user, at, *, received_at=None, type="track"):
    """A row of events.events of source 1."""
    return {
        "source_id": 1,
        "message_id": f"m{number}",
        "type": type,
        "event": name if type == "track" else None,
        "user_id": user,
        "occurred_at": at,
        "received_at": received_at or at,
        "body": b"{}",
    }


def digest_of(
    database,
    engine,
    *,
    week_end,
    now,
    revenue_tz="UTC",
    activity_tz="UTC",
    week_start="sunday",
    weeks=8,
    previous=None,
    accounts=("self",),
    entry="signup",
    policy="growth",
):
    """The digest as it is known now."""

    class Revenue:
        policies = (policy,)
        timezone = revenue_tz

    sources = open_sources(
        database,
        engine,
        scopes=[Scope(account, False) for account in accounts],
        revenue=Revenue,
        cohort_entry=entry,
        activity_tz=activity_tz,
        week_start=week_start,
    )
    return measure_digest(sources, week_end=week_end, weeks=weeks, now=now, previous=previous)
