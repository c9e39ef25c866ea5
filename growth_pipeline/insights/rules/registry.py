"""All rules, in the order in which a report tells them. Pure.

Contract: docs/insights-rules.md, which a test holds against this list.
"""

from __future__ import annotations

from typing import Final

from growth_pipeline.insights.claims import Claim, Severity
from growth_pipeline.insights.facts import Digest, Direction, Group
from growth_pipeline.insights.rules.rule import Rule, Speak
from growth_pipeline.insights.rules.silence import (
    any_of,
    in_range_of_before,
    silent_too,
    told_as_driver,
    told_of,
)
from growth_pipeline.insights.rules.speaking import (
    low,
    low_on_a_day,
    moved,
    silent,
    some,
    stages,
    trending,
    unusual,
)

_UP, _DOWN = Direction.UP, Direction.DOWN
_HIGH, _MEDIUM, _LOW, _GOOD = Severity.HIGH, Severity.MEDIUM, Severity.LOW, Severity.GOOD
_CUSTOMERS_MAY: Final = "Review the customers who left, and ask them for feedback."
_CHURN_MAY: Final = "Ask the customers who left for their feedback, and check payments that failed."
_PAYMENTS_MAY: Final = "Check open invoices, payments that failed, and the revenue audit."
_SIGNUPS_MAY: Final = "Check the sign-up steps, the tracking and the marketing channels."
_DORMANT_MAY: Final = "Talk to dormant users, and remind them of the product."
_PRODUCT_MAY: Final = "Check the product for errors, and the tracking of its events."
_RETENTION_MAY: Final = "Review onboarding and the usage of new users in the product."
_PARTS: Final = tuple(
    f"events.{name}"
    for name in ("acquisition", "activation", "engagement", "collaboration", "billing", "other")
)
_ALL_PARTS: Final = (*_PARTS, "events.support")
_GOOD_PARTS: Final = tuple(name for name in _PARTS if name != "events.billing")


def _rule(
    rule_id: str,
    group: Group,
    severity: Severity,
    speak: Speak,
    what: str,
    recommendation: str = "",
) -> Rule:
    return Rule(
        rule_id=rule_id,
        group=group,
        severity=severity,
        what=what,
        recommendation=recommendation,
        speak=speak,
    )


