"""One delivery as Dagster runs it: a finished run is read, decided about, and told."""

import logging
from datetime import UTC, datetime

import dagster as dg
import pytest

from growth_pipeline.alerts.assets import outbox, read_run
from growth_pipeline.alerts.store import AlertStore
from growth_pipeline.billing.resources import VIA_TAG
from growth_pipeline.core.errors import GrowthError

NOW = datetime(2025, 11, 1, tzinfo=UTC)
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


def deliver_about(instance, run_id, store, channels=()):
    return dg.materialize(
        [outbox],
        instance=instance,
        run_config={"ops": {"alerts__outbox": {"config": {"run_id": run_id}}}},
        resources={
            "alert_store": store,
            "alert_channels": list(channels),
            "dagster_url": "http://127.0.0.1:3000",
            "clock": lambda: NOW,
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
    assert lines[0].startswith("alert: ")
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
    deliver_about(instance, audit(instance, wrong=False).run_id, store, channels)
    assert len(slack.messages) == 2
    assert "1 recovered" in str(slack.messages[1])
    assert github.issues[0]["state"] == "closed"


@pytest.mark.parametrize("fault", ["500", "429", "403"])
def test_a_dead_channel_fails_the_delivery_alone_and_the_next_one_makes_up_for_it(
    instance, store, slack, slack_channel, fault
):
    run = audit(instance)
    assert run.success
    slack.faults = [fault]
    failed = deliver_about(instance, run.run_id, store, [slack_channel])
    assert not failed.success
    (event,) = [event for event in failed.all_events if event.is_step_failure]
    assert (
        event.step_failure_data.user_failure_data.description
        == f"1 alerts wait: Slack answered {fault}"
    )
    facts = facts_of(deliver_about(instance, run.run_id, store, [slack_channel]))
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
