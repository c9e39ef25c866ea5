"""What journeys are worth, against published figures and rows worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from growth_pipeline.lifecycle.journeys.lift import lift_of, measure_lift
from growth_pipeline.lifecycle.journeys.model import DoesEvent, EntersStage
from growth_pipeline.lifecycle.refresh.refresh import refresh_stages
from growth_pipeline_tests.lifecycle.journeys.lives import a_journey, at
from growth_pipeline_tests.lifecycle.lifecycle_company import RULES, SCOPE, Company

WELCOME = a_journey(
    "welcome",
    trigger=EntersStage("signed_up"),
    goal=DoesEvent("Project Created"),
    goal_days=10,
)


@pytest.fixture
def company(database_url):
    made = Company(database_url)
    yield made
    made.close()


def enrol(company, user, *, is_holdout, entered_at, version=1, journey="welcome"):
    company.connection.execute(
        "insert into lifecycle.enrolments (user_number, journey, version, entered_at, trigger,"
        " is_holdout, state) select user_number, %s, %s, %s, '{}', %s, 'finished'"
        " from activity.user_numbers where user_id = %s",
        [journey, version, entered_at, is_holdout, user],
    )


@pytest.mark.parametrize(
    ("figures", "low", "high"),
    [
        # Newcombe 1998 (Statistics in Medicine 17: 873-890), table II, method 10.
        ((70, 56, 80, 48), 0.0524, 0.3339),
    ],
)
def test_the_interval_is_the_published_one(figures, low, high):
    treated, goals, holdout, held_goals = figures
    found = lift_of("any", treated, goals, holdout, held_goals)
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert not found.too_few


def test_fewer_than_20_users_on_a_side_tell_nothing():
    few, enough = lift_of("any", 100, 10, 19, 1), lift_of("any", 100, 10, 20, 1)
    assert (few.too_few, few.low, few.high) == (True, None, None)
    assert few.difference == pytest.approx(0.1 - 1 / 19)
    assert (enough.too_few, enough.low is None) == (False, False)


def test_one_side_alone_has_no_difference():
    found = lift_of("any", 100, 10, 0, 0)
    assert (found.difference, found.too_few) == (None, True)


def test_shares_of_nobody_and_everybody_have_an_interval_within_the_possible():
    found = lift_of("any", 50, 50, 50, 0)
    assert found.difference == 1
    assert 0.8 < found.low < 1 <= found.high <= 1.0000001


def test_goals_of_both_sides_are_read_from_the_facts(database, company):
    for number in range(50):
        company.sign_up(f"u{number}", date(2026, 3, 1))
    goals = {
        **{f"u{number}": at(5) for number in range(9)},  # 9 of those with messages
        "u9": at(12),  # 10 days after, to the second: in time
        "u10": at(12) + timedelta(seconds=1),  # too late
        "u11": at(2),  # when the journey began, not after it
        **{f"u{number}": at(6) for number in range(30, 33)},  # 3 of those held out
    }
    for user, when in goals.items():
        company.tell(user, "Project Created", when)
    refresh_stages(database, [SCOPE], RULES, now=at(20))
    for number in range(50):
        enrol(company, f"u{number}", is_holdout=number >= 30, entered_at=at(2))
    found = measure_lift(database, [WELCOME], RULES, now=at(20))
    assert [
        (one.journey, one.treated, one.treated_goals, one.holdout, one.holdout_goals, one.open)
        for one in found
    ] == [("welcome", 30, 10, 20, 3, 0)]
    assert found[0].difference == pytest.approx(10 / 30 - 3 / 20)
    assert found[0].to_dict()["too_few"] is False


def test_whose_time_is_not_over_is_open_and_excluded_users_are_left_out(database, company):
    for user in ("ann", "bob", "cid"):
        company.sign_up(user, date(2026, 3, 1))
    company.connection.execute(
        "insert into activity.excluded_users (user_key, reason)"
        " values (activity.user_key('cid'), 'test')"
    )
    refresh_stages(database, [SCOPE], RULES, now=at(20))
    enrol(company, "ann", is_holdout=False, entered_at=at(10))  # until the 20th
    enrol(company, "bob", is_holdout=False, entered_at=at(10) + timedelta(seconds=1))
    enrol(company, "cid", is_holdout=True, entered_at=at(2))
    (found,) = measure_lift(database, [WELCOME], RULES, now=at(20))
    assert (found.treated, found.holdout, found.open) == (1, 0, 1)


def test_only_the_version_that_is_loaded_counts_and_a_journey_without_a_goal_has_no_lift(
    database, company
):
    for user in ("ann", "bob"):
        company.sign_up(user, date(2026, 3, 1))
    refresh_stages(database, [SCOPE], RULES, now=at(20))
    enrol(company, "ann", is_holdout=False, entered_at=at(2))
    enrol(company, "bob", is_holdout=False, entered_at=at(2), version=2)
    enrol(company, "bob", is_holdout=False, entered_at=at(2), journey="gone")
    journeys = [replace(WELCOME, version=2), a_journey("goalless")]
    assert [
        (one.journey, one.treated) for one in measure_lift(database, journeys, RULES, now=at(20))
    ] == [("welcome", 1)]


def test_without_enrolments_there_is_nothing_to_tell(database):
    (found,) = measure_lift(database, [WELCOME], RULES, now=at(20))
    assert (found.treated, found.holdout, found.difference) == (0, 0, None)
