"""What deserves an alert, in rows a person can check by eye."""

from datetime import UTC, datetime, timedelta

import pytest

from growth_pipeline.alerts.decide import (
    TITLE_LENGTH,
    AlertPolicy,
    Problem,
    decide_alerts,
    decide_escalations,
    heartbeat,
    is_due,
    judge_daily_audit,
)
from growth_pipeline.alerts.signals import (
    CheckOutcome,
    ClassOutcome,
    RunOutcome,
    inert,
    read_signals,
)
from growth_pipeline.alerts.troubleshoot import KILLED, STEPS, troubleshoot

RUN = RunOutcome("run-1", "audit_job", partition="2025-10", url="http://127.0.0.1:3000/runs/run-1")
NEXT_RUN = RunOutcome("run-2", "audit_job", partition="2025-10")
NOW = datetime(2025, 11, 1, tzinfo=UTC)


def a_check(check="is_right", **changes):
    facts = {"asset": "billing/drift", "passed": False, "partition": "2025-10"}
    return CheckOutcome(check=check, **{**facts, **changes})


def an_audit(*classes, verdict="FAIL", at_risk="", incomplete=False, **changes):
    """Checks of one audit: one for all its classes, one for its sources, one for its verdict."""
    facts = {"asset": "audit/findings", "partition": "2025-10", **changes}
    passed = not any(one.findings for one in classes)
    sources = (ClassOutcome("source_incomplete", int(incomplete)),)
    return [
        CheckOutcome(check="amounts_agree", passed=passed, classes=tuple(classes), **facts),
        CheckOutcome(check="sources_agree", passed=not incomplete, classes=sources, **facts),
        CheckOutcome(
            check="verdict", passed=verdict == "PASS", verdict=verdict, at_risk=at_risk, **facts
        ),
    ]


def a_class(code="amount_mismatch", findings=0, **changes):
    return ClassOutcome(code, findings, **changes)


def decide(run, checks, known=None):
    return decide_alerts(run, read_signals(run, checks), known or {})


def said_before(run, checks, **changes):
    """What the outbox knows after the alerts of an earlier run."""
    return {
        alert.fingerprint: Problem(
            **{
                **{"fingerprint": alert.fingerprint, "kind": alert.kind, "level": alert.level},
                **{"title": alert.title, "opened_at": NOW, **changes},
            }
        )
        for alert in decide(run, checks)
        if alert.kind in ("failed_check", "run_failure")
    }


