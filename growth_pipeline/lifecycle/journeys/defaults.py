"""The journeys that come along. Each names tags; the e-mails are written at Kit, as automations."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from growth_pipeline.lifecycle.facts import Stage
from growth_pipeline.lifecycle.journeys.model import (
    Audience,
    DoesEvent,
    EntersStage,
    Journey,
    Step,
)

_FROM: Final = date(2026, 1, 1)
_PAYS: Final = (Stage.PAYING, Stage.WON_BACK)

JOURNEYS: Final[tuple[Journey, ...]] = (
    Journey(
        name="activation",
        version=1,
        what="Somebody signed up and has not made the first project.",
        trigger=EntersStage(Stage.SIGNED_UP),
        starts_on=_FROM,
        steps=(
            Step("first-project", timedelta(days=1), tag="growth/activation/first-project"),
            Step("need-help", timedelta(days=4), tag="growth/activation/need-help"),
        ),
        goal=DoesEvent("Project Created"),
        goal_days=14,
        exits=(*_PAYS, Stage.AT_RISK, Stage.DORMANT),
        priority=30,
        holdout=0.1,
    ),
    Journey(
        name="trial",
        version=1,
        what="A trial runs; before it ends the user should know what paying brings.",
        trigger=EntersStage(Stage.TRIALING),
        starts_on=_FROM,
        steps=(
            Step("make-the-most", timedelta(days=3), tag="growth/trial/make-the-most"),
            Step(
                "ends-soon",
                timedelta(days=7),
                tag="growth/trial/ends-soon",
                only_in=(Stage.TRIALING,),
            ),
        ),
        goal=EntersStage(*_PAYS),
        exits=(Stage.AT_RISK, Stage.TRIAL_ENDED, Stage.CHURNED),
        priority=40,
        holdout=0.1,
    ),
    Journey(
        name="at-risk",
        version=1,
        what="A customer uses the product far less than before.",
        trigger=EntersStage(Stage.AT_RISK, from_=_PAYS),
        starts_on=_FROM,
        audience=Audience(scores=(0, 29)),
        steps=(Step("check-in", timedelta(hours=9), tag="growth/at-risk/check-in"),),
        goal=EntersStage(*_PAYS),
        exits=(Stage.CHURNED, Stage.PAUSED),
        priority=50,
        holdout=0.1,
    ),
    Journey(
        name="winback",
        version=1,
        what="A customer left.",
        trigger=EntersStage(Stage.CHURNED),
        starts_on=_FROM,
        steps=(
            Step("what-was-missing", timedelta(days=7), tag="growth/winback/what-was-missing"),
            Step("what-is-new", timedelta(days=38), tag="growth/winback/what-is-new"),
        ),
        goal=EntersStage(Stage.WON_BACK),
        goal_days=90,
        exits=(*_PAYS, Stage.AT_RISK, Stage.TRIALING),
        priority=20,
        holdout=0.1,
    ),
    Journey(
        name="dormant",
        version=1,
        what="Somebody who never paid has not been there for a month.",
        trigger=EntersStage(Stage.DORMANT),
        starts_on=_FROM,
        steps=(Step("come-back", timedelta(days=2), tag="growth/dormant/come-back"),),
        goal=EntersStage(
            Stage.ACTIVATED, Stage.SIGNED_UP, Stage.TRIAL_ENDED, Stage.TRIALING, *_PAYS
        ),
        exits=(Stage.AT_RISK, Stage.CHURNED),
        priority=10,
        holdout=0.1,
    ),
)
