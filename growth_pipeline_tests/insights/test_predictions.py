"""What a report expects of the next week, and how that week judges it, by hand."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from growth_pipeline.insights.change import facts_of
from growth_pipeline.insights.claims import Prediction
from growth_pipeline.insights.facts import Digest, Direction, Kind, Unit
from growth_pipeline.insights.predictions import Made, expected, grade, share_held
from growth_pipeline_tests.insights.test_change import END, a_series

WEEK = timedelta(days=7)
CALM = [100, 120, 100, 120, 100, 120, 100, 120]
RISING = [100, 110, 120, 130, 140, 150, 160]


def a_digest(*series, end: date = END) -> Digest:
    return Digest(
        week_start=end - WEEK, week_end=end, weeks=8, made_at=None, facts=facts_of(series)
    )


def signups(values, **more):
    return a_series(values, **{"fact_id": "signups", "family": "signups"} | more)


def made(direction, fact_id="signups", then=Decimal(100)):
    prediction = Prediction(fact_id=fact_id, direction=direction, written_by="rule")
    return Made(report_id="r", prediction=prediction, value_then=then)


@pytest.mark.parametrize(
    ("values", "goes_on"),
    [
        ([*RISING, 220], [Direction.UP]),  # up since 160 (z 3.08), tau 1
        ([*reversed(RISING), 60], [Direction.DOWN]),  # down since 100 (z -3.16), tau -1
        ([*RISING, 165], []),  # the last week says nothing clear
        ([*RISING, 100], []),  # it speaks against the trend
        ([*CALM, 240], []),  # up, and the eight weeks have no trend
        ([110, 120, 220], []),  # no trend of three weeks
    ],
)
def test_a_clear_trend_that_the_last_week_confirms_is_expected_to_go_on(values, goes_on):
    assert [one.direction for one in expected(a_digest(signups(values)))] == goes_on


def test_at_most_five_are_expected_and_only_of_what_a_company_steers_by():
    rising = [*RISING, 220]
    steered = [signups(rising, fact_id=f"mrr.{n}", family="mrr") for n in "abcdef"]
    others = [signups(rising, fact_id="events", family="events")]
    told = expected(a_digest(*others, *steered))
    assert [one.fact_id for one in told] == [f"mrr.{n}" for n in "abcde"]
    assert {one.written_by for one in told} == {"rule"}


@pytest.mark.parametrize(
    ("values", "direction", "verdict"),
    [
        ([100, 150], Direction.UP, "held"),
        ([100, 150], Direction.DOWN, "did not hold"),
        ([100, 150], Direction.FLAT, "did not hold"),
        ([100, 104], Direction.UP, "did not hold"),
        ([100, 104], Direction.FLAT, "held"),
        ([100, 60], Direction.DOWN, "held"),
        ([100, 9], Direction.DOWN, "cannot be told"),  # too few now
        ([100, None], Direction.DOWN, "cannot be told"),  # not known yet
        ([150], Direction.UP, "cannot be told"),  # nothing to compare with
    ],
)
def test_a_prediction_is_graded_by_what_came(values, direction, verdict):
    (graded,) = grade([made(direction)], a_digest(signups(values)))
    assert graded.grade == verdict
    assert (graded.report_id, graded.week_start) == ("r", END - WEEK)
    assert (graded.value_then, graded.value_now) == (Decimal(100), values[-1])


def test_a_fact_that_is_gone_or_of_another_week_cannot_be_told_and_has_no_value():
    digest = a_digest(signups([100, 150]), end=END + WEEK)
    told = grade([made(Direction.UP), made(Direction.UP, "wau")], digest)
    assert [(one.grade, one.came, one.value_now) for one in told] == [
        ("cannot be told", Direction.UNKNOWN, None)
    ] * 2


def test_one_day_of_the_week_is_not_judged_for_the_week():
    sunday = signups([100, 150], kind=Kind.STOCK, unit=Unit.COUNT, grain="day")
    days = tuple(replace(point, end=point.start + timedelta(days=1)) for point in sunday.points)
    (graded,) = grade([made(Direction.UP)], a_digest(replace(sunday, points=days)))
    assert graded.grade == "cannot be told"


def test_the_share_that_held_leaves_out_what_cannot_be_told():
    digest = a_digest(signups([100, 150]))
    told = grade([made(Direction.UP), made(Direction.DOWN), made(Direction.UP, "gone")], digest)
    assert share_held(told) == (1, 2)
    assert share_held([]) == (0, 0)
