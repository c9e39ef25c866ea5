"""A mistake in a journey is found where it is written, and the error says what to do."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.lifecycle.facts import Band, Stage
from growth_pipeline.lifecycle.journeys.defaults import JOURNEYS
from growth_pipeline.lifecycle.journeys.model import (
    Audience,
    DoesEvent,
    EntersStage,
    SendingPolicy,
    Step,
)
from growth_pipeline_tests.lifecycle.journeys.lives import a_journey, a_step

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda: EntersStage("chrned"), "no stage 'chrned'"),
        (EntersStage, "names no stage"),
        (lambda: EntersStage("paying", from_="paying"), "into itself"),
        (lambda: DoesEvent("  "), "names no event"),
        (lambda: DoesEvent(None), "names no event"),
        (lambda: Audience(scores=(40, 20)), r"\(40, 20\) are no range"),
        (lambda: Audience(scores=(0, 101)), "are no range"),
        (lambda: Audience(scores=20), "are no range"),
        (lambda: Audience(bands=("lowest",)), "no band 'lowest'"),
        (lambda: Audience(active_within_days=0), "active_within_days"),
        (lambda: Step("First", DAY, tag="a"), "'First' is no name for a step"),
        (lambda: Step("one", 3, tag="a"), "step one has no time to wait"),
        (lambda: Step("one", -DAY, tag="a"), "step one has no time to wait"),
        (lambda: Step("one", DAY), "not exactly one of tag and sequence"),
        (lambda: Step("one", DAY, tag="a", sequence=1), "not exactly one of tag and sequence"),
        (lambda: Step("one", DAY, tag=" a"), "tag of step one"),
        (lambda: Step("one", DAY, sequence=0), "no id of a sequence"),
        (lambda: Step("one", DAY, sequence="12"), "no id of a sequence"),
        (lambda: a_journey("Win back"), "'Win back' is no name for a journey"),
        (lambda: a_journey(steps=()), "winback has 0 steps"),
        (lambda: a_journey(steps=(a_step(), a_step())), "two of one name"),
        (lambda: a_journey(steps=("one",)), "not all Step"),
        (lambda: a_journey(trigger="churned"), "winback has no trigger"),
        (lambda: a_journey(goal="paying"), "goal of winback"),
        (lambda: a_journey(audience=("paying",)), "audience of winback"),
        (lambda: a_journey(audience=Audience(stages=("paying",))), "nobody can enter winback"),
        (lambda: a_journey(exits=("gone",)), "no stage 'gone'"),
        (lambda: a_journey(holdout=0.6), "holdout of winback is 0.6"),
        (lambda: a_journey(version=0), "version and goal_days"),
        (lambda: a_journey(goal_days=0.5), "version and goal_days"),
        (lambda: a_journey(basis="hope"), "no basis 'hope'"),
        (lambda: a_journey(starts_on="2026-01-01"), "starts_on of winback"),
        (lambda: a_journey(starts_on=datetime(2026, 1, 1, tzinfo=UTC)), "starts_on of winback"),
        (lambda: SendingPolicy(cap_messages=0), "a cap is at least"),
        (lambda: SendingPolicy(tz="Mars"), "'Mars' is not a time zone"),
    ],
)
def test_a_mistake_is_named_with_what_to_do(wrong, named):
    with pytest.raises(UsageError, match=named) as error:
        wrong()
    assert error.value.remedy != ""


def test_names_of_stages_and_bands_become_what_they_name():
    journey = a_journey(
        trigger=EntersStage("at_risk", from_=("paying", "won_back")),
        exits="churned",
        audience=Audience(bands=("low",)),
    )
    assert journey.trigger.stages == (Stage.AT_RISK,)
    assert journey.trigger.from_ == (Stage.PAYING, Stage.WON_BACK)
    assert (journey.exits, journey.audience.bands) == ((Stage.CHURNED,), (Band.LOW,))
    assert journey.definition == "winback@1"


def test_one_step_needs_no_brackets_and_names_a_tag_or_a_sequence():
    journey = a_journey(steps=Step("one", DAY, sequence=12))
    assert [(step.action, step.target) for step in journey.steps] == [("sequence", "12")]
    assert (a_step("two").action, a_step("two").target) == ("tag", "growth/two")


def test_the_journeys_that_come_along_use_tags_of_their_own_and_hold_somebody_out():
    assert [one.name for one in JOURNEYS] == [
        "activation",
        "trial",
        "at-risk",
        "winback",
        "dormant",
    ]
    tags = [(one, step) for one in JOURNEYS for step in one.steps]
    assert all(step.tag == f"growth/{one.name}/{step.name}" for one, step in tags)
    assert len({step.tag for _, step in tags}) == len(tags)
    assert all(one.goal is not None and one.holdout == 0.1 for one in JOURNEYS)
    assert all(one.basis == "consent" and one.starts_on == date(2026, 1, 1) for one in JOURNEYS)


@pytest.mark.parametrize("journey", JOURNEYS, ids=lambda one: one.name)
def test_whoever_pays_gets_no_more_of_a_journey_for_those_who_do_not(journey):
    """A first payment that fails is at_risk, without a day of paying before."""
    over = {*journey.exits, *(journey.goal.stages if hasattr(journey.goal, "stages") else ())}
    paid = {Stage.PAYING, Stage.WON_BACK, Stage.AT_RISK} - set(journey.trigger.stages)
    assert paid <= over


def test_quiet_hours_of_the_settings_are_evenings_and_nights():
    policy = SendingPolicy()
    assert (policy.quiet_from, policy.quiet_until) == (time(21), time(8))
