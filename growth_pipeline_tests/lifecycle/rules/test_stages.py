"""Stages by hand: every row of the table, how it is entered, left and entered again."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.lifecycle.facts import DaySpan, UserFacts
from growth_pipeline.lifecycle.stages import explain_stage, next_change_on, stage_history

FIRST = date(2026, 1, 1)


def on(day):
    """The n-th day, from 0."""
    return FIRST + timedelta(days=day)


def span(start, end=None, why="sub_1"):
    return DaySpan(on(start), None if end is None else on(end), why)


def user(*, active=(), activated=None, deleted=None, signed_up=0, **spans):
    return UserFacts(
        user_number=1,
        first_on=FIRST,
        signed_up_on=None if signed_up is None else on(signed_up),
        deleted_on=None if deleted is None else on(deleted),
        active_days=tuple(on(day) for day in active),
        activated_on=None if activated is None else on(activated),
        **{name: tuple(found) for name, found in spans.items()},
    )


def stages(facts, days=400):
    return [
        ((spell.from_on - FIRST).days, str(spell.stage), spell.row)
        for spell in stage_history(facts, on(days))
    ]


def test_the_worked_example():
    facts = UserFacts(
        user_number=1,
        first_on=date(2026, 5, 1),
        signed_up_on=date(2026, 5, 1),
        trialing=(DaySpan(date(2026, 5, 1), date(2026, 5, 15), "sub_1"),),
        paying=(
            DaySpan(date(2026, 5, 15), date(2026, 7, 15), "sub_1"),
            DaySpan(date(2026, 9, 1), None, "sub_2"),
        ),
        past_due=(DaySpan(date(2026, 6, 15), date(2026, 7, 15), "sub_1"),),
    )
    found = stage_history(facts, date(2026, 12, 31))
    assert [(spell.from_on, str(spell.stage)) for spell in found] == [
        (date(2026, 5, 1), "trialing"),
        (date(2026, 5, 15), "paying"),
        (date(2026, 6, 15), "at_risk"),
        (date(2026, 7, 15), "churned"),
        (date(2026, 9, 1), "won_back"),
        (date(2026, 11, 30), "paying"),
    ]
    assert found[2].evidence == {"row": "2a", "past_due_since": "2026-06-15", "why": "sub_1"}
    assert found[4].evidence == {
        "row": "3", "returned_on": "2026-09-01", "paid_until": "2026-07-15", "why": "sub_2",
    }  # fmt: skip


def test_who_never_comes_back_is_dormant_on_the_thirtieth_day():
    assert stages(user()) == [(0, "signed_up", "11"), (30, "dormant", "8")]


def test_any_activity_ends_dormancy_for_thirty_days():
    facts = user(active=[40])
    assert stages(facts) == [
        (0, "signed_up", "11"),
        (30, "dormant", "8"),
        (40, "signed_up", "11"),
        (70, "dormant", "8"),
    ]


def test_activation_stays_but_dormancy_comes_first():
    facts = user(active=[2, 80], activated=2)
    assert stages(facts) == [
        (0, "signed_up", "11"),
        (2, "activated", "10"),
        (32, "dormant", "8"),
        (80, "activated", "10"),
        (110, "dormant", "8"),
    ]


def test_a_trial_that_ends_unpaid():
    facts = user(active=range(0, 60), trialing=[span(5, 19)])
    assert stages(facts, 59) == [
        (0, "signed_up", "11"),
        (5, "trialing", "6"),
        (19, "trial_ended", "9"),
    ]


def test_a_second_trial_and_a_trial_after_churn():
    facts = user(paying=[span(30, 60)], trialing=[span(0, 10), span(20, 30), span(80, 90, "sub_2")])
    assert stages(facts, 120) == [
        (0, "trialing", "6"),
        (10, "trial_ended", "9"),
        (20, "trialing", "6"),
        (30, "paying", "4"),
        (60, "churned", "7"),
        (80, "trialing", "6"),
        (90, "churned", "7"),
    ]


@pytest.mark.parametrize(
    ("kind", "row"), [("past_due", "2a"), ("cancel_scheduled", "2b"), ("disputed", "2d")]
)
def test_a_customer_is_at_risk_while_the_cause_lasts(kind, row):
    facts = user(paying=[span(0)], **{kind: [span(10, 20), span(30, 31)]})
    assert stages(facts, 60) == [
        (0, "paying", "4"),
        (10, "at_risk", row),
        (20, "paying", "4"),
        (30, "at_risk", row),
        (31, "paying", "4"),
    ]


def test_another_cause_of_risk_is_no_change_of_stage():
    facts = user(paying=[span(0)], past_due=[span(10, 20)], disputed=[span(15, 30, "dp_1")])
    assert stages(facts, 60) == [(0, "paying", "4"), (10, "at_risk", "2a"), (30, "paying", "4")]


def test_a_cause_of_risk_without_mrr_is_none():
    facts = user(paying=[span(0, 10)], past_due=[span(5, 40)])
    assert stages(facts, 60) == [(0, "paying", "4"), (5, "at_risk", "2a"), (10, "churned", "7")]


def test_a_pause_is_no_churn_and_its_end_no_winning_back():
    facts = user(paying=[span(0, 10), span(20)], paused=[span(10, 20)])
    assert stages(facts, 60) == [(0, "paying", "4"), (10, "paused", "5"), (20, "paying", "4")]


def test_one_day_between_pause_and_return_is_a_churn():
    facts = user(paying=[span(0, 10), span(20)], paused=[span(10, 19)])
    assert stages(facts, 200) == [
        (0, "paying", "4"),
        (10, "paused", "5"),
        (19, "churned", "7"),
        (20, "won_back", "3"),
        (110, "paying", "4"),
    ]


def test_each_return_is_won_back_for_ninety_days_of_its_own():
    facts = user(paying=[span(0, 10), span(20, 40), span(50)])
    assert stages(facts, 200) == [
        (0, "paying", "4"),
        (10, "churned", "7"),
        (20, "won_back", "3"),
        (40, "churned", "7"),
        (50, "won_back", "3"),
        (140, "paying", "4"),
    ]


def test_two_subscriptions_one_after_the_other_are_one_time_of_paying():
    facts = user(paying=[span(0, 10), span(10, 30, "sub_2"), span(25, None, "sub_3")])
    assert stages(facts, 60) == [(0, "paying", "4")]


def test_deletion_is_for_ever():
    facts = user(active=[50], paying=[span(0)], deleted=20)
    assert stages(facts, 60) == [(0, "paying", "4"), (20, "deleted", "1")]
    assert next_change_on(facts, on(20)) is None


# --- row 2c: the score falls ---------------------------------------------------------------------


def test_a_customer_who_stops_is_at_risk_for_twenty_eight_days():
    # Active daily to day 99, nothing after. Recency halves in 7 days, frequency decays in 14:
    # day 99+n: 35 * 0.5^(n/7) + 40 * min(1, …); worked by the plain loop in the oracle: day 120.
    facts = user(active=range(100), paying=[span(0)])
    found = stages(facts, 300)
    assert [stage for _, stage, _ in found] == ["paying", "at_risk", "paying"]
    (_, (entered, _, row), (left, _, _)) = found
    assert row == "2c"
    assert left - entered == 28
    evidence = stage_history(facts, on(300))[1].evidence
    assert evidence["score_on_entry"] < 20
    assert evidence["sum_of_28_scores_before"] >= 28 * 40
    before = next(one for one in explain_stage(facts, on(entered - 1)) if one.row == "2c")
    assert not before.is_true


def test_a_customer_who_comes_back_is_at_risk_until_the_score_held_three_days():
    facts = user(active=range(100), paying=[span(0)])
    (_, (entered, _, _), _) = stages(facts, 300)
    # Active from the second day of risk on: recency alone is 35 points, so each day is above 30.
    back = user(active=[*range(100), *range(entered + 1, 300)], paying=[span(0)])
    assert stages(back, 300) == [
        (0, "paying", "4"),
        (entered, "at_risk", "2c"),
        (entered + 3, "paying", "4"),
    ]


def test_whoever_does_not_pay_is_never_at_risk():
    assert "at_risk" not in [stage for _, stage, _ in stages(user(active=range(100)), 300)]


# --- looking ahead and back ----------------------------------------------------------------------


def test_the_next_change_is_told_to_the_day():
    facts = user()
    assert next_change_on(facts, on(0)) == on(30)
    assert next_change_on(facts, on(29)) == on(30)
    assert next_change_on(facts, on(30)) is None


def test_an_end_that_is_known_ahead_is_told():
    facts = user(paying=[span(0)], cancel_scheduled=[span(700, 800)])
    ahead = next_change_on(facts, on(10))
    assert on(10) < ahead <= on(700)  # far ahead: looked at once on the way
    assert next_change_on(facts, on(600)) == on(700)


def test_nothing_is_known_before_the_first_day():
    assert stage_history(user(), on(-1)) == []
    assert next_change_on(user(), on(-1)) == FIRST
    with pytest.raises(UsageError, match="nothing is known"):
        explain_stage(user(), on(-1))


def test_every_row_is_explained_and_the_first_true_one_is_the_stage():
    facts = user(paying=[span(0)], past_due=[span(5)], activated=3)
    told = explain_stage(facts, on(6))
    assert [one.row for one in told] == [
        *("1", "2a", "2b", "2c", "2d", "3", "4", "5", "6", "7", "8", "9", "10", "11"),
    ]
    assert [one.row for one in told if one.is_true] == ["2a", "4", "10", "11"]
    assert told[1].evidence == {"row": "2a", "past_due_since": "2026-01-06", "why": "sub_1"}
    assert told[0].evidence == {}


def test_evidence_says_nothing_that_was_not_known_on_the_day():
    short = user(paying=[span(0, 50)], past_due=[span(5, 9)])
    longer = user(paying=[span(0, 50), span(20, None, "sub_2")], past_due=[span(5, 30)])
    assert stage_history(short, on(6)) == stage_history(longer, on(6))
