"""Found against planted: equal in month, class, object, currency and impact, each once."""

from growth_pipeline.operate.truth import compare_with_truth


def a_problem(**changes):
    one = {
        "month": "2026-03",
        "code": "amount_mismatch",
        "object_id": "ch_1",
        "currency": "usd",
        "impact_minor": -500,
    }
    return one | changes


def test_everything_found_and_nothing_else_is_green():
    outcome = compare_with_truth([a_problem()], [a_problem()])
    assert (outcome.found, outcome.planted, outcome.is_green) == (1, 1, True)


def test_a_missed_problem_is_named():
    outcome = compare_with_truth([a_problem(), a_problem(object_id="ch_2")], [a_problem()])
    assert outcome.found == 1
    assert [str(one) for one in outcome.missed] == ["2026-03 amount_mismatch ch_2 -500 usd"]
    assert not outcome.is_green


def test_a_finding_that_nobody_planted_is_unexpected():
    outcome = compare_with_truth(
        [], [a_problem(code="orphan_row", currency=None, impact_minor=None)]
    )
    assert [str(one) for one in outcome.unexpected] == ["2026-03 orphan_row ch_1 unknown"]
    assert not outcome.is_green


def test_a_wrong_impact_counts_as_missed_and_unexpected():
    outcome = compare_with_truth([a_problem()], [a_problem(impact_minor=-499)])
    assert (outcome.found, len(outcome.unexpected)) == (0, 1)


def test_the_same_problem_reported_twice_is_unexpected_once():
    outcome = compare_with_truth([a_problem()], [a_problem(), a_problem()])
    assert (outcome.found, len(outcome.unexpected)) == (1, 1)


def test_unknown_and_zero_are_two_things():
    assert not compare_with_truth(
        [a_problem(impact_minor=0)], [a_problem(impact_minor=None)]
    ).is_green


def test_another_severity_or_cause_counts_as_missed_and_unexpected():
    planted = a_problem(severity="HIGH", cause="unit_factor")
    assert compare_with_truth([planted], [planted]).is_green
    for wrong in ({"severity": "MEDIUM"}, {"cause": "stale"}):
        outcome = compare_with_truth([planted], [planted | wrong])
        assert (outcome.found, len(outcome.unexpected)) == (0, 1), wrong
    assert str(outcome.missed[0]) == "2026-03 amount_mismatch ch_1 -500 usd HIGH unit_factor"


def test_a_planted_problem_of_several_causes_is_found_with_any_of_them():
    planted = a_problem(severity="HIGH", cause="")
    assert compare_with_truth([planted], [planted | {"cause": "handled_wrong"}]).is_green
