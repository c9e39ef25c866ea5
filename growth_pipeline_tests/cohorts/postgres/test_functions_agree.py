"""The functions in Postgres and the pipeline say the same of every cell, over random histories."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from growth_pipeline.cohorts.cohort_store import Answer
from growth_pipeline.cohorts.definition import RetentionDefinition
from growth_pipeline.cohorts.money.money_store import MoneyStore
from growth_pipeline.cohorts.refresh.run import Wanted, answers_of, refresh
from growth_pipeline.cohorts.retention.measure import RetentionFacts, measure_retention
from growth_pipeline.core.ids import Scope
from growth_pipeline.events.activity.activity_store import ActivityStore
from growth_pipeline.events.activity.rollup import QualifyingSet, roll_up

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Africa/Cairo",
)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MEASURE = """
select c.cohort, n.period, m.cohort_start, m.cohort_size, m.users, m.rate, m.state
from unnest(%s::date[]) as c (cohort)
cross join generate_series(0, %s) as n (period)
cross join lateral cohorts.measure_cell(
    c.cohort, n.period, grain => %s, as_of => %s, retention => %s, periods => %s,
    period_days => %s, min_events => %s, events => %s, entry => %s
) as m
"""


def plant(company, chance: random.Random, users: int = 25, events: int = 300) -> datetime:
    """Random users and events around a change of clocks; the instant at which it all begins."""
    start = datetime(chance.randint(2011, 2026), chance.choice((2, 3, 9, 10, 12)), 20, tzinfo=UTC)
    whole = 70 * 86_400
    ids = [f"u{n}" for n in range(users)]
    company.sign_up(*((id, start + timedelta(seconds=chance.randrange(whole // 2))) for id in ids))
    company.act(
        *(
            (
                chance.choice([*ids, "nobody", "before"]),
                start + timedelta(seconds=chance.randrange(whole)),
                chance.choice("ab"),
            )
            for _ in range(events)
        )
    )
    return start


def test_functions_and_pipeline_agree_to_the_last_cell(company, database, store, engine, seed):
    chance = random.Random(seed)
    cells = 0
    for _ in range(6):
        company.ask("truncate app.users, app.acts")
        company.ask("truncate activity.user_numbers, activity.merged_ids, activity.excluded_users")
        company.ask("truncate cohorts.user_cohorts")
        start = plant(company, chance)
        activity = ActivityStore(database)
        activity.merge("before", "u1")
        activity.exclude("u2", "ours")
        for _ in range(4):
            asked = a_definition(chance, start)
            members = members_of(company, chance, asked, start)
            answer = Answer(asked, no_cells(asked), cohorts=(), members=members)
            store.publish([answer], now=start)
            expected = {
                (cell.cohort_start, cell.period_index): (
                    cell.cohort_size,
                    cell.users,
                    cell.rate,
                    cell.state.value,
                )
                for cell in measured_by_the_pipeline(activity, engine, asked, members)
            }
            assert measured_in_postgres(company, chance, asked, expected) == expected, asked
            cells += len(expected)
    assert cells > 50


def a_definition(chance: random.Random, start: datetime) -> RetentionDefinition:
    grain = chance.choice(("day", "week", "month"))
    anchored = grain == "week" and chance.random() < 0.5
    tz = chance.choice(ZONES)
    return RetentionDefinition(
        entry=chance.choice(("signup", "first_payment")),
        as_of=an_end(chance, start, tz),
        grain=grain,
        retention=chance.choice(("on", "on_or_after")),
        periods=chance.choice(("calendar", "since_entry")),
        period_days=chance.choice((1, 7, 30)),
        week_start=chance.choice(WEEKDAYS),
        anchor=date(2030, 2, 1) + timedelta(days=chance.randrange(28)) if anchored else None,
        tz=tz,
        max_period=chance.choice((3, 9)),
        min_events=chance.choice((1, 1, 2)),
        events=chance.choice((None, ("a",))),
    )


def an_end(chance: random.Random, start: datetime, tz: str) -> datetime:
    """Some instant, most often a local midnight, that instant, just before, or just after."""
    found = start + timedelta(seconds=chance.randrange(5 * 86_400, 120 * 86_400))
    if chance.random() < 0.3:
        return found
    midnight = found.astimezone(ZoneInfo(tz)).replace(hour=0, minute=0, second=0)
    return midnight.astimezone(UTC) + timedelta(microseconds=chance.choice((-1, 0, 0, 1)))


def no_cells(asked: RetentionDefinition) -> pl.DataFrame:
    from growth_pipeline.cohorts.retention.result import RetentionResult

    return RetentionResult(asked.resolved(), asked.as_of, [], [], {}, ()).frame()


def members_of(
    company, chance: random.Random, asked: RetentionDefinition, start: datetime
) -> pl.DataFrame:
    """Some users that count, with a day on which they entered otherwise, before as_of."""
    last = (asked.as_of - timedelta(microseconds=1)).astimezone(ZoneInfo(asked.tz)).date()
    numbers = company.ask(
        "select user_number from activity.user_numbers where user_id <> 'u2' order by 1"
    )
    days = [start.date() + timedelta(days=chance.randrange(40)) for _ in numbers]
    rows = [
        (number, (day - date(1970, 1, 1)).days)
        for (number,), day in zip(numbers, days, strict=True)
        if day <= last and chance.random() < 0.7
    ]
    kinds = {"user_number": pl.Int32, "entry_day": pl.Int32}
    return pl.DataFrame(rows, schema=kinds, orient="row")


def measured_by_the_pipeline(
    activity, engine, asked: RetentionDefinition, members: pl.DataFrame
) -> list[Any]:
    """Facts read as the rollup reads them, measured by the engine."""
    users = members
    if asked.entry == "signup":
        with activity.users(tz=asked.tz, as_of=asked.as_of) as batches:
            users = pl.concat(list(batches))
    users = users.with_columns(pl.lit(None, pl.String).alias("segment"))
    span = (date(2010, 1, 1), date(2028, 1, 1))
    with activity.events(*span, tz=asked.tz, as_of=asked.as_of, events=asked.events) as batches:
        events = pl.concat(list(batches))
    known = events.filter(pl.col("user_number").is_not_null() & ~pl.col("excluded"))
    days = known.group_by("user_number", "day").agg(pl.len().cast(pl.Int64).alias("events"))
    return measure_retention(engine, RetentionFacts(users, days), asked).cells


def measured_in_postgres(
    company, chance: random.Random, asked: RetentionDefinition, expected
) -> dict[Any, Any]:
    """Every cell by the functions, each cohort named by some day of it."""
    starts = sorted({cohort for cohort, _ in expected})
    some_day = {"day": 0, "week": 6, "month": 27}[asked.grain]
    cohorts = [start + timedelta(days=chance.randint(0, some_day)) for start in starts]
    rows = company.ask(
        MEASURE,
        *(cohorts, asked.last_period, asked.grain, asked.as_of, asked.retention, asked.periods),
        *(asked.period_days, asked.min_events),
        *(asked.events and list(asked.events), asked.entry),
    )
    named = dict(zip(cohorts, starts, strict=True))
    assert all(named[cohort] == start for cohort, _, start, *_ in rows)
    sizes = company.ask(
        "select c, cohorts.get_cohort_size(c, %s, %s, %s) from unnest(%s::date[]) as c",
        *(asked.grain, asked.entry, asked.as_of, cohorts),
    )
    told = {named[cohort]: size for cohort, size in sizes}
    assert told == {cohort: size for (cohort, _), (size, *_) in expected.items()}
    return {(row[2], row[1]): tuple(row[3:]) for row in rows}


def pay(company, chance: random.Random, start: datetime, until: datetime) -> None:
    """Most users pay some time, also nothing at all; the books know everything before an instant."""
    for number in range(18):
        company.ask(
            "insert into billing.user_customers (account_id, livemode, user_id, customer_id) "
            "values ('acct_9', false, %s, %s)",
            *(f"u{number}", f"cus_{number}"),
        )
        for turn in range(3):
            company.ask(
                "insert into billing.payments (account_id, livemode, charge_id, customer_id, "
                "status, captured, currency, amount_minor, created_at, written_by, written_at) "
                "values ('acct_9', false, %s, %s, 'succeeded', true, %s, %s, %s, 'mirror', now())",
                *(f"ch_{number}_{turn}", f"cus_{number}", chance.choice(("usd", "eur"))),
                *(chance.choice((0, 900)), start + timedelta(hours=chance.randrange(24 * 50))),
            )
    company.ask(
        "insert into billing.sweeps (account_id, livemode, swept_to) values ('acct_9', false, %s)",
        until,
    )


@pytest.mark.parametrize("entry", ["signup", "first_activity", "first_payment"])
def test_what_a_refresh_publishes_is_what_the_functions_say(
    company, database, store, lake, engine, seed, entry
):
    chance = random.Random(f"{seed} {entry}")
    start = plant(company, chance)
    activity = ActivityStore(database)
    tz = chance.choice(ZONES)
    as_of = start + timedelta(days=60)
    days = [start.date() + timedelta(days=n - 1) for n in range(62)]
    roll_up(activity, lake, engine, days, as_of=as_of, qualifying=QualifyingSet(tz=tz))
    pay(company, chance, start, as_of)
    books = MoneyStore(database, [Scope("acct_9", False)])
    wanted = Wanted(week_start=chance.choice(WEEKDAYS), entry=entry)
    made = refresh(lake, engine, wanted, now=as_of, books=books)
    done = store.publish(answers_of(made), now=as_of)

    assert sum(done.written.values()) == sum(one.published.frame.height for one in made) > 100
    differing = company.ask(
        "select m.grain, m.cohort_start, m.period_index, m.cohort_size, m.users, m.rate, m.state, f.*"
        " from cohorts.retention_metrics as m"
        " cross join lateral cohorts.measure_cell(m.cohort_start, m.period_index, m.grain, m.entry) as f"
        " where (m.cohort_start, m.cohort_size, m.users, m.rate, m.state)"
        " is distinct from (f.cohort_start, f.cohort_size, f.users, f.rate, f.state)"
        " or m.rate is distinct from"
        " cohorts.calculate_retention_rate(m.cohort_start, m.period_index, m.grain, m.entry)"
        " or m.cohort_size <> cohorts.get_cohort_size(m.cohort_start, m.grain, m.entry)"
    )
    assert differing == []


def test_rates_are_rounded_half_to_even_as_in_the_pipeline(company, seed):
    from growth_pipeline.cohorts.retention.rules import quotient

    chance = random.Random(seed)
    pairs = [(1, 2_000_000), (3, 2_000_000), (5, 2_000_000), (0, 0), (0, 7), (7, 7)]
    pairs += [(chance.randrange(1 << 40), chance.randrange(1, 1 << 40)) for _ in range(500)]
    rows = company.ask(
        "select u, b, cohorts.rate_of(u, b) from unnest(%s::bigint[], %s::bigint[]) as r (u, b)",
        [part for part, _ in pairs],
        [whole for _, whole in pairs],
    )
    assert rows == [(part, whole, quotient(part, whole)) for part, whole in pairs]