_REVENUE: Final = (
    _rule(
        "mrr_fell",
        Group.REVENUE,
        _HIGH,
        moved(_DOWN, "mrr"),
        "MRR of a currency is down since the week before. Names its drivers.",
        "Review the customers who left or downgraded, and talk to them.",
    ),
    _rule(
        "mrr_rose",
        Group.REVENUE,
        _GOOD,
        moved(_UP, "mrr"),
        "MRR of a currency is up since the week before. Names its drivers.",
    ),
    _rule(
        "mrr_trend_down",
        Group.REVENUE,
        _MEDIUM,
        trending(_DOWN, "mrr"),
        "MRR of a currency shows no clear change, and its trend is down.",
        "Review churn and contraction of the recent weeks together.",
    ),
    _rule(
        "mrr_trend_up",
        Group.REVENUE,
        _GOOD,
        trending(_UP, "mrr"),
        "MRR of a currency shows no clear change, and its trend is up.",
    ),
    _rule(
        "churn_worse",
        Group.REVENUE,
        _HIGH,
        moved(_DOWN, "mrr_churn", unless=told_as_driver),
        "Churned MRR, which is negative, is down since the week before: more was lost. Silent "
        "where it is named as a driver of MRR.",
        _CHURN_MAY,
    ),
    _rule(
        "churn_unusual",
        Group.REVENUE,
        _HIGH,
        unusual(_DOWN, "mrr_churn", unless=told_as_driver),
        "Churned MRR, which is negative, is below the usual week, and not down since the week "
        "before. Silent where it is named as a driver of MRR.",
        _CHURN_MAY,
    ),
    _rule(
        "contraction_worse",
        Group.REVENUE,
        _MEDIUM,
        moved(_DOWN, "mrr_contraction", unless=told_as_driver),
        "Contraction MRR, which is negative, is down since the week before: more was lost. Silent "
        "where it is named as a driver of MRR.",
        "Talk to the customers who downgraded, and compare their usage with the plans.",
    ),
    _rule(
        "new_mrr_fell",
        Group.REVENUE,
        _MEDIUM,
        moved(_DOWN, "mrr_new"),
        "New MRR of a currency is down since the week before.",
        "Review the marketing channels and the sales of recent weeks.",
    ),
    _rule(
        "expansion_better",
        Group.REVENUE,
        _GOOD,
        moved(_UP, "mrr_expansion", unless=told_as_driver),
        "Expansion MRR is up since the week before. Silent where it is named as a driver of MRR.",
    ),
    _rule(
        "customers_low",
        Group.REVENUE,
        _HIGH,
        low("customers"),
        "Paying customers of a currency are fewer than 20, after a mean of at least 40.",
        "Check the billing data and its integration first, then review the customers who left.",
    ),
    _rule(
        "customers_fell",
        Group.REVENUE,
        _HIGH,
        moved(_DOWN, "customers"),
        "Paying customers of a currency are down since the week before.",
        _CUSTOMERS_MAY,
    ),
    _rule(
        "customers_rose",
        Group.REVENUE,
        _GOOD,
        moved(_UP, "customers"),
        "Paying customers of a currency are up since the week before.",
    ),
    _rule(
        "payments_fell",
        Group.REVENUE,
        _MEDIUM,
        moved(_DOWN, "payments", unless=in_range_of_before),
        "Money of settled payments of a currency is down since the week before, and lower than in "
        "every earlier week.",
        _PAYMENTS_MAY,
    ),
    _rule(
        "payments_rose",
        Group.REVENUE,
        _GOOD,
        moved(_UP, "payments", unless=in_range_of_before),
        "Money of settled payments of a currency is up since the week before, and higher than in "
        "every earlier week.",
    ),
    _rule(
        "payment_count_fell",
        Group.REVENUE,
        _MEDIUM,
        moved(
            _DOWN, "payment_count", unless=any_of(told_of(_DOWN, "payments"), in_range_of_before)
        ),
        "The number of settled payments of a currency is down since the week before, and lower "
        "than in every earlier week. Silent where their money is down.",
        _PAYMENTS_MAY,
    ),
    _rule(
        "audit_findings",
        Group.REVENUE,
        _HIGH,
        some("audit"),
        "The revenue audit of the running month or the one before has open HIGH findings.",
        "Review the findings of the revenue audit, and repair the books.",
    ),
)
_USERS: Final = (
    _rule(
        "signups_low",
        Group.USERS,
        _HIGH,
        low("signups"),
        "Sign-ups are fewer than 20, after a mean of at least 40.",
        _SIGNUPS_MAY,
    ),
    _rule(
        "signups_fell",
        Group.USERS,
        _HIGH,
        moved(_DOWN, "signups"),
        "Sign-ups are down since the week before.",
        _SIGNUPS_MAY,
    ),
    _rule(
        "signups_rose",
        Group.USERS,
        _GOOD,
        moved(_UP, "signups"),
        "Sign-ups are up since the week before.",
    ),
    _rule(
        "signups_unusual",
        Group.USERS,
        _MEDIUM,
        unusual(_DOWN, "signups"),
        "Sign-ups are below the usual week, and not down since the week before.",
        _SIGNUPS_MAY,
    ),
    _rule(
        "signups_trend_down",
        Group.USERS,
        _MEDIUM,
        trending(_DOWN, "signups"),
        "Sign-ups show no clear change, are not below the usual week, and their trend is down.",
        "Review the marketing channels of the recent weeks.",
    ),
    _rule(
        "active_fell",
        Group.USERS,
        _HIGH,
        moved(_DOWN, "active_week"),
        "Active users of the calendar week are down since the week before. Names their drivers.",
        "Look at users who returned, and at dormant users.",
    ),
    _rule(
        "active_rose",
        Group.USERS,
        _GOOD,
        moved(_UP, "active_week"),
        "Active users of the calendar week are up since the week before. Names their drivers.",
    ),
    _rule(
        "dormant_rose",
        Group.USERS,
        _MEDIUM,
        moved(_UP, "dormant_users", unless=told_as_driver),
        "Dormant users are up since the week before. Silent where they are named as a driver of "
        "active users.",
        _DORMANT_MAY,
    ),
    _rule(
        "dormant_unusual",
        Group.USERS,
        _MEDIUM,
        unusual(_UP, "dormant_users", unless=told_as_driver),
        "Dormant users are above the usual week, and not up since the week before. Silent where "
        "they are named as a driver of active users.",
        _DORMANT_MAY,
    ),
    _rule(
        "new_users_fell",
        Group.USERS,
        _MEDIUM,
        moved(_DOWN, "new_users", unless=told_of(_DOWN, "signups")),
        "Users who were active for the first time are down since the week before. Silent where "
        "sign-ups are down.",
        "Check the onboarding and its tracking.",
    ),
)
_ENGAGEMENT: Final = (
    _rule(
        "wau_low",
        Group.ENGAGEMENT,
        _HIGH,
        low("wau"),
        "WAU is fewer than 20, after a mean of at least 40.",
        _PRODUCT_MAY,
    ),
    _rule(
        "wau_fell",
        Group.ENGAGEMENT,
        _HIGH,
        moved(_DOWN, "wau", unless=told_of(_DOWN, "active_week")),
        "WAU is down since the week before. Silent where active users of the calendar week are "
        "down.",
        _PRODUCT_MAY,
    ),
    _rule(
        "wau_rose",
        Group.ENGAGEMENT,
        _GOOD,
        moved(_UP, "wau", unless=told_of(_UP, "active_week")),
        "WAU is up since the week before. Silent where active users of the calendar week are up.",
    ),
    _rule(
        "wau_trend_down",
        Group.ENGAGEMENT,
        _MEDIUM,
        trending(_DOWN, "wau"),
        "WAU shows no clear change, and its trend is down.",
        "Look at the activity of recent cohorts, and talk to users who left.",
    ),
    _rule(
        "mau_fell",
        Group.ENGAGEMENT,
        _MEDIUM,
        moved(_DOWN, "mau"),
        "MAU is down since the week before.",
        "Look at the cohorts of the recent weeks.",
    ),
    _rule(
        "dau_fell",
        Group.ENGAGEMENT,
        _MEDIUM,
        moved(_DOWN, "dau", unless=told_of(_DOWN, "wau", "active_week", "stickiness")),
        "The mean DAU of the week is down since the week before. Silent where WAU, active users "
        "of the calendar week or stickiness are down.",
        _PRODUCT_MAY,
    ),
    _rule(
        "weekday_unusual",
        Group.ENGAGEMENT,
        _LOW,
        low_on_a_day("dau", unless=told_of(_DOWN, "dau", "wau", "active_week")),
        "Active users of one day are below the mean of the same weekday in the four weeks before, "
        "by abs(z) of at least 2 as of a flow. Silent where the mean DAU, WAU or active users of "
        "the calendar week are down.",
        "Check for outages and incidents on this day.",
    ),
    _rule(
        "stickiness_fell",
        Group.ENGAGEMENT,
        _MEDIUM,
        moved(_DOWN, "stickiness"),
        "Stickiness (active days of a weekly active user, of seven) is down since the week before.",
        "Review which features users return to.",
    ),
    _rule(
        "retention_fell",
        Group.ENGAGEMENT,
        _HIGH,
        moved(_DOWN, "retention"),
        "Retention on Day 1, 7 or 30 is down since the week before.",
        _RETENTION_MAY,
    ),
    _rule(
        "retention_rose",
        Group.ENGAGEMENT,
        _GOOD,
        moved(_UP, "retention"),
        "Retention on Day 1, 7 or 30 is up since the week before.",
    ),
    _rule(
        "retention_unusual",
        Group.ENGAGEMENT,
        _MEDIUM,
        unusual(_DOWN, "retention"),
        "Retention on Day 1, 7 or 30 is below the usual week, and not down since the week before.",
        _RETENTION_MAY,
    ),
)
_PRODUCT: Final = (
    _rule(
        "events_silent",
        Group.PRODUCT,
        _HIGH,
        silent("events"),
        "All events stand at nothing, after a mean of at least 20.",
        "Check the tracking of these events, and the write keys.",
    ),
    _rule(
        "category_silent",
        Group.PRODUCT,
        _HIGH,
        silent(*_ALL_PARTS, unless=silent_too("events")),
        "Events of one category stand at nothing, after a mean of at least 20. Silent where all "
        "events do.",
        "Check the tracking of these events, and the releases of the week.",
    ),
    _rule(
        "events_fell",
        Group.PRODUCT,
        _MEDIUM,
        moved(_DOWN, "events"),
        "All events together are down since the week before. Names their drivers.",
        "Check the tracking, then talk to users.",
    ),
    _rule(
        "events_rose",
        Group.PRODUCT,
        _GOOD,
        moved(_UP, "events"),
        "All events together are up since the week before. Names their drivers.",
    ),
    _rule(
        "category_fell",
        Group.PRODUCT,
        _MEDIUM,
        moved(_DOWN, *_PARTS, unless=told_of(_DOWN, "events")),
        "Events of one category, other than support, are down since the week before. Silent where "
        "all events are down.",
        "Check the tracking, then talk to users.",
    ),
    _rule(
        "category_rose",
        Group.PRODUCT,
        _GOOD,
        moved(_UP, *_GOOD_PARTS, unless=told_of(_UP, "events")),
        "Events of one category, other than support and billing, are up since the week before. "
        "Silent where all events are up.",
    ),
    _rule(
        "support_rose",
        Group.PRODUCT,
        _MEDIUM,
        moved(_UP, "events.support"),
        "Support events are up since the week before.",
        "Read the questions of users to support, and fix what they ask about.",
    ),
    _rule(
        "funnel_fell",
        Group.PRODUCT,
        _HIGH,
        stages(_DOWN),
        "A funnel has fewer users who begin, or a lower share comes to one of its stages, in its "
        "newest closed week against the week before. A later stage of a funnel is told only if "
        "its share fell by a tenth more than that of the stage told before it.",
        "Walk through this part of the funnel, and test each step.",
    ),
    _rule(
        "funnel_rose",
        Group.PRODUCT,
        _GOOD,
        stages(_UP),
        "A funnel has more users who begin, or a higher share comes to the first of its stages "
        "that rose, in its newest closed week against the week before.",
    ),
)

RULES: Final[tuple[Rule, ...]] = (*_REVENUE, *_USERS, *_ENGAGEMENT, *_PRODUCT)


def claims_of(digest: Digest) -> list[Claim]:
    """What the rules say of a digest, in their order."""
    return [claim for rule in RULES for claim in rule.claims(digest)]
