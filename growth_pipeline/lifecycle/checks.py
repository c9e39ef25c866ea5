"""What must hold of stages and messages, as asset checks. How it is measured is in health.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from growth_pipeline.lifecycle.choice import HealthLimits
    from growth_pipeline.lifecycle.health import MessageHealth
    from growth_pipeline.lifecycle.scores.backtest import Backtest

STAGES_KEY = dg.AssetKey(["lifecycle", "stages"])
MESSAGES_KEY = dg.AssetKey(["lifecycle", "messages"])
SCORES_KEY = dg.AssetKey(["lifecycle", "engagement_scores"])
BACKTEST_KEY = dg.AssetKey(["lifecycle", "score_backtest"])
ONE_STAGE = "one_stage_each"
COUNTED = "every_user_is_counted"
CAPS = "caps_are_kept"
SUPPRESSED = "nobody_mailed_after_suppression"
BOUNCES = "bounce_rate"
COMPLAINTS = "complaint_rate"
KNOWN = "outcomes_are_known"
KIT = "kit_answers"
NEWS = "nothing_new_waits"
CHANCE = "scores_are_better_than_chance"
_EXAMPLES = 10
_CHANCE = 0.5

STAGE_CHECKS = [
    dg.AssetCheckSpec(
        NEWS,
        asset=STAGES_KEY,
        description="Whoever anything new was known of before the run was looked at.",
    ),
]
BACKTEST_CHECKS = [
    dg.AssetCheckSpec(
        CHANCE,
        asset=BACKTEST_KEY,
        description="On the newest day with enough users, the score orders who converted, and who "
        "churned, better than chance: AUC above 0.5.",
    ),
]
SCORE_CHECKS = [
    dg.AssetCheckSpec(
        ONE_STAGE,
        asset=SCORES_KEY,
        description="Every user who counts has exactly one stage, that of the last transition, and "
        "nobody's time was missed.",
    ),
    dg.AssetCheckSpec(
        COUNTED,
        asset=SCORES_KEY,
        description="The stages of a day, and the bands of its scores, add up to its users.",
    ),
]
MESSAGE_CHECKS = [
    dg.AssetCheckSpec(
        CAPS,
        asset=MESSAGES_KEY,
        description="No user got more messages in any days of the cap than it allows.",
    ),
    dg.AssetCheckSpec(
        SUPPRESSED,
        asset=MESSAGES_KEY,
        description="No call was made to an address after its suppression.",
    ),
    dg.AssetCheckSpec(
        BOUNCES,
        asset=MESSAGES_KEY,
        description="Of the addresses written to in 30 days, no more bounced than the settings "
        "allow; one alone is chance.",
    ),
    dg.AssetCheckSpec(
        COMPLAINTS,
        asset=MESSAGES_KEY,
        description="Of the addresses written to in 30 days, no more complained than the settings "
        "allow; one alone is chance.",
    ),
    dg.AssetCheckSpec(
        KNOWN,
        asset=MESSAGES_KEY,
        description="No message waits for a person: none is parked.",
    ),
    dg.AssetCheckSpec(
        KIT,
        asset=MESSAGES_KEY,
        description="Kit took every question and every message of the run, or nothing is sent.",
    ),
]


def check_stages(waiting: int) -> list[dg.AssetCheckResult]:
    """A warning: the next run looks at them."""
    faults = [f"something new of {waiting:,} users waits"] if waiting else []
    return [_result(NEWS, faults, warns=True)]


def check_backtest(found: Sequence[Backtest]) -> list[dg.AssetCheckResult]:
    """A warning: the score is worth little then, and stages that rest on it too."""
    newest = {one.outcome: one for one in found if one.auc is not None and not one.is_small}
    faults = [
        f"{one.outcome} after {one.snapshot_on}: AUC {one.auc:.3f}"
        for one in newest.values()
        if one.auc is not None and one.auc <= _CHANCE
    ]
    return [_result(CHANCE, faults, warns=True)]


def check_scores(faults: Sequence[str], uncounted: Sequence[str]) -> list[dg.AssetCheckResult]:
    """One result each."""
    return [_result(ONE_STAGE, faults), _result(COUNTED, uncounted)]


def check_messages(
    health: MessageHealth, limits: HealthLimits, *, stopped: str
) -> list[dg.AssetCheckResult]:
    """One result each. What waits for a person, or for Kit, is a warning; the rest is an error."""
    bounces = _rate("bounced", health, health.bounced, limits.max_bounce_rate)
    complaints = _rate("complained", health, health.complained, limits.max_complaint_rate)
    parked = [f"{health.parked} messages are parked: growth lifecycle outbox --state parked"]
    return [
        _result(CAPS, health.over_cap),
        _result(SUPPRESSED, health.after_suppression),
        _result(BOUNCES, bounces),
        _result(COMPLAINTS, complaints),
        _result(KNOWN, parked if health.parked else [], warns=True),
        _result(KIT, [stopped] if stopped else [], warns=True),
    ]


def _rate(what: str, health: MessageHealth, count: int, rate: float) -> list[str]:
    if not health.exceeds(count, rate):
        return []
    return [f"{count} of {health.sent} {what}: more than {rate:.2%}. Stop sending and look why."]


def _result(name: str, faults: Sequence[str], *, warns: bool = False) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(
        check_name=name,
        passed=not faults,
        severity=severity,
        description="; ".join(faults[:_EXAMPLES]) or None,
        metadata={"faults": len(faults)},
    )
