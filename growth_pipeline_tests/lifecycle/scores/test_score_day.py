"""Scores and stages of whole days, and the back-test, against plain loops; on a real Postgres."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.lifecycle.refresh.refresh import refresh_stages
from growth_pipeline.lifecycle.scores.backtest import auc, describe_backtest, run_backtest
from growth_pipeline.lifecycle.scores.score_day import DATASET, score_day
from growth_pipeline.storage.lake import Lake
from growth_pipeline_tests.lifecycle.lifecycle_company import FEATURES, RULES, SCOPE, Company

FIRST = date(2026, 1, 1)


@pytest.fixture
def company(database_url):
    made = Company(database_url)
    yield made
    made.close()


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path))


def at(day):
    return datetime(day.year, day.month, day.day, 6, tzinfo=UTC)


def plain_score(first, day, active, uses):
    """The rule once more, as a loop. Source: metrics.md, 10."""
    lived = (day - first).days + 1
    ages = range(min(max(lived, 7), 56))
    done = sum(0.5 ** ((day - one).days / 14) for one in active if 0 <= (day - one).days < 56)
    frequency = min(1.0, done / (5 / 7 * sum(0.5 ** (age / 14) for age in ages)))
    before = [one for one in active if one <= day]
    recency = 0.5 ** ((day - max(before)).days / 7) if before else 0.0
    breadth = 0.0
    for days in uses.values():
        until = [one for one in days if one <= day]
        breadth += 0.5 ** ((day - max(until)).days / 28) if until else 0.0
    exact = 100 * (0.40 * frequency + 0.35 * recency + 0.25 * min(1.0, breadth / 4))
    return round(exact, 6)


def test_a_day_is_scored_and_counted_as_loops_do(database, company, lake, seed):
    random_ = random.Random(seed)
    last, known = FIRST + timedelta(days=119), {}
    for number in range(40):
        user, first = f"u{number}", FIRST + timedelta(days=random_.randint(0, 100))
        company.sign_up(user, first)
        span = (last - first).days
        active, uses = {first}, {}
        for day in random_.sample(range(span + 1), random_.randint(0, min(30, span))):
            event, when = random_.choice([*FEATURES, "Viewed"]), first + timedelta(days=day)
            company.use(user, event, when)
            active.add(when)
            if event in FEATURES:
                uses.setdefault(event, set()).add(when)
        known[user] = (first, active, uses)
    refresh_stages(database, [SCOPE], RULES, now=at(last + timedelta(days=1)))
    numbers = dict(company.rows("select user_number, user_id from activity.user_numbers"))
    for day in (last, last - timedelta(days=40)):  # the second: uses lie after it
        done = score_day(database, lake, day, now=at(last))
        frame = lake.read(lake.read_manifest(DATASET, {"day": day.isoformat()}))
        there = {user: told for user, told in known.items() if told[0] <= day}
        assert done.users == len(there) == frame.height
        for number, score in frame.select("user_number", "score").iter_rows():
            exact = plain_score(known[numbers[number]][0], day, *known[numbers[number]][1:])
            assert abs(score - exact) <= 0.5 + 1e-6
        stages = company.rows(
            "select stage, users from lifecycle.stage_days where day = %s order by 1", day
        )
        told = Counter(
            company.rows(
                "select to_stage from lifecycle.transitions as t where superseded_at is null and"
                " day = (select max(day) from lifecycle.transitions as o where o.user_number ="
                " t.user_number and o.superseded_at is null and o.day <= %s)",
                day,
            )
        )
        assert stages == sorted((stage, count) for (stage,), count in told.items())
        bands = company.rows(
            "select sum(users)::int, sum(score_sum)::int from lifecycle.score_days where day = %s",
            day,
        )
        assert bands == [(len(there), frame["score"].sum())]


def test_a_day_that_is_not_decided_is_not_scored(database, company, lake):
    with pytest.raises(UsageError, match="nothing is decided yet"):
        score_day(database, lake, FIRST, now=at(FIRST))
    company.sign_up("ann", FIRST)
    refresh_stages(database, [SCOPE], RULES, now=at(FIRST + timedelta(days=2)))
    with pytest.raises(UsageError, match="decided to 2026-01-02"):
        score_day(database, lake, FIRST + timedelta(days=2), now=at(FIRST))


def test_scoring_a_day_again_replaces_it(database, company, lake):
    company.sign_up("ann", FIRST)
    refresh_stages(database, [SCOPE], RULES, now=at(FIRST + timedelta(days=2)))
    score_day(database, lake, FIRST, now=at(FIRST))
    company.tell("bob", "Viewed", at(FIRST), received=at(FIRST + timedelta(days=2)))
    refresh_stages(database, [SCOPE], RULES, now=at(FIRST + timedelta(days=3)))
    assert score_day(database, lake, FIRST, now=at(FIRST)).users == 2
    rows = company.rows("select stage, users from lifecycle.stage_days")
    assert rows == [("signed_up", 2)]


# --- the back-test -------------------------------------------------------------------------------


def plain_auc(scores, happened):
    hits = [score for score, did in zip(scores, happened, strict=True) if did]
    misses = [score for score, did in zip(scores, happened, strict=True) if not did]
    right = sum((hit > miss) + 0.5 * (hit == miss) for hit in hits for miss in misses)
    return right / (len(hits) * len(misses))


@pytest.mark.parametrize(
    ("scores", "happened", "expected"),
    [
        ([1, 2, 3, 4], [False, False, True, True], 1.0),
        ([1, 2, 3, 4], [True, True, False, False], 0.0),
        ([5, 5, 5, 5], [True, False, True, False], 0.5),
        ([1, 2, 2, 3], [False, True, False, True], 0.875),  # of 4 pairs: 3 right, 1 tie
    ],
)
def test_auc_by_hand(scores, happened, expected):
    assert auc(scores, happened) == expected


def test_auc_is_the_share_of_pairs_in_order(seed):
    random_ = random.Random(seed)
    for _ in range(50):
        scores = [random_.randint(0, 20) for _ in range(60)]
        happened = [random_.random() < 0.3 for _ in scores]
        if any(happened) and not all(happened):
            assert auc(scores, happened) == pytest.approx(plain_auc(scores, happened))


def test_auc_needs_both_kinds():
    assert auc([1, 2], [True, True]) is None
    assert auc([], []) is None


def test_a_backtest_looks_at_what_came_after_the_snapshot(database, company, lake):
    decided = FIRST + timedelta(days=100)
    snapshot = decided - timedelta(days=30)
    company.connection.execute(
        "insert into activity.user_numbers (user_key, user_id)"
        " select activity.user_key('u' || n), 'u' || n from generate_series(1, 6) as n"
    )
    company.connection.execute(
        "insert into lifecycle.users (user_number, stage, since_on, first_on, decided_on,"
        " decided_at) select user_number, 'activated', %s, %s, %s, now()"
        " from activity.user_numbers",
        [FIRST, FIRST, decided],
    )
    stages = [
        *((number, FIRST, "activated") for number in (1, 2, 3)),
        *((number, FIRST, "paying") for number in (4, 5, 6)),
        (1, snapshot + timedelta(days=30), "paying"),  # converted on the last day of the 30
        (2, snapshot + timedelta(days=31), "paying"),  # a day too late
        (4, snapshot + timedelta(days=1), "churned"),
        (5, snapshot, "churned"),  # on the day itself: churned already
    ]
    for number, day, stage in stages:
        company.connection.execute(
            "insert into lifecycle.transitions (user_number, day, to_stage, evidence, definition,"
            " decided_at) values (%s, %s, %s, '{}', 'stages@1', now())",
            [number, day, stage],
        )
        company.connection.execute(
            "update lifecycle.users set stage = %s, since_on = %s where user_number = %s",
            [stage, day, number],
        )
    company.connection.execute(  # the one who converts was active on the snapshot day
        "insert into lifecycle.user_days values (1, %s), (6, %s)", [snapshot, snapshot]
    )
    company.connection.execute(
        "insert into lifecycle.last_uses values (1, '', %s), (6, '', %s)", [snapshot, snapshot]
    )
    found = {(one.outcome, one.snapshot_on): one for one in run_backtest(database, now=at(decided))}
    converted, churned = found["converted", snapshot], found["churned", snapshot]
    assert (converted.users, converted.happened, converted.auc) == (3, 1, 1.0)
    assert (churned.users, churned.happened, churned.auc) == (2, 1, 1.0)
    bands = {cell["band"]: (cell["users"], cell["happened"]) for cell in converted.calibration}
    # Active on one day: recency 35 points, frequency 1 of 13.86 (3 points): 38.
    assert bands == {
        "none": (2, 0), "low": (0, 0), "fading": (1, 1), "steady": (0, 0), "high": (0, 0),
    }  # fmt: skip
    kept = company.rows("select count(*) from lifecycle.backtests where auc = 1")
    assert kept == [(2,)]
    page = describe_backtest(list(found.values()))
    assert "few users" in page
    assert "data:image/png" in page


def test_a_company_without_history_has_no_backtest(database):
    assert run_backtest(database, now=at(FIRST)) == []
    assert "nothing to hold" in describe_backtest([])
