"""Members of an entry other than the sign-up: handed over where they differ, whatever happened."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from growth_pipeline.cohorts.cohort_store import Answer
from growth_pipeline.cohorts.refresh.wanted import Wanted
from growth_pipeline.cohorts.retention.result import RetentionResult
from growth_pipeline.events.activity.activity_store import ActivityStore

EPOCH = date(1970, 1, 1)
START = date(2031, 1, 20)
NOW = datetime(2031, 6, 1, tzinfo=UTC)
ENTRY = "first_activity"


def _publish(store, entered, week_start="monday"):
    rows = [(number, (day - EPOCH).days) for number, day in entered.items()]
    kinds = {"user_number": pl.Int32, "entry_day": pl.Int32}
    members = pl.DataFrame(rows, schema=kinds, orient="row")
    wanted = Wanted(entry=ENTRY, week_start=week_start)
    definition = wanted.definition("day", (START - EPOCH).days + 90, "UTC")
    cells = RetentionResult(definition.resolved(), definition.as_of, [], [], {}, ()).frame()
    return store.publish([Answer(definition, cells, members=members)], now=NOW).users


def _there(company):
    rows = company.ask(
        "select user_number, user_id, entered_on, week_start from cohorts.user_cohorts "
        "where entry = %s",
        ENTRY,
    )
    return {number: told for number, *told in rows}


def _week(day, first_weekday):
    return day - timedelta(days=(day.weekday() - first_weekday) % 7)


@pytest.fixture
def numbers(company):
    """u0 to u29 by number."""
    company.sign_up(*((f"u{n}", datetime(2030, 1, 1, tzinfo=UTC)) for n in range(30)))
    return dict(company.ask("select user_number, user_id from activity.user_numbers"))


def test_postgres_has_the_members_of_the_lake_after_any_change(
    store, company, database, numbers, seed
):
    chance = random.Random(seed)
    ids, left_out, entered = dict(numbers), set(), {}
    first_weekday = 0
    for _ in range(25):
        for number in chance.sample(list(numbers), chance.randint(0, 6)):
            entered[number] = START + timedelta(days=chance.randint(0, 9))
        for number in chance.sample(list(entered), min(len(entered), chance.randint(0, 2))):
            del entered[number]
        happened = chance.random()
        number = chance.choice(list(numbers))
        if happened < 0.15:  # a user leaves every number before the lake knows
            ActivityStore(database).exclude(numbers[number], "ours")
            left_out.add(number)
        elif happened < 0.3:  # a user was deleted: the row stays, the id goes
            company.ask(
                "update activity.user_numbers set user_id = null, deleted_at = %s "
                "where user_number = %s",
                *(NOW, number),
            )
            ids[number] = None
        elif happened < 0.4:  # somebody's hand
            company.ask("delete from cohorts.user_cohorts where user_number = %s", number)
        first_weekday = chance.choice((0, 0, 0, 6))
        week_start = {0: "monday", 6: "sunday"}[first_weekday]
        _publish(store, entered, week_start)
        assert _there(company) == {
            number: [ids[number], day, _week(day, first_weekday)]
            for number, day in entered.items()
            if number not in left_out
        }


def test_equal_members_write_nothing_and_a_new_one_is_one_row(store, numbers):
    first, second, third = sorted(numbers)[:3]
    told = _publish(store, {first: START, second: START})
    assert (told.moved, told.removed) == (0, 0)
    again = _publish(store, {first: START, second: START})
    assert (again.assigned, again.moved, again.removed) == (0, 0, 0)
    later = START + timedelta(days=1)
    changed = _publish(store, {first: later, third: START})
    assert (changed.assigned, changed.moved, changed.removed) == (1, 1, 1)
