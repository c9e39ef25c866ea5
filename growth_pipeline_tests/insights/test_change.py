"""Comparisons, noise bounds, trends and drivers, against the worked examples of the contract."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from growth_pipeline.insights.change import compare, facts_of, trend_of
from growth_pipeline.insights.facts import (
    Direction,
    Group,
    Kind,
    Point,
    Series,
    Source,
    State,
    Unit,
)

END = date(2031, 3, 16)
COUNT, MINOR, RATE = Unit.COUNT, Unit.MINOR, Unit.RATE


def a_series(values, *, kind=Kind.FLOW, unit=COUNT, samples=None, of=None, **more):
    """Weeks that end with END; `of`: cases of a rate, whose hits the values are."""
    points = []
    for number, value in enumerate(values):
        end = END - timedelta(days=7 * (len(values) - 1 - number))
        start = end - timedelta(days=7)
        if of is not None:
            rate = Decimal(value) / of[number] if of[number] else None
            points.append(Point(start, end, rate, of[number], value, of[number]))
        elif value is None:
            points.append(Point(start, end, state=State.OPEN, reason="not over"))
        else:
            points.append(Point(start, end, value, samples[number] if samples else None))
    given = {"fact_id": "x", "group": Group.USERS, "family": "x", "label": "X"} | more
    return Series(
        kind=kind,
        unit=unit,
        points=tuple(points),
        source=Source("t", "UTC", datetime.now(UTC)),
        **given,
    )


def before(values, **more):
    return compare(a_series(values, **more))[0]


def usual(values, **more):
    return compare(a_series(values, **more))[1]


def test_a_jump_of_sign_ups_is_notable_and_a_wobble_is_not():
    jump, wobble = before([120, 180]), before([113, 120])
    assert (jump.percent, jump.direction) == (Decimal("0.5"), Direction.UP)
    assert jump.z == pytest.approx(3.46, abs=0.005)
    assert wobble.direction is Direction.FLAT
    assert wobble.z == pytest.approx(0.46, abs=0.005)


def test_the_trend_of_the_contract():
    trend = trend_of(a_series([100, 104, 103, 110, 112, 115, 113, 120], kind=Kind.STOCK))
    assert round(trend.slope, 2) == Decimal("2.67")
    assert (trend.tau, trend.direction, trend.periods) == (Decimal("0.86"), Direction.UP, 8)


@pytest.mark.parametrize(
    ("values", "direction"),
    [
        ([20, 40], Direction.UP),  # z = 20 / sqrt(60) = 2.58
        ([19, 40], Direction.TOO_FEW),
        ([40, 19], Direction.TOO_FEW),
        ([1000, 1099], Direction.FLAT),  # under a tenth
        ([1000, 1100], Direction.UP),  # a tenth, z = 100 / sqrt(2100) = 2.18
        ([100, 110], Direction.FLAT),  # a tenth, z = 0.69
        ([100, 100], Direction.FLAT),
        ([0, 30], Direction.TOO_FEW),
        ([None, 30], Direction.UNKNOWN),
        ([30, None], Direction.UNKNOWN),
        ([30], Direction.UNKNOWN),
        ([500, 300], Direction.DOWN),
    ],
)
def test_flows_of_counts(values, direction):
    assert before(values).direction is direction


@pytest.mark.parametrize(
    ("values", "direction"),
    [
        ([1000, 1049], Direction.FLAT),
        ([1000, 1050], Direction.UP),
        ([1000, 950], Direction.DOWN),
        ([1000, 951], Direction.FLAT),
        ([19, 30], Direction.TOO_FEW),
    ],
)
def test_stocks_move_by_a_twentieth(values, direction):
    assert before(values, kind=Kind.STOCK).direction is direction


def test_a_stock_of_money_that_rests_on_few_customers_is_too_few():
    assert before([100_000, 200_000], kind=Kind.STOCK, unit=MINOR, samples=[19, 40]).direction is (
        Direction.TOO_FEW
    )
    told = before([100_000, 200_000], kind=Kind.STOCK, unit=MINOR, samples=[20, 40])
    assert (told.direction, told.change) == (Direction.UP, 100_000)


def test_rates_are_two_proportions_and_need_twenty_cases():
    # 0.30 of 400 against 0.20 of 400: common 0.25, spread sqrt(0.1875 * 2 / 400) = 0.03062, z 3.27
    told = before([80, 120], kind=Kind.RATE, unit=RATE, of=[400, 400])
    assert told.z == pytest.approx(3.266, abs=0.001)
    assert (told.direction, told.change) == (Direction.UP, Decimal("0.1"))
    assert before([8, 12], kind=Kind.RATE, unit=RATE, of=[40, 40]).direction is Direction.FLAT
    assert before([4, 12], kind=Kind.RATE, unit=RATE, of=[19, 40]).direction is Direction.TOO_FEW
    assert before([0, 0], kind=Kind.RATE, unit=RATE, of=[0, 40]).direction is Direction.UNKNOWN


def test_a_rate_needs_its_cases_and_enough_users_behind_them():
    days = {"kind": Kind.RATE, "unit": RATE, "of": [210, 210]}
    series = a_series([60, 120], **days)
    assert compare(series)[0].direction is Direction.UP
    three_users = tuple(replace(point, sample=3) for point in series.points)
    no_hits = tuple(replace(point, numerator=None) for point in series.points)
    for points in (three_users, no_hits):
        assert compare(replace(series, points=points))[0].direction is Direction.TOO_FEW


def test_a_rate_from_nothing_has_no_percent_and_still_needs_more_than_chance():
    # 1 of 1,000 after none: common 0.0005, spread 0.0009997, z 1.0; 10 of 1,000: z 3.17
    one = before([0, 1], kind=Kind.RATE, unit=RATE, of=[1000, 1000])
    assert (one.direction, one.percent, round(one.z, 2)) == (Direction.FLAT, None, 1.0)
    ten = before([0, 10], kind=Kind.RATE, unit=RATE, of=[1000, 1000])
    assert (ten.direction, ten.percent, round(ten.z, 2)) == (Direction.UP, None, 3.17)


def test_money_from_nothing_is_up_without_a_percent():
    told = before([0, 5000], kind=Kind.STOCK, unit=MINOR, samples=[20, 20])
    assert (told.direction, told.percent, told.change) == (Direction.UP, None, 5000)


def test_a_bound_is_met_by_the_change_itself_not_by_its_rounded_percent():
    # 0.09999996 of the baseline, which 6 decimals write as 0.100000
    told = before([25_000_000, 27_499_999])
    assert (told.percent, told.direction) == (Decimal("0.100000"), Direction.FLAT)


def test_losses_are_signed_and_their_percent_is_of_their_size():
    earlier = [-100, -110, -90, -120, -80]  # two deviations: 29.65, as of the gains below
    told = before([*earlier, -160], unit=MINOR, samples=[50] * 6)
    assert (told.change, told.percent, told.direction) == (-80, Decimal(-1), Direction.DOWN)


def test_a_weekday_is_compared_with_the_same_weekday_of_the_week_before():
    series = a_series([100, 80], kind=Kind.STOCK, grain="day")
    days = tuple(replace(point, end=point.start + timedelta(days=1)) for point in series.points)
    assert compare(replace(series, points=days))[0].direction is Direction.DOWN
    later = (days[0], replace(days[1], start=days[1].start + timedelta(days=1)))
    assert compare(replace(series, points=later))[0].direction is Direction.UNKNOWN


def test_money_of_a_week_must_leave_the_spread_of_its_own_weeks():
    # Earlier: median 100, absolute deviations 0 10 10 20 20, median 10, deviation 14.826: two are 29.65.
    earlier = [100, 110, 90, 120, 80]
    few = dict(unit=MINOR, samples=[50] * 6)
    assert before([*earlier, 109], **few).direction is Direction.FLAT
    assert before([*earlier, 110], **few).direction is Direction.UP
    assert before([*earlier, 60], **few).direction is Direction.FLAT  # 20 less: within
    assert before([100, 110, 80], unit=MINOR, samples=[50] * 3).direction is Direction.FLAT


def test_the_usual_is_the_mean_of_the_four_weeks_before_and_needs_all_of_them():
    told = usual([1, 100, 110, 120, 130, 200])
    assert told.baseline == Decimal(115)
    assert told.direction is Direction.UP
    assert usual([100, None, 120, 130, 200]).direction is Direction.UNKNOWN
    assert usual([100, 110, 120, 200]).baseline is None
    money = usual([101, 102, 102, 101, 300], kind=Kind.STOCK, unit=MINOR, samples=[50] * 5)
    assert money.baseline == 102  # 101.5, half to even
    pooled = usual([10, 20, 30, 40, 90], kind=Kind.RATE, unit=RATE, of=[100, 200, 300, 400, 300])
    assert pooled.baseline == Decimal("0.1")


def test_weeks_that_do_not_follow_one_another_are_not_compared():
    series = a_series([100, 200, 300, 400, 500, 600])
    points = list(series.points)
    del points[-2]
    gapped = replace(series, points=tuple(points))
    assert [one.direction for one in compare(gapped)] == [Direction.UNKNOWN] * 2
    assert trend_of(gapped) is None


@pytest.mark.parametrize(
    ("values", "direction"),
    [
        ([100, 90, 80, 70], Direction.DOWN),
        ([100, 120, 100, 120, 100, 120, 100, 120], Direction.FLAT),
        ([100, 100, 100, 100], Direction.FLAT),
        ([None, 100, 110, 120, 130], Direction.UP),
    ],
)
def test_trends(values, direction):
    assert trend_of(a_series(values, kind=Kind.STOCK)).direction is direction


@pytest.mark.parametrize(
    "values", [[100, 110, 120], [10, 110, 120, 130], [100, None, 110, 120, 130]]
)
def test_no_trend_of_few_periods_small_numbers_or_gaps(values):
    assert trend_of(a_series(values, kind=Kind.STOCK)) is None


def parts(**moved):
    whole = a_series([1000, 1050], kind=Kind.STOCK, unit=MINOR, samples=[50, 50], fact_id="mrr.usd")
    rows = [
        a_series(
            [0, value], unit=MINOR, samples=[50, 50], fact_id=name, part_of="mrr.usd", family=name
        )
        for name, value in moved.items()
    ]
    return facts_of([whole, *rows])[0].drivers


def test_drivers_are_ranked_and_add_up_or_there_are_none():
    told = parts(new=120, churn=-90, expansion=20)
    assert [(one.fact_id, one.contribution) for one in told] == [
        *(("new", 120), ("churn", -90), ("expansion", 20)),
    ]
    assert [one.share for one in told] == [Decimal("2.4"), Decimal("-1.8"), Decimal("0.4")]
    assert parts(new=120, churn=-90) == ()
    assert parts(new=None, churn=50) == ()


def test_a_category_contributes_its_change_and_what_left_counts_against():
    whole = a_series([100, 130], fact_id="events")
    categories = [
        a_series([60, 80], fact_id="events.a", part_of="events"),
        a_series([40, 50], fact_id="events.b", part_of="events"),
    ]
    assert [(d.fact_id, d.contribution) for d in facts_of([whole, *categories])[0].drivers] == [
        ("events.a", 20),
        ("events.b", 10),
    ]
    active = a_series([100, 90], kind=Kind.STOCK, fact_id="active_week")
    came = a_series([9, 20], fact_id="new_users", part_of="active_week")
    left = a_series([9, 30], fact_id="dormant_users", part_of="active_week", sign=-1)
    assert [(d.fact_id, d.contribution) for d in facts_of([active, came, left])[0].drivers] == [
        ("dormant_users", -30),
        ("new_users", 20),
    ]
