"""The list of rules: documented, advised within the vocabulary; where each speaks and is silent."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from growth_pipeline.insights.claims import Severity
from growth_pipeline.insights.facts import Digest, Group, Kind, Unit
from growth_pipeline.insights.figures import render_statement
from growth_pipeline.insights.rules import RULES, claims_of
from growth_pipeline.insights.verifier.advice import faults_of
from growth_pipeline.insights.verifier.verify import verify
from growth_pipeline_tests.insights.rules.companies import END, NOW
from growth_pipeline_tests.insights.rules.test_rules_oracle import digest_of
from growth_pipeline_tests.insights.test_change import a_series

PAGE = (Path(__file__).parents[3] / "docs" / "insights-rules.md").read_text()
STOCK, FLOW, RATE = Kind.STOCK, Kind.FLOW, Kind.RATE
LABELS = {
    "audit": "Open HIGH findings of the revenue audit",
    "mrr": "MRR (USD)",
    "mrr_churn": "Churned MRR (USD)",
    "mrr_contraction": "Contraction MRR (USD)",
    "mrr_new": "New MRR (USD)",
    "mrr_expansion": "Expansion MRR (USD)",
    "customers": "Paying customers (USD)",
    "payments": "Payments (USD)",
    "payment_count": "Number of payments (USD)",
    "signups": "Sign-ups",
    "active_week": "Active users of the calendar week",
    "dormant_users": "Dormant users",
    "new_users": "New users",
    "wau": "Weekly active users (WAU)",
    "mau": "Monthly active users (MAU)",
    "dau": "Daily active users (DAU), mean of the week",
    "dau.monday": "Active users on Monday",
    "stickiness": "Stickiness",
    "retention": "Day 7 retention",
    "events": "Events",
    "events.activation": "Activation events",
    "events.support": "Support events",
    "funnel": "Funnel conversion to a later stage",
}


def of(family, values, *, kind=FLOW, group=Group.USERS, money=False, fact_id=None, **more):
    """Weeks of one family; money rests on 50 customers a week."""
    given = {"of": [1000] * len(values), "unit": Unit.RATE} if kind is RATE else {}
    if money:
        given = {"unit": Unit.MINOR, "currency": "usd", "samples": [50] * len(values)}
    name = fact_id or (f"{family}.usd" if group is Group.REVENUE else family)
    label = LABELS[name] if name in LABELS else LABELS[family]
    series = a_series(
        values, kind=kind, group=group, fact_id=name, family=family, label=label, **given, **more
    )
    if series.grain != "day":
        return series
    day = timedelta(days=1)
    return replace(series, points=tuple(replace(one, end=one.start + day) for one in series.points))


def revenue(family, values, kind=FLOW, **more):
    return of(family, values, kind=kind, group=Group.REVENUE, money=True, **more)


def counted(family, values, kind=FLOW):
    return of(family, values, kind=kind, group=Group.REVENUE, currency="usd")


def used(family, values, kind=STOCK, **more):
    return of(family, values, kind=kind, group=Group.ENGAGEMENT, **more)


def product(family, values, **more):
    return of(family, values, group=Group.PRODUCT, **more)


def weeks(*last, size=1000, count=7):
    return [size] * count + list(last)


WOBBLE = [1000, 1040, 960, 1020, 980, 1040, 960, 1000]  # deviation 29.65: two are 59.3
FALLING = [1000, 992, 984, 976, 968, 960, 952, 944]  # -8 a week: 7 x 8 = 56 >= 5 % of 944
SLOWLY = [1000, 994, 988, 982, 976, 970, 964, 958]  # 7 x 6 = 42 < 5 % of 958

# Rule -> series of which it speaks, and of which it is silent just beyond its bound.
SCENES = {
    "mrr_fell": (
        [
            revenue("mrr", [100_000, 95_000], STOCK),
            revenue("mrr_churn", [0, -6000], part_of="mrr.usd"),
            revenue("mrr_new", [0, 1000], part_of="mrr.usd"),
        ],
        [revenue("mrr", [100_000, 95_001], STOCK)],
    ),
    "mrr_rose": (
        [revenue("mrr", [100_000, 105_000], STOCK)],
        [revenue("mrr", [100_000, 104_999], STOCK)],
    ),
    "mrr_trend_down": ([revenue("mrr", FALLING, STOCK)], [revenue("mrr", SLOWLY, STOCK)]),
    "mrr_trend_up": (
        [revenue("mrr", FALLING[::-1], STOCK)],
        [revenue("mrr", FALLING[:0:-1], STOCK)],  # seven weeks
    ),
    "churn_worse": (
        [revenue("mrr_churn", [-one for one in WOBBLE] + [-1100])],
        [revenue("mrr_churn", [-one for one in WOBBLE] + [-1099])],
    ),
    "churn_unusual": (
        [revenue("mrr_churn", [-1000] * 7 + [-1150, -1200])],
        [revenue("mrr_churn", [-1000] * 7 + [-1150, -1140])],
    ),
    "contraction_worse": (
        [revenue("mrr_contraction", [-one for one in WOBBLE] + [-1100])],
        [revenue("mrr_contraction", [-one for one in WOBBLE] + [-1099])],
    ),
    "new_mrr_fell": ([revenue("mrr_new", [*WOBBLE, 895])], [revenue("mrr_new", [*WOBBLE, 901])]),
    "expansion_better": (
        [revenue("mrr_expansion", [*WOBBLE, 1100])],
        [revenue("mrr_expansion", [*WOBBLE, 1099])],
    ),
    "customers_low": (
        [counted("customers", weeks(19, size=40), STOCK)],
        [counted("customers", weeks(19, size=39), STOCK)],
    ),
    "customers_fell": (
        [counted("customers", [400, 380], STOCK)],
        [counted("customers", [400, 381], STOCK)],
    ),
    "customers_rose": (
        [counted("customers", [400, 420], STOCK)],
        [counted("customers", [400, 419], STOCK)],
    ),
    "payments_fell": (
        [revenue("payments", [*WOBBLE, 895])],
        [revenue("payments", [895, *WOBBLE, 895])],  # it comes and goes
    ),
    "payments_rose": (
        [revenue("payments", [*WOBBLE, 1100])],
        [revenue("payments", [1100, *WOBBLE, 1100])],
    ),
    "payment_count_fell": (
        [counted("payment_count", [1000, 900])],
        [counted("payment_count", [1000, 900]), revenue("payments", [*WOBBLE, 895])],
    ),
    "audit_findings": (
        [of("audit", [2], kind=STOCK, group=Group.REVENUE, fact_id="audit.high")],
        [of("audit", [0], kind=STOCK, group=Group.REVENUE, fact_id="audit.high")],
    ),
    "signups_low": ([of("signups", weeks(19, size=40))], [of("signups", weeks(20, size=40))]),
    "signups_fell": ([of("signups", [1000, 900])], [of("signups", [1000, 901])]),
    "signups_rose": ([of("signups", [1000, 1100])], [of("signups", [1000, 1099])]),
    "signups_unusual": (
        [of("signups", weeks(950, 880))],
        [of("signups", weeks(950, 890))],  # the mean is 987.5: -9.9 %
    ),
    "signups_trend_down": (
        [of("signups", [1000, 985, 970, 955, 940, 925, 910, 895])],
        [of("signups", [1000, 988, 976, 964, 952, 940, 928, 916])],  # 84 < a tenth
    ),
    "active_fell": (
        [
            of("active_week", [1000, 900], kind=STOCK),
            of("new_users", [0, 50], part_of="active_week"),
            of("dormant_users", [0, 150], part_of="active_week", sign=-1),
        ],
        [of("active_week", [1000, 951], kind=STOCK)],
    ),
    "active_rose": (
        [of("active_week", [1000, 1050], kind=STOCK)],
        [of("active_week", [1000, 1049], kind=STOCK)],
    ),
    "dormant_rose": ([of("dormant_users", [1000, 1100])], [of("dormant_users", [1000, 1099])]),
    "dormant_unusual": (
        [of("dormant_users", weeks(1050, 1120))],
        [of("dormant_users", weeks(1050, 1110))],  # the mean is 1,012.5: +9.6 %
    ),
    "new_users_fell": (
        [of("new_users", [1000, 900])],
        [of("new_users", [1000, 900]), of("signups", [1000, 900])],
    ),
    "wau_low": ([used("wau", weeks(19, size=40))], [used("wau", weeks(19, size=39))]),
    "wau_fell": (
        [used("wau", [4000, 3800])],
        [used("wau", [4000, 3800]), of("active_week", [4000, 3800], kind=STOCK)],
    ),
    "wau_rose": ([used("wau", [1000, 1050])], [used("wau", [1000, 1049])]),
    "wau_trend_down": ([used("wau", FALLING)], [used("wau", SLOWLY)]),
    "mau_fell": ([used("mau", [4000, 3800])], [used("mau", [4000, 3801])]),
    "dau_fell": (
        [used("dau", [4000, 3800])],
        [used("dau", [4000, 3800]), used("wau", [4000, 3800])],
    ),
    "weekday_unusual": (
        [used("dau", weeks(420, size=500), grain="day", fact_id="dau.monday")],  # z -2.64
        [used("dau", weeks(450, size=500), grain="day", fact_id="dau.monday")],  # z -1.62
    ),
    "stickiness_fell": (
        [used("stickiness", [500, 450], RATE)],  # z -2.24
        [used("stickiness", [500, 460], RATE)],
    ),
    "retention_fell": (
        [used("retention", [500, 450], RATE)],
        [used("retention", [300, 265], RATE)],  # -11.7 %, z -1.74
    ),
    "retention_rose": (
        [used("retention", [500, 550], RATE)],
        [used("retention", [500, 549], RATE)],
    ),
    "retention_unusual": (
        [used("retention", weeks(470, 443, size=500), RATE)],
        [used("retention", weeks(470, 444, size=500), RATE)],  # the mean is 49.25 %: -9.8 %
    ),
    "events_silent": (
        [product("events", weeks(0, size=20))],
        [product("events", weeks(0, size=19))],
    ),
    "category_silent": (
        [product("events.activation", weeks(0, size=20))],
        [
            product("events.activation", weeks(0, size=20)),
            product("events", weeks(0, size=20)),
        ],
    ),
    "events_fell": ([product("events", [1000, 900])], [product("events", [1000, 901])]),
    "events_rose": ([product("events", [1000, 1100])], [product("events", [1000, 1099])]),
    "category_fell": (
        [product("events.activation", [1000, 900])],
        [product("events.activation", [1000, 900]), product("events", [1000, 900])],
    ),
    "category_rose": (
        [product("events.activation", [1000, 1100])],
        [product("events.support", [1000, 1100])],
    ),
    "support_rose": (
        [product("events.support", [1000, 1100])],
        [product("events.support", [1000, 1099])],
    ),
    "funnel_fell": (
        [product("funnel", [500, 450], kind=RATE, fact_id="funnel.1.2")],
        [product("funnel", [500, 456], kind=RATE, fact_id="funnel.1.2")],
    ),
    "funnel_rose": (
        [product("funnel", [500, 550], kind=RATE, fact_id="funnel.1.2")],
        [product("funnel", [500, 549], kind=RATE, fact_id="funnel.1.2")],
    ),
}


def said(rule_id, series):
    digest = digest_of(series)
    claims = claims_of(digest)
    assert all(verify(claim, digest) == () for claim in claims)
    facts = digest.by_id
    return [(one, render_statement(one.text, facts)) for one in claims if one.rule == rule_id]


def test_every_rule_has_a_name_of_its_own_and_its_line_in_the_docs():
    assert len({rule.rule_id for rule in RULES}) == len(RULES)
    documented = re.findall(
        r"^\| `(\w+)` \| (\w+) \| (.+?) \| (.+?) \| .+? \|$", PAGE, re.MULTILINE
    )
    assert documented == [
        (rule.rule_id, str(rule.severity), rule.what, rule.recommendation or "-") for rule in RULES
    ]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.rule_id)
def test_a_rule_speaks_as_the_docs_show_and_is_silent_just_beyond_its_bound(rule):
    speaks, is_silent = SCENES[rule.rule_id]
    ((claim, text),) = said(rule.rule_id, speaks)
    assert (claim.severity, claim.recommendation) == (rule.severity, rule.recommendation)
    assert f"| `{rule.rule_id}` |" in PAGE
    assert f'| "{text}" |' in PAGE, text
    assert said(rule.rule_id, is_silent) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.rule_id)
def test_advice_passes_the_same_check_as_the_models(rule):
    assert list(faults_of(rule.recommendation)) == []
    assert rule.recommendation or rule.severity in (Severity.GOOD, Severity.LOW)


def test_rules_speak_in_the_group_of_their_facts():
    assert {rule.group for rule in RULES} == set(Group)


def test_an_empty_company_is_told_nothing():
    empty = Digest(week_start=END, week_end=END, weeks=8, made_at=NOW, facts=())
    assert claims_of(empty) == []


def test_a_week_that_only_goes_back_to_the_usual_is_no_alarm():
    ((claim, text),) = said("signups_fell", [of("signups", weeks(1800, 1100))])
    assert (claim.severity, claim.recommendation) == (Severity.LOW, "")
    assert text == (
        "Sign-ups fell by 38.9 % to 1,100, with no clear change against the usual week."
    )


def test_a_few_users_less_than_chance_moves_are_no_alarm():
    ((claim, _),) = said("wau_fell", [used("wau", [22, 20])])
    assert (claim.severity, claim.recommendation) == (Severity.LOW, "")


def test_a_rise_that_stays_below_the_usual_is_no_good_news():
    recovering = [of("signups", weeks(400, 500))]
    assert said("signups_rose", recovering) == []
    assert len(said("signups_unusual", recovering)) == 1


def test_one_bad_week_is_told_in_few_claims():
    series = [
        *(used(name, weeks(700, size=900)) for name in ("wau", "mau", "dau")),
        of("active_week", weeks(700, size=900), kind=STOCK),
        used("dau", weeks(300, size=400), grain="day", fact_id="dau.monday"),
        product("events", weeks(900, size=1200)),
        product("events.activation", weeks(900, size=1200)),
    ]
    rules = [claim.rule for claim in claims_of(digest_of(series))]
    assert rules == ["active_fell", "mau_fell", "events_fell"]


def test_a_later_stage_is_told_only_if_it_fell_further():
    def stage(number, *values):
        return product("funnel", list(values), kind=RATE, fact_id=f"funnel.1.{number}")

    # Stage 2 keeps 0.8 of its share, 3 keeps 0.75 (it follows suit), 4 keeps 0.5: 0.5 <= 0.72.
    series = [stage(2, 500, 400), stage(3, 400, 300), stage(4, 300, 150)]
    told = [claim.facts for claim, _ in said("funnel_fell", series)]
    assert told == [("funnel.1.2",), ("funnel.1.4",)]


def test_a_second_driver_is_named_if_it_is_at_least_half_as_large():
    def drop(churn, contraction):
        change = churn + contraction
        return [
            revenue("mrr", [100_000, 100_000 + change], STOCK),
            revenue("mrr_churn", [0, churn], part_of="mrr.usd"),
            revenue("mrr_contraction", [0, contraction], part_of="mrr.usd"),
        ]

    ((both, text),) = said("mrr_fell", drop(-8000, -4000))
    assert both.facts == ("mrr.usd", "mrr_churn.usd", "mrr_contraction.usd")
    assert text.endswith(
        "driven by Churned MRR (USD) of -USD 80.00 and Contraction MRR (USD) of -USD 40.00."
    )
    ((one, _),) = said("mrr_fell", drop(-8000, -3999))
    assert one.facts == ("mrr.usd", "mrr_churn.usd")
