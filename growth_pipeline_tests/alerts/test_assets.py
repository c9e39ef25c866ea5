"""One delivery as Dagster runs it: a finished run is read, decided about, and told."""

import logging
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from growth_pipeline.alerts.assets import outbox, read_run
from growth_pipeline.alerts.decide import AlertPolicy
from growth_pipeline.alerts.store import AlertStore
from growth_pipeline.audit.checks import GROUPS, check_results
from growth_pipeline.audit.codes import CODES
from growth_pipeline.audit.findings import Finding, Verdict
from growth_pipeline.audit.schedules import AUDIT_DAY_TAG
from growth_pipeline.billing.resources import VIA_TAG, told_in_one_sentence
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.stripe_api.errors import StripePermissionError
from growth_pipeline_tests.fakes.untold_reports import Reports

NOW = datetime(2025, 11, 1, tzinfo=UTC)
NEVER = AlertPolicy(escalate_after_days=0, audit_hours=0)
MONTHS = dg.StaticPartitionsDefinition(["2025-09", "2025-10"])


class Books:
    """Whether the audited books are wrong; a test changes it between runs."""

    wrong = True


@dg.asset(
    key=["audit", "findings"],
    partitions_def=MONTHS,
    check_specs=[
        dg.AssetCheckSpec(name, asset=["audit", "findings"])
        for name in ("amounts_agree", "verdict")
    ],
)
def audited(books: dg.ResourceParam[Books]):
    facts = {"severity": "HIGH", "remedy": "Correct it. <!channel>"} if books.wrong else {}
    yield dg.AssetCheckResult(
        check_name="amounts_agree",
        passed=not books.wrong,
        description="2 findings, +12.00 usd" if books.wrong else None,
        metadata=facts,
    )
    yield dg.AssetCheckResult(check_name="verdict", passed=not books.wrong)
    yield dg.Output(None)


@dg.asset
def secretive() -> None:
    raise RuntimeError("could not log in with sk_live_canary")


@dg.asset
def clear() -> None:
    raise dg.Failure("the Stripe key is refused", metadata={"remedy": "set another"})


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def store(database):
    return AlertStore(database)


def audit(instance, wrong=True):
    books = Books()
    books.wrong = wrong
    return dg.materialize(
        [audited], instance=instance, resources={"books": books}, partition_key="2025-10"
    )


def deliver_about(instance, run_id, store, channels=(), policy=NEVER, now=NOW, reports=None):
    return dg.materialize(
        [outbox],
        instance=instance,
        run_config={"ops": {"alerts__outbox": {"config": {"run_id": run_id}}}},
        resources={
            "alert_store": store,
            "alert_channels": list(channels),
            "alert_policy": policy,
            "report_outlet": reports or Reports(),
            "dagster_url": "http://127.0.0.1:3000",
            "clock": lambda: now,
        },
        raise_on_error=False,
        tags={VIA_TAG: "test"},  # no waiting for a retry
    )


def facts_of(result):
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_a_failed_check_goes_to_the_log_when_nothing_else_is_configured(instance, store):
    run = audit(instance)
    delivery = deliver_about(instance, run.run_id, store)
    facts = facts_of(delivery)
    assert (facts["added"], facts["sent"], facts["waiting"]) == (1, 1, 0)
    entries = instance.all_logs(delivery.run_id)
    lines = [entry.user_message for entry in entries if entry.level == logging.WARNING]
    assert len(lines) == 1
    assert lines[0].startswith("alert: HIGH: ")
    assert "amounts_agree failed: 2 findings, +12.00 usd" in lines[0]
    assert f"http://127.0.0.1:3000/runs/{run.run_id}" in lines[0]


def test_the_same_run_delivered_twice_and_the_same_problem_later_say_it_once(
    instance, store, slack, slack_channel, github, github_channel
):
    channels = [slack_channel, github_channel]
    first, second = audit(instance), audit(instance)
    for run in (first, first, second):
        assert deliver_about(instance, run.run_id, store, channels).success
    assert len(slack.messages) == 1
    assert len(github.issues) == 1
    assert github.comments[1] == []


def test_a_recovery_is_told_and_closes_the_issue(
    instance, store, slack, slack_channel, github, github_channel
):
    channels = [slack_channel, github_channel]
    deliver_about(instance, audit(instance).run_id, store, channels)
    later = NOW + timedelta(minutes=1)
    deliver_about(instance, audit(instance, wrong=False).run_id, store, channels, now=later)
    assert len(slack.messages) == 2
    assert "1 recovered" in str(slack.messages[1])
    assert github.issues[0]["state"] == "closed"


@pytest.mark.parametrize(
    ("fault", "minutes"), [("500", 1), ("429", 1), ("429:600", 10), ("403", 60)]
)
def test_a_dead_channel_fails_no_run_and_a_later_delivery_makes_up_for_it(
    instance, store, slack, slack_channel, fault, minutes
):
    run = audit(instance)
    assert run.success
    slack.faults = [fault]
    refused = deliver_about(instance, run.run_id, store, [slack_channel])
    assert refused.success
    checks = {one.check_name: one for one in refused.get_asset_check_evaluations()}
    assert not checks["channels_take_alerts"].passed
    assert f"slack: Slack answered {fault[:3]}" in checks["channels_take_alerts"].description
    early = deliver_about(
        instance, "", store, [slack_channel], now=NOW + timedelta(minutes=minutes, seconds=-1)
    )
    assert facts_of(early)["sent"] == 0
    later = deliver_about(
        instance, "", store, [slack_channel], now=NOW + timedelta(minutes=minutes)
    )
    facts = facts_of(later)
    assert (facts["added"], facts["sent"]) == (0, 1)
    assert len(slack.messages) == 1


