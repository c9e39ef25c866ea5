"""Several questions at once have the answers of each alone."""

import random
from datetime import UTC, date, datetime

import polars as pl
import pytest

from growth_pipeline.cohorts.definition import RetentionDefinition
from growth_pipeline.cohorts.retention.grains import measure_grains
from growth_pipeline.cohorts.retention.measure import RetentionFacts, measure_retention
from growth_pipeline.storage.engine import Engine

FIRST = (date(2031, 1, 1) - date(1970, 1, 1)).days


class CountingEngine(Engine):
    """How often a query read the activity and how many there were."""

    readings = 0

    def query(self, sql, tables, params=None):
        self.readings += "from activity" in sql
        return super().query(sql, tables, params)


@pytest.fixture
def engine(tmp_path):
    return CountingEngine("256MiB", 1, tmp_path / "engine")


def _facts(rng, *, with_money):
    users = {user: FIRST + rng.randrange(120) for user in range(80)}
    segments = [rng.choice((None, "", "a", "b")) for _ in users]
    days = sorted({(rng.randrange(85), FIRST + rng.randrange(-5, 250)) for _ in range(1200)})
    numbers, active = zip(*days, strict=True)
    kinds = {"user_number": pl.Int32, "day": pl.Int32, "events": pl.Int64}
    money = pl.DataFrame(
        {"user_number": numbers, "day": active}, schema=dict(list(kinds.items())[:2])
    )
    return RetentionFacts(
        users=pl.DataFrame(
            {"user_number": users.keys(), "entry_day": users.values(), "segment": segments},
            schema={"user_number": pl.Int32, "entry_day": pl.Int32, "segment": pl.String},
        ),
        activity=pl.DataFrame(
            {
                "user_number": numbers,
                "day": active,
                "events": [rng.randrange(1, 5) for _ in days],
            },
            schema=kinds,
        ),
        money=money.with_columns(currency=pl.lit("eur"), minor=pl.lit(250, pl.Int64))
        if with_money
        else None,
        dropped={"unknown_user": 3},
    )


def _questions(rng, count, **forced):
    as_of = datetime(2031, 7, rng.randrange(1, 30), tzinfo=UTC)
    return [
        RetentionDefinition(
            as_of=as_of,
            **{
                "grain": rng.choice(("day", "week", "month")),
                "periods": rng.choice(("calendar", "since_entry")),
                "retention": rng.choice(("on", "on_or_after", "bracket")),
                "open_cells": rng.choice(("null", "so_far")),
                "week_start": rng.choice(("monday", "sunday")),
                "max_period": rng.choice((0, 5, 19)),
                **forced,
            },
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("number", range(12))
def test_questions_at_once_have_the_answers_of_each_alone(engine, seed, number):
    rng = random.Random(f"{seed}/{number}")
    facts = _facts(rng, with_money=number % 2 == 0)
    asked = _questions(rng, rng.choice((2, 3)))
    alone = [measure_retention(engine, facts, definition) for definition in asked]
    assert measure_grains(engine, facts, asked) == alone


def test_day_week_and_month_read_the_activity_once_for_users_and_once_for_events(engine, seed):
    facts = _facts(random.Random(seed), with_money=False)
    as_of = datetime(2031, 7, 1, tzinfo=UTC)
    standard = [RetentionDefinition(as_of=as_of, grain=grain) for grain in ("day", "week", "month")]
    answers = measure_grains(engine, facts, standard)
    assert engine.readings == 3  # and once for the first and last day
    assert answers == [measure_retention(engine, facts, definition) for definition in standard]


@pytest.mark.parametrize(
    "forced", [{"min_events": 2}, {"mode": "recurring"}, {"max_period": 62}, {"grain": "day"}]
)
def test_questions_that_cannot_share_are_answered_one_by_one(engine, seed, forced):
    rng = random.Random(seed)
    facts = _facts(rng, with_money=False)
    asked = _questions(rng, 1 if "grain" in forced else 2, **forced)
    alone = [measure_retention(engine, facts, definition) for definition in asked]
    assert measure_grains(engine, facts, asked) == alone


def test_facts_without_any_user_have_no_cells(engine, seed):
    facts = _facts(random.Random(seed), with_money=False)
    empty = RetentionFacts(facts.users.clear(), facts.activity.clear())
    asked = _questions(random.Random(seed), 3)
    assert [answer.cells for answer in measure_grains(engine, empty, asked)] == [[], [], []]


def test_known_sizes_need_questions_that_share(engine, seed):
    facts = _facts(random.Random(seed), with_money=False)
    asked = _questions(random.Random(seed), 2, max_period=62)
    with pytest.raises(ValueError, match="share a word"):
        measure_grains(engine, facts, asked, sizes=[{}, {}])
