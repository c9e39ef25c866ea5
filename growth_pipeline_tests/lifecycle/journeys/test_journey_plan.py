"""What one look at a user decides; every expectation is worked out by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, datetime, time, timedelta

import pytest

from growth_pipeline.lifecycle.journeys.model import (
    Audience,
    DoesEvent,
    EntersStage,
    SendingPolicy,
)
from growth_pipeline.lifecycle.journeys.plan import is_held_out
from growth_pipeline_tests.lifecycle.journeys.lives import (
    DAYTIME,
    Life,
    a_journey,
    a_step,
    at,
    standing,
)

# --- who enters ---


def test_who_enters_a_stage_gets_the_steps_one_after_the_other_and_each_once():
    life = Life([a_journey(steps=(a_step("one", 1), a_step("two", 3)))])
    life.becomes("paying", at(1))
    life.becomes("churned", at(5))
    assert life.hourly(at(4), at(20)) == [(at(6), "winback/one"), (at(9), "winback/two")]
    assert life.state() == ("finished", "all steps done")


def test_a_look_that_is_repeated_decides_nothing_twice():
    life = Life([a_journey(steps=(a_step("one", 0), a_step("two", 0)))])
    life.becomes("churned", at(5))
    assert life.messages(at(5)) == ["winback/one", "winback/two"]
    before = list(life.enrolments)
    assert (life.messages(at(5)), life.enrolments) == ([], before)


@pytest.mark.parametrize(
    ("looked_at", "entered"),
    [
        (at(8), 1),  # the day ended 3 days ago to the second
        (at(8) + timedelta(seconds=1), 0),
        (at(5) - timedelta(seconds=1), 0),  # the day is not over
    ],
)
def test_a_change_that_came_to_be_known_more_than_3_days_late_begins_nothing(looked_at, entered):
    life = Life([a_journey()])
    life.becomes("churned", at(5))
    assert len(life.look(looked_at).entered) == entered


def test_only_a_change_from_the_named_stage_counts():
    journey = a_journey(trigger=EntersStage("at_risk", from_="paying"))
    fresh, paid = Life([journey]), Life([journey])
    fresh.becomes("at_risk", at(5))
    paid.becomes("paying", at(1))
    paid.becomes("at_risk", at(5))
    assert (fresh.look(at(5)).entered, len(paid.look(at(5)).entered)) == ([], 1)


def test_a_stage_that_is_over_again_begins_nothing():
    life = Life([a_journey()])
    life.becomes("churned", at(5))
    life.becomes("paying", at(6))
    assert life.look(at(6)).entered == []


def test_nobody_enters_a_journey_twice():
    life = Life([a_journey(exits=("paying",))])
    life.becomes("churned", at(5))
    assert life.messages(at(6)) == ["winback/one"]
    life.becomes("paying", at(8))
    life.becomes("churned", at(20))
    assert life.hourly(at(8), at(30)) == []


def test_what_was_before_the_first_day_of_a_journey_begins_nothing():
    journey = a_journey(starts_on=date(2026, 3, 5))
    early, right = Life([journey]), Life([journey])
    early.becomes("churned", at(5))  # at midnight, as 4 March ended
    right.becomes("churned", at(6))
    assert (early.look(at(6)).entered, len(right.look(at(6)).entered)) == ([], 1)


def test_an_event_of_the_first_day_begins_a_journey_by_the_clock_of_the_company():
    policy = replace(DAYTIME, tz="America/New_York")  # midnight is 5:00 UTC
    journey = a_journey(trigger=DoesEvent("Invited"), starts_on=date(2026, 3, 5))
    for hour, entered in ((4, 0), (5, 1)):
        life = Life([journey], policy)
        life.becomes("paying", at(1))
        life.does("Invited", at(5, hour))
        assert len(life.look(at(5, 6)).entered) == entered


def test_an_event_begins_a_journey_from_the_instant_it_was_done():
    life = Life([a_journey(trigger=DoesEvent("Invited"), steps=(a_step("one", 1),))])
    life.becomes("paying", at(1))
    life.does("Invited", at(5, 9, 30))
    life.does("Other", at(5, 8))
    assert life.hourly(at(5), at(9)) == [(at(6, 10), "winback/one")]


@pytest.mark.parametrize(
    ("asked", "told", "enters"),
    [
        (Audience(scores=(0, 29)), standing(29), True),
        (Audience(scores=(0, 29)), standing(30), False),
        (Audience(bands=("low", "none")), standing(19), True),
        (Audience(bands=("low", "none")), standing(20), False),
        (Audience(active_within_days=14), standing(50, 13), True),
        (Audience(active_within_days=14), standing(50, 14), False),
        (Audience(active_within_days=14), standing(0, None), False),
        (Audience(bands=("low",)), None, False),
        (Audience(), None, True),
    ],
)
def test_an_audience_asks_for_scores_bands_and_activity(asked, told, enters):
    life = Life([a_journey(audience=asked)], standing=told)
    life.becomes("churned", at(5))
    assert bool(life.look(at(5)).entered) == enters


def test_an_event_of_the_first_day_counts_when_that_day_is_over():
    life = Life([a_journey(trigger=DoesEvent("Invited"), steps=(a_step("one", 0),))])
    life.does("Invited", at(5, 9))
    life.becomes("signed_up", at(6))
    assert life.hourly(at(5), at(9)) == [(at(6), "winback/one")]


def test_an_audience_of_an_event_asks_for_the_stage_of_the_moment():
    journey = a_journey(trigger=DoesEvent("Invited"), audience=Audience(stages=("paying",)))
    life = Life([journey])
    life.becomes("trialing", at(1))
    life.does("Invited", at(5))
    assert life.look(at(5)).entered == []
    life.becomes("paying", at(6))
    assert len(life.look(at(6)).entered) == 1


def test_a_deleted_user_enters_nothing():
    life = Life([a_journey(trigger=EntersStage("deleted"))])
    life.becomes("deleted", at(5))
    assert life.look(at(5)).entered == []


# --- holdout ---


def test_who_is_held_out_gets_nothing_and_its_goal_is_still_seen():
    journey = a_journey(holdout=0.5, goal=EntersStage("won_back"), goal_days=10)
    keys = [number.to_bytes(32) for number in range(100)]
    held = next(key for key in keys if is_held_out(journey, key))
    life = Life([journey], key=held)
    life.becomes("churned", at(5))
    assert life.hourly(at(5), at(9)) == []
    assert life.state() == ("finished", "holdout")
    life.becomes("won_back", at(12))
    life.look(at(12))
    assert (life.state()[0], life.enrolments[0].goal_at) == ("goal", at(12))


def test_the_share_held_out_is_the_one_asked_for_and_differs_by_journey():
    keys = [number.to_bytes(32) for number in range(10_000)]
    one, other = a_journey("one", holdout=0.2), a_journey("other", holdout=0.2)
    first = {key for key in keys if is_held_out(one, key)}
    second = {key for key in keys if is_held_out(other, key)}
    # 2,000 expected, standard deviation 40; both: 400 expected, standard deviation 20.
    assert 1_800 < len(first) < 2_200
    assert 300 < len(first & second) < 500
    assert not any(is_held_out(a_journey(), key) for key in keys)


def test_a_new_version_holds_out_the_same_users():
    keys = [number.to_bytes(32) for number in range(1_000)]
    one, two = a_journey(holdout=0.3), a_journey(holdout=0.3, version=2)
    assert [is_held_out(one, key) for key in keys] == [is_held_out(two, key) for key in keys]


# --- goals and exits ---


def test_the_goal_ends_a_journey_before_its_next_step():
    life = Life([a_journey(goal=DoesEvent("Project Created"), steps=(a_step("one", 2),))])
    life.becomes("churned", at(5))
    life.look(at(5))
    life.does("Project Created", at(6, 12))
    assert life.hourly(at(6, 12), at(10)) == []
    assert life.state() == ("goal", "goal reached")
    assert life.enrolments[0].goal_at == at(6, 12)


def test_a_goal_before_the_journey_or_after_its_time_is_none():
    life = Life([a_journey(goal=DoesEvent("Came"), goal_days=4, steps=(a_step("one", 0),))])
    life.does("Came", at(4))
    life.becomes("churned", at(5))
    assert life.messages(at(5)) == ["winback/one"]
    life.does("Came", at(9) + timedelta(seconds=1))
    life.look(at(10))
    assert life.state() == ("finished", "all steps done")


def test_a_goal_after_the_last_step_is_still_seen():
    life = Life([a_journey(goal=EntersStage("won_back"), steps=(a_step("one", 0),))])
    life.becomes("churned", at(5))
    life.look(at(5))
    life.becomes("won_back", at(20))
    life.look(at(21))
    assert (life.state()[0], life.enrolments[0].goal_at) == ("goal", at(20))


def test_a_stage_that_ends_a_journey_ends_it_and_says_so():
    life = Life([a_journey(exits=("trialing",), steps=(a_step("one", 5),))])
    life.becomes("churned", at(5))
    life.look(at(5))
    life.becomes("trialing", at(7))
    life.becomes("paying", at(8))
    assert life.hourly(at(8), at(20)) == []
    assert life.state() == ("exited", "stage trialing")


@pytest.mark.parametrize(("goal_on", "exit_on", "state"), [(7, 8, "goal"), (8, 7, "exited")])
def test_goal_or_exit_whichever_was_first_counts_even_if_both_are_seen_at_once(
    goal_on, exit_on, state
):
    journey = a_journey(goal=DoesEvent("Came"), exits=("dormant",), steps=(a_step("one", 5),))
    life = Life([journey])
    life.becomes("churned", at(5))
    life.look(at(5))
    life.does("Came", at(goal_on))
    life.becomes("dormant", at(exit_on))
    life.look(at(9))
    assert life.state()[0] == state


def test_one_change_that_is_goal_and_exit_is_the_goal():
    journey = a_journey(goal=EntersStage("won_back"), exits=("won_back",))
    life = Life([journey])
    life.becomes("churned", at(5))
    life.look(at(5))
    life.becomes("won_back", at(5, 20))
    life.look(at(6))
    assert life.state()[0] == "goal"


def test_an_exit_soon_after_the_last_step_still_counts_as_its_message_may_wait():
    life = Life([a_journey(exits=("paying",), steps=(a_step("one", 0),))])
    life.becomes("churned", at(5))
    life.look(at(5))
    life.becomes("paying", at(7))
    life.look(at(7))
    assert life.state() == ("exited", "stage paying")


def test_a_deleted_user_leaves_every_journey():
    life = Life([a_journey(steps=(a_step("one", 2),))])
    life.becomes("churned", at(5))
    life.look(at(5))
    life.becomes("deleted", at(6))
    assert (life.hourly(at(6), at(10)), life.state()) == ([], ("exited", "stage deleted"))


def test_a_journey_that_late_facts_made_untrue_ends():
    life = Life([a_journey(steps=(a_step("one", 2),))])
    life.becomes("paying", at(1))
    life.becomes("churned", at(5))
    life.look(at(5))
    life.changes.pop()  # the payment came in after all
    assert life.hourly(at(6), at(10)) == []
    assert life.state() == ("exited", "its beginning is untrue by later facts")


def test_a_journey_that_is_gone_from_the_file_ends():
    life = Life([a_journey(steps=(a_step("one", 2),))])
    life.becomes("churned", at(5))
    life.look(at(5))
    life.journeys = []
    assert (life.messages(at(7)), life.state()) == ([], ("exited", "the journey is gone"))


def test_a_journey_with_fewer_steps_than_before_ends():
    steps = (a_step("one", 0), a_step("two", 1))
    life = Life([a_journey(steps=steps)])
    life.becomes("churned", at(5))
    life.look(at(5))
    life.journeys = [a_journey(version=2, steps=steps[:1])]
    assert (life.messages(at(6)), life.state()) == ([], ("finished", "all steps done"))


def test_a_step_for_other_stages_is_left_out_and_the_next_one_comes():
    steps = (a_step("ends-soon", 1, only_in=("trialing",)), a_step("ended", 1))
    life = Life([a_journey(trigger=EntersStage("trialing"), steps=steps)])
    life.becomes("trialing", at(5))
    life.look(at(5))
    life.becomes("trial_ended", at(5, 12))
    found = life.look(at(6))
    assert [(one.step, one.reason, one.until) for one in found.held_back] == [
        ("ends-soon", "other_stage", None)
    ]
    assert life.hourly(at(6, 1), at(9)) == [(at(7), "winback/ended")]


# --- caps and priorities ---


def test_the_more_important_journey_goes_first_and_the_other_waits_for_the_cap():
    policy = replace(DAYTIME, cap_messages=1, cap_days=2)
    low = a_journey("low", priority=1, steps=(a_step("one", 0),))
    high = a_journey("high", priority=9, steps=(a_step("two", 0),))
    life = Life([low, high], policy)
    life.becomes("churned", at(5))
    found = life.look(at(5))
    assert [one.message for one in found.messages] == ["high/two"]
    assert [(one.journey, one.reason, one.until) for one in found.held_back] == [
        ("low", "cap", at(7))
    ]
    assert life.hourly(at(5, 1), at(10)) == [(at(7), "low/one")]


def test_what_the_cap_would_hold_back_for_more_than_3_days_is_left_out():
    policy = replace(DAYTIME, cap_messages=1, cap_days=7)
    steps = (a_step("one", 0), a_step("two", 1), a_step("three", 6))
    life = Life([a_journey(steps=steps)], policy)
    life.becomes("churned", at(5))
    # two is due on 6 March, free on the 12th, late from the 9th: left out; three: 6 days after.
    assert life.hourly(at(5), at(30)) == [(at(5), "winback/one"), (at(12), "winback/three")]


def test_exactly_3_days_late_is_not_too_late_for_the_cap():
    policy = replace(DAYTIME, cap_messages=1, cap_days=3)
    life = Life([a_journey(steps=(a_step("one", 0), a_step("two", 0)))], policy)
    life.becomes("churned", at(5))
    assert life.hourly(at(5), at(30)) == [(at(5), "winback/one"), (at(8), "winback/two")]


def test_messages_of_other_journeys_count_for_the_cap():
    life = Life([a_journey(steps=(a_step("one", 0),))])
    life.sent = [at(1), at(4)]
    life.becomes("churned", at(6))
    assert life.hourly(at(6), at(20)) == [(at(8), "winback/one")]  # 7 days after the first


def test_no_span_of_days_ever_holds_more_than_the_cap(seed):
    chance = random.Random(seed)
    for _ in range(150):
        cap, days = chance.randint(1, 3), chance.randint(1, 8)
        policy = SendingPolicy(cap, days, time(21), time(8), "Europe/Berlin")
        journeys = [
            a_journey(
                f"j{number}",
                priority=chance.randint(0, 3),
                trigger=EntersStage(chance.choice(["churned", "paying", "at_risk"])),
                steps=tuple(
                    a_step(f"s{number}-{place}", chance.choice([0, 0.5, 1, 3]))
                    for place in range(chance.randint(1, 4))
                ),
            )
            for number in range(4)
        ]
        life = Life(journeys, policy, zone=chance.choice([None, "Asia/Tokyo", "America/New_York"]))
        for day in sorted(chance.sample(range(1, 40), 6)):
            life.becomes(chance.choice(["churned", "paying", "at_risk", "dormant"]), at(day))
        found = life.hourly(at(1), at(60))
        assert len({message for _, message in found}) == len(found)
        for when, _ in found:
            inside = [one for one, _ in found if when - timedelta(days=days) < one <= when]
            assert len(inside) <= cap, f"seed {seed}"


# --- late steps and quiet hours ---


def test_a_step_that_is_more_than_3_days_late_is_left_out():
    life = Life([a_journey(steps=(a_step("one", 1), a_step("two", 2)))])
    life.becomes("churned", at(5))
    life.look(at(5))
    late = at(9) + timedelta(seconds=1)  # due on 6 March
    found = life.look(late)
    assert [(one.step, one.reason) for one in found.held_back] == [("one", "too_late")]
    assert life.messages(late + timedelta(days=2)) == ["winback/two"]


def test_a_step_in_quiet_hours_comes_when_they_are_over_and_names_the_next_ones():
    policy = replace(DAYTIME, quiet_from=time(21), quiet_until=time(8))
    life = Life([a_journey(steps=(a_step("one", 0),))], policy, zone="America/New_York")
    life.becomes("churned", at(5))  # 19:00 of 4 March in New York
    first = life.look(at(5, 3))  # 22:00
    assert [(one.reason, one.until) for one in first.held_back] == [("quiet_hours", at(5, 13))]
    assert life.messages(at(5, 12)) == []
    message = life.look(at(5, 13)).messages[0]
    assert (message.message, message.quiet_at) == ("winback/one", at(6, 2))
    assert message.late_at == at(8)


def test_the_same_facts_decide_the_same():
    def decided() -> tuple[list[tuple[datetime, str]], list[object]]:
        life = Life([a_journey(holdout=0.5), a_journey("two", trigger=DoesEvent("Came"))])
        life.becomes("churned", at(3))
        life.does("Came", at(4))
        return life.hourly(at(3), at(20)), list(life.enrolments)

    assert decided() == decided()
    assert decided()[0] != []
