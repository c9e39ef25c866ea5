"""What a change of MRR is called, worked by hand. Contract: docs/metrics.md, "MRR movements"."""

from __future__ import annotations

from fractions import Fraction

import pytest

from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.revenue.movements import (
    Cause,
    Earlier,
    Movement,
    cause_of,
    classify,
    fx_change,
    movement_table,
)


@pytest.mark.parametrize(
    ("before", "now", "earlier", "paused", "movement"),
    [
        (5000, 5000, Earlier.NEVER, False, None),
        (0, 3000, Earlier.NEVER, False, Movement.NEW),
        (4000, 7000, Earlier.NEVER, False, Movement.EXPANSION),
        (6000, 2500, Earlier.NEVER, False, Movement.CONTRACTION),
        (2000, 0, Earlier.NEVER, False, Movement.CHURN),
        (0, 1500, Earlier.LEFT, False, Movement.REACTIVATION),
        (3000, 0, Earlier.NEVER, True, Movement.PAUSED),
        (0, 3000, Earlier.PAUSED, False, Movement.RESUMED),
        (6000, 2500, Earlier.NEVER, True, Movement.CONTRACTION),
        (0, 0, Earlier.LEFT, False, None),
    ],
)
def test_a_change_has_one_name(before, now, earlier, paused, movement):
    assert classify(before, now, earlier=earlier, paused=paused) == movement


def test_who_becomes_free_contracts_where_the_policy_keeps_them_and_churns_when_they_go():
    assert classify(100, 0, is_customer=True) == Movement.CONTRACTION
    assert classify(0, 100, was_customer=True) == Movement.EXPANSION
    assert classify(0, 0, was_customer=True) == Movement.CHURN


def test_the_table_that_the_engine_joins_names_each_change_once():
    rows = list(movement_table())
    assert len({row[:5] for row in rows}) == len(rows)


def test_mrr_below_0_has_no_movement():
    with pytest.raises(ValueError, match="below 0"):
        classify(-1, 0)


def test_reasons_of_stripe_have_a_cause_and_an_unknown_word_is_refused():
    assert cause_of(None) == Cause.UNKNOWN
    assert cause_of("cancellation_requested") == Cause.VOLUNTARY
    assert cause_of("Payment_Failed") == Cause.DELINQUENT
    assert cause_of("payment_disputed") == Cause.DISPUTE
    assert cause_of("canceled_by_retention_policy") == Cause.OTHER
    with pytest.raises(UnknownValueError, match="too_expensive"):
        cause_of("too_expensive")


def test_exchange_rates_move_what_was_there_before_and_the_rest_counts_at_the_later_rate():
    # 100.00 EUR at 1.10 -> 120.00 EUR at 1.05: 110.00 - 5.00 + 21.00 = 126.00 USD.
    before, now = Fraction(100), Fraction(120)
    then, later = Fraction("1.10"), Fraction("1.05")
    moved = fx_change(before, then, later)
    assert moved == -5
    assert before * then + moved + (now - before) * later == 126
