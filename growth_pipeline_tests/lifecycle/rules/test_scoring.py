"""The engagement score, by hand and by plain loops."""

from __future__ import annotations

import random
from datetime import date, timedelta

import polars as pl
import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.lifecycle.facts import Band, UserFacts
from growth_pipeline.lifecycle.scoring import band_of, score_many, score_on, scores_over

TODAY = date(2026, 6, 1)


def ago(*ages):
    return tuple(sorted(TODAY - timedelta(days=age) for age in ages))


def user(*ages, features=None, lived=400):
    return UserFacts(
        user_number=1,
        first_on=TODAY - timedelta(days=lived - 1),
        active_days=ago(*ages),
        feature_days={name: ago(*used) for name, used in (features or {}).items()},
    )


def test_the_worked_example():
    found = score_on(user(2, 3, 9, 16, 30, features={"a": [2], "b": [9], "c": [30]}), TODAY)
    assert (round(found.frequency, 4), round(found.recency, 4)) == (0.2227, 0.8203)
    assert round(found.breadth, 4) == 0.5570
    assert (found.value, found.points) == (52, (9, 29, 14))
    assert (found.band, found.young) == (Band.STEADY, False)


def test_nobody_who_did_nothing_has_a_point():
    found = score_on(user(), TODAY)
    assert (found.value, found.points, found.band) == (0, (0, 0, 0), Band.NONE)


def test_use_on_five_days_of_seven_is_whole_frequency():
    weekdays = [age for age in range(56) if age % 7 < 5]
    found = score_on(user(*weekdays), TODAY)
    # The five newest of each seven weigh more than five sevenths: 40 points; recency is 1: 35.
    assert (found.value, found.points) == (75, (40, 35, 0))


def test_four_features_today_are_whole_breadth_and_a_fifth_adds_nothing():
    four = score_on(user(0, features={name: [0] for name in "abcd"}), TODAY)
    five = score_on(user(0, features={name: [0] for name in "abcde"}), TODAY)
    assert (four.points[2], five.points[2]) == (25, 25)


def test_half_a_point_goes_to_the_even_number():
    everything = list(range(56))
    found = score_on(user(*everything, features={"a": [0], "b": [0]}), TODAY)
    # 40 + 35 + 25 * 2/4 = 87.5
    assert (found.value, found.points) == (88, (40, 35, 13))
    one = score_on(user(*everything, features={"a": [0], "b": [0], "c": [28], "d": [28]}), TODAY)
    # 25 * (1 + 1 + 0.5 + 0.5) / 4 = 18.75: 93.75
    assert (one.value, one.points) == (94, (40, 35, 19))


def test_a_young_account_is_measured_by_the_days_it_lived():
    # Ten days lived, active on each: the sum over ages 0-9 is more than 5/7 of itself.
    found = score_on(user(*range(10), lived=10), TODAY)
    assert (found.young, found.points[0]) == (True, 40)
    # On the first day seven ages count: 1 / (5/7 * sum of 0.5^(a/14), a = 0..6), the sum 6.0635…
    weights = [0.5 ** (age / 14) for age in range(7)]
    first = score_on(user(0, lived=1), TODAY)
    assert first.frequency == pytest.approx(1 / (5 / 7 * sum(weights)))
    assert score_on(user(0, lived=56), TODAY).young is False


def test_what_comes_later_does_not_count():
    facts = user(0, 5, features={"a": [0, 5]})
    before = TODAY - timedelta(days=3)
    alone = UserFacts(1, facts.first_on, active_days=ago(5), feature_days={"a": ago(5)})
    assert score_on(facts, before) == score_on(alone, before)


def test_a_day_before_the_first_is_refused():
    with pytest.raises(UsageError, match="nothing is known"):
        score_on(user(lived=3), TODAY - timedelta(days=3))


@pytest.mark.parametrize(
    ("score", "band"),
    [(0, "none"), (1, "low"), (19, "low"), (20, "fading"), (39, "fading"), (40, "steady"),
     (69, "steady"), (70, "high"), (100, "high")],
)  # fmt: skip
def test_bands(score, band):
    assert band_of(score) == band


def test_points_add_up_to_the_score_for_everybody(seed):
    random_ = random.Random(seed)
    for _ in range(300):
        ages = random_.sample(range(80), random_.randint(0, 40))
        used = {
            name: random_.sample(range(120), random_.randint(1, 3))
            for name in random_.sample("abcdefgh", random_.randint(0, 6))
        }
        found = score_on(user(*ages, features=used), TODAY)
        assert sum(found.points) == found.value
        parts = (40 * found.frequency, 35 * found.recency, 25 * found.breadth)
        assert all(abs(p - whole) < 1 for p, whole in zip(parts, found.points, strict=True))


def test_many_users_at_once_and_many_days_at_once_are_the_same_score(seed):
    random_ = random.Random(seed)
    rows, expected = [], []
    for number in range(200):
        lived = random_.choice([1, 5, 30, 55, 56, 400])
        ages = sorted(random_.sample(range(lived), min(lived, random_.randint(0, 20))))
        used = {n: [random_.choice(ages)] for n in "abcdef" if ages and random_.random() < 0.5}
        facts = user(*ages, features=used, lived=lived)
        expected.append(score_on(facts, TODAY))
        rows.append(
            {
                "user_number": number,
                "active_bits": sum(1 << age for age in ages if age < 56),
                "last_age": ages[0] if ages else None,
                "lived": lived,
                "feature_ages": [min(one) for one in used.values()],
            }
        )
        days = [TODAY - timedelta(days=back) for back in range(min(lived, 40) - 1, -1, -1)]
        assert scores_over(facts, days[0], TODAY).tolist() == [
            score_on(facts, day).value for day in days
        ]
    schema = {"last_age": pl.Int32, "feature_ages": pl.List(pl.Int64), "active_bits": pl.Int64}
    found = score_many(pl.DataFrame(rows, schema_overrides=schema))
    assert found["score"].to_list() == [one.value for one in expected]
    assert found["band"].to_list() == [str(one.band) for one in expected]
    assert found["young"].to_list() == [one.young for one in expected]
    points = found.select("points_frequency", "points_recency", "points_breadth").rows()
    assert points == [one.points for one in expected]
