"""Policies: the published rules of four products and ours, and switches as people type them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.revenue.policies import PRESETS, MrrPolicy, parse_factor, policy_named

# The published table, row by row: growth, stripe, chartmogul, profitwell, baremetrics.
TABLE = {
    "basis": "subscription subscription invoice subscription subscription",
    "past_due_grace_days": "30 None None 15 30",
    "discounts": "recurring recurring all all all",
    "free_customer": "churn churn contraction churn churn",
    "metered": "out out = in =",
    "refunds": "ignore = deduct annual_cancel_only =",
    "churn_at": "ended_at cancel_request ended_at period_end =",
    "movements": "snapshot event = snapshot event",
    "pause_collection": "paused = stays paused =",
    "churn_denominator": "start start_plus_new start = start",
    "churn_window_days": "None 30 None None 30",
    "churn_window_days_yearly": "None None None None 365",
    "tz": "None UTC None = =",
}
NAMES = ("growth", "stripe", "chartmogul", "profitwell", "baremetrics")


@pytest.mark.parametrize("switch", TABLE)
def test_presets_are_the_published_table(switch):
    for name, told in zip(NAMES, TABLE[switch].split(), strict=True):
        found = PRESETS[name]
        expected = getattr(MrrPolicy(), switch) if told == "=" else told
        assert str(getattr(found, switch)) == str(expected), name
        assert (switch in found.assumed) == (told == "="), name


def test_nothing_else_than_the_table_differs_between_presets():
    ours = MrrPolicy().resolved()
    same = ours.keys() - TABLE.keys() - {"name", "definition", "assumed"}
    for found in PRESETS.values():
        assert {name: found.resolved()[name] for name in same} == {
            name: ours[name] for name in same
        }
        assert found.assumed <= TABLE.keys()


def test_default_is_growth_and_a_version_may_be_told():
    assert policy_named("default") is policy_named(" Growth ") is PRESETS["growth"]
    assert policy_named("stripe@1").definition == "stripe@1"
    for name in ("recurly", "stripe@2", "", "growth@"):
        with pytest.raises(UsageError, match="is not known") as refused:
            policy_named(name)
        assert "chartmogul" in refused.value.remedy


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("52/12", Fraction(13, 3)),
        ("4.33", Fraction(433, 100)),
        ("365.2425/84", Fraction(3652425, 840000)),
        ("365.2425 / 12", Fraction(3652425, 120000)),
        ("0", Fraction(0)),
        (".5", Fraction(1, 2)),
    ],
)
def test_factors_are_exact(text, factor):
    assert parse_factor("week_factor", text) == factor


@pytest.mark.parametrize("text", ["", "-1", "1/0", "1/2/3", "nan", "inf", "1e3", "four", "٤"])
def test_a_factor_that_is_no_number_is_refused(text):
    with pytest.raises(UsageError, match="week_factor"):
        policy_named("growth").with_switches({"week_factor": text})


def test_a_changed_switch_shows_in_the_name_and_is_no_longer_assumed():
    stripe = policy_named("stripe")
    changed = stripe.with_switches({"refunds": "deduct", "past_due_grace_days": "7"})
    assert changed.definition == "stripe+past_due_grace_days+refunds@1"
    assert (changed.refunds, changed.past_due_grace_days) == ("deduct", 7)
    assert changed.assumed == {"pause_collection"}
    said = stripe.with_switches({"refunds": "ignore"})
    assert said.definition == "stripe@1"
    assert said.assumed == {"pause_collection"}


@pytest.mark.parametrize(
    ("switch", "value"),
    [
        ("discounts", "some"),
        ("trials", ""),
        ("past_due_grace_days", "-1"),
        ("past_due_grace_days", "1.5"),
        ("churn_window_days", "0"),
        ("count_paused", "maybe"),
        ("rounding_places", "2"),
        ("tz", "Europe/Nowhere"),
        ("no_such_switch", "1"),
        ("name", "mine"),
    ],
)
def test_a_wrong_switch_is_refused(switch, value):
    with pytest.raises(UsageError):
        policy_named("growth").with_switches({switch: value})


def test_every_switch_is_told_and_survives_as_text():
    told = policy_named("baremetrics").resolved()
    assert told["week_factor"] == "13/3"
    assert told["definition"] == "baremetrics@1"
    assert told["assumed"] == ["churn_at", "metered", "pause_collection", "refunds", "tz"]