@pytest.mark.parametrize("fault", ["lost", "slow"])
def test_a_lost_answer_is_counted_and_not_repeated(instance, store, slack, slack_channel, fault):
    run = audit(instance)
    slack.faults = [fault]
    for _ in range(3):
        result = deliver_about(instance, run.run_id, store, [slack_channel])
        assert result.success
        assert facts_of(result)["unknown"] == 1
    assert len(slack.messages) == 1


def test_a_failed_run_is_told_with_its_own_sentence(instance, store, slack, slack_channel):
    run = dg.materialize([clear], instance=instance, raise_on_error=False)
    deliver_about(instance, run.run_id, store, [slack_channel])
    assert "the run failed: the Stripe key is refused" in str(slack.messages[0])


def test_the_text_of_an_unexpected_error_is_not_told(instance):
    run = dg.materialize([secretive], instance=instance, raise_on_error=False)
    outcome, checks = read_run(instance, run.run_id, dagster_url="http://x")
    assert outcome.failure == "it ended with RuntimeError"
    assert checks == []


def test_what_a_run_evaluated_is_read_with_its_level_and_remedy(instance):
    outcome, checks = read_run(instance, audit(instance).run_id, dagster_url="http://x")
    assert outcome.failure == ""
    assert outcome.partition == "2025-10"
    found = {check.check: check for check in checks}
    assert found["amounts_agree"].level == "HIGH"
    assert found["amounts_agree"].remedy == "Correct it. <!channel>"
    assert found["amounts_agree"].asset == "audit/findings"


def test_a_run_that_dagster_does_not_know_is_one_sentence(instance):
    with pytest.raises(GrowthError, match="knows no run"):
        read_run(instance, "nowhere", dagster_url="http://x")


def test_the_audit_tells_its_classes_and_suppressed_findings_call_nobody(instance, store):
    @dg.asset(
        key=["audit", "findings"],
        partitions_def=MONTHS,
        check_specs=[
            dg.AssetCheckSpec(name, asset=["audit", "findings"]) for name in (*GROUPS, "verdict")
        ],
    )
    def judged():
        yield from check_results(
            [
                a_finding("amount_mismatch", impacts={"usd": 1200}),
                a_finding("amount_mismatch", impacts={"usd": -200}),
                a_finding(
                    "payout_failed", suppression={"reason": "known", "by": "x", "until": "y"}
                ),
            ],
            Verdict.FAIL,
            {"usd": 1000},
        )
        yield dg.Output(None)

    run = dg.materialize([judged], instance=instance, partition_key="2025-10")
    delivery = deliver_about(instance, run.run_id, store)
    lines = [
        one.user_message
        for one in instance.all_logs(delivery.run_id)
        if one.level == logging.WARNING
    ]
    assert [line.split(" | ")[0] for line in lines] == [
        "alert: HIGH: audit/findings 2025-10: amount_mismatch: 2 findings, +10.00 usd"
    ]


def a_finding(code, **changes):
    facts = {"severity": CODES[code].severity, "object": "charge", "object_id": f"ch_{code}"}
    return Finding(code, **{**facts, "currency": "usd", "impacts": {}, **changes})


def test_a_daily_audit_sends_a_sign_of_life_and_another_run_does_not(
    instance, store, monitor, heartbeat_channel
):
    audit_job = dg.define_asset_job("audit_job", [audited])
    defs = dg.Definitions([audited], jobs=[audit_job], resources={"books": Books()})
    for tags, beats in (({}, 0), ({AUDIT_DAY_TAG: "2025-11-01"}, 1)):
        run = defs.resolve_job_def("audit_job").execute_in_process(
            instance=instance, partition_key="2025-10", tags=tags
        )
        deliver_about(instance, run.run_id, store, [heartbeat_channel])
        assert monitor.beats == beats


def test_time_alone_tells_of_a_missed_audit_and_of_a_problem_that_lasts(
    instance, store, slack, slack_channel
):
    policy = AlertPolicy(escalate_after_days=3, audit_hours=26)
    deliver_about(instance, "", store, [slack_channel], policy)
    assert slack.messages == []
    for days in (2, 4, 6):
        deliver_about(instance, "", store, [slack_channel], policy, now=NOW + timedelta(days=days))
    first, second = slack.messages
    assert "1 audit missed" in str(first)
    assert "CRITICAL: open for 4 days: The daily audit has not run" in str(second)
    assert "<@U0MEMBER>" in str(second)


def test_a_run_that_was_killed_is_told_with_steps_of_its_own(instance):
    run = dg.DagsterRun(job_name="audit_job", run_id="killed", status=dg.DagsterRunStatus.FAILURE)
    instance.add_run(run)
    outcome, _ = read_run(instance, "killed", dagster_url="http://x")
    assert (outcome.failure, outcome.failure_kind) == ("it ended early", "killed")


def test_the_kind_of_a_failure_is_found_behind_dagsters_own(instance):
    @dg.asset
    def refused(context: dg.AssetExecutionContext) -> None:
        with told_in_one_sentence(context):
            raise StripePermissionError("the key may not read payouts", remedy="give it the right")

    run = dg.materialize([refused], instance=instance, raise_on_error=False)
    outcome, _ = read_run(instance, run.run_id, dagster_url="http://x")
    assert outcome.failure_kind == "StripePermissionError"