def test_a_failed_check_is_one_alert_that_says_where_what_and_how_much():
    outcome = a_check(
        description="2 findings (amount_mismatch 2), +12.00 usd", remedy="Correct it."
    )
    (alert,) = decide(RUN, [outcome])
    assert alert.kind == "failed_check"
    assert alert.title == (
        "billing/drift 2025-10: is_right failed: 2 findings (amount_mismatch 2), +12.00 usd"
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
    low = a_class("period_cutoff", 3, level="LOW")
    assert decide(RUN, an_audit(low, verdict="PASS")) == []


def test_each_class_of_a_month_is_a_thread_of_its_own_and_all_are_one_message():
    amounts = a_class(findings=2, money="+12.00 usd", action="Correct it.")
    rounding = a_class("amount_rounding", 1, level="MEDIUM", money="-0.01 eur")
    alerts = decide(RUN, an_audit(amounts, rounding, at_risk="12.00 usd, 0.01 eur"))
    assert [(one.audience, one.level, one.title) for one in alerts] == [
        (
            "issues",
            "HIGH",
            "audit/findings 2025-10: amount_mismatch: 2 findings, +12.00 usd",
        ),
        (
            "issues",
            "MEDIUM",
            "audit/findings 2025-10: amount_rounding: 1 finding, -0.01 eur",
        ),
        (
            "messages",
            "HIGH",
            "FAIL 2025-10 · new: amount_mismatch 2, amount_rounding 1",
        ),
    ]
    assert alerts[0].body.splitlines() == [
        "2 findings, +12.00 usd",
        "Correct it.",
        "Run: http://127.0.0.1:3000/runs/run-1",
    ]


def test_the_message_of_an_audit_has_the_three_lines_that_matter():
    message = decide(RUN, an_audit(a_class(findings=2), at_risk="12.00 usd"))[-1]
    assert [message.title, *message.body.splitlines()] == [
        "FAIL 2025-10 · new: amount_mismatch 2",
        "Money at risk: 12.00 usd",
        "Next: growth audit --month 2025-10 · http://127.0.0.1:3000/runs/run-1",
    ]


def test_a_month_of_another_zone_has_threads_and_a_command_of_its_own():
    utc = decide(RUN, an_audit(a_class(findings=1)))
    zone = decide(RUN, an_audit(a_class(findings=1), partition="2025-10 (Asia/Tokyo)"))
    assert {one.fingerprint for one in utc}.isdisjoint(one.fingerprint for one in zone)
    assert "growth audit --month 2025-10 --tz Asia/Tokyo" in zone[-1].body


def test_a_class_that_lasts_is_silent_and_one_that_grows_is_told_in_its_thread():
    before = said_before(RUN, an_audit(a_class(findings=2), a_class("duplicate_row", 1)))
    assert (
        decide(NEXT_RUN, an_audit(a_class(findings=2), a_class("duplicate_row", 1)), before) == []
    )
    grown = decide(NEXT_RUN, an_audit(a_class(findings=3), a_class("duplicate_row", 1)), before)
    assert [one.title for one in grown] == [
        "audit/findings 2025-10: amount_mismatch: 3 findings",
        "FAIL 2025-10 · new: amount_mismatch 3",
    ]
    assert grown[0].fingerprint in before


def test_a_class_that_is_gone_recovers_while_another_lasts():
    before = said_before(RUN, an_audit(a_class(findings=2), a_class("duplicate_row", 1)))
    thread, message = decide(NEXT_RUN, an_audit(a_class(), a_class("duplicate_row", 1)), before)
    assert (thread.kind, thread.audience) == ("recovery", "issues")
    assert thread.title == "Recovered: audit/findings 2025-10: amount_mismatch: 2 findings"
    assert message.title == "FAIL 2025-10 · recovered: amount_mismatch"
    assert message.kind == "recovery"


def test_an_audit_that_could_not_read_all_closes_no_thread():
    before = said_before(RUN, an_audit(a_class(findings=2)))
    alerts = decide(NEXT_RUN, an_audit(a_class(), incomplete=True), before)
    assert [one.kind for one in alerts] == ["failed_check", "summary"]
    assert "source_incomplete" in alerts[0].title


def test_suppressed_findings_are_silent_and_say_so_when_their_thread_closes():
    hushed = a_class(findings=0, suppressed=2)
    assert decide(RUN, an_audit(hushed, verdict="PASS")) == []
    before = said_before(RUN, an_audit(a_class(findings=2)))
    thread = decide(NEXT_RUN, an_audit(hushed, verdict="PASS"), before)[0]
    assert thread.kind == "recovery"
    assert "2 of its findings are suppressed and do not count." in thread.body


def test_the_verdict_is_silent_when_a_class_of_its_month_speaks():
    alerts = decide(RUN, an_audit(a_class(findings=1)))
    assert not [one for one in alerts if "verdict" in one.title]


def test_the_verdict_speaks_when_nothing_else_led_to_it():
    alerts = decide(RUN, an_audit(a_class("period_cutoff", 1, level="LOW"), verdict="FAIL"))
    assert not [one for one in alerts if one.audience == "issues"]
    assert decide(RUN, [a_check("verdict"), a_check("months_agree", level="LOW")])


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
    assert alert.title == "Recovered: billing/drift 2025-10: is_right failed"
    over = said_before(RUN, [a_check()], closed_at=NOW)
    assert decide(RunOutcome("run-3", "audit_job"), [a_check(passed=True)], over) == []


def test_a_problem_that_comes_back_after_its_recovery_is_said_again():
    over = said_before(RUN, [a_check()], closed_at=NOW)
    assert len(decide(RunOutcome("run-3", "audit_job"), [a_check()], over)) == 1


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


def a_failed_run(kind):
    return RunOutcome("run-1", "audit_job", failure="it failed", failure_kind=kind)


def test_a_failed_run_is_told_otherwise_than_a_failed_audit_with_steps_that_help():
    (alert,) = decide(a_failed_run("StripePermissionError"), [])
    assert (alert.kind, alert.audience) == ("run_failure", "all")
    assert "1. Run growth doctor" in alert.body
    assert "2. Give the restricted key the missing read right" in alert.body


@pytest.mark.parametrize("kind", [*STEPS, "SomethingNobodyThoughtOf", ""])
def test_each_kind_of_failure_has_steps_a_person_can_take(kind):
    steps = troubleshoot(kind)
    assert len(steps) >= 2
    body = decide(a_failed_run(kind), [])[0].body
    assert all(f"{number}. {step}"[:500] in body for number, step in enumerate(steps, start=1))


def test_a_killed_run_and_a_refused_key_need_different_steps():
    kinds = (KILLED, "StripePermissionError", "ConfigurationError", "StripeUnreachableError")
    assert len({troubleshoot(kind) for kind in kinds}) == len(kinds)


def test_a_backfill_of_twelve_months_is_one_message_and_a_thread_a_month_and_check():
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
    messages = [one for one in alerts if one.audience == "messages"]
    assert len(alerts) - len(messages) == 24
    assert len({one.key for one in messages}) == 1  # the outbox keeps one row a key
    assert "billing/drift 2025-01: is_right failed" in messages[0].body


# --- what lasts, and what stays away -------------------------------------------------------------


def a_problem(**changes):
    facts = {"fingerprint": "f1", "kind": "failed_check", "level": "MEDIUM", "title": "it is wrong"}
    return Problem(**{**facts, "opened_at": NOW, **changes})


def escalations(problem, days, after_days=3):
    return decide_escalations([problem], NOW + timedelta(days=days), after_days=after_days)


def test_an_open_problem_is_told_again_one_level_higher_after_its_days():
    assert escalations(a_problem(), days=2.99) == []
    (alert,) = escalations(a_problem(), days=3)
    assert (alert.kind, alert.level) == ("escalation", "HIGH")
    assert alert.title == "HIGH: open for 3 days: it is wrong"
    assert alert.mentions


def test_each_step_is_told_once_and_takes_twice_as_long():
    problem, told = a_problem(), []
    for day in range(60):
        for alert in escalations(problem, days=day):
            told.append((day, alert.level))
            problem = a_problem(step=problem.step + 1, level=alert.level)
    assert told == [
        (3, "HIGH"),
        (6, "CRITICAL"),
        (12, "CRITICAL"),
        (24, "CRITICAL"),
        (48, "CRITICAL"),
    ]


def test_the_same_step_decided_twice_is_one_alert_and_a_return_has_steps_of_its_own():
    keys = {escalations(a_problem(), days=day)[0].key for day in (3, 4)}
    assert len(keys) == 1
    returned = a_problem(opened_at=NOW + timedelta(days=9))
    assert escalations(returned, days=12)[0].key not in keys


def test_a_problem_that_is_over_does_not_escalate_and_zero_days_are_never():
    assert escalations(a_problem(closed_at=NOW), days=99) == []
    assert escalations(a_problem(), days=99, after_days=0) == []


def test_an_escalated_problem_keeps_its_level_when_it_changes_and_recovers_at_once():
    checks = an_audit(a_class(findings=2, level="MEDIUM"))
    before = said_before(RUN, checks, level="CRITICAL", step=2)
    grown = decide(NEXT_RUN, an_audit(a_class(findings=3, level="MEDIUM")), before)
    assert grown[0].level == "CRITICAL"
    assert decide(NEXT_RUN, an_audit(a_class(), verdict="PASS"), before)[0].kind == "recovery"


@pytest.mark.parametrize(
    ("audited", "watched", "missed"),
    [(1, 100, False), (26, 100, False), (26.1, 100, True), (None, 26, False), (None, 27, True)],
)
def test_a_daily_audit_that_stays_away_for_26_hours_is_missed(audited, watched, missed):
    audited_at = None if audited is None else NOW - timedelta(hours=audited)
    signal = judge_daily_audit(audited_at, NOW - timedelta(hours=watched), NOW, hours=26)
    assert signal.bad is missed


def test_a_missed_audit_is_told_once_and_recovers_when_it_has_run():
    watched = NOW - timedelta(days=9)
    signal = judge_daily_audit(None, watched, NOW, hours=26)
    (alert,) = decide_alerts(RUN, [signal], {})
    assert (alert.kind, alert.audience) == ("missed_audit", "all")
    assert "daily_audit_schedule" in alert.body
    lasting = a_problem(fingerprint=signal.fingerprint, kind="missed_audit", title=alert.title)
    known = {signal.fingerprint: lasting}
    later = judge_daily_audit(None, watched, NOW + timedelta(hours=5), hours=26)
    assert decide_alerts(RUN, [later], known) == []
    ran = judge_daily_audit(NOW, watched, NOW + timedelta(hours=5), hours=26)
    assert [one.kind for one in decide_alerts(RUN, [ran], known)] == ["recovery"]


def test_zero_hours_watch_nothing():
    assert not judge_daily_audit(None, NOW - timedelta(days=99), NOW, hours=0).bad


def test_time_asks_for_a_delivery_only_when_it_has_something_to_say():
    policy = AlertPolicy(escalate_after_days=3, audit_hours=26)
    fine = judge_daily_audit(NOW, NOW, NOW, hours=26)
    silent = judge_daily_audit(None, NOW - timedelta(days=2), NOW, hours=26)
    missed = a_problem(fingerprint=silent.fingerprint, kind="missed_audit")
    assert not is_due([], fine, NOW, policy)
    assert is_due([], silent, NOW, policy)
    assert not is_due([missed], silent, NOW, policy)
    assert is_due([missed], fine, NOW, policy), "the recovery is told"
    assert is_due([a_problem()], fine, NOW + timedelta(days=3), policy)


def test_a_sign_of_life_follows_each_daily_audit_that_ran_whatever_its_verdict():
    daily = RunOutcome("run-1", "audit_job", partition="2025-10", is_daily_audit=True)
    (beat,) = heartbeat(daily)
    assert (beat.kind, beat.audience) == ("heartbeat", "heartbeat")
    assert heartbeat(RUN) == []
    failed = RunOutcome("run-1", "audit_job", failure="Stripe is away", is_daily_audit=True)
    assert heartbeat(failed) == []


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
