"""Checks of what is made of product events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.events.activity.judge import KNOWN, RULES

if TYPE_CHECKING:
    from growth_pipeline.events.assertions.verify import Verified

BILLING_ASSERTIONS = dg.AssetKey(["events", "billing_assertions"])
ACTIVITY = dg.AssetKey(["events", "activity"])
_EXAMPLES = 10

ACTIVITY_CHECKS = tuple(
    dg.AssetCheckSpec(name, asset=ACTIVITY, description=description)
    for name, description in RULES.items()
)

ASSERTION_CHECKS = (
    dg.AssetCheckSpec(
        "stripe_says_what_billing_events_say",
        asset=BILLING_ASSERTIONS,
        description="Stripe contradicts no billing event of the last 30 days; a difference of time "
        "alone is listed and passes.",
    ),
)


def check_assertions(verified: Verified) -> dg.AssetCheckResult:
    """Passes when no finding is more than a difference of time. A WARN: revenue is Stripe's."""
    found = [one for one in verified.findings if one.severity != "LOW"]
    late = sum(count for code, count in verified.codes.items() if code == "other_time")
    count = verified.contradicted - late
    events = "1 billing event" if count == 1 else f"{count} billing events"
    return dg.AssetCheckResult(
        check_name="stripe_says_what_billing_events_say",
        passed=count == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Stripe contradicts {events}" if count else None,
        metadata={
            "contradicted": count,
            "at_another_time": late,
            "examples": [one.to_dict() for one in found[:_EXAMPLES]],
            "remedy": "growth events verify --billing lists them; mend the application that sends "
            "them, or growth backfill where the mirror is what lacks something",
        },
    )


def check_activity(judged: Mapping[str, Sequence[str]]) -> list[dg.AssetCheckResult]:
    """One result a rule. That nobody counts is a warning: a company may be that young."""
    return [
        dg.AssetCheckResult(
            check_name=name,
            passed=not faults,
            severity=dg.AssetCheckSeverity.WARN if name == KNOWN else dg.AssetCheckSeverity.ERROR,
            description="; ".join(faults[:_EXAMPLES]) or None,
            metadata={"faults": len(faults)},
        )
        for name, faults in judged.items()
    ]
