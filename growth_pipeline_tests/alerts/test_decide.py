"""What deserves an alert, in rows a person can check by eye."""

import pytest

from growth_pipeline.alerts.decide import (
    TITLE_LENGTH,
    CheckOutcome,
    LastAlert,
    RunOutcome,
    decide_alerts,
    inert,
    read_signals,
)

RUN = RunOutcome("run-1", "audit_job", partition="2025-10", url="http://127.0.0.1:3000/runs/run-1")


def a_check(check="amounts_agree", **changes):
    facts = {"asset": "audit/findings", "passed": False, "partition": "2025-10"}
    return CheckOutcome(check=check, **{**facts, **changes})


def decide(run, checks, last=None):
    return decide_alerts(run, read_signals(run, checks), last or {})


def said_before(run, checks):
    """What the outbox knows after the alerts of an earlier run."""
    return {alert.fingerprint: LastAlert(alert.kind, alert.title) for alert in decide(run, checks)}


def test_a_failed_check_is_one_alert_that_says_where_what_and_how_much():
    outcome = a_check(
        description="2 findings (amount_mismatch 2), +12.00 usd", remedy="Correct it."
    )
    (alert,) = decide(RUN, [outcome])
    assert alert.kind == "failed_check"
    assert alert.title == (
        "audit/findings 2025-10: amounts_agree failed: 2 findings (amount_mismatch 2), +12.00 usd"
    )
    assert alert.body.splitlines() == [
        "2 findings (amount_mismatch 2), +12.00 usd",
        "Correct it.",
        "Run: http://127.0.0.1:3000/runs/run-1",
    ]


def test_a_clean_run_says_nothing():
    assert decide(RUN, [a_check(passed=True), a_check("verdict", passed=True)]) == []


def test_low_findings_call_nobody():
    assert decide(RUN, [a_check("months_agree", level="LOW")]) == []


def test_the_verdict_is_silent_when_a_class_of_its_month_speaks():
    alerts = decide(RUN, [a_check("verdict"), a_check("amounts_agree")])
    assert [alert.title for alert in alerts] == ["audit/findings 2025-10: amounts_agree failed"]


def test_the_verdict_speaks_when_only_low_findings_led_to_it():
    alerts = decide(RUN, [a_check("verdict", level="MEDIUM"), a_check("months_agree", level="LOW")])
    assert [alert.title for alert in alerts] == ["audit/findings 2025-10: verdict failed"]


def test_the_verdict_of_another_month_is_not_silenced():
    alerts = decide(RUN, [a_check("verdict", partition="2025-09"), a_check("amounts_agree")])
    assert len(alerts) == 2


def test_the_same_problem_of_two_months_has_two_fingerprints_and_of_two_runs_one():
    first = decide(RUN, [a_check()])[0]
    other_month = decide(RUN, [a_check(partition="2025-09")])[0]
    other_run = decide(RunOutcome("run-2", "audit_job"), [a_check()])[0]
    assert first.fingerprint != other_month.fingerprint
    assert first.fingerprint == other_run.fingerprint
    assert first.key != other_run.key


def test_a_problem_that_stays_the_same_is_not_said_again():
    outcome = a_check(description="2 findings")
    again = RunOutcome("run-2", "audit_job", partition="2025-10")
    assert decide(again, [outcome], said_before(RUN, [outcome])) == []


def test_a_problem_that_grows_is_said_again():
    before = said_before(RUN, [a_check(description="2 findings")])
    again = RunOutcome("run-2", "audit_job", partition="2025-10")
    (alert,) = decide(again, [a_check(description="3 findings")], before)
    assert alert.kind == "failed_check"
    assert "3 findings" in alert.title


def test_a_problem_that_is_gone_recovers_once():
    before = said_before(RUN, [a_check()])
    again = RunOutcome("run-2", "audit_job", partition="2025-10")
    (alert,) = decide(again, [a_check(passed=True)], before)
    assert alert.kind == "recovery"
    assert alert.title == "Recovered: audit/findings 2025-10: amounts_agree failed"
    after = {alert.fingerprint: LastAlert(alert.kind, alert.title)}
    assert decide(RunOutcome("run-3", "audit_job"), [a_check(passed=True)], after) == []


def test_a_problem_that_comes_back_after_its_recovery_is_said_again():
    alert = decide(RUN, [a_check()])[0]
    last = {alert.fingerprint: LastAlert("recovery", f"Recovered: {alert.title}")}
    assert len(decide(RunOutcome("run-3", "audit_job"), [a_check()], last)) == 1


def test_a_failed_run_says_its_one_sentence_and_recovers_nothing_it_did_not_check():
    before = said_before(RUN, [a_check()])
    failed = RunOutcome(
        "run-2", "audit_job", partition="2025-10", failure="Stripe refuses the key", remedy="Set it"
    )
    (alert,) = decide(failed, [], before)
    assert alert.kind == "run_failure"
    assert alert.title == "audit_job 2025-10: the run failed: Stripe refuses the key"
    assert alert.body.splitlines()[:2] == ["Stripe refuses the key", "Set it"]


def test_work_that_goes_on_failing_is_said_once_however_it_words_it():
    failed = RunOutcome("run-1", "audit_job", partition="2025-10", failure="no answer (req_1)")
    again = RunOutcome("run-2", "audit_job", partition="2025-10", failure="no answer (req_2)")
    assert decide(again, [], said_before(failed, [])) == []


def test_the_next_good_run_of_the_same_work_recovers_a_failed_one():
    failed = RunOutcome("run-1", "audit_job", partition="2025-10", failure="Stripe is away")
    (alert,) = decide(
        RunOutcome("run-2", "audit_job", partition="2025-10"), [], said_before(failed, [])
    )
    assert alert.kind == "recovery"
    other_month = RunOutcome("run-3", "audit_job", partition="2025-11")
    assert decide(other_month, [], said_before(failed, [])) == []


def test_a_backfill_of_twelve_months_is_one_alert():
    alerts = [
        alert
        for month in range(1, 13)
        for alert in decide(
            RunOutcome(f"run-{month}", "audit_job", backfill_id="abc"),
            [
                a_check(partition=f"2025-{month:02d}"),
                a_check("refunds_agree", partition=f"2025-{month:02d}"),
            ],
        )
    ]
    assert len(alerts) == 12
    assert len({alert.key for alert in alerts}) == 1  # the outbox keeps one row a key
    assert "audit/findings 2025-01: amounts_agree failed" in alerts[0].body


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("two\r\nlines", "two lines"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("zero\u200bwidth \u202egnp.exe", "zero width gnp.exe"),
        ("null\x00byte", "null byte"),
        ("", ""),
    ],
)
def test_text_from_outside_becomes_one_printable_line(text, line):
    assert inert(text) == line


def test_a_title_is_cut_at_its_length():
    (alert,) = decide(RUN, [a_check(description="x" * 1000)])
    assert len(alert.title) == TITLE_LENGTH
    assert alert.title.endswith("…")
